// How often a log may ask (c2sp.org/tlog-list, "qpd"): a token bucket that is one number, the time at which the next request is due (GCRA). A request may come
// early by as much as the burst allows; what comes earlier is refused and told when it would not be.

namespace TransparencyLog.Witness;

/// <summary>Requests a day, and how many of them at once. Safe for concurrent use; time is the monotonic clock's.</summary>
/// <param name="time">The clock.</param>
/// <param name="perDay">Requests a day in the long run, 1 or more.</param>
/// <param name="burst">Requests at once after a pause, 1 or more; never more than a day has.</param>
internal sealed class RateLimit(TimeProvider time, int perDay, int burst)
{
    // In ticks of the clock. With a burst of a day's requests at most, their product is a day at most.
    private readonly long _interval = (long)((Int128)time.TimestampFrequency * 86_400 / perDay);
    private readonly long _early = (long)((Int128)time.TimestampFrequency * 86_400 / perDay * (Math.Min(perDay, burst) - 1));
    private readonly Lock _gate = new();
    private long _due = long.MinValue; // guarded by _gate

    /// <summary>Whether one more request may be served now; otherwise <paramref name="wait"/> says in how long.</summary>
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
/// The limits of one log. Each of what it may ask for has one of its own: whoever holds the newest checkpoint, which is public, can ask for a fresh time or for a
/// subtree, and must not use up what the log needs to grow.
/// </summary>
internal sealed class RateLimits(TimeProvider time, int perDay, int burst)
{
    /// <summary>A day of these; what the log was granted.</summary>
    public int PerDay { get; } = perDay;

    /// <summary>Larger trees.</summary>
    public RateLimit Growth { get; } = new(time, perDay, burst);

    /// <summary>The same tree again, for a fresh time.</summary>
    public RateLimit Refresh { get; } = new(time, perDay, burst);

    /// <summary>sign-subtree.</summary>
    public RateLimit Subtrees { get; } = new(time, perDay, burst);
}
