using System.Buffers;
using System.Globalization;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server.Http;

/// <summary>POST /add and POST /add-batch: spec/log-api.md, "Appending".</summary>
internal static class AppendEndpoints
{
    /// <summary>Bytes of the largest add-batch body. A batch is all or nothing, so one frame of the journal must hold it.</summary>
    public const int MaxBatch = JournalFrame.MaxEntryBytes;

    /// <summary>How long a request that waits for publication may continue once the process is to end. Connections are closed after 5 s.</summary>
    private static readonly TimeSpan WaitWhileStopping = TimeSpan.FromSeconds(2);

    private const int MaxIndexLine = 20; // 19 digits and a newline
    private const string TextType = "text/plain; charset=utf-8";

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

        if (await RequestBody.ReadAsync(context, EntryBundle.MaxEntrySize, settings.BodyLimit, TimeProvider.System).ConfigureAwait(false) is not ReadOnlySequence<byte> body)
        {
            await Problem.TooLarge($"an entry has 1 to {EntryBundle.MaxEntrySize} bytes; this one has more").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        if (body.IsEmpty)
        {
            RequestBody.Release(context, body);
            await Problem.BadRequest($"an entry has 1 to {EntryBundle.MaxEntrySize} bytes; this one has none").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        Append append;
        try
        {
            append = await engine.AddAsync(body, LeafOf(body), context.RequestAborted).ConfigureAwait(false);
        }
        finally
        {
            RequestBody.Release(context, body);
        }

        long index = append.First;
        try
        {
            await append.Durable.ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is not UnavailableException)
        {
            throw Unknown();
        }

        if (wait == "durable")
        {
            await IndexAsync(context, 200, index).ConfigureAwait(false);
            return;
        }

        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(settings.WaitLimit);
        IHostApplicationLifetime process = context.RequestServices.GetRequiredService<IHostApplicationLifetime>();
        using CancellationTokenRegistration ending = process.ApplicationStopping.Register(() => limit.CancelAfter(WaitWhileStopping));
        Published? published;
        try
        {
            published = await engine.Publisher.WaitAsync(index, witnessed: wait == "witnessed", limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            published = null;
        }

        if (published is null)
        {
            // Not public yet, but durable: the index is final. N-12: if the log has halted or failed, this answer is sent immediately.
            await IndexAsync(context, 202, index).ConfigureAwait(false);
            return;
        }

        ByteBudget.Share? room;
        try
        {
            room = LargeAnswers.Reserve(ProofEndpoints.LargestProof(published));
        }
        catch (NoRoomException)
        {
            // The client can get the proof later. That the entry is durable is answered now.
            await IndexAsync(context, 202, index).ConfigureAwait(false);
            return;
        }

        using (room)
        {
            byte[] proof = await ProofEndpoints.ProveAsync(engine, published, index, context.RequestAborted).ConfigureAwait(false);
            await LargeAnswers.SendAsync(context, 200, TextType, proof, room).ConfigureAwait(false);
        }
    }

    private static Hash LeafOf(in ReadOnlySequence<byte> entry)
    {
        if (entry.IsSingleSegment) return MerkleHash.Leaf(entry.FirstSpan);
        byte[] whole = ArrayPool<byte>.Shared.Rent((int)entry.Length);
        entry.CopyTo(whole);
        Hash leaf = MerkleHash.Leaf(whole.AsSpan(0, (int)entry.Length));
        ArrayPool<byte>.Shared.Return(whole);
        return leaf;
    }

    private static async Task AddBatchAsync(HttpContext context, Engine engine, Settings settings)
    {
        if (await RequestBody.ReadAsync(context, MaxBatch, settings.BodyLimit, TimeProvider.System).ConfigureAwait(false) is not ReadOnlySequence<byte> body)
        {
            await Problem.TooLarge($"a batch has at most {MaxBatch} bytes").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        int length = (int)body.Length;
        byte[] bundle = ArrayPool<byte>.Shared.Rent(length);
        Hash[] leaves = [];
        Append append;
        int count;
        ByteBudget.Share? room = null;
        try
        {
            body.CopyTo(bundle);
            RequestBody.Release(context, body);
            if (Refuse(bundle.AsSpan(0, length), out count, ref leaves) is Problem refusal)
            {
                await refusal.ExecuteAsync(context).ConfigureAwait(false);
                return;
            }

            // Reserved before anything is appended: afterwards, an answer that does not fit could no longer be sent.
            room = LargeAnswers.Reserve(count * MaxIndexLine);
            append = await engine.AddAsync(bundle.AsMemory(0, length), leaves.AsMemory(0, count), context.RequestAborted).ConfigureAwait(false);
        }
        catch
        {
            room?.Dispose();
            throw;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bundle);
            if (leaves.Length > 0) ArrayPool<Hash>.Shared.Return(leaves);
        }

        using (room)
        {
            try
            {
                await append.Durable.ConfigureAwait(false);
            }
            catch (Exception failure) when (failure is not UnavailableException)
            {
                throw Unknown();
            }

            byte[] lines = ArrayPool<byte>.Shared.Rent(count * MaxIndexLine);
            await LargeAnswers.SendAsync(context, 200, TextType, lines.AsMemory(0, WriteIndexes(append, count, lines)), room).ConfigureAwait(false);
            ArrayPool<byte>.Shared.Return(lines);
        }
    }

    /// <summary>Returns why a body is not a valid batch; null when it is, with the leaf hash of each entry in an array from the pool.</summary>
    internal static Problem? Refuse(ReadOnlySpan<byte> bundle, out int count, ref Hash[] leaves)
    {
        if (!EntryBundle.TryCount(bundle, out count, out int badOffset))
        {
            return Problem.BadRequest($"the length prefix at byte {badOffset} points past the end of the body ({bundle.Length} bytes); nothing was appended");
        }

        if (count == 0) return Problem.BadRequest("a batch holds at least one entry");
        leaves = ArrayPool<Hash>.Shared.Rent(count);
        return HashLeaves(bundle, leaves) is int empty and >= 0
            ? Problem.BadRequest($"the entry at byte {empty} is empty; an entry has 1 to {EntryBundle.MaxEntrySize} bytes; nothing was appended")
            : null;
    }

    /// <summary>Computes the leaf hash of each entry. Returns the offset of the first empty entry, or -1.</summary>
    private static int HashLeaves(ReadOnlySpan<byte> bundle, Hash[] leaves)
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

    private static int WriteIndexes(Append append, int count, Span<byte> lines)
    {
        int length = 0;
        for (int i = 0; i < count; i++)
        {
            (append.Indexes is long[] indexes ? indexes[i] : append.First + i).TryFormat(lines[length..], out int digits, provider: CultureInfo.InvariantCulture);
            length += digits;
            lines[length++] = (byte)'\n';
        }

        return length;
    }

    /// <summary>Used for every failure of a frame, because the frame was already on its way to the disk.</summary>
    private static UnavailableException Unknown() => new("storage failed while the entry was being stored: whether it is stored is unknown; sending it again is safe", 60);

    private static bool TryReadWait(HttpContext context, Engine engine, out string wait, out Problem? refusal)
    {
        refusal = null;
        wait = "durable";
        if (!context.Request.QueryString.HasValue) return true;
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

    /// <summary>Answers with an index in decimal and nothing else.</summary>
    internal static Task IndexAsync(HttpContext context, int status, long index)
    {
        Span<byte> digits = stackalloc byte[MaxIndexLine];
        index.TryFormat(digits, out int length, provider: CultureInfo.InvariantCulture);
        Begin(context, status, TextType, length);
        digits[..length].CopyTo(context.Response.BodyWriter.GetSpan(length));
        context.Response.BodyWriter.Advance(length);
        return Task.CompletedTask; // the server flushes what was written when the request ends
    }

    private static void Begin(HttpContext context, int status, string contentType, int length)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = contentType;
        context.Response.ContentLength = length;
    }
}
