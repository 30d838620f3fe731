// The commands of tlog-server and their exit codes: 0 ok, 2 usage or configuration, 3 will not start or continue, 4 failure that a restart may cure.

using System.CommandLine;
using System.Runtime.InteropServices;
using TransparencyLog.Hosting;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

internal static class Commands
{
    private const string Program = "tlog-server";

    private static readonly Option<string> Reason = new("--reason") { Description = "Why it is right to go on; kept in the history.", HelpName = "TEXT", Required = true };
    private static readonly Option<string> Distrust = new("--distrust") { Description = "The name in the policy of a witness whose unsigned word is not to hold this log any more; stays so until --trust.", HelpName = "NAME" };
    private static readonly Option<string> Trust = new("--trust") { Description = "Ends --distrust for a witness.", HelpName = "NAME" };

    public static Task<int> RunAsync(string[] args, EngineSeams? seams = null) => ProgramEnd.RunAsync(Program, () => ParseAndRunAsync(args, seams));

    private static async Task<int> ParseAndRunAsync(string[] args, EngineSeams? seams)
    {
        // Checked first: each library that is loaded uses a descriptor. With none left, not even the refusal could be written.
        if (args is ["serve", ..] && Descriptors.Complaint is string complaint) return ProgramEnd.Report(Program, ExitCode.Usage, complaint);

        NativeSha256.TryUse();
        RootCommand root = new("A transparency log server: c2sp.org/tlog-tiles, with proofs and witnesses. Exit codes: 0 ok, 2 usage or configuration, 3 will not start or go on, 4 trouble that a restart may cure.");
        Command create = new("create", "Make a new log and its keys in an empty directory; prints their vkeys, one a line.");
        CommandSettings ofCreate = new(create, LogSettings.Table);
        create.SetAction((result, _) => Guarded(() => Task.FromResult(Create(ofCreate.Read(result)))));
        Command serve = new("serve", "Serve a log. Never creates one. Every option is also a key of the file of --config and an environment variable (TLOG_LISTEN ...).");
        CommandSettings ofServe = new(serve, LogSettings.Table);
        serve.SetAction((result, stop) => Guarded(() => ServeAsync(ofServe.Read(result), seams, stop)));
        Command resume = new("resume", "End a halt, after its evidence was looked into, or decide whose unsigned word may hold this log. A log with a guard needs it here too.") { Reason, Distrust, Trust };
        CommandSettings ofResume = new(resume, LogSettings.Table);
        resume.SetAction((result, _) => Guarded(() => ResumeAsync(ofResume.Read(result), result)));
        Command replace = new("replace", "Begin a new guard, without asking the one before. Only when no other copy of this log is at work.") { Reason };
        CommandSettings ofReplace = new(replace, LogSettings.Table, [LogSettings.Data, LogSettings.Guard]);
        replace.SetAction((result, _) => Guarded(() => Task.FromResult(ChangeGuard(ofReplace.Read(result), drop: false, result.GetValue(Reason)!))));
        Command drop = new("drop", "Give the guard up: from then on an older copy of this directory cannot be noticed.") { Reason };
        CommandSettings ofDrop = new(drop, LogSettings.Table, [LogSettings.Data]);
        drop.SetAction((result, _) => Guarded(() => Task.FromResult(ChangeGuard(ofDrop.Read(result), drop: true, result.GetValue(Reason)!))));
        root.Subcommands.Add(new Command("guard", "Replace the guard of a log, or give it up; kept in its history.") { replace, drop });
        root.Subcommands.Add(create);
        root.Subcommands.Add(serve);
        root.Subcommands.Add(resume);
        Command accept = new("accept", "Say that the clock is right, of a log that is stopped. The time of its signatures may then go back once. A log with a guard needs it here too.") { Reason };
        CommandSettings ofAccept = new(accept, LogSettings.Table);
        accept.SetAction((result, _) => Guarded(async () =>
        {
            SettingValues values = ofAccept.Read(result);
            string accepted = await ClockCommand.AcceptAsync(values.Required(LogSettings.Data), values.Text(LogSettings.Guard), result.GetValue(Reason)!, TimeProvider.System).ConfigureAwait(false);
            StandardStreams.Say(Program, accepted);
            return ExitCode.Ok;
        }));
        root.Subcommands.Add(new Command("clock", "What an operator knows of the clock.") { accept });
        ParseResult parsed = CommandSettings.Parse(root, args, out string? wrong);
        if (wrong is not null) return ProgramEnd.Report(Program, ExitCode.Usage, $"{wrong} (tlog-server --help)");

        return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }).ConfigureAwait(false);
    }

    private static int Create(SettingValues values)
    {
        string data = values.Required(LogSettings.Data), origin = values.Required(LogSettings.Origin);
        string? keyPath = values.Text(LogSettings.Key), mlDsaKeyPath = values.Text(LogSettings.MlDsaKey);
        bool mlDsa = values.IsOn(LogSettings.MlDsa), allowGroup = values.IsOn(LogSettings.AllowGroupReadableKeys);

        // ML-DSA-44 has the same limit for an origin and a name.
        if (!VerifierKey.IsKeyName(origin) || System.Text.Encoding.UTF8.GetByteCount(origin) > VerifierKey.MaxNameSize) throw values.Refusal(LogSettings.Origin, "is not a key name: 1 to 255 bytes, no white space, no +, no control characters");
        int fileBytes = values.Number(LogSettings.JournalFileBytes);
        string path = Path.GetFullPath(data);
        using Ed25519PrivateKey key = keyPath is null ? Ed25519PrivateKey.Generate() : KeyFile.Read(keyPath, origin, allowGroup).Key;
        using MlDsa44PrivateKey? second = mlDsaKeyPath is not null ? KeyFile.ReadMlDsa44(mlDsaKeyPath, origin, allowGroup).Key : mlDsa ? MlDsa44PrivateKey.Generate() : null;
        LogIdentity identity = new(origin, new NoteSigner(origin, key).Key.ToString(), keyPath is null ? LogDirectory.KeyName : Path.GetFullPath(keyPath), fileBytes);
        if (second is not null)
        {
            string secondPath = mlDsaKeyPath is null ? LogDirectory.MlDsa44KeyName : Path.GetFullPath(mlDsaKeyPath);
            identity = identity with { MlDsa44 = new LogKey(new MlDsa44Cosigner(origin, second).Key.ToString(), secondPath) };
        }

        // The key files are durable before any file names them as the log's keys.
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
        Hosting.SigningClock.Begin(path, TimeProvider.System);
        foreach (LogKey own in identity.Keys) Console.Out.WriteLine(own.VerifierKey);
        return ExitCode.Ok;
    }

    private static async Task<int> ServeAsync(SettingValues values, EngineSeams? seams, CancellationToken stop)
    {
        Settings settings = Settings.Read(values);
        using ILoggerFactory logging = LoggerFactory.Create(builder => ConsoleLog.Configure(builder, settings.LogLevel, TimeProvider.System));
        ILogger logger = logging.CreateLogger(Program);
        if (values.UnknownVariables.Count > 0) logger.VariablesNotRead(string.Join(", ", values.UnknownVariables), LogSettings.Table.Program);
        await using Engine engine = await Engine.StartAsync(settings, TimeProvider.System, logger, stop, seams).ConfigureAwait(false);
        logger.Opened(engine.Identity.Origin, engine.Size, engine.Publisher.SignedSize);
        WebApplication app = Host.Build(settings, engine);
        await using (app.ConfigureAwait(false))
        {
            using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(stop);
            using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => End(signal, ending));
            using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => End(signal, ending));
            string url = await settings.Listen.StartAsync(app, ending.Token).ConfigureAwait(false);
            StandardStreams.Output.Write($"listening {url}");
            try
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, ending.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // The process was asked to stop: requests in flight are answered, then the engine closes.
            }

            await app.StopAsync(CancellationToken.None).ConfigureAwait(false);
        }

        await engine.DisposeAsync().ConfigureAwait(false);
        return engine.HasFailed ? ExitCode.Trouble : ExitCode.Ok;
    }

    private static Task<int> ResumeAsync(SettingValues values, ParseResult result) => ResumeCommand.RunAsync(
        values.Required(LogSettings.Data), values.Text(LogSettings.Guard), result.GetValue(Reason)!, result.GetValue(Distrust), result.GetValue(Trust));

    private static int ChangeGuard(SettingValues values, bool drop, string reason)
    {
        RequireReason(reason);
        StandardStreams.Say(Program, LogDirectory.ChangeGuard(values.Required(LogSettings.Data), drop ? null : values.Required(LogSettings.Guard), reason, TimeProvider.System));
        return ExitCode.Ok;
    }

    private static void RequireReason(string reason)
    {
        if (reason.Length is 0 or > 1000) throw new ConfigurationException("reason: 1 to 1,000 characters");
    }

    private static void End(PosixSignalContext signal, CancellationTokenSource ending)
    {
        signal.Cancel = true;
        ending.Cancel();
    }

    private static Task<int> Guarded(Func<Task<int>> command) => ProgramEnd.GuardAsync(Program, command);
}
