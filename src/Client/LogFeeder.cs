// Feeds the checkpoints of a log to witnesses from outside, for a log that does not do it itself: `tlog feed` runs this. It verifies the log's signature and
// its consistency before it sends anything, so that a feeder never carries a second history to a witness.

using System.Threading.Channels;
using TransparencyLog.Signing;

namespace TransparencyLog.Client;

/// <summary>Limits of a feeder.</summary>
public sealed record LogFeederOptions
{
    /// <summary>
    /// How long a round waits for witnesses that do not answer, and for the log to show a size that a witness has already cosigned. Default 15 s.
    /// </summary>
    public TimeSpan RoundTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Time limit for one request to a witness. Default 2 s; 100 ms to 60 s.</summary>
    public TimeSpan AttemptTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Limits of each witness's feed.</summary>
    public WitnessFeedOptions Feed { get; init; } = new();
}

/// <summary>The last answer of one witness in a round.</summary>
/// <param name="Witness">The witness.</param>
/// <param name="Trouble">Why it did not cosign, in our words; null when it did.</param>
/// <param name="Contradicts">
/// Whether its answer and what the log serves cannot both be true: it has cosigned more than the log shows, or another tree, or it does not accept the log's
/// proof or root (422).
/// </param>
/// <param name="Ahead">The larger size that it has cosigned; null when it has not.</param>
/// <param name="Evidence">
/// Holds a checkpoint that the witness shows, with the log's signature, that does not agree with what the log serves. To be kept; null when there is none.
/// </param>
public sealed record FedWitness(WitnessAddress Witness, string? Trouble, bool Contradicts = false, long? Ahead = null, TlogEvidence? Evidence = null)
{
    /// <summary>
    /// Set when the witness answered in this round a smaller size than it had cosigned, whether or not it has cosigned since; null when it has not gone back.
    /// </summary>
    public WitnessRegress? WentBack { get; init; }
}

/// <summary>The result of feeding one checkpoint.</summary>
/// <param name="Checkpoint">The checkpoint, verified.</param>
/// <param name="Note">The checkpoint as a signed note: the log's lines, and every cosignature that has come.</param>
/// <param name="Cosignatures">The number of those cosignatures.</param>
/// <param name="MeetsQuorum">Whether they meet the policy's quorum; with quorum none, whether there is at least one.</param>
/// <param name="Witnesses">The answer of each witness.</param>
public sealed record FeedRound(Checkpoint Checkpoint, ReadOnlyMemory<byte> Note, int Cosignatures, bool MeetsQuorum, IReadOnlyList<FedWitness> Witnesses)
{
    /// <summary>
    /// Whether this checkpoint should be held back: a witness that the quorum counts claims to have cosigned more than the log shows, and the witnesses that
    /// have not cosigned this checkpoint could meet the quorum among themselves. Then readers elsewhere may have been shown another branch under a quorum as
    /// good as this one (<see cref="RivalQuorum"/>).
    /// </summary>
    public bool IsHeld { get; init; }
}

/// <summary>
/// Feeds one log to the witnesses of a policy, round by round. Between rounds the feeds keep the size that each witness has answered, so the next proof begins
/// there. One round at a time.
/// </summary>
public sealed class LogFeeder : IAsyncDisposable
{
    /// <summary>How often a round asks the log for a size that a witness has already cosigned.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(500);

    private readonly LogReader _log;
    private readonly Policy _policy, _logs;
    private readonly TimeSpan _limit;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly Channel<WitnessEvent> _events = Channel.CreateUnbounded<WitnessEvent>();
    private readonly List<Fed> _fed = [];
    private Checkpoint? _newest; // verified, and consistent with those before
    private CosignatureSet _lines;
    private OfferedCheckpoint? _shown; // _newest with the log's signature; read by the feeds' loops, like _signedSize
    private long _signedSize;    // of _newest

