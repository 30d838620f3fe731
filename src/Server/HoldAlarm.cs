namespace TransparencyLog.Server;

/// <summary>What is held, since when and why, in words that name no host.</summary>
/// <param name="What">Publication, or appends and signatures too.</param>
/// <param name="Since">Since when something has been held.</param>
/// <param name="Reason">Which witnesses say what.</param>
internal sealed record HeldState(Hold What, DateTimeOffset Since, string Reason);

/// <summary>
/// On while a witness's claim holds the log. Logged when it is raised, every minute while it is on, and when it is cleared. However often it is raised, that
/// is logged at most once a minute. Any thread may read <see cref="State"/>; everything else belongs to the publisher's loop.
/// </summary>
internal sealed class HoldAlarm(TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Reminder = TimeSpan.FromMinutes(1);

    private HeldState? _state;
    private long? _loggedAt;
    private bool _wasLogged; // whether it was logged that the alarm is on

    /// <summary>What is held; null while nothing is held.</summary>
    public HeldState? State => Volatile.Read(ref _state);

    /// <summary>The timestamp at which the alarm must be logged again; <see cref="long.MaxValue"/> while it is off.</summary>
    public long RemindAt => _state is null ? long.MaxValue : _loggedAt is long logged ? logged + (long)(Reminder.TotalSeconds * time.TimestampFrequency) : 0;

    public void Raise(Hold what, string reason)
    {
        Volatile.Write(ref _state, new HeldState(what, _state?.Since ?? time.GetUtcNow(), reason));
        if (!ShouldLog()) return;
        _wasLogged = true;
        if (what == Hold.Signing) logger.SigningHeld(reason);
        else logger.PublicationHeld(reason);
    }

    public void Clear()
    {
        if (_state is null) return;
        Volatile.Write(ref _state, null);
        if (_wasLogged) logger.HoldEnded();
        _wasLogged = false;
    }

    private bool ShouldLog()
    {
        long now = time.GetTimestamp();
        if (_loggedAt is long logged && time.GetElapsedTime(logged, now) < Reminder) return false;
        _loggedAt = now;
        return true;
    }
}
