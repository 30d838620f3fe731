// A log with witnesses on loopback, each a process of its own, that can be killed and started again on its old port.

using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What a network has that is not the rule.</summary>
internal sealed record NetworkPlan
{
    /// <summary>Where the log's directory is made; otherwise in the scratch directory.</summary>
    public string? LogData { get; init; }

    /// <summary>More arguments for the creation of the log.</summary>
    public IReadOnlyList<string> Create { get; init; } = [];

    /// <summary>Witness lines of the policy, each with its newline, whose witnesses are asked and do not count.</summary>
    public string OutsideQuorum { get; init; } = "";

    /// <summary>Whether log and witnesses have a guard each.</summary>
    public bool Guards { get; init; }

    /// <summary>Where the guards are; otherwise in the scratch directory.</summary>
    public Scratch? GuardScratch { get; init; }

    /// <summary>Lines of other logs in the list of each witness.</summary>
    public string OtherLogs { get; init; } = "";

    /// <summary>Whether standard error of the log and of each witness is a full pipe.</summary>
    public bool FullPipes { get; init; }
}

/// <summary>A log, its witnesses, and the policy that joins them.</summary>
internal sealed partial class Network : IAsyncDisposable
{
    public const int SigStop = 19, SigCont = 18;

    private readonly Scratch _scratch;
    private readonly int[] _ports;
    private readonly RunningProgram?[] _witnesses;
    private readonly Dictionary<string, string> _settings;
    private readonly NetworkPlan _plan;
    private RunningProgram? _log;

    private Network(Scratch scratch, int witnesses, Dictionary<string, string> settings, NetworkPlan plan)
    {
        _scratch = scratch;
        _settings = new(settings);
        _settings.TryAdd("TLOG_WITNESS_REQUESTS_PER_DAY", "86400000"); // our own witnesses; what public ones grant would be a head a second

        // On a busy machine a witness that is well may need longer than the two seconds that a log usually waits.
        _settings.TryAdd("TLOG_WITNESS_TIMEOUT_MS", "10000");
        _settings.TryAdd("TLOG_WITNESS_TOTAL_TIMEOUT_MS", "60000");
        _plan = plan;
        _ports = [.. Enumerable.Range(0, witnesses + 1).Select(_ => Ports.Take())];
        _witnesses = new RunningProgram?[witnesses];
    }

    public string LogData => _plan.LogData ?? _scratch["log"];

    public string Policy => _scratch["policy"];

    public string VerifierKey { get; private set; } = "";

    public int Witnesses => _witnesses.Length;

    public Uri LogUrl => new(UrlOf(_ports[^1]));

    public string WitnessData(int witness) => _scratch[$"witness{witness}"];

    public Uri WitnessUrl(int witness) => new(UrlOf(_ports[witness]));

    public RunningProgram Log => _log ?? throw new InvalidOperationException("the log does not run");

    public RunningProgram Witness(int witness) => _witnesses[witness] ?? throw new InvalidOperationException("the witness does not run");

    /// <summary>Creates the log and its witnesses, writes the policy, starts the witnesses; the log is started by the test.</summary>
    public static async Task<Network> CreateAsync(Scratch scratch, int witnesses, int quorum, Dictionary<string, string>? settings = null, NetworkPlan? plan = null)
    {
        Network network = new(scratch, witnesses, settings ?? [], plan ?? new NetworkPlan());
        network.VerifierKey = await Programs.CreateLogAsync(network.LogData, [.. network._plan.Create]);
        await File.WriteAllTextAsync(scratch["logs"], $"log {network.VerifierKey}\n{network._plan.OtherLogs}");
        StringBuilder policy = new();
        policy.Append(CultureInfo.InvariantCulture, $"log {network.VerifierKey}\n");
        for (int i = 0; i < witnesses; i++)
        {
            // Two keys, one witness: it counts once.
            string[] vkeys = await Programs.CreateWitnessAsync(network.WitnessData(i), $"witness.example/w{i}");
            await network.StartFirstAsync(i);
            policy.Append(CultureInfo.InvariantCulture, $"witness w{i} {vkeys[0]} {UrlOf(network._ports[i])}\nwitness w{i}-ml-dsa-44 {vkeys[1]} {UrlOf(network._ports[i])}\ngroup g{i} any w{i} w{i}-ml-dsa-44\n");
        }

        policy.Append(network._plan.OutsideQuorum);
        policy.Append(CultureInfo.InvariantCulture, $"group all {quorum} {string.Join(' ', Enumerable.Range(0, witnesses).Select(i => $"g{i}"))}\nquorum all\n");
        await File.WriteAllTextAsync(network.Policy, policy.ToString());
        return network;
    }

