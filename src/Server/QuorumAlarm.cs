namespace TransparencyLog.Server;

/// <summary>
/// On while the public checkpoint lacks the quorum's cosignatures (<see cref="QuorumMode.Degrade"/>). Logged when it is raised, every minute while it is on,
/// and when it is cleared. However often it is raised, that is logged at most once a minute. Any thread may read <see cref="Since"/>; everything else belongs
/// to the publisher's loop.
/// </summary>
internal sealed class QuorumAlarm(TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Reminder = TimeSpan.FromMinutes(1);

    private long? _toldAt;
    private bool _wasTold; // whether it was logged that the alarm is on
    private long _since;   // Unix seconds; 0 while it is off

    /// <summary>When the alarm was raised; null while it is off.</summary>
    public DateTimeOffset? Since => Volatile.Read(ref _since) is long since and not 0 ? DateTimeOffset.FromUnixTimeSeconds(since) : null;

    /// <summary>The timestamp at which the alarm must be logged again; <see cref="long.MaxValue"/> while it is off.</summary>
    public long RemindAt => _since == 0 ? long.MaxValue : _toldAt is long told ? told + (long)(Reminder.TotalSeconds * time.TimestampFrequency) : 0;

    /// <summary>Called when a checkpoint is public without its quorum.</summary>
    public void Raise(long size)
    {
        if (_since == 0) Volatile.Write(ref _since, time.GetUtcNow().ToUnixTimeSeconds());
        if (!MayTell()) return;
        _wasTold = true;
        logger.QuorumMissing(size, Since!.Value);
    }

    /// <summary>Called when the public checkpoint has its quorum.</summary>
    public void Clear(long size)
    {
        if (_since == 0) return;
        Volatile.Write(ref _since, 0);
        if (_wasTold) logger.QuorumBack(size);
        _wasTold = false;
    }

    private bool MayTell()
    {
        long now = time.GetTimestamp();
        if (_toldAt is long told && time.GetElapsedTime(told, now) < Reminder) return false;
        _toldAt = now;
        return true;
    }
}
