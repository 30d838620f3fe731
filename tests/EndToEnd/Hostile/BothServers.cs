using System.Globalization;
using System.Net;
using System.Text;
using TransparencyLog.Tests.Witness;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>One of the two servers, running, and what is asked of it.</summary>
/// <param name="Name">log or witness.</param>
/// <param name="Url">Where it listens.</param>
/// <param name="Program">The process.</param>
/// <param name="Words">What the table's words stand for here.</param>
internal sealed record HostileTarget(string Name, Uri Url, RunningProgram Program, RequestWords Words)
{
    public async Task<RawAnswer> GetAsync(string target, string headers = "")
    {
        using RawConnection connection = await RawConnection.OpenAsync(Url);
        await connection.SendAsync($"GET {target} HTTP/1.1\r\nHost: {Url.Authority}\r\nConnection: close\r\n{headers}\r\n");
        return await connection.ReceiveAsync() ?? throw new CheckFailedException($"{Name}: no answer to GET {target}");
    }
}

/// <summary>A log of 300 entries and a witness that has cosigned a tree of 5, as processes; every request to either may be repeated without changing it.</summary>
internal sealed class BothServers : IAsyncDisposable
{
    public const int Entries = 300;

    private readonly Scratch _scratch = new();

    public HostileTarget Log { get; private set; } = null!; // set by starting

    public HostileTarget Witness { get; private set; } = null!;

    /// <summary>The log that the witness witnesses: not the one beside it.</summary>
    public TestLog Witnessed { get; } = new("example.com/witnessed", 10);

    public string VerifierKey { get; private set; } = "";

    public IReadOnlyList<HostileTarget> Both => [Log, Witness];

    public string this[string name] => _scratch[name];

    /// <param name="log">Settings of the log, as environment variables.</param>
    /// <param name="witness">Settings of the witness.</param>
    /// <param name="start">Starts a program in another way, say under a tracer.</param>
    /// <param name="moreLogs">Further lines of the witness's list of logs.</param>
    public static async Task<BothServers> StartAsync(
        Dictionary<string, string>? log = null, Dictionary<string, string>? witness = null, Func<Scratch, string, string[], IReadOnlyDictionary<string, string>?, RunningProgram>? start = null, string moreLogs = "")
    {
        BothServers servers = new();
        try
        {
            await servers.StartThemAsync(log, witness, start ?? ((_, program, arguments, environment) => RunningProgram.Start(program, arguments, environment)), moreLogs);
            return servers;
        }
        catch
        {
            await servers.DisposeAsync();
            throw;
        }
    }

    private async Task StartThemAsync(
        Dictionary<string, string>? log, Dictionary<string, string>? witness, Func<Scratch, string, string[], IReadOnlyDictionary<string, string>?, RunningProgram> start, string moreLogs)
    {
        VerifierKey = await Programs.CreateLogAsync(_scratch["log"], "--journal-file-bytes", "4194304");
        Ended created = await Programs.RunAsync(Programs.Witness, "create", "--data", _scratch["witness"], "--name", "witness.example/w1");
        Assert.True(created.ExitCode == 0, created.ToString());
        await File.WriteAllTextAsync(_scratch["logs"], Witnessed.PolicyLine + moreLogs);

        RunningProgram serving = start(_scratch, Programs.Server, ["serve", "--data", _scratch["log"], "--listen", "http://127.0.0.1:0"], log);
        Log = new HostileTarget("log", new Uri("http://127.0.0.1:0"), serving, new RequestWords("/checkpoint", "/add", "", "hello"u8.ToArray()));
        RunningProgram witnessing = start(_scratch, Programs.Witness, ["serve", "--data", _scratch["witness"], "--listen", "http://127.0.0.1:0", "--logs", _scratch["logs"]], witness);
        Witness = new HostileTarget("witness", new Uri("http://127.0.0.1:0"), witnessing, new RequestWords(Witnessed.MonitorPath, "/add-checkpoint", "", Encoding.UTF8.GetBytes(Witnessed.Request(5, 5))));
        Log = Listening(Log, await serving.ListeningAsync());
        Witness = Listening(Witness, await witnessing.ListeningAsync());

        using LogClient client = new(Log.Url);
        AddAnswer added = await client.AddBatchAsync([.. Enumerable.Range(0, Entries).Select(i => i == 0 ? "hello"u8.ToArray() : Encoding.ASCII.GetBytes($"entry {i}"))]);
        Assert.True(added.IsAcknowledged && await client.WaitPublishedAsync(Entries), added.ToString());
        using HttpClient http = new();
        using HttpResponseMessage cosigned = await http.PostAsync(new Uri(Witness.Url, "/add-checkpoint"), new StringContent(Witnessed.Request(0, 5)));
        Assert.Equal(HttpStatusCode.OK, cosigned.StatusCode);
    }

    /// <summary>What both have stored, in words: the same before and after whatever changes nothing. An entry that is sent again is a duplicate, a checkpoint a refresh.</summary>
    public async Task<string> StateAsync()
    {
        string log = (await Log.GetAsync("/checkpoint")).Text;
        string[] shown = (await Witness.GetAsync(Witnessed.MonitorPath)).Text.Split('\n');
        return string.Create(CultureInfo.InvariantCulture, $"{log}\n{string.Join('\n', shown.Take(3))}\n{shown.Length} lines");
    }

    public async ValueTask DisposeAsync()
    {
        if (Log is not null) await Log.Program.DisposeAsync();
        if (Witness is not null) await Witness.Program.DisposeAsync();
        _scratch.Dispose();
    }

    private static HostileTarget Listening(HostileTarget target, Uri url) => target with { Url = url, Words = target.Words with { Host = url.Authority } };
}
