// The path of an entry, second half: consistency -> sign -> register -> witnesses -> public (spec/life-of-an-entry.md).
// One loop. It signs one head at a time. It signs the next only when that head is public or has waited long enough for its quorum.

using System.Threading.Channels;
using TransparencyLog.Client;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>The state that readers see: a checkpoint and a tree that covers it.</summary>
/// <param name="Size">The published tree size.</param>
/// <param name="Root">Its root hash.</param>
/// <param name="Checkpoint">The signed note with its cosignatures.</param>
/// <param name="Tree">A snapshot of at least that size.</param>
internal sealed record Published(long Size, Hash Root, ReadOnlyMemory<byte> Checkpoint, TreeSnapshot Tree);

/// <summary>Signs the tree as it grows and makes it public when the policy is met.</summary>
internal sealed class Publisher : IDisposable
{
    private const long Never = long.MaxValue; // a time that never comes

    /// <summary>
    /// At least once a minute, one checkpoint stays public until every healthy witness has cosigned it, and then for one more second, which is how long
    /// caches may keep a checkpoint. It is held for no longer than <see cref="HoldFor"/>. Without this, a log that publishes faster than an optional witness
    /// answers would never show the lines of that witness. <see cref="WholeEvery"/> is less than a minute by more than <see cref="HoldFor"/>.
    /// </summary>
    private static readonly TimeSpan WholeEvery = TimeSpan.FromSeconds(57), StayFor = TimeSpan.FromSeconds(1), HoldFor = TimeSpan.FromSeconds(2);

    /// <summary>
    /// At a start without a guard that agrees: how long a quorum that has cosigned waits for the first answers of the other witnesses that the policy counts.
    /// The word of one of them decides whether the log opens, and the fastest answers should not decide for it. A healthy witness answers sooner, and the
    /// wait occurs once per start.
    /// </summary>
    private static readonly TimeSpan FirstAnswers = TimeSpan.FromSeconds(2);

    /// <summary>How often a head is offered again to a guard that is unavailable.</summary>
    private static readonly TimeSpan GuardRetry = TimeSpan.FromSeconds(1);

    private readonly string _origin;
    private readonly INoteSigner _signer;
    private readonly ICosigner? _cosigner;
    private readonly ITreeRegister _register;
    private readonly TileReader _tiles;
    private readonly StoredTree _stored;
    private readonly LogClock _clock;
    private readonly Func<TreeSnapshot> _latest;
    private readonly Policy _policy;
    private readonly Witnesses _witnesses;
    private readonly QuorumAlarm _alarm;
    private readonly WitnessClaims _claims;
    private readonly HoldAlarm _holdAlarm;
    private readonly string? _cachePath;
    private readonly Settings _settings;
    private readonly TimeProvider _time;
    private readonly Action _quorumMet;
    private readonly Func<bool> _mayAppend;
    private readonly Channel<WitnessEvent?> _events = Channel.CreateUnbounded<WitnessEvent?>(new UnboundedChannelOptions { SingleReader = true });
    private int _grown;                 // 1 while the loop knows that the tree has grown, or has an event queued that says so
    private (TreeHead? Last, TreeHead Next)? _unswapped; // made while the guard was unavailable; it leaves the process only when the register holds it
    private Candidate? _candidate;      // signed, in the register, not public yet
    private Published? _public, _witnessed; // the newest, and the newest whose quorum is met
    private TaskCompletionSource _nextPublic = new(TaskCreationOptions.RunContinuationsAsynchronously); // completed and replaced whenever one of the two changes
    private CosignatureSet _publicLines;
    private bool _hasEnded;             // nothing more will be public; set before the waiters are woken
    private TreeHead? _publicHead;      // the head of the public checkpoint; _publicLines are its cosignatures
    private bool _linesJoined;          // since the checkpoint was last shown
    private bool _isHeld;               // the public checkpoint stays for witnesses that have not answered
    private Hold _hold;                 // what is held because of witnesses that contradict the log

    // Timestamps, which belong to the loop:
    private long _nextSigning;          // nothing is signed before it
    private long _waitingSince = Never; // since when a signed head is not public
    private long _heldUntil;            // the public checkpoint stays until then
    private long _wholeAt;              // when all had cosigned a checkpoint, or one was held for them
    private long _renewAt;
    private long _vouchedAt = Never;    // since when a quorum has cosigned after the start
    private bool _hasOpened;

