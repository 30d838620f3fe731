using System.CommandLine;
using TransparencyLog.Client;

namespace TransparencyLog.Cli;

/// <summary>The command-line argument that names a log, and the reader of that log.</summary>
internal static class LogUrl
{
    public static Argument<string> Argument() => new("URL") { Description = "The log: its URL prefix, http or https." };

    public static LogReader Open(string url) =>
        LogReader.IsUrl(url) ? new LogReader(url) : throw new CliException(ExitCode.Usage, $"{url} is not an http or https URL without query and credentials");

    public static Option<string?> PolicyOption(string description) => new("--policy") { HelpName = "FILE", Description = description };

    /// <summary>Reads a log's vkey from the command line.</summary>
    public static VerifierKey ReadVkey(string text)
    {
        try
        {
            if (VerifierKey.TryParse(System.Text.Encoding.UTF8.GetBytes(text), out VerifierKey? parsed) && Signing.Verifiers.WhyUnusable(parsed) is string reason)
            {
                throw new CliException(ExitCode.Usage, $"--vkey {parsed.Name}: nothing can be verified with this key: {reason}");
            }

            // A key of a type that no log signs with is rejected like a text that is not a key.
            if (VerifierKey.TryParse(System.Text.Encoding.UTF8.GetBytes(text), out VerifierKey? key) && CheckpointCheck.PolicyOf(key) is not null) return key;
        }
        catch (ArgumentException)
        {
            // Reported below.
        }

        throw new CliException(ExitCode.Usage, "--vkey is a log's verifier key, name+id+base64");
    }

    /// <summary>Reads an index from the command line.</summary>
    public static bool TryReadIndex(string text, out long index) => Strict.TryReadSize(System.Text.Encoding.UTF8.GetBytes(text), out index);
}
