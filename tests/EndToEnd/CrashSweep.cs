using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Method "sweep" over the life of an entry: three batches, a segment that is sealed, an orderly end.</summary>
public sealed class CrashSweep(ITestOutputHelper output)
{
    private const string NoShim = "bin/fault.so is not there: it needs a C compiler (make deps)";

    private const int BatchEntries = 290; // with the singles before it: across the end of the first segment

    /// <summary>290 of these fill half of the smallest journal file, so that the next one is prepared during the run; together just under 2 MiB.</summary>
    private const int EntryBytes = 7200;

    private static readonly (Func<ShimCall, bool>, string)[] Harmless =
    [
        (call => call.Path.Contains("/journal/", StringComparison.Ordinal) && call.Path.Contains(".new", StringComparison.Ordinal),
            "the next journal file is prepared while the one in use has half of its room left; the switch tries again"),
        (call => call.Path == "./journal", "the same: only preparing the next file syncs this directory"),
    ];

    [Fact]
    public async Task D01_D05_D06_D10_every_storage_call_of_three_batches_killed_and_failed()
    {
        if (Programs.Shim is null) Assert.Skip(NoShim);
        using Scratch scratch = new();
        Scenario scenario = new(scratch["template"], await CreateAsync(scratch["template"]), new Observed(), ThreeBatchesAsync)
        {
            Settings = new Dictionary<string, string> { ["TLOG_PUBLISH_GAP_MS"] = "100" }, // some frames get a head of their own, some do not
            Harmless = Harmless,
        };
        Verdict[] verdicts = await RunAsync(scenario, scratch, _ => true, Sweep.Actions);
        Assert.True(verdicts.All(verdict => verdict.Word == "OK"), string.Join('\n', verdicts.Where(verdict => verdict.Word != "OK")));
    }

    [Fact]
    public async Task D02_D16_every_storage_call_of_a_recovery_killed_and_failed()
    {
        if (Programs.Shim is null) Assert.Skip(NoShim);
        using Scratch scratch = new();
        Scenario scenario = await CrashedAsync(scratch);
        Verdict[] verdicts = await RunAsync(scenario, scratch, _ => true, Sweep.Actions);
        Assert.True(verdicts.All(verdict => verdict.Word == "OK"), string.Join('\n', verdicts.Where(verdict => verdict.Word != "OK")));
    }

    [Fact]
    public async Task Control_a_server_that_answers_before_it_writes_is_found()
    {
        if (Programs.Shim is null) Assert.Skip(NoShim);
        using Scratch scratch = new();
        Scenario planted = new(scratch["template"], await CreateAsync(scratch["template"]), new Observed(), TwoEntriesAsync)
        {
            Server = Programs.PlantedServer,
            Settings = new Dictionary<string, string> { ["TLOG_PUBLISH_GAP_MS"] = "60000" },
        };
        Verdict[] verdicts = await RunAsync(planted, scratch, IsJournalWrite, "kill", "eio");
        Assert.Contains(verdicts, verdict => verdict is { Action: "kill", Word: "LOST" });
        Assert.Contains(verdicts, verdict => verdict is { Action: "eio", Word: "IGNORED" });

        using Scratch another = new();
        Verdict[] real = await RunAsync(planted with { Server = Programs.Server }, another, IsJournalWrite, "kill", "eio");
        Assert.All(real, verdict => Assert.Equal("OK", verdict.Word));
    }

    private async Task<Verdict[]> RunAsync(Scenario scenario, Scratch scratch, Func<ShimCall, bool> which, params IEnumerable<string> actions)
    {
        long start = TimeProvider.System.GetTimestamp();
        Sweep sweep = new(scenario, scratch);
        List<ShimCall> calls = await sweep.CountAsync();
        Verdict[] verdicts = await sweep.RunAllAsync(calls.Where(which), actions);
        output.WriteLine($"{calls.Count} storage calls, {verdicts.Length} runs, {TimeProvider.System.GetElapsedTime(start).TotalSeconds:F0} s\n{Sweep.Table(verdicts)}");

        // Runs differ by a few calls, as threads meet; a sweep that injects nothing proves nothing.
        Assert.True(verdicts.Count(verdict => verdict.Hit is not null) >= verdicts.Length * 7 / 10, Sweep.Table(verdicts));
        return verdicts;
    }

    private static Task<string> CreateAsync(string directory) => Programs.CreateLogAsync(directory, "--journal-file-bytes", "4194304");

