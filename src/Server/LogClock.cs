// The time in the log's own statements. A log with an ML-DSA-44 key (signature type 0x06) states in every checkpoint at which time it was its largest tree; two sizes with times
// out of order would contradict each other. So nothing is signed while the clock cannot be right (Hosting/SigningClock.cs) or is behind the newest stamp; entries are taken and
// durable meanwhile. A log with an Ed25519 key alone states no time: it is told once, and goes on.

using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Why nothing is signed for now.</summary>
/// <param name="State">What is wrong with the clock.</param>
/// <param name="Until">When it passes with time alone; null when it does not.</param>
internal sealed record ClockTrouble(ClockState State, DateTimeOffset? Until);

/// <summary>Gives the stamps of a log's statements. Safe for concurrent use.</summary>
/// <param name="clock">The clock.</param>
/// <param name="origin">The log's origin.</param>
/// <param name="key">The key whose signatures state a time; null where there is none.</param>
/// <param name="current">The newest signed head; null before the first.</param>
/// <param name="time">For the pace of what is said.</param>
/// <param name="logger">The operator's log.</param>
internal sealed class LogClock(SigningClock clock, string origin, VerifierKey? key, Func<TreeHead?> current, TimeProvider time, ILogger logger) : IDisposable
{
    /// <summary>How soon the clock is asked again, and how often the operator hears that it is wrong.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromSeconds(1), Reminder = TimeSpan.FromMinutes(1);

    private ITimer? _heartbeat;
    private long? _saidAt; // the publisher's

    /// <summary>The last known time; null when none is.</summary>
    public DateTimeOffset? LastKnown => clock.LastKnown;

    /// <summary>Why nothing is signed; null while all is well, and for a log that states no time.</summary>
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

    /// <summary>The stamp of the next statement; false when it may not be made now. 0 where no time is stated.</summary>
    public bool TryNext(TreeHead? last, out ulong stamp)
    {
        stamp = 0;
        if (key is null) return true;
        ClockTrouble? trouble = Trouble;
        if (trouble is null)
        {
            // Where the clock is behind by a moment the last stamp is stated again: nothing waits for two seconds.
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

    /// <summary>The stamp of a head; 0 where it has none.</summary>
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
            // The one before stays, and the next judgement is stricter for it.
            logger.Clock($"the heartbeat could not be written: {failure.Message}");
        }
    }
}
