// The way of an entry, second half: consistency -> sign -> register -> witnesses -> public (spec/life-of-an-entry.md).
// One loop. It signs one head at a time, and the next only when that one is public or has waited long enough for its quorum.

using System.Threading.Channels;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>What readers see: a checkpoint and a tree that covers it.</summary>
/// <param name="Size">The published tree size.</param>
/// <param name="Root">Its root hash.</param>
/// <param name="Checkpoint">The signed note with its cosignatures.</param>
/// <param name="Tree">A snapshot of at least that size.</param>
internal sealed record Published(long Size, Hash Root, ReadOnlyMemory<byte> Checkpoint, TreeSnapshot Tree);

/// <summary>Signs the tree as it grows and makes it public when the policy is met.</summary>
internal sealed class Publisher
{
    private readonly string _origin;
    private readonly INoteSigner _signer;
    private readonly ICosigner? _cosigner;
    private readonly ITreeRegister _register;
    private readonly TileReader _tiles;
    private readonly StoredTree _stored;
    private readonly Func<TreeSnapshot> _latest;
    private readonly Policy? _policy;
    private readonly IReadOnlyList<WitnessFeed> _feeds;
    private readonly string? _cachePath;
    private readonly Settings _settings;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Action _quorumMet;
    private readonly Func<bool> _mayAppend;
    private readonly Channel<WitnessEvent?> _events = Channel.CreateUnbounded<WitnessEvent?>(new UnboundedChannelOptions { SingleReader = true });
    private int _grown;                 // 1 while a "the tree has grown" event is in the channel
    private Candidate? _candidate;      // signed, in the register, not public yet
    private Published? _public;
    private TaskCompletionSource _nextPublic = new(TaskCreationOptions.RunContinuationsAsynchronously); // completed and replaced at each publication
    private Dictionary<(string Name, uint KeyId), NoteSignature> _publicLines = [];
    private long _nextSigning;          // timestamp before which nothing is signed

    public Publisher(
        string origin, INoteSigner signer, ICosigner? cosigner, ITreeRegister register, TileReader tiles, StoredTree stored, Func<TreeSnapshot> latest, Policy? policy,
        Func<Publisher, IReadOnlyList<WitnessFeed>> feeds, string? cachePath, Settings settings, TimeProvider time, ILogger logger,
        Action quorumMet, Func<bool> mayAppend)
    {
        _origin = origin;
        _signer = signer;
        _cosigner = cosigner;
        _register = register;
        _tiles = tiles;
        _stored = stored;
        _latest = latest;
        _policy = policy;
        _cachePath = cachePath;
        _settings = settings;
        _time = time;
        _logger = logger;
        _quorumMet = quorumMet;
        _mayAppend = mayAppend;
        _feeds = feeds(this);
    }

    /// <summary>The public state; null before the first publication.</summary>
    public Published? Current => Volatile.Read(ref _public);

    public IReadOnlyList<WitnessFeed> Feeds => _feeds;

    /// <summary>Whether publication needs cosignatures.</summary>
    public bool NeedsQuorum => _policy is { QuorumIsNone: false };

    /// <summary>The size in the register: nothing larger was ever signed.</summary>
    public long SignedSize => _register.Current?.Size ?? 0;

    /// <summary>Tells the loop that there is a newer tree. Costs nothing while it knows.</summary>
    public void Grown()
    {
        if (Interlocked.Exchange(ref _grown, 1) == 0) _events.Writer.TryWrite(null);
    }

    public void Report(WitnessEvent witnessEvent) => _events.Writer.TryWrite(witnessEvent);

    /// <summary>A public state that covers an index, as soon as there is one. A caller that stops waiting leaves nothing behind.</summary>
    public async ValueTask<Published> WaitAsync(long index, CancellationToken stop)
    {
        while (true)
        {
            // Taken before the look: a publication between the two is not missed.
            Task next = Volatile.Read(ref _nextPublic).Task;
            if (Current is Published current && current.Size > index) return current;
            await next.WaitAsync(stop).ConfigureAwait(false);
        }
    }

