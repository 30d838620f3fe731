// make bench BEFORE=DIR: two builds of the programs side by side in one run.

using System.Diagnostics;
using System.Text;

namespace TransparencyLog.Bench;

/// <summary>One build of the programs, and all that it serves here.</summary>
internal sealed class Version(string name, string work, string programs) : IDisposable
{
    private readonly Bed _bed = new(Path.Combine(work, name), programs);

    public string Name => name;

    public Served Plain { get; private set; } = null!;

    public Served Guarded { get; private set; } = null!;

    public WitnessOf Ed25519 { get; private set; } = null!;

    public WitnessOf BothKeys { get; private set; } = null!;

    public string PathOf(string what) => _bed.PathOf(what);

    public async Task StartAsync(int logs)
    {
        Directory.CreateDirectory(_bed.PathOf(""));
        Plain = await _bed.LogAsync("plain", Bed.DuplicatesOff);
        Guarded = await _bed.GuardedLogAsync("guarded");
        Ed25519 = await WitnessOf.StartAsync(_bed, "ed25519", logs, "--no-ml-dsa");
        BothKeys = await WitnessOf.StartAsync(_bed, "both-keys", logs);
    }

    /// <summary>A log of so many small entries, closed, to be checked.</summary>
    public async Task FillAsync(long size)
    {
        Served log = await _bed.LogAsync("large", Bed.DuplicatesOff);
        await BatchLoad.FillAsync(log.Url, size, Suite.SmallEntry);
        await log.PublishedAsync(size);
        await log.EndAsync();
    }

    public void Dispose()
    {
        _bed.Dispose();
        Ed25519?.Dispose();
        BothKeys?.Dispose();
    }
}

/// <summary>
/// Publication with and without a guard, a witness with one key and with two, <c>tlog fsck</c>, appends and reads, of the build in <c>bin/</c> and of
/// another. Both take each measurement in turn, the order changes from round to round, and the ratios are made in each round.
/// </summary>
internal sealed class Compare(Options options, string work, string before) : IDisposable
{
    private const int WitnessedLogs = 1000, WitnessConnections = 64;

    private readonly Figures _figures = new();
    private readonly Dictionary<string, List<double>> _latencies = new(StringComparer.Ordinal);
    private readonly Version _before = new("before", work, before), _now = new("now", work, "bin");

    public void Dispose()
    {
        _before.Dispose();
        _now.Dispose();
    }

    public async Task RunAsync()
    {
        long start = Stopwatch.GetTimestamp(), size = options.Millions * 1_000_000L;
        foreach (Version version in (Version[])[_before, _now])
        {
            Progress.Say($"{version.Name}: a log of {options.Millions} million entries, servers, {options.WarmSeconds} s of warming up for each");
            await version.FillAsync(size);
            await version.StartAsync(WitnessedLogs);
            if (options.WarmSeconds > 0) await RoundAsync([version], options.WarmSeconds, measured: false);
        }

        for (int round = 1; round <= options.Rounds; round++)
        {
            Progress.Say($"round {round} of {options.Rounds}");
            Version[] turn = round % 2 == 1 ? [_before, _now] : [_now, _before];
            await RoundAsync(turn, options.Seconds, measured: true);
            foreach (Version version in turn) _figures.Add(version.Name + " fsck", (await Fsck.RunAsync(version.PathOf("large"), Suite.SmallEntry, version == _now ? "bin" : before)).EntriesPerSecond);
            foreach (int keys in (int[])[1, 2]) _figures.Add(Report.Text($"limit {keys}"), Limits.Cosignatures(TimeSpan.FromSeconds(1), keys));
        }

        Report report = new("before");
        Rows(report);
        Console.Write(report.Write(
            await Machine.DescribeAsync(),
            Report.Text($"""
                `make bench BEFORE=DIR`: *ours* is the build in `bin/`, in brackets the cost of the other build. Medians of {options.Rounds} rounds of {options.Seconds} s after {options.WarmSeconds} s of
                warming up, ratios made in each round; generators on the same cores, everything on loopback, data and guard on {await Machine.FileSystemAsync(work)}. {Stopwatch.GetElapsedTime(start).TotalMinutes:F0} minutes, load of the
                machine at the end {Machine.Load()}.
                """)));
    }

    private async Task RoundAsync(Version[] turn, int seconds, bool measured)
    {
        foreach (Version version in turn) await PublishAsync("publish", version, version.Plain, seconds, measured);
        foreach (Version version in turn) await PublishAsync("publish, guard", version, version.Guarded, seconds, measured);
        foreach (Version version in turn) await CosignAsync("Ed25519", version, version.Ed25519, seconds, measured);
        foreach (Version version in turn) await CosignAsync("both keys", version, version.BothKeys, seconds, measured);
        foreach (Version version in turn) await LoadAsync("add", version, () => Wrk.RunAsync(version.Plain.Url, 256, seconds, "bench/add.lua"), measured);
        foreach (string path in (string[])["tile/0/000", "tile/entries/000", "checkpoint"])
        {
            foreach (Version version in turn) await LoadAsync(path, version, () => Wrk.RunAsync(new Uri(version.Plain.Url, path), 64, seconds), measured);
        }
    }

