using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Witness;

/// <summary>A journal that stops before or after it has made a frame durable, until it is told to go on, to fail, or to fail after it has written.</summary>
internal sealed class HeldJournal(IJournal inner) : IJournal
{
    private volatile Hold? _before;
    private volatile Hold? _after;
    private readonly List<Hold> _holds = [];

    public sealed class Hold
    {
        private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _go = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Done once an append stands here.</summary>
        public Task Reached => _reached.Task.WaitAsync(TimeSpan.FromSeconds(30));

        public void Release() => _go.TrySetResult();

        public void Fail(Exception failure) => _go.TrySetException(failure);

        internal Task PassAsync()
        {
            _reached.TrySetResult();
            return _go.Task;
        }
    }

    public Journal Inner => (Journal)inner;

    public long FirstIndex => inner.FirstIndex;

    public long NextIndex => inner.NextIndex;

    /// <summary>The next append stops before anything is written.</summary>
    public Hold HoldBefore() => _before = Remember(new Hold());

    /// <summary>The next append stops when its frame is durable, before anyone hears of it.</summary>
    public Hold HoldAfter() => _after = Remember(new Hold());

    /// <summary>Lets everything pass that still stands.</summary>
    public void ReleaseAll()
    {
        foreach (Hold hold in _holds) hold.Release();
    }

    private Hold Remember(Hold hold)
    {
        _holds.Add(hold);
        return hold;
    }

    public async ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop)
    {
        if (Interlocked.Exchange(ref _before, null) is Hold before) await before.PassAsync();
        long first = await inner.AppendAsync(frame, stop);
        if (Interlocked.Exchange(ref _after, null) is Hold after) await after.PassAsync();
        return first;
    }

    public IJournalReader Follow(long from) => inner.Follow(from);

    public ValueTask TrimAsync(long below, CancellationToken stop) => inner.TrimAsync(below, stop);

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
