using System.Buffers;
using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Server.Http;
using Host = TransparencyLog.Server.Host;

namespace TransparencyLog.Bench;

/// <summary>
/// The limit of HTTP: the log's own pipeline and body reading around an append that only counts, and bytes from memory, as many and with the same
/// headers as the log's answers have: a full tile, a full bundle of entries of 128 bytes, a checkpoint.
/// </summary>
internal static class NullServer
{
    public static async Task RunAsync(int checkpointBytes)
    {
        Settings settings = new() { Data = "-", Listen = ListenAddress.Parse("http://127.0.0.1:0") };
        long count = -1;
        byte[] tile = Noise(256 * Hash.Size), bundle = Noise(256 * EntryBundle.EncodedSize(128)), checkpoint = Noise(checkpointBytes);
        await using WebApplication app = Host.Build(settings, routes =>
        {
            routes.MapPost("/add", Gate.Handle(async context =>
            {
                ReadOnlySequence<byte>? entry = await RequestBody.ReadAsync(context, EntryBundle.MaxEntrySize, settings.BodyLimit, TimeProvider.System);
                if (entry is null) throw new BadHttpRequestException("an entry is too large", StatusCodes.Status413PayloadTooLarge);
                RequestBody.Release(context, entry.Value);
                await AppendEndpoints.IndexAsync(context, 200, Interlocked.Increment(ref count));
            }));
            routes.MapMethods("/tile/{**path}", ["GET"], Gate.Handle(context =>
            {
                context.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
                return LargeAnswers.SendAsync(context, 200, "application/octet-stream", context.Request.Path.Value!.Contains("entries", StringComparison.Ordinal) ? bundle : tile);
            }));
            routes.MapMethods("/checkpoint", ["GET"], Gate.Handle(context =>
            {
                context.Response.Headers.CacheControl = "public, max-age=1";
                return LargeAnswers.SendAsync(context, 200, "text/plain; charset=utf-8", checkpoint);
            }));
            routes.MapMethods("/metrics", ["GET"], Gate.Handle(context =>
            {
                StringBuilder text = new();
                ProcessMetrics.Write(text);
                return MetricsEndpoint.AnswerAsync(context, Encoding.UTF8.GetBytes(text.ToString()));
            }));
        });
        GcPauses.Watch();
        await app.StartAsync();
        Console.WriteLine($"listening {app.Urls.First()}");
        await app.WaitForShutdownAsync();
    }

    private static byte[] Noise(int bytes)
    {
        byte[] noise = new byte[bytes];
        Random.Shared.NextBytes(noise);
        return noise;
    }
}
