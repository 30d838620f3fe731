using System.Globalization;
using System.Text;
using TransparencyLog.Client;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// tests/long soak runs for 30 minutes (DEVTLOG_SOAK_MINUTES); without it some 15 s under load, which with the checks at the end is 20. DEVTLOG_SOAK_SEED
/// repeats the choices of a run.
/// </summary>
[Collection(Alone.Name)]
public sealed class SoakTests(ITestOutputHelper output)
{
    private const int DiskMegabytes = 512;

    /// <summary>Half a million entries take a minute.</summary>
    private static readonly TimeSpan CheckLimit = TimeSpan.FromMinutes(2);

    [Fact]
    public async Task D01_D08_G02_G04_acknowledged_is_stored_and_all_that_was_ever_published_is_consistent_through_kills_bad_witnesses_and_full_disks()
    {
        int? minutes = Number("DEVTLOG_SOAK_MINUTES");
        int seed = Number("DEVTLOG_SOAK_SEED") ?? Random.Shared.Next();
        SoakPlan plan = minutes is int long_
            ? new() { Load = TimeSpan.FromMinutes(long_), KillEvery = TimeSpan.FromSeconds(8), FillEvery = TimeSpan.FromMinutes(Math.Min(4, long_ / 2.5)), Full = TimeSpan.FromSeconds(20), Line = TimeSpan.FromMinutes(1) }
            : new() { Load = TimeSpan.FromSeconds(10), KillEvery = TimeSpan.FromSeconds(2), FillEvery = TimeSpan.FromSeconds(4), Full = TimeSpan.FromSeconds(1), Line = TimeSpan.FromSeconds(5) };
        using Scratch scratch = new();
        (SmallDisk? disk, string whyNot) = await SmallDisk.TryCreateAsync(scratch["disk"], DiskMegabytes);
        Say(string.Create(CultureInfo.InvariantCulture, $"seed {seed}; {plan.Load.TotalMinutes:F1} minutes under load{(disk is null ? $"; no full disk: {whyNot}" : "")}"));
        await using BadWitness hanging = BadWitness.Hanging(), byzantine = BadWitness.Byzantine();
        try
        {
            NetworkPlan shape = new()
            {
                LogData = disk is null ? null : Path.Combine(disk.Root, "log"),
                Create = ["--journal-file-bytes", "4194304"],
                OutsideQuorum = hanging.PolicyLine + byzantine.PolicyLine,
                Guards = true,
            };
            Dictionary<string, string> settings = new() { ["TLOG_INTAKE_BYTES"] = "2097152", ["TLOG_PUBLISH_GAP_MS"] = "50" };
            await using Network network = await Network.CreateAsync(scratch, witnesses: 3, quorum: 2, settings, shape);
            await network.StartLogAsync();
            await network.ReadyAsync();
            Soak soak = new(network, disk, plan, seed, Say);
            try
            {
                using (LogClient first = new(network.LogUrl)) await FirstSegmentAsync(first);
                await soak.RunAsync();
                await CheckAsync(network, soak, minutes is not null);
            }
            catch (Exception failure)
            {
                throw new InvalidOperationException($"seed {seed}: {failure.Message}\nlog: {network.Log.Errors}", failure);
            }

            Assert.True(byzantine.Requests >= Math.Min(3, soak.Kills) && hanging.Requests > 0, $"the bad witnesses were asked {byzantine.Requests} and {hanging.Requests} times");
            Assert.DoesNotContain(soak.Monitor.Notes, note => Encoding.UTF8.GetString(note).Contains(byzantine.KeyName, StringComparison.Ordinal) || Encoding.UTF8.GetString(note).Contains(hanging.KeyName, StringComparison.Ordinal));
            if (disk is not null) Assert.True(soak.Fills > 0, "the disk was never full");
        }
        finally
        {
            if (disk is not null) await disk.DisposeAsync();
        }
    }

    [Fact]
    public async Task Control_a_monitor_that_was_shown_two_logs_of_one_key_finds_the_fork()
    {
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["one"], "--journal-file-bytes", "4194304");
        Scratch.Copy(scratch["one"], scratch["two"]);
        await using RunningProgram first = Programs.Serve(scratch["one"]), second = Programs.Serve(scratch["two"]);
        Uri url = await first.ListeningAsync();
        using LogClient one = new(url), two = new(await second.ListeningAsync());
        using LogReader reader = new(url.ToString());
        await one.AddBatchAsync([[1], [2], [3]]);
        await two.AddBatchAsync([[1], [7]]);
        Assert.True(await one.WaitPublishedAsync(3) && await two.WaitPublishedAsync(2));

