namespace TransparencyLog.Witness;

/// <summary>
/// The time a cosignature states: whole seconds since the Epoch, never 0, never below the one before it of the same origin. A cosignature
/// says "the largest consistent tree I have seen by then"; a larger tree with an earlier time would make two of them contradict. A time far in the future would
/// make every later one wait for it: so a clock that says what cannot be is not believed.
/// </summary>
internal sealed class CosignatureClock(TimeProvider time)
{
    /// <summary>A step back that is waited for: leap seconds and small corrections. What is more, a person has to look at.</summary>
    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How far the clock may move away from what the monotonic one says since the start, either way: a log drops cosignatures that are more than this off. A machine that
    /// slept for longer needs the witness started again.
    /// </summary>
    public static readonly TimeSpan LargestJump = TimeSpan.FromDays(1);

    /// <summary>Before this there was no such witness: a machine without a clock of its own says 1970 until the network has told it.</summary>
    public static readonly DateTimeOffset Earliest = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly Lock _gate = new();
    private (DateTimeOffset Wall, long Monotonic)? _start; // the first time that could be; guarded by _gate

    /// <summary>Whether the clock says what it may. False for one before <see cref="Earliest"/>, or that has jumped.</summary>
    public bool IsPlausible
    {
        get
        {
            DateTimeOffset now = time.GetUtcNow();
            if (now < Earliest) return false;
            lock (_gate)
            {
                _start ??= (now, time.GetTimestamp());
                return (now - _start.Value.Wall - time.GetElapsedTime(_start.Value.Monotonic)).Duration() <= LargestJump;
            }
        }
    }

    /// <summary>The present second, if it may be stated.</summary>
    public bool TryNow(ulong last, out ulong timestamp)
    {
        long now = time.GetUtcNow().ToUnixTimeSeconds();
        // SPEC TW-37: the timestamp is never 0. SPEC CO-07: nor above 2^63-1, which a clock in seconds never reaches.
        timestamp = now > 0 ? (ulong)now : 0;
        return timestamp > 0 && timestamp >= last && IsPlausible;
    }

    /// <summary>The present second, after a wait if the clock is a little behind; null when it is too far behind, or not plausible.</summary>
    public async Task<ulong?> NextAsync(ulong last)
    {
        if (TryNow(last, out ulong timestamp)) return timestamp;
        TimeSpan behind = DateTimeOffset.FromUnixTimeSeconds((long)Math.Max(1, last)) - time.GetUtcNow();
        if (behind > LongestWait || behind <= TimeSpan.Zero || !IsPlausible) return null;
        await Task.Delay(behind, time);
        return TryNow(last, out timestamp) ? timestamp : null;
    }
}
