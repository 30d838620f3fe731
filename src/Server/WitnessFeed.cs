using System.Threading.Channels;
using TransparencyLog.Client;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>What a witness feed reports to the publisher.</summary>
internal abstract record WitnessEvent
{
    private WitnessEvent()
    {
    }

    /// <summary>Verified cosignature lines for a head.</summary>
    public sealed record Cosigned(TreeHead Head, IReadOnlyList<NoteSignature> Lines) : WitnessEvent;

    /// <summary>The witness has cosigned a size that this log has not signed: evidence of a rollback or of a second writer.</summary>
    public sealed record Ahead(string Witness, long Size, TreeHead Head, TlogEvidence? Evidence) : WitnessEvent;

    /// <summary>The witness holds a checkpoint with this log's signature that conflicts with what this log has signed.</summary>
    public sealed record Contradicted(string Witness, TlogEvidence Evidence) : WitnessEvent;
}

/// <summary>
/// Keeps one witness (one submission prefix, however many keys it answers for) at the newest head: one request in flight, newest wins.
/// A slow or dead witness costs nothing but its own loop.
/// </summary>
internal sealed class WitnessFeed(
    WitnessClient client,
    Func<long, TreeHead, CancellationToken, ValueTask<Hash[]>> consistency,
    OwnWords ownWords,
    Func<long> signedSize,
    Action<WitnessEvent> report,
    ILogger logger)
{
    /// <summary>Conflicts answered in one go: the first tells the size, a second one may be a race with another feeder, more are a broken witness.</summary>
    private const int MaxConflicts = 3;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(250), LongestPause = TimeSpan.FromSeconds(15);

    private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private TreeHead? _wanted;
    private long? _cosignedSize; // what the witness last told us; null before its first answer

    public string SubmissionPrefix => client.SubmissionPrefix;

    /// <summary>The newest failure, in words; null once it answered well.</summary>
    public string? Trouble { get; private set; }

    /// <summary>Asks for cosignatures on a head; replaces an older wish that was not sent yet, and is dropped when there is a newer one.</summary>
    public void Submit(TreeHead head)
    {
        TreeHead? wanted;
        do
        {
            wanted = Volatile.Read(ref _wanted);
            if (wanted is not null && wanted.Size > head.Size) return;
        }
        while (!ReferenceEquals(Interlocked.CompareExchange(ref _wanted, head, wanted), wanted));
        Wake();
    }

    public async Task RunAsync(CancellationToken stop)
    {
        TimeSpan pause = FirstPause;
        while (true)
        {
            await _signal.Reader.ReadAsync(stop).ConfigureAwait(false);
            TreeHead? head = Interlocked.Exchange(ref _wanted, null);
            if (head is null) continue;
            string? failure = await FeedAsync(head, stop).ConfigureAwait(false);
            Trouble = failure;
            if (failure is null)
            {
                pause = FirstPause;
                continue;
            }

            logger.WitnessFailed(client.SubmissionPrefix, head.Size, failure);
            await Task.Delay(pause, stop).ConfigureAwait(false);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;

            // The same head again, unless a newer one came meanwhile.
            if (Interlocked.CompareExchange(ref _wanted, head, null) is null) Wake();
        }
    }

    /// <summary>Brings the witness to a head. Null when that is done or has become pointless; otherwise what went wrong.</summary>
    private async Task<string?> FeedAsync(TreeHead head, CancellationToken stop)
    {
        for (int conflicts = 0; conflicts < MaxConflicts; conflicts++)
        {
            // A renewal that a newer head has overtaken: the witness has more already.
            if (_cosignedSize > head.Size) return null;

            // Before the first answer the witness is asked as if it had this very head: it has after a restart of ours, or it tells its size.
            long old = _cosignedSize ?? head.Size;
            Hash[] proof = old == 0 || old == head.Size ? [] : await consistency(old, head, stop).ConfigureAwait(false);
            switch (await client.AddCheckpointAsync(new AddCheckpointRequest(old, proof, head.Checkpoint), stop).ConfigureAwait(false))
            {
                case WitnessAnswer.Cosigned cosigned:
                    _cosignedSize = head.Size;
                    if (cosigned.Dropped > 0) logger.WitnessLinesDropped(client.SubmissionPrefix, cosigned.Dropped);
                    report(new WitnessEvent.Cosigned(head, cosigned.Lines));
                    return null;

                case WitnessAnswer.Conflict conflict when conflict.Size > signedSize():
                    report(new WitnessEvent.Ahead(client.SubmissionPrefix, conflict.Size, head, await ownWords.CompareAsync(client, head, stop).ConfigureAwait(false)));
                    return null;

                case WitnessAnswer.Conflict conflict when conflict.Size > head.Size:
                    _cosignedSize = conflict.Size; // a newer head of ours reached it another way; the newest will be asked for
                    return null;

                case WitnessAnswer.Conflict conflict:
                    if (conflict.Size == old) return $"409 with size {conflict.Size}, which is the old size of the request";
                    _cosignedSize = conflict.Size;
                    break;

                case WitnessAnswer.Failed failed:
                    // Only what this log has signed counts, not what the witness says.
                    if (failed.IsInconsistent && await ownWords.CompareAsync(client, head, stop).ConfigureAwait(false) is { Kind: not EvidenceKind.Unproven } evidence)
                    {
                        report(new WitnessEvent.Contradicted(client.SubmissionPrefix, evidence));
                        return null;
                    }

                    return failed.Reason;
            }
        }

        return $"{MaxConflicts} conflicts in a row";
    }

    private void Wake() => _signal.Writer.TryWrite(true);
}
