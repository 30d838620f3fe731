using System.Net;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>R-05, with the real programs: two logs with one key and other entries, and one witness of both.</summary>
[Collection(Alone.Name)]
public sealed class SplitViewTests
{
    [Fact]
    public async Task R05_CP14_a_second_log_with_the_same_key_is_refused_and_the_evidence_convinces_with_the_vkey_alone()
    {
        using Scratch scratch = new();
        await using Network network = await Network.CreateAsync(scratch, witnesses: 1, quorum: 1);
        await network.StartLogAsync();
        await network.ReadyAsync();
        using LogClient first = new(network.LogUrl);
        for (int i = 0; i < 5; i++) Assert.Equal(HttpStatusCode.OK, (await first.AddAsync(Encoding.ASCII.GetBytes($"first {i}"), "?wait=witnessed")).Status);
        string witnessed = (await network.CosignedByAsync(0))!;

        // The second log, which asks no witness, and whose operator then shows its tree to one.
        string other = scratch["other"];
        Assert.Equal(network.VerifierKey, await Programs.CreateLogAsync(other, "--key", Path.Combine(network.LogData, "key.pem")));
        byte[] body;
        await using (RunningProgram second = Programs.Serve(other))
        {
            using LogClient client = new(await second.ListeningAsync());
            for (int i = 0; i < 7; i++) Assert.Equal(HttpStatusCode.OK, (await client.AddAsync(Encoding.ASCII.GetBytes($"second {i}"), "?wait=published")).Status);
            body = [.. "old 5\n"u8, .. await client.GetAsync("proof/consistency?from=5&to=7"), .. "\n"u8, .. await client.GetAsync("checkpoint")];
            Assert.Equal(0, (await second.StopAsync()).ExitCode);
        }

        using (HttpClient http = new())
        {
            using HttpResponseMessage answer = await http.PostAsync(new Uri(network.WitnessUrl(0), "/add-checkpoint"), new ByteArrayContent(body));
            Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
            Assert.Contains("tlog_evidence_files{kind=\"inconsistent\"} 1\n", await http.GetStringAsync(new Uri(network.WitnessUrl(0), "/metrics")));
        }

        Assert.Equal(witnessed, await network.CosignedByAsync(0));
        string file = Assert.Single(Directory.GetFiles(Path.Combine(network.WitnessData(0), "evidence"), "*.tlog-evidence"));
        await VerifyAsync(file, network, scratch);

        // Nothing can be changed in it, nor is it another log's.
        byte[] bytes = await File.ReadAllBytesAsync(file);
        string changed = scratch["changed"];
        for (int at = 0; at < bytes.Length; at += 53)
        {
            await File.WriteAllBytesAsync(changed, [.. bytes.AsSpan(0, at), (byte)(bytes[at] ^ 1), .. bytes.AsSpan(at + 1)]);
            Assert.Equal(1, (await Programs.RunAsync(Programs.Tool, "evidence", "verify", changed, "--vkey", network.VerifierKey)).ExitCode);
        }

        string foreign = await Programs.CreateLogAsync(scratch["foreign"]);
        Assert.Equal(1, (await Programs.RunAsync(Programs.Tool, "evidence", "verify", file, "--vkey", foreign)).ExitCode);

        // The second log in honest hands: it is told of a smaller size, shows its proof, is refused, and finds its own signature on another tree.
        await using (RunningProgram second = Programs.Serve(other, null, "--policy", network.Policy))
        {
            using LogClient client = new(await second.ListeningAsync());
            Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync("healthz")).Status == HttpStatusCode.ServiceUnavailable && File.Exists(Path.Combine(other, "halted")), Until.Patience), second.Errors);
            Assert.Contains("with this log's signature", await File.ReadAllTextAsync(Path.Combine(other, "halted")));
            await VerifyAsync(Assert.Single(Directory.GetFiles(Path.Combine(other, "evidence"), "*.tlog-evidence")), network, scratch);
            Assert.Equal(0, (await second.StopAsync()).ExitCode);
        }

        // The first goes on.
        Assert.Equal(HttpStatusCode.OK, (await first.AddAsync("first 5"u8.ToArray(), "?wait=witnessed")).Status);
    }

    private static async Task VerifyAsync(string file, Network network, Scratch scratch)
    {
        string policy = scratch["log-policy"];
        await File.WriteAllTextAsync(policy, $"log {network.VerifierKey}\nquorum none\n");
        foreach (string[] trust in (string[][])[["--vkey", network.VerifierKey], ["--policy", policy]])
        {
            Ended verified = await Programs.RunAsync(Programs.Tool, ["evidence", "verify", file, .. trust]);
            Assert.True(verified.ExitCode == 0, verified.ToString());
            Assert.StartsWith($"kind inconsistent\norigin {Programs.Origin}\nsize 5\n", verified.Output);
            Assert.Contains("\nsize 7\n", verified.Output);
        }
    }
}
