using TransparencyLog.Hosting;

namespace TransparencyLog.Server.Http;

/// <summary>
/// Answers over 64 KiB: large bundles, the indexes of large batches. The web server would copy one whole into buffers of its own for a reader who takes none of it, so it gets
/// them in pieces; what they keep alive has a bound for all readers together; and one takes so long and no longer (H-03, A-05).
/// </summary>
internal static class LargeAnswers
{
    /// <summary>Smaller ones are sent as they are: as many connections as there may be, with one each, are 256 MiB.</summary>
    public const int Least = 64 * 1024;

    /// <summary>Most bytes under way: eight of the largest bundle, 256 entries of 64 KiB.</summary>
    private const long MostBytes = 128 * 1024 * 1024;

    /// <summary>What the slowest reader has to take, beside <see cref="LeastTime"/>: one on a line of 1 Mbit/s gets every answer.</summary>
    private const int LeastBytesPerSecond = 64 * 1024;

    private static readonly TimeSpan LeastTime = TimeSpan.FromSeconds(30);

    private static readonly ByteBudget UnderWay = new(MostBytes);

    /// <summary>Room for an answer, until it is disposed.</summary>
    /// <exception cref="UnavailableException">There is none now: 503.</exception>
    public static ByteBudget.Share Reserve(long bytes) =>
        UnderWay.TryTake(bytes) ?? throw UnavailableException.NoRoomForAnswers();

    /// <summary>Whether <see cref="Reserve"/> would succeed now; answers that are sent as they are need no room.</summary>
    public static bool HasRoom(long bytes) => bytes <= Least || bytes <= UnderWay.Left;

    /// <summary>How long an answer may take.</summary>
    public static TimeSpan TimeFor(long bytes) => LeastTime + TimeSpan.FromSeconds((double)bytes / LeastBytesPerSecond);

    /// <summary>Sends the body in pieces; the head is set. Whoever has not taken it in time loses the connection.</summary>
    public static async Task SendAsync(HttpContext context, ReadOnlyMemory<byte> bytes)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(TimeFor(bytes.Length));
        try
        {
            for (int sent = 0; sent < bytes.Length; sent += Least)
            {
                await context.Response.Body.WriteAsync(bytes[sent..Math.Min(bytes.Length, sent + Least)], limit.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            context.Abort();
        }
    }
}
