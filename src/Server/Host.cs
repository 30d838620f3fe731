using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using TransparencyLog.Hosting;
using TransparencyLog.Server.Http;

namespace TransparencyLog.Server;

/// <summary>The web server around an engine: limits and routes.</summary>
internal static class Host
{
    public static WebApplication Build(Settings settings, Engine engine) => Build(settings, app =>
    {
        AppendEndpoints.Map(app, engine, settings);
        ReadEndpoints.Map(app, engine);
        IndexEndpoints.Map(app, engine);
        ProofEndpoints.Map(app, engine);
        HealthEndpoints.Map(app, engine);
        StatusEndpoint.Map(app, engine, settings);
        MetricsEndpoint.Map(app, engine);
        ApiDocument.Map(app);
    });

    /// <summary>The same server with other routes: what the benchmarks measure against.</summary>
    public static WebApplication Build(Settings settings, Action<WebApplication> map)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = "tlog-server" });
        ((IConfigurationBuilder)builder.Configuration).Sources.Clear(); // Settings has read everything; nothing else of the environment counts
        builder.Configuration.AddInMemoryCollection();
        builder.Logging.ClearProviders();
        ConfigureLogging(builder.Logging);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = 0); // each route that takes a body says how much
        Wire.Limit(builder.WebHost, settings.MaxConnections, settings.MaxConnectionsPerAddress);
        builder.WebHost.UseUrls(settings.Listen);

        // A request is read, handled and answered on one thread of the pool, without a hop between each two: a fifth more appends a second. What waits for
        // the disk in a handler keeps a thread of the pool waiting either way.
        builder.Services.Configure<SocketTransportOptions>(sockets => sockets.UnsafePreferInlineScheduling = true);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(5));
        ApiDocument.Add(builder.Services);
        WebApplication app = builder.Build();
        ILogger logger = app.Logger;
        app.Use(next => context => Gate.PassAsync(context, next, logger));
        app.UseRouting();
        map(app);
        return app;
    }

    public static void ConfigureLogging(ILoggingBuilder logging)
    {
        // Standard output is for programs: it carries the one line "listening URL".
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ssZ ";
            console.UseUtcTimestamp = true;
            console.ColorBehavior = Microsoft.Extensions.Logging.Console.LoggerColorBehavior.Disabled;
        });
        logging.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        logging.SetMinimumLevel(LogLevel.Information);
        logging.AddFilter("Microsoft", LogLevel.Warning);

        // A line for each connection too many would let strangers write our log.
        logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel.Connections", LogLevel.Error);

        // A start that fails is one line of ours (Commands.cs); the host would add its stack.
        logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
    }
}
