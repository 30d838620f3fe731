// A store in memory, for tests and for logs that live as long as their process.
//
// What a disk would hold is MemoryStore.Shared; a MemoryStore is one process that has opened it. So a test can open it, kill the process,
// cut its power, and open it again, or let a second process get past the lock.

namespace TransparencyLog.Store;

/// <summary>How a store in memory behaves.</summary>
public sealed record MemoryStoreOptions
{
    /// <summary>
    /// Bytes of entries, length prefixes included, that the journal holds before an append waits for a trim; at least 1. 64 MiB by default:
    /// thirty batches of the largest size. A batch that finds the journal empty is always accepted.
    /// </summary>
    public long MaxJournalBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>
    /// Segments that become durable together, at least 1. More than 1 lets a test see segments that a loss of power takes.
    /// </summary>
    public int SegmentsPerCommit { get; init; } = 1;
}

/// <summary>One opening of a store in memory. See <see cref="ILogStore"/> and the seams for the promises.</summary>
public sealed class MemoryStore : ILogStore
{
    private readonly Shared _shared;
    private readonly MemoryRegister _register;
    private readonly long _opening;
    private string? _ended;

    private MemoryStore(Shared shared, long opening)
    {
        _shared = shared;
        _opening = opening;
        Journal = new MemoryJournal(this, shared.Journal, shared.Register, shared.Time);
        Register = _register = new MemoryRegister(this, shared.Register, shared.Time);
        Tiles = new MemoryTiles(this, shared.Tiles);
    }

    /// <inheritdoc/>
    public string Origin => _shared.Origin;

    /// <inheritdoc/>
    public IJournal Journal { get; }

    /// <inheritdoc/>
    public IHeadRegister Register { get; }

    /// <inheritdoc/>
    public ITileStore Tiles { get; }

    /// <summary>Guards everything in the shared state.</summary>
    internal Lock Gate => _shared.Gate;

    /// <summary>Set when this opening ends or is overtaken.</summary>
    internal Signal Changed { get; } = new();

    /// <summary>Whether a later opening has overtaken this one. The caller holds <see cref="Gate"/>.</summary>
    internal bool IsFenced_NeedsLock => _shared.Openings != _opening;

    /// <summary>Opens a new, empty store.</summary>
    /// <param name="origin">The origin of the log.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="time">The clock; null for that of the system.</param>
    public static MemoryStore Create(string origin, MemoryStoreOptions? options = null, TimeProvider? time = null) =>
        new Shared(origin, options, time).Open();

    /// <summary>
    /// Ends this opening as kill -9 ends a process: calls in progress do not return an answer, and the store can be opened again. What was
    /// written stays.
    /// </summary>
    public void Kill() => End("the process of this store was killed");

    /// <summary>Closes the store.</summary>
    public ValueTask DisposeAsync()
    {
        End("the store is closed");
        return ValueTask.CompletedTask;
    }

    /// <summary>Throws where this opening has ended. The caller holds <see cref="Gate"/>.</summary>
    internal void ThrowIfEnded_NeedsLock()
    {
        if (_ended is string why) throw new ObjectDisposedException(nameof(MemoryStore), why);
    }

    /// <summary>Throws where this opening may not write. The caller holds <see cref="Gate"/>.</summary>
    internal void ThrowIfFenced_NeedsLock()
    {
        ThrowIfEnded_NeedsLock();
        if (!IsFenced_NeedsLock) return;
        throw new StoreInUseException($"the store of {Origin} in memory was opened again: this opening writes nothing more");
    }

    private void End(string why)
    {
        lock (Gate)
        {
            if (_ended is not null) return;
            _ended = why;
            if (_shared.Holder == this) _shared.Holder = null;
        }

        Changed.Set();
        _register.Dispose();
    }

    /// <summary>What stays in memory while processes come and go: the disk, as it were.</summary>
    public sealed class Shared
    {
        /// <summary>A new, empty one.</summary>
        /// <param name="origin">The origin of the log.</param>
        /// <param name="options">Null for the defaults.</param>
        /// <param name="time">The clock; null for that of the system.</param>
        /// <exception cref="ArgumentException">The origin is not one line of text, or an option is less than 1.</exception>
        public Shared(string origin, MemoryStoreOptions? options = null, TimeProvider? time = null)
        {
            options ??= new MemoryStoreOptions();
            ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxJournalBytes, 1, nameof(options));
            ArgumentOutOfRangeException.ThrowIfLessThan(options.SegmentsPerCommit, 1, nameof(options));
            Origin = new Checkpoint(origin, 0, MerkleHash.Empty).Origin;
            Time = time ?? TimeProvider.System;
            Journal = new MemoryJournal.State { MaxBytes = options.MaxJournalBytes };
            Tiles = new MemoryTiles.State { SegmentsPerCommit = options.SegmentsPerCommit };
            Register = new MemoryRegister.State();
            Register.Note(Time.GetUtcNow(), "created");
        }

        /// <summary>The origin of the log.</summary>
        public string Origin { get; }

        internal Lock Gate { get; } = new();

        internal TimeProvider Time { get; }

        internal MemoryJournal.State Journal { get; }

        internal MemoryRegister.State Register { get; }

        internal MemoryTiles.State Tiles { get; }

        /// <summary>How many openings there were. Guarded by <see cref="Gate"/>.</summary>
        internal long Openings { get; private set; }

        /// <summary>The opening that has not ended; the newest, if one was overtaken. Guarded by <see cref="Gate"/>.</summary>
        internal MemoryStore? Holder { get; set; }

        /// <summary>Opens the store.</summary>
        /// <exception cref="StoreInUseException">It is open.</exception>
        public MemoryStore Open()
        {
            lock (Gate)
            {
                if (Holder is null) return Holder = new MemoryStore(this, ++Openings);
                throw new StoreInUseException($"the store of {Origin} in memory is open in process {Environment.ProcessId}");
            }
        }

        /// <summary>Opens the store as a process does that gets past its lock. An earlier opening is fenced from now on.</summary>
        public MemoryStore Overtake()
        {
            MemoryStore? earlier;
            MemoryStore later;
            lock (Gate)
            {
                earlier = Holder;
                Holder = later = new MemoryStore(this, ++Openings);
            }

            earlier?.Changed.Set();
            earlier?._register.Lose();
            return later;
        }

        /// <summary>
        /// Ends the opening and takes what was not durable: segments beyond <see cref="ITileStore.DurableSegmentCount"/>, and what was
        /// published.
        /// </summary>
        public void LosePower()
        {
            MemoryStore? holder;
            lock (Gate) holder = Holder;
            holder?.Kill();
            lock (Gate) Tiles.LoseWhatIsNotDurable();
        }

        /// <summary>Changes how many bytes of entries the journal holds: 0 leaves no room at all. Appends that wait look again.</summary>
        public void ResizeJournal(long maxBytes)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(maxBytes);
            lock (Gate) Journal.MaxBytes = maxBytes;
            Journal.Changed.Set();
        }
    }
}
