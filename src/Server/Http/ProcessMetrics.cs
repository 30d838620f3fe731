using System.Globalization;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Server.Http;

/// <summary>Metrics of any server process, in the text format that Prometheus reads: memory, collections, disk.</summary>
internal static class ProcessMetrics
{
    public static StringBuilder AppendMetric(this StringBuilder text, string name, string type, FormattableString value) =>
        text.Append("# TYPE ").Append(name).Append(' ').Append(type).Append('\n').Append(name).Append(' ').Append(value.ToString(CultureInfo.InvariantCulture)).Append('\n');

    public static void Write(StringBuilder text)
    {
        DiskUse disk = DiskUse.OfProcess;
        text.Append("# TYPE tlog_syncs_total counter\n")
            .Append(CultureInfo.InvariantCulture, $"tlog_syncs_total{{call=\"fdatasync\"}} {disk.DataSyncs}\n")
            .Append(CultureInfo.InvariantCulture, $"tlog_syncs_total{{call=\"fsync\"}} {disk.Syncs}\n");
        text.AppendMetric("tlog_written_bytes_total", "counter", $"{disk.BytesWritten}");
        text.AppendMetric("dotnet_allocated_bytes_total", "counter", $"{Allocations.Total}");
        text.Append("# TYPE dotnet_gc_collections_total counter\n");
        for (int generation = 0; generation <= GC.MaxGeneration; generation++)
        {
            text.Append(CultureInfo.InvariantCulture, $"dotnet_gc_collections_total{{generation=\"{generation}\"}} {GC.CollectionCount(generation)}\n");
        }

        text.AppendMetric("dotnet_gc_pause_seconds_total", "counter", $"{GC.GetTotalPauseDuration().TotalSeconds:F6}");
        text.AppendMetric("dotnet_gc_pause_max_seconds", "gauge", $"{GcPauses.Longest.TotalSeconds:F6}");
        text.AppendMetric("process_cpu_seconds_total", "counter", $"{Environment.CpuUsage.TotalTime.TotalSeconds:F3}");
        text.AppendMetric("process_resident_memory_bytes", "gauge", $"{Environment.WorkingSet}");
        text.AppendMetric("process_threads", "gauge", $"{Directory.GetDirectories("/proc/self/task").Length}");
        text.AppendMetric("process_open_fds", "gauge", $"{Directory.GetFileSystemEntries("/proc/self/fd").Length}");
    }
}

/// <summary>
/// Bytes allocated since the start. The runtime's fast count was seen to run ahead by gigabytes, and then to stand still until the true count had caught up.
/// The exact count stops every thread for a moment, so frequent callers get the last result again.
/// </summary>
internal static class Allocations
{
    private static readonly TimeSpan Fresh = TimeSpan.FromMilliseconds(500);
    private static readonly Lock Counting = new();
    private static long _total, _counted; // guarded by Counting

    public static long Total
    {
        get
        {
            lock (Counting)
            {
                if (_total > 0 && TimeProvider.System.GetElapsedTime(_counted) < Fresh) return _total;
                (_total, _counted) = (GC.GetTotalAllocatedBytes(precise: true), TimeProvider.System.GetTimestamp());
                return _total;
            }
        }
    }
}

/// <summary>
/// The longest pause of a garbage collection. The runtime keeps only the pauses of the last collection, so an unreferenced object reads them after each: its
/// finalizer runs, and creates the next such object.
/// </summary>
internal static class GcPauses
{
    private static long _longest;

    public static TimeSpan Longest => new(Interlocked.Read(ref _longest));

    public static void Watch() => _ = new Sentinel();

    private static void Look()
    {
        foreach (TimeSpan pause in GC.GetGCMemoryInfo(GCKind.Any).PauseDurations)
        {
            // One writer: the finalizer thread.
            if (pause.Ticks > Interlocked.Read(ref _longest)) Interlocked.Exchange(ref _longest, pause.Ticks);
        }
    }

    private sealed class Sentinel
    {
#pragma warning disable MA0055 // this class exists to be finalized by the collector
        ~Sentinel()
        {
            Look();
            if (!Environment.HasShutdownStarted) Watch();
        }
#pragma warning restore MA0055
    }
}
