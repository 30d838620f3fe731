// The sweep (spec/failures, rows D-01 to D-06, D-09, D-10, D-16, D-18): a program runs under the fault shim (tests/shim), which counts its
// storage calls; then once for each call and each fault (Faults.cs), in a fresh copy of its folder, with that call going wrong. After each
// run the real program starts without the shim, and everything that was promised is asked for. What is swept, and what its clients do, is
// a scenario: LogScenarios.cs, WitnessScenarios.cs.

using System.Collections.Concurrent;
using System.Globalization;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What is swept: a folder to begin with, the program that runs in it, and clients. The folder's data and its guard are swept together.</summary>
/// <param name="Name">In tables and filters.</param>
/// <param name="Template">The folder; copied for each run.</param>
internal abstract record Scenario(string Name, string Template)
{
    /// <summary>The program that is swept. What starts afterwards, for the check, is always the real one.</summary>
    public required string Program { get; init; }

    /// <summary>Said before the other arguments: which bug, to a planted program.</summary>
    public string? Bug { get; init; }

    /// <summary>Whether a run that has done its work ends by SIGTERM; otherwise by SIGKILL.</summary>
    public bool EndsInOrder { get; init; } = true;

    /// <summary>A call that has to be among those of a run in which nothing goes wrong: what the scenario is made for.</summary>
    public Predicate<ShimCall> Has { get; init; } = _ => true;

    /// <summary>Variables of the environment of the runs.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// Whether the failure of the call that went wrong may go on without consequence. Three things may. Preparing the next journal file, which begins when the
    /// one in use has half of its room left: the switch to it tries again, and fails loudly. The heartbeat, whose failure is reported. And a full disk at a start: what needs room is done once more when the
    /// reserve has been given up for it, and without room for a reserve there is none (D-08).
    /// </summary>
    public static bool IsHarmless(ShimLog log)
    {
        const string Reserve = "./data/reserve";
        List<ShimCall> calls = log.Calls();
        int hit = calls.FindIndex(call => call.Result is "!enospc" or "!edquot");
        if (hit >= 0 && (calls[hit].Path == Reserve || calls.FindIndex(hit, call => call is { Kind: CallKinds.Unlink, Path: Reserve }) >= 0)) return true;

        // The heartbeat: an old one makes the next judgement of the clock stricter, and the operator hears of it.
        int beat = calls.FindIndex(call => call.Result.StartsWith('!'));
        if (beat >= 0 && IsHeartbeat(calls[beat])) return true;
        int renamed = beat < 0 ? -1 : calls.FindLastIndex(beat, call => call.Kind is CallKinds.Rename or CallKinds.Unlink);
        if (renamed >= 0 && calls[beat].Path == "./data" && beat - renamed <= 2 && IsHeartbeat(calls[renamed])) return true;

        // What cannot be removed from the guard is removed by the next start.
        if (calls.Exists(call => call.Result.StartsWith('!') && call.Kind == CallKinds.Unlink && call.Path.StartsWith("./guard/", StringComparison.Ordinal))) return true;

        List<ShimCall> journal = calls.FindAll(call => call.Path.StartsWith("./data/journal", StringComparison.Ordinal));
        int at = journal.FindIndex(call => call.Result.StartsWith('!'));
        if (at < 0) return false;

        // Its directory is synced behind the new file's name, and also behind the removal of an old one and by a start: those are not meant.
        int named = journal.FindLastIndex(at, call => call.Kind is CallKinds.Rename or CallKinds.Unlink);
        return IsNext(journal[at]) || (journal[at].Path == "./data/journal" && named >= 0 && at - named <= 2 && IsNext(journal[named]));

        static bool IsHeartbeat(ShimCall call) => call.Path.StartsWith("./data/heartbeat", StringComparison.Ordinal);

        static bool IsNext(ShimCall call) => call.Path.Contains(".new", StringComparison.Ordinal);
    }

    /// <summary>Whether a call is about the folder of the guard.</summary>
    public static bool IsOfGuard(ShimCall call) => call.Path == "./guard" || call.Path.StartsWith("./guard/", StringComparison.Ordinal);

    /// <summary>The arguments of the program behind <c>serve</c>.</summary>
    public abstract IReadOnlyList<string> Arguments(string folder);

    /// <summary>The clients of one run.</summary>
    public abstract IClients Begin();

    public static string DataOf(string folder) => Path.Combine(folder, "data");

    public static string GuardOf(string folder) => Path.Combine(folder, "guard");

    /// <summary>A copy of a folder: what is in it says where the guard is, which moves with it.</summary>
    public static void Copy(string from, string to)
    {
        Scratch.Copy(from, to);
        string guarded = Path.Combine(DataOf(to), "guarded");
        if (File.Exists(guarded)) File.WriteAllText(guarded, GuardOf(to) + "\n");
    }