    public Publisher(
        string origin, INoteSigner signer, ICosigner? cosigner, LogClock clock, ITreeRegister register, TileReader tiles, StoredTree stored, Func<TreeSnapshot> latest, Policy policy,
        string? cachePath, Settings settings, TimeProvider time, ILogger logger, WitnessTrust trust, Action quorumMet, Func<bool> mayAppend)
    {
        _origin = origin;
        _signer = signer;
        _cosigner = cosigner;
        _clock = clock;
        _register = register;
        _tiles = tiles;
        _stored = stored;
        _latest = latest;
        _policy = policy;
        _cachePath = cachePath;
        _settings = settings;
        _time = time;
        _quorumMet = quorumMet;
        _mayAppend = mayAppend;
        _publicLines = new CosignatureSet(policy);
        _alarm = new QuorumAlarm(time, logger);
        OwnWords words = new([.. Keys(signer, cosigner)], () => _register.Current is TreeHead head ? Offered(head) : null, ProvePrefixAsync);
        _witnesses = new Witnesses(policy, settings, time, logger, ProveAsync, words, () => SignedSize, reported => _events.Writer.TryWrite(reported));
        _claims = new WitnessClaims(policy, _witnesses.Peers, trust);
        _holdAlarm = new HoldAlarm(time, logger);
        Trust = trust;
    }

    /// <summary>What was known at the start about the directory and the witnesses.</summary>
    public WitnessTrust Trust { get; }

    /// <summary>What is held because of a witness that contradicts the log; null while nothing is held.</summary>
    public HeldState? Held => _holdAlarm.State;

    /// <summary>The public state; null before the first publication.</summary>
    public Published? Current => Volatile.Read(ref _public);

    public IReadOnlyList<PolicyPeer> Peers => _witnesses.Peers;

    /// <summary>Whether the policy requires cosignatures for publication.</summary>
    public bool NeedsQuorum => _witnesses.NeedsQuorum;

    /// <summary>Since when the public checkpoint lacks the quorum; null while it has the quorum or needs none.</summary>
    public DateTimeOffset? DegradedSince => _alarm.Since;

    /// <summary>The size in the register. No signature on a larger tree has left the process.</summary>
    public long SignedSize => _register.Current?.Size ?? 0;

    /// <summary>Signals the loop that the tree has grown. Costs nothing while a signal is pending.</summary>
    public void Grown()
    {
        if (Interlocked.Exchange(ref _grown, 1) == 0) _events.Writer.TryWrite(null);
    }

    /// <summary>
    /// Waits for a public state that covers an index, and whose quorum is met if <paramref name="witnessed"/>. Null once no such state will come
    /// (<see cref="EndWaits"/>). A caller that stops waiting leaves no memory in use.
    /// </summary>
    public async ValueTask<Published?> WaitAsync(long index, bool witnessed, CancellationToken stop)
    {
        while (true)
        {
            // Read before the check, so that a publication between the two is not missed.
            Task next = Volatile.Read(ref _nextPublic).Task;
            Published? current = witnessed ? Volatile.Read(ref _witnessed) : Current;
            if (current?.Size > index) return current;
            if (Volatile.Read(ref _hasEnded)) return null;
            await next.WaitAsync(stop).ConfigureAwait(false);
        }
    }

    /// <summary>Called when the log has halted or failed: nothing more becomes public, and requests that wait for it are answered immediately (N-12).</summary>
    public void EndWaits()
    {
        Volatile.Write(ref _hasEnded, true);
        WakeWaiters();
    }

    private void WakeWaiters() => Interlocked.Exchange(ref _nextPublic, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();

    public void Dispose() => _witnesses.Dispose();

    /// <summary>Runs until it is cancelled. Throws when the register fails or evidence against this log is found: nothing is signed after that.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using ITimer timer = _time.CreateTimer(_ => _events.Writer.TryWrite(null), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _wholeAt = _time.GetTimestamp();
        _renewAt = In(_settings.RenewInterval);

        // A head that was signed before the restart is published unchanged: another head of its size would be a second statement. Without one, the empty tree
        // is signed, so that witnesses can be asked.
        if (_register.Current is TreeHead signed) Offer(signed);
        else while (!await SignAsync(TreeSnapshot.Empty, stop).ConfigureAwait(false)) await Task.Delay(LogClock.Pause, _time, stop).ConfigureAwait(false); // every tree extends the empty tree, so this contradicts nothing

        // Entries that the journal held beyond that head are signed next.
        Grown();

        while (await _events.Reader.WaitToReadAsync(stop).ConfigureAwait(false))
        {
            while (_events.Reader.TryRead(out WitnessEvent? witnessEvent))
            {
                if (witnessEvent is not null) Take(witnessEvent);
            }

            Review();
            Arm(timer, await ActAsync(stop).ConfigureAwait(false));
        }
    }

