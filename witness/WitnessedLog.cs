using System.Collections.Frozen;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>
/// One origin: its trusted keys, its lock, its newest cosigned checkpoint. Made at the start for the logs that are configured or stored,
/// and never again: a request for another origin leaves nothing behind.
/// </summary>
internal sealed class WitnessedLog(string origin, IReadOnlyList<INoteVerifier> keys, CosignedCheckpoint? latest) : IDisposable
{
    private CosignedCheckpoint? _latest = latest;

    /// <summary>The origin line.</summary>
    public string Origin { get; } = origin;

    /// <summary>Its SHA-256: the folder of the log under the monitoring prefix.</summary>
    public Hash OriginHash { get; } = Checkpoint.HashOrigin(origin);

    /// <summary>Who may sign for it. None when it was taken off the list: then it is only remembered and shown.</summary>
    public IReadOnlyList<INoteVerifier> Keys { get; } = keys;

    /// <summary>Held from the comparison of the old size until the new state is durable and public (TW-39).</summary>
    public SemaphoreSlim Gate { get; } = new(1, 1);

    /// <summary>
    /// The newest cosigned checkpoint; null before the first. Read by anyone, replaced by the holder of <see cref="Gate"/>, never by a smaller one.
    /// </summary>
    public CosignedCheckpoint? Latest
    {
        get => Volatile.Read(ref _latest);
        set => Volatile.Write(ref _latest, value);
    }

    /// <summary>Ends the lock.</summary>
    public void Dispose() => Gate.Dispose();
}

/// <summary>All origins, by origin line and by its hash. Fixed after the start.</summary>
internal sealed class WitnessedLogs : IDisposable
{
    private readonly FrozenDictionary<string, WitnessedLog> _byOrigin;
    private readonly FrozenDictionary<Hash, WitnessedLog> _byHash;

    private WitnessedLogs(IEnumerable<WitnessedLog> logs)
    {
        _byOrigin = logs.ToFrozenDictionary(log => log.Origin, StringComparer.Ordinal);
        _byHash = _byOrigin.Values.ToFrozenDictionary(log => log.OriginHash);
    }

    /// <summary>In no order.</summary>
    public IReadOnlyList<WitnessedLog> All => _byOrigin.Values;

    /// <summary>Joins what is configured with what is stored. A log that was taken off the list keeps its state, and finds it when it comes back (W-19).</summary>
    /// <exception cref="DamageException">A stored note does not verify.</exception>
    public static WitnessedLogs Load(IReadOnlyDictionary<string, IReadOnlyList<INoteVerifier>> configured, IReadOnlyDictionary<string, byte[]> stored, VerifierKey witness)
    {
        INoteVerifier own = Verifiers.TryCreate(witness) ?? throw new StorageException($"{witness} is not an acceptable key");
        List<WitnessedLog> logs = [];
        foreach (string origin in configured.Keys.Union(stored.Keys, StringComparer.Ordinal))
        {
            IReadOnlyList<INoteVerifier> keys = configured.GetValueOrDefault(origin, []);
            CosignedCheckpoint? latest = null;
            if (stored.TryGetValue(origin, out byte[]? note) && !CosignedCheckpoint.TryLoad(note, keys, own, out latest))
            {
                throw new DamageException(new Damage("witness-store", $"the stored note of {origin}", null, null, "a note with this witness's cosignature, and lines that verify", "one that does not verify"));
            }

            logs.Add(new WitnessedLog(origin, keys, latest));
        }

        return new WitnessedLogs(logs);
    }

    /// <summary>The log of a note, by its first line; null when it is not witnessed here.</summary>
    public WitnessedLog? Find(ReadOnlySpan<byte> note)
    {
        int end = note.IndexOf((byte)'\n');
        // A configured origin is a key name; a longer line costs no string.
        if (end is < 1 or > VerifierKey.MaxNameSize) return null;
        return _byOrigin.GetValueOrDefault(System.Text.Encoding.UTF8.GetString(note[..end])) is { Keys.Count: > 0 } log ? log : null;
    }

    /// <summary>The log of a path under the monitoring prefix; null when there is none.</summary>
    public WitnessedLog? Find(in Hash originHash) => _byHash.GetValueOrDefault(originHash);

    /// <summary>Ends the locks.</summary>
    public void Dispose()
    {
        foreach (WitnessedLog log in All) log.Dispose();
    }
}
