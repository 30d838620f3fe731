using System.Text;
using TransparencyLog.Hosting;

namespace TransparencyLog.Server.Http;

/// <summary>
/// GET /metrics: counters in the text format that Prometheus reads (spec/operations.md, "Metrics"). Labels come from a fixed set and from the policy, so no
/// client can create a new series.
/// </summary>
internal static class MetricsEndpoint
{
    public static void Map(WebApplication app, Engine engine)
    {
        GcPauses.Watch();
        SharedAnswer<byte[]> answer = new(() => Encoding.UTF8.GetBytes(Write(engine)), bytes => bytes.Length, TimeProvider.System);
        app.MapMethods("/metrics", ["GET", "HEAD"], Gate.Handle(context => AnswerAsync(context, answer.Get())))
            .WithName("metrics").WithSummary("Counters in the text format that Prometheus reads.").Produces<string>(200, "text/plain");
    }

    /// <summary>Answers with a text of metrics. The server without storage in the benchmarks uses this too.</summary>
    public static Task AnswerAsync(HttpContext context, byte[] text)
    {
        context.Response.Headers.CacheControl = "no-store";
        return LargeAnswers.SendAsync(context, 200, "text/plain; version=0.0.4; charset=utf-8", text);
    }

    private static string Write(Engine engine)
    {
        StringBuilder text = new();
        text.AppendMetric("tlog_entries_total", "counter", $"{engine.Size}");
        text.AppendMetric("tlog_signed_size", "gauge", $"{engine.Publisher.SignedSize}");
        text.AppendMetric("tlog_published_size", "gauge", $"{engine.Publisher.Current?.Size ?? 0}");
        text.AppendMetric("tlog_waiting_appends", "gauge", $"{engine.Waiting}");
        (long frames, long bytes) = engine.Journalled;
        text.AppendMetric("tlog_journal_frames_total", "counter", $"{frames}");
        text.AppendMetric("tlog_journal_bytes_total", "counter", $"{bytes}");
        DuplicateCounters duplicates = engine.Duplicates.Counters;
        text.AppendMetric("tlog_duplicates_answered_total", "counter", $"{duplicates.Answered}");
        text.AppendMetric("tlog_duplicates_unread_total", "counter", $"{duplicates.Unread}");
        text.AppendMetric("tlog_duplicates_remembered", "gauge", $"{duplicates.Remembered}");
        text.AppendMetric("tlog_duplicates_forgotten_total", "counter", $"{duplicates.Forgotten}");
        text.AppendMetric("tlog_halted", "gauge", $"{(engine.HasStopped ? 1 : 0)}");
        text.AppendMetric("tlog_clock_right", "gauge", $"{(engine.Clock.Trouble is null ? 1 : 0)}");
        text.AppendMetric("tlog_disk_free_bytes", "gauge", $"{engine.Space.Free}");
        text.AppendMetric("tlog_disk_reserve_bytes", "gauge", $"{engine.Space.Reserve}");
        ScrubStatus scrub = engine.Scrub.Status;
        text.AppendMetric("tlog_scrub_entries", "gauge", $"{scrub.Entries}");
        text.AppendMetric("tlog_scrub_passes_total", "counter", $"{scrub.Passes}");
        text.AppendMetric("tlog_scrub_last_clean_timestamp_seconds", "gauge", $"{scrub.LastClean?.ToUnixTimeSeconds() ?? 0}");
        text.AppendMetric("tlog_scrub_damaged", "gauge", $"{(scrub.Damage is null ? 0 : 1)}");
        StatusEndpoint.WriteMetrics(text, engine.Publisher);
        text.Append("# TYPE tlog_state gauge\n");
        foreach (EngineState state in Enum.GetValues<EngineState>())
        {
            text.Append("tlog_state{state=\"").Append(HealthEndpoints.Word(state)).Append("\"} ").Append(engine.State == state ? '1' : '0').Append('\n');
        }

        text.AppendMetric("tlog_log_lines_dropped_total", "counter", $"{StandardStreams.Error.Dropped}");
        engine.Webhooks.WriteMetrics(text);
        ProcessMetrics.Write(text);
        return text.ToString();
    }
}
