// `make crash`: every scenario, every storage call, every fault. An hour of two processors, so it is an explicit test, which
// `make test` does not run.
//
//   DEVTLOG_CRASH_MINUTES=45                        what has not begun by then is counted as not run, and fails the campaign
//   DEVTLOG_CRASH_GO_ON=1                           goes on where an earlier campaign of the same build ran out of time: what it has run is not run again
//   DEVTLOG_SWEEP_PARALLEL=2                        runs at a time; one for each processor is the default
//   DEVTLOG_SWEEP_SCENARIOS=log-switch,witness      only those whose name begins so; for one that looks closer
//   DEVTLOG_SWEEP_ACTIONS=kill,torn-511,lie         only these (Faults.cs)
//   DEVTLOG_SWEEP_CALLS=17,18                       only these numbers of calls
//
// Writes artifacts/crash/table.md, and while it runs runs.txt (a line for each), failures.txt, what is not as it must be, and refusals.txt, what was refused or mended and may be.

using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>The whole sweep.</summary>
public sealed class CrashCampaign(ITestOutputHelper output)
{
    /// <summary>Calls of a recovery at which it is killed, to be recovered from: over its length of some 40.</summary>
    private static readonly int[] RecoveriesKilledAt = [4, 12, 20, 28, 36];

    private static readonly string[] Words = ["OK", "MENDED", "REFUSED", "LOST", "FORKED", "IGNORED", "HUNG"];

    private readonly Lock _telling = new(); // guards the two lists of what was found

    [Fact(Explicit = true)]
    public async Task D01_to_D18_every_fault_at_every_storage_call_of_every_scenario()
    {
        Assert.SkipWhen(Programs.Shim is null, "bin/fault.so is not there: it needs a C compiler (make deps)");
        long start = TimeProvider.System.GetTimestamp();
        TimeSpan budget = TimeSpan.FromMinutes(double.Parse(Filter("DEVTLOG_CRASH_MINUTES")?[0] ?? "45", CultureInfo.InvariantCulture));
        string folder = Directory.CreateDirectory(Path.Combine(Programs.Root, "artifacts/crash")).FullName;
        string runs = Path.Combine(folder, "runs.txt");
        bool goesOn = Filter("DEVTLOG_CRASH_GO_ON") is ["1"] && File.Exists(runs);
        if (!goesOn)
        {
            foreach (string name in new[] { "table.md", "runs.txt", "failures.txt", "refusals.txt" }) await File.WriteAllTextAsync(Path.Combine(folder, name), "");
        }

        Verdict[] before = [.. (await File.ReadAllLinesAsync(runs)).Select(FromLine)];
        HashSet<(string Scenario, Fault Fault, int At)> done = [.. before.Select(verdict => (verdict.Scenario, verdict.Fault, verdict.At))];
        using Scratch scratch = new();
        List<(Scenario Scenario, Sweep Sweep, List<ShimCall> Calls)> counted = [];
        List<string> calls = [];
        foreach (Scenario scenario in await ScenariosAsync(scratch, RecoveriesKilledAt, Filter("DEVTLOG_SWEEP_SCENARIOS")))
        {
            Sweep sweep = new(scenario, scratch);
            List<ShimCall> all = await sweep.CountAsync(), distinct = Sweep.Distinct(all);
            calls.Add($"{scenario.Name} {all.Count}{(distinct.Count < all.Count ? $" ({all.Count - distinct.Count} of them zero-filling writes like others, left out)" : "")}");
            counted.Add((scenario, sweep, distinct));
        }

        string[]? numbers = Filter("DEVTLOG_SWEEP_CALLS");
        IEnumerable<Fault> faults = Filter("DEVTLOG_SWEEP_ACTIONS") is string[] actions ? Fault.Named(actions) : Fault.All;

        // The most telling faults first, over all scenarios; a second recovery is swept with what can happen to it alone.
        var planned = (
            from fault in faults
            from one in counted
            where fault.Name == "kill" || !one.Scenario.Name.Contains("killed-at", StringComparison.Ordinal)
            from run in one.Sweep.Runs(one.Calls, [fault])
            where numbers is null || numbers.Contains(run.At.ToString(CultureInfo.InvariantCulture))
            where !done.Contains((one.Scenario.Name, run.Fault, run.At))
            select (one.Scenario.Name, run)).ToArray();
        output.WriteLine($"{planned.Length} runs to do, {before.Length} done before");
        Verdict[] verdicts = [.. before, .. await Sweep.RunAllAsync(planned.Select(plan => plan.run), () => TimeProvider.System.GetElapsedTime(start) < budget, Tell)];

        void Tell(Verdict verdict)
        {
            // At once: who waits for an hour may look on, and who ends it has what was found.
            lock (_telling) File.AppendAllText(runs, ToLine(verdict));
            if (verdict.IsAllowed && verdict.Word == "OK") return;
            lock (_telling) File.AppendAllText(Path.Combine(folder, verdict.IsAllowed ? "refusals.txt" : "failures.txt"), $"{verdict}\n");
        }

        var notRun = planned.Select(plan => (plan.Name, plan.run.Fault)).CountBy(run => run).ToDictionary(run => run.Key, run => run.Value);
        foreach (Verdict verdict in verdicts[before.Length..]) notRun[(verdict.Scenario, verdict.Fault)]--;
        Verdict[] bad = [.. verdicts.Where(verdict => !verdict.IsAllowed)];
        string summary = string.Create(
            CultureInfo.InvariantCulture,
            $"{verdicts.Length} runs, {verdicts.Count(verdict => verdict.Hit is not null)} injected, {bad.Length} not as they must be, {notRun.Values.Sum()} not run, {TimeProvider.System.GetElapsedTime(start).TotalSeconds:F0} s");
        string table = $"{summary}\n\nStorage calls: {string.Join(", ", calls)}.\n\n{Table(verdicts, notRun)}";
        await File.WriteAllTextAsync(Path.Combine(folder, "table.md"), table);
        output.WriteLine(table);
        Assert.True(bad.Length == 0, $"artifacts/crash/failures.txt: {summary}\n{string.Join('\n', bad.Take(10))}");
        Assert.True(notRun.Values.Sum() == 0, $"out of time: {summary}");
        Assert.True(numbers is not null || verdicts.Count(verdict => verdict.Hit is not null) >= verdicts.Length * 7 / 10, summary);
    }

