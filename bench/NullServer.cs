using System.Buffers;
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
                ReadOnlySequence<byte>? entry = await RequestBody.ReadAsync(context, EntryBundle.MaxEntrySize, settings.BodyLimit);
                if (entry is null) throw new BadHttpRequestException("an entry is too large", StatusCodes.Status413PayloadTooLarge);
                RequestBody.Release(context, entry.Value);
                await AppendEndpoints.IndexAsync(context, 200, Interlocked.Increment(ref count));
            }));
            routes.MapMethods("/tile/{**path}", ["GET"], Gate.Handle(context => AppendEndpoints.BytesAsync(context, 200, "application/octet-stream", tile)));
        });
        await app.StartAsync();
        Console.WriteLine($"listening {app.Urls.First()}");
        await app.WaitForShutdownAsync();
    }
}
