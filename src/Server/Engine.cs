// The parts of a running log, and what happens to them when one fails: intake and sequencer stop, readers stay.

using System.Buffers;
using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>The state of the log. Only <see cref="Ready"/> accepts entries.</summary>
internal enum EngineState
{
    /// <summary>Reads are served; witnesses are being asked whether this directory is the newest.</summary>
    Starting,

    /// <summary>Entries are accepted, unless the disk is nearly full or a witness's claim holds the log.</summary>
    Ready,

    /// <summary>Evidence against this log was found and recorded: an operator has to resume.</summary>
    Halted,

    /// <summary>Storage or a key failed: a restart decides.</summary>
    Failed,

    /// <summary>The process is ending.</summary>
    Stopping,
}

/// <summary>
/// The parts of an engine: those of its directory and its keys, or a test's replacement of one of them. Without an ML-DSA-44 key, the cosigner is null.
/// </summary>
internal sealed record EngineParts(IJournal Journal, ITileStore Tiles, ITreeRegister Register, INoteSigner Signer, ICosigner? Cosigner);

/// <summary>For tests: a small journal, and a replacement of one part. Null in production.</summary>
internal sealed record EngineSeams(JournalOptions? Journal = null, Func<EngineParts, EngineParts>? Replace = null);

/// <summary>A running log: opened from its directory, until it is disposed.</summary>
internal sealed class Engine : IAsyncDisposable
{
    /// <summary>How often a log that has stopped logs that again, so that the newest lines always show it.</summary>
    private static readonly TimeSpan Reminder = TimeSpan.FromMinutes(1);

    private readonly LogDirectory _directory;
    private readonly EngineParts _parts;
    private readonly Settings _settings;
    private readonly ILogger _logger;
    private readonly Intake _intake;
    private readonly CancellationTokenSource _stopPublishing = new(), _stopReading = new(), _stopWaiting = new();
    private readonly FileWatch _watch;
    private readonly GuardWatch? _guard;
    private Sequencer _sequencer = null!;
    private StoredTree? _stored;
    private Task _sequencing = Task.CompletedTask, _publishing = Task.CompletedTask, _feeding = Task.CompletedTask, _indexing = Task.CompletedTask, _scrubbing = Task.CompletedTask, _watching = Task.CompletedTask;
    private readonly Lock _stopping = new(); // so that only the first reason counts
    private long _sealedAtStart; // segments at the start, without those that the journal's tail adds
    private readonly ITimer _reminder;
    private string? _stopped; // why it accepts no entries any more, for the operator
    private bool _flushFailed;
    private int _full; // 1 once it was logged that the disk is nearly full
    private bool _haltRecorded;
    private bool _disposed;
    private bool _running; // the loops were started; a start that refuses leaves the directory unchanged
    private bool _opened;  // it was ready once; until then only the empty tree is signed, even while it stops
    private int _state = (int)EngineState.Starting;

