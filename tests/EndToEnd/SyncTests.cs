using System.Globalization;
using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What the running server tells the kernel, under strace: how often it syncs, and what comes before an answer.</summary>
public sealed partial class SyncTests
{
    private const int Adds = 7;

    private static readonly Dictionary<string, string> PublishesOnce = new() { ["TLOG_PUBLISH_GAP_MS"] = "60000" };

    [Fact]
    public async Task D06_each_append_in_turn_is_one_write_and_one_sync_of_the_journal_and_its_answer_leaves_after_both()
    {
        if (await Trace.WhyNotAsync() is string reason) Assert.Skip(reason);
        Assert.Empty(await AppendAsync(Programs.Server));
    }

    [Fact]
    public async Task Control_a_server_that_answers_before_it_writes_is_seen_in_the_trace()
    {
        if (await Trace.WhyNotAsync() is string reason) Assert.Skip(reason);
        Assert.Contains(await AppendAsync(Programs.Planted, "early-answer"), wrong => wrong.Contains("answered before", StringComparison.Ordinal));
    }

    /// <summary>Appends some entries, one after the other, to a traced server; returns what was out of order.</summary>
    private static async Task<List<string>> AppendAsync(string program, params string[] bug)
    {
        using Scratch scratch = new();
        string directory = scratch["log"], journal = Path.Combine(directory, "journal/000000000001");
        await Programs.CreateLogAsync(directory);
        await using (RunningProgram server = Trace.Start(scratch["trace"], program, [.. bug, "serve", "--data", directory, "--listen", "http://127.0.0.1:0"], PublishesOnce))
        {
            using LogClient client = new(await server.ListeningAsync());
            Assert.True(await client.WaitPublishedAsync(0));
            for (int i = 0; i < Adds; i++) Assert.Equal([i], (await client.AddAsync([1, (byte)i])).Indexes);

            // A server that writes behind gets the time to do so.
            await Until.TrueAsync(
                () => Task.FromResult(File.ReadLines(scratch["trace"]).Count(line => line.Contains("fdatasync", StringComparison.Ordinal) && line.Contains(journal, StringComparison.Ordinal)) > Adds),
                TimeSpan.FromSeconds(10));
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        List<SystemCall> calls = await Trace.ReadAsync(scratch["trace"]);

        // The first of each is the start's: the zeros behind the last frame.
        SystemCall[] writes = [.. calls.Where(call => call.Name == "pwrite64" && call.IsOn(journal)).Skip(1)];
        SystemCall[] syncs = [.. calls.Where(call => call.Name is "fdatasync" or "fsync" && call.IsOn(journal)).Skip(1)];
        SystemCall[] answers = [.. Enumerable.Range(0, Adds).Select(i => Assert.Single(calls, call => AnswerIndex(call) == i))];
        List<string> wrong = [];
        if (writes.Length != Adds || syncs.Length != Adds) wrong.Add($"{Adds} appends made {writes.Length} writes and {syncs.Length} syncs of the journal");
        for (int i = 0; i < Math.Min(writes.Length, syncs.Length); i++)
        {
            if (syncs[i].Result != 0) wrong.Add($"entry {i}: {syncs[i]}");
            if (writes[i].End > syncs[i].Begin) wrong.Add($"entry {i}: synced before it was written: {writes[i]}, {syncs[i]}");
            if (syncs[i].End > answers[i].Begin) wrong.Add($"entry {i}: answered before its sync had returned: {answers[i]}, {syncs[i]}");
        }

        return wrong;
    }

    [Fact]
    public async Task Reading_writes_nothing_and_syncs_nothing()
    {
        if (await Trace.WhyNotAsync() is string reason) Assert.Skip(reason);
        using Scratch scratch = new();
        string directory = scratch["log"];
        FullCheck check = new(await Programs.CreateLogAsync(directory));
        double from, to;
        await using (RunningProgram server = Trace.Start(scratch["trace"], Programs.Server, ["serve", "--data", directory, "--listen", "http://127.0.0.1:0"]))
        {
            using LogClient client = new(await server.ListeningAsync());
            AddAnswer answer = await client.AddBatchAsync([.. Enumerable.Range(0, 300).Select(i => new byte[] { 1, (byte)(i >> 8), (byte)i })]);
            Assert.Equal(300, answer.Indexes.Count);
            await check.RunAsync(client, []);
            Assert.True(await client.WaitPublishedAsync(300));

            from = Now();
            for (int round = 0; round < 3; round++)
            {
                await check.RunAsync(client, []);
                await client.GetAsync("entry/0");
                await client.GetAsync("entry/299");
                await client.GetAsync("proof/inclusion?index=7");
                await client.GetAsync("proof/consistency?from=1&to=300");
                await client.GetAsync("healthz");
            }

            to = Now();
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        List<SystemCall> calls = await Trace.ReadAsync(scratch["trace"]);
        SystemCall[] meanwhile = [.. calls.Where(call => call.Seconds >= from && call.Seconds <= to)];
        Assert.Contains(meanwhile, call => call.Arguments.Contains("HTTP/1.1 200", StringComparison.Ordinal));
        Assert.DoesNotContain(meanwhile, call => call.Name is "fsync" or "fdatasync");
        Assert.DoesNotContain(meanwhile, call => call.Arguments.Contains($"<{directory}", StringComparison.Ordinal));
    }

    [Fact]
    public async Task D09_every_new_name_is_followed_by_a_sync_of_its_directory()
    {
        if (await Trace.WhyNotAsync() is string reason) Assert.Skip(reason);
        using Scratch scratch = new();
        string directory = scratch["logs/log"];
        Directory.CreateDirectory(scratch["logs"]);
        await using (RunningProgram create = Trace.Start(scratch["create"], Programs.Server, ["create", "--data", directory, "--origin", Programs.Origin, "--journal-file-bytes", "4194304"]))
        {
            Assert.Equal(0, (await create.EndAsync()).ExitCode);
        }

        Assert.Empty(NamesLeftUnsynced(await Trace.ReadAsync(scratch["create"]), scratch["logs"], least: 10));

        // Enough for a second journal file, for segments in FASTER, and for a guard.
        await using (RunningProgram server = Trace.Start(scratch["serve"], Programs.Server, ["serve", "--data", directory, "--guard", scratch["logs/guard"], "--listen", "http://127.0.0.1:0"]))
        {
            using LogClient client = new(await server.ListeningAsync());
            for (int batch = 0; batch < 5; batch++)
            {
                AddAnswer answer = await client.AddBatchAsync([.. Enumerable.Range(0, 100).Select(i => Enumerable.Repeat((byte)(1 + i), 12_000 + batch).ToArray())]);
                Assert.True(answer.IsAcknowledged, answer.ToString());
            }

            Assert.True(await client.WaitPublishedAsync(500));
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        List<SystemCall> calls = await Trace.ReadAsync(scratch["serve"]);
        Assert.Empty(NamesLeftUnsynced(calls, scratch["logs"], least: 10));

        // The control: without the syncs of one directory its names are missed.
        string segments = Path.Combine(directory, "segments");
        Assert.NotEmpty(NamesLeftUnsynced([.. calls.Where(call => !call.IsOn(segments))], scratch["logs"], least: 10));
    }

    private static List<string> NamesLeftUnsynced(List<SystemCall> calls, string below, int least)
    {
        List<(string Path, SystemCall Call)> made = [];
        foreach (SystemCall call in calls.Where(call => call.Result >= 0))
        {
            string[] paths = [.. Quoted().Matches(call.Arguments).Select(match => match.Groups["path"].Value)];
            if (call.Name.StartsWith("rename", StringComparison.Ordinal)) made.Add((paths[1], call));
            else if (call.Name.StartsWith("mkdir", StringComparison.Ordinal) || call.Name == "creat" || (call.Name == "openat" && call.Arguments.Contains("O_CREAT", StringComparison.Ordinal))) made.Add((paths[0], call));
        }

        // The lock says nothing after its process has ended: its name may go with the machine.
        made.RemoveAll(name => !name.Path.StartsWith(below + "/", StringComparison.Ordinal) || Path.GetFileName(name.Path) == "lock");
        Assert.True(made.Count >= least, $"only {made.Count} names were made");
        return [.. from name in made
                   let folder = Path.GetDirectoryName(name.Path)!
                   where !calls.Any(sync => sync.Name == "fsync" && sync.Result == 0 && sync.Begin > name.Call.End && sync.IsOn(folder))
                   select $"no fsync of {folder} follows {name.Call}"];
    }

    /// <summary>The index in an answer to POST /add that goes to a socket; null for any other call.</summary>
    private static int? AnswerIndex(SystemCall call) =>
        call.Name is "sendto" or "sendmsg" or "write" or "writev" && Answer().Match(call.Arguments) is { Success: true } match
            ? int.Parse(match.Groups["index"].Value, CultureInfo.InvariantCulture)
            : null;

    private static double Now() => TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;

    [GeneratedRegex("""HTTP/1\.1 200 OK.*?(\\r\\n\\r\\n|iov_base=")(?<index>\d+)"[,}]""", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Answer();

    [GeneratedRegex("\"(?<path>/[^\"]*)\"", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Quoted();
}
