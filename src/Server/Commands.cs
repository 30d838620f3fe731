// The commands of tlog-server and their exit codes: 0 ok, 2 usage or configuration, 3 will not start or go on, 4 trouble that a restart may cure.

using System.CommandLine;
using System.Runtime.InteropServices;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

internal static class Commands
{
    private const int Usage = 2, Refused = 3, Trouble = 4;

    private static readonly Option<string> Data = new("--data") { Description = "The log's directory.", HelpName = "DIR" };
    private static readonly Option<string> Origin = new("--origin") { Description = "The origin line of its checkpoints and the name of its key: a schema-less URL, as example.com/log.", HelpName = "NAME", Required = true };
    private static readonly Option<string> Key = new("--key") { Description = "A key file to use instead of a new one; it stays where it is.", HelpName = "FILE" };
    private static readonly Option<bool> MlDsa = new("--ml-dsa") { Description = "Sign every checkpoint with ML-DSA-44 too, with a second new key (3.3 kB a checkpoint). Fixed for the life of the log." };
    private static readonly Option<string> MlDsaKey = new("--ml-dsa-key") { Description = "The same, with a key file to use instead of a new one; it stays where it is.", HelpName = "FILE" };
    private static readonly Option<string> JournalFileBytes = new("--journal-file-bytes")
    {
        Description = $"Size of each journal file, a multiple of 4096 from {JournalOptions.MinFileBytes} to {JournalOptions.MaxFileBytes}; default {JournalOptions.DefaultFileBytes}. Fixed for the life of the log.",
        HelpName = "N",
    };

    private static readonly Option<string> Listen = new("--listen") { Description = "http://ADDRESS:PORT; default http://127.0.0.1:2025. Port 0 takes a free one.", HelpName = "URL" };
    private static readonly Option<string> PolicyFile = new("--policy") { Description = "A tlog-policy file: its witnesses are asked, its quorum must be met to publish. Without it: quorum none.", HelpName = "FILE" };
    private static readonly Option<string> Guard = new("--guard") { Description = "A directory elsewhere for a copy of the newest signed head, so that an older copy of the data is noticed.", HelpName = "DIR" };
    private static readonly Option<string> Config = new("--config") { Description = "A JSON file of settings; the environment (TLOG_NAME) and the command line override it.", HelpName = "FILE" };
    private static readonly Option<string> Reason = new("--reason") { Description = "Why it is right to go on; kept in the history.", HelpName = "TEXT", Required = true };

    public static async Task<int> RunAsync(string[] args, EngineSeams? seams = null)
    {
        // First of all: each library that is loaded takes a descriptor, and in the end even a refusal could not be written.
        if (args is ["serve", ..] && Descriptors.Complaint is string complaint)
        {
            await Console.Error.WriteLineAsync($"tlog-server: {complaint}").ConfigureAwait(false);
            return Usage;
        }

        NativeSha256.TryUse();
        RootCommand root = new("A transparency log server: c2sp.org/tlog-tiles, with proofs and witnesses. Exit codes: 0 ok, 2 usage or configuration, 3 will not start or go on, 4 trouble that a restart may cure.");
        Command create = new("create", "Make a new log and its keys in an empty directory; prints their vkeys, one a line.") { Data, Origin, Key, MlDsa, MlDsaKey, JournalFileBytes };
        create.SetAction((result, _) => Guarded(() => Task.FromResult(Create(Required(result, Data), result.GetValue(Origin)!, result.GetValue(Key), result.GetValue(MlDsa), result.GetValue(MlDsaKey), result.GetValue(JournalFileBytes)))));
        Command serve = new("serve", "Serve a log. Never creates one.") { Data, Listen, PolicyFile, Guard, Config };
        serve.SetAction((result, stop) => Guarded(() => ServeAsync(result, seams, stop)));
        Command resume = new("resume", "End a halt, after its evidence was looked into. A log with a guard needs it here too.") { Data, Guard, Reason };
        resume.SetAction((result, _) => Guarded(() => ResumeAsync(Required(result, Data), result.GetValue(Guard), result.GetValue(Reason)!)));
        root.Subcommands.Add(create);
        root.Subcommands.Add(serve);
        root.Subcommands.Add(resume);
        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            await Console.Error.WriteLineAsync($"tlog-server: {string.Join(' ', parsed.Errors.Select(error => error.Message))}").ConfigureAwait(false);
            return Usage;
        }

