using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>A log server, what its log has promised so far, and what clients do then.</summary>
/// <param name="Name">In tables.</param>
/// <param name="Template">The folder.</param>
/// <param name="Vkey">The log's key.</param>
/// <param name="Before">What was promised before the runs begin.</param>
/// <param name="Work">The clients of one run.</param>
internal sealed record LogScenario(string Name, string Template, string Vkey, Observed Before, Func<RunningProgram, Observed, ShimLog, Task> Work) : Scenario(Name, Template)
{
    public override IReadOnlyList<string> Arguments(string folder) => [];

    public override IClients Begin() => new LogClients(this);
}

/// <summary>They append and look; afterwards everything is rebuilt from entry bytes, by the server's answers and by fsck.</summary>
internal sealed class LogClients(LogScenario scenario) : IClients
{
    private readonly Observed _observed = new(scenario.Before);

    public bool WasRefused => _observed.WasRefused;

    public Action? Promised
    {
        set => _observed.Promised = value;
    }

    public Task WorkAsync(RunningProgram program, ShimLog log) => scenario.Work(program, _observed, log);

    public async Task CheckAsync(string folder, Func<RunningProgram> start)
    {
        // The directory as the crash has left it: what is sound to the server is sound to fsck.
        Ended fsck = await Programs.RunAsync(Programs.Tool, "fsck", Scenario.DataOf(folder));
        string halted = Path.Combine(Scenario.DataOf(folder), "halted"), evidence = File.Exists(halted) ? await File.ReadAllTextAsync(halted) : "";
        if (evidence.Length > 0)
        {
            Ended resumed = await Programs.RunAsync(Programs.Server, "resume", "--data", Scenario.DataOf(folder), "--guard", Scenario.GuardOf(folder), "--reason", "the sweep has looked into it");
            if (resumed.ExitCode != 0) throw new CheckFailedException($"REFUSED to be resumed: {resumed}{evidence}");
        }

        await using RunningProgram server = start();
        if (await server.ListensAsync() is not Uri url)
        {
            Ended refused = await server.EndAsync();
            string where = refused.Errors.Contains(folder, StringComparison.Ordinal) || refused.Errors.Contains(": expected ", StringComparison.Ordinal) ? "REFUSED" : "REFUSED-NAMELESS";
            throw new CheckFailedException($"{where} {refused}fsck: {fsck}");
        }

        using LogClient client = new(url);
        FullCheck check = new(scenario.Vkey);
        foreach (byte[] checkpoint in _observed.Checkpoints) check.Saw(checkpoint);
        await check.RunAsync(client, _observed.Acknowledged);

        // And it goes on: the next entry gets an index that nobody has.
        byte[] next = Encoding.ASCII.GetBytes("after the restart");
        AddAnswer answer = await client.AddAsync(next);
        if (!answer.IsAcknowledged) throw new CheckFailedException($"REFUSED an entry after the restart: {answer.Status} {answer.Body}");
        if (_observed.Acknowledged.ContainsKey(answer.Indexes[0])) throw new CheckFailedException($"LOST index {answer.Indexes[0]}: it was given away twice");
        server.Kill();
        await server.EndAsync();
        if (evidence.Length > 0) throw new CheckFailedException($"{(evidence.Contains(folder, StringComparison.Ordinal) ? "REFUSED" : "REFUSED-NAMELESS")} to go on, with evidence against itself, until it was resumed: {evidence}");
        if (fsck.ExitCode == 0) return;

        // The server takes a commit record that is lost from the history; fsck, which only looks, calls it damage where no crash leaves such bytes.
        Ended again = await Programs.RunAsync(Programs.Tool, "fsck", Scenario.DataOf(folder));
        throw new CheckFailedException($"{(again.ExitCode == 0 ? "MENDED" : "DISAGREED")}: all is well with the server; fsck said before it started: {fsck}and after it: {again}");
    }
}

/// <summary>The scenarios of the log.</summary>
internal static class LogScenarios
{
    private const int BatchEntries = 290; // with the singles before it: across the end of the first segment

