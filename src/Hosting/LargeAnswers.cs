using System.Buffers;
using System.Runtime.InteropServices;

namespace TransparencyLog.Hosting;

/// <summary>
/// Sends answers. Kestrel would copy a large answer whole into its own buffers, even for a client that reads none of it. So an answer of more than 64 KiB is
/// sent in pieces, within a time limit, from memory that is counted against one bound for all clients together (H-03, A-05, N-06).
/// </summary>
internal static class LargeAnswers
{
    /// <summary>Answers up to this size are not counted. One of them on each of 4,096 connections, the default limit, holds 256 MiB.</summary>
    public const int Least = 64 * 1024;

    /// <summary>
    /// Size of the pieces of a large answer, and the most of it that a connection buffers (<see cref="Wire"/>). Each piece is copied: pieces of 64 KiB for
    /// 1,500 slow readers would take 100 MB.
    /// </summary>
    public const int Piece = 16 * 1024;

    /// <summary>Most bytes that large answers may hold: eight of the largest bundle, 256 entries of 64 KiB.</summary>
    private const long MostBytes = 128 * 1024 * 1024;

    /// <summary>The rate of the slowest reader that gets every answer, about 0.5 Mbit/s. <see cref="LeastTime"/> is added to the time at this rate.</summary>
    private const int LeastBytesPerSecond = 64 * 1024;

    private static readonly TimeSpan LeastTime = TimeSpan.FromSeconds(30);

    /// <summary>The memory that large answers of this process hold.</summary>
    public static ByteBudget Budget { get; } = new(MostBytes);

    /// <summary>Reserves room for an answer before it is made. Returns null for a small answer, which needs no room.</summary>
    /// <exception cref="NoRoomException">There is no room now.</exception>
    public static ByteBudget.Share? Reserve(long bytes, ByteBudget? budget = null) => bytes <= Least ? null : (budget ?? Budget).TryTake(bytes) ?? throw NoRoomException.ForAnswers();

    /// <summary>Counts bytes that exist, and that may be sent to other requests at the same time. Returns null when they are few.</summary>
    /// <exception cref="NoRoomException">There is no room now.</exception>
    public static ByteBudget.Share? Hold(ReadOnlyMemory<byte> bytes, ByteBudget? budget = null)
    {
        if (bytes.Length <= Least) return null;
        budget ??= Budget;
        return (MemoryMarshal.TryGetArray(bytes, out ArraySegment<byte> segment) ? budget.TryHold(segment.Array!) : budget.TryTake(bytes.Length)) ?? throw NoRoomException.ForAnswers();
    }

    /// <summary>How long sending an answer may take.</summary>
    public static TimeSpan TimeFor(long bytes) => LeastTime + TimeSpan.FromSeconds((double)bytes / LeastBytesPerSecond);

    /// <summary>Sends an answer with its length. A HEAD request gets the headers alone.</summary>
    /// <param name="context">The request.</param>
    /// <param name="status">The status.</param>
    /// <param name="contentType">The media type of the body.</param>
    /// <param name="body">The body.</param>
    /// <param name="room">The room that the caller has reserved for it. Without it, a large body is counted here.</param>
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

    /// <summary>
    /// Sends a body of two small parts with a middle between them. The middle may be part of a larger array that is sent to other requests too.
    /// </summary>
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

    /// <summary>Sends bytes in pieces. Aborts the connection of a client that does not read the body in time.</summary>
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
