namespace TransparencyLog.Hosting;

/// <summary>What is to be thought of the clock.</summary>
internal enum ClockState
{
    /// <summary>It may be stated.</summary>
    Right,

    /// <summary>It says a time before there were such programs: a machine without a battery says 1970 until the network has set it.</summary>
    Early,

    /// <summary>It is further ahead of the last known time than it may be. Passes when the clock is set back, or when an operator accepts it.</summary>
    Ahead,

    /// <summary>It has moved by more than a day against the monotonic clock since the start. Passes when it is back, or with a start.</summary>
    Jumped,

    /// <summary>It is behind the newest stamp that was released. Passes with time, or when an operator accepts it.</summary>
    Behind,
}

/// <summary>
/// Judges the clock (spec/operations.md, "Time"). A cosignature states a time and says "this is the largest tree that I knew of then": a time from a clock that is far ahead makes
/// every later statement contradict it until that time has come. Pure; all times are whole seconds or finer, in UTC.
/// </summary>
internal static class ClockJudgement
{
    /// <summary>Before this no time is believed.</summary>
    public static readonly DateTimeOffset Earliest = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>A clock that is this much behind is waited for: leap seconds and small corrections.</summary>
    public static readonly TimeSpan Tolerance = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How far the clock may move away from the monotonic one since the start, either way: a log drops cosignatures that are more than this off. A machine that
    /// was suspended for longer needs the program started again.
    /// </summary>
    public static readonly TimeSpan LargestJump = TimeSpan.FromDays(1);

    /// <summary>Judges the clock as such, whatever was released.</summary>
    /// <param name="now">What the clock says.</param>
    /// <param name="lastKnown">The last time that was believed, moved on by what the monotonic clock has counted since it was read or written; null when none is known.</param>
    /// <param name="limit">How far ahead of it the clock may be.</param>
    /// <param name="expected">The first time of this process that was believed, moved on likewise; null before there was one.</param>
    public static ClockState Judge(DateTimeOffset now, DateTimeOffset? lastKnown, TimeSpan limit, DateTimeOffset? expected) =>
        now < Earliest ? ClockState.Early
        : lastKnown is DateTimeOffset last && now - last > limit ? ClockState.Ahead
        : expected is DateTimeOffset at && (now - at).Duration() > LargestJump ? ClockState.Jumped
        : ClockState.Right;

    /// <summary>The least stamp that may be released next, in seconds since the Epoch.</summary>
    /// <param name="released">The newest stamp that was released; 0 when there was none.</param>
    /// <param name="accepted">The time at which an operator accepted that the time goes back once, below that very stamp; null when nobody did.</param>
    public static ulong Floor(ulong released, ulong? accepted) => Math.Min(released, accepted ?? released);

    /// <summary>Whether a stamp has to wait for the clock for longer than is waited without saying so.</summary>
    /// <param name="now">What the clock says.</param>
    /// <param name="floor">The least stamp that may be released.</param>
    public static bool IsBehind(DateTimeOffset now, ulong floor) => TimeUntil(now, floor) > Tolerance;

    /// <summary>How long until the clock says that second; not positive when it does already.</summary>
    public static TimeSpan TimeUntil(DateTimeOffset now, ulong stamp)
    {
        ulong last = (ulong)DateTimeOffset.MaxValue.ToUnixTimeSeconds();
        return DateTimeOffset.FromUnixTimeSeconds((long)Math.Min(stamp, last)) - now;
    }
}
