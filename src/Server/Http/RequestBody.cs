using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using TransparencyLog.Hosting;

namespace TransparencyLog.Server.Http;

/// <summary>Bodies of appends: whole, in the buffers they came in, bounded in size and time.</summary>
internal static class RequestBody
{
    /// <summary>A body that is larger and not whole yet needs a share of <see cref="MostBytes"/>. As many connections as there may be, each with as much, are 256 MiB.</summary>
    private const int Small = 64 * 1024;

    /// <summary>Most bytes of larger ones, all together: 64 batches.</summary>
    private const long MostBytes = 128 * 1024 * 1024;

    private static readonly ByteBudget OnTheirWay = new(MostBytes);

    /// <summary>
    /// The body; null when it is longer than <paramref name="limit"/>. Memory grows with what came, not with what was announced. The caller gives the
    /// buffers back with <see cref="Release"/>, once it has copied what it needs.
    /// </summary>
    /// <exception cref="UnavailableException">It is large, and there is no room for another such now.</exception>
    public static async ValueTask<ReadOnlySequence<byte>?> ReadAsync(HttpContext context, int limit, TimeSpan time)
    {
        // Before the limit of the wire is raised: what is not wanted is not drained either, the connection closes.
        if (context.Request.ContentLength > limit) return null;

        // What the wire may carry: a body without a length may come a byte a chunk, which is six bytes there.
        context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = (context.Request.ContentLength is null ? 6L * limit : limit) + 1024;
        PipeReader reader = context.Request.BodyReader;
        BodyDeadline? deadline = null;
        ByteBudget.Share? room = null;
        try
        {
            while (true)
            {
                // Most bodies are here with their headers: only one that has to be waited for costs a timer.
                if (!reader.TryRead(out ReadResult result)) result = await (deadline ??= new BodyDeadline(context, time)).ReadAsync(reader).ConfigureAwait(false);
                long length = result.Buffer.Length;
                if (length > limit)
                {
                    reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
                    return null;
                }

                if (result.IsCompleted) return result.Buffer;
                reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
                if (length > Small) room ??= Reserve(context.Request.ContentLength ?? limit);
            }
        }
        catch (Exception gone) when (Wire.IsGone(gone))
        {
            throw new ConnectionAbortedException("the caller has gone", gone);
        }
        catch (IOException failure) when (failure is not BadHttpRequestException)
        {
            // Chunks whose length overflows: theirs, not ours.
            throw new BadHttpRequestException("the body could not be read", failure);
        }
        finally
        {
            deadline?.Dispose();
            room?.Dispose();
        }
    }

    private static ByteBudget.Share Reserve(long bytes) =>
        OnTheirWay.TryTake(bytes) ?? throw new UnavailableException("as many large batches are on their way as there is memory for; a smaller one, or the same a moment later, is taken", 1);

    public static void Release(HttpContext context, in ReadOnlySequence<byte> body) => context.Request.BodyReader.AdvanceTo(body.End);

    /// <summary>Whether a body, or the rest of one, is still on its way: then only closing the connection ends the request.</summary>
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
            // Refused by the web server, or half read when it was given up.
            return true;
        }
    }
}

/// <summary>The time one body may take in all, whatever its rate; started at the first wait.</summary>
internal sealed class BodyDeadline : IDisposable
{
    private readonly CancellationTokenSource _limit;

    public BodyDeadline(HttpContext context, TimeSpan time)
    {
        // The reader is asked to return, never cancelled: Kestrel could not drain or end the body of a read that never returned, and would say so in our log each time. When the
        // caller goes, it fails by itself.
        _limit = new CancellationTokenSource(time);
        _limit.Token.Register(static reader => ((PipeReader)reader!).CancelPendingRead(), context.Request.BodyReader);
    }

    public async ValueTask<ReadResult> ReadAsync(PipeReader reader)
    {
        ReadResult result = await reader.ReadAsync(CancellationToken.None).ConfigureAwait(false);
        if (!result.IsCanceled) return result;
        reader.AdvanceTo(result.Buffer.End);
        throw new BadHttpRequestException("the body took too long", StatusCodes.Status408RequestTimeout);
    }

    public void Dispose() => _limit.Dispose();
}