    /// <summary>290 of these fill half of the smallest journal file, so that the next one is prepared during the run; together just under 2 MiB.</summary>
    private const int EntryBytes = 7200;

    private static readonly Dictionary<string, string> SomeHeads = new(StringComparer.Ordinal) { ["TLOG_PUBLISH_GAP_MS"] = "100" }; // some frames get a head of their own, some do not

    /// <summary>A new log and a new guard; three batches, a segment that is sealed, an orderly end.</summary>
    public static async Task<LogScenario> PublishAsync(Scratch scratch, string name = "log-publish")
    {
        string folder = scratch[name];
        return new LogScenario(name, folder, await CreateAsync(folder), new Observed(), ThreeBatchesAsync) { Program = Programs.Server, Settings = SomeHeads };
    }

    /// <summary>A journal file becomes full and the next one is taken, FASTER commits in the background, and the full file is removed.</summary>
    public static async Task<LogScenario> SwitchAsync(Scratch scratch, string name = "log-switch")
    {
        string folder = scratch[name];
        return new LogScenario(name, folder, await CreateAsync(folder), new Observed(), SwitchAsync)
        {
            Program = Programs.Server,
            Settings = SomeHeads,
            Has = call => call is { Kind: CallKinds.Unlink, Path: "./data/journal/000000000001" },
        };
    }

    /// <summary>For a slow publisher, and for a journal that may write behind: nothing goes on before an entry's sync was seen, or did not come.</summary>
    public static async Task<LogScenario> TwoEntriesAsync(Scratch scratch, string name = "log-two-entries")
    {
        string folder = scratch[name];
        return new LogScenario(name, folder, await CreateAsync(folder), new Observed(), TwoEntriesAsync)
        {
            Program = Programs.Server,
            Settings = new Dictionary<string, string> { ["TLOG_PUBLISH_GAP_MS"] = "60000" },
        };
    }

