namespace TransparencyLog.Client;

/// <summary>The kind of a failure, which decides what its reader should do about it.</summary>
public enum LogFailure
{
    /// <summary>The log or the network is in trouble: no connection, no answer in time, 5xx, 429, a redirect. A later attempt may succeed.</summary>
    Trouble,

    /// <summary>The log's answer cannot be true: an invalid signature, a tile that does not fit, a smaller tree than before.</summary>
    Lie,

    /// <summary>404: the log says that it has no such resource.</summary>
    Missing,

    /// <summary>Another 4xx: the log does not accept such a request, now or later.</summary>
    Refused,
}

/// <summary>A log did not return what was requested. The message is one line for people and names the URL.</summary>
/// <param name="kind">What to do about it.</param>
/// <param name="message">One line.</param>
/// <param name="damage">Where the served bytes are wrong, and how; null when the failure is another one.</param>
/// <param name="evidence">Signed checkpoints with which the log contradicts itself, to be kept; null when there are none.</param>
public sealed class LogReaderException(LogFailure kind, string message, Damage? damage = null, TlogEvidence? evidence = null) : Exception(message)
{
    /// <summary>What to do about it.</summary>
    public LogFailure Kind { get; } = kind;

    /// <summary>The HTTP status of the answer; null when the failure is not about a status.</summary>
    public int? Status { get; internal init; }

    /// <summary>Where the served bytes are wrong, and how; null when the failure is another one.</summary>
    public Damage? Damage { get; } = damage;

    /// <summary>
    /// Signed checkpoints with which the log contradicts itself, verified, with only the log's own lines; null when there are none. Keep them, because the next
    /// answer may differ (spec/evidence.md). <see cref="EvidenceKind.Unproven"/> convinces nobody but is worth investigating.
    /// </summary>
    public TlogEvidence? Evidence { get; } = evidence;
}
