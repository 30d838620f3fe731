using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace TransparencyLog.Bench;

/// <summary>A process at one moment: counters since its start, and its memory.</summary>
/// <param name="CpuSeconds">User and system time.</param>
/// <param name="WrittenBytes">
/// What it handed to write calls. write_bytes of the kernel counts whole folios of the page cache, hundreds of kilobytes for one small write.
/// </param>
/// <param name="Syncs">fdatasync and fsync.</param>
/// <param name="AllocatedBytes">By the collector's counter.</param>
/// <param name="ResidentBytes">RSS.</param>
/// <param name="PauseSeconds">In garbage collections, all together.</param>
/// <param name="LongestPauseSeconds">The longest of them since the start.</param>
/// <param name="JournalFrames">Frames of the journal.</param>
/// <param name="JournalBytes">Their bytes.</param>
/// <param name="Entries">Entries that are durable.</param>
internal sealed record Sample(
    double CpuSeconds, double WrittenBytes, double Syncs, double AllocatedBytes, double ResidentBytes, double PauseSeconds, double LongestPauseSeconds,
    double JournalFrames, double JournalBytes, double Entries)
{
    /// <summary>The counters since an earlier sample; memory and the longest pause are those of now.</summary>
    public Sample Since(Sample before) => this with
    {
        CpuSeconds = CpuSeconds - before.CpuSeconds,
        WrittenBytes = WrittenBytes - before.WrittenBytes,
        Syncs = Syncs - before.Syncs,
        AllocatedBytes = AllocatedBytes - before.AllocatedBytes,
        PauseSeconds = PauseSeconds - before.PauseSeconds,
        JournalFrames = JournalFrames - before.JournalFrames,
        JournalBytes = JournalBytes - before.JournalBytes,
        Entries = Entries - before.Entries,
    };
}

