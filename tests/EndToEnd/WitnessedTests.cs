using System.Globalization;
using System.Net;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What log and witnesses owe each other, with the real programs.</summary>
[Collection(Alone.Name)]
public sealed class WitnessedTests
{
    [Fact]
    public async Task G02_a_hung_witness_leaves_the_latency_of_durable_appends_unchanged_and_publication_goes_on()
    {
        using Scratch scratch = new();
        await using Network network = await Network.CreateAsync(scratch, witnesses: 3, quorum: 2);
        await network.StartLogAsync();
        await network.ReadyAsync();
        using LogClient client = new(network.LogUrl);
        await MedianAsync(client, "warm");
        List<double> ratios = [];
        for (int round = 0; round < 5; round++)
        {
            // Side by side, so that a busy machine slows both.
            double free = await MedianAsync(client, $"free {round}");
            Network.Signal(network.Witness(0), Network.SigStop);
            double hung = await MedianAsync(client, $"hung {round}");
            AddAnswer published = await client.AddAsync(Encoding.ASCII.GetBytes($"published while one hangs {round}"), "?wait=witnessed");
            Network.Signal(network.Witness(0), Network.SigCont);
            Assert.Equal(HttpStatusCode.OK, published.Status);
            ratios.Add(hung / free);
        }

        ratios.Sort();
        Assert.True(ratios[ratios.Count / 2] < 2, $"hung / free: {string.Join(", ", ratios.Select(ratio => ratio.ToString("F2", CultureInfo.InvariantCulture)))}");
    }

    [Fact]
    public async Task TW42_after_a_crash_of_a_witness_the_same_size_is_cosigned_again()
    {
        using Scratch scratch = new();
        await using Network network = await Network.CreateAsync(scratch, witnesses: 1, quorum: 1);
        await network.StartLogAsync();
        await network.ReadyAsync();
        using LogClient client = new(network.LogUrl);
        AddAnswer added = await client.AddAsync("one entry"u8.ToArray(), "?wait=witnessed");
        Assert.Equal(HttpStatusCode.OK, added.Status);
        string before = (await network.CosignedByAsync(0))!;

        // The witness dies with its answer perhaps unsent; the log comes back and offers the same head: old N, no proof.
        await network.KillWitnessAsync(0);
        await network.KillLogAsync();
        await network.StartWitnessAsync(0);
        Assert.Equal(before, await network.CosignedByAsync(0));
        await network.StartLogAsync();
        await network.ReadyAsync();
        string after = (await network.CosignedByAsync(0))!;
        Assert.Equal(before.Split("\n\n")[0], after.Split("\n\n")[0]);
        Assert.Equal(before.Split('\n')[4], after.Split('\n')[4]);
        Assert.Equal("1", Encoding.UTF8.GetString(await client.GetAsync("checkpoint")).Split('\n')[1]);
    }

    [Fact]
    public async Task G07_R01_a_witness_ahead_of_a_restored_log_halts_it_until_an_operator_resumes()
    {
        using Scratch scratch = new();
        await using Network network = await Network.CreateAsync(scratch, witnesses: 1, quorum: 1);
        await network.StartLogAsync();
        await network.ReadyAsync();
        using LogClient client = new(network.LogUrl);
        await AddWitnessedAsync(client, "first");
        Assert.Equal(0, (await network.Log.StopAsync()).ExitCode);
        Scratch.Copy(network.LogData, scratch["backup"]);

        await network.StartLogAsync();
        await network.ReadyAsync();
        await AddWitnessedAsync(client, "second");
        string witnessed = (await network.CosignedByAsync(0))!;
        Assert.Equal(0, (await network.Log.StopAsync()).ExitCode);
        Directory.Delete(network.LogData, recursive: true);
        Scratch.Copy(scratch["backup"], network.LogData);
        File.SetUnixFileMode(Path.Combine(network.LogData, "key.pem"), UnixFileMode.UserRead | UnixFileMode.UserWrite);

        // The older copy: nothing is signed or appended, readers get what it has, and the reason is told.
        await network.StartLogAsync();
        Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync("healthz")).Status == HttpStatusCode.ServiceUnavailable, Until.Patience));
        await network.Log.SaysAsync("has cosigned size 2");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.AddAsync("third"u8.ToArray())).Status);
        Assert.Equal("1", Encoding.UTF8.GetString(await client.GetAsync("checkpoint")).Split('\n')[1]);
        Assert.Equal(0, (await network.Log.StopAsync()).ExitCode);

        // A restart does not forget it; the operator's resume ends the halt, not the evidence: the witness still is ahead.
        await network.StartLogAsync();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.TryGetAsync("readyz")).Status);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.TryGetAsync("healthz")).Status);
        Assert.Equal(0, (await network.Log.StopAsync()).ExitCode);
        Ended resumed = await Programs.RunAsync(Programs.Server, "resume", "--data", network.LogData, "--reason", "a test");
        Assert.True(resumed.ExitCode == 0, resumed.ToString());
        Ended again = await Programs.RunAsync(Programs.Server, "resume", "--data", network.LogData, "--reason", "a test");
        Assert.Equal(3, again.ExitCode);
        await network.StartLogAsync();
        Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync("healthz")).Status == HttpStatusCode.ServiceUnavailable, Until.Patience));
        Assert.Equal(witnessed, await network.CosignedByAsync(0));
    }

    [Fact]
    public async Task G01_without_a_quorum_entries_are_durable_and_nothing_is_published_until_the_witnesses_come_back()
    {
        using Scratch scratch = new();
        await using Network network = await Network.CreateAsync(scratch, witnesses: 2, quorum: 2, new() { ["TLOG_WAIT_LIMIT_MS"] = "300" });
        await network.StartLogAsync();
        await network.ReadyAsync();
        using LogClient client = new(network.LogUrl);
        await AddWitnessedAsync(client, "with both");
        await network.KillWitnessAsync(1);
        AddAnswer waiting = await client.AddAsync("with one"u8.ToArray(), "?wait=published");
        Assert.Equal((HttpStatusCode.Accepted, "1"), (waiting.Status!.Value, waiting.Body));
        Assert.True((await client.AddAsync("another"u8.ToArray())).IsAcknowledged);
        Assert.Equal(1, await client.PublishedSizeAsync());
        await network.StartWitnessAsync(1);
        Assert.True(await client.WaitPublishedAsync(3), network.Log.Errors);
    }

    private static async Task AddWitnessedAsync(LogClient client, string entry)
    {
        AddAnswer answer = await client.AddAsync(Encoding.UTF8.GetBytes(entry), "?wait=witnessed");
        Assert.True(answer.Status == HttpStatusCode.OK, answer.ToString());
    }

    private static async Task<double> MedianAsync(LogClient client, string what)
    {
        const int Samples = 60;
        List<double> times = [];
        for (int i = 0; i < Samples; i++)
        {
            long start = TimeProvider.System.GetTimestamp();
            Assert.True((await client.AddAsync(Encoding.UTF8.GetBytes($"{what} {i}"))).IsAcknowledged);
            times.Add(TimeProvider.System.GetElapsedTime(start).TotalMilliseconds);
        }

        times.Sort();
        return times[Samples / 2];
    }
}
