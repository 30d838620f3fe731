namespace TransparencyLog.Hosting;

/// <summary>The verdict on the clock.</summary>
internal enum ClockState
{
    /// <summary>Its time may be stated in a signature.</summary>
    Right,

    /// <summary>
    /// Its time is before <see cref="ClockJudgement.Earliest"/>, when these programs did not exist. A machine without a clock battery says 1970 until the
    /// network sets its clock.
    /// </summary>
    Early,

    /// <summary>It is further ahead of the last known time than the limit allows. Ends when the clock is set back, or when an operator accepts it.</summary>
    Ahead,

    /// <summary>It has moved by more than a day against the monotonic clock since the start. Ends when the clock is right again, or with a restart.</summary>
    Jumped,

    /// <summary>It is behind the newest stamp that was released. Ends when the clock reaches that stamp, or when an operator accepts the clock.</summary>
    Behind,
}

/// <summary>
/// Judges the clock (spec/operations.md, "Time"). A cosignature states a time and says "this is the largest tree that I knew of then". When that time comes
/// from a clock that is far ahead, every later statement contradicts it until that time has come. Pure. All times are in UTC, in whole seconds or finer.
/// </summary>
internal static class ClockJudgement
{
    /// <summary>No time before this is believed.</summary>
    public static readonly DateTimeOffset Earliest = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>A signer waits for a clock that is behind by at most this much: leap seconds and small corrections.</summary>
    public static readonly TimeSpan Tolerance = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How far the clock may move away from the monotonic clock since the start, in either direction. A log drops cosignatures whose time is off by more than
    /// this. When the machine was suspended for longer than this, the program has to be restarted.
    /// </summary>
    public static readonly TimeSpan LargestJump = TimeSpan.FromDays(1);

    /// <summary>Judges the clock alone, without regard to released stamps.</summary>
    /// <param name="now">The present time of the clock.</param>
    /// <param name="lastKnown">The last believed time, plus the monotonic time since it was read or written; null when none is known.</param>
    /// <param name="limit">How far the clock may be ahead of <paramref name="lastKnown"/>.</param>
    /// <param name="expected">The first time that this process believed, plus the monotonic time since then; null before there is one.</param>
    public static ClockState Judge(DateTimeOffset now, DateTimeOffset? lastKnown, TimeSpan limit, DateTimeOffset? expected) =>
        now < Earliest ? ClockState.Early
        : lastKnown is DateTimeOffset last && now - last > limit ? ClockState.Ahead
        : expected is DateTimeOffset at && (now - at).Duration() > LargestJump ? ClockState.Jumped
        : ClockState.Right;

    /// <summary>The smallest stamp that may be released next, in seconds since the Epoch.</summary>
    /// <param name="released">The newest stamp that was released; 0 when there is none.</param>
    /// <param name="accepted">The time at which an operator accepted that the time may go back once, below exactly this stamp; null when no operator
    /// did.</param>
    public static ulong Floor(ulong released, ulong? accepted) => Math.Min(released, accepted ?? released);

    /// <summary>Whether the clock is behind the floor by more than <see cref="Tolerance"/>, the longest wait that is not reported.</summary>
    /// <param name="now">The present time of the clock.</param>
    /// <param name="floor">The smallest stamp that may be released.</param>
    public static bool IsBehind(DateTimeOffset now, ulong floor) => TimeUntil(now, floor) > Tolerance;

    /// <summary>How long until the clock reaches that second; zero or negative when it already has.</summary>
    public static TimeSpan TimeUntil(DateTimeOffset now, ulong stamp)
    {
        ulong last = (ulong)DateTimeOffset.MaxValue.ToUnixTimeSeconds();
        return DateTimeOffset.FromUnixTimeSeconds((long)Math.Min(stamp, last)) - now;
    }
}
