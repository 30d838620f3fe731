using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace TransparencyLog.Hosting;

/// <summary>Reads request bodies whole, in the buffers in which they came. Size, time, and the memory of all bodies together are bounded.</summary>
internal static class RequestBody
{
    /// <summary>
    /// A body that exceeds this and is not complete yet needs a share of <see cref="MostBytes"/>. This much on each of 4,096 connections, the default limit, is
    /// 256 MiB.
    /// </summary>
    private const int Small = 64 * 1024;

    /// <summary>Most bytes of the larger bodies together: 64 batches.</summary>
    private const long MostBytes = 128 * 1024 * 1024;

    private static readonly ByteBudget OnTheirWay = new(MostBytes);

    /// <summary>
    /// Reads the body. Returns null when it is longer than <paramref name="limit"/>. Memory grows with the bytes received, not with the announced length. The
    /// caller returns the buffers with <see cref="Release"/>, after it has copied what it needs.
    /// </summary>
    /// <param name="context">The request.</param>
    /// <param name="limit">Longest body in bytes.</param>
    /// <param name="time">How long a body may take before its rate counts: see <see cref="BodyDeadline"/>.</param>
    /// <param name="clock">Measures that time.</param>
    /// <exception cref="BadHttpRequestException">The framing is wrong, or the body took too long. The status says which.</exception>
    /// <exception cref="ConnectionAbortedException">The client has gone.</exception>
    /// <exception cref="NoRoomException">The body is large, and there is no room for it now.</exception>
    public static async ValueTask<ReadOnlySequence<byte>?> ReadAsync(HttpContext context, int limit, TimeSpan time, TimeProvider clock)
    {
        // Checked before Kestrel's limit is raised: a refused body is not drained, and the connection closes.
        if (context.Request.ContentLength > limit) return null;

        // Most bytes on the socket. A body without a length may come in chunks of one byte, each of which has six bytes there.
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = (context.Request.ContentLength is null ? 6L * limit : limit) + 1024;
        PipeReader reader = context.Request.BodyReader;
        BodyDeadline? deadline = null;
        ByteBudget.Share? room = null;
        try
        {
            while (true)
            {
                // Most bodies come with their headers. Only a body that has to be waited for costs a timer.
                if (!reader.TryRead(out ReadResult result)) result = await (deadline ??= new BodyDeadline(reader, time, clock)).ReadAsync().ConfigureAwait(false);
                long length = result.Buffer.Length;
                if (length > limit)
                {
                    reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
                    return null;
                }

                if (result.IsCompleted) return result.Buffer;
                reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
                deadline?.Extend(length);
                if (length > Small) room ??= Reserve(context.Request.ContentLength ?? limit);
            }
        }
        catch (Exception gone) when (Wire.IsGone(gone))
        {
            throw new ConnectionAbortedException("the client has gone", gone);
        }
        catch (IOException failure) when (failure is not BadHttpRequestException)
        {
            // The length of a chunk overflows: an error of the client, not of the server.
            throw new BadHttpRequestException("the body could not be read", failure);
        }
        finally
        {
            deadline?.Dispose();
            room?.Dispose();
        }
    }

    private static ByteBudget.Share Reserve(long bytes) =>
        OnTheirWay.TryTake(bytes) ?? throw new NoRoomException("as many large bodies are on their way as there is memory for; a smaller one, or the same a moment later, is accepted");

    public static void Release(HttpContext context, in ReadOnlySequence<byte> body) => context.Request.BodyReader.AdvanceTo(body.End);

    /// <summary>Whether some of the body has not been read yet. Only closing the connection then ends the request.</summary>
    public static bool IsUnread(HttpContext context)
    {
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody != true) return false;
        try
        {
            if (!context.Request.BodyReader.TryRead(out ReadResult rest)) return true;
            bool unread = !rest.IsCompleted || !rest.Buffer.IsEmpty;
            context.Request.BodyReader.AdvanceTo(rest.Buffer.Start);
            return unread;
        }
        catch (Exception unreadable) when (unreadable is IOException or InvalidOperationException)
        {
            // Kestrel refused the body, or it was given up half read.
            return true;
        }
    }
}

/// <summary>
/// The time that a body may take, in proportion to its size (N-19): a fixed time, and a second for each 16 KiB received. So a batch of 2 MiB may come over a
/// line of 60 kB/s, which takes 35 s. A client that sends a byte now and then is cut off at the end of the fixed time.
/// </summary>
internal sealed class BodyDeadline : IDisposable
{
    /// <summary>The slowest uplink over which every body arrives: 128 kbit/s.</summary>
    public const int LeastBytesPerSecond = 16 * 1024;

    private readonly PipeReader _reader;
    private readonly TimeProvider _clock;
    private readonly TimeSpan _time;
    private readonly long _start;
    private readonly CancellationTokenSource _limit;

    /// <summary>Starts the time, at the first wait for a body.</summary>
    public BodyDeadline(PipeReader reader, TimeSpan time, TimeProvider clock)
    {
        (_reader, _time, _clock, _start) = (reader, time, clock, clock.GetTimestamp());

        // At the time limit, CancelPendingRead makes the read return. The read itself is never cancelled: Kestrel could neither drain nor end the body of a
        // read that never returned, and would log that each time. When the client goes, the read fails.
        _limit = new CancellationTokenSource(time, clock);
        _limit.Token.Register(static reader => ((PipeReader)reader!).CancelPendingRead(), reader);
    }

    /// <summary>Waits for more of the body.</summary>
    /// <exception cref="BadHttpRequestException">The time is over: 408.</exception>
    public async ValueTask<ReadResult> ReadAsync()
    {
        ReadResult result = await _reader.ReadAsync(CancellationToken.None).ConfigureAwait(false);
        if (!result.IsCanceled) return result;
        _reader.AdvanceTo(result.Buffer.End);
        throw new BadHttpRequestException("the body took too long", StatusCodes.Status408RequestTimeout);
    }

    /// <summary>Moves the time limit, given the total of bytes received.</summary>
    public void Extend(long received)
    {
        TimeSpan left = _time + TimeSpan.FromSeconds((double)received / LeastBytesPerSecond) - _clock.GetElapsedTime(_start);
        _limit.CancelAfter(left > TimeSpan.Zero ? left : TimeSpan.Zero);
    }

    public void Dispose() => _limit.Dispose();
}
