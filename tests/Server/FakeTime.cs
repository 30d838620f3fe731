namespace TransparencyLog.Tests.Server;

/// <summary>A clock that moves only when told to; its timers fire on the thread that moves it.</summary>
internal sealed class FakeTime : TimeProvider
{
    private readonly DateTimeOffset _start = System.GetUtcNow(); // a witness stub beside it lives by the real clock
    private readonly object _lock = new();
    private readonly List<Timer> _timers = []; // guarded by _lock
    private long _now;                         // 100 ns since the start; guarded by _lock

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp()
    {
        lock (_lock) return _now;
    }

    public override DateTimeOffset GetUtcNow() => _start.AddTicks(GetTimestamp());

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        Timer timer = new(this, () => callback(state));
        timer.Change(dueTime, period);
        lock (_lock) _timers.Add(timer);
        return timer;
    }

    /// <summary>How many timers wait for this clock.</summary>
    public int Waiting
    {
        get
        {
            lock (_lock) return _timers.Count(timer => timer.Due is not null);
        }
    }

    /// <summary>How long until the next of them; null when there is none.</summary>
    public TimeSpan? Next
    {
        get
        {
            lock (_lock) return _timers.Min(timer => timer.Due) is long due ? TimeSpan.FromTicks(due - _now) : null;
        }
    }

    public void Advance(TimeSpan by)
    {
        lock (_lock) _now += by.Ticks;
        while (true)
        {
            Timer? due;
            lock (_lock)
            {
                due = _timers.Where(timer => timer.Due <= _now).MinBy(timer => timer.Due);
                due?.Fired();
            }

            if (due is null) return;
            due.Callback();
        }
    }

    private sealed class Timer(FakeTime time, Action callback) : ITimer
    {
        private long _period = -1;

        public long? Due { get; private set; }

        public Action Callback => callback;

        public void Fired() => Due = _period > 0 ? Due + _period : null;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (time._lock)
            {
                Due = dueTime == Timeout.InfiniteTimeSpan ? null : time._now + dueTime.Ticks;
                _period = period == Timeout.InfiniteTimeSpan ? -1 : period.Ticks;
            }

            return true;
        }

        public void Dispose()
        {
            lock (time._lock)
            {
                Due = null;
                time._timers.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