    /// <summary>Builds the consistency proof from an old size to a head of this log, from the tiles.</summary>
    private ValueTask<Hash[]> ProveAsync(long from, OfferedCheckpoint head, CancellationToken stop) =>
        _tiles.BuildAsync(ProofPlan.Consistency(from, head.Size), _latest(), stop);

    /// <summary>Builds the same proof with its first node written out (<see cref="ProofPlan.Prefix"/>).</summary>
    public ValueTask<Hash[]> ProvePrefixAsync(long from, OfferedCheckpoint head, CancellationToken stop) =>
        _tiles.BuildAsync(ProofPlan.Prefix(from, head.Size), _latest(), stop);

    /// <summary>Starts the loops of the feeds, one per witness. Each throws what building a proof throws.</summary>
    public IEnumerable<Task> RunFeeds(CancellationToken stop) => Peers.Select(peer => peer.Feed.RunAsync(stop));

    /// <summary>Sets the timer that wakes the loop.</summary>
    private void Arm(ITimer timer, long at)
    {
        // Timers count whole milliseconds and may end early, so the time is rounded up.
        if (at == Never) timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        else if (at > _time.GetTimestamp()) timer.Change(TimeSpan.FromMilliseconds(Math.Max(0, Math.Ceiling(Until(at).TotalMilliseconds))), Timeout.InfiniteTimeSpan);

        // The time has come, or came between the check and the timer.
        if (_time.GetTimestamp() >= at) _events.Writer.TryWrite(null);
    }

    /// <summary>
    /// Runs whatever is due. Signs at most one head per call, so that witness answers are handled between signatures even when signing is slower than the
    /// publish gap. Returns the time at which more is due.
    /// </summary>
    private async ValueTask<long> ActAsync(CancellationToken stop)
    {
        long now = _time.GetTimestamp();
        if (_linesJoined) Show(_public!.Tree);
        if (DegradeAt <= now) Publish();
        if (_alarm.RemindAt <= now) _alarm.Raise(_public!.Size);
        if (OpenAt <= now)
        {
            // A quorum has cosigned since the start, and no witness contradicts: as far as anyone can know, this directory is the newest.
            _hasOpened = true;
            _quorumMet();
        }

        if (_renewAt <= now) Renew();
        if (SignAt(now) <= now)
        {
            if (_unswapped is var (last, next)) await SwapAsync(last, next, stop).ConfigureAwait(false);
            else await SignAsync(_latest(), stop).ConfigureAwait(false);
            now = _time.GetTimestamp();
        }

        long alarms = Math.Min(_alarm.RemindAt, Math.Min(_holdAlarm.RemindAt, StuckAt));
        return Math.Min(Math.Min(Math.Min(SignAt(now), DegradeAt), OpenAt), Math.Min(alarms, Peers.Count == 0 ? Never : _renewAt));
    }

    /// <summary>When a signed head becomes public without its quorum; never while another branch could have a quorum.</summary>
    private long DegradeAt => _settings.QuorumMode == QuorumMode.Degrade && _waitingSince != Never && _hold == Hold.None ? _waitingSince + Ticks(_settings.DegradeAfter) : Never;

    /// <summary>When the next head is to be signed.</summary>
    private long SignAt(long now)
    {
        if (_hold == Hold.Signing) return Never;
        if (_unswapped is not null) return _nextSigning;
        if (!_mayAppend()) return Never;
        if (_latest().Size <= SignedSize)
        {
            // Cleared before the second check: a later append sends an event, and an earlier append is seen by the check.
            Interlocked.Exchange(ref _grown, 0);
            if (_latest().Size <= SignedSize) return Never;
        }

        // A head that waits for its quorum is not replaced immediately: each head costs a signature and a request to every witness.
        long last = _candidate is Candidate waiting ? waiting.Since + Ticks(_settings.WitnessTimeout) : _heldUntil;
        return Math.Max(Math.Max(_nextSigning, last), now + Ticks(_witnesses.UntilQuorum()));
    }

