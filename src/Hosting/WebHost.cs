using Microsoft.Extensions.Hosting;

namespace TransparencyLog.Hosting;

/// <summary>
/// The web server of both programs, made with the empty builder (N-17). The usual builders read appsettings.json and variables that begin with ASPNETCORE_ and
/// DOTNET_. They also watch the working directory and everything below it, even when their sources are removed afterwards: a start in / took 73,000 watches and
/// ten seconds.
/// </summary>
internal static class WebHost
{
    /// <param name="program">The name of the program.</param>
    /// <param name="least">The least severe messages that are logged.</param>
    /// <param name="time">The clock of the log.</param>
    /// <param name="listen">The address that it listens on.</param>
    /// <param name="connections">Most open connections.</param>
    /// <param name="connectionsPerAddress">Most open connections from one address.</param>
    /// <param name="stopLimit">How long requests may take to end.</param>
    public static WebApplicationBuilder CreateBuilder(string program, LogLevel least, TimeProvider time, ListenAddress listen, int connections, int connectionsPerAddress, TimeSpan stopLimit)
    {
        // The content root has to exist, and the working directory may have been removed (N-21). Nothing is read from it.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = program, ContentRootPath = AppContext.BaseDirectory });
        ConsoleLog.Configure(builder.Logging, least, time);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = stopLimit);
        Wire.Limit(builder.WebHost, connections, connectionsPerAddress);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(listen.Apply);
        return builder;
    }
}