/// <summary>A server that we started, listening on loopback; ended when disposed.</summary>
internal sealed partial class Served : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly HttpClient _http = new();

    private Served(Process process, Uri url)
    {
        _process = process;
        Url = url;
    }

    public Uri Url { get; }

    public int Id => _process.Id;

    /// <summary>Starts a program and waits for its line "listening URL". What it says on standard error goes to a file.</summary>
    public static async Task<Served> StartAsync(string errors, IReadOnlyDictionary<string, string>? environment, string program, params string[] arguments)
    {
        // The shell puts standard error into the file and becomes the program: nobody has to read a pipe.
        ProcessStartInfo start = new("/bin/sh", ["-c", "errors=$1; shift; exec \"$@\" 2>> \"$errors\"", "sh", errors, program, .. arguments]) { UseShellExecute = false, RedirectStandardOutput = true };
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>(StringComparer.Ordinal)) start.Environment[name] = value;
        Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
        string? line = await process.StandardOutput.ReadLineAsync().WaitAsync(Patience);
        if (line is null || !line.StartsWith("listening ", StringComparison.Ordinal)) throw new InvalidOperationException($"{program} did not listen: {await File.ReadAllTextAsync(errors)}");
        return new Served(process, new Uri(line["listening ".Length..] + "/"));
    }

    public async Task<Sample> SampleAsync()
    {
        string metrics = await _http.GetStringAsync(new Uri(Url, "metrics"));
        double Metric(string name) => Regex.Matches(metrics, $"^{Regex.Escape(name)}(\\{{[^}}]*\\}})? (\\S+)$", RegexOptions.Multiline | RegexOptions.ExplicitCapture, TimeSpan.FromSeconds(1))
            .Sum(line => double.Parse(line.Value[(line.Value.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
        string[] stat = (await File.ReadAllTextAsync($"/proc/{Id}/stat")).Split(')')[^1].Split(' ');
        double ticks = double.Parse(stat[12], CultureInfo.InvariantCulture) + double.Parse(stat[13], CultureInfo.InvariantCulture);
        return new Sample(
            ticks / 100, await FieldAsync("io", "wchar:"), Metric("tlog_syncs_total"), Metric("dotnet_allocated_bytes_total"), await FieldAsync("status", "VmRSS:") * 1024,
            Metric("dotnet_gc_pause_seconds_total"), Metric("dotnet_gc_pause_max_seconds"),
            Metric("tlog_journal_frames_total"), Metric("tlog_journal_bytes_total"), Metric("tlog_entries_total"));
    }

    /// <summary>The most memory that it ever had, in bytes.</summary>
    public async Task<double> PeakBytesAsync() => await FieldAsync("status", "VmHWM:") * 1024;

    /// <summary>Its memory now, in bytes.</summary>
    public async Task<double> ResidentBytesAsync() => await FieldAsync("status", "VmRSS:") * 1024;

    public Task<byte[]> GetAsync(string path) => _http.GetByteArrayAsync(new Uri(Url, path));

    public async Task<HttpResponseMessage> PostAsync(string path, byte[] body)
    {
        using ByteArrayContent content = new(body);
        return await _http.PostAsync(new Uri(Url, path), content);
    }

    /// <summary>The public tree size.</summary>
    public async Task<long> PublishedAsync()
    {
        byte[] checkpoint = await GetAsync("checkpoint");
        return Note.TryParse(checkpoint, out Note? note) && Checkpoint.TryParse(note.Text.Span, out Checkpoint? parsed)
            ? parsed.Size
            : throw new InvalidOperationException("not a checkpoint");
    }

    /// <summary>Waits until the public tree has a size.</summary>
    public async Task PublishedAsync(long size)
    {
        long start = Stopwatch.GetTimestamp();
        while (await PublishedAsync() < size)
        {
            if (Stopwatch.GetElapsedTime(start) > Patience) throw new TimeoutException($"size {size} is not published");
            await Task.Delay(2);
        }
    }

    /// <summary>SIGTERM, or SIGKILL, and waits for its end.</summary>
    public async Task EndAsync(bool kill = false)
    {
        Native.Signal(Id, kill ? Native.Kill : Native.Terminate);
        await _process.WaitForExitAsync().WaitAsync(Patience);
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
        _http.Dispose();
    }

    private async Task<double> FieldAsync(string file, string name)
    {
        string line = (await File.ReadAllLinesAsync($"/proc/{Id}/{file}")).First(line => line.StartsWith(name, StringComparison.Ordinal));
        return double.Parse(line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}

/// <summary>Programs that run to their end.</summary>
internal static class Tool
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    /// <summary>Its standard output. Any exit code but 0 is an exception with what it said.</summary>
    public static async Task<string> RunAsync(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
        try
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync().WaitAsync(Patience);
            if (process.ExitCode != 0) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {await output}{await errors}");
            return await output;
        }
        finally
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
        }
    }

    public static async Task<string> CreateLogAsync(string directory, string origin, string program = "bin/tlog-server") =>
        (await RunAsync(program, "create", "--data", directory, "--origin", origin)).Trim();
}

/// <summary>wrk, a closed loop of many connections.</summary>
internal static partial class Wrk
{
    /// <summary>Requests a second. Any answer but 200 is an exception.</summary>
    public static async Task<(double Rate, long Requests)> RunAsync(Uri url, int connections, double seconds, string? script = null, params string[] scriptArguments)
    {
        string[] arguments = [$"-t{Math.Min(2, connections)}", $"-c{connections}", $"-d{Math.Max(1, (int)seconds)}s", .. script is null ? (string[])[] : ["-s", script], url.ToString(), .. scriptArguments.Length == 0 ? (string[])[] : ["--", .. scriptArguments]];
        string said = await Tool.RunAsync("wrk", arguments);
        if (said.Contains("Non-2xx", StringComparison.Ordinal)) throw new InvalidOperationException($"not every answer of {url} was 200:\n{said}");
        Match rate = Rate().Match(said), requests = Requests().Match(said);
        if (!rate.Success || !requests.Success) throw new InvalidOperationException($"wrk said:\n{said}");
        if (Errors().Match(said) is { Success: true } errors) await Console.Error.WriteLineAsync($"  wrk: {errors.Value.Trim()}");
        return (double.Parse(rate.Groups[1].Value, CultureInfo.InvariantCulture), long.Parse(requests.Groups[1].Value, NumberStyles.None, CultureInfo.InvariantCulture));
    }

    [GeneratedRegex(@"Requests/sec:\s+([0-9.]+)")]
    private static partial Regex Rate();

    [GeneratedRegex(@"([0-9]+) requests in")]
    private static partial Regex Requests();

    [GeneratedRegex(@"Socket errors: .*")]
    private static partial Regex Errors();
}
