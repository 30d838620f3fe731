using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using TransparencyLog.Hosting;
using TransparencyLog.Server.Http;

namespace TransparencyLog.Server;

/// <summary>The web server around an engine: limits and routes.</summary>
internal static class Host
{
    /// <summary>How long requests may take to end after SIGTERM. The engine needs the rest of the ten seconds that a container gets.</summary>
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(5);

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

    /// <summary>Builds the same server with other routes: the baseline of the benchmarks.</summary>
    public static WebApplication Build(Settings settings, Action<WebApplication> map)
    {
        WebApplicationBuilder builder = WebHost.CreateBuilder(
            "tlog-server", settings.LogLevel, TimeProvider.System, settings.Listen, settings.MaxConnections, settings.MaxConnectionsPerAddress, StopLimit);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = 0); // each route that accepts a body sets its limit
        builder.Services.AddRoutingCore();

        // A request is read, handled and answered on one thread of the pool, without a change of thread in between: a fifth more appends a second. A handler
        // that waits for the disk blocks a thread of the pool either way.
        builder.Services.Configure<SocketTransportOptions>(sockets => sockets.UnsafePreferInlineScheduling = true);
        ApiDocument.Add(builder.Services);
        WebApplication app = builder.Build();
        ILogger logger = app.Logger;
        app.Use(next => context => Gate.PassAsync(context, next, logger));
        app.UseRouting();
        map(app);
        return app;
    }
}
