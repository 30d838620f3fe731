// The reader of a log: c2sp.org/tlog-tiles, and the additional endpoints of our server (spec/api.md).
//
//   GET checkpoint, tile/<L>/<N>[.p/<W>], tile/entries/<N>[.p/<W>]     every tile log has these
//   GET entry/<index>, proof/inclusion, proof/consistency              ours
//   POST add, add-batch                                                ours

using System.Globalization;
using TransparencyLog.Outbound;

namespace TransparencyLog.Client;

/// <summary>Limits of a reader.</summary>
public sealed record LogReaderOptions
{
    /// <summary>
    /// Longest wait for the response to one attempt of a GET to begin, and then for its next bytes. Default 30 s. A response that keeps arriving may take
    /// longer in all: see <see cref="MinBytesPerSecond"/>.
    /// </summary>
    public TimeSpan AttemptTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The same for a POST. Default 90 s: by default a server waits up to 30 s for witnesses, and an operator may have doubled that.</summary>
    public TimeSpan AppendTimeout { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>
    /// The slowest rate that is accepted: an upload or a response may take the timeout plus the time that its bytes need at this rate. Default 16 KiB (128
    /// kbit/s), which allows 18 minutes for the largest bundle, 16 MiB.
    /// </summary>
    public int MinBytesPerSecond { get; init; } = AnswerLimits.DefaultBytesPerSecond;

    /// <summary>Pause before the one retry of a GET. Default 200 ms, with jitter.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The clock of the limits.</summary>
    internal TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>How connections are made; null for the default.</summary>
    internal ConnectionOptions? Connections { get; init; }
}

/// <summary>What an append waits for.</summary>
public enum AddWait
{
    /// <summary>The entry is on the log's disk, with its index.</summary>
    Durable,

    /// <summary>A public checkpoint covers it.</summary>
    Published,

    /// <summary>A public checkpoint that meets the log's quorum of witnesses covers it.</summary>
    Witnessed,
}

/// <summary>The answer to an append.</summary>
/// <param name="Index">The index of the entry: final.</param>
/// <param name="Proof">
/// The tlog-proof, when the request waited for one and it came in time; otherwise null. It leads to the root of its checkpoint. Its signatures are not
/// verified.
/// </param>
public sealed record AddAnswer(long Index, TlogProof? Proof);

/// <summary>
/// Reads one log over HTTP. Thread-safe. Throws <see cref="LogReaderException"/> for every failure of the log or of the network.
/// Remembers the largest checkpoint that it has verified, and rejects one that is smaller or has another root for the same size.
/// </summary>
public sealed class LogReader : IDisposable
{
    /// <summary>Most bytes of entries in one add-batch, length prefixes included: 2 MiB.</summary>
    public const int MaxBatchBytes = 2 * 1024 * 1024;

    private const int DecimalDigits = 19; // of 2^63-1
    private const int HashLine = 45;      // base64 of 32 bytes, and a newline

    private readonly LogHttp _http;
    private readonly Lock _lock = new();
    private VerifiedCheckpoint? _newest;  // guarded by _lock

    /// <summary>A reader of the log at a URL prefix.</summary>
    /// <exception cref="ArgumentException">Not an absolute http or https URL, or one with a query, a fragment or credentials.</exception>
    public LogReader(string url, LogReaderOptions? options = null)
    {
        options ??= new LogReaderOptions();
        _http = new LogHttp(url, options);
        Url = url;
        Time = options.Time;
    }

    /// <summary>The URL of the log, as the constructor received it.</summary>
    public string Url { get; }

    /// <summary>The clock of its limits.</summary>
    internal TimeProvider Time { get; }

    /// <summary>Whether a text can be the URL of a log.</summary>
    public static bool IsUrl(string text) => LogHttp.TryGetPrefix(text, out _);

    /// <summary>The checkpoint as served, at most <see cref="Note.MaxSize"/> bytes, unverified.</summary>
    public Task<byte[]> ReadCheckpointBytesAsync(CancellationToken stop) => _http.GetAsync("checkpoint", Note.MaxSize, stop);