        return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }).ConfigureAwait(false);
    }

    private static int Create(string data, string origin, string? keyPath, bool mlDsa, string? mlDsaKeyPath, string? journalFileBytes)
    {
        // The same bound that ML-DSA-44 has for an origin and a name.
        if (!VerifierKey.IsKeyName(origin) || System.Text.Encoding.UTF8.GetByteCount(origin) > VerifierKey.MaxNameSize) throw new ConfigurationException($"origin: '{origin}' is not a key name: 1 to 255 bytes, no white space, no +, no control characters");
        int fileBytes = ReadFileBytes(journalFileBytes);
        string path = Path.GetFullPath(data);
        using Ed25519PrivateKey key = keyPath is null ? Ed25519PrivateKey.Generate() : KeyFile.Read(keyPath, origin).Key;
        using MlDsa44PrivateKey? second = mlDsaKeyPath is not null ? KeyFile.ReadMlDsa44(mlDsaKeyPath, origin).Key : mlDsa ? MlDsa44PrivateKey.Generate() : null;
        LogIdentity identity = new(origin, new NoteSigner(origin, key).Key.ToString(), keyPath is null ? LogDirectory.KeyName : Path.GetFullPath(keyPath), fileBytes);
        if (second is not null)
        {
            string secondPath = mlDsaKeyPath is null ? LogDirectory.MlDsa44KeyName : Path.GetFullPath(mlDsaKeyPath);
            identity = identity with { MlDsa44 = new LogKey(new MlDsa44Cosigner(origin, second).Key.ToString(), secondPath) };
        }

        // The keys last before anything says that they are the log's.
        DurableFile.CreateDirectory(path);
        LogDirectory.RequireEmpty(path);
        if (keyPath is null)
        {
            KeyFile.Create(Path.Combine(path, LogDirectory.KeyName), origin, VerifierKey.Ed25519, key);
            DurableFile.Sync(Path.Combine(path, LogDirectory.KeyName));
        }

        if (second is not null && mlDsaKeyPath is null)
        {
            KeyFile.Create(Path.Combine(path, LogDirectory.MlDsa44KeyName), origin, second);
            DurableFile.Sync(Path.Combine(path, LogDirectory.MlDsa44KeyName));
        }

        LogDirectory.Create(path, identity, TimeProvider.System, options: null, LogDirectory.KeyName, LogDirectory.MlDsa44KeyName);
        foreach (LogKey own in identity.Keys) Console.Out.WriteLine(own.VerifierKey);
        return 0;
    }

    private static int ReadFileBytes(string? text)
    {
        if (text is null) return JournalOptions.DefaultFileBytes;
        return Strict.TryReadSize(System.Text.Encoding.UTF8.GetBytes(text), out long bytes) && JournalOptions.IsFileSize(bytes)
            ? (int)bytes
            : throw new ConfigurationException($"journal-file-bytes: '{text}' is not a multiple of 4096 from {JournalOptions.MinFileBytes} to {JournalOptions.MaxFileBytes}");
    }

    private static async Task<int> ServeAsync(ParseResult result, EngineSeams? seams, CancellationToken stop)
    {
        Settings settings = Settings.Read(Configuration(result));
        using ILoggerFactory logging = LoggerFactory.Create(Host.ConfigureLogging);
        ILogger logger = logging.CreateLogger("tlog-server");
        await using Engine engine = await Engine.StartAsync(settings, TimeProvider.System, logger, stop, seams).ConfigureAwait(false);
        logger.Opened(engine.Identity.Origin, engine.Size, engine.Publisher.SignedSize);
        WebApplication app = Host.Build(settings, engine);
        await using (app.ConfigureAwait(false))
        {
            using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(stop);
            using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => End(signal, ending));
            using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => End(signal, ending));
            try
            {
                await app.StartAsync(ending.Token).ConfigureAwait(false);
            }
            catch (IOException failure)
            {
                await Console.Error.WriteLineAsync($"tlog-server: cannot listen on {settings.Listen}: {failure.InnerException?.Message ?? failure.Message}").ConfigureAwait(false);
                return Trouble;
            }

            await Console.Out.WriteLineAsync($"listening {app.Urls.First()}").ConfigureAwait(false);
            await Console.Out.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            try
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, ending.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // Asked to end: requests in flight are answered, the engine closes behind them.
            }

            await app.StopAsync(CancellationToken.None).ConfigureAwait(false);
        }

        await engine.DisposeAsync().ConfigureAwait(false);
        return engine.HasFailed ? Trouble : 0;
    }

    private static async Task<int> ResumeAsync(string data, string? guard, string reason)
    {
        if (reason.Length is 0 or > 1000) throw new ConfigurationException("reason: 1 to 1,000 characters");
        LogDirectory directory = await LogDirectory.OpenAsync(data, guard, TimeProvider.System).ConfigureAwait(false);
        await using (directory.ConfigureAwait(false))
        {
            string? evidence = directory.Register.Halted;
            await directory.Register.ResumeAsync(reason, CancellationToken.None).ConfigureAwait(false);
            await Console.Error.WriteLineAsync($"resumed; the halt was: {evidence}").ConfigureAwait(false);
        }

        return 0;
    }

    private static void End(PosixSignalContext signal, CancellationTokenSource ending)
    {
        signal.Cancel = true;
        ending.Cancel();
    }

    private static IConfiguration Configuration(ParseResult result)
    {
        ConfigurationBuilder builder = new();
        if (result.GetValue(Config) is string file)
        {
            if (!File.Exists(file)) throw new ConfigurationException($"config: {file} does not exist");
            builder.AddJsonFile(Path.GetFullPath(file), optional: false);
        }

        Dictionary<string, string?> environment = [];
        foreach (System.Collections.DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            string name = (string)variable.Key;
            if (name.StartsWith("TLOG_", StringComparison.Ordinal)) environment[name[5..].ToLowerInvariant().Replace('_', '-')] = (string?)variable.Value;
        }

        builder.AddInMemoryCollection(environment);
        Dictionary<string, string?> options = [];
        foreach (Option<string> option in new[] { Data, Listen, PolicyFile, Guard })
        {
            if (result.GetValue(option) is string value) options[option.Name[2..]] = value;
        }

        try
        {
            return builder.AddInMemoryCollection(options).Build();
        }
        catch (InvalidDataException failure)
        {
            throw new ConfigurationException($"config: {failure.Message}");
        }
    }

    private static string Required(ParseResult result, Option<string> option) =>
        result.GetValue(option) is { Length: > 0 } value ? value : throw new ConfigurationException($"{option.Name} {option.HelpName} is missing");

    /// <summary>Each kind of trouble becomes one line and its exit code.</summary>
    private static async Task<int> Guarded(Func<Task<int>> command)
    {
        (int code, string line) = (0, "");
        try
        {
            return await command().ConfigureAwait(false);
        }
        catch (ConfigurationException failure)
        {
            (code, line) = (Usage, failure.Message);
        }
        catch (StorageException failure) when (failure.MayPass)
        {
            (code, line) = (Trouble, failure.Message);
        }
        catch (Exception failure) when (failure is StorageException or KeyFileException)
        {
            (code, line) = (Refused, failure.Message);
        }
        catch (UnauthorizedAccessException failure)
        {
            (code, line) = (Refused, failure.Message);
        }
        catch (IOException failure)
        {
            (code, line) = (Trouble, failure.Message);
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
        catch (Exception failure)
        {
            // A defect of ours; an operator at 3 a.m. still gets one line.
            (code, line) = (Trouble, $"unexpected {failure.GetType().Name}: {failure.Message}");
        }

        await Console.Error.WriteLineAsync($"tlog-server: {line}").ConfigureAwait(false);
        return code;
    }
}
