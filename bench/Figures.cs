using System.Diagnostics;
using System.Globalization;

namespace TransparencyLog.Bench;

/// <summary>What one request or entry cost the server.</summary>
internal sealed record Cost(double CpuMicroseconds, double AllocatedBytes, double WrittenBytes, double Syncs, double ResidentBytes)
{
    public static Cost Of(Sample used, double count) =>
        new(used.CpuSeconds * 1e6 / count, used.AllocatedBytes / count, used.WrittenBytes / count, used.Syncs / count, used.ResidentBytes);
}

/// <summary>What was measured, by name, one value a round. Rounds are interleaved: value i of two names was measured next to each other.</summary>
internal sealed class Figures
{
    private readonly Dictionary<string, List<double>> _values = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<Cost>> _costs = new(StringComparer.Ordinal);

    public void Add(string name, double value) => List(_values, name).Add(value);

    public void Add(string name, double value, Cost cost)
    {
        Add(name, value);
        List(_costs, name).Add(cost);
    }

    public double Median(string name) => Percentile.Median(_values[name]);

    /// <summary>The median of the ratios of each round: what a slow minute of the machine does to both sides falls out.</summary>
    public double Ratio(string ours, string limit) => Percentile.Median([.. _values[ours].Zip(_values[limit], (a, b) => a / b)]);

    public Cost Cost(string name)
    {
        List<Cost> costs = _costs[name];
        double Of(Func<Cost, double> part) => Percentile.Median([.. costs.Select(part)]);
        return new Cost(Of(cost => cost.CpuMicroseconds), Of(cost => cost.AllocatedBytes), Of(cost => cost.WrittenBytes), Of(cost => cost.Syncs), Of(cost => cost.ResidentBytes));
    }

    /// <summary>The median of the differences of CPU, in microseconds.</summary>
    public double MoreCpu(string ours, string limit) => Percentile.Median([.. _costs[ours].Zip(_costs[limit], (a, b) => a.CpuMicroseconds - b.CpuMicroseconds)]);

    private static List<T> List<T>(Dictionary<string, List<T>> all, string name)
    {
        if (!all.TryGetValue(name, out List<T>? list)) all.Add(name, list = []);
        return list;
    }
}

/// <summary>The table: Markdown, a row a claim.</summary>
/// <param name="limit">What the column says that ours stands beside.</param>
internal sealed class Report(string limit = "limit")
{
    private readonly List<string> _rows = [];

    /// <param name="what">What was done.</param>
    /// <param name="ours">Our figure, with its unit.</param>
    /// <param name="limit">The limit that was measured in the same run, with its name; empty for none.</param>
    /// <param name="ratio">Ours to the limit; empty for none.</param>
    /// <param name="wanted">What we want it to be; empty for a row that only informs.</param>
    /// <param name="met">Whether it is so.</param>
    /// <param name="cost">What a request cost the server.</param>
    /// <param name="limitCost">What it cost the limit's.</param>
    public void Row(string what, string ours, string limit = "", string ratio = "", string wanted = "", bool met = true, Cost? cost = null, Cost? limitCost = null)
    {
        string verdict = wanted.Length == 0 ? "" : $"{wanted}: {(met ? "met" : "**missed**")}";
        string costs = cost is null
            ? "| | | | |"
            : Text($"{cost.CpuMicroseconds:F2}{(limitCost is null ? "" : Text($" ({limitCost.CpuMicroseconds:F2})"))} | {cost.ResidentBytes / 1e6:F0} | {(cost.AllocatedBytes > 0 ? Count(cost.AllocatedBytes) : "")}{(limitCost is null ? "" : $" ({Count(limitCost.AllocatedBytes)})")} | {Count(cost.WrittenBytes)} | {cost.Syncs:G2} |");
        _rows.Add($"| {what} | {ours} | {limit} | {ratio} | {verdict} | {costs}");
    }

    public string Write(string title, string introduction) => $"""
        # {title}

        {introduction}

        | what | ours | {limit} | ratio | wanted | CPU us | RSS MB | allocated B | written B | syncs |
        |---|---|---|---|---|---|---|---|---|---|
        {string.Join('\n', _rows)}

        """;

    public static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>12,345</summary>
    public static string Count(double value) => Math.Round(value).ToString("N0", CultureInfo.InvariantCulture);

    public static string Percent(double ratio) => Text($"{100 * ratio:F0} %");
}

/// <summary>What is being done, on standard error, with the time since the start.</summary>
internal static class Progress
{
    private static readonly long Start = Stopwatch.GetTimestamp();

    public static void Say(FormattableString what) =>
        Console.Error.WriteLine(Report.Text($"{Stopwatch.GetElapsedTime(Start).TotalSeconds,5:F0} s  ") + what.ToString(CultureInfo.InvariantCulture));
}

/// <summary>What the machine is, for the head of a result.</summary>
internal static class Machine
{
    public static async Task<string> DescribeAsync()
    {
        string commit = (await Tool.RunAsync("git", "rev-parse", "--short", "HEAD")).Trim();
        bool changed = (await Tool.RunAsync("git", "status", "--porcelain", "--untracked-files=no")).Length > 0;
        string processor = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(": ")[^1] ?? "processor unknown";
        return Report.Text($"{Today}, commit {commit}{(changed ? " with changes" : "")}, {Environment.ProcessorCount} cores, {processor}");
    }

    public static string Today => TimeProvider.System.GetUtcNow().ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);

    public static async Task<string> FileSystemAsync(string directory) => (await Tool.RunAsync("df", "--output=fstype", directory)).Trim().Split('\n')[^1];

    /// <summary>How many other processes wanted a core in the last minute: figures of a busy machine are low.</summary>
    public static string Load() => File.ReadAllText("/proc/loadavg").Split(' ')[0];

    public static int Number(string name, int fallback, int least, int most)
    {
        if (Environment.GetEnvironmentVariable(name) is not { Length: > 0 } text) return fallback;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most
            ? value
            : throw new ArgumentException($"{name}: '{text}' is not a whole number from {least} to {most}");
    }
}
