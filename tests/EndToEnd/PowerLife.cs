// The life of a log on a disk that loses its power again and again. Each round: a load, a cut at a random moment, the programs killed, the disk
// mounted again, `tlog fsck` of the directory as it was found, the programs started again, FullCheck. The programs that pass the check of one
// round are those of the next: what is recovered is never made anew, so recovery after recovery is seen.

using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>How a life is lived.</summary>
/// <param name="Seed">Of its random choices.</param>
/// <param name="Witnessed">Whether there is a witness on the same disk, without whom nothing is published, and guards for both.</param>
/// <param name="Lies">For the control: the log's syncs do nothing.</param>
internal sealed record LifeStyle(int Seed, bool Witnessed, bool Lies);

internal sealed class PowerLife : IAsyncDisposable
{
    /// <summary>7 KB entries, 290 of them, fill half of the smallest journal file: two batches make a new file.</summary>
    private const int LargeEntry = 7200, LargeBatch = 290, LargeBatches = 5;

    private const int Producers = 3, SmallBatch = 32;

    /// <summary>Entries acknowledged before the time to the cut begins, so that there is something to lose.</summary>
    private const int LeastPromised = 10;

    private readonly PowerDisk _disk;
    private readonly LifeStyle _style;
    private readonly Random _random;
    private readonly string _policy, _logs;
    private readonly int _witnessPort = Ports.Take();
    private readonly HashSet<string> _told = new(StringComparer.Ordinal);
    private Observed _observed = new();
    private FullCheck? _check;
    private RunningProgram? _log, _witness;
    private LogClient? _client;
    private string? _cosigned; // the newest note that the witness has shown
    private int _round;

    private PowerLife(PowerDisk disk, Scratch scratch, string name, LifeStyle style)
    {
        (_disk, _style, _random) = (disk, style, new Random(style.Seed));
        (_policy, _logs) = (scratch[$"{name}.policy"], scratch[$"{name}.logs"]);
    }

    public int Acknowledged => _observed.Acknowledged.Count;

    private string LogData => Path.Combine(_disk.Root, "new/and/below/log");

    private string WitnessData => Path.Combine(_disk.Root, "witness");

    /// <summary>Makes log and witness on an empty disk, and starts them. What `create` has said is there after a loss of power.</summary>
    public static async Task<PowerLife> BeginAsync(PowerDisk disk, Scratch scratch, string name, LifeStyle style)
    {
        PowerLife life = new(disk, scratch, name, style);
        try
        {
            string vkey = await Programs.CreateLogAsync(life.LogData, "--journal-file-bytes", "4194304");
            life._check = new FullCheck(vkey);
            string policy = $"log {vkey}\n";
            await File.WriteAllTextAsync(life._logs, policy);
            if (style.Witnessed)
            {
                Ended created = await Programs.RunAsync(Programs.Witness, "create", "--data", life.WitnessData, "--name", "witness.example/power");
                if (created.ExitCode != 0) throw new CheckFailedException($"REFUSED to create a witness: {created}");
                policy += string.Create(CultureInfo.InvariantCulture, $"witness w {created.Output.Split('\n')[0]} http://127.0.0.1:{life._witnessPort}\nquorum w\n");
            }

            await File.WriteAllTextAsync(life._policy, policy);
            await life.StartAsync();
            return life;
        }
        catch
        {
            await life.DisposeAsync();
            throw;
        }
    }

    /// <summary>One round. Fails with what was lost, or with REFUSED.</summary>
    public async Task RunRoundAsync()
    {
        // The first is short, with enough entries for the first FASTER file; of the others every third makes journal files.
        bool first = _round++ == 0, large = !first && _random.Next(3) == 0;
        int milliseconds = first ? _random.Next(60) : _random.Next(large ? 250 : 180);

        // Some cuts come before anything was promised; not the first, which alone makes a control.
        int promised = first || _random.Next(4) > 0 ? LeastPromised : 0;
        await LoadAndCutAsync(large, promised, TimeSpan.FromMilliseconds(milliseconds), TimeSpan.FromMilliseconds(_random.Next(15)));
        await StopByForceAsync();
        await _disk.UnmountAsync();
        await _disk.MountAsync();
        _observed = new Observed(_observed);
        await FsckAsync();
        await StartAsync();
        await CheckAsync();
    }

    /// <summary>An orderly end, and a last look at what is on the disk.</summary>
    public async Task EndAsync()
    {
        Ended ended = await _log!.StopAsync();
        if (ended.ExitCode != 0) throw new CheckFailedException($"REFUSED to end: {ended}");
        await FsckAsync();
    }

    public async ValueTask DisposeAsync() => await StopByForceAsync();

    private async Task LoadAndCutAsync(bool large, int promised, TimeSpan before, TimeSpan after)
    {
        using CancellationTokenSource stop = new();
        List<Task> work = [.. Enumerable.Range(0, Producers).Select(producer => ProduceAsync($"{_round}.{producer}", 1, int.MaxValue, stop.Token))];
        work.Add(ProduceAsync($"{_round}.batch", SmallBatch, int.MaxValue, stop.Token));
        if (_round == 1) work.Add(ProduceAsync("segment", LargeBatch, 1, stop.Token));
        if (large) work.Add(ProduceAsync($"{_round}.large", LargeBatch, LargeBatches, stop.Token));
        work.Add(WatchAsync(stop.Token));
        int least = _observed.Acknowledged.Count + promised;
        await Until.TrueAsync(() => Task.FromResult(_observed.Acknowledged.Count >= least || _observed.WasRefused), TimeSpan.FromSeconds(10));
        await Task.Delay(before, CancellationToken.None);
        _disk.Cut();

        // A moment without a disk: nothing may be promised any more.
        await Task.Delay(after, CancellationToken.None);
        _log!.Kill();
        _witness?.Kill();
        await stop.CancelAsync();
        await Task.WhenAll(work);
    }

