namespace TransparencyLog.Witness;

/// <summary>
/// The time a cosignature states: whole seconds since the Epoch, never 0, never below the one before it of the same origin. A cosignature
/// says "the largest consistent tree I have seen by then"; a larger tree with an earlier time would make two of them contradict.
/// </summary>
internal sealed class CosignatureClock(TimeProvider time)
{
    /// <summary>A step back that is waited for: leap seconds and small corrections. What is more, a person has to look at.</summary>
    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(2);

    /// <summary>The present second, if it may be stated.</summary>
    public bool TryNow(ulong last, out ulong timestamp)
    {
        long now = time.GetUtcNow().ToUnixTimeSeconds();
        // SPEC TW-37: the timestamp is never 0. SPEC CO-07: nor above 2^63-1, which a clock in seconds never reaches.
        timestamp = now > 0 ? (ulong)now : 0;
        return timestamp > 0 && timestamp >= last;
    }

    /// <summary>The present second, after a wait if the clock is a little behind; null when it is too far behind, or 1970 or before.</summary>
    public async Task<ulong?> NextAsync(ulong last)
    {
        if (TryNow(last, out ulong timestamp)) return timestamp;
        TimeSpan behind = DateTimeOffset.FromUnixTimeSeconds((long)Math.Max(1, last)) - time.GetUtcNow();
        if (behind > LongestWait) return null;
        await Task.Delay(behind, time);
        return TryNow(last, out timestamp) ? timestamp : null;
    }
}
