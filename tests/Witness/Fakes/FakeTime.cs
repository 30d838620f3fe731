namespace TransparencyLog.Tests.Witness;

/// <summary>A clock that stands where the test puts it. Short timers fire at once and move it, as if the wait had happened; long ones are real.</summary>
internal sealed class FakeTime(long unixSeconds = 1_800_000_000) : TimeProvider
{
    private readonly Lock _lock = new();
    private DateTimeOffset _now = DateTimeOffset.FromUnixTimeSeconds(unixSeconds);

    /// <summary>The waits that were asked for.</summary>
    public List<TimeSpan> Waits { get; } = [];

    public long Unix
    {
        get => GetUtcNow().ToUnixTimeSeconds();
        set
        {
            lock (_lock) _now = DateTimeOffset.FromUnixTimeSeconds(value);
        }
    }

    public override DateTimeOffset GetUtcNow()
    {
        lock (_lock) return _now;
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (dueTime < TimeSpan.Zero || dueTime > TimeSpan.FromSeconds(2) || period != Timeout.InfiniteTimeSpan) return base.CreateTimer(callback, state, dueTime, period);
        lock (_lock)
        {
            Waits.Add(dueTime);
            _now += dueTime;
        }

        return base.CreateTimer(callback, state, TimeSpan.Zero, period);
    }
}
