namespace TransparencyLog.Hosting;

/// <summary>The events that both programs log at their start.</summary>
internal static partial class StartEvents
{
    [LoggerMessage(60, LogLevel.Warning, "environment: {Variables}: not settings of {Program}, not read")]
    public static partial void VariablesNotRead(this ILogger logger, string variables, string program);

    [LoggerMessage(61, LogLevel.Information, "listening on {Url}")]
    public static partial void ListeningOn(this ILogger logger, string url);
}
