// The log of both servers, on standard error. One event is one line:
//
//     2026-11-30T19:14:47.123Z warn: tlog-server[3] no witness and no guard: ...
//
// time in UTC, level, source, number of the event, message in printable ASCII (PrintableText.cs).

using System.Globalization;

namespace TransparencyLog.Hosting;

/// <summary>Sets up the log, and writes it.</summary>
/// <param name="lines">Where lines go.</param>
/// <param name="time">The clock.</param>
internal sealed class ConsoleLog(LineQueue lines, TimeProvider time) : ILoggerProvider
{
    /// <summary>Everything goes to standard error: standard output is for programs.</summary>
    public static void Configure(ILoggingBuilder logging, LogLevel least, TimeProvider time)
    {
        logging.ClearProviders();
        logging.AddProvider(new ConsoleLog(StandardStreams.Error, time));
        logging.SetMinimumLevel(least);

        // What the framework has to say about requests of clients is not for the operator.
        logging.AddFilter("Microsoft", AtLeast(LogLevel.Warning));

        // A line for each connection too many would let clients fill our log.
        logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel.Connections", AtLeast(LogLevel.Error));

        // A start that fails is one line of ours; the host would add its stack.
        logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);

        LogLevel AtLeast(LogLevel level) => least < level ? level : least;
    }

    public ILogger CreateLogger(string categoryName) => new Source(this, categoryName);

    public void Dispose()
    {
        // The queue is the process's.
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
