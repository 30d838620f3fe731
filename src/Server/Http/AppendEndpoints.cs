using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Http.Features;
using TransparencyLog.Storage;

namespace TransparencyLog.Server.Http;

/// <summary>POST /add and POST /add-batch: spec/log-api.md, "Appending".</summary>
internal static class AppendEndpoints
{
    /// <summary>Largest add-batch body: what one frame of the journal takes, since a batch is all or nothing.</summary>
    public const int MaxBatch = JournalFrame.MaxEntryBytes;

    public static void Map(WebApplication app, Engine engine, Settings settings)
    {
        app.MapPost("/add", Gate.Handle(context => AddAsync(context, engine, settings)))
            .WithName("add").WithSummary("Append one entry: 1 to 65,535 bytes.")
            .WithDescription("?wait=durable (default): 200 with the index. ?wait=published or ?wait=witnessed: 200 with a tlog-proof, or 202 with the index when that takes too long.")
            .WithQuery("wait", Microsoft.OpenApi.JsonSchemaType.String, "durable (default), published or witnessed.")
            .Accepts<byte[]>(isOptional: true, "*/*").Produces<string>(200, "text/plain").Produces<string>(202, "text/plain")
            .ProducesProblem(400).ProducesProblem(413).ProducesProblem(503);
        app.MapPost("/add-batch", Gate.Handle(context => AddBatchAsync(context, engine, settings)))
            .WithName("add-batch").WithSummary("Append entries with big-endian u16 length prefixes, at most 2 MiB; all or nothing.")
            .Accepts<byte[]>(isOptional: true, "*/*").Produces<string>(200, "text/plain")
            .ProducesProblem(400).ProducesProblem(413).ProducesProblem(503);
    }

