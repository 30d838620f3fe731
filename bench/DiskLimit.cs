using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Bench;

/// <summary>The limit of the disk for a journal: one write and one data sync after the other, into a file of zeros.</summary>
internal static partial class DiskLimit
{
    private const int FileBytes = 64 * 1024 * 1024;

    public static string Measure(string directory, int bytes, TimeSpan time)
    {
        string path = Path.Combine(directory, "disk-limit");
        try
        {
            using SafeFileHandle file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite);
            RandomAccess.Write(file, new byte[FileBytes], 0);
            Sync(file);
            byte[] block = new byte[bytes];
            Random.Shared.NextBytes(block);
            List<double> microseconds = [];
            long start = Stopwatch.GetTimestamp(), offset = 0;
            while (Stopwatch.GetElapsedTime(start) < time)
            {
                long one = Stopwatch.GetTimestamp();
                RandomAccess.Write(file, block, offset);
                Sync(file);
                microseconds.Add(Stopwatch.GetElapsedTime(one).TotalMicroseconds);
                offset = offset + (2 * bytes) <= FileBytes ? offset + bytes : 0;
            }

            double elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
            return FormattableString.Invariant($"{microseconds.Count / elapsed:F0} {Percentile.Of(microseconds, 50):F0} {Percentile.Of(microseconds, 99):F0}");
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static void Sync(SafeFileHandle file)
    {
        if (fdatasync(file) != 0) throw new IOException($"fdatasync: errno {Marshal.GetLastPInvokeError()}");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(SafeFileHandle file);
}

/// <summary>Nearest-rank percentiles.</summary>
internal static class Percentile
{
    public static double Of(List<double> values, double percent)
    {
        values.Sort();
        return values.Count == 0 ? 0 : values[Math.Clamp((int)Math.Ceiling(values.Count * percent / 100) - 1, 0, values.Count - 1)];
    }
}
