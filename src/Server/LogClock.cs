// The time in the log's signatures. A log with an ML-DSA-44 key (signature type 0x06) states in every checkpoint the time at which this was its largest tree.
// Two checkpoints whose times are in another order than their sizes would contradict each other. So nothing is signed while the clock cannot be right
// (Hosting/SigningClock.cs) or is behind the newest stamp. Entries are accepted and durable meanwhile. A log with an Ed25519 key alone states no time: a
// clock that is too far ahead is logged once, and the log goes on.

using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Why nothing is signed for now.</summary>
/// <param name="State">What is wrong with the clock.</param>
/// <param name="Until">When signing becomes possible with time alone; null when time alone does not help.</param>
internal sealed record ClockTrouble(ClockState State, DateTimeOffset? Until);

/// <summary>Determines the time stamps of a log's signatures. Safe for concurrent use.</summary>
/// <param name="clock">Judges whether a time may be stated.</param>
/// <param name="origin">The log's origin.</param>
/// <param name="key">The key whose signatures state a time; null when no signature does.</param>
/// <param name="current">Returns the newest signed head; null before the first.</param>
/// <param name="time">The system's time: for stamps, for the heartbeat, and for the interval of log messages.</param>
/// <param name="logger">The operator's log.</param>
internal sealed class LogClock(SigningClock clock, string origin, VerifierKey? key, Func<TreeHead?> current, TimeProvider time, ILogger logger) : IDisposable
{
    /// <summary>How soon the clock is checked again, and how often the operator is reminded that it is wrong.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromSeconds(1), Reminder = TimeSpan.FromMinutes(1);

    private ITimer? _heartbeat;
    private long? _saidAt; // only the publisher's loop uses it

    /// <summary>The last known time; null when it is unknown.</summary>
    public DateTimeOffset? LastKnown => clock.LastKnown;

    /// <summary>Why nothing is signed; null while the clock is right, and for a log that states no time.</summary>
    public ClockTrouble? Trouble
    {
        get
        {
            if (key is null) return null;
            if (clock.State is not ClockState.Right and ClockState state) return new ClockTrouble(state, null);
            return clock.WaitsUntil(FloorOf(clock, origin, key, current())) is DateTimeOffset until ? new ClockTrouble(ClockState.Behind, until) : null;
        }
    }

    /// <summary>Writes the heartbeat now and every hour.</summary>
    public void Start()
    {
        if (key is null && clock.State == ClockState.Ahead) logger.Clock($"{clock.Describe(ClockState.Ahead, "tlog-server")}. This log states no time in its signatures, and goes on");
        Beat();
        _heartbeat = time.CreateTimer(_ => Beat(), null, Heartbeat.Interval, Heartbeat.Interval);
    }

    /// <summary>Returns the stamp of the next signature; 0 when no time is stated. False when nothing may be signed now.</summary>
    public bool TryNext(TreeHead? last, out ulong stamp)
    {
        stamp = 0;
        if (key is null) return true;
        ClockTrouble? trouble = Trouble;
        if (trouble is null)
        {
            // When the clock is behind by two seconds at most, the last stamp is stated again, so that nothing waits for it.
            stamp = Math.Max(FloorOf(clock, origin, key, last), (ulong)time.GetUtcNow().ToUnixTimeSeconds());
            return true;
        }

        if (_saidAt is not long said || time.GetElapsedTime(said) >= Reminder)
        {
            _saidAt = time.GetTimestamp();
            logger.NothingSigned(clock.Describe(trouble.State, "tlog-server"), trouble.Until is DateTimeOffset until ? $" (until {SigningClock.Format(until)})" : "");
        }

        return false;
    }

    /// <summary>The least stamp that may follow a head.</summary>
    public static ulong FloorOf(SigningClock clock, string origin, VerifierKey key, TreeHead? last) => last is null ? 0 : clock.FloorOf(origin, StampOf(origin, key, last), last.Checkpoint.Span);

    /// <summary>The stamp of a head; 0 when it has none.</summary>
    public static ulong StampOf(string origin, VerifierKey key, TreeHead head)
    {
        if (!Note.TryParse(head.Checkpoint.Span, out Note? note)) return 0;
        foreach (NoteSignature line in note.Signatures)
        {
            if (line.KeyId == key.KeyId && line.Name == origin && Cosignature.TryReadTimestamp(line.Signature.Span, out ulong timestamp)) return timestamp;
        }

        return 0;
    }

    public void Dispose() => _heartbeat?.Dispose();

    private void Beat()
    {
        try
        {
            clock.Beat(evenIfAhead: key is null);
        }
        catch (StorageException failure)
        {
            // The previous heartbeat stays. Because it is older, the next judgement of the clock is stricter.
            logger.Clock($"the heartbeat could not be written: {failure.Message}");
        }
    }
}
