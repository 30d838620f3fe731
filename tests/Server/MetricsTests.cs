using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.Server;

public sealed partial class MetricsTests
{
    /// <summary>Every series there is. A label that a stranger could choose would make more of them.</summary>
    private static readonly string[] Series =
    [
        "dotnet_allocated_bytes_total",
        "dotnet_gc_collections_total{generation=\"0\"}", "dotnet_gc_collections_total{generation=\"1\"}", "dotnet_gc_collections_total{generation=\"2\"}",
        "dotnet_gc_pause_max_seconds", "dotnet_gc_pause_seconds_total", "process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes", "process_threads",
        "tlog_clock_right", "tlog_disk_free_bytes", "tlog_disk_reserve_bytes", "tlog_duplicates_answered_total", "tlog_duplicates_forgotten_total", "tlog_duplicates_remembered", "tlog_duplicates_unread_total", "tlog_entries_total", "tlog_evidence_failed_total", "tlog_evidence_files{kind=\"fork\"}", "tlog_evidence_files{kind=\"inconsistent\"}", "tlog_evidence_files{kind=\"size-zero\"}", "tlog_evidence_files{kind=\"unproven\"}", "tlog_evidence_pending", "tlog_evidence_sent_total", "tlog_halted", "tlog_journal_bytes_total", "tlog_journal_frames_total", "tlog_log_lines_dropped_total", "tlog_publication_held", "tlog_published_size", "tlog_quorum_degraded", "tlog_scrub_damaged", "tlog_scrub_entries", "tlog_scrub_last_clean_timestamp_seconds", "tlog_scrub_passes_total", "tlog_signed_size",
        "tlog_state{state=\"failed\"}", "tlog_state{state=\"halted\"}", "tlog_state{state=\"ready\"}", "tlog_state{state=\"starting\"}", "tlog_state{state=\"stopping\"}",
        "tlog_syncs_total{call=\"fdatasync\"}", "tlog_syncs_total{call=\"fsync\"}", "tlog_waiting_appends", "tlog_written_bytes_total",
    ];

    [Fact]
    public async Task The_series_are_these_whatever_was_asked_and_the_document_has_them()
    {
        await using TestLog log = await TestLog.StartAsync();
        Dictionary<string, double> before = await ReadAsync(log);
        Assert.Equal(Series, before.Keys.Order(StringComparer.Ordinal));
        await log.GetAsync("/strange{label=\"x\"}");
        await log.PostAsync("/add", []);
        Assert.Equal(Series, (await ReadAsync(log)).Keys.Order(StringComparer.Ordinal));
        string document = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "spec/operations.md"));
        foreach (string name in Series.Select(series => series.Split('{')[0]).Distinct()) Assert.Contains($"`{name}", document);
        Assert.Equal(HttpStatusCode.NotFound, (await log.GetAsync("/metrics?x")).Status);
    }

    [Fact]
    public async Task Counters_follow_the_log()
    {
        await using TestLog log = await TestLog.StartAsync();
        Dictionary<string, double> before = await ReadAsync(log);
        Assert.Equal((0, 0, 0, 1), (before["tlog_entries_total"], before["tlog_published_size"], before["tlog_journal_frames_total"], before["tlog_state{state=\"ready\"}"]));

        await log.AddAsync("one");
        await log.AddAsync("two");
        await log.AddBatchAsync([[1], [2], [3]]);
        await log.AddAsync("one");
        await log.CheckLog(5);
        Dictionary<string, double> after = await ReadAsync(log);
        Assert.Equal((1, 5, 0, 0), (after["tlog_duplicates_answered_total"], after["tlog_duplicates_remembered"], after["tlog_duplicates_forgotten_total"], after["tlog_duplicates_unread_total"]));
        Assert.Equal((5, 5, 5), (after["tlog_entries_total"], after["tlog_signed_size"], after["tlog_published_size"]));

        // Each of the three waited for its answer, so each had a frame and a data sync of its own; a publication has two, of the history of heads and of the commit record.
        Assert.Equal((3, 3 * 512), (after["tlog_journal_frames_total"], after["tlog_journal_bytes_total"]));
        Assert.InRange(after["tlog_syncs_total{call=\"fdatasync\"}"] - before["tlog_syncs_total{call=\"fdatasync\"}"], 5, double.MaxValue);
        Assert.InRange(after["tlog_written_bytes_total"] - before["tlog_written_bytes_total"], 3 * 512, double.MaxValue);
        foreach (string grows in (string[])["dotnet_allocated_bytes_total", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_threads", "process_open_fds"]) Assert.InRange(after[grows], 0.001, double.MaxValue);
        Assert.Equal((0, 0), (after["tlog_halted"], after["tlog_waiting_appends"]));
    }

    [Fact]
    public async Task The_longest_pause_of_a_collection_is_kept()
    {
        TestLog log = await SharedLog.GetAsync();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Dictionary<string, double> metrics = await ReadAsync(log);
        Assert.InRange(metrics["dotnet_gc_pause_max_seconds"], 0.000001, metrics["dotnet_gc_pause_seconds_total"]);
        Assert.InRange(metrics["dotnet_gc_collections_total{generation=\"2\"}"], 1, double.MaxValue);
    }

    private static async Task<Dictionary<string, double>> ReadAsync(TestLog log)
    {
        (HttpStatusCode status, string text) = await log.GetAsync("/metrics");
        Assert.Equal(HttpStatusCode.OK, status);
        Dictionary<string, double> series = new(StringComparer.Ordinal);
        string typed = "";
        Assert.EndsWith("\n", text);
        foreach (string line in LogCheck.Lines(text))
        {
            if (Typed().Match(line) is { Success: true } type)
            {
                typed = type.Groups[1].Value;
                continue;
            }

            Match one = Sample().Match(line);
            Assert.True(one.Success && one.Groups[2].Value == typed, line);
            series.Add(one.Groups[1].Value, double.Parse(one.Groups[4].Value, CultureInfo.InvariantCulture));
        }

        return series;
    }

    [GeneratedRegex("^# TYPE ([a-z_]+) (counter|gauge)$", RegexOptions.NonBacktracking)]
    private static partial Regex Typed();

    [GeneratedRegex("^(([a-z_]+)(\\{[a-z]+=\"[a-z0-9-]+\"\\})?) ([0-9]+(\\.[0-9]+)?)$", RegexOptions.NonBacktracking)]
    private static partial Regex Sample();
}
