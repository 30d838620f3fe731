// What every honest reader together would see of a log: all checkpoints ever shown, each neighbour joined to the next by a consistency proof
// that the log gives and the verifier's code checks. At the end FullCheck computes every one of them again from the entries.

using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.EndToEnd;

internal sealed class CheckpointMonitor(string vkey)
{
    private readonly INoteVerifier _key = VerifierKey.TryParse(Encoding.UTF8.GetBytes(vkey), out VerifierKey? key)
        ? Verifiers.TryCreate(key)!
        : throw new ArgumentException($"not a vkey: {vkey}", nameof(vkey));
    private readonly SortedDictionary<long, (Checkpoint Checkpoint, byte[] Note)> _seen = []; // guarded by itself
    private Checkpoint? _joined; // everything up to here is joined; owner: JoinAsync

    /// <summary>How many different trees were shown.</summary>
    public int Count
    {
        get
        {
            lock (_seen) return _seen.Count;
        }
    }

    /// <summary>How many consistency proofs were checked.</summary>
    public int Proofs { get; private set; }

    /// <summary>The largest tree that was shown.</summary>
    public long Largest
    {
        get
        {
            lock (_seen) return _seen.Count == 0 ? -1 : _seen.Keys.Last();
        }
    }

    /// <summary>One note for each tree that was shown.</summary>
    public byte[][] Notes
    {
        get
        {
            lock (_seen) return [.. _seen.Values.Select(seen => seen.Note)];
        }
    }

    /// <summary>Takes a checkpoint that somebody has shown. Fails for one that the log did not sign, and for a second root of one size.</summary>
    public long Saw(byte[] bytes)
    {
        if (!Note.TryParse(bytes, out Note? note) || note.Verify([_key]).Status != NoteStatus.Verified || !Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint))
        {
            throw new CheckFailedException($"UNSIGNED checkpoint: {Encoding.UTF8.GetString(bytes)}");
        }

        lock (_seen)
        {
            if (!_seen.TryGetValue(checkpoint.Size, out (Checkpoint Checkpoint, byte[] Note) before)) _seen.Add(checkpoint.Size, (checkpoint, bytes));
            else if (before.Checkpoint.Root != checkpoint.Root) throw new CheckFailedException($"FORKED: roots {before.Checkpoint.Root} and {checkpoint.Root} were published at size {checkpoint.Size}");
        }

        return checkpoint.Size;
    }

    /// <summary>
    /// Joins each checkpoint up to the largest now to its neighbour. Stops quietly where the log does not answer; the next call goes on there. A
    /// checkpoint that came late between two that are joined is left to the check at the end. True when all were joined.
    /// </summary>
    public async Task<bool> JoinAsync(LogReader log, CancellationToken stop)
    {
        Checkpoint[] waiting;
        lock (_seen) waiting = [.. _seen.Where(seen => _joined is null || seen.Key > _joined.Size).Select(seen => seen.Value.Checkpoint)];
        foreach (Checkpoint next in waiting)
        {
            if (_joined is Checkpoint last)
            {
                Hash[]? proof;
                try
                {
                    proof = await log.TryReadConsistencyAsync(last.Size, next.Size, stop);
                }
                catch (LogReaderException failure) when (failure.Kind == LogFailure.Trouble)
                {
                    return false;
                }

                if (proof is null || !MerkleProof.VerifyConsistency(last.Size, next.Size, last.Root, next.Root, proof))
                {
                    throw new CheckFailedException($"FORKED: no proof joins size {last.Size}, root {last.Root} to size {next.Size}, root {next.Root}");
                }

                Proofs++;
            }

            _joined = next;
        }

        return true;
    }
}
