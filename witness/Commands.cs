// The commands create, serve and guard (clock is in ClockCommand.cs), and the run of the program. ProgramEnd turns failures into exit codes.
// Standard output is for programs: the vkeys of `create`, the `listening URL` of `serve`.

using System.CommandLine;
using TransparencyLog.Hosting;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

internal static class Commands
{
    internal const string Program = "tlog-witness";

    /// <summary>
    /// Longest wait for a clean end after SIGTERM: a container is killed after 10 s. Requests get most of this time (WitnessHost), and the store the rest.
    /// </summary>
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(9);

    /// <summary>Makes a witness: keys, identity, empty store. Prints its vkeys, one a line, Ed25519 first.</summary>
    public static Command Create()
    {
        Command command = new("create", "Makes a new witness; refuses where any state exists. Prints its vkeys, one a line: Ed25519, ML-DSA-44.");
        CommandSettings options = new(command, WitnessSettings.Table);
        command.SetAction(result => Guarded(() =>
        {
            CreateSettings settings = Settings.ReadCreate(options.Read(result));
            IReadOnlyList<VerifierKey> keys = WitnessDirectory.Create(settings.Data, settings.Name, settings.MlDsa44);
            SigningClock.Begin(settings.Data, TimeProvider.System);
            foreach (VerifierKey key in keys) Console.Out.Write($"{key}\n");
            return Task.FromResult(ExitCode.Ok);
        }));
        return command;
    }

    /// <summary>Runs a witness until SIGTERM or SIGINT.</summary>
    /// <param name="journal">Wraps the journal of the store, for faults in tests; null for no wrapper.</param>
    public static Command Serve(Func<IJournal, IJournal>? journal = null)
    {
        Command command = new("serve", "Runs the witness. Every option is also a key of the file of --config and an environment variable (TLOG_WITNESS_LISTEN ...).");
        CommandSettings options = new(command, WitnessSettings.Table);
        command.SetAction(result => Guarded(async () =>
        {
            SettingValues values = options.Read(result);
            WitnessHost host = await WitnessHost.StartAsync(Settings.Read(values), TimeProvider.System, journal);
            if (values.UnknownVariables.Count > 0) host.Log.VariablesNotRead(string.Join(", ", values.UnknownVariables), WitnessSettings.Table.Program);
            StandardStreams.Output.Write($"listening {host.Url}");
            await host.WaitForShutdownAsync();
            await host.DisposeAsync().AsTask().WaitAsync(StopLimit);
            return ExitCode.Ok;
        }));
        return command;
    }

    /// <summary>Replaces the guard of a witness, or drops it. The change is recorded in the data directory.</summary>
    public static Command GuardCommand()
    {
        Command group = new("guard", "Replace the guard of a witness, or give it up; recorded in its directory.");
        Option<string> reason = new("--reason") { Description = "Why; recorded.", HelpName = "TEXT", Required = true };
        Command replace = new("replace", "Begin a new guard, without asking the one before. Only when no other copy of this witness is at work.") { reason };
        CommandSettings ofReplace = new(replace, WitnessSettings.Table, [WitnessSettings.Data, WitnessSettings.Guard]);
        replace.SetAction(result => Guarded(() => Change(ofReplace.Read(result), drop: false, result.GetValue(reason)!)));
        Command drop = new("drop", "Give the guard up: from then on an older copy of this directory cannot be noticed.") { reason };
        CommandSettings ofDrop = new(drop, WitnessSettings.Table, [WitnessSettings.Data]);
        drop.SetAction(result => Guarded(() => Change(ofDrop.Read(result), drop: true, result.GetValue(reason)!)));
        group.Subcommands.Add(replace);
        group.Subcommands.Add(drop);
        return group;

        static Task<int> Change(SettingValues values, bool drop, string why)
        {
            if (why.Length is 0 or > 1000) throw new ConfigurationException("reason: 1 to 1,000 characters");
            using WitnessDirectory directory = WitnessDirectory.Open(values.Required(WitnessSettings.Data));
            return Task.FromResult(ProgramEnd.Report(Program, ExitCode.Ok, Guard.Change(directory, drop ? null : values.Required(WitnessSettings.Guard), why, TimeProvider.System)));
        }
    }

    /// <summary>Parses the command line and runs it. When it does not parse, prints the reason and returns <see cref="ExitCode.Usage"/>.</summary>
    public static Task<int> RunAsync(RootCommand root, string[] args) => ProgramEnd.RunAsync(Program, async () =>
    {
        // This check comes first: each library that is loaded uses a descriptor, and with none left even the error could not be written.
        if (args is ["serve", ..] && Descriptors.Complaint is string complaint) return ProgramEnd.Report(Program, ExitCode.Usage, complaint);
        NativeSha256.TryUse();
        ParseResult result = CommandSettings.Parse(root, args, out string? wrong);
        if (wrong is not null) return ProgramEnd.Report(Program, ExitCode.Usage, $"{wrong} (tlog-witness --help)");

        // The host handles signals: SIGTERM stops it, and `serve` then ends in order.
        return await result.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false });
    });

    internal static Task<int> Guarded(Func<Task<int>> command) => ProgramEnd.GuardAsync(Program, command);
}
