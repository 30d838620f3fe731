// make bench-long: what only shows in large logs and long runs. Opening, memory and proofs at 1, 10 and 50 million entries; entries a second at 50 million against 1 million, in turn;
// fsck beside hashing and reading alone; memory and pauses over ten minutes of single entries at full speed.

using System.Diagnostics;
using System.Text;

namespace TransparencyLog.Bench;

/// <summary>How large and how long. The environment sets it: DEVTLOG_LONG_MILLIONS=2 DEVTLOG_LONG_MINUTES=1 is a look of some two minutes.</summary>
internal sealed record LongOptions(int Millions, int Minutes, string Results)
{
    public static LongOptions FromEnvironment() => new(
        Machine.Number("DEVTLOG_LONG_MILLIONS", 50, 1, 1000), Machine.Number("DEVTLOG_LONG_MINUTES", 10, 1, 600),
        Environment.GetEnvironmentVariable("DEVTLOG_BENCH_RESULTS") is { Length: > 0 } results ? results : "bench/results");

    /// <summary>Less than the whole: rounds and warm-up are shortened too.</summary>
    public bool IsQuick => Millions < 10;
}

/// <summary>One run of make bench-long.</summary>
internal sealed class LongSuite(LongOptions options, string work) : IDisposable
{
    private const int Million = 1_000_000, Opens = 3;

    private readonly Bed _bed = new(work);
    private readonly Report _report = new();
    private readonly Figures _figures = new();
    private readonly StringBuilder _minutes = new();

    private int Rounds => options.IsQuick ? 2 : 6;

    private int Seconds => options.IsQuick ? 2 : 4;

    private int WarmSeconds => options.IsQuick ? 3 : 12;

