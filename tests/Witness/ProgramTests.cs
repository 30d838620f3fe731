using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using TransparencyLog.Hosting;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>The real program: what it prints, its exit codes, its end.</summary>
[Collection(nameof(Alone))]
public sealed class ProgramTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("tlog-witness").FullName;

    private string Data => Path.Combine(_root, "data");

    private string Logs => Path.Combine(_root, "logs");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private sealed record Ended(int Code, string Output, string Error);

    private static Process Start(params string[] args)
    {
        ProcessStartInfo start = new("dotnet", [Path.Combine(AppContext.BaseDirectory, "tlog-witness.dll"), .. args]) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("TLOG_", StringComparison.Ordinal)).ToArray()) start.Environment.Remove(name);
        return Process.Start(start)!;
    }

    private static async Task<Ended> EndAsync(Process process)
    {
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(30));
        return new Ended(process.ExitCode, await output, await error);
    }

    private static async Task<Ended> RunAsync(params string[] args)
    {
        using Process process = Start(args);
        return await EndAsync(process);
    }

    private static void CheckOneLine(Ended ended, int code, string word)
    {
        Assert.True(ended.Code == code, $"{ended.Code}: {ended.Error}");
        Assert.Equal("", ended.Output);
        Assert.Matches("^tlog-witness: [^\n]+\n$", ended.Error);
        Assert.Contains(word, ended.Error);
    }

    private async Task CreateAsync() => Assert.Equal(0, (await RunAsync("create", "--data", Data, "--name", "witness.example/w1")).Code);

    private async Task<(Process Process, Uri Url)> ServeAsync(params string[] more)
    {
        await File.WriteAllTextAsync(Logs, new TestLog("example.com/program").PolicyLine);
        Process process = Start(["serve", "--data", Data, "--logs", Logs, "--listen", "http://127.0.0.1:0", .. more]);
        string? line = await process.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30));
        Assert.NotNull(line);
        Assert.Matches(@"^listening http://127\.0\.0\.1:[1-9][0-9]*$", line);
        return (process, new Uri(line["listening ".Length..]));
    }

    private static void Terminate(Process process)
    {
        using Process kill = Process.Start("kill", ["-TERM", $"{process.Id}"]);
        kill.WaitForExit();
    }

    [Fact]
    public async Task Create_prints_the_vkeys_and_nothing_else_and_never_a_second_time()
    {
        Ended created = await RunAsync("create", "--data", Data, "--name", "witness.example/w1");
        Assert.Equal((0, ""), (created.Code, created.Error));
        Match match = Regex.Match(created.Output, "^(witness\\.example/w1\\+[0-9a-f]{8}\\+[A-Za-z0-9+/=]+)\n(witness\\.example/w1\\+[0-9a-f]{8}\\+[A-Za-z0-9+/=]+)\n$");
        Assert.True(match.Success, created.Output);
        Assert.Equal([VerifierKey.Ed25519Cosignature, VerifierKey.MlDsa44Cosignature], [TypeOf(match.Groups[1].Value), TypeOf(match.Groups[2].Value)]);
        foreach (string key in new[] { "key.pem", "key-ml-dsa-44.pem" }) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(Data, key)));
        created = await RunAsync("create", "--data", Data + "1", "--name", "witness.example/w1", "--no-ml-dsa");
        Assert.Equal(VerifierKey.Ed25519Cosignature, TypeOf(created.Output.TrimEnd('\n')));
        Assert.False(File.Exists(Path.Combine(Data + "1", "key-ml-dsa-44.pem")));
        Directory.Delete(Data + "1", recursive: true);
        CheckOneLine(await RunAsync("create", "--data", Data, "--name", "witness.example/w1"), 3, "not empty");
        Directory.CreateDirectory(Data + "2");
        await File.WriteAllTextAsync(Path.Combine(Data + "2", "anything"), "");
        CheckOneLine(await RunAsync("create", "--data", Data + "2", "--name", "witness.example/w1"), 3, "anything");
    }

    [Fact]
    public async Task N03_an_operator_accepts_the_clock_of_a_witness_that_was_off_for_40_days()
    {
        await CreateAsync();
        Assert.InRange(Heartbeat.Read(Data)!.Value, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow);
        Heartbeat.Write(Data, DateTimeOffset.UtcNow.AddDays(-40));
        (Process process, Uri url) = await ServeAsync();
        using (process)
        {
            using HttpClient client = new();
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.GetAsync(new Uri(url, "/readyz"))).StatusCode);
            CheckOneLine(await RunAsync("clock", "accept", "--data", Data, "--reason", "it runs"), 3, "stop the witness first");
            Terminate(process);
            Assert.Contains($"tlog-witness clock accept --data {Data} --reason TEXT", (await EndAsync(process)).Error, StringComparison.Ordinal);
        }

        CheckOneLine(await RunAsync("clock", "accept", "--data", Data), 2, "reason");
        CheckOneLine(await RunAsync("clock", "accept", "--data", Data, "--reason", "why", "--origin", "example.com/none"), 2, "example.com/none does not wait");
        Ended accepted = await RunAsync("clock", "accept", "--data", Data, "--reason", "moved to another building");
        Assert.Equal((0, ""), (accepted.Code, accepted.Output));
        Assert.StartsWith("tlog-witness: accepted: the clock says ", accepted.Error, StringComparison.Ordinal);
        Assert.Equal("moved to another building", Assert.Single(ClockAcceptances.Read(Data)).Reason);
        await CheckReadyAsync();
    }

    [Fact]
    public async Task N03_an_operator_lets_the_time_of_an_origin_go_back_that_was_cosigned_a_year_ahead()
    {
        await CreateAsync();
        TestLog log = new("example.com/program");
        await File.WriteAllTextAsync(Logs, log.PolicyLine);
        File.Delete(Path.Combine(Data, Heartbeat.Name));
        FakeTime ahead = new(DateTimeOffset.UtcNow.AddDays(366).ToUnixTimeSeconds());
        WitnessHost host = await WitnessHost.StartAsync(new Settings { Data = Data, Logs = [Logs], Listen = TransparencyLog.Hosting.ListenAddress.Parse("http://127.0.0.1:0"), LogLevel = Microsoft.Extensions.Logging.LogLevel.None }, ahead);
        Assert.Equal(HttpStatusCode.OK, await AddAsync(new Uri(host.Url), log.Request(0, 5)));
        await host.DisposeAsync();
        File.Delete(Path.Combine(Data, Heartbeat.Name));

        (Process process, Uri url) = await ServeAsync();
        using (process)
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, await AddAsync(url, log.Request(5, 9)));
            Terminate(process);
            Assert.Contains("example.com/program until", (await EndAsync(process)).Error, StringComparison.Ordinal);
        }

        Ended accepted = await RunAsync("clock", "accept", "--data", Data, "--reason", "the clock is right again", "--origin", log.Origin);
        Assert.True(accepted.Code == 0 && accepted.Error.EndsWith($"goes back once for 1 of 1 logs that wait: {log.Origin}\n", StringComparison.Ordinal), accepted.Error);
        await CheckReadyAsync(async again => Assert.Equal(HttpStatusCode.OK, await AddAsync(again, log.Request(5, 9))));

        static async Task<HttpStatusCode> AddAsync(Uri to, string body)
        {
            using HttpClient client = new();
            using StringContent content = new(body);
            return (await client.PostAsync(new Uri(to, "/add-checkpoint"), content)).StatusCode;
        }
    }

    private async Task CheckReadyAsync(Func<Uri, Task>? act = null)
    {
        (Process process, Uri url) = await ServeAsync();
        using (process)
        {
            using HttpClient client = new();
            Assert.Equal(HttpStatusCode.OK, (await client.GetAsync(new Uri(url, "/readyz"))).StatusCode);
            if (act is not null) await act(url);
            Terminate(process);
            Assert.Equal(0, (await EndAsync(process)).Code);
        }
    }

    private static byte TypeOf(string vkey)
    {
        Assert.True(VerifierKey.TryParse(System.Text.Encoding.UTF8.GetBytes(vkey), out VerifierKey? key), vkey);
        return key!.SignatureType;
    }

    [Fact]
    public async Task Usage_and_configuration_end_with_2()
    {
        Assert.Equal(2, (await RunAsync()).Code);
        CheckOneLine(await RunAsync("serve", "--nonsense"), 2, "--nonsense");
        CheckOneLine(await RunAsync("create", "--data", Data, "--name", "a b"), 2, "name");
        CheckOneLine(await RunAsync("serve", "--data", Data), 2, "logs is missing");
        Assert.False(Directory.Exists(Data));
        await CreateAsync();
        await File.WriteAllTextAsync(Logs, "# nothing\nlog nonsense\n");
        CheckOneLine(await RunAsync("serve", "--data", Data, "--logs", Logs), 2, "line 2");
        Assert.Equal(0, (await RunAsync("--help")).Code);
        Assert.Equal(0, (await RunAsync("--version")).Code);
    }

    [Fact]
    public async Task State_that_cannot_be_used_ends_with_3_and_C01_names_the_holder()
    {
        await File.WriteAllTextAsync(Logs, new TestLog("example.com/program").PolicyLine);
        CheckOneLine(await RunAsync("serve", "--data", Data, "--logs", Logs), 3, "does not exist");
        Assert.False(Directory.Exists(Data));
        await CreateAsync();
        (Process process, _) = await ServeAsync();
        using (process)
        {
            CheckOneLine(await RunAsync("serve", "--data", Data, "--logs", Logs, "--listen", "http://127.0.0.1:0"), 3, $"in use by process {process.Id}");
            Terminate(process);
            Assert.Equal(0, (await EndAsync(process)).Code);
        }

        // K-12: a key that others may read.
        File.SetUnixFileMode(Path.Combine(Data, "key.pem"), (UnixFileMode)0b110_100_100);
        CheckOneLine(await RunAsync("serve", "--data", Data, "--logs", Logs), 3, "chmod 600");
        File.SetUnixFileMode(Path.Combine(Data, "key.pem"), (UnixFileMode)0b110_000_000);
        // Damage, by name.
        byte[] snapshot = await File.ReadAllBytesAsync(Path.Combine(Data, "snapshot"));
        snapshot[9] ^= 1;
        await File.WriteAllBytesAsync(Path.Combine(Data, "snapshot"), snapshot);
        CheckOneLine(await RunAsync("serve", "--data", Data, "--logs", Logs), 3, "snapshot");
    }

    [Fact]
    public async Task A_port_in_use_ends_with_4()
    {
        await CreateAsync();
        await File.WriteAllTextAsync(Logs, new TestLog("example.com/program").PolicyLine);
        using Socket taken = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        taken.Listen();
        CheckOneLine(await RunAsync("serve", "--data", Data, "--logs", Logs, "--listen", $"http://{taken.LocalEndPoint}", "--config", await ConfigAsync()), 4, "in use");

        async Task<string> ConfigAsync()
        {
            string path = Path.Combine(_root, "appsettings.json");
            await File.WriteAllTextAsync(path, """{"log-level":"None"}""");
            return path;
        }
    }

    [Fact]
    public async Task D20_SIGTERM_under_load_ends_with_0_within_ten_seconds_and_loses_nothing_that_was_answered()
    {
        await CreateAsync();
        TestLog log = new("example.com/program", 130);
        long answered = 0;
        for (int round = 0; round < 3; round++)
        {
            (Process process, Uri url) = await ServeAsync();
            using Process held = process;
            using HttpClient client = new() { BaseAddress = url };
            for (int i = 0; i < 5; i++)
            {
                using HttpResponseMessage response = await client.PostAsync("/add-checkpoint", new StringContent(log.Request(answered, answered + 1)));
                Assert.Equal(HttpStatusCode.OK, response.StatusCode);
                answered++;
            }

            long asked = answered;
            Task load = Task.Run(async () =>
            {
                try
                {
                    while (true)
                    {
                        using HttpResponseMessage response = await client.PostAsync("/add-checkpoint", new StringContent(log.Request(asked, asked + 1)));
                        if (response.StatusCode != HttpStatusCode.OK) return;
                        asked++;
                        Volatile.Write(ref answered, asked);
                    }
                }
                catch (HttpRequestException)
                {
                    // It has gone.
                }
            });
            Terminate(process);
            Ended ended = await EndAsync(process);
            Assert.True(ended.Code == 0, $"{ended.Code}: {ended.Error}");
            Assert.Equal("", ended.Output);
            Assert.DoesNotContain("   at ", ended.Error);
            await load;
            (process, url) = await ServeAsync();
            using Process again = process;
            using HttpClient next = new() { BaseAddress = url };
            using HttpResponseMessage conflict = await next.PostAsync("/add-checkpoint", new StringContent(log.Request(129, 130)));
            long size = long.Parse((await conflict.Content.ReadAsStringAsync()).TrimEnd());
            // One more than was answered may be stored: the answer that the end has cut off.
            Assert.InRange(size, answered, answered + 1);
            answered = size;
            Terminate(process);
            Assert.Equal(0, (await EndAsync(process)).Code);
        }
    }

    [Fact]
    public async Task The_guard_and_the_environment_reach_the_program()
    {
        await CreateAsync();
        (Process process, Uri url) = await ServeAsync("--guard", Path.Combine(_root, "guard"));
        using (process)
        {
            using HttpClient client = new() { BaseAddress = url };
            Assert.Equal("ok\n", await client.GetStringAsync("/healthz"));
            Terminate(process);
            Assert.Equal(0, (await EndAsync(process)).Code);
        }

        // The lock, the row's first file, and the text that keeps older versions out.
        string[] files = [.. Directory.GetFiles(Path.Combine(_root, "guard")).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];
        string name = files[0].Split('.')[0];
        Assert.Equal(64, name.Length);
        Assert.Equal([$"{name}.00000000000000000001.witness", $"{name}.lock", $"{name}.witness"], files);
        CheckOneLine(await RunAsync("serve", "--data", Data, "--logs", Logs, "--listen", "http://127.0.0.1:0"), 3, "--guard");
    }

    [Fact]
    public async Task Evidence_is_sent_again_after_a_kill_in_the_middle_and_not_after_it_has_arrived()
    {
        int posts = 0;
        using ManualResetEventSlim go = new();
        using StubLog hook = new(new Dictionary<string, byte[]>());
        hook.Planted["hook"] = _ =>
        {
            Interlocked.Increment(ref posts);
            go.Wait(TimeSpan.FromSeconds(30));
            return new StubAnswer(200, []);
        };
        await CreateAsync();
        TestLog log = new("example.com/program");
        (Process process, Uri url) = await ServeAsync("--evidence-webhook", $"{hook.Url}/hook");
        using (process)
        {
            using HttpClient client = new();
            foreach ((string body, int status) in (IEnumerable<(string, int)>)[(log.Request(0, 12), 200), (log.Fork(3).Request(12, 12), 422)])
            {
                using HttpResponseMessage answer = await client.PostAsync(new Uri(url, "/add-checkpoint"), new StringContent(body));
                Assert.Equal(status, (int)answer.StatusCode);
            }

            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref posts) == 1, TimeSpan.FromSeconds(30)));

            // The receiver has it and has not said so.
            process.Kill();
            await process.WaitForExitAsync();
        }

        Assert.Empty(Directory.GetFiles(Path.Combine(Data, "evidence"), "*.sent"));
        go.Set();
        for (int start = 0; start < 2; start++)
        {
            (process, _) = await ServeAsync("--evidence-webhook", $"{hook.Url}/hook");
            using (process)
            {
                Assert.True(SpinWait.SpinUntil(() => Directory.GetFiles(Path.Combine(Data, "evidence"), "*.sent").Length == 1, TimeSpan.FromSeconds(30)));
                Terminate(process);
                Assert.Equal(0, (await EndAsync(process)).Code);
            }
        }

        Assert.Equal(2, posts);
    }
}