    private void Take(WitnessEvent witnessEvent)
    {
        _witnesses.Take(witnessEvent);
        _claims.Take(witnessEvent);
        switch (witnessEvent)
        {
            case WitnessEvent.Cosigned cosigned when _claims.IsConvicted(cosigned.Feed):
                break;
            case WitnessEvent.Cosigned cosigned when _candidate is Candidate candidate && IsOn(cosigned, candidate.Head):
                candidate.Lines.Add(cosigned.Lines);
                break;
            case WitnessEvent.Cosigned cosigned when _publicHead is TreeHead head && IsOn(cosigned, head):
                // 9. Late or renewed lines are added to the public checkpoint.
                _publicLines.Add(cosigned.Lines);
                _linesJoined = true;
                break;
            case WitnessEvent.Ahead { Evidence: null } or WitnessEvent.WentBack { Regress.IsProven: true }:
                // Its lines no longer count. The public checkpoint keeps them: they were true when it was made.
                _candidate?.Lines.Remove(Peers.Single(peer => peer.Feed == witnessEvent.Feed).Lines);
                break;
            case WitnessEvent.Ahead ahead:
                throw new ConflictException(
                    $"the witness at {ahead.Feed.SubmissionPrefix} has cosigned size {ahead.Size} of {_origin}, but this log has never signed more than {SignedSize}: "
                    + "this directory is an older copy, or a second log runs with the same key; what the witness shows bears this log's signature",
                    ahead.Evidence);
            case WitnessEvent.Contradicted contradicted:
                throw new ConflictException(
                    $"the witness at {contradicted.Feed.SubmissionPrefix} holds a checkpoint of {_origin} with this log's signature that cannot be true beside what this log has signed "
                    + $"({TlogEvidence.Word(contradicted.Evidence.Kind)}): a second log runs with the same key, or this directory went another way before",
                    contradicted.Evidence);
        }

        LookWhetherWhole();
    }

    /// <summary>Runs after the events. Decides what is held, and publishes the candidate when its quorum is met and nothing is held.</summary>
    private void Review()
    {
        _hold = _claims.HoldOf(_candidate?.Lines ?? _publicLines, _mayAppend());
        if (_hold == Hold.None && _candidate is { Lines.MeetsQuorum: true }) Publish();
        TellHold();
        _vouchedAt = !_claims.HasQuorumVouched ? Never : _vouchedAt == Never ? _time.GetTimestamp() : _vouchedAt;
    }

    /// <summary>When the log opens, if neither a guard nor the policy has opened it at the start.</summary>
    private long OpenAt => _hasOpened || _mayAppend() || _hold != Hold.None || _vouchedAt == Never ? Never : _claims.HaveAllAnswered ? _vouchedAt : _vouchedAt + Ticks(FirstAnswers);

    /// <summary>
    /// Raises the alarm when appends are held, when no further cosignature can end the hold of the publication, or when that hold has lasted for as long as a
    /// head may wait for its quorum.
    /// </summary>
    private void TellHold()
    {
        if (_hold == Hold.None || (_waitingSince == Never && _hold == Hold.Publication && !_claims.IsCertain)) _holdAlarm.Clear();
        else if (_hold == Hold.Signing || _claims.IsCertain || _holdAlarm.State is not null || StuckAt <= _time.GetTimestamp()) RaiseHold();
    }

    private void RaiseHold() => _holdAlarm.Raise(_hold, _claims.Describe(SignedSize));

    /// <summary>When a head that waits for a held publication raises the alarm; never while the alarm is on.</summary>
    private long StuckAt => _hold == Hold.Publication && _holdAlarm.State is null && _waitingSince != Never ? _waitingSince + Ticks(_settings.WitnessTimeout) : Never;

    private static bool IsOn(WitnessEvent.Cosigned cosigned, TreeHead head) => cosigned.Checkpoint.Size == head.Size && cosigned.Checkpoint.Root == head.Root;