    /// <summary>
    /// A log that was killed: a segment in FASTER, committed; behind it another one and more in the journal alone, beyond the commit record; and a
    /// torn frame at the end.
    /// </summary>
    public static async Task<LogScenario> RecoveryAsync(Scratch scratch, string name = "log-recovery")
    {
        string folder = scratch[name], data = Scenario.DataOf(folder);
        Observed observed = new();
        string vkey = await CreateAsync(folder);
        byte[][] Batch(string kind) => [.. Enumerable.Range(0, BatchEntries).Select(i => Encoding.ASCII.GetBytes($"{kind} {i}"))];
        await using (RunningProgram server = Programs.Serve(data, environment: null, "--guard", Scenario.GuardOf(folder)))
        {
            using LogClient client = new(await server.ListeningAsync());
            await observed.AddAsync(client, Batch("sealed"));
            await PublishedAsync(client, observed);
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        Dictionary<string, string> tears = new(StringComparer.Ordinal)
        {
            ["TLOG_PUBLISH_GAP_MS"] = "60000", // one head, that of the start
            ["LD_PRELOAD"] = Programs.Shim!,
            ["DEVTLOG_FAULT_PREFIX"] = Path.Combine(data, "journal"),
            ["DEVTLOG_FAULT_ONLY"] = "write",
            ["DEVTLOG_FAULT_AT"] = "4", // the first is the start's
            ["DEVTLOG_FAULT_ACTION"] = "torn",
            ["DEVTLOG_FAULT_KEEP"] = "1000",
        };
        await using (RunningProgram server = Programs.Serve(data, tears, "--guard", Scenario.GuardOf(folder)))
        {
            using LogClient client = new(await server.ListeningAsync());
            await PublishedAsync(client, observed);
            Assert.True(await observed.AddAsync(client, Batch("beyond")));
            Assert.True(await observed.AddAsync(client, Entry("last")));
            Assert.False(await observed.AddAsync(client, Entry("torn")));
            Assert.Equal(Ended.Killed, (await server.EndAsync()).ExitCode);
        }

        return new LogScenario(name, folder, vkey, observed, RecoverAsync) { Program = Programs.Server, EndsInOrder = false };
    }

    /// <summary>The recovery of a log whose recovery was killed at its n-th call (D-02).</summary>
    public static async Task<LogScenario> SecondRecoveryAsync(Scratch scratch, LogScenario first, int killedAt)
    {
        string name = $"log-recovery-killed-at-{killedAt}", folder = scratch[name];
        Scenario.Copy(first.Template, folder);
        Observed observed = new(first.Before);
        string logPath = folder + ".log";
        await using RunningProgram server = first.Start(folder, Sweep.Shimmed(folder, Fault.Named("kill").Single(), killedAt, logPath));
        await first.Work(server, observed, new ShimLog(logPath, folder));
        Assert.Equal(Ended.Killed, (await server.EndAsync()).ExitCode);
        return first with { Name = name, Template = folder, Before = observed };
    }

    private static Task<string> CreateAsync(string folder) => Programs.CreateLogAsync(Scenario.DataOf(folder), "--journal-file-bytes", "4194304");

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

    private static async Task SwitchAsync(RunningProgram server, Observed observed, ShimLog log)
    {
        if (await server.ListensAsync() is not Uri url) return;
        using LogClient client = new(url);
        for (int batch = 0; batch < 3; batch++)
        {
            if (!await observed.AddAsync(client, [.. Enumerable.Range(0, BatchEntries).Select(i => Entry($"{batch} {i}"))])) break;
        }

        // The commit runs in the background; the append behind its end trims.
        int more = 0;
        await Until.TrueAsync(
            async () => !await observed.AddAsync(client, Entry($"more {more++}")) || log.Hit() is not null || log.Calls().Exists(call => call is { Kind: CallKinds.Unlink, Path: "./data/journal/000000000001" }),
            TimeSpan.FromSeconds(5));
        await PublishedAsync(client, observed);
        await RefusesAsync(client, observed, log);
    }

    private static async Task TwoEntriesAsync(RunningProgram server, Observed observed, ShimLog log)
    {
        if (await server.ListensAsync() is not Uri url) return;
        using LogClient client = new(url);
        for (int entry = 1; entry <= 2; entry++)
        {
            await observed.AddAsync(client, Entry($"entry {entry}"));

            // One sync of the journal was the start's.
            await Until.TrueAsync(() => Task.FromResult(server.HasEnded || log.Hit() is not null || log.Calls().Count(IsJournalSync) > entry), TimeSpan.FromSeconds(2));
        }

        await RefusesAsync(client, observed, log);
    }

    private static bool IsJournalSync(ShimCall call) => call.Name == "fdatasync" && call.Path.Contains("/journal/", StringComparison.Ordinal);

    private static async Task RefusesAsync(LogClient client, Observed observed, ShimLog log)
    {
        // A call that failed has to stop the log, perhaps a moment later: publishing does not hold up appends. One of the guard makes it unavailable (N-02): nothing is signed
        // until the same step has gone through, and entries are taken meanwhile. That the operator is told is asked at the end.
        bool failed = log.Hit() is ShimCall hit && Fault.Of(hit).Meaning == Meaning.Error && !Scenario.IsHarmless(log) && !Scenario.IsOfGuard(hit);
        if (!failed || observed.WasRefused) return;
        int probe = 0;
        bool refused = await Until.TrueAsync(async () => !await observed.AddAsync(client, Entry($"probe {probe++}")), TimeSpan.FromSeconds(20));
        if (!refused) throw new CheckFailedException($"IGNORED: {probe} entries were acknowledged after {log.Hit()} had failed");
    }

    /// <summary>Waits until everything acknowledged is public, or the log says that it has stopped, or nobody answers.</summary>
    private static async Task PublishedAsync(LogClient client, Observed observed)
    {
        long size = observed.Acknowledged.Count;
        bool done = await Until.TrueAsync(
            async () => await client.PublishedSizeAsync() >= size || (await client.TryGetAsync("readyz")).Status != System.Net.HttpStatusCode.OK, TimeSpan.FromSeconds(20));
        if (!done) throw new CheckFailedException($"IGNORED: the log says it is ready, and does not publish size {size}");
        await observed.LookAsync(client);
    }

    private static byte[] Entry(string name) => Encoding.ASCII.GetBytes(name.PadRight(EntryBytes, '.'));
}
