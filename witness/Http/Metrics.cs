using System.Globalization;
using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness.Http;

/// <summary>Counts answers by their status. Safe for concurrent use.</summary>
internal sealed class StatusCounter
{
    private const int Statuses = 600;
    private readonly long[] _answers = new long[Statuses];

    /// <summary>Counts one answer with this status.</summary>
    public void Count(int status) => Interlocked.Increment(ref _answers[status]);

    /// <summary>Writes a counter for each status that has occurred.</summary>
    public void Write(StringBuilder text, string name)
    {
        text.Append(CultureInfo.InvariantCulture, $"# TYPE {name} counter\n");
        for (int status = 0; status < Statuses; status++)
        {
            if (Interlocked.Read(ref _answers[status]) is > 0 and long count) text.Append(CultureInfo.InvariantCulture, $"{name}{{status=\"{status}\"}} {count}\n");
        }
    }
}

/// <summary>Metrics in the text format of Prometheus. Labels come from a fixed set, so no request can create a new series.</summary>
internal sealed class Metrics(CheckpointWitness witness, WitnessedLogs logs, LogLists lists, EvidenceWebhooks webhooks)
{
    /// <summary>Answers to add-checkpoint.</summary>
    public StatusCounter AddCheckpoint { get; } = new();

    /// <summary>Answers to sign-subtree.</summary>
    public StatusCounter SignSubtree { get; } = new();

    /// <summary>Writes all metrics.</summary>
    public string Write()
    {
        StringBuilder text = new();
        Gauge(text, "tlog_witness_halted", witness.Halted is null ? 0 : 1);
        Gauge(text, "tlog_witness_logs", logs.All.Count);
        Gauge(text, "tlog_witness_clock_right", witness.Clock.State == ClockState.Right ? 1 : 0);
        Gauge(text, "tlog_witness_logs_waiting_for_clock", witness.Waiting().Count());
        AddCheckpoint.Write(text, "tlog_witness_add_checkpoint_total");
        SignSubtree.Write(text, "tlog_witness_sign_subtree_total");
        text.Append("# TYPE tlog_witness_lists_total counter\n")
            .Append(CultureInfo.InvariantCulture, $"tlog_witness_lists_total{{result=\"read\"}} {lists.Reads}\n")
            .Append(CultureInfo.InvariantCulture, $"tlog_witness_lists_total{{result=\"failed\"}} {lists.Failures}\n");
        Gauge(text, "tlog_witness_lists_refused", lists.Refused);

        DiskUse disk = DiskUse.OfProcess;
        text.Append("# TYPE tlog_syncs_total counter\n")
            .Append(CultureInfo.InvariantCulture, $"tlog_syncs_total{{call=\"fdatasync\"}} {disk.DataSyncs}\n")
            .Append(CultureInfo.InvariantCulture, $"tlog_syncs_total{{call=\"fsync\"}} {disk.Syncs}\n");
        text.Append("# TYPE tlog_written_bytes_total counter\n").Append(CultureInfo.InvariantCulture, $"tlog_written_bytes_total {disk.BytesWritten}\n");

        WitnessedLog[] all = [.. logs.All.OrderBy(log => log.Origin, StringComparer.Ordinal)];
        text.Append("# TYPE tlog_witness_cosigned_size gauge\n");
        foreach (WitnessedLog log in all) text.Append(CultureInfo.InvariantCulture, $"tlog_witness_cosigned_size{{origin=\"{Label(log.Origin)}\"}} {log.Latest?.Checkpoint.Size ?? 0}\n");
        text.Append("# TYPE tlog_witness_refusals_total counter\n");
        foreach (WitnessedLog log in all)
        {
            foreach ((int status, _) in Refusals.Kinds)
            {
                if (log.Refusals.Of(status) is > 0 and long count) text.Append(CultureInfo.InvariantCulture, $"tlog_witness_refusals_total{{origin=\"{Label(log.Origin)}\",status=\"{status}\"}} {count}\n");
            }
        }

        text.Append("# TYPE tlog_log_lines_dropped_total counter\n").Append(CultureInfo.InvariantCulture, $"tlog_log_lines_dropped_total {StandardStreams.Error.Dropped}\n");
        webhooks.WriteMetrics(text);
        return text.ToString();
    }

    private static void Gauge(StringBuilder text, string name, long value) => text.Append(CultureInfo.InvariantCulture, $"# TYPE {name} gauge\n{name} {value}\n");

    private static string Label(string origin) => origin.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
}
