// The clock of a program that states times in signatures: the witness in its cosignatures, the log in its ML-DSA-44 signature (type 0x06). The signing code
// asks it instead of the TimeProvider. It decides whether a time may be stated (ClockJudgement.cs), from the files in the data directory (Heartbeat.cs,
// ClockAcceptances.cs).

using System.Globalization;
using System.Security.Cryptography;
using TransparencyLog.Storage;

namespace TransparencyLog.Hosting;

/// <summary>Judges the clock while a program runs. Safe for concurrent use.</summary>
internal sealed class SigningClock
{
    private readonly string _directory;
    private readonly TimeSpan _limit;
    private readonly TimeProvider _time;
    private readonly Dictionary<Hash, (ClockPermission Permission, ulong At)> _permissions = [];
    private readonly Lock _gate = new(); // guards _lastKnown and _start
    private (DateTimeOffset Wall, long Monotonic)? _lastKnown; // the heartbeat, and when it was read or written
    private (DateTimeOffset Wall, long Monotonic)? _start;     // the first time that was believed

    private SigningClock(string directory, TimeSpan limit, TimeProvider time)
    {
        _directory = directory;
        _limit = limit;
        _time = time;
    }

    /// <summary>The present verdict on the clock. Never <see cref="ClockState.Behind"/>, which depends on the origin.</summary>
    public ClockState State
    {
        get
        {
            lock (_gate)
            {
                DateTimeOffset now = _time.GetUtcNow();
                ClockState state = ClockJudgement.Judge(now, MovedOn(_lastKnown), _limit, MovedOn(_start));
                // A time that is not believed is not taken as the start. Otherwise setting the clock right would count as a jump.
                if (state == ClockState.Right) _start ??= (now, _time.GetTimestamp());
                return state;
            }
        }
    }

    /// <summary>The last known time; null when none is known.</summary>
    public DateTimeOffset? LastKnown
    {
        get
        {
            lock (_gate) return _lastKnown?.Wall;
        }
    }

    /// <summary>How far ahead of the last known time the clock may be.</summary>
    public TimeSpan Limit => _limit;

    /// <summary>Reads the clock's files in a data directory.</summary>
    /// <param name="directory">The data directory, locked by the caller.</param>
    /// <param name="limit">How far ahead of the last known time the clock may be.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="StorageException">One of the files cannot be read or is damaged.</exception>
    public static SigningClock Open(string directory, TimeSpan limit, TimeProvider time)
    {
        SigningClock clock = new(directory, limit, time);
        if (Heartbeat.Read(directory) is DateTimeOffset last) clock._lastKnown = (last, time.GetTimestamp());
        foreach (ClockAcceptance acceptance in ClockAcceptances.Read(directory))
        {
            foreach (ClockPermission one in acceptance.Permissions) clock._permissions[one.OriginHash] = (one, (ulong)acceptance.Seconds);
        }

        return clock;
    }

    /// <summary>Writes the first heartbeat of a new directory, unless the clock is before <see cref="ClockJudgement.Earliest"/>.</summary>
    public static void Begin(string directory, TimeProvider time)
    {
        if (time.GetUtcNow() >= ClockJudgement.Earliest) Heartbeat.Write(directory, time.GetUtcNow());
    }

    /// <summary>The smallest stamp that may follow a note.</summary>
    /// <param name="origin">The origin.</param>
    /// <param name="released">The stamp of its newest note; 0 when there is none.</param>
    /// <param name="note">That note.</param>
    public ulong FloorOf(string origin, ulong released, ReadOnlySpan<byte> note)
    {
        if (_permissions.Count == 0 || released == 0 || !_permissions.TryGetValue(Checkpoint.HashOrigin(origin), out (ClockPermission Permission, ulong At) given)) return released;
        bool holds = given.Permission.Stamp == released && given.Permission.NoteHash == new Hash(SHA256.HashData(note));
        return ClockJudgement.Floor(released, holds ? given.At : null);
    }

    /// <summary>Until when a stamp has to wait for the clock; null when it need not wait, or at most for <see cref="ClockJudgement.Tolerance"/>.</summary>
    public DateTimeOffset? WaitsUntil(ulong floor)
    {
        DateTimeOffset now = _time.GetUtcNow();
        return ClockJudgement.IsBehind(now, floor) ? now + ClockJudgement.TimeUntil(now, floor) : null;
    }

