namespace TransparencyLog.Store;

/// <summary>The register of a store in memory. Everything in its state is guarded by the gate of the store.</summary>
internal sealed class MemoryRegister(MemoryStore store, MemoryRegister.State state, TimeProvider time)
    : IHeadRegister, IDisposable
{
    private Lease? _lease; // guarded by the gate

    /// <inheritdoc/>
    public ValueTask<IHeadLease?> AcquireAsync(CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            if (store.IsFenced_NeedsLock) return ValueTask.FromResult<IHeadLease?>(null);
            if (_lease is null or { IsLost: true }) _lease = new Lease(this);
            return ValueTask.FromResult<IHeadLease?>(_lease);
        }
    }

    /// <inheritdoc/>
    public ValueTask<RegisterValue> ReadAsync(CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            return ValueTask.FromResult(new RegisterValue(state.Head, state.Halted));
        }
    }

    /// <inheritdoc/>
    public ValueTask<bool> SwapAsync(IHeadLease lease, SignedHead? expected, SignedHead next, string reason, CancellationToken stop)
    {
        if (lease is not Lease ours || ours.Register != this)
        {
            throw new ArgumentException("the lease is of another register", nameof(lease));
        }

        SignedHead.ThrowUnlessFits(next);
        stop.ThrowIfCancellationRequested();
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            if (ours.IsLost || store.IsFenced_NeedsLock || state.Halted is not null) return ValueTask.FromResult(false);
            if (next.Equals(state.Head)) return ValueTask.FromResult(true);
            if (!Equals(expected, state.Head)) return ValueTask.FromResult(false);
            SignedHead.ThrowUnlessFollows(state.Head, next);
            state.Head = next with { Checkpoint = next.Checkpoint.ToArray() };
            state.Note(time.GetUtcNow(), reason);
            return ValueTask.FromResult(true);
        }
    }

    /// <inheritdoc/>
    public ValueTask HaltAsync(string evidence, CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            if (state.Halted is not null) return ValueTask.CompletedTask;
            state.Halted = IHeadRegister.Cut(evidence, IHeadRegister.MaxEvidence);
            state.Note(time.GetUtcNow(), $"halted: {evidence}");
            return ValueTask.CompletedTask;
        }
    }

    /// <inheritdoc/>
    public ValueTask ResumeAsync(string reason, CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfFenced_NeedsLock();
            if (state.Halted is null) throw new StoreException("the log is not halted");
            state.Halted = null;
            state.Note(time.GetUtcNow(), $"resumed: {reason}");
            return ValueTask.CompletedTask;
        }
    }

    /// <inheritdoc/>
    public ValueTask RecordAsync(string decision, CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfFenced_NeedsLock();
            state.Note(time.GetUtcNow(), decision);
            return ValueTask.CompletedTask;
        }
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<HistoricHead> HistoryAsync(CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            return state.ReadHistory().ToAsyncEnumerable();
        }
    }

    /// <summary>Ends the lease: the store was closed or killed.</summary>
    public void Dispose() => Lose();

    /// <summary>Ends the lease.</summary>
    public void Lose()
    {
        Lease? lease;
        lock (store.Gate) lease = _lease;
        lease?.Lose();
    }

    /// <summary>What the register holds.</summary>
    internal sealed class State
    {
        /// <summary>Lines after which the oldest thousand are dropped.</summary>
        private const int MaxHistory = 10 * IHeadRegister.MinHistory;

        private readonly List<HistoricHead> _history = [];

        public SignedHead? Head { get; set; }

        public string? Halted { get; set; }

        public HistoricHead[] ReadHistory() => [.. _history];

        public void Note(DateTimeOffset now, string reason)
        {
            if (_history.Count == MaxHistory) _history.RemoveRange(0, IHeadRegister.MinHistory);
            DateTimeOffset time = DateTimeOffset.FromUnixTimeMilliseconds(now.ToUnixTimeMilliseconds());
            _history.Add(new HistoricHead(time, IHeadRegister.Cut(reason, IHeadRegister.MaxReason), Head));
        }
    }

    private sealed class Lease(MemoryRegister register) : IHeadLease
    {
        private readonly CancellationTokenSource _lost = new();

        public MemoryRegister Register => register;

        public bool IsLost => _lost.IsCancellationRequested;

        public CancellationToken Lost => _lost.Token;

        public bool HistoryIsVouchedFor => false;

        public void Lose() => _lost.Cancel();

        public ValueTask DisposeAsync()
        {
            Lose();
            return ValueTask.CompletedTask;
        }
    }
}
