using System.Diagnostics;
using System.Security.Cryptography;

namespace TransparencyLog.Bench;

/// <summary>The limit of hashing: one stream of SHA-256 on one core.</summary>
internal static class HashLimit
{
    public static string Measure(TimeSpan time)
    {
        byte[] block = new byte[8192];
        Span<byte> hash = stackalloc byte[32];
        long start = Stopwatch.GetTimestamp(), bytes = 0;
        while (Stopwatch.GetElapsedTime(start) < time)
        {
            for (int i = 0; i < 1000; i++) SHA256.HashData(block, hash);
            bytes += 1000L * block.Length;
        }

        return FormattableString.Invariant($"{bytes / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e6:F0}");
    }
}
