using System.Globalization;
using TransparencyLog.Server;
using TransparencyLog.Server.Http;
using Host = TransparencyLog.Server.Host;

namespace TransparencyLog.Bench;

/// <summary>The limit of HTTP: the log's own pipeline and body reading around an append that only counts, and 8 KiB from memory.</summary>
internal static class NullServer
{
    public static async Task RunAsync()
    {
        Settings settings = new() { Data = "-", Listen = "http://127.0.0.1:0" };
        long count = -1;
        byte[] tile = new byte[8192];
        Random.Shared.NextBytes(tile);
        await using WebApplication app = Host.Build(settings, routes =>
        {
            routes.MapPost("/add", Gate.Handle(async context =>
            {
                byte[]? entry = await AppendEndpoints.ReadAsync(context, EntryBundle.MaxEntrySize, prefix: 2, settings.BodyLimit);
                long index = Interlocked.Increment(ref count);
                await AppendEndpoints.TextAsync(context, entry is null ? 413 : 200, index.ToString(CultureInfo.InvariantCulture));
            }));
            routes.MapMethods("/tile/{**path}", ["GET"], Gate.Handle(context => AppendEndpoints.BytesAsync(context, 200, "application/octet-stream", tile)));
        });
        await app.StartAsync();
        Console.WriteLine($"listening {app.Urls.First()}");
        await app.WaitForShutdownAsync();
    }
}