    /// <summary>The consistency proof from an old size to a head of ours, out of the tiles.</summary>
    public ValueTask<Hash[]> ProveConsistencyAsync(long from, TreeHead head, CancellationToken stop) =>
        _tiles.BuildAsync(ProofPlan.Consistency(from, head.Size), _latest(), stop);

    /// <summary>Runs until stopped. Throws when the register fails or evidence against this log turns up: nothing is signed after that.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using PeriodicTimer renewal = new(_settings.RenewInterval, _time); // before anything is public: who moves the clock then finds all its timers

        // A head that was signed before the restart is published as it is: signing another one at its size would be a second statement.
        if (_register.Current is TreeHead signed) await OfferAsync(signed, stop).ConfigureAwait(false);
        else await SignAsync(TreeSnapshot.Empty, stop).ConfigureAwait(false); // every tree extends the empty one, so this can contradict no one, and witnesses can be asked

        // What the journal held beyond that head.
        Grown();

        Task renewals = RenewAsync(renewal, stop);
        while (await _events.Reader.WaitToReadAsync(stop).ConfigureAwait(false))
        {
            while (_events.Reader.TryRead(out WitnessEvent? witnessEvent))
            {
                switch (witnessEvent)
                {
                    case null:
                        Volatile.Write(ref _grown, 0);
                        break;
                    case WitnessEvent.Cosigned cosigned:
                        await TakeAsync(cosigned).ConfigureAwait(false);
                        break;
                    case WitnessEvent.Ahead ahead:
                        throw new ConflictException(
                            $"the witness at {ahead.Witness} has cosigned size {ahead.Size} of {_origin}, but this log has never signed more than {SignedSize}: "
                            + "this directory is an older copy, or a second log runs with the same key");
                }
            }

            if (MaySign())
            {
                TimeSpan wait = TimeSpan.FromSeconds((double)(_nextSigning - _time.GetTimestamp()) / _time.TimestampFrequency);
                if (wait > TimeSpan.Zero) await Task.Delay(wait, _time, stop).ConfigureAwait(false);
                await SignAsync(_latest(), stop).ConfigureAwait(false);
            }
        }

