using System.Globalization;
using System.Text;
using TransparencyLog.Http;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness.Http;

/// <summary>Counters in the text format that Prometheus reads. Labels come from a fixed set: nothing a stranger sends makes a new series.</summary>
internal sealed class Metrics
{
    private const int Statuses = 600;
    private readonly long[] _answers = new long[Statuses];

    /// <summary>One add-checkpoint request was answered with this status.</summary>
    public void Count(int status) => Interlocked.Increment(ref _answers[status]);

    /// <summary>All of it.</summary>
    public string Write(bool halted, WitnessedLogs logs, EvidenceWebhooks webhooks)
    {
        StringBuilder text = new();
        text.Append("# TYPE tlog_witness_halted gauge\n").Append(CultureInfo.InvariantCulture, $"tlog_witness_halted {(halted ? 1 : 0)}\n");
        text.Append("# TYPE tlog_witness_logs gauge\n").Append(CultureInfo.InvariantCulture, $"tlog_witness_logs {logs.All.Count}\n");
        text.Append("# TYPE tlog_witness_add_checkpoint_total counter\n");
        for (int status = 0; status < Statuses; status++)
        {
            if (Interlocked.Read(ref _answers[status]) is > 0 and long count) text.Append(CultureInfo.InvariantCulture, $"tlog_witness_add_checkpoint_total{{status=\"{status}\"}} {count}\n");
        }

        DiskUse disk = DiskUse.OfProcess;
        text.Append("# TYPE tlog_syncs_total counter\n")
            .Append(CultureInfo.InvariantCulture, $"tlog_syncs_total{{call=\"fdatasync\"}} {disk.DataSyncs}\n")
            .Append(CultureInfo.InvariantCulture, $"tlog_syncs_total{{call=\"fsync\"}} {disk.Syncs}\n");
        text.Append("# TYPE tlog_written_bytes_total counter\n").Append(CultureInfo.InvariantCulture, $"tlog_written_bytes_total {disk.BytesWritten}\n");
        text.Append("# TYPE tlog_witness_cosigned_size gauge\n");
        foreach (WitnessedLog log in logs.All.OrderBy(log => log.Origin, StringComparer.Ordinal))
        {
            string origin = log.Origin.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
            text.Append(CultureInfo.InvariantCulture, $"tlog_witness_cosigned_size{{origin=\"{origin}\"}} {log.Latest?.Checkpoint.Size ?? 0}\n");
        }

        webhooks.WriteMetrics(text);
        return text.ToString();
    }
}
