// tlog: the command line of a transparency log, for people and scripts. spec/interface.md fixes names and exit codes.

using System.CommandLine;
using TransparencyLog.Client;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

internal static class Program
{
    public static async Task<int> Main(string[] args)
    {
        NativeSha256.TryUse();

        // Without standard error nothing can be reported: its descriptor number may belong to a file of ours by now, and a message would be written into that
        // file. Only the exit code remains.
        if (!InheritedDescriptor.IsWritable(InheritedDescriptor.Error)) return ExitCode.Usage;
        if (!InheritedDescriptor.IsWritable(InheritedDescriptor.Output))
        {
            await Console.Error.WriteLineAsync($"tlog: {InheritedDescriptor.NoOutput}");
            return ExitCode.Usage;
        }

        using Stream? input = InheritedDescriptor.IsReadable(InheritedDescriptor.Input) ? Console.OpenStandardInput() : null;
        using Stream output = Console.OpenStandardOutput(); // raw bytes: no encoding of the locale is applied
        return await RunAsync(args, new Surroundings(input, output, Console.Error, TimeProvider.System) { ErrorIsTerminal = !Console.IsErrorRedirected }, CancellationToken.None);
    }

    internal static async Task<int> RunAsync(string[] args, Surroundings around, CancellationToken stop)
    {
        RootCommand root = new("Keys, entries, proofs and checks of a transparency log. Exit codes: 0 ok; 1 the claim does not hold; 2 usage or configuration; 3 in use or damaged state; 4 trouble that may pass.")
        {
            KeygenCommand.Create(around),
            AddCommand.Create(around),
            GetCommand.Create(around),
            ProveCommand.Create(around),
            VerifyCommand.Create(around),
            FsckCommand.Create(around),
            FeedCommand.Create(around),
            BackupCommand.CreateBackup(around),
            BackupCommand.CreateRestore(around),
            PolicyCommand.Create(around),
            Conform.ConformCommand.Create(around),
            EvidenceCommand.Create(around),
        };

        // --version after a command means the same as --version before it.
        if (args is [_, .., "--version"] && !args.Contains("--", StringComparer.Ordinal)) args = ["--version"];

        // An argument that begins with @ is an ordinary file name, not a response file.
        ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        try
        {
            if (Misspelling.Complaint(parsed) is string complaint) throw new CliException(ExitCode.Usage, $"{complaint} (tlog --help)");
            using StreamWriter output = new(around.Out, leaveOpen: true);
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, Output = output, Error = around.Error }, stop);
        }
        catch (Exception failure)
        {
            // Also the last resort for unexpected exceptions: every failure becomes one line.
            string message = Describe(failure);
            string hint = failure is StorageException || CodeOf(failure) == ExitCode.Usage ? Misspelling.Hint(message, parsed) : "";
            await around.SayAsync(message + hint);
            return hint.Length > 0 ? ExitCode.Usage : CodeOf(failure);
        }
    }

    private static ExitCode CodeOf(Exception failure) => failure switch
    {
        CliException ours => ours.Code,
        LogReaderException { Kind: LogFailure.Lie or LogFailure.Missing } => ExitCode.DoesNotHold,
        LogReaderException { Kind: LogFailure.Refused } => ExitCode.Usage,
        KeyFileException => ExitCode.Usage,
        StorageException { MayPass: true } => ExitCode.Trouble,
        OutputFileException => ExitCode.Usage,
        StorageException => ExitCode.State,
        _ => ExitCode.Trouble,
    };

    private static string Describe(Exception failure) => failure switch
    {
        CliException or LogReaderException or KeyFileException or StorageException or IOException or UnauthorizedAccessException => failure.Message,
        OperationCanceledException => "interrupted",
        _ => $"an error of tlog itself, please report it: {failure.GetType().Name}: {failure.Message}",
    };
}
