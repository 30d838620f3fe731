using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// tests/long load runs for 10 minutes with 1,500 slow readers of each large answer (DEVTLOG_LOAD_MINUTES); without it some 10 s with 40. DEVTLOG_LOAD_SEED repeats the order of
/// the answers.
/// </summary>
[Collection(Alone.Name)]
public sealed class LoadTests(ITestOutputHelper output)
{
    /// <summary>With each log of the list of the witness its answers grow: as many as it may have.</summary>
    private const int OtherLogs = 4095;

    [Fact]
    public async Task N02_N04_N06_N07_N18_at_full_load_nothing_is_lost_and_publication_goes_on_whoever_lies_reads_slowly_or_does_not_read()
    {
        int? minutes = Number("DEVTLOG_LOAD_MINUTES");
        LoadPlan plan = minutes is int long_
            ? new() { Time = TimeSpan.FromMinutes(long_), Readers = 1500, Hold = TimeSpan.FromSeconds(20), Line = TimeSpan.FromSeconds(30), Seed = Number("DEVTLOG_LOAD_SEED") ?? Random.Shared.Next() }
            : new() { Time = TimeSpan.FromSeconds(10), Readers = 40, Hold = TimeSpan.FromSeconds(1), Line = TimeSpan.FromSeconds(5), Seed = Number("DEVTLOG_LOAD_SEED") ?? Random.Shared.Next() };
        using Scratch disk = new(onDisk: true), memory = new();
        await using BadWitness lying = BadWitness.Lying();
        NetworkPlan shape = new()
        {
            OutsideQuorum = lying.PolicyLine,
            Guards = true,
            GuardScratch = memory,
            OtherLogs = string.Concat(Enumerable.Range(1, OtherLogs).Select(i => new Tests.Witness.TestLog(string.Create(CultureInfo.InvariantCulture, $"example.com/log{i}"), 1).PolicyLine)),
            FullPipes = true,
        };
        await using Network network = await Network.CreateAsync(disk, witnesses: 1, quorum: 1, plan: shape);
        await network.StartLogAsync();
        string where = await FileSystemAsync(disk["witness0"]), guards = await FileSystemAsync(memory["witness-guard"]);
        Say(string.Create(CultureInfo.InvariantCulture, $"seed {plan.Seed}; {plan.Time.TotalMinutes:F1} minutes under load, {plan.Readers} slow readers of each large answer; data on {where}, guards on {guards}{(where == guards ? ": this machine has no other file system to write to" : "")}"));
        using LogClient client = new(network.LogUrl);
        bool ready = await Until.TrueAsync(async () => (await client.TryGetAsync("readyz")).Status == HttpStatusCode.OK, Until.Patience);
        Assert.True(ready, "the log does not become ready");

        Load load = new(network, plan, Say);
        await load.FillAsync();
        await load.RunAsync();
        Assert.True(await client.WaitPublishedAsync(load.Acknowledged.End), "what was acknowledged is not published");
        load.Monitor.Saw(await client.GetAsync("checkpoint"));

        await HealthyAsync(network.LogUrl);
        await HealthyAsync(network.WitnessUrl(0));
        using JsonDocument status = JsonDocument.Parse(await client.GetAsync("status"));
        Assert.Equal(JsonValueKind.Null, status.RootElement.GetProperty("held").ValueKind);
        JsonElement[] witnesses = [.. status.RootElement.GetProperty("witnesses").EnumerateArray()];
        Assert.Equal("well", ConditionOf("w0"));
        Assert.Equal("contradicting", ConditionOf("lying"));
        Assert.True(lying.Requests > 0);
        Assert.DoesNotContain(load.Monitor.Notes, note => Encoding.UTF8.GetString(note).Contains(lying.KeyName, StringComparison.Ordinal));
        Assert.True(load.LargestGap < Until.Patience, $"the public checkpoint did not grow for {load.LargestGap}");
        Assert.True(load.Monitor.Proofs > 5, $"{load.Monitor.Proofs} consistency proofs were checked");

        long found = await StreamedCheck.RunAsync(client, load.Acknowledged, load.Monitor.Notes);
        Assert.Equal(load.Acknowledged.Count, found);
        string[] dropped = [await DroppedAsync(network.LogUrl), await DroppedAsync(network.WitnessUrl(0))];
        load.Settle();
        foreach (string line in load.Readers.OrderBy(reader => reader.Key, StringComparer.Ordinal).Select(reader => string.Create(CultureInfo.InvariantCulture, $"slow readers of {reader.Key} {reader.Value}"))) Say(line);
        Assert.All(Load.Answers, answer => Assert.True(load.Readers.GetValueOrDefault($"{answer.Server} {answer.Path}: {Flood.Kept}") > 0, $"nobody read {answer.Path} of the {answer.Server} slowly"));

        Ended remote = await Programs.RunAsync(Programs.Tool, "fsck", network.LogUrl.ToString(), "--policy", network.Policy);
        Assert.True(remote.ExitCode == 0, remote.ToString());
        foreach (RunningProgram program in (RunningProgram[])[network.Log, network.Witness(0)])
        {
            Ended stopped = await program.StopAsync();
            Assert.True(stopped.ExitCode == 0, stopped.ToString());
        }

        Ended local = await Programs.RunAsync(Programs.Tool, "fsck", network.LogData);
        Assert.True(local.ExitCode == 0, local.ToString());
        Say(string.Create(CultureInfo.InvariantCulture, $"{found} entries acknowledged, all at their index; {load.Refused} retries, {load.Unanswered} appends without an answer; {load.Monitor.Count} checkpoints consistent, {load.Monitor.Proofs} proofs, largest gap {load.LargestGap.TotalSeconds:F1} s"));
        Say($"log {load.OfLog}; witness {load.OfWitness}; lines dropped: log {dropped[0]}, witness {dropped[1]}; the lying witness was asked {lying.Requests.ToString(CultureInfo.InvariantCulture)} times");
        Assert.True(load.OfWitness.Peak < MostMegabytes, $"witness: {load.OfWitness}");
        Assert.True(load.OfLog.Peak < MostMegabytes, $"log: {load.OfLog}");

        string? ConditionOf(string name) => witnesses.Single(witness => witness.GetProperty("names").EnumerateArray().Any(one => one.GetString() == name)).GetProperty("condition").GetString();
    }