    /// <summary>Steps 5 and 6. False when the clock allows no signature now: nothing was signed then.</summary>
    private async Task<bool> SignAsync(TreeSnapshot tree, CancellationToken stop)
    {
        (long size, Hash root) = (tree.Size, tree.Root);
        TreeHead? last = _register.Current;
        if (!_clock.TryNext(last, out ulong stamp))
        {
            _nextSigning = In(LogClock.Pause);
            return false;
        }

        _nextSigning = In(_settings.PublishGap);

        // 5. The stored bytes, read back and hashed again, must produce this tree. Otherwise memory has changed on the way: nothing is signed, and the next
        //    start rebuilds the tree from the stored bytes.
        await _stored.CheckAsync(tree, stop).ConfigureAwait(false);

        //    The verifier's own code checks that the new tree extends the signed tree. A crash here: nothing was signed.
        if (last is not null)
        {
            Hash[] proof = await _tiles.BuildAsync(ProofPlan.Consistency(last.Size, size), tree, stop).ConfigureAwait(false);
            if (!MerkleProof.VerifyConsistency(last.Size, size, last.Root, root, proof))
            {
                throw new ConflictException($"the tree of size {size}, root {root} does not extend the signed size {last.Size}, root {last.Root}");
            }
        }

        byte[] text = new Checkpoint(_origin, size, root).ToText();
        List<NoteSignature> lines = [_signer.Sign(text)]; // each signer verifies its line before it returns it; a failure of one ends the signing
        if (_cosigner is not null) lines.Add(_cosigner.Cosign(text, stamp));
        TreeHead head = new(size, root, new Note(text, lines).ToBytes());

        await SwapAsync(last, head, stop).ConfigureAwait(false);
        return true;
    }

    /// <summary>
    /// 6. Records the head before the signature can leave the process. A crash here: the register holds this head or the last, and a restart offers the head
    /// that it holds. While the guard is unavailable, the same head is tried again and again.
    /// </summary>
    private async Task SwapAsync(TreeHead? last, TreeHead head, CancellationToken stop)
    {
        try
        {
            if (!await _register.SwapAsync(last, head, "signed", stop).ConfigureAwait(false))
            {
                throw new ConflictException($"the register (commit, lock) no longer holds size {last?.Size ?? 0}: another process signs for this log");
            }
        }
        catch (GuardUnavailableException)
        {
            (_unswapped, _nextSigning) = ((last, head), In(GuardRetry));
            return;
        }

        _unswapped = null;
        Offer(head);
    }

    /// <summary>Whether the note has a valid line of every key of the log.</summary>
    internal static bool IsOurs(Note note, INoteSigner signer, ICosigner? cosigner)
    {
        INoteVerifier[] own = [.. Keys(signer, cosigner)];
        return note.Verify(own).Verified.Count == own.Length;
    }

    private static IEnumerable<INoteVerifier> Keys(INoteSigner signer, ICosigner? cosigner) =>
        ((VerifierKey[])(cosigner is null ? [signer.Key] : [signer.Key, cosigner.Key])).Select(key => Verifiers.TryCreate(key)!);

    /// <summary>7. Asks the witnesses to cosign a head that is in the register. Publishes it immediately when no cosignature is needed.</summary>
    private void Offer(TreeHead head)
    {
        long now = _time.GetTimestamp();
        _candidate = new Candidate(head, _latest(), now, new CosignatureSet(_policy));
        if (_waitingSince == Never) _waitingSince = now;
        _witnesses.Offer(head);
        if (!NeedsQuorum) Publish();
    }

    /// <summary>8. Shows the candidate to readers and wakes the callers that wait for it. A crash here: the restart publishes the same head.</summary>
    private void Publish()
    {
        Candidate candidate = _candidate!;
        _candidate = null;
        _waitingSince = Never;

        // Cosignatures that were public on this same head before a restart stay until newer lines of the same keys come.
        bool again = _public is Published current && current.Size == candidate.Head.Size && current.Root == candidate.Head.Root;
        if (!again) _publicLines = new CosignatureSet(_policy);
        _publicLines.Add(candidate.Lines.Lines);
        _publicHead = candidate.Head;
        _isHeld = false;
        Show(candidate.Tree);
        LookWhetherWhole();
        if (Peers.Count > 0 && _time.GetElapsedTime(_wholeAt) >= WholeEvery) (_isHeld, _wholeAt, _heldUntil) = (true, _time.GetTimestamp(), In(HoldFor));
    }

    /// <summary>
    /// Records when all witnesses that may be expected to answer have cosigned the public checkpoint, and shortens the time for which it stays.
    /// </summary>
    private void LookWhetherWhole()
    {
        if (_public is null || !_witnesses.HaveAllAnswered(_public.Size)) return;
        _wholeAt = _time.GetTimestamp();
        if (_isHeld) (_isHeld, _heldUntil) = (false, Math.Min(_heldUntil, In(StayFor)));
    }

