namespace TransparencyLog.Server;

/// <summary>
/// On while the public checkpoint lacks the quorum's cosignatures (<see cref="QuorumMode.Degrade"/>). It is told when it goes on, once a minute while it is, and when
/// it goes off; however often that is, at most once a minute. <see cref="Since"/> may be read from any thread; all else belongs to the publisher's loop.
/// </summary>
internal sealed class QuorumAlarm(TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Reminder = TimeSpan.FromMinutes(1);

    private long? _toldAt;
    private bool _wasTold; // that it is on
    private long _since;   // Unix seconds; 0 while it is off

    /// <summary>Since when it is on; null while it is off.</summary>
    public DateTimeOffset? Since => Volatile.Read(ref _since) is long since and not 0 ? DateTimeOffset.FromUnixTimeSeconds(since) : null;

    /// <summary>When it has to be told again: a timestamp, the largest there is while it is off.</summary>
    public long RemindAt => _since == 0 ? long.MaxValue : _toldAt is long told ? told + (long)(Reminder.TotalSeconds * time.TimestampFrequency) : 0;

    /// <summary>A checkpoint became public without its quorum, or still is.</summary>
    public void Raise(long size)
    {
        if (_since == 0) Volatile.Write(ref _since, time.GetUtcNow().ToUnixTimeSeconds());
        if (!MayTell()) return;
        _wasTold = true;
        logger.QuorumMissing(size, Since!.Value);
    }

    /// <summary>The public checkpoint has its quorum.</summary>
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
