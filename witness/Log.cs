namespace TransparencyLog.Witness;

/// <summary>The log events of the witness. They hold no keys, and of a request only sizes and the origin of a configured log.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "{Witness} serves {Logs} logs at {Url}; {Stored} have been cosigned before")]
    public static partial void Started(this ILogger log, string witness, int logs, string url, int stored);

    [LoggerMessage(2, LogLevel.Warning, "no --guard: an older copy of the data directory, put in its place, could not be noticed")]
    public static partial void NoGuard(this ILogger log);

    [LoggerMessage(3, LogLevel.Warning, "{Cut}")]
    public static partial void FrameCut(this ILogger log, string cut);

    [LoggerMessage(4, LogLevel.Information, "stopping")]
    public static partial void Stopping(this ILogger log);

    [LoggerMessage(10, LogLevel.Debug, "cosigned {Origin} at size {Size}")]
    public static partial void Cosigned(this ILogger log, string origin, long size);

    [LoggerMessage(11, LogLevel.Critical, "MISBEHAVIOUR: {Origin} has signed what cannot both be true ({Kind}), at sizes {Size} and {OtherSize}; kept as evidence/{File}")]
    public static partial void Misbehaviour(this ILogger log, string origin, string kind, long size, long otherSize, string file);

    [LoggerMessage(15, LogLevel.Warning, "{Origin}: a checkpoint of size {Submitted} came with a proof from size {Cosigned} that does not verify; kept as evidence/{File}")]
    public static partial void Unproven(this ILogger log, string origin, long cosigned, long submitted, string file);

    [LoggerMessage(12, LogLevel.Error, "the clock is behind: {Origin} has a cosignature of time {Last}; not cosigning with an earlier one")]
    public static partial void ClockBehind(this ILogger log, string origin, ulong last);

    [LoggerMessage(20, LogLevel.Critical, "{Count} logs are not cosigned: {Origin} until {Until}, the others until earlier: {What}")]
    public static partial void LogsWait(this ILogger log, int count, string origin, string until, string what);

    [LoggerMessage(21, LogLevel.Warning, "the heartbeat could not be written: {Reason}")]
    public static partial void NoHeartbeat(this ILogger log, string reason);

    [LoggerMessage(13, LogLevel.Critical, "HALTED, nothing is cosigned until a restart: {Reason}")]
    public static partial void Halted(this ILogger log, Exception failure, string reason);

    [LoggerMessage(14, LogLevel.Critical, "still HALTED: {Reason}")]
    public static partial void StillHalted(this ILogger log, string reason);

    [LoggerMessage(16, LogLevel.Critical, "nothing is cosigned: {Why}")]
    public static partial void Hindered(this ILogger log, string why);

    [LoggerMessage(17, LogLevel.Information, "the lists name {Logs} logs now")]
    public static partial void ListsChanged(this ILogger log, int logs);

    [LoggerMessage(18, LogLevel.Warning, "{List} could not be read, what was known of it stays: {Reason}")]
    public static partial void ListFailed(this ILogger log, string list, string reason);

    [LoggerMessage(52, LogLevel.Warning, "{What}")]
    public static partial void KeyWithdrawn(this ILogger log, string what);

    [LoggerMessage(19, LogLevel.Warning, "{Reason}")]
    public static partial void LogRefused(this ILogger log, string reason);

    [LoggerMessage(50, LogLevel.Critical, "guard-unavailable: nothing is cosigned until the guard answers: {Reason}")]
    public static partial void GuardUnavailable(this ILogger log, string reason);

    [LoggerMessage(51, LogLevel.Information, "the guard answers again")]
    public static partial void GuardBack(this ILogger log);
}
