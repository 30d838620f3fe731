using System.Collections.Concurrent;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What clients of a log have seen: it may never be taken back.</summary>
internal sealed class Observed
{
    private readonly ConcurrentDictionary<long, byte[]> _acknowledged = new();
    private readonly ConcurrentQueue<byte[]> _checkpoints = new();
    private volatile bool _refused;
    private int _underWay;

    public Observed()
    {
    }

    /// <summary>The same, for a process that has refused nothing yet.</summary>
    public Observed(Observed before)
    {
        foreach ((long index, byte[] entry) in before._acknowledged) _acknowledged[index] = entry;
        foreach (byte[] checkpoint in before._checkpoints) _checkpoints.Enqueue(checkpoint);
    }

    public IReadOnlyDictionary<long, byte[]> Acknowledged => _acknowledged;

    public IEnumerable<byte[]> Checkpoints => _checkpoints;

    /// <summary>Called when an append was acknowledged and no other one is under way.</summary>
    public Action? Promised { get; set; }

    /// <summary>Whether an append was not acknowledged, or no answer came.</summary>
    public bool WasRefused => _refused;

    /// <summary>The log is asked to end: connections close one after the other, and an append on one may be stored after one on another found no answer.</summary>
    public bool EndsInOrder { get; init; }

    /// <summary>Sends entries as one batch, or as a single one, and remembers what was promised. False when it was refused.</summary>
    public async Task<bool> AddAsync(LogClient client, params byte[][] entries)
    {
        bool before = _refused;
        Interlocked.Increment(ref _underWay);
        AddAnswer answer = entries.Length == 1 ? await client.AddAsync(entries[0]) : await client.AddBatchAsync(entries);
        bool alone = Interlocked.Decrement(ref _underWay) == 0;
        if (!answer.IsAcknowledged)
        {
            _refused = true;
            return false;
        }

        for (int i = 0; i < entries.Length; i++)
        {
            if (!_acknowledged.TryAdd(answer.Indexes[i], entries[i])) throw new CheckFailedException($"LOST index {answer.Indexes[i]}: it was given to two entries");
        }

        // A log that has failed stays so until it is started again.
        if (before && !EndsInOrder) throw new CheckFailedException($"IGNORED: index {answer.Indexes[0]} was given after an append had been refused");
        if (alone) Promised?.Invoke();
        return true;
    }

    /// <summary>Remembers the checkpoint that is public now.</summary>
    public async Task LookAsync(LogClient client)
    {
        if (await client.TryGetAsync("checkpoint") is (System.Net.HttpStatusCode.OK, byte[] checkpoint)) _checkpoints.Enqueue(checkpoint);
    }
}
