using System.Buffers;
using System.Runtime.InteropServices;

namespace TransparencyLog.Hosting;

/// <summary>
/// Sends answers. Kestrel would copy a large one whole into buffers of its own, for a reader that may take none of it. So an answer of more than 64 KiB is sent in pieces, from
/// memory that is counted against one bound for all readers together (H-03, A-05, N-06), and for a limited time.
/// </summary>
internal static class LargeAnswers
{
    /// <summary>Smaller answers are not counted: as many connections as there may be, with one each, hold 256 MiB.</summary>
    public const int Least = 64 * 1024;

    /// <summary>
    /// A large answer is sent in pieces of this size, and a connection buffers no more of it (<see cref="Wire"/>): each piece is copied, and with 1,500 slow readers 64 KiB for
    /// each were 100 MB.
    /// </summary>
    public const int Piece = 16 * 1024;

    /// <summary>Most bytes of large answers: eight of the largest bundle, 256 entries of 64 KiB.</summary>
    private const long MostBytes = 128 * 1024 * 1024;

    /// <summary>The slowest reader that gets every answer is on a line of about 0.5 Mbit/s. <see cref="LeastTime"/> comes on top.</summary>
    private const int LeastBytesPerSecond = 64 * 1024;

    private static readonly TimeSpan LeastTime = TimeSpan.FromSeconds(30);

    /// <summary>What large answers of this process hold.</summary>
    public static ByteBudget Budget { get; } = new(MostBytes);

    /// <summary>Room for an answer that is made next; null when it is a small one, which needs none.</summary>
    /// <exception cref="NoRoomException">There is no room now.</exception>
    public static ByteBudget.Share? Reserve(long bytes, ByteBudget? budget = null) => bytes <= Least ? null : (budget ?? Budget).TryTake(bytes) ?? throw NoRoomException.ForAnswers();

    /// <summary>Room for bytes that exist, and that other requests may be sent at the same time; null when they are few.</summary>
    /// <exception cref="NoRoomException">There is no room now.</exception>
    public static ByteBudget.Share? Hold(ReadOnlyMemory<byte> bytes, ByteBudget? budget = null)
    {
        if (bytes.Length <= Least) return null;
        budget ??= Budget;
        return (MemoryMarshal.TryGetArray(bytes, out ArraySegment<byte> segment) ? budget.TryHold(segment.Array!) : budget.TryTake(bytes.Length)) ?? throw NoRoomException.ForAnswers();
    }

    /// <summary>How long an answer may take.</summary>
    public static TimeSpan TimeFor(long bytes) => LeastTime + TimeSpan.FromSeconds((double)bytes / LeastBytesPerSecond);

    /// <summary>Sends an answer with its length; a HEAD gets the headers alone.</summary>
    /// <param name="context">The request.</param>
    /// <param name="status">The status.</param>
    /// <param name="contentType">What the body is.</param>
    /// <param name="body">The body.</param>
    /// <param name="room">The room that the caller has for it; without it a large body is held here.</param>
    /// <exception cref="NoRoomException">There is no room now; nothing was sent.</exception>
    public static async Task SendAsync(HttpContext context, int status, string contentType, ReadOnlyMemory<byte> body, ByteBudget.Share? room = null)
    {
        bool isHead = HttpMethods.IsHead(context.Request.Method);
        using ByteBudget.Share? held = room is null && !isHead ? Hold(body) : null;
        Begin(context, status, contentType, body.Length);
        if (isHead) return;
        if (body.Length > Least) await PiecesAsync(context, body, body.Length).ConfigureAwait(false);
        else await context.Response.Body.WriteAsync(body, context.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>The same with a body of two small parts and a middle, which may be a part of something larger that other requests are sent too.</summary>
    /// <exception cref="NoRoomException">There is no room now; nothing was sent.</exception>
    public static async Task SendAsync(HttpContext context, int status, string contentType, ReadOnlyMemory<byte> head, ReadOnlyMemory<byte> middle, ReadOnlyMemory<byte> end)
    {
        bool isHead = HttpMethods.IsHead(context.Request.Method);
        using ByteBudget.Share? held = isHead ? null : Hold(middle);
        int length = head.Length + middle.Length + end.Length;
        Begin(context, status, contentType, length);
        if (isHead) return;
        context.Response.BodyWriter.Write(head.Span);
        if (middle.Length > Least) await PiecesAsync(context, middle, length).ConfigureAwait(false);
        else context.Response.BodyWriter.Write(middle.Span);
        await context.Response.Body.WriteAsync(end, context.RequestAborted).ConfigureAwait(false);
    }

    private static void Begin(HttpContext context, int status, string contentType, int length)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = contentType;
        context.Response.ContentLength = length;
    }

    /// <summary>A reader that has not taken the body in time loses the connection.</summary>
    private static async Task PiecesAsync(HttpContext context, ReadOnlyMemory<byte> bytes, int length)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(TimeFor(length));
        try
        {
            for (int sent = 0; sent < bytes.Length; sent += Piece)
            {
                await context.Response.Body.WriteAsync(bytes[sent..Math.Min(bytes.Length, sent + Piece)], limit.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            context.Abort();
        }
    }
}