    /// <summary>Starts the program, or the real one in its place.</summary>
    public RunningProgram Start(string folder, IReadOnlyDictionary<string, string> environment, string? real = null) => RunningProgram.Start(
        real ?? Program,
        [.. Bug is not null && real is null ? [Bug] : Array.Empty<string>(), "serve", "--data", DataOf(folder), "--guard", GuardOf(folder), "--listen", "http://127.0.0.1:0", .. Arguments(folder)],
        environment);
}

/// <summary>The clients of one run: what they do, what they were promised, and whether it was kept.</summary>
internal interface IClients
{
    /// <summary>Whether a request was refused for the program's own sake, or no answer came.</summary>
    bool WasRefused { get; }

    /// <summary>Called whenever a promise was given and no other request is under way.</summary>
    Action? Promised { set; }

    /// <summary>Until all is done or the program has gone. After a fault that is an error it does not end before something was refused.</summary>
    Task WorkAsync(RunningProgram program, ShimLog log);

    /// <summary>Starts the real program in the folder and checks everything; <paramref name="start"/> gives it the folder.</summary>
    Task CheckAsync(string folder, Func<RunningProgram> start);
}

/// <summary>What became of one run.</summary>
/// <param name="Word">OK, or the first word of a <see cref="CheckFailedException"/>: LOST, FORKED, IGNORED (an error without consequence), REFUSED (does not start, or refuses without reason) ... or HUNG.</param>
internal sealed record Verdict(string Scenario, Fault Fault, int At, ShimCall? Hit, string Word, string Text)
{
    public bool IsAllowed => Fault.Allows(Word);

    public override string ToString() => $"{Scenario} {Fault} {At} ({Hit?.ToString() ?? "no such call"}): {Word} {Text}";
}

/// <summary>Counts and misuses the calls of one scenario.</summary>
internal sealed class Sweep(Scenario scenario, Scratch scratch)
{
    /// <summary>A call that does not come; the shim does nothing then but count.</summary>
    private const int None = 0;

    /// <summary>Programs live for a second here: what the compiler learns of them is never used.</summary>
    private static readonly Dictionary<string, string> ShortLived = new(StringComparer.Ordinal) { ["DOTNET_TieredPGO"] = "0" };

    private static int Parallelism =>
        int.TryParse(Environment.GetEnvironmentVariable("DEVTLOG_SWEEP_PARALLEL"), NumberStyles.None, CultureInfo.InvariantCulture, out int runs) ? runs : Environment.ProcessorCount;

    /// <summary>One run in which nothing goes wrong: the calls it makes. The order of its syncs is checked, unless they are known to be wrong.</summary>
    public async Task<List<ShimCall>> CountAsync(bool checksOrder = true)
    {
        Verdict verdict = await RunAsync(Fault.Count, None, checksOrder);
        Assert.True(verdict.Word == "OK", verdict.ToString());
        List<ShimCall> calls = new ShimLog(scratch[$"{scenario.Name}-count-0.log"], scratch[$"{scenario.Name}-count-0"]).Calls();
        Assert.True(calls.Exists(scenario.Has), $"{scenario.Name} does not come to what it is for:\n{string.Join('\n', calls)}");
        return calls;
    }

    /// <summary>
    /// The calls that are swept. A journal file is filled with zeros by writes of 1 MiB, all alike: the first of each file, one in the middle and the last stand
    /// for all of them.
    /// </summary>
    public static List<ShimCall> Distinct(IReadOnlyList<ShimCall> calls)
    {
        HashSet<ShimCall> alike = [];
        foreach (IGrouping<string, ShimCall> fill in calls.Where(IsFill).GroupBy(call => call.Path))
        {
            ShimCall[] writes = [.. fill];
            alike.UnionWith(writes.Where((_, i) => i != 0 && i != writes.Length / 2 && i != writes.Length - 1));
        }

        return [.. calls.Where(call => !alike.Contains(call))];

        static bool IsFill(ShimCall call) => call is { Kind: CallKinds.Write, Bytes: 1024 * 1024 } && call.Path.EndsWith(".new", StringComparison.Ordinal);
    }

    /// <summary>What can be run: each of these calls with each fault that applies to it, fault by fault.</summary>
    public IEnumerable<(Sweep Sweep, Fault Fault, int At)> Runs(IEnumerable<ShimCall> calls, IEnumerable<Fault> faults) =>
        from fault in faults
        from call in calls
        where fault.Applies(call)
        select (this, fault, call.Number);