    /// <summary>Everything together: what slow readers hold, what writers have under way, and the caches. Ten minutes on two cores took 538 (spec/results).</summary>
    private const double MostMegabytes = 600;

    private static async Task HealthyAsync(Uri server)
    {
        using HttpClient http = new();
        foreach (string path in (string[])["/healthz", "/readyz"])
        {
            using HttpResponseMessage answer = await http.GetAsync(new Uri(server, path));
            Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{server}{path}: {await answer.Content.ReadAsStringAsync()}");
        }
    }

    private static async Task<string> DroppedAsync(Uri server)
    {
        const string Name = "tlog_log_lines_dropped_total ";
        using HttpClient http = new();
        string metrics = await http.GetStringAsync(new Uri(server, "/metrics"));
        return metrics.Split('\n').Single(line => line.StartsWith(Name, StringComparison.Ordinal))[Name.Length..];
    }

    private static async Task<string> FileSystemAsync(string path)
    {
        Ended ended = await Programs.RunAsync("stat", "-f", "-c", "%T (%i)", path);
        return ended.ExitCode == 0 ? ended.Output.TrimEnd() : throw new InvalidOperationException(ended.ToString());
    }

    private void Say(string line)
    {
        output.WriteLine(line);
        Console.WriteLine($"load: {line}"); // for tests/long
    }

    private static int? Number(string name) =>
        Environment.GetEnvironmentVariable(name) is string text ? int.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture) : null;
}
