using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using TransparencyLog.Client;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>The tool and the log as clients of others: after an nginx with its defaults, over a slow line, with a proxy in the environment, and when a name moves. N-16, N-19, N-21.</summary>
public sealed class ClientNetworkTests : IDisposable
{
    private static readonly string[] Lines = [.. Enumerable.Range(1_000_000, 200_001).Select(number => number.ToString(CultureInfo.InvariantCulture))];

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData("client_max_body_size 100k;")]
    public async Task N19_lines_are_added_through_a_proxy_with_a_limit_of_its_own(string limit)
    {
        if (Nginx.WhyNot is string missing) Assert.Skip(missing);
        await Programs.CreateLogAsync(_scratch["log"]);
        await using RunningProgram log = Programs.Serve(_scratch["log"]);
        await using Nginx nginx = await Nginx.StartAsync(await log.ListeningAsync(), "/log/", limit);
        await File.WriteAllLinesAsync(_scratch["lines"], Lines);
        Ended added = await Programs.RunAsync(Programs.Tool, "add", nginx.Url.ToString(), _scratch["lines"], "--lines");
        Assert.Equal(new Ended(0, string.Concat(Enumerable.Range(0, Lines.Length).Select(index => $"{index}\n")), ""), added);
        Assert.Equal(Lines[^1], (await Programs.RunAsync(Programs.Tool, "get", nginx.Url.ToString(), "200000")).Output.TrimEnd('\n'));
    }

    [Fact]
    public async Task N19_a_line_that_the_proxy_accepts_in_no_batch_is_named()
    {
        if (Nginx.WhyNot is string missing) Assert.Skip(missing);
        await Programs.CreateLogAsync(_scratch["log"]);
        await using RunningProgram log = Programs.Serve(_scratch["log"]);
        await using Nginx nginx = await Nginx.StartAsync(await log.ListeningAsync(), "/", "client_max_body_size 20k;");
        await File.WriteAllTextAsync(_scratch["lines"], $"one\ntwo\n{new string('x', 30_000)}\nfour\n");
        Ended added = await Programs.RunAsync(Programs.Tool, "add", nginx.Url.ToString(), _scratch["lines"], "--lines");
        Assert.Equal((2, "0\n1\n"), (added.ExitCode, added.Output));
        Assert.StartsWith($"tlog: line 3 of {_scratch["lines"]} is too long for this log: {nginx.Url}add-batch answered 413: the request had 30002 bytes and one entry", added.Errors);
    }

    [Fact]
    public async Task N19_a_check_over_a_slow_line_takes_its_time_and_ends_well()
    {
        if (Nginx.WhyNot is string missing) Assert.Skip(missing);
        await Programs.CreateLogAsync(_scratch["log"]);
        await using RunningProgram log = Programs.Serve(_scratch["log"]);
        Uri url = await log.ListeningAsync();
        byte[] bundle = new byte[256 * EntryBundle.EncodedSize(12_000)];
        for (int i = 0, offset = 0; i < 256; i++) offset += EntryBundle.Write(Encoding.ASCII.GetBytes($"{i,12000}"), bundle.AsSpan(offset));
        using (LogReader direct = new(url.ToString()))
        {
            await foreach (long[] indexes in new BatchAppender(direct).AppendAsync(bundle, TestContext.Current.CancellationToken)) Assert.NotEmpty(indexes);
        }

        // 3 MiB at 400 kB/s are 7.7 s: far more than the 3 s after which a silence ends a request.
        await using Nginx nginx = await Nginx.StartAsync(url, "/", "limit_rate 400k;");
        using LogReader reader = new(nginx.Url.ToString(), new LogReaderOptions { AttemptTimeout = TimeSpan.FromSeconds(3) });
        bool isPublished = await Until.TrueAsync(async () => (await reader.ReadUnverifiedCheckpointAsync(default)).Checkpoint.Size == 256, Until.Patience);
        Assert.True(isPublished);
        long started = TimeProvider.System.GetTimestamp();
        Assert.Equal(256, (await RemoteCheck.RunAsync(reader, null, stop: TestContext.Current.CancellationToken)).Checkpoint.Size);
        Assert.True(TimeProvider.System.GetElapsedTime(started) > TimeSpan.FromSeconds(5), "the line was not slow");
    }

    [Fact]
    public async Task N21_a_proxy_of_the_environment_is_not_asked_for_loopback_and_named_when_it_refuses()
    {
        Dictionary<string, string> environment = new() { ["http_proxy"] = "http://127.0.0.1:1", ["no_proxy"] = "" };
        await using Network network = await Network.CreateAsync(_scratch, witnesses: 1, quorum: 1, environment);
        await network.StartLogAsync();
        await File.WriteAllTextAsync(_scratch["entry"], "hello");

        // The log asks its witness in the same environment.
        Assert.Equal(0, (await RunAsync("add", network.LogUrl.ToString(), _scratch["entry"], "--wait", "witnessed")).ExitCode);
        Assert.Equal(new Ended(0, "hello\n", ""), await RunAsync("get", network.LogUrl.ToString(), "0"));
        Assert.Equal(
            new Ended(4, "", "tlog: http://log.test/entry/0 cannot be reached through the proxy http://127.0.0.1:1: the connection was refused\n"), await RunAsync("get", "http://log.test", "0"));

        async Task<Ended> RunAsync(params string[] arguments)
        {
            await using RunningProgram running = RunningProgram.Start(Programs.Tool, arguments, environment);
            return await running.EndAsync();
        }
    }

    /// <summary>The log runs with an /etc/hosts of its own: $1, then the command.</summary>
    private const string WithHosts = "mount --make-rprivate / && mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";

    [Fact]
    public async Task N16_a_witness_whose_name_moves_is_found_while_its_old_address_answers_503()
    {
        await Privileges.RequireAsync("an /etc/hosts of its own");
        using CancellationTokenSource end = new();
        string[] vkeys = await Programs.CreateWitnessAsync(_scratch["witness"], "witness.example/moves");
        string vkey = await Programs.CreateLogAsync(_scratch["log"]);
        await File.WriteAllTextAsync(_scratch["logs"], $"log {vkey}\n");
        (TcpListener old, RunningProgram witness) = await TwoAddressesAsync();
        using TcpListener listener = old;
        await using RunningProgram moved = witness;
        int port = ((IPEndPoint)old.LocalEndpoint).Port, refused = 0;
        Task refusing = RefuseAsync(old, () => Interlocked.Increment(ref refused), end.Token);
        await File.WriteAllTextAsync(_scratch["policy"], $"log {vkey}\nwitness a {vkeys[0]} http://witness.test:{port}\nquorum a\n");
        string others = await File.ReadAllTextAsync("/etc/hosts");
        await File.WriteAllTextAsync(_scratch["hosts"], $"{others}\n127.0.0.1 witness.test\n");
        await using RunningProgram log = RunningProgram.Start(
            "unshare", ["--mount", "sh", "-c", WithHosts, "sh", _scratch["hosts"], Programs.Server, "serve", "--data", _scratch["log"], "--listen", "http://127.0.0.1:0", "--policy", _scratch["policy"]]);
        using LogClient client = new(await log.ListeningAsync());
        Assert.True(await Until.TrueAsync(() => Task.FromResult(Volatile.Read(ref refused) >= 2), Until.Patience), log.Errors);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.TryGetAsync("readyz")).Status);

        // Written in place: the mount is of this file, not of its name.
        await File.WriteAllTextAsync(_scratch["hosts"], $"{others}\n127.0.0.2 witness.test\n");
        Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync("readyz")).Status == HttpStatusCode.OK, 2 * Until.Patience), log.Errors);
        await end.CancelAsync();
        await refusing;
    }

    /// <summary>Something on a port of 127.0.0.1, and the witness on the same port of 127.0.0.2.</summary>
    private async Task<(TcpListener Old, RunningProgram Witness)> TwoAddressesAsync()
    {
        for (int attempt = 1; ; attempt++)
        {
            TcpListener old = new(IPAddress.Loopback, 0);
            old.Start();
            RunningProgram witness = RunningProgram.Start(
                Programs.Witness, ["serve", "--data", _scratch["witness"], "--listen", $"http://127.0.0.2:{((IPEndPoint)old.LocalEndpoint).Port}", "--logs", _scratch["logs"]]);
            if (await witness.ListensAsync() is not null) return (old, witness);
            string errors = witness.Errors;
            await witness.DisposeAsync();
            old.Dispose();
            Assert.True(attempt < 10, errors);
        }
    }

    /// <summary>Answers 503 to every request, on connections that stay open.</summary>
    private static async Task RefuseAsync(TcpListener listener, Action refused, CancellationToken stop)
    {
        List<Task> connections = [];
        try
        {
            while (true) connections.Add(RefuseAsync(await listener.AcceptSocketAsync(stop), refused, stop));
        }
        catch (OperationCanceledException)
        {
            // The test is over.
        }

        await Task.WhenAll(connections);
    }

    private static async Task RefuseAsync(Socket socket, Action refused, CancellationToken stop)
    {
        try
        {
            using NetworkStream stream = new(socket, ownsSocket: true);
            using StreamReader reader = new(stream, Encoding.Latin1);
            while (await ReadRequestAsync(reader, stop))
            {
                refused();
                await stream.WriteAsync("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"u8.ToArray(), stop);
            }
        }
        catch (Exception over) when (over is IOException or OperationCanceledException)
        {
            // The log has closed the connection, or the test is over.
        }
    }

    private static async Task<bool> ReadRequestAsync(StreamReader reader, CancellationToken stop)
    {
        const string Length = "Content-Length: ";
        int length = 0;
        while (await reader.ReadLineAsync(stop) is string line)
        {
            if (line.StartsWith(Length, StringComparison.OrdinalIgnoreCase)) length = int.Parse(line[Length.Length..], CultureInfo.InvariantCulture);
            if (line.Length > 0) continue;
            char[] body = new char[length];
            return await reader.ReadBlockAsync(body, stop) == length;
        }

        return false;
    }
}