    /// <summary>Creates a feeder. It sends nothing before the first round.</summary>
    /// <param name="log">The log.</param>
    /// <param name="policy">Its witnesses are fed; its quorum is the aim.</param>
    /// <param name="key">The log's key; null when the policy lists the log.</param>
    /// <param name="options">Limits.</param>
    /// <exception cref="ArgumentException">
    /// The policy has no log and no key is given; no witness has a URL and a key that can be verified; a URL is not http or https.
    /// </exception>
    public LogFeeder(LogReader log, Policy policy, VerifierKey? key, LogFeederOptions options)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(options);
        _log = log;
        _policy = policy;
        _limit = options.RoundTimeout;
        _time = options.Feed.Time;
        _lines = new CosignatureSet(policy);
        _logs = key is not null ? CheckpointCheck.PolicyOf(key) : policy.Logs.Count > 0 ? CheckpointCheck.WithoutQuorum(policy) : throw new ArgumentException("the policy lists no log, so the log's vkey is needed", nameof(key));
        IReadOnlyList<WitnessAddress> addresses = WitnessAddress.Of(policy, Verifiers.TryCreate);
        if (addresses.Count == 0) throw new ArgumentException("the policy has no witness with a URL and a key that can be verified", nameof(policy));
        foreach (WitnessAddress address in addresses)
        {
            if (!WitnessClient.TryGetUri(address.SubmissionPrefix, out _)) throw new ArgumentException($"the URL of witness {address.Witnesses[0].Name} is not an http or https URL", nameof(policy));
        }