    /// <summary>Runs, as many at a time as there are processors. Those that have not begun when <paramref name="mayBegin"/> says no are left out.</summary>
    /// <param name="runs">What to run.</param>
    /// <param name="mayBegin">Asked before each run; null for always.</param>
    /// <param name="ended">Is told of each verdict as it comes.</param>
    public static async Task<Verdict[]> RunAllAsync(IEnumerable<(Sweep Sweep, Fault Fault, int At)> runs, Func<bool>? mayBegin = null, Action<Verdict>? ended = null)
    {
        ConcurrentBag<Verdict> verdicts = [];
        await Parallel.ForEachAsync(runs, new ParallelOptions { MaxDegreeOfParallelism = Parallelism }, async (run, _) =>
        {
            if (!(mayBegin?.Invoke() ?? true)) return;
            Verdict verdict = await run.Sweep.RunAsync(run.Fault, run.At);
            verdicts.Add(verdict);
            ended?.Invoke(verdict);
        });
        return [.. verdicts.OrderBy(verdict => verdict.Scenario, StringComparer.Ordinal).ThenBy(verdict => verdict.Fault.Name, StringComparer.Ordinal).ThenBy(verdict => verdict.At)];
    }

    /// <summary>One run. With <see cref="Fault.Count"/> the order of its syncs is checked as well.</summary>
    public async Task<Verdict> RunAsync(Fault fault, int at, bool checksOrder = true)
    {
        string folder = scratch[$"{scenario.Name}-{fault}-{at}"];
        Scenario.Copy(scenario.Template, folder);
        ShimLog log = new(folder + ".log", folder);
        IClients clients = scenario.Begin();
        string word = "OK", text = "";
        try
        {
            await MisuseAsync(folder, fault, at, log, clients, checksOrder ? new SyncOrder(scenario.Template) : null);
            await clients.CheckAsync(folder, () => scenario.Start(folder, ShortLived, scenario is WitnessScenario ? Programs.Witness : Programs.Server));
        }
        catch (CheckFailedException failure)
        {
            (word, text) = (failure.Message.Split(' ', ':')[0], failure.Message);
        }
        catch (TimeoutException failure)
        {
            (word, text) = ("HUNG", $"HUNG {failure}");
        }
        catch (Exception failure)
        {
            // Of one run in thousands: it is told with the others.
            (word, text) = ("BROKEN", failure.ToString());
        }

        Verdict verdict = new(scenario.Name, fault, at, log.Hit(), word, text);
        Directory.Delete(folder, recursive: true);
        if (fault != Fault.Count) File.Delete(log.Path);
        return verdict;
    }

    /// <summary>The environment of a program under the shim.</summary>
    public static Dictionary<string, string> Shimmed(string folder, Fault fault, int at, string logPath)
    {
        Dictionary<string, string> environment = new(ShortLived, StringComparer.Ordinal)
        {
            ["LD_PRELOAD"] = Programs.Shim!,
            ["DEVTLOG_FAULT_PREFIX"] = folder,
            ["DEVTLOG_FAULT_AT"] = at.ToString(CultureInfo.InvariantCulture),
            ["DEVTLOG_FAULT_ACTION"] = fault.Action,
            ["DEVTLOG_FAULT_LOG"] = logPath,
            ["TLOG_SCRUB_MB_S"] = "0", // it opens files at any time: the n-th call would be another one in each run
        };
        if (fault.Stays) environment["DEVTLOG_FAULT_REPEAT"] = "1";
        if (fault.Keep is int keep) environment["DEVTLOG_FAULT_KEEP"] = keep.ToString(CultureInfo.InvariantCulture);
        return environment;
    }

    private async Task MisuseAsync(string folder, Fault fault, int at, ShimLog log, IClients clients, SyncOrder? order)
    {
        Dictionary<string, string> environment = Shimmed(folder, fault, at, log.Path);
        foreach ((string name, string value) in scenario.Settings) environment[name] = value;
        if (fault != Fault.Count) order = null;
        if (order is not null) clients.Promised = () => order.CheckPromise(log.Calls(), scenario is WitnessScenario);
        await using RunningProgram program = scenario.Start(folder, environment);
        if (order is not null && await program.ListensAsync() is not null) order.Begin(log.Calls());
        await clients.WorkAsync(program, log);
        bool endedBefore = program.HasEnded;
        if (scenario.EndsInOrder) program.Terminate();
        else program.Kill();
        Ended ended = await program.EndAsync();
        if (scenario.EndsInOrder) order?.CheckEnd(log.Calls());

        ShimCall? hit = log.Hit();
        Meaning meaning = hit is null ? Meaning.None : fault.Meaning;
        if (meaning == Meaning.Death) return;
        if (scenario is LogScenario && ended.Errors.Contains("   at ", StringComparison.Ordinal)) throw new CheckFailedException($"TRACE of a stack on standard error: {ended.Errors}");
        if (meaning is Meaning.None or Meaning.Unfinished && (endedBefore || clients.WasRefused || (scenario.EndsInOrder && ended.ExitCode != 0)))
        {
            throw new CheckFailedException($"REFUSED to go on, and nothing had failed. {ended}");
        }

        // Nobody is there any more who could be refused: then at least the operator is told.
        if (meaning == Meaning.Error && !Scenario.IsHarmless(log) && !clients.WasRefused && !ended.Errors.Contains("failed", StringComparison.Ordinal))
        {
            throw new CheckFailedException($"IGNORED: nothing was refused and nothing said. {ended}");
        }
    }
}
