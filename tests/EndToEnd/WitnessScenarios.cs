using System.Globalization;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>A witness, what it has answered so far, and what logs ask of it then.</summary>
/// <param name="Name">In tables.</param>
/// <param name="Template">The folder; beside data and guard it holds the list of logs.</param>
/// <param name="Verifiers">The witness's keys.</param>
/// <param name="Logs">Whom it witnesses.</param>
/// <param name="Before">What it answered before the runs begin.</param>
/// <param name="Work">The clients of one run.</param>
internal sealed record WitnessScenario(
    string Name, string Template, IReadOnlyList<INoteVerifier> Verifiers, IReadOnlyList<FedLog> Logs, Cosigned Before, Func<RunningProgram, WitnessClients, ShimLog, Task> Work) : Scenario(Name, Template)
{
    public override IReadOnlyList<string> Arguments(string folder) => ["--logs", Path.Combine(folder, "logs")];

    public override IClients Begin() => new WitnessClients(this);
}

/// <summary>The scenarios of the witness.</summary>
internal static class WitnessScenarios
{
    /// <summary>Of the large origin: with a name of 255 bytes and 16 keys a note has 9 kB, and 8 MiB of journal are full after some 850 of them.</summary>
    private const int MostKeys = 16, LongestName = 255;

    /// <summary>More than it takes to fill a journal file and to write a snapshot behind it.</summary>
    private const int Leaves = 1700;

    /// <summary>A new witness and a new guard: first and further checkpoints of three origins, together and apart, the same again, and a fork.</summary>
    public static async Task<WitnessScenario> CosignAsync(Scratch scratch, string name = "witness-cosign")
    {
        FedLog[] logs = [.. Enumerable.Range(0, 3).Select(i => new FedLog($"example.com/the-log-number-{i}", 64, 1))];
        return await CreateAsync(scratch, name, logs, CosignAsync);
    }

    /// <summary>A witness that was killed while it wrote a frame.</summary>
    public static async Task<WitnessScenario> RecoveryAsync(Scratch scratch, string name = "witness-recovery")
    {
        WitnessScenario scenario = await CosignAsync(scratch, name);
        WitnessClients clients = new(scenario);
        Dictionary<string, string> tears = Sweep.Shimmed(Path.Combine(Scenario.DataOf(scenario.Template), "journal"), Fault.Named("torn-511").Single(), 8, scenario.Template + ".log");
        tears["DEVTLOG_FAULT_ONLY"] = "write";
        await using RunningProgram witness = scenario.Start(scenario.Template, tears);
        using HttpClient http = new() { BaseAddress = await witness.ListeningAsync() };
        for (int round = 0; round < 3; round++)
        {
            foreach (FedLog log in scenario.Logs) await clients.FeedAsync(http, log);
        }

        Assert.True(clients.WasRefused);
        Assert.Equal(Ended.Killed, (await witness.EndAsync()).ExitCode);
        return scenario with { Before = clients.Cosigned, EndsInOrder = false };
    }

    /// <summary>
    /// Two scenarios of a witness that has worked for a while: two requests before its journal file is full, and two before a snapshot that lets the full
    /// file be removed. Both come about in the run that counts, or this has reckoned wrongly and fails there.
    /// </summary>
    public static async Task<(WitnessScenario Switch, WitnessScenario Snapshot)> LongLivedAsync(Scratch scratch)
    {
        FedLog large = new("example.com/".PadRight(LongestName, 'x'), Leaves, MostKeys), small = new("example.com/the-small-log", 64, 1);
        WitnessScenario fed = await CreateAsync(scratch, "witness-long-lived", [large, small], CosignAsync);
        WitnessClients clients = new(fed);
        int first = await FeedAsync(fed, clients, 1);

        // spec/storage.md: a frame is header, length, entry and trailer in whole sectors; a snapshot comes after half a file of entries.
        const int FileBytes = 8 * 1024 * 1024, Header = 64, Trailer = 8, Sector = 512;
        int EntryBytes(int size) => 2 + first - 1 + size.ToString(CultureInfo.InvariantCulture).Length;
        int switches = 0, snapshots = 0, trims = 0;
        for (int size = 1, frames = 0, entries = 0; trims == 0; size++)
        {
            frames += (Header + EntryBytes(size) + Trailer + Sector - 1) / Sector * Sector;
            if (switches == 0 && frames > FileBytes) switches = size;
            entries += EntryBytes(size);
            if (entries < FileBytes / 2) continue;
            entries = 0;
            if (++snapshots >= 2 && switches > 0) trims = size;
        }

        await FeedAsync(fed, clients, switches - 2);
        WitnessScenario before = Keep("witness-switch", call => call is { Kind: CallKinds.Write, Path: "./data/journal/000000000002" });
        await FeedAsync(fed, clients, trims - 2);
        return (before, Keep("witness-snapshot", call => call is { Kind: CallKinds.Unlink, Path: "./data/journal/000000000001" }));

        WitnessScenario Keep(string name, Predicate<ShimCall> has)
        {
            Scenario.Copy(fed.Template, scratch[name]);
            return fed with { Name = name, Template = scratch[name], Before = new Cosigned(clients.Cosigned), Has = has };
        }
    }

    /// <summary>Checkpoints of the first log one after the other, up to a size. Returns the bytes of its note.</summary>
    private static async Task<int> FeedAsync(WitnessScenario scenario, WitnessClients clients, int size)
    {
        FedLog log = scenario.Logs[0];
        await using RunningProgram witness = scenario.Start(scenario.Template, new Dictionary<string, string> { ["TLOG_WITNESS_LOG_LEVEL"] = "Warning" });
        using HttpClient http = new() { BaseAddress = await witness.ListeningAsync() };
        while (clients.Cosigned[log] < size) Assert.True(await clients.FeedAsync(http, log));
        int note = (await http.GetByteArrayAsync(log.MonitorPath)).Length;
        Assert.Equal(0, (await witness.StopAsync()).ExitCode);
        return note;
    }

    private static async Task<WitnessScenario> CreateAsync(Scratch scratch, string name, FedLog[] logs, Func<RunningProgram, WitnessClients, ShimLog, Task> work)
    {
        string folder = scratch[name];
        string[] created = await Programs.CreateWitnessAsync(Scenario.DataOf(folder), "witness.example.com/w1");
        await File.WriteAllTextAsync(Path.Combine(folder, "logs"), string.Concat(logs.Select(log => log.PolicyLines)));
        INoteVerifier[] verifiers = [.. created.Select(text => VerifierKey.TryParse(Encoding.UTF8.GetBytes(text), out VerifierKey? vkey) ? Verifiers.TryCreate(vkey!)! : throw new InvalidOperationException(text))];
        return new WitnessScenario(name, folder, verifiers, logs, new Cosigned(), work) { Program = Programs.Witness };
    }

    private static async Task CosignAsync(RunningProgram witness, WitnessClients clients, ShimLog log)
    {
        if (await witness.ListensAsync() is not Uri url) return;
        using HttpClient http = new() { BaseAddress = url };
        IReadOnlyList<FedLog> logs = clients.Logs;
        foreach (FedLog one in logs) await clients.FeedAsync(http, one);
        await Task.WhenAll(logs.Select(one => clients.FeedAsync(http, one, 3)));
        await clients.FeedAsync(http, logs[0], 0);
        await clients.ForkAsync(http, logs[^1]);
        foreach (FedLog one in logs) await clients.FeedAsync(http, one, 2);
        await clients.RefusesAsync(http, log);
    }
}