        CheckpointMonitor monitor = new(vkey);
        monitor.Saw(await two.GetAsync("checkpoint"));
        monitor.Saw(await one.GetAsync("checkpoint"));
        CheckFailedException joined = await Assert.ThrowsAsync<CheckFailedException>(() => monitor.JoinAsync(reader, TestContext.Current.CancellationToken));
        Assert.StartsWith("FORKED", joined.Message, StringComparison.Ordinal);
        await two.AddAsync([8]);
        Assert.True(await two.WaitPublishedAsync(3));
        byte[] other = await two.GetAsync("checkpoint");
        Assert.StartsWith("FORKED", Assert.Throws<CheckFailedException>(() => monitor.Saw(other)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Control_a_process_that_leaks_is_not_flat()
    {
        Sample[] Life(double megabytes, double descriptors) => [.. Enumerable.Range(0, 300).Select(i => new Sample(120 + (i % 7) + (i * megabytes), 60 + (i % 5) + (int)(i * descriptors)))];
        Assert.Null(ProcessWatch.WhyNotFlat(Life(0.1, 0)));
        Assert.Contains("MB", ProcessWatch.WhyNotFlat(Life(0.6, 0)), StringComparison.Ordinal);
        Assert.Contains("descriptors", ProcessWatch.WhyNotFlat(Life(0, 0.1)), StringComparison.Ordinal);
    }

    /// <summary>Readers have a full tile to ask for from the beginning.</summary>
    private static async Task FirstSegmentAsync(LogClient client)
    {
        AddAnswer answer = await client.AddBatchAsync([.. Enumerable.Range(0, 256).Select(i => Encoding.ASCII.GetBytes($"first {i}"))]);
        Assert.True(answer.IsAcknowledged, answer.ToString());
    }

    private async Task CheckAsync(Network network, Soak soak, bool isLong)
    {
        long start = TimeProvider.System.GetTimestamp();
        await network.ReadyAsync();
        FullCheck check = new(network.VerifierKey);
        foreach (byte[] note in soak.Monitor.Notes) check.Saw(note);
        for (int i = 0; i < network.Witnesses; i++)
        {
            if (await network.CosignedByAsync(i) is string cosigned) check.Saw(Encoding.UTF8.GetBytes(cosigned));
        }

        using LogClient client = new(network.LogUrl);
        using LogReader reader = new(network.LogUrl.ToString());
        long size = await check.RunAsync(client, soak.Acknowledged);
        Assert.True(await soak.Monitor.JoinAsync(reader, CancellationToken.None), "the log does not answer");
        Assert.True(soak.Monitor.Proofs > 10, $"{soak.Monitor.Proofs} consistency proofs were checked");
        Ended remote = await Programs.RunAsync(Programs.Tool, "fsck", network.LogUrl.ToString(), "--policy", network.Policy);
        Assert.True(remote.ExitCode == 0, remote.ToString());
        Ended stopped = await network.Log.StopAsync();
        Assert.True(stopped.ExitCode == 0, stopped.ToString());
        Ended local = await Programs.RunAsync(Programs.Tool, "fsck", network.LogData);
        Assert.True(local.ExitCode == 0, local.ToString());
        TimeSpan took = TimeProvider.System.GetElapsedTime(start);
        Assert.True(took < CheckLimit, $"the check took {took}");

        (string[] notFlat, int judged) = soak.Watch.Judge((int)ProcessWatch.LeastLife.TotalSeconds);
        Assert.True(notFlat.Length == 0, string.Join('\n', notFlat));
        if (isLong && soak.Load >= ProcessWatch.LeastLife * 4) Assert.True(judged >= 2, $"{judged} processes lived long enough to be judged");
        Say(string.Create(CultureInfo.InvariantCulture, $"{soak.Acknowledged.Count} entries acknowledged, all stored; size {size}; {soak.Monitor.Count} checkpoints consistent, {soak.Monitor.Proofs} proofs; {soak.Kills} kills, {soak.Fills} full disks; {judged} processes flat; checked in {took.TotalSeconds:F0} s"));
    }

    private void Say(string line)
    {
        output.WriteLine(line);
        Console.WriteLine($"soak: {line}"); // for tests/long
    }

    private static int? Number(string name) =>
        Environment.GetEnvironmentVariable(name) is string text ? int.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture) : null;
}