    public async Task RunAsync()
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            Served large = await LargeAsync();
            await GrowthAsync(large);
            await large.EndAsync();
            Directory.Delete(_bed.PathOf("large"), recursive: true);
            await SteadyAsync();
        }
        finally
        {
            Dispose();
        }

        Directory.CreateDirectory(options.Results);
        string text = _report.Write(
            $"{await Machine.DescribeAsync()}: large logs and long runs",
            Report.Text($"""
                `make bench-long`: up to {options.Millions} million entries of {Suite.SmallEntry} B, then {options.Minutes} minutes of single entries of 128 B; generators on the same cores, everything on loopback, data on
                {await Machine.FileSystemAsync(work)}. {Stopwatch.GetElapsedTime(start).TotalMinutes:F0} minutes, load of the machine at the end {Machine.Load()}.
                """)) + _minutes;
        await File.WriteAllTextAsync(Path.Combine(options.Results, Machine.Today + "-long.md"), text);
        await Console.Out.WriteAsync(text);
    }

    public void Dispose() => _bed.Dispose();

    /// <summary>One log grows through the sizes; at each it is killed and opened, asked for proofs, and up to 10 million checked from the disk.</summary>
    private async Task<Served> LargeAsync()
    {
        Served large = await _bed.LogAsync("large", Bed.DuplicatesOff);
        long size = 0;
        List<(int Millions, double Bytes)> memory = [];
        foreach (int millions in ((int[])[1, 10, options.Millions]).Where(millions => millions <= options.Millions).Distinct().Order())
        {
            Progress.Say($"filling to {millions} million");
            long more = ((long)millions * Million) - size;
            double rate = await BatchLoad.FillAsync(large.Url, more, Suite.SmallEntry);
            size += more;
            await large.PublishedAsync(size);
            (large, double seconds, double bytes) = await _bed.ReopenAsync(large, "large", size, Opens);
            memory.Add((millions, bytes));
            bool asked = millions == options.Millions;
            _report.Row(
                $"open {millions} M entries after kill -9", Report.Text($"{seconds:F2} s, {bytes / 1e6:F0} MB"), memory.Count == 1 ? "" : Report.Text($"{memory[0].Millions} M: {memory[0].Bytes / 1e6:F0} MB"), "",
                asked ? "< 2 s, < 300 MB" : "", seconds < 2 && bytes < 300e6);
            _report.Row($"filling to {millions} M, largest batches", $"{Report.Count(rate)}/s");
            Progress.Say($"  {rate:N0} entries/s; opened in {seconds:F2} s with {bytes / 1e6:F0} MB");
            await ProofsAsync(large, millions, size);
            if (millions <= 10 || millions == options.Millions) large = await FsckAsync(large, millions);
        }

        return large;
    }

    private async Task ProofsAsync(Served large, int millions, long size)
    {
        string argument = Report.Text($"{size}");
        await Wrk.RunAsync(large.Url, 64, WarmSeconds, "bench/proof.lua", argument);
        Sample before = await large.SampleAsync();
        (double rate, long requests) = await Wrk.RunAsync(large.Url, 64, Seconds, "bench/proof.lua", argument);
        Cost cost = Cost.Of((await large.SampleAsync()).Since(before), requests);
        _report.Row($"GET of an inclusion proof, random index of {millions} M", $"{Report.Count(rate)}/s", "", "", millions == 10 ? ">= 30,000/s" : "", rate >= 30_000, cost);
        Progress.Say($"  {rate:N0} proofs/s");
    }

    private async Task<Served> FsckAsync(Served large, int millions)
    {
        await large.EndAsync();
        Fsck fsck = await Fsck.RunAsync(_bed.PathOf("large"), Suite.SmallEntry);
        _report.Row(
            $"tlog fsck of {millions} M entries of {Suite.SmallEntry} B from the disk", $"{Report.Count(fsck.EntriesPerSecond)}/s",
            Fsck.Verdict(fsck.EntriesPerSecond, fsck.HashLimit, fsck.DiskLimit, fsck.BusyCores, fsck.PeakBytes),
            Report.Percent(fsck.EntriesPerSecond / Math.Min(fsck.HashLimit, fsck.DiskLimit)), millions == 10 ? ">= 2,000,000/s" : "", fsck.EntriesPerSecond >= 2_000_000);
        return await _bed.LogAsync("large", Bed.DuplicatesOff);
    }

    /// <summary>Two servers in turn, one with a log of 1 million and one with all: what grows with the log would show as a difference.</summary>
    private async Task GrowthAsync(Served large)
    {
        Progress.Say($"growth: 1 M and {options.Millions} M in turn");
        Served small = await _bed.LogAsync("small", Bed.DuplicatesOff);
        await BatchLoad.FillAsync(small.Url, Million, Suite.SmallEntry);
        foreach (Served server in (Served[])[small, large]) await Wrk.RunAsync(server.Url, 256, WarmSeconds, "bench/add.lua");
        for (int round = 0; round < Rounds; round++)
        {
            foreach ((string name, Served server) in new[] { ("small", small), ("large", large) })
            {
                (double rate, _) = await Wrk.RunAsync(server.Url, 256, Seconds, "bench/add.lua");
                _figures.Add(name, rate);

                // Few, so that the small one stays small.
                _figures.Add(name + "-batch", await BatchLoad.FillAsync(server.Url, Million / 4, Suite.SmallEntry));
            }
        }

        double single = _figures.Ratio("large", "small"), batch = _figures.Ratio("large-batch", "small-batch");
        double grown = (await small.SampleAsync()).Entries / Million;
        string limit = Report.Text($"1 M ({grown:F1} M at the end)");
        _report.Row($"POST /add, 128 B, 256 connections, at {options.Millions} M", PerSecond("large"), $"{limit} {PerSecond("small")}", Report.Percent(single), ">= 90 %", single >= 0.9);
        _report.Row($"largest batches of {Suite.SmallEntry} B at {options.Millions} M", PerSecond("large-batch"), $"{limit} {PerSecond("small-batch")}", Report.Percent(batch), ">= 90 %", batch >= 0.9);
        Progress.Say($"  {single:P0} single, {batch:P0} in batches");
        await small.EndAsync();
    }

    /// <summary>Single entries at full speed into a server with all its default settings: its memory, its pauses, and how fast it still is at the end.</summary>
    private async Task SteadyAsync()
    {
        Progress.Say($"{options.Minutes} minutes at full speed");
        Served server = await _bed.LogAsync("steady", null);
        Task<(double Rate, long Requests)> load = Wrk.RunAsync(server.Url, 256, options.Minutes * 60, "bench/add.lua");
        long start = Stopwatch.GetTimestamp();
        List<(double Seconds, Sample Sample)> samples = [(0, await server.SampleAsync())];
        while (!load.IsCompleted)
        {
            await Task.WhenAny(load, Task.Delay(TimeSpan.FromSeconds(2)));
            samples.Add((Stopwatch.GetElapsedTime(start).TotalSeconds, await server.SampleAsync()));
        }

        await load;
        double peak = await server.PeakBytesAsync();
        _minutes.Append("\n| minute | entries/s | RSS MB, mean | RSS MB, most | paused ms | CPU us an entry |\n|---|---|---|---|---|---|\n");
        List<(double Rate, double Mean)> minutes = [];
        for (int minute = 0; minute < options.Minutes; minute++)
        {
            (double Seconds, Sample Sample)[] part = [.. samples.Where(one => one.Seconds >= minute * 60 && one.Seconds < (minute + 1) * 60)];
            if (part.Length < 2) continue;
            Sample used = part[^1].Sample.Since(part[0].Sample);
            double rate = used.Entries / (part[^1].Seconds - part[0].Seconds), mean = part.Average(one => one.Sample.ResidentBytes);
            minutes.Add((rate, mean));
            _minutes.Append(Report.Text($"| {minute + 1} | {Report.Count(rate)} | {mean / 1e6:F0} | {part.Max(one => one.Sample.ResidentBytes) / 1e6:F0} | {used.PauseSeconds * 1000:F0} | {used.CpuSeconds * 1e6 / used.Entries:F1} |\n"));
        }

        // The first minute is that of code and buffers: flat is what comes behind it. In a run of one minute its second half stands for that.
        double from = options.Minutes > 1 ? 60 : 30;
        double slope = Slope([.. samples.Where(one => one.Seconds >= from).Select(one => (one.Seconds / 60, one.Sample.ResidentBytes / 1e6))]);
        double first = minutes[Math.Min(1, minutes.Count - 1)].Mean, last = minutes[^1].Mean;
        Sample end = samples[^1].Sample;
        _report.Row("memory at full speed, all defaults, most", Report.Text($"{peak / 1e6:F0} MB"), "", "", "<= 250 MB", peak <= 250e6);
        _report.Row(
            $"its growth over {options.Minutes} minutes", Report.Text($"{slope:+0.0;-0.0} MB a minute, second minute {first / 1e6:F0}, last {last / 1e6:F0} MB"), "", Report.Percent(last / first), "<= 110 %", last <= 1.1 * first);
        _report.Row("its longest garbage collection pause", Report.Text($"{end.LongestPauseSeconds * 1000:F1} ms, {end.PauseSeconds / samples[^1].Seconds:P2} of the time"), "", "", "< 20 ms", end.LongestPauseSeconds < 0.02);
        _report.Row("POST /add, 128 B, 256 connections, last minute", $"{Report.Count(minutes[^1].Rate)}/s", $"second minute {Report.Count(minutes[Math.Min(1, minutes.Count - 1)].Rate)}/s", Report.Percent(minutes[^1].Rate / minutes[Math.Min(1, minutes.Count - 1)].Rate), "", cost: Cost.Of(end.Since(samples[0].Sample), end.Entries));
    }

    private string PerSecond(string name) => Report.Count(_figures.Median(name)) + "/s";

    /// <summary>Least squares.</summary>
    private static double Slope((double X, double Y)[] points)
    {
        double x = points.Average(point => point.X), y = points.Average(point => point.Y);
        double spread = points.Sum(point => (point.X - x) * (point.X - x));
        return spread == 0 ? 0 : points.Sum(point => (point.X - x) * (point.Y - y)) / spread;
    }
}
