// The log of both servers, on standard error. One event is one line:
//
//     2026-11-30T19:14:47.123Z warn: tlog-server[3] no witness and no guard: ...
//
// The parts are the time in UTC, the level, the source, the event number, and the message in printable ASCII (PrintableText.cs).

using System.Globalization;

namespace TransparencyLog.Hosting;

/// <summary>Sets up the log and writes its lines.</summary>
/// <param name="lines">The queue of the lines.</param>
/// <param name="time">The clock.</param>
internal sealed class ConsoleLog(LineQueue lines, TimeProvider time) : ILoggerProvider
{
    /// <summary>Sends everything to standard error: standard output is for programs.</summary>
    public static void Configure(ILoggingBuilder logging, LogLevel least, TimeProvider time)
    {
        logging.ClearProviders();
        logging.AddProvider(new ConsoleLog(StandardStreams.Error, time));
        logging.SetMinimumLevel(least);

        // Framework messages about requests of clients are not for the operator.
        logging.AddFilter("Microsoft", AtLeast(LogLevel.Warning));

        // A line for each connection above the limit would let clients fill our log.
        logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel.Connections", AtLeast(LogLevel.Error));

        // This program reports a failed start in one line. The host would add a stack trace.
        logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);

        LogLevel AtLeast(LogLevel level) => least < level ? level : least;
    }

    public ILogger CreateLogger(string categoryName) => new Source(this, categoryName);

    public void Dispose()
    {
        // The queue belongs to the process.
    }

    private static string NameOf(LogLevel level) => level switch
    {
        LogLevel.Trace => "trce",
        LogLevel.Debug => "dbug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "fail",
        _ => "crit",
    };

    private sealed class Source(ConsoleLog log, string name) : ILogger
    {
        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => log.Write(logLevel, name, eventId.Id, exception is null ? formatter(state, null) : $"{formatter(state, exception)} {exception}");
    }

    private void Write(LogLevel level, string source, int number, string message) =>
        lines.Write(string.Create(CultureInfo.InvariantCulture, $"{time.GetUtcNow():yyyy-MM-ddTHH:mm:ss.fffZ} {NameOf(level)}: {PrintableText.Escape($"{source}[{number}] {message}")}"));
}