    private void Show(TreeSnapshot tree)
    {
        TreeHead head = _publicHead!;
        Published next = new(head.Size, head.Root, _publicLines.On(head.Checkpoint), tree);
        if (_cachePath is not null) DurableFile.Replace(_cachePath, next.Checkpoint.Span);
        _linesJoined = false;
        Volatile.Write(ref _public, next);
        if (_publicLines.MeetsQuorum)
        {
            Volatile.Write(ref _witnessed, next);
            _alarm.Clear(head.Size);
        }
        else
        {
            _alarm.Raise(head.Size);
        }

        WakeWaiters();
    }

    /// <summary>
    /// Shows the checkpoint that was public before the restart, if it is still valid. Its file is a cache, and is verified like the checkpoint of another
    /// party. Called before <see cref="RunAsync"/>.
    /// </summary>
    public async Task RestoreAsync(CancellationToken stop)
    {
        // A file that is too long is no checkpoint; fsck reports it.
        if (_cachePath is null || Paths.VersionOf(_cachePath) is null or { Length: > Note.MaxSize } || !DurableFile.TryRead(_cachePath, Note.MaxSize, out byte[] bytes)) return;
        if (!Note.TryParse(bytes, out Note? note) || !Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)) return;
        if (checkpoint.Origin != _origin || checkpoint.Size > SignedSize || !IsOurs(note, _signer, _cosigner)) return;
        NoteVerification cosigned = note.Verify([.. _policy.Witnesses.Select(witness => Verifiers.TryCreate(witness.Key)).OfType<INoteVerifier>()]);
        if (cosigned.Status == NoteStatus.BadSignature) return;
        CosignatureSet lines = new(_policy);
        lines.Add(cosigned.Verified.Select(line => line.Signature));
        TreeSnapshot tree = _latest();
        if (checkpoint.Size > 0)
        {
            Hash[] root = await _tiles.BuildAsync(ProofPlan.Root(checkpoint.Size), tree, stop).ConfigureAwait(false);
            if (root[0] != checkpoint.Root) return;
        }

        // The feeds remember what each witness has cosigned, so that they notice a witness that has gone back meanwhile.
        ReadOnlyMemory<byte> own = new Note(note.Text, [.. note.Verify([.. Keys(_signer, _cosigner)]).Verified.Select(line => line.Signature)]).ToBytes();
        foreach (PolicyPeer peer in Peers)
        {
            NoteSignature[] held = [.. cosigned.Verified.Where(line => peer.Lines.Any(witness => witness.Key.Equals(line.Verifier.Key))).Select(line => line.Signature)];
            if (held.Length > 0) peer.Feed.Remember(new HeldCosignature(new OfferedCheckpoint(checkpoint.Size, checkpoint.Root, own), held));
        }

        if (!lines.MeetsQuorum && _settings.QuorumMode == QuorumMode.Require) return;
        _publicLines = lines;
        Published restored = new(checkpoint.Size, checkpoint.Root, bytes, tree);
        Volatile.Write(ref _public, restored);
        if (lines.MeetsQuorum) Volatile.Write(ref _witnessed, restored);
        else _alarm.Raise(restored.Size);
    }

    /// <summary>Called when the log is halted. If no quorum is needed, readers get the head that was signed last. Nothing new is signed.</summary>
    public void ShowSigned()
    {
        if (NeedsQuorum || Current is not null || _register.Current is not TreeHead head) return;
        Volatile.Write(ref _public, new Published(head.Size, head.Root, head.Checkpoint, _latest()));
    }

    /// <summary>Offers the newest head again, because cosignatures grow old while nothing is appended. The log's own signature lines stay.</summary>
    private void Renew()
    {
        _renewAt = In(_settings.RenewInterval);
        if (_register.Current is TreeHead head) _witnesses.Offer(head);
    }

    private static OfferedCheckpoint Offered(TreeHead head) => new(head.Size, head.Root, head.Checkpoint);

    private long Ticks(TimeSpan span) => (long)(span.TotalSeconds * _time.TimestampFrequency);

    private long In(TimeSpan span) => _time.GetTimestamp() + Ticks(span);

    private TimeSpan Until(long at) => TimeSpan.FromSeconds((double)(at - _time.GetTimestamp()) / _time.TimestampFrequency);

    /// <param name="Head">Signed, in the register.</param>
    /// <param name="Tree">A snapshot that covers it.</param>
    /// <param name="Since">When the witnesses were asked: a timestamp.</param>
    /// <param name="Lines">The cosignatures that they have answered with.</param>
    private sealed record Candidate(TreeHead Head, TreeSnapshot Tree, long Since, CosignatureSet Lines);
}
