// The clock of a program that states times in signatures: the witness in its cosignatures, the log in its ML-DSA-44 signature (type 0x06). It stands between them and the
// TimeProvider, and says of each time whether it may be stated (ClockJudgement.cs), from what the data directory remembers (Heartbeat.cs, ClockAcceptances.cs).

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
    private readonly Lock _gate = new(); // guards the two below
    private (DateTimeOffset Wall, long Monotonic)? _lastKnown; // the heartbeat, and when it was read or written
    private (DateTimeOffset Wall, long Monotonic)? _start;     // the first time that was believed

    private SigningClock(string directory, TimeSpan limit, TimeProvider time)
    {
        _directory = directory;
        _limit = limit;
        _time = time;
    }

    /// <summary>What is to be thought of the clock now; never <see cref="ClockState.Behind"/>, which is a matter of each origin.</summary>
    public ClockState State
    {
        get
        {
            lock (_gate)
            {
                DateTimeOffset now = _time.GetUtcNow();
                ClockState state = ClockJudgement.Judge(now, MovedOn(_lastKnown), _limit, MovedOn(_start));
                // A time that is not believed is no beginning: when the clock is set right, it has not jumped.
                if (state == ClockState.Right) _start ??= (now, _time.GetTimestamp());
                return state;
            }
        }
    }

    /// <summary>The last known time; null when none is.</summary>
    public DateTimeOffset? LastKnown
    {
        get
        {
            lock (_gate) return _lastKnown?.Wall;
        }
    }

    /// <summary>How far ahead of the last known time the clock may be.</summary>
    public TimeSpan Limit => _limit;

    /// <summary>Reads what a data directory remembers.</summary>
    /// <param name="directory">The data directory, locked by the caller.</param>
    /// <param name="limit">How far ahead of the last known time the clock may be.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="StorageException">One of the files cannot be read, or is not what was written.</exception>
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

    /// <summary>Writes the first heartbeat of a new directory, if the clock can be right.</summary>
    public static void Begin(string directory, TimeProvider time)
    {
        if (time.GetUtcNow() >= ClockJudgement.Earliest) Heartbeat.Write(directory, time.GetUtcNow());
    }

    /// <summary>The least stamp that may follow a note.</summary>
    /// <param name="origin">The origin.</param>
    /// <param name="released">The stamp of its newest note; 0 when there is none.</param>
    /// <param name="note">That note.</param>
    public ulong FloorOf(string origin, ulong released, ReadOnlySpan<byte> note)
    {
        if (_permissions.Count == 0 || released == 0 || !_permissions.TryGetValue(Checkpoint.HashOrigin(origin), out (ClockPermission Permission, ulong At) given)) return released;
        bool holds = given.Permission.Stamp == released && given.Permission.NoteHash == new Hash(SHA256.HashData(note));
        return ClockJudgement.Floor(released, holds ? given.At : null);
    }

    /// <summary>Until when a stamp has to wait; null when it need not, or only for a moment.</summary>
    public DateTimeOffset? WaitsUntil(ulong floor)
    {
        DateTimeOffset now = _time.GetUtcNow();
        return ClockJudgement.IsBehind(now, floor) ? now + ClockJudgement.TimeUntil(now, floor) : null;
    }

    /// <summary>The present second, if it may be stated.</summary>
    public bool TryNow(ulong floor, out ulong timestamp)
    {
        long now = _time.GetUtcNow().ToUnixTimeSeconds();
        // SPEC TW-37: the timestamp is never 0. SPEC CO-07: nor above 2^63-1, which a clock in seconds never reaches.
        timestamp = now > 0 ? (ulong)now : 0;
        return timestamp > 0 && timestamp >= floor && State == ClockState.Right;
    }

    /// <summary>The present second, after a wait if the clock is a little behind; null when it is too far behind, or not right.</summary>
    public async Task<ulong?> NextAsync(ulong floor)
    {
        if (TryNow(floor, out ulong timestamp)) return timestamp;
        TimeSpan behind = ClockJudgement.TimeUntil(_time.GetUtcNow(), Math.Max(1, floor));
        if (behind > ClockJudgement.Tolerance || behind <= TimeSpan.Zero || State != ClockState.Right) return null;
        await Task.Delay(behind, _time).ConfigureAwait(false);
        return TryNow(floor, out timestamp) ? timestamp : null;
    }

    /// <summary>Writes the heartbeat; nothing while the clock is not right. A heartbeat that is old makes the next judgement stricter, so a failure is for the caller to report.</summary>
    /// <param name="evenIfAhead">Whether a clock that is ahead is taken as it is: of a program that states no time.</param>
    /// <exception cref="StorageException">It could not be written.</exception>
    public void Beat(bool evenIfAhead = false)
    {
        if (State is not ClockState.Right and ClockState state && !(evenIfAhead && state == ClockState.Ahead)) return;
        DateTimeOffset now = _time.GetUtcNow();
        Heartbeat.Write(_directory, now);
        lock (_gate) _lastKnown = (now, _time.GetTimestamp());
    }

    /// <summary>
    /// Records that an operator takes the clock for right, and that the time of these notes may go back once. In this order: a crash in between leaves a clock that is
    /// still ahead, and the operator accepts it again.
    /// </summary>
    /// <param name="reason">Why.</param>
    /// <param name="permissions">For which notes.</param>
    /// <exception cref="StorageException">It could not be recorded.</exception>
    public void Accept(string reason, IReadOnlyList<ClockPermission> permissions)
    {
        DateTimeOffset now = _time.GetUtcNow();
        ClockAcceptances.Add(_directory, new ClockAcceptance(now.ToUnixTimeSeconds(), LastKnown?.ToUnixTimeSeconds(), reason, permissions));
        Heartbeat.Write(_directory, now);
    }

    /// <summary>What is wrong with the clock, and what to do, for an operator.</summary>
    /// <param name="state">The state, not Right.</param>
    /// <param name="program">The program, which has the command to accept it.</param>
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

    /// <summary>A time as people read it.</summary>
    public static string Format(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    private DateTimeOffset? MovedOn((DateTimeOffset Wall, long Monotonic)? time)
    {
        if (time is not (DateTimeOffset wall, long monotonic)) return null;
        TimeSpan elapsed = _time.GetElapsedTime(monotonic);
        return elapsed < DateTimeOffset.MaxValue - wall ? wall + elapsed : DateTimeOffset.MaxValue;
    }
}
