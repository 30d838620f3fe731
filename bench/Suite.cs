// make bench: our figures beside the limits of this machine. Every limit is measured in the same round as what is compared with it, ratios are made in each round, and the
// median of the rounds is what the table has. Generators run on the same cores as the servers; everything is on loopback.

using System.Diagnostics;
using System.Text;

namespace TransparencyLog.Bench;

/// <summary>How long make bench measures. The environment sets it, for a quick look or for steadier figures.</summary>
internal sealed record Options(int Rounds, int Seconds, int WarmSeconds, int Millions, string Results)
{
    /// <summary>
    /// A server that was just started reaches its full speed only after 10 to 15 s of load: its code is compiled a second time, with what the first seconds have
    /// shown. Both sides get that long before the first round.
    /// </summary>
    private const int Warm = 12;

    public static Options FromEnvironment()
    {
        int rounds = Machine.Number("DEVTLOG_BENCH_ROUNDS", 3, 1, 100), seconds = Machine.Number("DEVTLOG_BENCH_SECONDS", 4, 1, 60);
        bool quick = seconds < 3;
        return new Options(
            rounds, seconds, Machine.Number("DEVTLOG_BENCH_WARM", quick ? 3 : Warm, 0, 120), Machine.Number("DEVTLOG_BENCH_MILLIONS", quick ? 1 : 10, 1, 100),
            Environment.GetEnvironmentVariable("DEVTLOG_BENCH_RESULTS") is { Length: > 0 } results ? results : "bench/results");
    }
}

/// <summary>One run of make bench.</summary>
internal sealed class Suite(Options options, string work) : IDisposable
{
    /// <summary>What a log's own limit of requests to a witness is set to where the disk and the code are to be measured, not the limit.</summary>
    private static readonly IReadOnlyDictionary<string, string> WitnessLimitOff = new Dictionary<string, string>(StringComparer.Ordinal) { ["TLOG_WITNESS_REQUESTS_PER_DAY"] = "86400000" };

    private const int WitnessedLogs = 1000, WitnessConnections = 64;

    /// <summary>Entries of the large log: small, as a fingerprint is.</summary>
    public const int SmallEntry = 32;

    private static readonly int[] Offered = [1_000, 5_000, 10_000, 20_000, 30_000, 40_000, 50_000];
    private static readonly int[] Connections = [256, 1024];
    private static readonly double[] Percentiles = [50, 90, 99, 99.9, 100];

    private readonly Figures _figures = new();
    private readonly Bed _bed = new(work);
    private readonly Dictionary<string, List<double>> _latencies = new(StringComparer.Ordinal); // pooled over the rounds
    private readonly List<(Series Ours, string Kind)> _series = [];
    private Served _null = null!, _off = null!, _on = null!, _large = null!, _witnessed = null!, _guarded = null!;
    private WitnessOf _witness = null!;
    private double _fillRate, _peak, _pause, _openSeconds, _openBytes, _fsckBusy, _fsckPeak, _largeBytes;

    private string LargeDirectory => Path.Combine(work, "large");

    private long LargeSize => options.Millions * 1_000_000L;

    public async Task RunAsync()
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            await StartAsync();
            await WarmAsync();
            for (int round = 1; round <= options.Rounds; round++)
            {
                Progress.Say($"round {round} of {options.Rounds}");
                await RoundAsync();
            }

