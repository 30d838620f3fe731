// What becomes of a directory when one bit of one of its files is not what was written. Used by the tests of the server and of the witness.

using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests;

/// <summary>What happened to one flip.</summary>
internal enum FlipVerdict
{
    /// <summary>Opening wrote the byte anew from what is kept elsewhere, and everything served is as before.</summary>
    Repaired,

    /// <summary>An exception that names the place: at the start, or for whoever asks for what is damaged.</summary>
    Refused,

    /// <summary>Everything served is as before, and fsck names the place.</summary>
    Reported,

    /// <summary>Everything served is as before, and nobody reads the byte, or it is for people only.</summary>
    Harmless,

    /// <summary>Something else was served, without an error. The one that must not be.</summary>
    Silent,
}

/// <summary>Counts, file by file. Thread-safe.</summary>
internal sealed class FlipTable
{
    private readonly SortedDictionary<string, int[]> _counts = new(StringComparer.Ordinal); // guarded by itself

    /// <summary>The flips that were silent, and how: file, offset, bit, difference.</summary>
    public List<string> Silent { get; } = [];

    public int Count(FlipVerdict verdict)
    {
        lock (_counts) return _counts.Values.Sum(counts => counts[(int)verdict]);
    }

    public int Count(string row, FlipVerdict verdict)
    {
        lock (_counts) return _counts[row][(int)verdict];
    }

    public int Total(string row)
    {
        lock (_counts) return _counts[row].Sum();
    }

    public void Add(string row, FlipVerdict verdict, string where)
    {
        lock (_counts)
        {
            if (!_counts.TryGetValue(row, out int[]? counts)) _counts.Add(row, counts = new int[5]);
            counts[(int)verdict]++;
            if (verdict == FlipVerdict.Silent) Silent.Add(where);
        }
    }

    /// <summary>A table in Markdown, a row for each file; also appended to the file that DEVTLOG_FLIPS_TABLE names.</summary>
    public string Write()
    {
        StringBuilder text = new();
        text.Append("| file | flips | repaired | refused | reported | harmless | silent |\n|---|---:|---:|---:|---:|---:|---:|\n");
        lock (_counts)
        {
            foreach ((string row, int[] counts) in _counts)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {row} | {counts.Sum()} | {string.Join(" | ", counts.Select(count => count.ToString(CultureInfo.InvariantCulture)))} |\n");
            }
        }

        if (Environment.GetEnvironmentVariable("DEVTLOG_FLIPS_TABLE") is string path) File.AppendAllText(path, $"{text}\n");
        return text.ToString();
    }
}

/// <summary>A directory whose bytes are flipped in place and put back, one at a time.</summary>
/// <param name="root">The directory; everything below it is compared with how it was.</param>
/// <param name="table">Where the verdicts go.</param>
/// <param name="reports">Whether the check of the directory has something to say about it as it is now.</param>
internal sealed class FlippedDirectory(string root, FlipTable table, Func<Task<bool>> reports)
{
    private readonly Dictionary<string, byte[]> _originals = Directory
        .EnumerateFiles(root, "*", SearchOption.AllDirectories)
        .Where(path => Path.GetFileName(path) != "lock" && !path.EndsWith(".lock", StringComparison.Ordinal))
        .ToDictionary(path => Path.GetRelativePath(root, path), File.ReadAllBytes, StringComparer.Ordinal);

    /// <summary>Every flip, or a part that is quick.</summary>
    public static bool Full { get; } = Environment.GetEnvironmentVariable("DEVTLOG_FLIPS_FULL") == "1";

    public IEnumerable<string> Names => _originals.Keys;

    /// <summary>The newest file of the guard's row.</summary>
    public string NewestGuard => Names.Where(name => name.StartsWith("guard/", StringComparison.Ordinal) && name.Length > "guard/".Length + 64 + 20).Max(StringComparer.Ordinal)!;

    public ReadOnlyMemory<byte> this[string file] => _originals[file];

    /// <summary>One bit of every byte, the bit moving with the offset, or all eight.</summary>
    public static IEnumerable<(long Offset, int Bit)> Points(long from, long to, bool allBits, int step = 1)
    {
        for (long offset = from; offset < to; offset += step)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                if (allBits || bit == (offset / step) % 8) yield return (offset, bit);
            }
        }
    }

    /// <summary>
    /// Flips, looks, judges, puts back. <paramref name="look"/> answers what differs from what was served before, or null; what it throws is a refusal when it
    /// is one of ours and its message has one of <paramref name="names"/>, which are the ways in which the place may be named.
    /// </summary>
    public async Task<FlipVerdict> FlipAsync(string row, string file, long offset, int bit, Func<ValueTask<string?>> look, params string[] names)
    {
        string path = Path.Combine(root, file), where = string.Create(CultureInfo.InvariantCulture, $"{file}, offset {offset}, bit {bit}");
        byte good = _originals[file][offset], bad = (byte)(good ^ (1 << bit));
        Put(path, offset, bad);
        FlipVerdict verdict;
        try
        {
            if (await look() is string difference)
            {
                verdict = FlipVerdict.Silent;
                where += $": {difference}";
            }
            else
            {
                verdict = Get(path, offset) == good ? FlipVerdict.Repaired : await reports() ? FlipVerdict.Reported : FlipVerdict.Harmless;
            }
        }
        catch (Exception refusal) when (refusal is StorageException or KeyFileException)
        {
            Assert.True(names.Any(name => refusal.Message.Contains(name, StringComparison.Ordinal)), $"{where}: the refusal names no place: {refusal.Message}");
            Assert.True(Get(path, offset) == bad, $"{where}: refused, and written to all the same");
            verdict = FlipVerdict.Refused;
        }
        catch (Exception other)
        {
            throw new InvalidOperationException($"{where}: {other.Message}", other);
        }

        Put(path, offset, good);
        table.Add(row, verdict, where);
        return verdict;
    }

    /// <summary>Putting the byte back has put everything back: otherwise what was judged is not what was flipped.</summary>
    public void AssertWhole()
    {
        string[] now = [.. Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories).Where(path => Path.GetFileName(path) != "lock" && !path.EndsWith(".lock", StringComparison.Ordinal)).Select(path => Path.GetRelativePath(root, path))];
        Assert.Equal(_originals.Keys.Order(StringComparer.Ordinal), now.Order(StringComparer.Ordinal));
        foreach ((string file, byte[] bytes) in _originals) Assert.True(File.ReadAllBytes(Path.Combine(root, file)).AsSpan().SequenceEqual(bytes), file);
    }

    private static void Put(string path, long offset, byte value)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        RandomAccess.Write(file, [value], offset);
    }

    private static byte Get(string path, long offset)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        Span<byte> value = stackalloc byte[1];
        Assert.Equal(1, RandomAccess.Read(file, value, offset));
        return value[0];
    }
}