    public async Task StartLogAsync(params string[] more)
    {
        _log = Start("log", Programs.Server, ["serve", "--data", LogData, "--listen", UrlOf(_ports[^1]), "--policy", Policy, .. GuardOf("log"), .. more], _settings);
        await _log.ListeningAsync();
    }

    public async Task StartWitnessAsync(int witness)
    {
        _witnesses[witness] = Start(
            $"witness{witness}", Programs.Witness, ["serve", "--data", WitnessData(witness), "--listen", UrlOf(_ports[witness]), "--logs", _scratch["logs"], .. GuardOf("witness")]);
        await Witness(witness).ListeningAsync();
    }

    /// <summary>The first start, before the policy names the port: on another port where a program outside the tests has taken it.</summary>
    private async Task StartFirstAsync(int witness)
    {
        const int Attempts = 5;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                await StartWitnessAsync(witness);
                return;
            }
            catch (InvalidOperationException) when (attempt < Attempts && Witness(witness).Errors.Contains("in use", StringComparison.Ordinal))
            {
                _ports[witness] = Ports.Take();
            }
        }
    }

    private RunningProgram Start(string name, string program, IEnumerable<string> arguments, Dictionary<string, string>? settings = null) =>
        _plan.FullPipes ? FullPipe.Start(_scratch[$"{name}-{Guid.NewGuid():N}"], "2>&3", program, arguments, settings) : RunningProgram.Start(program, arguments, settings);

    private string[] GuardOf(string what) => _plan.Guards ? ["--guard", (_plan.GuardScratch ?? _scratch)[$"{what}-guard"]] : [];

    public async Task KillLogAsync()
    {
        Log.Kill();
        Assert.Equal(Ended.Killed, (await Log.EndAsync()).ExitCode);
    }

    public async Task KillWitnessAsync(int witness)
    {
        Witness(witness).Kill();
        Assert.Equal(Ended.Killed, (await Witness(witness).EndAsync()).ExitCode);
    }

    /// <summary>The newest checkpoint that a witness shows for the log; null when it has none.</summary>
    public async Task<string?> CosignedByAsync(int witness)
    {
        using HttpClient http = new();
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Programs.Origin)));
        using HttpResponseMessage response = await http.GetAsync(new Uri(WitnessUrl(witness), $"/{hash}/checkpoint"));
        return response.StatusCode == HttpStatusCode.OK ? await response.Content.ReadAsStringAsync() : null;
    }

    public async Task ReadyAsync()
    {
        using LogClient client = new(LogUrl);
        bool ready = await Until.TrueAsync(async () => (await client.TryGetAsync("readyz")).Status == HttpStatusCode.OK, Until.Patience);
        Assert.True(ready, $"the log does not become ready:\n{Log.Errors}");
    }

    public static void Signal(RunningProgram program, int signal) => Assert.Equal(0, kill(program.ProcessId, signal));

    /// <summary>Stops every thread of a process; returns when none runs any more, which is a moment after the signal.</summary>
    public static async Task SuspendAsync(RunningProgram program)
    {
        Signal(program, SigStop);
        bool stopped = await Until.TrueAsync(
            () => Task.FromResult(Directory.GetDirectories($"/proc/{program.ProcessId}/task").All(IsStopped)),
            Until.Patience);
        Assert.True(stopped, "the process does not stop");
    }

    private static bool IsStopped(string thread)
    {
        try
        {
            return File.ReadAllText($"{thread}/stat").Split(") ")[^1][0] == 'T';
        }
        catch (IOException)
        {
            return true; // it has ended since they were listed
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (RunningProgram? program in _witnesses.Append(_log))
        {
            if (program is not null) await program.DisposeAsync();
        }
    }

    private static string UrlOf(int port) => $"http://127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}";

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);
}
