// How a witness stands, as its feed knows it: for operators and their monitoring.

namespace TransparencyLog.Client;

/// <summary>How a witness answers now.</summary>
public enum WitnessCondition
{
    /// <summary>It has not answered yet.</summary>
    Unknown,

    /// <summary>Its last answer was a cosignature, or said how far it is.</summary>
    Well,

    /// <summary>It gave no answer, or a wrong one: <see cref="WitnessFailure.Trouble"/>.</summary>
    Failing,

    /// <summary><see cref="WitnessFailure.Refused"/>.</summary>
    Refusing,

    /// <summary><see cref="WitnessFailure.Inconsistent"/>.</summary>
    Inconsistent,

    /// <summary><see cref="WitnessFailure.Limited"/>.</summary>
    Limited,

    /// <summary>It has said that it has cosigned what the log has not signed, has shown no proof, and has cosigned nothing since: <see cref="WitnessState.Claim"/>.</summary>
    Contradicting,

    /// <summary>It answers well, and has forgotten a head that it had cosigned: <see cref="WitnessState.WentBack"/>. Stays for the life of the feed.</summary>
    WentBack,
}

/// <summary>What became of requests, each counted once.</summary>
public enum WitnessOutcome
{
    /// <summary>200 with at least one good line.</summary>
    Cosigned,

    /// <summary>409 with a size.</summary>
    Conflict,

    /// <summary><see cref="WitnessFailure.Trouble"/>.</summary>
    Trouble,

    /// <summary><see cref="WitnessFailure.Refused"/>.</summary>
    Refused,

    /// <summary><see cref="WitnessFailure.Inconsistent"/>.</summary>
    Inconsistent,

    /// <summary><see cref="WitnessFailure.Limited"/>.</summary>
    Limited,
}

/// <summary>How a witness stands at one moment.</summary>
/// <param name="Condition">How it answers.</param>
/// <param name="Breaker">closed: it is asked; open: it failed too often and is left alone for a moment; half-open: the next request decides.</param>
/// <param name="CosignedSize">The size that it is known to have cosigned; null before its first answer.</param>
/// <param name="Owed">How long a checkpoint has been wanted that it has not cosigned; zero when it has cosigned everything.</param>
/// <param name="Latency">Of its last answer, from the request's first byte to the answer's last; null before it.</param>
/// <param name="Trouble">What was wrong with the last answer, in our words; null when nothing was.</param>
/// <param name="Requests">Requests by outcome, indexed by <see cref="WitnessOutcome"/>.</param>
public sealed record WitnessState(
    WitnessCondition Condition, string Breaker, long? CosignedSize, TimeSpan Owed, TimeSpan? Latency, string? Trouble, IReadOnlyList<long> Requests)
{
    /// <summary>The size beyond ours that it says it has cosigned; null while it says nothing such.</summary>
    public WitnessClaim? Claim { get; init; }

    /// <summary>The newest time that it went back; null when it never did.</summary>
    public WitnessRegress? WentBack { get; init; }

    /// <summary>How often it went back.</summary>
    public long TimesWentBack { get; init; }
}

/// <summary>An unsigned statement of a witness: a 409 with a size that the log has not signed.</summary>
/// <param name="Size">The size that it named last.</param>
/// <param name="Since">When it first said so.</param>
public sealed record WitnessClaim(long Size, DateTimeOffset Since);
