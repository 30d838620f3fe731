using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Http.Features;

namespace TransparencyLog.Server.Http;

/// <summary>Bodies of appends: whole, in the buffers they came in, bounded in size and time.</summary>
internal static class RequestBody
{
    /// <summary>
    /// The body; null when it is longer than <paramref name="limit"/>. Memory grows with what came, not with what was announced. The caller gives the
    /// buffers back with <see cref="Release"/>, once it has copied what it needs.
    /// </summary>
    public static async ValueTask<ReadOnlySequence<byte>?> ReadAsync(HttpContext context, int limit, TimeSpan time)
    {
        // Before the limit of the wire is raised: what is not wanted is not drained either, the connection closes.
        if (context.Request.ContentLength > limit) return null;

        // What the wire may carry: a body without a length may come a byte a chunk, which is six bytes there.
        context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = (context.Request.ContentLength is null ? 6L * limit : limit) + 1024;
        PipeReader reader = context.Request.BodyReader;
        BodyDeadline? deadline = null;
        try
        {
            while (true)
            {
                // Most bodies are here with their headers: only one that has to be waited for costs a timer.
                if (!reader.TryRead(out ReadResult result)) result = await (deadline ??= new BodyDeadline(context, time)).ReadAsync(reader).ConfigureAwait(false);
                if (result.Buffer.Length > limit)
                {
                    reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
                    return null;
                }

                if (result.IsCompleted) return result.Buffer;
                reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            }
        }
        catch (IOException failure) when (failure is not BadHttpRequestException)
        {
            // Chunks whose length overflows, or a caller who has gone: theirs, not ours.
            throw new BadHttpRequestException("the body could not be read", failure);
        }
        finally
        {
            deadline?.Dispose();
        }
    }

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
    private readonly HttpContext _context;
    private readonly CancellationTokenSource _limit;

    public BodyDeadline(HttpContext context, TimeSpan time)
    {
        // The reader is asked to return, not cancelled: Kestrel could not drain or end the body of a read that never returned.
        _context = context;
        _limit = new CancellationTokenSource(time);
        _limit.Token.Register(static reader => ((PipeReader)reader!).CancelPendingRead(), context.Request.BodyReader);
    }

    public async ValueTask<ReadResult> ReadAsync(PipeReader reader)
    {
        ReadResult result = await reader.ReadAsync(_context.RequestAborted).ConfigureAwait(false);
        if (!result.IsCanceled) return result;
        reader.AdvanceTo(result.Buffer.End);
        throw new BadHttpRequestException("the body took too long", StatusCodes.Status408RequestTimeout);
    }

    public void Dispose() => _limit.Dispose();
}