    /// <summary>
    /// A log that was killed: a segment in FASTER, committed; behind it another one and more in the journal alone, beyond the commit record; and a
    /// torn frame at the end.
    /// </summary>
    private static async Task<Scenario> CrashedAsync(Scratch scratch)
    {
        string directory = scratch["template"];
        Observed observed = new();
        string vkey = await CreateAsync(directory);
        byte[][] Batch(string name) => [.. Enumerable.Range(0, BatchEntries).Select(i => Encoding.ASCII.GetBytes($"{name} {i}"))];
        await using (RunningProgram server = Programs.Serve(directory))
        {
            using LogClient client = new(await server.ListeningAsync());
            await observed.AddAsync(client, Batch("sealed"));
            await PublishedAsync(client, observed);
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        Dictionary<string, string> tears = new()
        {
            ["TLOG_PUBLISH_GAP_MS"] = "60000", // one head, that of the start
            ["LD_PRELOAD"] = Programs.Shim!,
            ["TLOG_FAULT_PREFIX"] = Path.Combine(directory, "journal"),
            ["TLOG_FAULT_ONLY"] = "write",
            ["TLOG_FAULT_AT"] = "3",
            ["TLOG_FAULT_ACTION"] = "torn",
            ["TLOG_FAULT_KEEP"] = "1000",
        };
        await using (RunningProgram server = Programs.Serve(directory, tears))
        {
            using LogClient client = new(await server.ListeningAsync());
            await PublishedAsync(client, observed);
            Assert.True(await observed.AddAsync(client, Batch("beyond")));
            Assert.True(await observed.AddAsync(client, Entry("last")));
            Assert.False(await observed.AddAsync(client, Entry("torn")));
            Assert.Equal(Ended.Killed, (await server.EndAsync()).ExitCode);
        }

        return new Scenario(directory, vkey, observed, RecoverAsync) { EndsInOrder = false, Harmless = Harmless };
    }

    private static async Task RecoverAsync(RunningProgram server, Observed observed, ShimLog log)
    {
        if (await server.ListensAsync() is not Uri url) return;
        using LogClient client = new(url);
        await PublishedAsync(client, observed);
        await RefusesAsync(client, observed, log);
    }

    private static async Task ThreeBatchesAsync(RunningProgram server, Observed observed, ShimLog log)
    {
        if (await server.ListensAsync() is not Uri url) return;
        using LogClient client = new(url);
        await PublishedAsync(client, observed);
        await observed.AddAsync(client, Entry("first"));
        await observed.AddAsync(client, [.. Enumerable.Range(0, BatchEntries).Select(i => Entry($"second {i}"))]);
        await PublishedAsync(client, observed);
        await Task.WhenAll(observed.AddAsync(client, Entry("third")), observed.AddAsync(client, Entry("beside it")));
        await PublishedAsync(client, observed);

        await RefusesAsync(client, observed, log);
    }

    /// <summary>For a slow publisher, and for a journal that may write behind: nothing goes on before an entry's sync was seen, or did not come.</summary>
    private static async Task TwoEntriesAsync(RunningProgram server, Observed observed, ShimLog log)
    {
        if (await server.ListensAsync() is not Uri url) return;
        using LogClient client = new(url);
        for (int entry = 1; entry <= 2; entry++)
        {
            await observed.AddAsync(client, Entry($"entry {entry}"));
            await Until.TrueAsync(() => Task.FromResult(server.HasEnded || log.Hit() is not null || log.Calls().Count(IsJournalSync) >= entry), TimeSpan.FromSeconds(5));
        }

        await RefusesAsync(client, observed, log);
    }

    private static bool IsJournalSync(ShimCall call) => call.Name == "fdatasync" && call.Path.Contains("/journal/", StringComparison.Ordinal);

    private static bool IsJournalWrite(ShimCall call) => call.Name == "pwrite" && call.Path.Contains("/journal/", StringComparison.Ordinal);

    private static async Task RefusesAsync(LogClient client, Observed observed, ShimLog log)
    {
        // A call that failed has to stop the log, perhaps a moment later: publishing does not hold up appends.
        bool failed = log.Hit() is ShimCall hit && !Harmless.Any(harmless => harmless.Item1(hit));
        if (!failed || observed.WasRefused) return;
        int probe = 0;
        bool refused = await Until.TrueAsync(async () => !await observed.AddAsync(client, Entry($"probe {probe++}")), TimeSpan.FromSeconds(5));
        if (!refused) throw new CheckFailedException($"IGNORED: {probe} entries were acknowledged after {log.Hit()} had failed");
    }

    /// <summary>Waits until everything acknowledged is public, or the log says that it has stopped, or nobody answers.</summary>
    private static async Task PublishedAsync(LogClient client, Observed observed)
    {
        long size = observed.Acknowledged.Count;
        bool done = await Until.TrueAsync(
            async () => await client.PublishedSizeAsync() >= size || (await client.TryGetAsync("readyz")).Status != System.Net.HttpStatusCode.OK, TimeSpan.FromSeconds(10));
        if (!done) throw new CheckFailedException($"IGNORED: the log says it is ready, and does not publish size {size}");
        await observed.LookAsync(client);
    }

    private static byte[] Entry(string name) => Encoding.ASCII.GetBytes(name.PadRight(EntryBytes, '.'));
}
