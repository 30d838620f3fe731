namespace TransparencyLog.Server;

/// <summary>
/// The log messages of the server's own code, with their event ids. Messages of shared code are in Hosting. No message contains entry content or key
/// material.
/// </summary>
internal static partial class Events
{
    [LoggerMessage(1, LogLevel.Information, "log {Origin}: {Entries} entries durable, size {Signed} signed")]
    public static partial void Opened(this ILogger logger, string origin, long entries, long signed);

    [LoggerMessage(2, LogLevel.Warning, "{What}")]
    public static partial void Mended(this ILogger logger, string what);

    [LoggerMessage(3, LogLevel.Warning, "no witness and no guard: a restored older copy of this directory could not be noticed (spec/trust.md)")]
    public static partial void NoWitness(this ILogger logger);

    [LoggerMessage(4, LogLevel.Warning, "witness {Witness}: size {Size} not cosigned: {Reason}")]
    public static partial void WitnessFailed(this ILogger logger, string witness, long size, string reason);

    [LoggerMessage(5, LogLevel.Warning, "witness {Witness}: {Count} lines of its answer dropped: not of a key in the policy, or not valid")]
    public static partial void WitnessLinesDropped(this ILogger logger, string witness, int count);

    [LoggerMessage(6, LogLevel.Critical, "halted until an operator resumes: {Reason}")]
    public static partial void Halted(this ILogger logger, string reason);

    [LoggerMessage(7, LogLevel.Critical, "no more entries are taken until a restart: {Reason}")]
    public static partial void EngineFailed(this ILogger logger, string reason);

    [LoggerMessage(8, LogLevel.Error, "a request failed: {Reason}")]
    public static partial void RequestFailed(this ILogger logger, string reason);

    [LoggerMessage(9, LogLevel.Warning, "duplicates: {What}")]
    public static partial void DuplicateIndex(this ILogger logger, string what);

    [LoggerMessage(10, LogLevel.Critical, "still {State}, no entries are taken: {Reason}")]
    public static partial void StillStopped(this ILogger logger, string state, string reason);

    [LoggerMessage(11, LogLevel.Critical, "the disk is nearly full, no entries are taken: {Room}")]
    public static partial void DiskLow(this ILogger logger, string room);

    [LoggerMessage(14, LogLevel.Warning, "{What}")]
    public static partial void KeyWithdrawn(this ILogger logger, string what);

    [LoggerMessage(12, LogLevel.Information, "scrub: {Entries} entries checked from their bytes up in {Seconds} s, nothing is damaged")]
    public static partial void ScrubPassed(this ILogger logger, long entries, long seconds);

    [LoggerMessage(13, LogLevel.Warning, "scrub: the check of the store has not passed and is made again later: {Reason}")]
    public static partial void ScrubFailed(this ILogger logger, string reason);

    [LoggerMessage(15, LogLevel.Warning, "policy: nothing can be verified with the key of {Whose}")]
    public static partial void PolicyKeyUnusable(this ILogger logger, string whose);

    [LoggerMessage(17, LogLevel.Warning, "{What}")]
    public static partial void Clock(this ILogger logger, string what);

    [LoggerMessage(18, LogLevel.Critical, "nothing is signed, entries are taken: {What}{Until}")]
    public static partial void NothingSigned(this ILogger logger, string what, string until);

    [LoggerMessage(50, LogLevel.Critical, "guard-unavailable: nothing is signed until the guard answers: {Reason}")]
    public static partial void GuardUnavailable(this ILogger logger, string reason);

    [LoggerMessage(51, LogLevel.Information, "the guard answers again")]
    public static partial void GuardBack(this ILogger logger);

    [LoggerMessage(20, LogLevel.Critical, "size {Size} is public without the quorum of its policy, as all has been since {Since:yyyy-MM-ddTHH:mm:ssZ}: the witnesses do not answer in time")]
    public static partial void QuorumMissing(this ILogger logger, long size, DateTimeOffset since);

    [LoggerMessage(21, LogLevel.Information, "size {Size} has the quorum of its policy again")]
    public static partial void QuorumBack(this ILogger logger, long size);

    [LoggerMessage(40, LogLevel.Critical, "witness {Witness} contradicts this log: it says, without proof, that it has cosigned size {Size}, and this log has never signed more than {Signed}. Its lines do not count until it cosigns again")]
    public static partial void WitnessContradicts(this ILogger logger, string witness, long size, long signed);

    [LoggerMessage(41, LogLevel.Critical, "publication is held; entries are taken: {Reason}. It ends when the witness cosigns again; see 'A witness that contradicts the log' in spec/operations.md")]
    public static partial void PublicationHeld(this ILogger logger, string reason);

    [LoggerMessage(42, LogLevel.Critical, "no entries are taken and nothing is signed: {Reason}. It ends when the witness cosigns again, or with tlog-server resume --data DIR --distrust NAME --reason TEXT; see 'A witness that contradicts the log' in spec/operations.md")]
    public static partial void SigningHeld(this ILogger logger, string reason);

    [LoggerMessage(43, LogLevel.Information, "no witness's word holds this log any more")]
    public static partial void HoldEnded(this ILogger logger);

    [LoggerMessage(44, LogLevel.Error, "witness {Witness} went back: it has cosigned size {Held} and now answers size {Size}. It is fed from there; {Kept}")]
    public static partial void WitnessWentBack(this ILogger logger, string witness, long held, long size, string kept);

    [LoggerMessage(45, LogLevel.Critical, "witness {Witness} broke its promise: after size {Held} it has cosigned a smaller size at a later time. Its lines do not count any more: take it out of the policy; {Kept}")]
    public static partial void WitnessBrokePromise(this ILogger logger, string witness, long held, string kept);

    [LoggerMessage(46, LogLevel.Warning, "the unsigned word of witness {Name} does not hold this log, by decision of {Since:yyyy-MM-ddTHH:mm:ssZ}: {Reason}{Note}")]
    public static partial void WitnessDistrusted(this ILogger logger, string name, DateTimeOffset since, string reason, string note);

    [LoggerMessage(47, LogLevel.Warning, "the quorum is none, and no guard agrees: only a checkpoint with this log's signature, shown by a witness, would stop a second copy of this log (spec/trust.md)")]
    public static partial void QuorumNone(this ILogger logger);
}
