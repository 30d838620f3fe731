using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Controls of the sweep: each planted bug is found, and nothing is found where the real program stands in its place.</summary>
public sealed class PlantedTests
{
    [Fact]
    public async Task Control_a_log_that_answers_before_it_writes_is_found()
    {
        using Scratch scratch = NewScratch();
        LogScenario real = await LogScenarios.TwoEntriesAsync(scratch);
        Verdict[] planted = await RunAsync(Plant(real, "early-answer"), scratch, IsFrame, "kill", "eio");
        Assert.Contains(planted, verdict => verdict is { Fault.Name: "kill", Word: "LOST" });
        Assert.Contains(planted, verdict => verdict is { Fault.Name: "eio", Word: "IGNORED" });
        Assert.All(await RunAsync(real, scratch, IsFrame, "kill", "eio"), verdict => Assert.Equal("OK", verdict.Word));
    }

    [Fact]
    public async Task Control_a_log_that_swallows_an_error_is_found()
    {
        using Scratch scratch = NewScratch();
        LogScenario real = await LogScenarios.TwoEntriesAsync(scratch);
        Verdict[] planted = await RunAsync(Plant(real, "swallowed-error"), scratch, IsFrame, "kill", "enospc");
        Assert.All(planted.Where(verdict => verdict.Fault.Name == "kill"), verdict => Assert.Equal("OK", verdict.Word));
        Assert.All(planted.Where(verdict => verdict.Fault.Name == "enospc"), verdict => Assert.Equal("IGNORED", verdict.Word));
        Assert.All(await RunAsync(real, scratch, IsFrame, "enospc"), verdict => Assert.Equal("OK", verdict.Word));
    }

    [Fact]
    public async Task Control_D04_a_log_that_skips_a_sync_is_found_by_the_order_of_its_calls_alone()
    {
        using Scratch scratch = NewScratch();
        LogScenario real = await LogScenarios.TwoEntriesAsync(scratch), planted = Plant(real, "skipped-sync");
        Verdict counted = await new Sweep(planted, scratch).RunAsync(Fault.Count, 0);
        Assert.Equal("UNSYNCED", counted.Word.TrimEnd(':'));
        Assert.Contains("./data/journal/000000000001 was written after its last sync", counted.Text);
        Assert.Equal("OK", (await new Sweep(real, scratch).RunAsync(Fault.Count, 0)).Word);
    }

    [Fact]
    public async Task Control_W03_a_witness_that_answers_before_it_stores_is_found()
    {
        using Scratch scratch = NewScratch();
        WitnessScenario real = await WitnessScenarios.CosignAsync(scratch), planted = real with { Name = "witness-early", Program = Programs.Planted, Bug = "early-witness" };
        Verdict counted = await new Sweep(planted, scratch).RunAsync(Fault.Count, 0);
        Assert.Equal("UNSYNCED", counted.Word.TrimEnd(':'));

        // Each is killed at the frames that it writes itself: the planted one writes a frame after its answer has left, so the numbers of its calls are others. The guard
        // has seen what it forgets: it does not start again.
        Sweep sweep = new(real, scratch);
        ShimCall[] frames = [.. (await sweep.CountAsync()).Where(IsFrame).Take(3)];
        ShimCall[] late = [.. (await new Sweep(planted with { Name = "witness-early-calls" }, scratch).CountAsync(checksOrder: false)).Where(IsFrame).Take(4)];
        Verdict[] verdicts = await Sweep.RunAllAsync(new Sweep(planted, scratch).Runs(late, Fault.Named("kill")));
        Assert.Contains(verdicts, verdict => verdict is { IsAllowed: false, Word: "LOST" or "REFUSED" });
        Assert.All(await Sweep.RunAllAsync(sweep.Runs(frames, Fault.Named("kill"))), verdict => Assert.Equal("OK", verdict.Word));
    }

    [Fact]
    public async Task Control_C01_two_logs_in_one_directory_are_found_and_the_real_one_is_not_started_twice()
    {
        using Scratch scratch = new();
        string folder = scratch["log"], data = Scenario.DataOf(folder);
        string vkey = await Programs.CreateLogAsync(data, "--journal-file-bytes", "4194304");
        Observed observed = new();
        CheckFailedException found = await Assert.ThrowsAsync<CheckFailedException>(async () =>
        {
            await using (RunningProgram one = StartUnlocked(data))
            {
                using LogClient first = new(await one.ListeningAsync());
                await using RunningProgram two = StartUnlocked(data);
                using LogClient second = new(await two.ListeningAsync());
                await observed.AddAsync(first, "one"u8.ToArray());
                await observed.LookAsync(first);
                await observed.AddAsync(second, "two"u8.ToArray());
                await observed.LookAsync(second);
            }

            await using RunningProgram after = Programs.Serve(data);
            if (await after.ListensAsync() is not Uri url) throw new CheckFailedException($"REFUSED {await after.EndAsync()}");
            using LogClient client = new(url);
            await new FullCheck(vkey).RunAsync(client, observed.Acknowledged);
        });
        Assert.StartsWith("LOST index 0: it was given to two entries", found.Message, StringComparison.Ordinal);

        string another = scratch["another"];
        await Programs.CreateLogAsync(another);
        await using RunningProgram real = Programs.Serve(another);
        using LogClient only = new(await real.ListeningAsync());
        await using RunningProgram refused = Programs.Serve(another);
        Assert.Null(await refused.ListensAsync());
        Ended ended = await refused.EndAsync();
        Assert.Equal(3, ended.ExitCode);
        Assert.Contains($"in use by process {real.ProcessId}", ended.Errors);
        Assert.True((await only.AddAsync("the only one"u8.ToArray())).IsAcknowledged);
    }

    private static Scratch NewScratch()
    {
        if (Programs.Shim is null) Assert.Skip("bin/fault.so is not there: it needs a C compiler (make deps)");
        return new Scratch();
    }

    private static LogScenario Plant(LogScenario real, string bug) => real with { Name = bug, Program = Programs.Planted, Bug = bug };

    private static RunningProgram StartUnlocked(string data) => RunningProgram.Start(Programs.Planted, ["unlocked", "serve", "--data", data, "--listen", "http://127.0.0.1:0"]);

    /// <summary>Not the zeros that a start writes behind the last frame: two MiB of them.</summary>
    private static bool IsFrame(ShimCall call) => call.Kind == CallKinds.Write && call.Path == "./data/journal/000000000001" && call.Bytes < 1024 * 1024;

    private static async Task<Verdict[]> RunAsync(Scenario scenario, Scratch scratch, Predicate<ShimCall> which, params string[] faults)
    {
        Sweep sweep = new(scenario, scratch);
        Verdict[] verdicts = await Sweep.RunAllAsync(sweep.Runs((await sweep.CountAsync(checksOrder: false)).FindAll(which), Fault.Named(faults)));
        Assert.NotEmpty(verdicts);
        return verdicts;
    }
}
