// The state of a witness as its feed sees it, for operators and their monitoring.

namespace TransparencyLog.Client;

/// <summary>The condition of a witness.</summary>
public enum WitnessCondition
{
    /// <summary>It has not answered yet.</summary>
    Unknown,

    /// <summary>Its last answer was a cosignature, or the size that it has cosigned (409).</summary>
    Well,

    /// <summary>It did not answer, or its answer was invalid: <see cref="WitnessFailure.Trouble"/>.</summary>
    Failing,

    /// <summary><see cref="WitnessFailure.Refused"/>.</summary>
    Refusing,

    /// <summary><see cref="WitnessFailure.Inconsistent"/>.</summary>
    Inconsistent,

    /// <summary><see cref="WitnessFailure.Limited"/>.</summary>
    Limited,

    /// <summary>
    /// It claims to have cosigned a size that the log has not signed, has shown no proof, and has cosigned nothing since: <see cref="WitnessState.Claim"/>.
    /// </summary>
    Contradicting,

    /// <summary>It answers well, but lost a head that it had cosigned: <see cref="WitnessState.WentBack"/>. Stays for the life of the feed.</summary>
    WentBack,
}

/// <summary>The outcome of a request. Each request is counted once.</summary>
public enum WitnessOutcome
{
    /// <summary>200 with at least one line that verifies.</summary>
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

/// <summary>The state of a witness at one moment.</summary>
/// <param name="Condition">Its condition.</param>
/// <param name="Breaker">closed: it is asked; open: it failed too often and is not asked for a while; half-open: the next request decides.</param>
/// <param name="CosignedSize">The size that it is known to have cosigned; null before its first answer, and after a size that the log has not signed.</param>
/// <param name="Owed">How long a checkpoint has waited for its cosignature; zero when it has cosigned everything.</param>
/// <param name="Latency">Duration of its last answered request, from sending it to reading the whole answer; null before the first.</param>
/// <param name="Trouble">What was wrong with the last answer, in our words; null when nothing was wrong.</param>
/// <param name="Requests">Requests by outcome, indexed by <see cref="WitnessOutcome"/>.</param>
public sealed record WitnessState(
    WitnessCondition Condition, string Breaker, long? CosignedSize, TimeSpan Owed, TimeSpan? Latency, string? Trouble, IReadOnlyList<long> Requests)
{
    /// <summary>The claim to have cosigned a size beyond ours; null when it makes none.</summary>
    public WitnessClaim? Claim { get; init; }

    /// <summary>The last time that it went back; null when it never did.</summary>
    public WitnessRegress? WentBack { get; init; }

    /// <summary>How many times it went back.</summary>
    public long TimesWentBack { get; init; }
}

/// <summary>An unsigned claim of a witness: a 409 with a size that the log has not signed.</summary>
/// <param name="Size">The size that it claimed last.</param>
/// <param name="Since">When it first made such a claim after its last cosignature.</param>
public sealed record WitnessClaim(long Size, DateTimeOffset Since);