    /// <summary>Reads the present second. Returns whether it may be stated.</summary>
    public bool TryNow(ulong floor, out ulong timestamp)
    {
        long now = _time.GetUtcNow().ToUnixTimeSeconds();
        // SPEC TW-37: the timestamp is never 0. SPEC CO-07: nor above 2^63-1, which a clock in seconds never reaches.
        timestamp = now > 0 ? (ulong)now : 0;
        return timestamp > 0 && timestamp >= floor && State == ClockState.Right;
    }

    /// <summary>The present second, after a wait if the clock is slightly behind. Null when the clock is too far behind, or not right.</summary>
    public async Task<ulong?> NextAsync(ulong floor)
    {
        if (TryNow(floor, out ulong timestamp)) return timestamp;
        TimeSpan behind = ClockJudgement.TimeUntil(_time.GetUtcNow(), Math.Max(1, floor));
        if (behind > ClockJudgement.Tolerance || behind <= TimeSpan.Zero || State != ClockState.Right) return null;
        await Task.Delay(behind, _time).ConfigureAwait(false);
        return TryNow(floor, out timestamp) ? timestamp : null;
    }

    /// <summary>
    /// Writes the heartbeat. Does nothing while the clock is not right. An old heartbeat only makes the next judgement stricter, so the caller may just report
    /// a failure.
    /// </summary>
    /// <param name="evenIfAhead">Whether a time that is ahead is written too: for a program that states no time.</param>
    /// <exception cref="StorageException">It could not be written.</exception>
    public void Beat(bool evenIfAhead = false)
    {
        if (State is not ClockState.Right and ClockState state && !(evenIfAhead && state == ClockState.Ahead)) return;
        DateTimeOffset now = _time.GetUtcNow();
        Heartbeat.Write(_directory, now);
        lock (_gate) _lastKnown = (now, _time.GetTimestamp());
    }

    /// <summary>
    /// Records that an operator accepts the clock, and that the time of these notes may go back once. The heartbeat is written last: after a crash before it,
    /// the clock is still ahead, and the operator accepts it again.
    /// </summary>
    /// <param name="reason">Why the operator accepts it.</param>
    /// <param name="permissions">The notes whose time may go back.</param>
    /// <exception cref="StorageException">It could not be recorded.</exception>
    public void Accept(string reason, IReadOnlyList<ClockPermission> permissions)
    {
        DateTimeOffset now = _time.GetUtcNow();
        ClockAcceptances.Add(_directory, new ClockAcceptance(now.ToUnixTimeSeconds(), LastKnown?.ToUnixTimeSeconds(), reason, permissions));
        Heartbeat.Write(_directory, now);
    }

    /// <summary>What is wrong with the clock, and what to do, for an operator.</summary>
    /// <param name="state">The state, not Right.</param>
    /// <param name="program">The program whose command accepts the clock.</param>
    public string Describe(ClockState state, string program)
    {
        string now = Format(_time.GetUtcNow()), accept = $"stop it and run {program} clock accept --data {_directory} --reason TEXT";
        return state switch
        {
            ClockState.Early => $"the clock says {now}, which is before {Format(ClockJudgement.Earliest)}: set it",
            ClockState.Ahead => $"the clock says {now}, {(int)_limit.TotalDays} days or more after {Format(LastKnown ?? default)}, the last time that was known: set it, or, if it is right, {accept}",
            ClockState.Jumped => $"the clock says {now}, and has moved by more than a day against the monotonic clock since the start: set it, or, if it is right, start the program again",
            ClockState.Behind => $"the clock says {now}, which is before a time that was signed: set it, wait, or, if it is right, {accept}",
            _ => throw new System.Diagnostics.UnreachableException($"{state} needs no words"),
        };
    }

    /// <summary>Formats a time for people.</summary>
    public static string Format(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    private DateTimeOffset? MovedOn((DateTimeOffset Wall, long Monotonic)? time)
    {
        if (time is not (DateTimeOffset wall, long monotonic)) return null;
        TimeSpan elapsed = _time.GetElapsedTime(monotonic);
        return elapsed < DateTimeOffset.MaxValue - wall ? wall + elapsed : DateTimeOffset.MaxValue;
    }
}
