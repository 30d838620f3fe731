// How often a log may ask (c2sp.org/tlog-list, "qpd"): a token bucket that is kept as one number, the time at which the next request is due (GCRA). A request
// may come early by as much as the burst allows. An earlier request is refused, with the time that it has to wait.

namespace TransparencyLog.Witness;

/// <summary>Limits the requests a day, and how many of them may come in a burst. Safe for concurrent use. Time is measured by the monotonic clock.</summary>
/// <param name="time">The clock.</param>
/// <param name="perDay">Requests a day in the long run, 1 or more.</param>
/// <param name="burst">Requests without a wait after a pause, 1 or more; never more than the requests of a day.</param>
internal sealed class RateLimit(TimeProvider time, int perDay, int burst)
{
    // In ticks of the clock. The burst is at most the requests of a day, so its product with the interval is at most a day.
    private readonly long _interval = (long)((Int128)time.TimestampFrequency * 86_400 / perDay);
    private readonly long _early = (long)((Int128)time.TimestampFrequency * 86_400 / perDay * (Math.Min(perDay, burst) - 1));
    private readonly Lock _gate = new();
    private long _due = long.MinValue; // guarded by _gate

    /// <summary>Whether one more request may be served now. Otherwise <paramref name="wait"/> is the time until it may.</summary>
    public bool TryTake(out TimeSpan wait)
    {
        lock (_gate)
        {
            long now = time.GetTimestamp();
            long due = Math.Max(_due, now);
            long tooEarly = due - now - _early;
            wait = tooEarly > 0 ? time.GetElapsedTime(0, tooEarly) : TimeSpan.Zero;
            if (tooEarly > 0) return false;
            _due = due + _interval;
            return true;
        }
    }
}

/// <summary>
/// The limits of one log, a separate one for each kind of request. The newest checkpoint is public, so any client can ask for a fresh time or for a subtree
/// with it. That must not use up what the log needs to grow.
/// </summary>
internal sealed class RateLimits(TimeProvider time, int perDay, int burst)
{
    /// <summary>Requests of each kind a day: what the log was granted.</summary>
    public int PerDay { get; } = perDay;

    /// <summary>Checkpoints of larger trees.</summary>
    public RateLimit Growth { get; } = new(time, perDay, burst);

    /// <summary>The same tree again, for a fresh time.</summary>
    public RateLimit Refresh { get; } = new(time, perDay, burst);

    /// <summary>sign-subtree.</summary>
    public RateLimit Subtrees { get; } = new(time, perDay, burst);
}