        await renewals.ConfigureAwait(false);
    }

    private bool MaySign()
    {
        if (!_mayAppend() || _latest().Size <= SignedSize) return false;

        // A head that waits for its quorum is not overtaken at once: each head costs a signature and a request to every witness.
        return _candidate is null || _time.GetElapsedTime(_candidate.Since) > _settings.WitnessTimeout;
    }

    private async Task SignAsync(TreeSnapshot tree, CancellationToken stop)
    {
        (long size, Hash root) = (tree.Size, tree.Root);
        TreeHead? last = _register.Current;
        _nextSigning = _time.GetTimestamp() + (long)(_settings.PublishGap.TotalSeconds * _time.TimestampFrequency);

        // 5. The stored bytes, read back and hashed again, give this tree. Otherwise memory has changed on the way: nothing is signed, and the next start makes the
        //    tree of what is stored.
        await _stored.CheckAsync(tree, stop).ConfigureAwait(false);

        //    And the verifier's own code says that the new tree extends the signed one. A crash here: nothing was signed.
        if (last is not null)
        {
            Hash[] proof = await _tiles.BuildAsync(ProofPlan.Consistency(last.Size, size), tree, stop).ConfigureAwait(false);
            if (!MerkleProof.VerifyConsistency(last.Size, size, last.Root, root, proof))
            {
                throw new ConflictException($"the tree of size {size}, root {root} does not extend the signed size {last.Size}, root {last.Root}");
            }
        }

        byte[] text = new Checkpoint(_origin, size, root).ToText();
        List<NoteSignature> lines = [_signer.Sign(text)]; // each verified by its signer before it is returned; a failure of one ends the signing
        if (_cosigner is not null) lines.Add(_cosigner.Cosign(text, NextTimestamp(last)));
        TreeHead head = new(size, root, new Note(text, lines).ToBytes());

        // 6. Remembered before the signature can leave the process. A crash here: the register holds this head or the last, and a restart offers what it holds.
        if (!await _register.SwapAsync(last, head, "signed", stop).ConfigureAwait(false))
        {
            throw new ConflictException($"the register (commit, lock) no longer holds size {last?.Size ?? 0}: another process signs for this log");
        }

        await OfferAsync(head, stop).ConfigureAwait(false);
    }

    /// <summary>
    /// Now, or the time of the last head where the clock has gone back: the statement is that this was the largest tree at that time, and two sizes
    /// out of order would contradict it.
    /// </summary>
    private ulong NextTimestamp(TreeHead? last)
    {
        ulong before = 1;
        if (last is not null && Note.TryParse(last.Checkpoint.Span, out Note? note))
        {
            foreach (NoteSignature line in note!.Signatures)
            {
                if (line.KeyId == _cosigner!.Key.KeyId && line.Name == _origin && Cosignature.TryReadTimestamp(line.Signature.Span, out ulong timestamp)) before = timestamp;
            }
        }

        return Math.Max(before, (ulong)Math.Max(0, _time.GetUtcNow().ToUnixTimeSeconds()));
    }

    /// <summary>Whether every key of the log has a line there that verifies.</summary>
    internal static bool IsOurs(Note note, INoteSigner signer, ICosigner? cosigner)
    {
        VerifierKey[] own = cosigner is null ? [signer.Key] : [signer.Key, cosigner.Key];
        return note.Verify([.. own.Select(key => Verifiers.TryCreate(key)!)]).Verified.Count == own.Length;
    }

    /// <summary>7. Asks the witnesses for a head that is in the register; makes it public at once when no cosignature is needed.</summary>
    private async Task OfferAsync(TreeHead head, CancellationToken stop)
    {
        _candidate = new Candidate(head, _latest(), _time.GetTimestamp());
        foreach (WitnessFeed feed in _feeds) feed.Submit(head);
        if (!NeedsQuorum) await PublishAsync(_candidate).ConfigureAwait(false);
    }

    private async Task TakeAsync(WitnessEvent.Cosigned cosigned)
    {
        if (_candidate is Candidate candidate && candidate.Head == cosigned.Head)
        {
            Merge(candidate.Lines, cosigned.Lines);
            if (_policy!.IsQuorumMet(witness => candidate.Lines.ContainsKey((witness.Key.Name, witness.Key.KeyId)))) await PublishAsync(candidate).ConfigureAwait(false);
        }
        else if (_public is Published current && current.Size == cosigned.Head.Size && current.Root == cosigned.Head.Root)
        {
            // 9. Late or renewed lines join the checkpoint that is public.
            Merge(_publicLines, cosigned.Lines);
            await ShowAsync(current.Tree, cosigned.Head, _publicLines).ConfigureAwait(false);
        }
    }

    /// <summary>8. The head becomes what readers see; those who waited for it are woken. A crash here: the restart publishes the same head.</summary>
    private async Task PublishAsync(Candidate candidate)
    {
        _candidate = null;

        // Lines that were public on this very head, before a restart, stay so until newer ones of the same keys come.
        bool again = _public is Published current && current.Size == candidate.Head.Size && current.Root == candidate.Head.Root;
        Dictionary<(string Name, uint KeyId), NoteSignature> lines = again ? new(_publicLines) : [];
        Merge(lines, candidate.Lines.Values);
        _publicLines = lines;
        await ShowAsync(candidate.Tree, candidate.Head, lines).ConfigureAwait(false);
        _quorumMet();
    }

    private ValueTask ShowAsync(TreeSnapshot tree, TreeHead head, Dictionary<(string Name, uint KeyId), NoteSignature> lines)
    {
        ReadOnlyMemory<byte> checkpoint = head.Checkpoint;
        if (lines.Count > 0)
        {
            if (!Note.TryParse(head.Checkpoint.Span, out Note? note) || note is null) throw new StorageException("the register's checkpoint is not a note");

            // In the order of the policy: the same lines give the same bytes.
            IEnumerable<NoteSignature> ordered = _policy!.Witnesses.Select(witness => (witness.Key.Name, witness.Key.KeyId)).Where(lines.ContainsKey).Select(key => lines[key]);
            checkpoint = new Note(note.Text, [.. note.Signatures, .. ordered]).ToBytes();
        }

        Published next = new(head.Size, head.Root, checkpoint, tree);
        if (_cachePath is not null) DurableFile.Replace(_cachePath, checkpoint.Span);
        Volatile.Write(ref _public, next);
        Interlocked.Exchange(ref _nextPublic, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
        return ValueTask.CompletedTask;
    }

    /// <summary>
    /// Shows the checkpoint that was public before the restart, when it still holds: it is a cache, verified like a stranger's.
    /// Called before <see cref="RunAsync"/>.
    /// </summary>
    public async Task RestoreAsync(CancellationToken stop)
    {
        if (_cachePath is null || _policy is null || !File.Exists(_cachePath) || new FileInfo(_cachePath).Length > Note.MaxSize) return;
        if (!DurableFile.TryRead(_cachePath, Note.MaxSize, out byte[] bytes)) return;
        if (!Note.TryParse(bytes, out Note? note) || note is null || !Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint) || checkpoint is null) return;
        if (checkpoint.Origin != _origin || checkpoint.Size > SignedSize || !IsOurs(note, _signer, _cosigner)) return;
        NoteVerification cosigned = note.Verify([.. _policy.Witnesses.Select(witness => Verifiers.TryCreate(witness.Key)).OfType<INoteVerifier>()]);
        if (cosigned.Status == NoteStatus.BadSignature) return;
        Dictionary<(string Name, uint KeyId), NoteSignature> lines = [];
        Merge(lines, cosigned.Verified.Select(line => line.Signature));
        TreeSnapshot tree = _latest();
        if (!_policy.IsQuorumMet(witness => lines.ContainsKey((witness.Key.Name, witness.Key.KeyId)))) return;
        if (checkpoint.Size > 0)
        {
            Hash[] root = await _tiles.BuildAsync(ProofPlan.Root(checkpoint.Size), tree, stop).ConfigureAwait(false);
            if (root[0] != checkpoint.Root) return;
        }

        _publicLines = lines;
        Volatile.Write(ref _public, new Published(checkpoint.Size, checkpoint.Root, bytes, tree));
    }

    /// <summary>While the log is halted: without a quorum to meet, what was signed last is what readers see. Nothing new is signed.</summary>
    public void ShowSigned()
    {
        if (NeedsQuorum || Current is not null || _register.Current is not TreeHead head) return;
        Volatile.Write(ref _public, new Published(head.Size, head.Root, head.Checkpoint, _latest()));
    }

    /// <summary>While nothing is appended cosignatures grow old: the public head is offered again. Its own signature lines stay.</summary>
    private async Task RenewAsync(PeriodicTimer timer, CancellationToken stop)
    {
        if (_feeds.Count == 0) return;
        while (await timer.WaitForNextTickAsync(stop).ConfigureAwait(false))
        {
            if (_register.Current is TreeHead head)
            {
                foreach (WitnessFeed feed in _feeds) feed.Submit(head);
            }
        }
    }

    private static void Merge(Dictionary<(string Name, uint KeyId), NoteSignature> lines, IEnumerable<NoteSignature> more)
    {
        foreach (NoteSignature line in more) lines[(line.Name, line.KeyId)] = line;
    }

    private sealed class Candidate(TreeHead head, TreeSnapshot tree, long since)
    {
        public TreeHead Head { get; } = head;

        public TreeSnapshot Tree { get; } = tree;

        public long Since { get; } = since;

        public Dictionary<(string Name, uint KeyId), NoteSignature> Lines { get; } = [];
    }
}