    /// <summary>
    /// The checkpoint, verified by a policy. One that is smaller than a checkpoint this reader has verified before, or has another root for the same size, is
    /// <see cref="LogFailure.Lie"/>; the exception has both checkpoints, as <see cref="LogReaderException.Evidence"/>. The caller has to check that a larger
    /// one is consistent with the one before (<see cref="CompareAsync"/>).
    /// </summary>
    public async Task<VerifiedCheckpoint> ReadCheckpointAsync(Policy policy, CancellationToken stop)
    {
        byte[] bytes = await ReadCheckpointBytesAsync(stop).ConfigureAwait(false);
        if (!CheckpointCheck.TryVerify(bytes, policy, out VerifiedCheckpoint? verified, out string reason)) throw BadCheckpoint("a checkpoint that the policy accepts", reason);
        VerifiedCheckpoint? before;
        lock (_lock)
        {
            before = _newest is VerifiedCheckpoint newest && newest.Checkpoint.Origin == verified.Checkpoint.Origin && IsBehind(newest.Checkpoint, verified.Checkpoint) ? newest : null;
            if (before is null) _newest = verified;
        }

        // SPEC CP-14: both notes are kept.
        if (before is null) return verified;
        TlogEvidence? evidence = await CompareAsync(before.LogNote(), verified.LogNote(), stop).ConfigureAwait(false);
        (string expected, string found) = Before(before.Checkpoint, verified.Checkpoint);
        throw Lie(new Damage("checkpoint", "checkpoint", null, null, expected, found), evidence);
    }

    /// <summary>
    /// Compares two checkpoints of this log, in any order; null when they are consistent. For two sizes it reads the tiles of the larger tree, so that the
    /// evidence convinces a third party that trusts only the log's key (<see cref="EvidenceKind.Inconsistent"/>). Without tiles that lead to the root of the
    /// larger tree, the result is <see cref="EvidenceKind.Unproven"/>. Never throws for failures of the log.
    /// </summary>
    /// <param name="one">A checkpoint with only those lines of the log that were verified (<see cref="VerifiedCheckpoint.LogNote"/>).</param>
    /// <param name="other">The other one, in the same form.</param>
    /// <param name="stop">Cancels the reading.</param>
    /// <exception cref="ArgumentException">Not two checkpoints of one origin.</exception>
    public async Task<TlogEvidence?> CompareAsync(Note one, Note other, CancellationToken stop)
    {
        ArgumentNullException.ThrowIfNull(one);
        ArgumentNullException.ThrowIfNull(other);
        if (!Checkpoint.TryParse(one.Text.Span, out Checkpoint? small) || !Checkpoint.TryParse(other.Text.Span, out Checkpoint? large)) throw new ArgumentException("not a checkpoint", nameof(one));
        if (small!.Size > large!.Size) (small, large) = (large, small);
        Hash[] hashes = [];
        if (small.Size > 0 && small.Size < large.Size)
        {
            try
            {
                hashes = await BuildAsync(ProofPlan.Prefix(small.Size, large.Size), large, stop).ConfigureAwait(false);
            }
            catch (LogReaderException)
            {
                // Go on with the two notes alone: they matter most, and a log that contradicts itself need not serve the tiles that show how.
            }
        }

        return TlogEvidence.Of(one, other, hashes);
    }

    /// <summary>
    /// The checkpoint, unverified, for a caller without a key. It is only a claim of the server at this URL.
    /// </summary>
    public async Task<(Checkpoint Checkpoint, byte[] Bytes)> ReadUnverifiedCheckpointAsync(CancellationToken stop)
    {
        byte[] bytes = await ReadCheckpointBytesAsync(stop).ConfigureAwait(false);
        return Note.TryParse(bytes, out Note? note) && Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)
            ? (checkpoint, bytes)
            : throw BadCheckpoint("a signed checkpoint", $"{bytes.Length} bytes that are none");
    }

    /// <summary>
    /// A tile of the tree at a checkpoint, which the caller should have verified: exactly as many hashes as the tree of that size has there. Where the log has
    /// replaced the partial tile by the full one, the beginning of the full one is returned.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The tree has no such tile.</exception>
    public async Task<byte[]> ReadTileAsync(int level, long index, Checkpoint at, CancellationToken stop)
    {
        // SPEC TT-21: no partial tile is fetched but one that the size of a checkpoint needs.
        TilePath path = new(level, index, TilePath.WidthAt(level, index, at.Size));
        (byte[] bytes, TilePath served) = await ReadWithFallbackAsync(path, served => served.Width * Hash.Size, stop).ConfigureAwait(false);
        if (bytes.Length != served.Width * Hash.Size)
        {
            throw Lie(new Damage("tile", served.ToString(), SegmentOf(path), null, $"{served.Width * Hash.Size} bytes", $"{bytes.Length} bytes"));
        }

        return bytes[..(path.Width * Hash.Size)];
    }