    /// <summary>Ten a second, each published by itself: a percentile needs its hundred.</summary>
    private async Task PublishAsync(string what, Version version, Served log, int seconds, bool measured)
    {
        const int Rate = 10;
        double time = Math.Max(3, 2.5 * seconds);
        Sample start = await log.SampleAsync();
        OpenFigures open = await Suite.Open(log, Rate, time, "?wait=published");
        if (!measured) return;
        Sample used = (await log.SampleAsync()).Since(start);
        string name = $"{version.Name} {what}";
        if (!_latencies.TryGetValue(name, out List<double>? all)) _latencies.Add(name, all = []);
        all.AddRange(open.Milliseconds);
        _figures.Add(name, open.At(50), Cost.Of(used, used.Entries));
        Progress.Say($"  {name}: p50 {open.At(50):F2}, p99 {open.At(99):F2} ms");
    }

    private async Task CosignAsync(string what, Version version, WitnessOf witness, int seconds, bool measured)
    {
        (double rate, Cost cost) = await witness.CosignAsync(WitnessConnections, seconds);
        if (!measured) return;
        string name = $"{version.Name} {what}";
        _figures.Add(name, rate, cost);
        // The share of its own CPU that the machine gave it: the generator signs nothing while it measures, but it runs on the same cores.
        _figures.Add(name + " allows", Environment.ProcessorCount * 1e6 / cost.CpuMicroseconds);
        Progress.Say($"  {name}: {rate:N0} cosignatures/s, {cost.CpuMicroseconds:F0} us");
    }

    private async Task LoadAsync(string what, Version version, Func<Task<(double Rate, long Count)>> load, bool measured)
    {
        Sample start = await version.Plain.SampleAsync();
        (double rate, long count) = await load();
        if (!measured) return;
        Sample used = (await version.Plain.SampleAsync()).Since(start);
        _figures.Add($"{version.Name} {what}", rate, Cost.Of(used, count));
        Progress.Say($"  {version.Name} {what}: {rate:N0}/s, {used.CpuSeconds * 1e6 / count:F1} us");
    }

    private void Rows(Report report)
    {
        Published(report, "POST to published, 10 a second, no quorum", "publish");
        Published(report, "the same, with a guard on the same disk", "publish, guard");
        Witness(report, $"witness, Ed25519 alone, {WitnessedLogs:N0} logs, {WitnessConnections} at once", "Ed25519", 1, 1.2, null);
        Witness(report, "the same, Ed25519 and ML-DSA-44", "both keys", 2, null, 0.6);
        Rate(report, "POST /add, 128 B, durable, 256 connections, duplicates off", "add", 0.95);
        Rate(report, "GET of a full tile, 8 KiB", "tile/0/000", 0.95);
        Rate(report, "GET of a full bundle, 33 kB", "tile/entries/000", 0.95);
        Rate(report, "GET of the checkpoint", "checkpoint", 0.95);
        double fsck = _figures.Ratio("now fsck", "before fsck");
        report.Row($"tlog fsck of {options.Millions} M entries of {Suite.SmallEntry} B from the disk", Suite.PerSecond(_figures, "now fsck"), Suite.PerSecond(_figures, "before fsck"), Report.Percent(fsck), ">= 95 %", fsck >= 0.95);
    }

    private void Published(Report report, string what, string name) => report.Row(
        what + ": p50, p90, p99, p99.9, max ms", Suite.Points(_latencies["now " + name]), Suite.Points(_latencies["before " + name]), Report.Percent(_figures.Ratio("now " + name, "before " + name)),
        cost: _figures.Cost("now " + name), limitCost: _figures.Cost("before " + name));

    private void Rate(Report report, string what, string name, double least)
    {
        double ratio = _figures.Ratio("now " + name, "before " + name);
        report.Row(what, Suite.PerSecond(_figures, "now " + name), Suite.PerSecond(_figures, "before " + name), Report.Percent(ratio), $">= {Report.Percent(least)}", ratio >= least, _figures.Cost("now " + name), _figures.Cost("before " + name));
    }

    private void Witness(Report report, string what, string name, int keys, double? ofBefore, double? ofAllowed)
    {
        double ratio = _figures.Ratio("now " + name, "before " + name), allowed = _figures.Ratio("now " + name, $"now {name} allows");
        string wanted = ofBefore is double least ? $">= {Report.Percent(least)} of before" : $">= {Report.Percent(ofAllowed!.Value)} of what its CPU allows";
        report.Row(
            what, Suite.PerSecond(_figures, "now " + name), Suite.PerSecond(_figures, "before " + name), Report.Percent(ratio),
            Report.Text($"{wanted} (its CPU allows {Report.Count(_figures.Median($"now {name} allows"))}/s: {Report.Percent(allowed)}; signatures alone {Report.Count(_figures.Median($"limit {keys}"))}/s)"),
            ofBefore is double of ? ratio >= of : allowed >= ofAllowed, _figures.Cost("now " + name), _figures.Cost("before " + name));
    }
}
