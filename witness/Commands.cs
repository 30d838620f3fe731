// The two commands, and the one place where a failure becomes an exit code and one line on standard error.
// Standard output carries what programs read: the vkeys of `create`, the `listening URL` of `serve`.

using System.CommandLine;
using System.Security.Cryptography;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

internal static class Commands
{
    /// <summary>
    /// Longest wait for a clean end after SIGTERM: a container is killed 10 s after it. Requests get most of it (WitnessHost), the store the rest.
    /// </summary>
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(9);

    /// <summary>Makes a witness: keys, identity, empty store; prints its vkeys, one a line, Ed25519 first.</summary>
    public static Command Create()
    {
        Option<string?> data = DataOption();
        Option<string?> name = new("--name") { Description = "key name of the witness, as witness.example.com/w1", HelpName = "NAME" };
        Option<bool> plain = new("--no-ml-dsa") { Description = "an Ed25519 key alone; it then signs no subtrees" };
        Option<string?> config = ConfigOption();
        Command command = new("create", "Makes a new witness; refuses where any state exists. Prints its vkeys, one a line: Ed25519, ML-DSA-44.") { data, name, plain, config };
        command.SetAction(result => Guarded(() =>
        {
            CreateSettings settings = Settings.LoadCreate(Given(result, data, name, config), Environment.GetEnvironmentVariable);
            foreach (VerifierKey key in WitnessDirectory.Create(settings.Data, settings.Name, mlDsa44: !result.GetValue(plain))) Console.Out.Write($"{key}\n");
            return Task.CompletedTask;
        }));
        return command;
    }

    /// <summary>Runs a witness until SIGTERM or SIGINT.</summary>
    /// <param name="journal">Puts something between the store and its journal, for faults in tests; null for nothing.</param>
    public static Command Serve(Func<IJournal, IJournal>? journal = null)
    {
        Option<string?> data = DataOption();
        Option<string?> listen = new("--listen") { Description = $"http://ADDRESS:PORT, default {Settings.DefaultListen}; port 0 takes a free one", HelpName = "URL" };
        Option<string[]> logs = new("--logs") { Description = "the logs to witness: `log` lines of c2sp.org/tlog-policy, or a list of c2sp.org/tlog-list; may be given several times", HelpName = "FILE|URL" };
        Option<string?> guard = new("--guard") { Description = "a directory on another disk that remembers how far this witness is", HelpName = "DIR" };
        Option<string?> webhook = new("--evidence-webhook") { Description = "where evidence is sent: http or https URLs, spaces between them", HelpName = "URLS" };
        Option<string?> config = ConfigOption();
        Command command = new("serve", "Runs the witness. Every option is also a key of the configuration file and an environment variable (TLOG_WITNESS_LISTEN ...).")
        {
            data, listen, logs, guard, webhook, config,
        };
        command.SetAction(result => Guarded(async () =>
        {
            Dictionary<string, string> given = Given(result, data, listen, guard, webhook, config);
            if (result.GetValue(logs) is { Length: > 0 } lists) given.Add("logs", string.Join(',', lists));
            Settings settings = Settings.Load(given, Environment.GetEnvironmentVariable);
            WitnessHost host = await WitnessHost.StartAsync(settings, TimeProvider.System, journal);
            Console.Out.Write($"listening {host.Url}\n");
            await Console.Out.FlushAsync();
            await host.WaitForShutdownAsync();
            await host.DisposeAsync().AsTask().WaitAsync(StopLimit);
        }));
        return command;
    }

    /// <summary>Parses and runs. A command line that does not parse is answered with the reason and <see cref="ExitCode.Usage"/>.</summary>
    public static async Task<int> RunAsync(RootCommand root, string[] args)
    {
        ParseResult result = root.Parse(args);
        if (result.Errors.Count > 0) return Report(ExitCode.Usage, $"{string.Join(" ", result.Errors.Select(error => error.Message))} (tlog-witness --help)");
        // Signals are the host's: SIGTERM stops it, and `serve` then ends in order.
        return await result.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false });
    }

    private static Option<string?> DataOption() => new("--data") { Description = "directory of the witness", HelpName = "DIR" };

    private static Option<string?> ConfigOption() => new("--config") { Description = "configuration file (appsettings.json)", HelpName = "FILE" };

    private static Dictionary<string, string> Given(ParseResult result, params Option<string?>[] options)
    {
        Dictionary<string, string> given = new(StringComparer.Ordinal);
        foreach (Option<string?> option in options)
        {
            if (result.GetValue(option) is string value) given.Add(option.Name[2..], value);
        }

        return given;
    }

    private static async Task<int> Guarded(Func<Task> command)
    {
        try
        {
            await command();
            return ExitCode.Ok;
        }
        catch (Exception failure)
        {
            return Report(CodeOf(failure), failure.Message);
        }
    }

    private static int CodeOf(Exception failure) => failure switch
    {
        UsageException => ExitCode.Usage,
        StorageException { MayPass: true } => ExitCode.Trouble,
        StorageException or KeyFileException or CryptographicException => ExitCode.State,
        _ => ExitCode.Trouble,
    };

    /// <summary>One line to standard error; the exit code, handed back.</summary>
    public static int Report(int code, string message)
    {
        Console.Error.Write($"tlog-witness: {message.ReplaceLineEndings(" ")}\n");
        return code;
    }
}
