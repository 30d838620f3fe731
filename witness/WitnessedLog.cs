using System.Collections.Frozen;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>
/// One origin: its trusted keys, its limits, its lock, its newest cosigned checkpoint. Created when the origin is first listed or found in the store, and only
/// then: a request for another origin leaves nothing in memory.
/// </summary>
internal sealed class WitnessedLog(string origin, CosignedCheckpoint? latest) : IDisposable
{
    private CosignedCheckpoint? _latest = latest;
    private LogTrust _trust = LogTrust.None;

    /// <summary>The origin line.</summary>
    public string Origin { get; } = origin;

    /// <summary>Its SHA-256: the folder of the log under the monitoring prefix.</summary>
    public Hash OriginHash { get; } = Checkpoint.HashOrigin(origin);

    /// <summary>Held from the comparison of the old size until the new state is durable and public (TW-39).</summary>
    public SemaphoreSlim Gate { get; } = new(1, 1);

    /// <summary>Counts refused requests since the start.</summary>
    public Refusals Refusals { get; } = new();

    /// <summary>
    /// The keys that may sign for it and how often it may ask. There are no keys for a log that was taken off the list: it is then only remembered and served.
    /// Replaced as a whole.
    /// </summary>
    public LogTrust Trust
    {
        get => Volatile.Read(ref _trust);
        set => Volatile.Write(ref _trust, value);
    }

    /// <summary>
    /// The newest cosigned checkpoint; null before the first. Any thread may read it. The holder of <see cref="Gate"/> replaces it, never by a smaller one.
    /// </summary>
    public CosignedCheckpoint? Latest
    {
        get => Volatile.Read(ref _latest);
        set => Volatile.Write(ref _latest, value);
    }

    /// <summary>Disposes of the lock.</summary>
    public void Dispose() => Gate.Dispose();
}

/// <summary>What the lists say of a log now.</summary>
/// <param name="Keys">The keys that may sign for it.</param>
/// <param name="Limits">How often it may ask.</param>
internal sealed record LogTrust(IReadOnlyList<INoteVerifier> Keys, RateLimits Limits)
{
    /// <summary>The trust in a log that is not listed.</summary>
    public static LogTrust None { get; } = new([], new RateLimits(TimeProvider.System, 1, 1));
}

/// <summary>Refused requests that named one origin, by their status. Any client can send such requests.</summary>
internal sealed class Refusals
{
    /// <summary>The statuses of refusals that a known log can get, and what they mean.</summary>
    public static readonly IReadOnlyList<(int Status, string Meaning)> Kinds =
        [(400, "malformed"), (403, "not signed"), (409, "another old size"), (422, "not consistent"), (429, "too often"), (503, "not available")];

    private readonly long[] _counts = new long[Kinds.Count];

    /// <summary>Counts an answer. Ignores answers that are not refusals.</summary>
    public void Count(int status)
    {
        for (int i = 0; i < _counts.Length; i++)
        {
            if (Kinds[i].Status == status) Interlocked.Increment(ref _counts[i]);
        }
    }

    /// <summary>The number of refusals with this status.</summary>
    public long Of(int status)
    {
        for (int i = 0; i < _counts.Length; i++)
        {
            if (Kinds[i].Status == status) return Interlocked.Read(ref _counts[i]);
        }

        return 0;
    }
}

/// <summary>All origins, by origin line and by its hash. Origins are added while the witness runs, and never removed.</summary>
internal sealed class WitnessedLogs : IDisposable
{
    private readonly TimeProvider _time;
    private readonly int _perDay, _burst;
    private readonly Lock _gate = new(); // guards changes of the two dictionaries
    private FrozenDictionary<string, WitnessedLog> _byOrigin;
    private FrozenDictionary<Hash, WitnessedLog> _byHash;

    private WitnessedLogs(IEnumerable<WitnessedLog> logs, TimeProvider time, int perDay, int burst)
    {
        _time = time;
        _perDay = perDay;
        _burst = burst;
        _byOrigin = logs.ToFrozenDictionary(log => log.Origin, StringComparer.Ordinal);
        _byHash = _byOrigin.Values.ToFrozenDictionary(log => log.OriginHash);
    }