    private async Task ProduceAsync(string name, int entries, int times, CancellationToken stop)
    {
        Random random = new(HashCode.Combine(_style.Seed, name.Length, _round));
        (int size, int spread) = entries == LargeBatch ? (LargeEntry, 1) : (40, 30); // large ones fill a request to the last KB
        for (int i = 0; i < times && !stop.IsCancellationRequested; i++)
        {
            byte[][] batch = [.. Enumerable.Range(0, entries).Select(entry => Encoding.ASCII.GetBytes($"{name} {i} {entry} ".PadRight(size + random.Next(spread), '.')))];
            if (!await _observed.AddAsync(_client!, batch)) return;
        }
    }

    /// <summary>Remembers what log and witness show.</summary>
    private async Task WatchAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            await _observed.LookAsync(_client!);
            if (_witness is not null && await CosignedAsync() is string cosigned) _cosigned = cosigned;
        }
    }

    private async Task StartAsync()
    {
        if (_style.Witnessed)
        {
            _witness = RunningProgram.Start(
                Programs.Witness,
                ["serve", "--data", WitnessData, "--listen", string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_witnessPort}"), "--logs", _logs, "--guard", Path.Combine(_disk.Root, "guards/witness")]);
        }

        string[] more = _style.Witnessed ? ["--policy", _policy, "--guard", Path.Combine(_disk.Root, "guards/log")] : [];
        _log = Programs.Serve(LogData, _style.Lies ? Lying(LogData) : Patient, more);
        if (_witness is not null && await _witness.ListensAsync() is null) throw new CheckFailedException($"REFUSED by the witness: {await _witness.EndAsync()}");
        Uri url = await _log.ListensAsync() ?? throw new CheckFailedException($"REFUSED {await _log.EndAsync()}");
        _client = new LogClient(url);
        bool ready = await Until.TrueAsync(async () => (await _client.TryGetAsync("readyz")).Status == HttpStatusCode.OK, Until.Patience);
        if (!ready) throw new CheckFailedException($"REFUSED: it does not become ready: {_log.Errors}");
    }

    private async Task StopByForceAsync()
    {
        _client?.Dispose();
        _client = null;
        foreach (RunningProgram? program in (RunningProgram?[])[_log, _witness])
        {
            if (program is not null) await program.DisposeAsync();
        }

        (_log, _witness) = (null, null);
    }

    private async Task FsckAsync()
    {
        Ended checkedUp = await Programs.RunAsync(Programs.Tool, "fsck", LogData);
        if (checkedUp.ExitCode != 0) throw new CheckFailedException($"REFUSED by fsck: {checkedUp}");
    }

    private async Task CheckAsync()
    {
        if (_witness is not null && _cosigned is string before)
        {
            // What it has cosigned it remembers: no older size, and a prefix of what the log shows now.
            _check!.Saw(Encoding.UTF8.GetBytes(before));
            string now = await CosignedAsync() ?? throw new CheckFailedException($"LOST: the witness has forgotten size {SizeOf(before)}");
            if (SizeOf(now) < SizeOf(before)) throw new CheckFailedException($"SHRUNK: the witness is at size {SizeOf(now)} and was at {SizeOf(before)}");
        }

        foreach (byte[] checkpoint in _observed.Checkpoints)
        {
            if (_told.Add(Encoding.UTF8.GetString(checkpoint))) _check!.Saw(checkpoint);
        }

        await _check!.RunAsync(_client!, _observed.Acknowledged);
    }

    private async Task<string?> CosignedAsync()
    {
        using LogClient witness = new(new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_witnessPort}")));
        string origin = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Programs.Origin)));
        return await witness.TryGetAsync($"{origin}/checkpoint") is (HttpStatusCode.OK, byte[] note) ? Encoding.UTF8.GetString(note) : null;
    }

    private static long SizeOf(string note) => long.Parse(note.Split('\n')[1], CultureInfo.InvariantCulture);

    /// <summary>The witness is on the same busy disk: its answer may take longer than the two seconds that a log usually waits.</summary>
    private static readonly Dictionary<string, string> Patient = new() { ["TLOG_WITNESS_TIMEOUT_MS"] = "10000", ["TLOG_WITNESS_TOTAL_TIMEOUT_MS"] = "60000" };

    private static Dictionary<string, string> Lying(string directory) => new()
    {
        ["LD_PRELOAD"] = Programs.Shim!,
        ["DEVTLOG_FAULT_PREFIX"] = directory,
        ["DEVTLOG_FAULT_ONLY"] = "sync",
        ["DEVTLOG_FAULT_AT"] = "1",
        ["DEVTLOG_FAULT_REPEAT"] = "all",
        ["DEVTLOG_FAULT_ACTION"] = "lie",
    };
}