    private static string ToLine(Verdict verdict) =>
        string.Create(CultureInfo.InvariantCulture, $"{verdict.Scenario} {verdict.Fault.Name} {verdict.At} {verdict.Word} {(verdict.Hit is null ? "-" : "injected")}\n");

    /// <summary>Of a run before: what became of it, not what was said.</summary>
    private static Verdict FromLine(string line)
    {
        string[] words = line.Split(' ');
        int at = int.Parse(words[2], CultureInfo.InvariantCulture);
        ShimCall? hit = words[4] == "-" ? null : new ShimCall(at, "", "", 0, "!");
        return new Verdict(words[0], Fault.All.Single(fault => fault.Name == words[1]), at, hit, words[3], "in an earlier campaign");
    }

    /// <summary>All scenarios of these names, or beginnings of names, each with its folder prepared.</summary>
    internal static async Task<List<Scenario>> ScenariosAsync(Scratch scratch, int[] recoveriesKilledAt, string[]? names = null)
    {
        List<Scenario> all = [];
        bool IsWanted(string name) => names is null || names.Any(wanted => name.StartsWith(wanted, StringComparison.Ordinal));
        if (IsWanted("log-publish")) all.Add(await LogScenarios.PublishAsync(scratch));
        if (IsWanted("log-switch")) all.Add(await LogScenarios.SwitchAsync(scratch));
        if (IsWanted("log-recovery"))
        {
            LogScenario recovery = await LogScenarios.RecoveryAsync(scratch);
            all.Add(recovery);
            foreach (int call in recoveriesKilledAt) all.Add(await LogScenarios.SecondRecoveryAsync(scratch, recovery, call));
        }

        if (IsWanted("witness-cosign")) all.Add(await WitnessScenarios.CosignAsync(scratch));
        if (IsWanted("witness-recovery")) all.Add(await WitnessScenarios.RecoveryAsync(scratch));
        if (IsWanted("witness-switch") || IsWanted("witness-snapshot"))
        {
            (WitnessScenario switching, WitnessScenario snapshot) = await WitnessScenarios.LongLivedAsync(scratch);
            all.AddRange(new[] { switching, snapshot }.Where(scenario => IsWanted(scenario.Name)));
        }

        return all;
    }

    /// <summary>Scenario x fault, and how the runs ended.</summary>
    internal static string Table(IEnumerable<Verdict> verdicts, IReadOnlyDictionary<(string Scenario, Fault Fault), int> notRun)
    {
        StringBuilder table = new($"| scenario | fault | runs | injected | {string.Join(" | ", Words)} | other | not run |\n|---|---|{string.Concat(Enumerable.Repeat("---:|", Words.Length + 4))}\n");
        ILookup<(string Scenario, Fault Fault), Verdict> groups = verdicts.ToLookup(verdict => (verdict.Scenario, verdict.Fault));
        var rows = groups.Select(group => group.Key).Union(notRun.Keys).OrderBy(row => row.Scenario, StringComparer.Ordinal).ThenBy(row => Fault.All.ToList().IndexOf(row.Fault));
        foreach ((string Scenario, Fault Fault) row in rows)
        {
            Verdict[] group = [.. groups[row]];
            IEnumerable<int> ends = Words.Select(word => group.Count(verdict => verdict.Word == word));
            IEnumerable<int> figures = [group.Length, group.Count(verdict => verdict.Hit is not null), .. ends, group.Length - ends.Sum(), notRun.GetValueOrDefault(row)];
            table.Append(CultureInfo.InvariantCulture, $"| {row.Scenario} | {row.Fault} | {string.Join(" | ", figures)} |\n");
        }

        return table.ToString();
    }

    private static string[]? Filter(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } list ? list.Split(',') : null;
}
