using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Checkpoints on their way to witnesses, with the real programs.</summary>
[Collection(Alone.Name)]
public sealed class FeedingTests
{
    [Fact]
    public async Task G01_G02_G04_G12_two_of_three_and_an_optional_one_are_shown_late_ones_too_beside_one_that_hangs_and_one_that_lies()
    {
        using Scratch scratch = new();
        await using BadWitness hanging = BadWitness.Hanging(), byzantine = BadWitness.Byzantine();
        int port = Ports.Take();
        string url = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}");
        Ended created = await Programs.RunAsync(Programs.Witness, "create", "--data", scratch["optional"], "--name", "witness.example/optional");
        string optional = $"witness optional {created.Output.Split('\n')[0]} {url}\n";
        await using Network network = await Network.CreateAsync(scratch, witnesses: 3, quorum: 2, plan: new NetworkPlan { OutsideQuorum = optional + hanging.PolicyLine + byzantine.PolicyLine });
        await using RunningProgram running = RunningProgram.Start(Programs.Witness, ["serve", "--data", scratch["optional"], "--listen", url, "--logs", scratch["logs"]]);
        await running.ListeningAsync();
        await network.StartLogAsync();
        await network.ReadyAsync();
        using LogClient client = new(network.LogUrl);
        await AddAsync(client, "with all");
        Assert.True(await Until.TrueAsync(async () => await SignersAsync(client) is ["w0", "w1", "w2", "optional"], Until.Patience), network.Log.Errors);

        // One of three is dead: the others are enough. It comes back, and its line comes late to the checkpoint that is public.
        await network.KillWitnessAsync(2);
        for (int i = 0; i < 3; i++) await AddAsync(client, $"without {i}");
        Assert.True(await Until.TrueAsync(async () => await SignersAsync(client) is ["w0", "w1", "optional"], Until.Patience), network.Log.Errors);
        Assert.Equal("4", Encoding.UTF8.GetString(await client.GetAsync("checkpoint")).Split('\n')[1]);
        await network.StartWitnessAsync(2);
        Assert.True(await Until.TrueAsync(async () => await SignersAsync(client) is ["w0", "w1", "w2", "optional"], Until.Patience), network.Log.Errors);
        Assert.Equal("4", Encoding.UTF8.GetString(await client.GetAsync("checkpoint")).Split('\n')[1]);

        Assert.InRange(hanging.Requests, 1, 1_000);
        Assert.InRange(byzantine.Requests, 1, 1_000);
        using JsonDocument status = JsonDocument.Parse(await client.GetAsync("status"));
        Assert.Equal(
            ["w0 True well", "w1 True well", "w2 True well", "optional False well"],
            status.RootElement.GetProperty("witnesses").EnumerateArray().Take(4).Select(one => $"{one.GetProperty("names")[0].GetString()} {one.GetProperty("required").GetBoolean()} {one.GetProperty("condition").GetString()}"));
        Assert.Equal([false, false], status.RootElement.GetProperty("witnesses").EnumerateArray().Skip(4).Select(one => one.GetProperty("required").GetBoolean()));
    }

    [Fact]
    public async Task Tlog_feed_brings_a_log_that_asks_nobody_to_its_witnesses_and_tells_when_it_has_gone_back()
    {
        using Scratch scratch = new();
        await using Network network = await Network.CreateAsync(scratch, witnesses: 2, quorum: 2);
        await using RunningProgram log = Programs.Serve(network.LogData);
        Uri url = await log.ListeningAsync();
        using LogClient client = new(url);
        await client.AddAsync("one"u8.ToArray(), "?wait=published");
        string cosigned = scratch["cosigned"];
        Ended fed = await FeedAsync(url, network, cosigned);
        Assert.True(fed.ExitCode == 0, fed.ToString());
        Assert.Equal(await network.CosignedByAsync(0), Without(await File.ReadAllTextAsync(cosigned), "witness.example/w1"));
        Assert.Single(Encoding.UTF8.GetString(await client.GetAsync("checkpoint")).Split('\n'), line => line.StartsWith('\u2014'));

        // A copy of now; then the log goes on, and is fed.
        Ended copied = await Programs.RunAsync(Programs.Tool, "backup", network.LogData, scratch["backup"]);
        Assert.True(copied.ExitCode == 0, copied.ToString());
        for (int i = 0; i < 300; i++) await client.AddAsync(Encoding.UTF8.GetBytes($"more {i}"));
        await client.WaitPublishedAsync(301);
        fed = await FeedAsync(url, network, cosigned);
        Assert.True(fed.ExitCode == 0, fed.ToString());
        Assert.Equal("301", (await network.CosignedByAsync(1))!.Split('\n')[1]);

        // The copy is what readers would see after a rollback.
        Assert.Equal(0, (await log.StopAsync()).ExitCode);
        Ended restored = await Programs.RunAsync(Programs.Tool, "restore", scratch["backup"], scratch["restored"], "--key", Path.Combine(network.LogData, "key.pem"));
        Assert.True(restored.ExitCode == 0, restored.ToString());
        await using RunningProgram older = Programs.Serve(scratch["restored"]);
        fed = await FeedAsync(await older.ListeningAsync(), network, scratch["never"]);
        Assert.Equal(1, fed.ExitCode);
        Assert.Contains("CONTRADICTION", fed.Errors);
        Assert.Contains("it has cosigned size 301, and the log shows 1", fed.Errors);
        Assert.False(File.Exists(scratch["never"]));
    }

    private static Task<Ended> FeedAsync(Uri url, Network network, string to) =>
        Programs.RunAsync(Programs.Tool, "feed", url.AbsoluteUri, "--policy", network.Policy, "--once", "--wait", "5", "--out", to);

    private static string Without(string note, string signer) =>
        string.Concat(note.Split('\n').Where(line => !line.StartsWith($"\u2014 {signer} ", StringComparison.Ordinal)).Select(line => line + "\n"))[..^1];

    private static async Task AddAsync(LogClient client, string entry)
    {
        AddAnswer answer = await client.AddAsync(Encoding.UTF8.GetBytes(entry), "?wait=witnessed");
        Assert.True(answer.Status == HttpStatusCode.OK, answer.ToString());
    }

    /// <summary>Who has cosigned the public checkpoint, by the last part of the key name.</summary>
    private static async Task<string[]> SignersAsync(LogClient client) =>
        [.. Encoding.UTF8.GetString(await client.GetAsync("checkpoint")).Split('\n').Where(line => line.StartsWith("\u2014 witness.example/", StringComparison.Ordinal)).Select(line => line.Split(' ')[1].Split('/')[1]).Distinct()];
}
