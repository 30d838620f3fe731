using System.Diagnostics;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using TransparencyLog.Signing;

namespace TransparencyLog.Bench;

/// <summary>What one write and one data sync after the other reach.</summary>
internal sealed record DiskFigures(double SyncsPerSecond, double MedianMicroseconds, double P99Microseconds, double BytesPerSecond);

/// <summary>What this machine gives, measured beside what we make of it.</summary>
internal static class Limits
{
    private const int FileBytes = 64 * 1024 * 1024; // a file of the journal

    /// <summary>The limit of the disk for a journal: one write and one data sync after the other, into a file of zeros.</summary>
    public static DiskFigures Disk(string directory, int bytes, TimeSpan time)
    {
        string path = Path.Combine(directory, "disk-limit");
        try
        {
            using SafeFileHandle file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite);
            RandomAccess.Write(file, new byte[FileBytes], 0);
            Native.SyncData(file);
            byte[] block = new byte[bytes];
            Random.Shared.NextBytes(block);
            List<double> microseconds = [];
            long start = Stopwatch.GetTimestamp(), offset = 0;
            while (Stopwatch.GetElapsedTime(start) < time)
            {
                long one = Stopwatch.GetTimestamp();
                RandomAccess.Write(file, block, offset);
                Native.SyncData(file);
                microseconds.Add(Stopwatch.GetElapsedTime(one).TotalMicroseconds);
                offset = offset + (2 * bytes) <= FileBytes ? offset + bytes : 0;
            }

            double elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
            return new DiskFigures(microseconds.Count / elapsed, Percentile.Of(microseconds, 50), Percentile.Of(microseconds, 99), microseconds.Count * (double)bytes / elapsed);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Forgets what memory holds of a directory's files; the next reader gets them from the disk. Returns their bytes.</summary>
    public static long Evict(string directory)
    {
        long bytes = 0;
        foreach (string path in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
        {
            using SafeFileHandle file = File.OpenHandle(path);
            Native.Evict(file);
            bytes += RandomAccess.GetLength(file);
        }

        return bytes;
    }

    /// <summary>Reads every file of a directory once, from its beginning to its end. Bytes a second.</summary>
    public static double ReadAll(string directory)
    {
        byte[] buffer = new byte[1024 * 1024];
        long start = Stopwatch.GetTimestamp(), bytes = 0;
        foreach (string path in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
        {
            using SafeFileHandle file = File.OpenHandle(path, options: FileOptions.SequentialScan);
            long at = 0;
            for (int read; (read = RandomAccess.Read(file, buffer, at)) > 0; at += read) { }
            bytes += at;
        }

        return bytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>The limit of hashing: one stream of SHA-256 on one core, over blocks of 8 KiB. Bytes a second.</summary>
    public static double Hash(TimeSpan time)
    {
        byte[] block = new byte[8192];
        Span<byte> hash = stackalloc byte[32];
        long start = Stopwatch.GetTimestamp(), bytes = 0;
        while (Stopwatch.GetElapsedTime(start) < time)
        {
            for (int i = 0; i < 1000; i++) SHA256.HashData(block, hash);
            bytes += 1000L * block.Length;
        }

        return bytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>The limit of a witness: what it has to sign and verify for a checkpoint (the log's line; its own, and those again), on all cores. Checkpoints a second.</summary>
    /// <param name="time">How long.</param>
    /// <param name="keys">1 for Ed25519 alone, 2 for ML-DSA-44 as well.</param>
    public static double Cosignatures(TimeSpan time, int keys)
    {
        byte[] text = new Checkpoint("bench.example/limit", 1000, MerkleHash.Leaf("limit"u8)).ToText();
        long[] done = new long[Environment.ProcessorCount];
        long start = Stopwatch.GetTimestamp();
        Parallel.For(0, done.Length, new ParallelOptions { MaxDegreeOfParallelism = done.Length }, core =>
        {
            using Ed25519PrivateKey log = Ed25519PrivateKey.Generate(), witness = Ed25519PrivateKey.Generate();
            NoteSigner signer = new("bench.example/limit", log);
            using MlDsa44PrivateKey quantum = MlDsa44PrivateKey.Generate();
            ICosigner[] cosigners = [.. ((ICosigner[])[new Cosigner("witness.example/limit", witness), new MlDsa44Cosigner("witness.example/limit", quantum)]).Take(keys)];
            INoteVerifier verifier = Verifiers.TryCreate(signer.Key)!;
            NoteSignature line = signer.Sign(text);
            for (; Stopwatch.GetElapsedTime(start) < time; done[core]++)
            {
                if (!verifier.Verify(text, line.Signature.Span)) throw new CryptographicException("a good signature does not verify");
                foreach (ICosigner cosigner in cosigners) cosigner.Cosign(text, 1); // signs, and verifies what it has made
            }
        });
        return done.Sum() / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}

/// <summary>Nearest-rank percentiles.</summary>
internal static class Percentile
{
    public static double Of(IReadOnlyCollection<double> values, double percent)
    {
        if (values.Count == 0) return double.NaN;
        double[] sorted = [.. values.Order()];
        return sorted[Math.Clamp((int)Math.Ceiling(sorted.Length * percent / 100) - 1, 0, sorted.Length - 1)];
    }

    public static double Median(IReadOnlyCollection<double> values) => Of(values, 50);
}
