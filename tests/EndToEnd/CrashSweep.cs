namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Method "sweep", as much of it as every build affords: the rest is <see cref="CrashCampaign"/>.</summary>
public sealed class CrashSweep(ITestOutputHelper output)
{
    private const string NoShim = "bin/fault.so is not there: it needs a C compiler (make deps)";

    /// <summary>Runs of each scenario in which every fault takes its turn.</summary>
    private const int Sample = 1;

    /// <summary>Of the calls of a scenario each tenth one: every build has some minutes for all of its tests.</summary>
    private const int Step = 10;

    [Fact]
    public async Task D01_D05_D06_D09_D10_each_tenth_storage_call_of_three_batches_killed_and_failed()
    {
        using Scratch scratch = NewScratch();
        await EachTenthAsync(scratch, await LogScenarios.PublishAsync(scratch), "kill", "eio");
    }

    [Fact]
    public async Task D02_D16_each_tenth_storage_call_of_a_recovery_killed_and_failed()
    {
        using Scratch scratch = NewScratch();
        await EachTenthAsync(scratch, await LogScenarios.RecoveryAsync(scratch), "kill", "eio");
    }

    [Fact]
    public async Task D01_D09_W03_each_tenth_storage_call_of_a_witness_killed()
    {
        using Scratch scratch = NewScratch();
        await EachTenthAsync(scratch, await WitnessScenarios.CosignAsync(scratch), "kill");
    }

    [Fact]
    public async Task D01_to_D18_a_sample_of_every_fault_in_every_scenario()
    {
        using Scratch scratch = NewScratch();
        List<(Sweep Sweep, Fault Fault, int At)> sample = [];
        foreach (Scenario scenario in await CrashCampaign.ScenariosAsync(scratch, recoveriesKilledAt: [12]))
        {
            Sweep sweep = new(scenario, scratch);
            (Sweep Sweep, Fault Fault, int At)[] runs = [.. sweep.Runs(Sweep.Distinct(await sweep.CountAsync()), Fault.All)];

            // Fault by fault, so that steps of equal length visit all of them, each at another call.
            for (int i = 0; i < Sample; i++) sample.Add(runs[(int)((i + 0.5) * runs.Length / Sample)]);
        }

        Report(await Sweep.RunAllAsync(sample));
    }

    private static Scratch NewScratch()
    {
        if (Programs.Shim is null) Assert.Skip(NoShim);
        return new Scratch();
    }

    private async Task EachTenthAsync(Scratch scratch, Scenario scenario, params string[] faults)
    {
        Sweep sweep = new(scenario, scratch);
        Report(await Sweep.RunAllAsync(sweep.Runs(Sweep.Distinct(await sweep.CountAsync()), Fault.Named(faults)).Where((_, i) => i % Step == 0)));
    }

    private void Report(Verdict[] verdicts)
    {
        string table = CrashCampaign.Table(verdicts, new Dictionary<(string, Fault), int>());
        output.WriteLine(table);
        Assert.True(verdicts.All(verdict => verdict.IsAllowed), string.Join('\n', verdicts.Where(verdict => !verdict.IsAllowed)));

        // Runs differ by a few calls, as threads meet; a sweep that injects nothing proves nothing.
        Assert.True(verdicts.Count(verdict => verdict.Hit is not null) >= verdicts.Length * 7 / 10, table);
    }
}