    /// <summary>All origins, in no particular order.</summary>
    public IReadOnlyList<WitnessedLog> All => Volatile.Read(ref _byOrigin).Values;

    /// <summary>
    /// Combines the listed logs with the stored ones. A log that was taken off the list keeps its state, and continues from it when it is listed again (W-19).
    /// </summary>
    /// <param name="listed">The listed logs, by origin.</param>
    /// <param name="stored">The newest notes, by origin.</param>
    /// <param name="witness">The keys of this witness, all of which have signed each stored note.</param>
    /// <param name="time">The clock of the limits.</param>
    /// <param name="perDay">Requests a day when a list does not say.</param>
    /// <param name="burst">Requests without a wait after a pause.</param>
    /// <exception cref="DamageException">A stored note does not verify.</exception>
    public static WitnessedLogs Load(
        IReadOnlyDictionary<string, TrustedLog> listed, IReadOnlyDictionary<string, byte[]> stored, IReadOnlyList<VerifierKey> witness, TimeProvider time, int perDay, int burst)
    {
        INoteVerifier[] own = [.. witness.Select(key => Verifiers.TryCreate(key) ?? throw new StorageException($"{key} is not an acceptable key"))];
        List<WitnessedLog> known = [];
        foreach ((string origin, byte[] note) in stored)
        {
            if (!CosignedCheckpoint.TryLoad(note, listed.GetValueOrDefault(origin)?.Keys ?? [], own, out CosignedCheckpoint? latest))
            {
                throw new DamageException(new Damage("witness-store", $"the stored note of {origin}", null, null, "a note with this witness's cosignatures, and lines that verify", "one that does not verify"));
            }

            known.Add(new WitnessedLog(origin, latest));
        }

        WitnessedLogs logs = new(known, time, perDay, burst);
        logs.Trust(listed);
        return logs;
    }

    /// <summary>
    /// From now on these logs are cosigned and no others. A new origin is added, and an origin that is no longer listed keeps its state. A limit that stays the
    /// same also keeps its count of requests.
    /// </summary>
    public void Trust(IReadOnlyDictionary<string, TrustedLog> listed)
    {
        lock (_gate)
        {
            WitnessedLog[] more = [.. listed.Keys.Where(origin => !_byOrigin.ContainsKey(origin)).Select(origin => new WitnessedLog(origin, null))];
            if (more.Length > 0)
            {
                WitnessedLog[] all = [.. _byOrigin.Values, .. more];
                Volatile.Write(ref _byHash, all.ToFrozenDictionary(log => log.OriginHash));
                Volatile.Write(ref _byOrigin, all.ToFrozenDictionary(log => log.Origin, StringComparer.Ordinal));
            }

            foreach (WitnessedLog log in _byOrigin.Values)
            {
                if (!listed.TryGetValue(log.Origin, out TrustedLog? told))
                {
                    log.Trust = LogTrust.None;
                    continue;
                }

                int perDay = told.QueriesPerDay ?? _perDay;
                log.Trust = new LogTrust(told.Keys, log.Trust.Keys.Count > 0 && log.Trust.Limits.PerDay == perDay ? log.Trust.Limits : new RateLimits(_time, perDay, _burst));
            }
        }
    }

    /// <summary>Finds the log of a note by the note's first line; null when it is not witnessed here.</summary>
    public WitnessedLog? Find(ReadOnlySpan<byte> note)
    {
        int end = note.IndexOf((byte)'\n');
        // A line that is longer than any listed origin does not cost a string.
        if (end is < 1 or > LogList.MaxOrigin) return null;
        return Volatile.Read(ref _byOrigin).GetValueOrDefault(System.Text.Encoding.UTF8.GetString(note[..end])) is { Trust.Keys.Count: > 0 } log ? log : null;
    }

    /// <summary>Finds the log of a path under the monitoring prefix; null when there is none.</summary>
    public WitnessedLog? Find(in Hash originHash) => Volatile.Read(ref _byHash).GetValueOrDefault(originHash);

    /// <summary>Disposes of the locks.</summary>
    public void Dispose()
    {
        foreach (WitnessedLog log in All) log.Dispose();
    }
}
