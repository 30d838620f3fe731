using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Both servers after an nginx, with its default settings and with those of spec/operations.md: N-19.</summary>
public sealed partial class ProxyTests
{
    [Fact]
    public async Task N19_links_of_the_pages_stay_under_the_prefix_of_a_proxy()
    {
        if (Nginx.WhyNot is string missing) Assert.Skip(missing);
        await using BothServers servers = await BothServers.StartAsync();
        foreach (HostileTarget target in servers.Both)
        {
            await using Nginx nginx = await Nginx.StartAsync(target.Url, "/some/prefix/");
            using HttpClient http = new();
            string page = await http.GetStringAsync(nginx.Url);
            string[] links = [.. Link().Matches(page).Select(link => link.Groups["target"].Value)];
            Assert.True(links.Length >= 2, page);
            foreach (string link in links)
            {
                Uri resolved = new(nginx.Url, link);
                Assert.True(nginx.Url.IsBaseOf(resolved), $"{target.Name}: {link} leaves {nginx.Url}");
                using HttpResponseMessage answer = await http.GetAsync(resolved);
                Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{target.Name}: {resolved}: {answer.StatusCode}");
            }
        }
    }

    /// <summary>The witness is asked through the proxy too. Each directive of the block that is no default has a control, which is nginx without it.</summary>
    [Fact]
    public async Task N19_the_server_block_of_the_operations_page_serves_log_and_witness()
    {
        if (Nginx.WhyNot is string missing) Assert.Skip(missing);
        using Scratch scratch = new();
        string page = await File.ReadAllTextAsync(Path.Combine(Programs.Root, "spec/operations.md"));
        string documented = Assert.Single(ServerBlock().Matches(page)).Groups["block"].Value;

        string vkey = await Programs.CreateLogAsync(scratch["log"]);
        string witnessKey = (await Programs.CreateWitnessAsync(scratch["witness"], "witness.example/proxied"))[0];
        await File.WriteAllTextAsync(scratch["logs"], $"log {vkey}\n");
        await using RunningProgram witness = RunningProgram.Start(Programs.Witness, ["serve", "--data", scratch["witness"], "--listen", "http://127.0.0.1:0", "--logs", scratch["logs"]]);
        int witnessPort = (await witness.ListeningAsync()).Port, logPort = Ports.Take();
        await using Nginx nginx = await Nginx.StartAsync(port => Block(port));
        Uri logUrl = new(nginx.Url, "log/"), witnessUrl = new(nginx.Url, "witness/");
        await File.WriteAllTextAsync(scratch["policy"], $"log {vkey}\nwitness w {witnessKey} {witnessUrl}\nquorum w\n");
        await using RunningProgram log = RunningProgram.Start(
            Programs.Server, ["serve", "--data", scratch["log"], "--listen", $"http://127.0.0.1:{logPort.ToString(CultureInfo.InvariantCulture)}", "--policy", scratch["policy"], "--wait-limit-ms", "10000"]);
        await log.ListeningAsync();
        using LogClient client = new(logUrl);
        Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync("readyz")).Status == HttpStatusCode.OK, Until.Patience), log.Errors);

        // The largest batch, on to a proof that the policy accepts.
        byte[][] batch = [.. Enumerable.Range(0, 32).Select(number => Enumerable.Repeat((byte)number, EntryBundle.MaxEntrySize - 2).ToArray())];
        AddAnswer added = await client.AddBatchAsync(batch);
        Assert.True(added.IsAcknowledged && await client.WaitPublishedAsync(batch.Length), added.ToString());
        await File.WriteAllBytesAsync(scratch["entry"], batch[31]);
        foreach (string[] command in (string[][])
        [
            ["prove", logUrl.ToString(), "31", "--out", scratch["proof"], "--policy", scratch["policy"]], ["verify", scratch["proof"], "--entry", scratch["entry"], "--policy", scratch["policy"]],
            ["fsck", logUrl.ToString(), "--policy", scratch["policy"]],
        ])
        {
            Ended ended = await Programs.RunAsync(Programs.Tool, command);
            Assert.True(ended.ExitCode == 0, $"{command[0]}: {ended}");
        }

        // The pages are there, the metrics are not.
        using HttpClient http = new() { Timeout = Until.Patience };
        foreach ((Uri proxied, int port) in new[] { (logUrl, logPort), (witnessUrl, witnessPort) })
        {
            Assert.Equal(HttpStatusCode.OK, await StatusAsync(proxied));
            Assert.Equal(HttpStatusCode.NotFound, await StatusAsync(new Uri(proxied, "metrics")));
            Assert.Equal(HttpStatusCode.OK, await StatusAsync(new Uri($"http://127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}/metrics")));
        }

        // Without its limit the batch is refused; 504 comes where the proxy waits for a shorter time than the log.
        await using Nginx small = await Nginx.StartAsync(port => Without(Block(port), "client_max_body_size 2m;"));
        using LogClient smallClient = new(new Uri(small.Url, "log/"));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, (await smallClient.AddBatchAsync(batch)).Status);
        await using Nginx impatient = await Nginx.StartAsync(port => $"proxy_read_timeout 1s; {Without(Block(port), "proxy_read_timeout 90s;")}");
        await witness.StopAsync();
        Assert.Equal(HttpStatusCode.GatewayTimeout, await AddAsync(impatient));
        Assert.Equal(HttpStatusCode.Accepted, await AddAsync(nginx));

        string Block(string port)
        {
            string block = documented;
            foreach ((string from, string to) in new[]
            {
                ("listen 80;", $"listen 127.0.0.1:{port};"),
                ("127.0.0.1:2025", $"127.0.0.1:{logPort.ToString(CultureInfo.InvariantCulture)}"),
                ("127.0.0.1:2026", $"127.0.0.1:{witnessPort.ToString(CultureInfo.InvariantCulture)}"),
            })
            {
                Assert.Equal(2, block.Split(from).Length);
                block = block.Replace(from, to, StringComparison.Ordinal);
            }

            return block;
        }

        static string Without(string block, string directive)
        {
            Assert.Contains(directive, block, StringComparison.Ordinal);
            return block.Replace(directive, "", StringComparison.Ordinal);
        }

        async Task<HttpStatusCode> StatusAsync(Uri url)
        {
            using HttpResponseMessage answer = await http.GetAsync(url);
            return answer.StatusCode;
        }

        async Task<HttpStatusCode> AddAsync(Nginx proxy)
        {
            using HttpResponseMessage answer = await http.PostAsync(new Uri(proxy.Url, "log/add?wait=witnessed"), new ByteArrayContent("hello"u8.ToArray()));
            return answer.StatusCode;
        }
    }

    [GeneratedRegex("```nginx\n(?<block>.*?)```", RegexOptions.Singleline | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex ServerBlock();

    [GeneratedRegex(@"(?:href|src|action)=""(?<target>[^""]*)""", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex Link();
}