    /// <summary>The entry bundle with this index of the tree at a checkpoint: exactly as many entries as the tree of that size has there.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The tree has no such bundle.</exception>
    public async Task<byte[]> ReadBundleAsync(long index, Checkpoint at, CancellationToken stop)
    {
        TilePath path = new(TilePath.EntriesLevel, index, TilePath.WidthAt(TilePath.EntriesLevel, index, at.Size));
        (byte[] bytes, TilePath served) = await ReadWithFallbackAsync(path, served => served.Width * EntryBundle.EncodedSize(EntryBundle.MaxEntrySize), stop).ConfigureAwait(false);
        if (!EntryBundle.TryCount(bytes, out int count, out int badOffset))
        {
            throw Lie(new Damage("entry-bundle", served.ToString(), index, null, "entries with their lengths", $"a length at offset {badOffset} that does not fit"));
        }

        if (count != served.Width)
        {
            long first = (index * EntryBundle.Width) + Math.Min(count, served.Width);
            throw Lie(new Damage("entry-bundle", served.ToString(), index, first, $"{served.Width} entries", $"{count} entries"));
        }

        return bytes[..EntryBundle.PrefixLength(bytes, path.Width)];
    }

    /// <summary>The bytes of an entry, from our server's own endpoint; null when there is no such entry, or no such endpoint.</summary>
    public Task<byte[]?> TryReadEntryAsync(long index, CancellationToken stop) =>
        _http.TryGetAsync($"entry/{Decimal(index)}", EntryBundle.MaxEntrySize, stop);

    /// <summary>An unverified tlog-proof for an index, from our server's own endpoint; null when there is no such entry, or no such endpoint.</summary>
    public async Task<TlogProof?> TryReadProofAsync(long index, CancellationToken stop)
    {
        string path = $"proof/inclusion?index={Decimal(index)}";
        byte[]? bytes = await _http.TryGetAsync(path, TlogProof.MaxSize, stop).ConfigureAwait(false);
        if (bytes is null) return null;
        if (!TlogProof.TryParse(bytes, out TlogProof? proof)) throw Lie(new Damage("proof", path, null, index, "a tlog-proof", $"{bytes.Length} bytes that are none"));
        return proof.Index == index ? proof : throw Lie(new Damage("proof", path, null, index, $"a proof for index {index}", $"one for index {proof.Index}"));
    }

    /// <summary>The unverified consistency proof between two sizes, from our server's own endpoint; null when there is none.</summary>
    public async Task<Hash[]?> TryReadConsistencyAsync(long from, long to, CancellationToken stop)
    {
        string path = $"proof/consistency?from={Decimal(from)}&to={Decimal(to)}";
        byte[]? bytes = await _http.TryGetAsync(path, (MerkleProof.MaxLength + 1) * HashLine, stop).ConfigureAwait(false);
        if (bytes is null) return null;
        List<Hash> hashes = [];
        for (int offset = 0; offset < bytes.Length; offset += HashLine)
        {
            if (bytes.Length - offset < HashLine || bytes[offset + HashLine - 1] != (byte)'\n' || !Hash.TryParseBase64(bytes.AsSpan(offset, HashLine - 1), out Hash hash))
            {
                throw Lie(new Damage("proof", path, null, null, "base64 hashes, one a line", $"something else at offset {offset}"));
            }

            hashes.Add(hash);
        }

        return [.. hashes];
    }

    /// <summary>
    /// Reads the tiles that a plan needs and builds the proof, or the root hash. The plan must be for the size of the checkpoint. The tiles are not verified,
    /// so verify the proof.
    /// </summary>
    public async Task<Hash[]> BuildAsync(ProofPlan plan, Checkpoint at, CancellationToken stop)
    {
        Dictionary<TilePath, byte[]> tiles = [];
        foreach (TilePath path in plan.Tiles) tiles[path] = await ReadTileAsync(path.Level, path.Index, at, stop).ConfigureAwait(false);
        return plan.TryBuild(path => tiles[path], out Hash[] proof) ? proof : throw new ArgumentException("the plan is for another size", nameof(plan));
    }