        OwnWords words = new([.. _logs.Logs.Select(one => Verifiers.TryCreate(one.Key)).OfType<INoteVerifier>()], () => Volatile.Read(ref _shown), PrefixAsync);
        foreach (WitnessAddress address in addresses)
        {
            WitnessClient client = new(address.SubmissionPrefix, address.Keys, new WitnessClientOptions { AttemptTimeout = options.AttemptTimeout, Time = _time });
            _fed.Add(new Fed(address, client, new WitnessFeed(client, options.Feed, ProveAsync, words, () => Volatile.Read(ref _signedSize), reported => _events.Writer.TryWrite(reported))));
        }
    }

    /// <summary>
    /// Runs one round: reads the log's checkpoint, verifies it, and asks every witness to cosign it. Returns when all have answered, or the time is over. A
    /// checkpoint that was fed before is fed again, so its cosignatures get newer times.
    /// </summary>
    /// <exception cref="LogReaderException">The log cannot be read, its signature is invalid, or it does not extend what it served before.</exception>
    public async Task<FeedRound> FeedAsync(CancellationToken stop)
    {
        long started = _time.GetTimestamp();
        (Checkpoint checkpoint, ReadOnlyMemory<byte> note) = await ReadAsync(stop).ConfigureAwait(false);
        while (true)
        {
            FeedRound round = await FeedAsync(checkpoint, note, stop).ConfigureAwait(false);
            if (round.Witnesses.All(witness => witness.Ahead is null)) return round;

            // A witness may be ahead because the log, or another feeder, was faster. Then the log shows the larger size before long.
            Checkpoint later;
            do
            {
                if (_time.GetElapsedTime(started) >= _limit) return round;
                await Task.Delay(LookAgain, _time, stop).ConfigureAwait(false);
                (later, note) = await ReadAsync(stop).ConfigureAwait(false);
            }
            while (later.Size <= checkpoint.Size);
            checkpoint = later;
        }
    }

    /// <summary>Stops the feeds and closes the connections to the witnesses.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        foreach (Fed fed in _fed)
        {
            try
            {
                await fed.Running.ConfigureAwait(false);
            }
            catch (Exception ended) when (ended is OperationCanceledException or LogReaderException)
            {
                // Cancelled just now, or failed before; a round has reported the failure.
            }

            fed.Client.Dispose();
        }

        _stop.Dispose();
    }

    /// <summary>
    /// Reads the newest checkpoint of the log. It must be signed by a key of the log, and be consistent with those seen before.
    /// </summary>
    private async Task<(Checkpoint Checkpoint, ReadOnlyMemory<byte> Note)> ReadAsync(CancellationToken stop)
    {
        VerifiedCheckpoint verified = await _log.ReadCheckpointAsync(_logs, stop).ConfigureAwait(false);
        Checkpoint checkpoint = verified.Checkpoint;
        if (_newest is Checkpoint before && before.Origin != checkpoint.Origin) throw new LogReaderException(LogFailure.Lie, $"{_log.Url} is the log {checkpoint.Origin} now, and was {before.Origin}");
        if (_newest is null || checkpoint.Size > _newest.Size)
        {
            await RequireGrowthAsync(checkpoint, stop).ConfigureAwait(false);
            _newest = checkpoint;
            _lines = new CosignatureSet(_policy);
            Volatile.Write(ref _signedSize, checkpoint.Size);
        }

        // SPEC TW-07: the log's own lines alone. What others added is theirs to send.
        if (!Note.TryParse(verified.Bytes.Span, out Note? note)) throw new System.Diagnostics.UnreachableException("it was parsed before");
        IEnumerable<NoteSignature> own = note.Verify([.. verified.Keys.Select(key => Verifiers.TryCreate(key)!)]).Verified.Select(line => line.Signature);
        byte[] signed = new Note(note.Text, [.. own]).ToBytes();
        if (checkpoint.Size == _newest.Size) Volatile.Write(ref _shown, new OfferedCheckpoint(checkpoint.Size, checkpoint.Root, signed));
        return (checkpoint, signed);
    }

    private async Task RequireGrowthAsync(Checkpoint checkpoint, CancellationToken stop)
    {
        if (checkpoint.Size == 0) return;
        bool holds = _newest is { Size: > 0 } before
            ? MerkleProof.VerifyConsistency(before.Size, checkpoint.Size, before.Root, checkpoint.Root, await _log.BuildAsync(ProofPlan.Consistency(before.Size, checkpoint.Size), checkpoint, stop).ConfigureAwait(false))
            : (await _log.BuildAsync(ProofPlan.Root(checkpoint.Size), checkpoint, stop).ConfigureAwait(false))[0] == checkpoint.Root;
        if (holds) return;
        string expected = _newest is { Size: > 0 } ? $"a tree that extends size {_newest.Size}, root {_newest.Root}" : "tiles that give the root of the checkpoint";
        throw new LogReaderException(LogFailure.Lie, $"{_log.Url}: size {checkpoint.Size}, root {checkpoint.Root}: expected {expected}; nothing is fed");
    }

    private async ValueTask<Hash[]> ProveAsync(long from, OfferedCheckpoint offered, CancellationToken stop) =>
        await _log.BuildAsync(ProofPlan.Consistency(from, offered.Size), new Checkpoint(_newest!.Origin, offered.Size, offered.Root), stop).ConfigureAwait(false);

    private async ValueTask<Hash[]> PrefixAsync(long from, OfferedCheckpoint offered, CancellationToken stop) =>
        await _log.BuildAsync(ProofPlan.Prefix(from, offered.Size), new Checkpoint(_newest!.Origin, offered.Size, offered.Root), stop).ConfigureAwait(false);

    private async Task<FeedRound> FeedAsync(Checkpoint checkpoint, ReadOnlyMemory<byte> note, CancellationToken stop)
    {
        while (_events.Reader.TryRead(out WitnessEvent? late)) Take(late, checkpoint, []);
        OfferedCheckpoint offered = new(checkpoint.Size, checkpoint.Root, note);
        HashSet<WitnessFeed> waiting = [];
        foreach (Fed fed in _fed)
        {
            fed.Said = new FedWitness(fed.Address, "no answer within the time of a round");
            fed.WentBack = null;
            waiting.Add(fed.Feed);
            if (fed.Running.IsCompleted) fed.Running = fed.Feed.RunAsync(_stop.Token);
            fed.Feed.Submit(offered);
        }

        using CancellationTokenSource over = new(_limit, _time);
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(stop, over.Token);
        Task failed = Task.WhenAny(_fed.Select(fed => fed.Running));
        try
        {
            while (waiting.Count > 0)
            {
                Task<bool> more = _events.Reader.WaitToReadAsync(end.Token).AsTask();
                await Task.WhenAny(more, failed).ConfigureAwait(false);
                if (failed.IsCompleted) break;
                await more.ConfigureAwait(false);
                while (_events.Reader.TryRead(out WitnessEvent? reported)) Take(reported, checkpoint, waiting);
            }
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // The time is over. A witness that has not answered keeps the message set above.
        }

        // A feed ends on its own only when the log did not provide a proof. Rethrow that failure.
        foreach (Fed fed in _fed.Where(fed => fed.Running.IsFaulted)) await fed.Running.ConfigureAwait(false);
        int count = _lines.Lines.Count();
        HashSet<PolicyWitness> ahead = [.. _fed.Where(fed => fed.Said!.Ahead is not null).SelectMany(fed => fed.Address.Witnesses)];
        bool held = _policy.QuorumWitnesses.Any(ahead.Contains) && RivalQuorum.IsPossible(_policy, witness => _lines.Contains(witness) && !ahead.Contains(witness));
        return new FeedRound(checkpoint, _lines.On(note), count, _lines.MeetsQuorum && count > 0, [.. _fed.Select(fed => fed.Said! with { WentBack = fed.WentBack })]) { IsHeld = held };
    }

    private void Take(WitnessEvent reported, Checkpoint checkpoint, HashSet<WitnessFeed> waiting)
    {
        if (reported.Checkpoint.Size != checkpoint.Size || reported.Checkpoint.Root != checkpoint.Root) return;
        Fed fed = _fed.Single(fed => fed.Feed == reported.Feed);
        switch (reported)
        {
            case WitnessEvent.WentBack went:
                fed.WentBack = went.Regress;
                break;
            case WitnessEvent.Cosigned cosigned:
                // Cosignatures of a witness that provably broke its promise do not count.
                if (fed.WentBack is not { IsProven: true }) _lines.Add(cosigned.Lines);
                fed.Said = new FedWitness(fed.Address, Trouble: null);
                waiting.Remove(fed.Feed);
                break;
            case WitnessEvent.Ahead ahead:
                _lines.Remove(fed.Address.Witnesses);
                fed.Said = new FedWitness(fed.Address, $"it has cosigned size {ahead.Size}, and the log shows {checkpoint.Size}: the log has lost entries, shows others a longer history, or has not published what it signed", Contradicts: true, ahead.Size, ahead.Evidence);
                waiting.Remove(fed.Feed);
                break;
            case WitnessEvent.Contradicted contradicted:
                fed.Said = new FedWitness(fed.Address, "it has cosigned another tree, which the log has signed as well", Contradicts: true, Evidence: contradicted.Evidence);
                waiting.Remove(fed.Feed);
                break;
            case WitnessEvent.Failed { Answer: WitnessAnswer.Failed answer }:
                fed.Said = new FedWitness(fed.Address, answer.Reason, Contradicts: answer.Kind == WitnessFailure.Inconsistent);

                // Trouble may pass within the round. After other failures the feed pauses, a minute for most, so the round does not wait.
                if (answer.Kind != WitnessFailure.Trouble) waiting.Remove(fed.Feed);
                break;
        }
    }

    private sealed class Fed(WitnessAddress address, WitnessClient client, WitnessFeed feed)
    {
        public WitnessAddress Address => address;

        public WitnessClient Client => client;

        public WitnessFeed Feed => feed;

        public Task Running { get; set; } = Task.CompletedTask;

        public FedWitness? Said { get; set; }

        public WitnessRegress? WentBack { get; set; }
    }
}