    private Engine(LogDirectory directory, EngineParts parts, SigningClock clock, Settings settings, TimeProvider time, ILogger logger, JournalOptions? journal)
    {
        _directory = directory;
        _parts = parts;
        _settings = settings;
        _logger = logger;
        Tiles = new TileReader(parts.Tiles, settings.ReadCacheBytes);
        FullIndex? full = settings.DuplicateIndex == DuplicateHistory.Full ? new FullIndex(Path.Combine(directory.Root, "index"), parts.Tiles, time, logger) : null;
        Duplicates = new Duplicates(MakeTable(settings.DuplicateTableBytes), full, Tiles, logger);
        Clock = new LogClock(clock, directory.Identity.Origin, parts.Cosigner?.Key, () => parts.Register.Current, time, logger);
        Space = new DiskSpace(directory.Root, LogDirectory.ReserveFor(directory.Identity, settings.IntakeBytes));
        _intake = new Intake(settings.IntakeBytes, settings.IntakeCount, settings.WaitLimit, Duplicates);
        _guard = directory.Register.Guard is GuardFence guard ? new GuardWatch(guard, settings.IntakeBytes, logger) : null;
        Evidence = new EvidenceFolder(directory.Root);
        Webhooks = new EvidenceWebhooks(Evidence, settings.EvidenceWebhooks, new EvidenceWebhookOptions(), time, logger);
        Scrub = new Scrub(directory.Root, journal, settings.ScrubMegabytes * 1_000_000L, settings.ScrubInterval, time, logger);
        _watch = FileWatch.Of(directory, logger.KeyWithdrawn, time);
        _reminder = time.CreateTimer(_ => Remind(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public LogIdentity Identity => _directory.Identity;

    public TileReader Tiles { get; }

    public Publisher Publisher { get; private set; } = null!;

    /// <summary>The clock, and whether it prevents signing.</summary>
    public LogClock Clock { get; }

    /// <summary>The disk. Below its reserve no entries are accepted; accepted entries are still written, signed and published.</summary>
    public DiskSpace Space { get; }

    /// <summary>Whether new entries are refused for lack of room: free space is below the reserve, or the journal waits for its next file.</summary>
    private bool IsFull => Space.IsLow || _directory.Journal.WaitsForRoom;

    /// <summary>Whether entries are accepted now.</summary>
    public bool TakesEntries => State is EngineState.Ready && !IsFull && Publisher.Held is not { What: Hold.Signing };

    /// <summary>Since when and why the guard does not answer; null while it answers. Nothing is signed while it does not.</summary>
    public GuardTrouble? GuardTrouble => _guard?.Trouble;

    /// <summary>The check of the store in the background.</summary>
    public Scrub Scrub { get; }

    /// <summary>The evidence of the log's own contradictions.</summary>
    public EvidenceFolder Evidence { get; }

    /// <summary>Sends that evidence to the operator's webhooks.</summary>
    public EvidenceWebhooks Webhooks { get; }

    /// <summary>Finds entries that are already in the log.</summary>
    public Duplicates Duplicates { get; }

    public EngineState State => (EngineState)Volatile.Read(ref _state);

    /// <summary>Whether the log has stopped, by evidence or by failure. It does not continue before a restart.</summary>
    public bool HasStopped => State is EngineState.Halted or EngineState.Failed;

    /// <summary>Whether storage or a key failed, while the log ran or while it closed.</summary>
    public bool HasFailed => State is EngineState.Failed || _flushFailed;

    /// <summary>Why the log is not ready, in words for clients. Details with paths and hosts are in the operator's log.</summary>
    public string Reason => State switch
    {
        EngineState.Starting when Publisher?.Held is HeldState held => held.Reason,
        EngineState.Starting => "witnesses are being asked for their newest size",
        EngineState.Halted when Scrub.Status.Damage is Damage damage => $"damage was found in the store: {damage.Kind}{(damage.Segment is long segment ? $", segment {segment}" : "")}{(damage.Index is long index ? $", index {index}" : "")}; its operator has to look into it",
        EngineState.Halted => "it was halted; its operator has to look into the reason and resume",
        EngineState.Failed => "storage or the key failed; a restart decides",
        EngineState.Stopping => "the process is ending",
        EngineState.Ready when IsFull => "the disk is nearly full; entries are taken again once there is room",
        EngineState.Ready when Publisher.Held is { What: Hold.Signing } held => $"appends and signatures are held: {held.Reason}",
        EngineState.Ready when Publisher.Held is HeldState held => $"publication is held, entries are taken: {held.Reason}",
        _ => "entries are taken",
    };

    /// <summary>Appends that wait for the sequencer to take their frame.</summary>
    public int Waiting => _intake.Count;

    /// <summary>Entries that are durable.</summary>
    public long Size => _sequencer.Latest.Size;

    /// <summary>The number of frames that the journal has written since the start, and their bytes.</summary>
    public (long Frames, long Bytes) Journalled => (_directory.Journal.Syncs, _directory.Journal.FrameBytes);

    /// <summary>
    /// Opens the directory, rebuilds the tree, checks it against the signed head, and starts the log. Throws <see cref="StorageException"/> (exit 3) when the
    /// directory has changed or is damaged, and <see cref="ConfigurationException"/> (exit 2) for the policy.
    /// </summary>
    public static async Task<Engine> StartAsync(Settings settings, TimeProvider time, ILogger logger, CancellationToken stop, EngineSeams? seams = null)
    {
        LogIdentity identity = LogDirectory.ReadIdentity(settings.Data);
        Policy policy = WitnessPolicy.Read(settings.Policy, identity);
        foreach (string unusable in WitnessPolicy.Unusable(policy)) logger.PolicyKeyUnusable(unusable);
        NoteSigner signer = ReadSigner(settings, identity);
        MlDsa44Cosigner? cosigner = identity.MlDsa44 is LogKey second ? ReadCosigner(settings, identity.Origin, second) : null;
        LogDirectory directory = await OpenAsync(settings, signer.Key, time, seams?.Journal).ConfigureAwait(false);
        EngineParts parts = new(directory.Journal, directory.Tiles, directory.Register, signer, cosigner);
        Engine engine;
        try
        {
            SigningClock clock = SigningClock.Open(directory.Root, settings.ClockLimit, time);
            engine = new Engine(directory, seams?.Replace?.Invoke(parts) ?? parts, clock, settings, time, logger, seams?.Journal);
        }
        catch
        {
            await directory.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        try
        {
            if (directory.Register.Mended is string mended) logger.Mended(mended);
            if (directory.Journal.Cut is string cut) logger.Mended(cut);
            engine.CheckCheckpoint();
            engine._sealedAtStart = engine._parts.Tiles.SegmentCount;
            TreeHead? signed = engine._parts.Register.Current;
            engine._stored = await StoredTree.RestoreAsync(engine._parts.Tiles, engine._parts.Journal, signed, stop).ConfigureAwait(false);
            engine._sequencer = await Sequencer.RecoverAsync(
                engine._intake, engine._parts.Journal, engine._parts.Tiles, signed, engine._stored, engine.Duplicates, _ => engine.Grown(), bytes => engine._guard?.BeforeAnswer(bytes), stop).ConfigureAwait(false);
            WitnessTrust trust = new(directory.Register.GuardAgrees, DistrustedWitnesses.Read(settings.Data));
            foreach (DistrustedWitness one in trust.Distrusted)
            {
                logger.WitnessDistrusted(one.Name, one.Since, one.Reason, policy.Witnesses.Any(witness => witness.Name == one.Name) ? "" : "; the policy has no witness of that name");
            }

            engine.StartPublishing(policy, time, trust);
            await engine.Publisher.RestoreAsync(stop).ConfigureAwait(false);
            engine.Run();
            return engine;
        }
        catch
        {
            await engine.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Accepts one entry of 1 to 65,535 bytes, or finds it in the log. Its bytes are copied by the time the task has completed. Throws
    /// <see cref="UnavailableException"/> while the log accepts no entries.
    /// </summary>
    public ValueTask<Append> AddAsync(ReadOnlySequence<byte> entry, Hash leaf, CancellationToken stop)
    {
        Check();
        TreeSnapshot tree = _sequencer.Latest;
        ValueTask<long> finding = Duplicates.FindAsync(leaf, tree, stop);
        return finding.IsCompletedSuccessfully ? ValueTask.FromResult(Take(finding.Result)) : TakeFoundAsync();

        async ValueTask<Append> TakeFoundAsync() => Take(await finding.ConfigureAwait(false));

        Append Take(long known) => known < 0 ? _intake.Add(entry, leaf, tree.Size) : Answered(new Append(known), 1);
    }

    /// <summary>Accepts the entries of a bundle, all or none; entries that are already in the log are found. The copy and the exception are as above.</summary>
    public async ValueTask<Append> AddAsync(ReadOnlyMemory<byte> bundle, ReadOnlyMemory<Hash> leaves, CancellationToken stop)
    {
        Check();
        TreeSnapshot tree = _sequencer.Latest;
        long[]? known = await Duplicates.LookUpAsync(leaves, tree, stop).ConfigureAwait(false);
        return known is not null && !known.AsSpan().Contains(-1) ? Answered(new Append(known), known.Length) : _intake.Add(bundle.Span, leaves.Span, known, tree.Size);
    }

    /// <summary>Accepts no more entries, answers those that wait, makes the sealed segments durable, and closes. Sets no time limit; the caller may.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true)) return;
        Interlocked.CompareExchange(ref _state, (int)EngineState.Stopping, (int)EngineState.Ready);
        Interlocked.CompareExchange(ref _state, (int)EngineState.Stopping, (int)EngineState.Starting);
        await _reminder.DisposeAsync().ConfigureAwait(false);
        Clock.Dispose();
        _intake.Close();
        await _stopWaiting.CancelAsync().ConfigureAwait(false);
        _guard?.Close();
        await _sequencing.ConfigureAwait(false);
        await _stopPublishing.CancelAsync().ConfigureAwait(false);
        await _publishing.ConfigureAwait(false);
        await _feeding.ConfigureAwait(false);
        await _stopReading.CancelAsync().ConfigureAwait(false);
        await _indexing.ConfigureAwait(false);
        await _scrubbing.ConfigureAwait(false);
        await _watching.ConfigureAwait(false);
        Publisher?.Dispose();
        await Webhooks.DisposeAsync().ConfigureAwait(false);
        if (_running && State == EngineState.Stopping)
        {
            try
            {
                await _parts.Tiles.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            }
            catch (StorageException failure)
            {
                // The journal still has these entries. The next start seals them again.
                _flushFailed = true;
                _logger.EngineFailed(failure.Message);
            }
        }

        _stored?.Dispose();
        await _directory.DisposeAsync().ConfigureAwait(false);
        _intake.Dispose();
        _guard?.Dispose();
        _stopPublishing.Dispose();
        _stopReading.Dispose();
        _stopWaiting.Dispose();
    }

    /// <summary>Seeds the table with a random value per process, so that clients cannot aim at a bucket. Null when the size allows no table.</summary>
    private static DuplicateTable? MakeTable(int bytes) =>
        bytes < DuplicateTable.MinBytes ? null : new DuplicateTable(bytes, BitConverter.ToUInt64(System.Security.Cryptography.RandomNumberGenerator.GetBytes(8)));

    private Append Answered(Append append, int entries)
    {
        append.TryAnswer(null);
        Duplicates.CountAnswered(entries);
        return append;
    }

    private void Grown()
    {
        Publisher?.Grown();
        Duplicates.Full?.Grown();
    }

    private void Check()
    {
        switch (State)
        {
            case EngineState.Ready:
                // A witness that was out of reach at the start may know a newer history.
                if (Publisher.Held is { What: Hold.Signing }) throw new UnavailableException(Reason, 30);

                // Checked before a write can fail: a log with a failed write needs a restart, a log that waits for room does not.
                if (!IsFull) return;
                if (Interlocked.Exchange(ref _full, 1) == 0)
                {
                    _logger.DiskLow(Space.Describe());
                    _reminder.Change(Reminder, Reminder);
                }

                throw new UnavailableException(Reason, 30);
            case EngineState.Starting:
                throw new UnavailableException($"the log is starting: {Reason}", 2);
            case EngineState.Stopping:
                throw new UnavailableException("the log is stopping", 5);
            default:
                throw new UnavailableException($"the log takes no entries: {Reason}", 60);
        }
    }

    /// <summary>
    /// Opens the directory. When it holds two different signed heads of one size, both are kept as evidence before the start is refused: the investigation
    /// needs both.
    /// </summary>
    private static async Task<LogDirectory> OpenAsync(Settings settings, VerifierKey key, TimeProvider time, JournalOptions? journal)
    {
        try
        {
            return await LogDirectory.OpenAsync(settings.Data, settings.Guard, time, journal).ConfigureAwait(false);
        }
        catch (ConflictException conflict) when (conflict.Evidence is TlogEvidence evidence && evidence.TryVerify([Verifiers.TryCreate(key)!], out _))
        {
            throw new ConflictException($"{conflict.Message}{Keep(new EvidenceFolder(settings.Data), evidence)}", evidence);
        }
    }

    private static NoteSigner ReadSigner(Settings settings, LogIdentity identity)
    {
        string path = Path.Combine(settings.Data, identity.KeyPath);
        KeyFile key = KeyFile.Read(path, identity.Origin, settings.AllowGroupReadableKeys);
        NoteSigner signer = new(identity.Origin, key.Key);
        return signer.Key.ToString() == identity.VerifierKey ? signer : throw AnotherKey(path, identity.VerifierKey, signer.Key);
    }

    private static MlDsa44Cosigner ReadCosigner(Settings settings, string origin, LogKey own)
    {
        string path = Path.Combine(settings.Data, own.KeyPath);
        MlDsa44Cosigner cosigner = new(origin, KeyFile.ReadMlDsa44(path, origin, settings.AllowGroupReadableKeys).Key);
        return cosigner.Key.ToString() == own.VerifierKey ? cosigner : throw AnotherKey(path, own.VerifierKey, cosigner.Key);
    }

    private static StorageException AnotherKey(string path, string expected, VerifierKey given) =>
        new($"{path} is another key: this log belongs to {expected}, the key gives {given}");

    /// <summary>Throws unless the checkpoint in the register states the register's size and root and has valid signatures of all keys of the log.</summary>
    private void CheckCheckpoint()
    {
        if (_parts.Register.Current is not TreeHead head) return;
        if (!Note.TryParse(head.Checkpoint.Span, out Note? note)
            || !Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)
            || checkpoint.Origin != Identity.Origin || checkpoint.Size != head.Size || checkpoint.Root != head.Root
            || !Publisher.IsOurs(note, _parts.Signer, _parts.Cosigner))
        {
            throw new DamageException(new Damage("checkpoint", Path.Combine(_directory.Root, "commit"), null, null, $"a checkpoint of {Identity.Origin} at size {head.Size}, signed by {(_parts.Cosigner is null ? "its key" : "both of its keys")}", "something else"));
        }
    }

    private void StartPublishing(Policy policy, TimeProvider time, WitnessTrust trust) => Publisher = new Publisher(
        Identity.Origin, _parts.Signer, _parts.Cosigner, Clock, _parts.Register, Tiles, _stored!, () => _sequencer.Latest, policy,
        policy.Witnesses.Count > 0 ? Path.Combine(_directory.Root, "published") : null, _settings, time, _logger, trust,
        quorumMet: Open, mayAppend: () => Volatile.Read(ref _opened) && State is EngineState.Ready or EngineState.Stopping);

    /// <summary>Opens the log for entries: as far as anyone can know, this directory is the newest.</summary>
    private void Open()
    {
        Volatile.Write(ref _opened, true);
        Interlocked.CompareExchange(ref _state, (int)EngineState.Ready, (int)EngineState.Starting);
    }

    private void Run()
    {
        if (Scrub.IsOn) _scrubbing = ReadingAsync(ScrubAsync);
        Clock.Start();
        if (_parts.Register.Halted is string evidence)
        {
            // Readers get the checkpoint that was public; with quorum none, the checkpoint that was signed last.
            Stop(EngineState.Halted, evidence);
            Publisher.ShowSigned();
            return;
        }

        // A guard that agrees, or a policy without a quorum, opens the log immediately; otherwise the first quorum does.
        if (!Publisher.NeedsQuorum || _directory.Register.GuardAgrees) Open();
        if (!Publisher.NeedsQuorum && !_directory.Register.GuardAgrees)
        {
            if (Publisher.Peers.Count == 0) _logger.NoWitness();
            else _logger.QuorumNone();
        }

        _running = true;
        _indexing = Task.WhenAll(ReadingAsync(stop => Duplicates.RebuildAsync(_parts.Tiles, _sealedAtStart, stop)), ReadingAsync(stop => Duplicates.Full?.RunAsync(stop) ?? Task.CompletedTask));
        _publishing = Guarded(Publisher.RunAsync(_stopPublishing.Token), registerIsIdle: Task.CompletedTask);
        _sequencing = SequenceAsync();
        _watching = Task.WhenAll(
            Guarded(_watch.RunAsync(_stopPublishing.Token), _publishing),
            _guard is null ? Task.CompletedTask : Guarded(_guard.RunAsync(_stopPublishing.Token), _publishing));
        _feeding = Task.WhenAll(Publisher.RunFeeds(_stopPublishing.Token).Select(feeding => Guarded(feeding, _publishing)));
    }

    /// <summary>Every loop that fails ends here: nothing is retried, appends answer 503, readers stay.</summary>
    /// <param name="loop">The loop.</param>
    /// <param name="registerIsIdle">Completes when nothing else uses the register, which has one writer.</param>
    private async Task Guarded(Task loop, Task registerIsIdle)
    {
        try
        {
            await loop.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_stopPublishing.IsCancellationRequested)
        {
            // The loop was cancelled because the engine closes.
        }
        catch (UnavailableException) when (State == EngineState.Stopping)
        {
            // The engine closes while its guard does not answer.
        }
        catch (ConflictException conflict)
        {
            string kept = conflict.Evidence is TlogEvidence evidence ? Keep(Evidence, evidence) : "";
            Webhooks.Wake();
            await HaltAsync(conflict.Message + kept, registerIsIdle).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            Stop(EngineState.Failed, failure.Message);
            await _stopPublishing.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Halts the log. The halt is recorded and lasts until an operator resumes.</summary>
    private async Task HaltAsync(string reason, Task registerIsIdle)
    {
        Stop(EngineState.Halted, reason);
        await _stopPublishing.CancelAsync().ConfigureAwait(false);
        await registerIsIdle.ConfigureAwait(false);
        if (Interlocked.Exchange(ref _haltRecorded, true)) return; // several loops may find a fence at the same time
        try
        {
            await _parts.Register.HaltAsync(reason, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            _logger.EngineFailed($"the halt could not be recorded: {failure.Message}");
        }
    }

    /// <summary>Keeps evidence, before the halt that names it. Returns where it is, as text to append to a message.</summary>
    private static string Keep(EvidenceFolder folder, TlogEvidence evidence)
    {
        string path = folder.PathOf(evidence.FileName);
        try
        {
            folder.Keep(evidence);
            return Paths.FileExists(path) ? $"; the signed notes are in {path}" : $"; there are {EvidenceFolder.MaxOfOrigin} files of this kind already";
        }
        catch (StorageException failure)
        {
            // The halt matters more than the file. The evidence is text, so the operator's log keeps it.
            return $"; the signed notes could not be kept ({failure.Message}): {Encoding.UTF8.GetString(evidence.ToBytes()).ReplaceLineEndings("|")}";
        }
    }

    /// <summary>Runs the check of the store. Damage that it finds is no longer read, and nothing is signed after it.</summary>
    private async Task ScrubAsync(CancellationToken stop)
    {
        Damage damage = await Scrub.RunAsync(stop).ConfigureAwait(false);
        Tiles.Refuse(damage);
        await HaltAsync($"scrub: {damage}", _publishing).ConfigureAwait(false);
    }

    /// <summary>Runs in the background until the engine closes. Continues after the log has stopped accepting entries, because readers stay.</summary>
    private async Task ReadingAsync(Func<CancellationToken, Task> work)
    {
        try
        {
            await Task.Run(() => work(_stopReading.Token)).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_stopReading.IsCancellationRequested)
        {
            // The work was cancelled because the engine closes.
        }
    }

    private void Stop(EngineState state, string reason)
    {
        lock (_stopping)
        {
            // The first reason counts: later reasons are its consequences.
            if (HasStopped) return;
            _stopped = reason;
            Volatile.Write(ref _state, (int)state);
        }

        _reminder.Change(Reminder, Reminder);
        if (state == EngineState.Halted) _logger.Halted(reason);
        else _logger.EngineFailed(reason);
        _intake.Close();
        Publisher.EndWaits();
    }

    private void Remind()
    {
        if (HasStopped)
        {
            _logger.StillStopped(State.ToString().ToLowerInvariant(), _stopped!);
        }
        else if (IsFull)
        {
            _logger.DiskLow(Space.Describe());
        }
        else if (Interlocked.Exchange(ref _full, 0) == 1)
        {
            _reminder.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }


    private async Task SequenceAsync()
    {
        CancellationToken stop = _stopPublishing.Token;
        Task sequencing = Task.Factory.StartNew(() => _sequencer.Run(stop, _stopWaiting.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await Guarded(sequencing, _publishing).ConfigureAwait(false);

        // The intake has one reader, which has just ended. Callers that still wait get an answer.
        _intake.Fail(new UnavailableException("the log has stopped before the entry was stored", 5));
    }
}
