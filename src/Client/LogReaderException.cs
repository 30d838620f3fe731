namespace TransparencyLog.Client;

/// <summary>What kind of failure a log's answer is, and so what its reader should do about it.</summary>
public enum LogFailure
{
    /// <summary>The log, or the way to it, is in trouble: no connection, no answer in time, 5xx, 429, a redirect. Later it may be better.</summary>
    Trouble,

    /// <summary>The log answered what cannot be true: a wrong signature, a tile that does not fit, a smaller tree than before.</summary>
    Lie,

    /// <summary>404: the log says that there is no such thing.</summary>
    Missing,

    /// <summary>Another 4xx: the log takes no such request, now or later.</summary>
    Refused,
}

/// <summary>A log did not give what was asked for. The message is one line for people and names the URL.</summary>
/// <param name="kind">What to do about it.</param>
/// <param name="message">One line.</param>
/// <param name="damage">The place and the difference, when the failure is bytes that are not what they must be.</param>
/// <param name="evidence">What the log has signed and contradicts itself with, to be kept.</param>
public sealed class LogReaderException(LogFailure kind, string message, Damage? damage = null, TlogEvidence? evidence = null) : Exception(message)
{
    /// <summary>What to do about it.</summary>
    public LogFailure Kind { get; } = kind;

    /// <summary>The HTTP status that was answered; null when the failure is none of a status.</summary>
    public int? Status { get; internal init; }

    /// <summary>The place and the difference, when the failure is bytes that are not what they must be; null otherwise.</summary>
    public Damage? Damage { get; } = damage;

    /// <summary>
    /// What the log has signed and contradicts itself with, verified, with its own lines alone; null when there is none. The next answer may be another one: keep it
    /// (spec/evidence.md). <see cref="EvidenceKind.Unproven"/> convinces nobody but is worth looking into.
    /// </summary>
    public TlogEvidence? Evidence { get; } = evidence;
}