    private static async Task AddAsync(HttpContext context, Engine engine, Settings settings)
    {
        if (!TryReadWait(context, engine, out string wait, out Problem? refusal))
        {
            await refusal!.ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        byte[]? bundle = await ReadAsync(context, EntryBundle.MaxEntrySize, prefix: 2, settings.BodyLimit).ConfigureAwait(false);
        if (bundle is null)
        {
            await Problem.TooLarge($"an entry has 1 to {EntryBundle.MaxEntrySize} bytes; this one has more").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        if (bundle.Length == 2)
        {
            await Problem.BadRequest($"an entry has 1 to {EntryBundle.MaxEntrySize} bytes; this one has none").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(bundle, (ushort)(bundle.Length - 2));
        Append append = new(bundle, [MerkleHash.Leaf(bundle.AsSpan(2))]);
        await engine.AddAsync(append, context.RequestAborted).ConfigureAwait(false);
        long index = (await DurableAsync(append, settings).ConfigureAwait(false))[0];
        if (wait == "durable")
        {
            await TextAsync(context, 200, index.ToString(CultureInfo.InvariantCulture)).ConfigureAwait(false);
            return;
        }

        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(settings.WaitLimit);
        Published published;
        try
        {
            published = await engine.Publisher.WaitAsync(index, limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            // Not public yet, but durable: the index is final.
            await TextAsync(context, 202, index.ToString(CultureInfo.InvariantCulture)).ConfigureAwait(false);
            return;
        }

        byte[] proof = await ProofEndpoints.ProveAsync(engine, published, index, context.RequestAborted).ConfigureAwait(false);
        await BytesAsync(context, 200, "text/plain; charset=utf-8", proof).ConfigureAwait(false);
    }

    private static async Task AddBatchAsync(HttpContext context, Engine engine, Settings settings)
    {
        byte[]? bundle = await ReadAsync(context, MaxBatch, prefix: 0, settings.BodyLimit).ConfigureAwait(false);
        if (bundle is null)
        {
            await Problem.TooLarge($"a batch has at most {MaxBatch} bytes").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        if (!EntryBundle.TryCount(bundle, out int count, out int badOffset))
        {
            await Problem.BadRequest($"the length prefix at byte {badOffset} points past the end of the body ({bundle.Length} bytes); nothing was appended").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        if (count == 0)
        {
            await Problem.BadRequest("a batch holds at least one entry").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        Hash[] leaves = new Hash[count];
        if (HashLeaves(bundle, leaves) is int empty and >= 0)
        {
            await Problem.BadRequest($"the entry at byte {empty} is empty; an entry has 1 to {EntryBundle.MaxEntrySize} bytes; nothing was appended").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        Append append = new(bundle, leaves);
        await engine.AddAsync(append, context.RequestAborted).ConfigureAwait(false);
        long[] indexes = await DurableAsync(append, settings).ConfigureAwait(false);
        StringBuilder lines = new(indexes.Length * 12);
        foreach (long index in indexes) lines.Append(index).Append('\n');
        await TextAsync(context, 200, lines.ToString()).ConfigureAwait(false);
    }

    /// <summary>The leaf hash of each entry; the offset of the first empty one, or -1.</summary>
    private static int HashLeaves(byte[] bundle, Hash[] leaves)
    {
        int i = 0, offset = 0;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle))
        {
            if (entry.IsEmpty) return offset;
            offset += EntryBundle.EncodedSize(entry.Length);
            leaves[i++] = MerkleHash.Leaf(entry);
        }

        return -1;
    }

    private static async Task<long[]> DurableAsync(Append append, Settings settings)
    {
        try
        {
            return await append.Indexes.WaitAsync(settings.WaitLimit).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new UnavailableException("the disk has not answered in time: whether the entry is stored is unknown; sending it again is safe", 5);
        }
        catch (Exception failure) when (failure is not UnavailableException)
        {
            // Whatever ended the frame, it was on its way to the disk.
            throw new UnavailableException("storage failed while the entry was being stored: whether it is stored is unknown; sending it again is safe", 60);
        }
    }

    private static bool TryReadWait(HttpContext context, Engine engine, out string wait, out Problem? refusal)
    {
        refusal = null;
        wait = "durable";
        foreach ((string key, Microsoft.Extensions.Primitives.StringValues values) in context.Request.Query)
        {
            if (key != "wait" || values.Count != 1 || values[0] is not ("durable" or "published" or "witnessed"))
            {
                refusal = Problem.BadRequest("the query is empty or one of wait=durable, wait=published, wait=witnessed");
                return false;
            }

            wait = values[0]!;
        }

        if (wait == "witnessed" && !engine.Publisher.NeedsQuorum)
        {
            refusal = Problem.BadRequest("wait=witnessed: this log's policy asks for no witness (quorum none); wait=published is what it can give");
            return false;
        }

        return true;
    }

    /// <summary>The body behind <paramref name="prefix"/> free bytes; null when it is longer than <paramref name="limit"/>. Memory grows with what came, not with what was announced.</summary>
    internal static async Task<byte[]?> ReadAsync(HttpContext context, int limit, int prefix, TimeSpan time)
    {
        // Before the limit of the wire is raised: what is not wanted is not drained either, the connection closes.
        if (context.Request.ContentLength > limit) return null;

        // What the wire may carry: a body without a length may come a byte a chunk, which is six bytes there.
        context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = (context.Request.ContentLength is null ? 6L * limit : limit) + 1024;
        PipeReader reader = context.Request.BodyReader;
        using BodyDeadline deadline = new(context, time);
        while (true)
        {
            // Most bodies are here with their headers: only one that has to be waited for costs a timer.
            if (!reader.TryRead(out ReadResult result)) result = await deadline.ReadAsync(reader).ConfigureAwait(false);
            if (result.Buffer.Length > limit)
            {
                reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
                return null;
            }

            if (result.IsCompleted)
            {
                byte[] body = new byte[prefix + result.Buffer.Length];
                result.Buffer.CopyTo(body.AsSpan(prefix));
                reader.AdvanceTo(result.Buffer.End);
                context.Items[Gate.BodyReadKey] = true;
                return body;
            }

            reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }
    }

    internal static Task TextAsync(HttpContext context, int status, string text) => BytesAsync(context, status, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(text));

    internal static async Task BytesAsync(HttpContext context, int status, string contentType, ReadOnlyMemory<byte> bytes)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = contentType;
        context.Response.ContentLength = bytes.Length;
        if (!HttpMethods.IsHead(context.Request.Method)) await context.Response.Body.WriteAsync(bytes, context.RequestAborted).ConfigureAwait(false);
    }
}

/// <summary>The time one body may take in all, whatever its rate; started at the first wait.</summary>
internal sealed class BodyDeadline(HttpContext context, TimeSpan time) : IDisposable
{
    private CancellationTokenSource? _limit;

    public async ValueTask<ReadResult> ReadAsync(PipeReader reader)
    {
        if (_limit is null)
        {
            // The reader is asked to return, not cancelled: Kestrel could not drain or end the body of a read that never returned.
            _limit = new CancellationTokenSource(time);
            _limit.Token.Register(static state => ((PipeReader)state!).CancelPendingRead(), reader);
        }

        ReadResult result = await reader.ReadAsync(context.RequestAborted).ConfigureAwait(false);
        if (!result.IsCanceled) return result;
        reader.AdvanceTo(result.Buffer.End);
        throw new BadHttpRequestException("the body took too long", StatusCodes.Status408RequestTimeout);
    }

    public void Dispose() => _limit?.Dispose();
}