    /// <summary>Appends one entry of 1 to 65,535 bytes. The request is sent once: after a failure nobody knows whether the entry was appended.</summary>
    public async Task<AddAnswer> AddAsync(ReadOnlyMemory<byte> entry, AddWait wait, CancellationToken stop)
    {
        string path = wait switch { AddWait.Published => "add?wait=published", AddWait.Witnessed => "add?wait=witnessed", _ => "add" };
        (int status, byte[] body) = await _http.PostAsync(path, entry, wait == AddWait.Durable ? DecimalDigits : TlogProof.MaxSize, stop).ConfigureAwait(false);
        if (wait == AddWait.Durable || status == 202)
        {
            return Strict.TryReadSize(body, out long index) ? new AddAnswer(index, null) : throw BadAnswer(path, "an index", body.Length);
        }

        if (!TlogProof.TryParse(body, out TlogProof? proof)) throw BadAnswer(path, "a tlog-proof", body.Length);
        if (!Note.TryParse(proof.Checkpoint.Span, out Note? note) || !Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint))
        {
            throw BadAnswer(path, "a tlog-proof with a signed checkpoint", body.Length);
        }

        return ProofVerifier.Includes(proof, MerkleHash.Leaf(entry.Span), checkpoint, out string reason)
            ? new AddAnswer(proof.Index, proof)
            : throw new LogReaderException(LogFailure.Lie, $"{_http.UrlOf(path)} answered a proof that does not hold: {reason}");
    }

    /// <summary>
    /// Appends all entries of a bundle, or none. The bundle may have any number of entries, and at most <see cref="MaxBatchBytes"/>. Returns their indexes in
    /// order.
    /// </summary>
    public async Task<long[]> AddBatchAsync(ReadOnlyMemory<byte> bundle, int count, CancellationToken stop)
    {
        (_, byte[] body) = await _http.PostAsync("add-batch", bundle, count * (DecimalDigits + 1), stop).ConfigureAwait(false);
        long[] indexes = new long[count];
        int offset = 0;
        for (int i = 0; i < count; i++)
        {
            int end = body.AsSpan(offset).IndexOf((byte)'\n');
            int length = end < 0 ? body.Length - offset : end;
            if (!Strict.TryReadSize(body.AsSpan(offset, length), out indexes[i])) throw BadAnswer("add-batch", $"{count} indexes", body.Length);
            offset += end < 0 ? length : length + 1;
        }

        return offset == body.Length ? indexes : throw BadAnswer("add-batch", $"{count} indexes", body.Length);
    }

    /// <summary>Closes its connections.</summary>
    public void Dispose() => _http.Dispose();

    private async Task<(byte[] Bytes, TilePath Served)> ReadWithFallbackAsync(TilePath path, Func<TilePath, int> limit, CancellationToken stop)
    {
        byte[]? bytes = await _http.TryGetAsync(path.ToString(), limit(path), stop).ConfigureAwait(false);
        if (bytes is not null) return (bytes, path);
        if (path.IsPartial)
        {
            // SPEC TT-22: a partial tile may be gone once the full one is there.
            TilePath full = new(path.Level, path.Index);
            bytes = await _http.TryGetAsync(full.ToString(), limit(full), stop).ConfigureAwait(false);
            if (bytes is not null) return (bytes, full);
        }

        throw new LogReaderException(
            LogFailure.Missing,
            $"{_http.UrlOf(path.ToString())} is not there (404), and the checkpoint needs it",
            new Damage("missing", path.ToString(), SegmentOf(path), null, path.IsEntries ? $"{path.Width} entries" : $"{path.Width} hashes", "404"));
    }

    private static bool IsBehind(Checkpoint before, Checkpoint now) => now.Size < before.Size || (now.Size == before.Size && now.Root != before.Root);

    private static (string Expected, string Found) Before(Checkpoint before, Checkpoint now) => now.Size < before.Size
        ? ($"size {Decimal(before.Size)} or more, which was served before", $"size {Decimal(now.Size)}")
        : ($"root {before.Root} at size {Decimal(before.Size)}, which was served before", $"root {now.Root}");

    private LogReaderException BadCheckpoint(string expected, string found) => Lie(new Damage("checkpoint", "checkpoint", null, null, expected, found));

    private LogReaderException BadAnswer(string path, string expected, int length) =>
        new(LogFailure.Lie, $"{_http.UrlOf(path)} did not answer {expected}, but {length} other bytes");

    private LogReaderException Lie(Damage damage, TlogEvidence? evidence = null) => new(LogFailure.Lie, $"{Url}: {damage}", damage, evidence);

    private static long? SegmentOf(TilePath path) => path.Level <= 0 ? path.Index : null;

    private static string Decimal(long value) => value.ToString(CultureInfo.InvariantCulture);
}