            await CurveAsync();
            _peak = await _on.PeakBytesAsync();
            _pause = (await _on.SampleAsync()).LongestPauseSeconds;
            await EndLargeAsync();
        }
        finally
        {
            Dispose();
        }

        await WriteAsync(Stopwatch.GetElapsedTime(start));
    }

    public void Dispose()
    {
        _bed.Dispose();
        _witness?.Dispose();
    }

    private static string Of(string name, int connections) => Report.Text($"{name}-{connections}");

    private async Task StartAsync()
    {
        Progress.Say($"starting servers");
        _off = await _bed.LogAsync("off", Bed.DuplicatesOff);
        _on = await _bed.LogAsync("on", null);
        (await _off.PostAsync("add", [1])).Dispose();
        await _off.PublishedAsync(1);
        _null = await _bed.ServeAsync("null", null, Environment.ProcessPath!, "null", Report.Text($"{(await _off.GetAsync("checkpoint")).Length}"));
        _witnessed = await WitnessedAsync();
        _guarded = await _bed.GuardedLogAsync("guarded");
        _witness = await WitnessOf.StartAsync(_bed, "witness", WitnessedLogs);
        Progress.Say($"filling a log with {options.Millions} million entries");
        _large = await _bed.LogAsync("large", Bed.DuplicatesOff);
        _fillRate = await BatchLoad.FillAsync(_large.Url, LargeSize, SmallEntry);
        await _large.PublishedAsync(LargeSize);
    }

    /// <summary>A log with three witnesses, two of which have to cosign.</summary>
    private async Task<Served> WitnessedAsync()
    {
        string directory = Path.Combine(work, "witnessed");
        string vkey = await Tool.CreateLogAsync(directory, "bench.example/witnessed");
        StringBuilder policy = new($"log {vkey}\n");
        string logs = Path.Combine(work, "witnessed.logs");
        await File.WriteAllTextAsync(logs, $"log {vkey}\n");
        for (int i = 1; i <= 3; i++)
        {
            string name = Report.Text($"w{i}");
            string witnessDirectory = Path.Combine(work, name);
            // The first line is the Ed25519 key, the second would be that of ML-DSA-44: both answer, and the log keeps what its policy names.
            string key = (await Tool.RunAsync(_bed.Witness, "create", "--data", witnessDirectory, "--name", $"witness.example/{name}")).Split('\n')[0];
            Served witness = await _bed.WitnessAsync(name, Bed.WitnessUnlimited, logs);
            policy.Append($"witness {name} {key} {witness.Url}\n");
        }

        policy.Append("group all 2 w1 w2 w3\nquorum all\n");
        string path = Path.Combine(work, "witnessed.policy");
        await File.WriteAllTextAsync(path, policy.ToString());
        Served log = await _bed.LogAsync("witnessed", WitnessLimitOff, "--policy", path);
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            using HttpResponseMessage ready = await log.PostAsync("add?wait=witnessed", [1]);
            if (ready.IsSuccessStatusCode) return log;
            if (Stopwatch.GetElapsedTime(start) > TimeSpan.FromSeconds(30)) throw new TimeoutException($"the log with witnesses does not start: {await ready.Content.ReadAsStringAsync()}");
            await Task.Delay(100);
        }
    }

    /// <summary>Everything that will be measured, on both sides, until it runs as fast as it will.</summary>
    private async Task WarmAsync()
    {
        if (options.WarmSeconds == 0) return;
        Progress.Say($"warming up, {options.WarmSeconds} s a server");
        foreach (Served server in (Served[])[_null, _off, _on]) await PostsAsync(server, 256, options.WarmSeconds);
        double reads = Math.Max(1, options.WarmSeconds / 3);
        foreach (Served server in (Served[])[_null, _off])
        {
            foreach (string path in (string[])["tile/0/000", "tile/entries/000", "checkpoint"]) await Wrk.RunAsync(new Uri(server.Url, path), 64, reads);
        }

        await ProofsAsync(Math.Max(1, options.WarmSeconds / 3));
        await BatchLoad.MeasureAsync(_off.Url, 1000, 128, TimeSpan.FromSeconds(reads));
        foreach (Served server in (Served[])[_witnessed, _guarded]) await Open(server, 200, reads, "?wait=published");
        await CosignAsync(Math.Max(1, options.WarmSeconds / 3), measured: false);
    }

    private static Task<(double Rate, long Requests)> PostsAsync(Served server, int connections, double seconds) => Wrk.RunAsync(server.Url, connections, seconds, "bench/add.lua");

    private Task<(double Rate, long Requests)> ProofsAsync(double seconds) =>
        Wrk.RunAsync(_large.Url, 64, seconds, "bench/proof.lua", Report.Text($"{LargeSize}"));

    /// <summary>The generator has a thread of its own.</summary>
    public static Task<OpenFigures> Open(Served server, double rate, double seconds, string query = "") =>
        Task.Factory.StartNew(() => OpenLoop.Measure(server.Url, rate, TimeSpan.FromSeconds(seconds), query), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private async Task RoundAsync()
    {
        // Latencies first: behind them the disk is busy with what throughput has written.
        await LatencyAsync("open-null", _null, 1000, options.Seconds);
        await LatencyAsync("open-on", _on, 1000, options.Seconds);
        double publishing = Math.Max(3, 2.5 * options.Seconds); // ten a second: a percentile needs its hundred
        await LatencyAsync("published", _on, 10, publishing, "?wait=published");
        await LatencyAsync("published-guard", _guarded, 10, publishing, "?wait=published");
        await LatencyAsync("witnessed", _witnessed, 10, publishing, "?wait=witnessed");

        foreach (int connections in Connections)
        {
            foreach ((string name, Served server) in new[] { ("null", _null), ("off", _off), ("on", _on) })
            {
                await LoadAsync(Of(name, connections), server, () => PostsAsync(server, connections, options.Seconds));
            }
        }

        foreach (string path in (string[])["tile/0/000", "tile/entries/000", "checkpoint"])
        {
            await LoadAsync($"null {path}", _null, () => Wrk.RunAsync(new Uri(_null.Url, path), 64, options.Seconds));
            await LoadAsync($"log {path}", _off, () => Wrk.RunAsync(new Uri(_off.Url, path), 64, options.Seconds));
        }

        await LoadAsync("proof", _large, () => ProofsAsync(options.Seconds));
        await BatchAsync();
        await CosignAsync(options.Seconds, measured: true);
        _figures.Add("hash", Limits.Hash(TimeSpan.FromSeconds(1)));
    }

    private async Task LoadAsync(string name, Served server, Func<Task<(double Rate, long Count)>> load)
    {
        Sample before = await server.SampleAsync();
        (double rate, long count) = await load();
        Sample used = (await server.SampleAsync()).Since(before);
        _figures.Add(name, rate, Cost.Of(used, count));
        Progress.Say($"  {name}: {rate:N0}/s, {used.CpuSeconds * 1e6 / count:F1} us, {used.AllocatedBytes / count:N0} B allocated");
    }

    private async Task LatencyAsync(string name, Served server, double rate, double seconds, string query = "")
    {
        OpenFigures open = await Open(server, rate, seconds, query);
        if (!_latencies.TryGetValue(name, out List<double>? all)) _latencies.Add(name, all = []);
        all.AddRange(open.Milliseconds);
        _figures.Add(name, open.At(50));
        Progress.Say($"  {name}: p50 {open.At(50):F2}, p99 {open.At(99):F2} ms");
    }

    /// <summary>Batches, and beside them the disk with writes of the size that the journal's frames have had.</summary>
    private async Task BatchAsync()
    {
        Sample before = await _off.SampleAsync();
        double rate = await BatchLoad.MeasureAsync(_off.Url, 1000, 128, TimeSpan.FromSeconds(options.Seconds));
        Sample used = (await _off.SampleAsync()).Since(before);
        _figures.Add("batch", rate, Cost.Of(used, used.Entries));
        _figures.Add("batch-bytes", rate * used.WrittenBytes / used.Entries);
        int frame = (int)(used.JournalBytes / used.JournalFrames);
        _figures.Add("frame", frame);
        _figures.Add("disk-bytes", Limits.Disk(work, frame, TimeSpan.FromSeconds(1)).BytesPerSecond);
        DiskFigures small = Limits.Disk(work, 512, TimeSpan.FromSeconds(1));
        _figures.Add("sync", small.MedianMicroseconds);
        _figures.Add("sync-99", small.P99Microseconds);
        Progress.Say($"  batch: {rate:N0} entries/s, {used.WrittenBytes / used.Entries:F0} bytes written each");
    }

    private async Task CosignAsync(int seconds, bool measured)
    {
        (double rate, Cost cost) = await _witness.CosignAsync(WitnessConnections, seconds);
        if (!measured) return;
        _figures.Add("witness", rate, cost);
        _figures.Add("witness-limit", Limits.Cosignatures(TimeSpan.FromSeconds(1), keys: 2));
        Progress.Say($"  witness: {rate:N0} cosignatures/s, {cost.Syncs * WitnessConnections:F2} syncs for {WitnessConnections} requests");
    }

    /// <summary>Throughput and latency against offered load, for the log with its default settings and for null.</summary>
    private async Task CurveAsync()
    {
        Progress.Say($"offered load from {Offered[0]} to {Offered[^1]} a second");
        List<(int Rate, OpenFigures Null, OpenFigures Log)> points = [];
        foreach (int rate in Offered.Where((_, i) => options.Seconds >= 3 || i % 2 == 0))
        {
            double seconds = Math.Min(options.Seconds, 3);
            points.Add((rate, await Open(_null, rate, seconds), await Open(_on, rate, seconds)));
            OpenFigures log = points[^1].Log;
            Progress.Say($"  {rate}/s: {log.Achieved:N0}/s, p50 {log.At(50):F2}, p99 {log.At(99):F2} ms");
        }

        Series Line(string name, string colour, bool dashed, Func<(int Rate, OpenFigures Null, OpenFigures Log), double> y) => new(name, colour, dashed, [.. points.Select(point => ((double)point.Rate, y(point)))]);
        _series.Add((Line("null (no storage)", "#999", true, point => point.Null.Achieved), "throughput"));
        _series.Add((Line("durable, default settings", "#06c", false, point => point.Log.Achieved), "throughput"));
        _series.Add((Line("null p50", "#bbb", true, point => point.Null.At(50)), "latency"));
        _series.Add((Line("null p99", "#777", true, point => point.Null.At(99)), "latency"));
        _series.Add((Line("durable p50", "#06c", false, point => point.Log.At(50)), "latency"));
        _series.Add((Line("durable p99", "#c30", false, point => point.Log.At(99)), "latency"));
    }

    /// <summary>The large log: killed, opened, ended, and checked from the disk.</summary>
    private async Task EndLargeAsync()
    {
        Progress.Say($"opening the large log after kill -9, and checking it from the disk");
        (_large, _openSeconds, _openBytes) = await _bed.ReopenAsync(_large, "large", LargeSize, options.Rounds);
        await _large.EndAsync();
        for (int i = 0; i < options.Rounds; i++)
        {
            Fsck fsck = await Fsck.RunAsync(LargeDirectory, SmallEntry);
            _figures.Add("fsck", fsck.EntriesPerSecond);
            _figures.Add("fsck-hash", fsck.HashLimit);
            _figures.Add("fsck-disk", fsck.DiskLimit);
            (_fsckBusy, _fsckPeak, _largeBytes) = (fsck.BusyCores, fsck.PeakBytes, fsck.Bytes);
        }
    }

    private async Task WriteAsync(TimeSpan took)
    {
        Report report = new();
        Rows(report);
        Directory.CreateDirectory(options.Results);
        string name = Machine.Today;
        string title = await Machine.DescribeAsync();
        string chart = Chart.Write($"POST /add of 128 B, {title}", Kind("throughput"), Kind("latency"));
        await File.WriteAllTextAsync(Path.Combine(options.Results, name + ".svg"), chart);
        string text = report.Write(
            title,
            Report.Text($"""
                `make bench`: medians of {options.Rounds} rounds of {options.Seconds} s after {options.WarmSeconds} s of warming up, ratios made in each round; generators on the same cores, everything on
                loopback, data on {await Machine.FileSystemAsync(work)}. {took.TotalMinutes:F0} minutes, load of the machine at the end {Machine.Load()}. Costs are an entry's or a request's; in brackets the limit's. *Written* is what was
                handed to write calls; *syncs* are fdatasync and fsync, of everything the process stores.

                ![Throughput and latency against offered load]({name}.svg)
                """));
        await File.WriteAllTextAsync(Path.Combine(options.Results, name + ".md"), text);
        await Console.Out.WriteAsync(text);
    }

    private List<Series> Kind(string kind) => [.. _series.Where(one => one.Kind == kind).Select(one => one.Ours)];

    private void Rows(Report report)
    {
        foreach (int connections in Connections)
        {
            string off = Of("off", connections), limit = Of("null", connections), on = Of("on", connections);
            double more = _figures.MoreCpu(off, limit);
            bool quick = _figures.Median(off) >= 50_000 || _figures.Median(limit) < 60_000;
            report.Row(
                $"POST /add, 128 B, durable, {connections} connections, duplicates off", PerSecond(off), $"null {PerSecond(limit)}", Report.Percent(_figures.Ratio(off, limit)),
                Report.Text($">= 85 %, CPU <= null + 4 us (is {more:+0.0;-0.0}), >= 50,000/s where null does 60,000"), _figures.Ratio(off, limit) >= 0.85 && more <= 4 && quick, _figures.Cost(off), _figures.Cost(limit));
            report.Row(
                $"the same, duplicates on, all new, {connections} connections", PerSecond(on), $"off {PerSecond(off)}", Report.Percent(_figures.Ratio(on, off)),
                ">= 80 %", _figures.Ratio(on, off) >= 0.8, _figures.Cost(on), _figures.Cost(off));
        }

        report.Row(
            "POST /add-batch, 1,000 x 128 B, entries", PerSecond("batch"), Report.Text($"disk {_figures.Median("disk-bytes") / 1e6:F0} MB/s in frames of {_figures.Median("frame") / 1000:F0} kB; ours {_figures.Median("batch-bytes") / 1e6:F0} MB/s, every byte counted"),
            Report.Percent(_figures.Ratio("batch-bytes", "disk-bytes")), ">= 500,000/s", _figures.Median("batch") >= 500_000, _figures.Cost("batch"));
        Latency(report, "1,000 POST/s, open loop, durable", "open-on", "open-null", 1, 5);
        Latency(report, "POST to published, 10 a second, no quorum", "published", null, 3, 10);
        Latency(report, "the same, with a guard on the same disk", "published-guard", "published", 6, 20);
        Latency(report, "POST to witnessed, 10 a second, 2 of 3 witnesses on loopback", "witnessed", null, 10, 40);
        foreach ((string what, string path) in (ReadOnlySpan<(string, string)>)[("GET of a full tile, 8 KiB", "tile/0/000"), ("GET of a full bundle, 33 kB", "tile/entries/000"), ("GET of the checkpoint", "checkpoint")])
        {
            double ratio = _figures.Ratio($"log {path}", $"null {path}");
            report.Row(what, PerSecond($"log {path}"), $"null {PerSecond($"null {path}")}", Report.Percent(ratio), ">= 95 %", ratio >= 0.95, _figures.Cost($"log {path}"), _figures.Cost($"null {path}"));
        }

        report.Row($"GET of an inclusion proof, random index of {options.Millions} M", PerSecond("proof"), "", "", ">= 30,000/s", _figures.Median("proof") >= 30_000, _figures.Cost("proof"));
        double syncs = _figures.Cost("witness").Syncs * WitnessConnections;
        report.Row(
            $"witness, add-checkpoint over {WitnessedLogs:N0} logs, {WitnessConnections} at once", PerSecond("witness"), $"signatures {PerSecond("witness-limit")}", Report.Percent(_figures.Ratio("witness", "witness-limit")),
            Report.Text($">= 5,000/s, <= 1 sync for 64 (is {syncs:F2})"), _figures.Median("witness") >= 5000 && syncs <= 1, _figures.Cost("witness"));
        double nearer = Math.Max(_figures.Ratio("fsck", "fsck-hash"), _figures.Ratio("fsck", "fsck-disk"));
        report.Row(
            $"tlog fsck of {options.Millions} M entries of {SmallEntry} B from the disk", PerSecond("fsck"), Fsck.Verdict(_figures.Median("fsck"), _figures.Median("fsck-hash"), _figures.Median("fsck-disk"), _fsckBusy, _fsckPeak),
            Report.Percent(nearer), ">= 2,000,000/s", _figures.Median("fsck") >= 2_000_000);
        report.Row($"open {options.Millions} M entries after kill -9", Report.Text($"{_openSeconds:F2} s, {_openBytes / 1e6:F0} MB"), "", "", "< 2 s, < 300 MB", _openSeconds < 2 && _openBytes < 300e6);
        report.Row("memory of the server with all defaults, peak over this run", Report.Text($"{_peak / 1e6:F0} MB"), "", "", "<= 250 MB", _peak <= 250e6);
        report.Row("its longest garbage collection pause", Report.Text($"{_pause * 1000:F1} ms"), "", "", "< 20 ms", _pause < 0.02);
        report.Row($"filling {options.Millions} M entries of {SmallEntry} B, largest batches", Report.Text($"{Report.Count(_fillRate)}/s, {_largeBytes / LargeSize:F0} B on disk each"));
        report.Row("one data sync of 512 B: p50, p99", "", Report.Text($"disk {_figures.Median("sync"):F0}, {_figures.Median("sync-99"):F0} us"));
        report.Row("SHA-256, the best single stream", "", Report.Text($"hash {_figures.Median("hash") / 1e6:F0} MB/s"));
    }

    private string PerSecond(string name) => PerSecond(_figures, name);

    public static string PerSecond(Figures figures, string name) => Report.Count(figures.Median(name)) + "/s";

    private void Latency(Report report, string what, string name, string? limit, double median, double p99)
    {
        List<double> ours = _latencies[name];
        double p50 = Percentile.Of(ours, 50), high = Percentile.Of(ours, 99);
        report.Row(
            what + ": p50, p90, p99, p99.9, max ms", Points(ours), limit is null ? "" : $"{(limit.EndsWith("null", StringComparison.Ordinal) ? "null" : limit)} {Points(_latencies[limit])}", "",
            Report.Text($"p50 <= {median}, p99 <= {p99} ms"), p50 <= median && high <= p99);
    }

    public static string Points(List<double> milliseconds) =>
        string.Join(", ", Percentiles.Select(percent => Report.Text($"{Percentile.Of(milliseconds, percent):F2}")));
}
