using System.CommandLine;
using TransparencyLog.Client;

namespace TransparencyLog.Cli;

/// <summary>The argument that names a log, and its reader.</summary>
internal static class LogUrl
{
    public static Argument<string> Argument() => new("URL") { Description = "The log: its URL prefix, http or https." };

    public static LogReader Open(string url) =>
        LogReader.IsUrl(url) ? new LogReader(url) : throw new CliException(ExitCode.Usage, $"{url} is not an http or https URL without query and credentials");

    public static Option<string?> PolicyOption(string description) => new("--policy") { HelpName = "FILE", Description = description };

    /// <summary>An index on the command line.</summary>
    public static bool TryReadIndex(string text, out long index) => Strict.TryReadSize(System.Text.Encoding.UTF8.GetBytes(text), out index);
}
