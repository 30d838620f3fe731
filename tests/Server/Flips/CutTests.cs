using System.Buffers.Binary;
using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>D-15 and O-04 by the whole engine: a file that is shorter than it was, or has a version that this program does not know.</summary>
public sealed class CutTests
{
    private const int Seed = 20_263;
    private static readonly int[] Steps = [300, 530];
    private static readonly string[] Cuttable = ["data/log", "data/commit", "data/heads", "data/journal/000000000001", "data/segments/commit", "data/segments/addresses", "data/segments/data.0", "data/tree/commit", "data/heartbeat", "data/clock-accepted", "data/distrusted"];

    [Fact]
    public async Task D15_a_file_cut_at_any_boundary_or_offset_is_refused_by_name_or_makes_no_difference()
    {
        using FlippedLog log = await FlippedLog.CreateAsync(Steps);
        Random random = new(Seed);
        int refused = 0, same = 0;
        foreach (string file in Cuttable)
        {
            byte[] bytes = log.Files[file].ToArray();
            IEnumerable<int> random40 = Enumerable.Range(0, FlippedDirectory.Full ? 400 : 20).Select(_ => random.Next(bytes.Length));
            foreach (int length in (int[])[0, 1, bytes.Length - 1, .. Boundaries(bytes), .. random40])
            {
                if (await IsRefusedAsync(log, file, bytes[..length])) refused++;
                else same++;
            }
        }

        Assert.InRange(refused, 100, int.MaxValue);
        Assert.InRange(same, 5, refused); // `commit`, whose place the history takes; zeros behind the last line or record
        log.Files.AssertWhole();
    }

    /// <summary>What an operator decided is one line each time: an emptied file is refused, and a list without its last lines decides less, so that the log waits for more.</summary>
    [Theory]
    [InlineData("clock-accepted", "tlog-clock v1")]
    [InlineData("distrusted", "tlog-head v1")]
    public async Task D15_decisions_of_operators_are_refused_when_they_are_cut_anywhere_but_between_lines(string name, string start)
    {
        using FlippedLog log = await FlippedLog.CreateAsync(Steps);
        byte[] bytes = log.Files[$"data/{name}"].ToArray();
        int second = bytes.AsSpan().LastIndexOf(Encoding.ASCII.GetBytes(start));
        Assert.InRange(second, 1, bytes.Length - 1);
        foreach (int length in (int[])[0, 1, second - 1, second + 1, bytes.Length - 1]) Assert.True(await IsRefusedAsync(log, $"data/{name}", bytes[..length]), $"{length} bytes");
        Assert.False(await IsRefusedAsync(log, $"data/{name}", bytes[..second]));
        log.Files.AssertWhole();
    }

    /// <summary>The journal keeps its length, and loses what was in it from a frame on: the entries are signed.</summary>
    [Fact]
    public async Task D15_a_journal_that_is_zeros_from_any_frame_on_is_refused_by_both_numbers()
    {
        using FlippedLog log = await FlippedLog.CreateAsync([100, 200, 300, 400]);
        const string File = "data/journal/000000000001";
        byte[] bytes = log.Files[File].ToArray();
        int[] frames = [.. Boundaries(bytes)];
        Assert.Equal(4, frames.Length);
        foreach ((int frame, int i) in frames.Select((frame, i) => (frame, i)))
        {
            byte[] cut = [.. bytes];
            cut.AsSpan(frame).Clear();
            string message = (await RefusalAsync(log, File, cut))!;
            Assert.Contains($"{100 * i} entries, but size 400 is signed", message, StringComparison.Ordinal);
        }

        log.Files.AssertWhole();
    }

    [Fact]
    public async Task O04_a_file_of_a_newer_version_is_refused_by_name_and_stays_as_it_is()
    {
        using FlippedLog log = await FlippedLog.CreateAsync(Steps);
        string guard = log.Files.NewestGuard;
        await NewerAsync("data/log", bytes => Replace(bytes, "tlog-directory v1", "tlog-directory v3"));
        await NewerAsync("data/heads", bytes => Heads(bytes));
        await NewerAsync(guard, bytes => Heads(bytes));
        await NewerAsync("data/segments/commit", bytes => Sum(Replace(bytes, "TLCMT001", "TLCMT002"), 0, bytes.Length));
        await NewerAsync("data/tree/commit", bytes => Sum(Replace(bytes, "TLCMT001", "TLCMT002"), 0, bytes.Length));
        await NewerAsync("data/distrusted", bytes => Heads(bytes));
        await NewerAsync("data/heartbeat", bytes => Encoding.ASCII.GetBytes(Newer(Encoding.ASCII.GetString(bytes).TrimEnd('\n'), "tlog-heartbeat v1", "tlog-heartbeat v2") + "\n"));
        await NewerAsync("data/clock-accepted", bytes => Encoding.ASCII.GetBytes(
            string.Concat(Encoding.ASCII.GetString(bytes).TrimEnd('\n').Split('\n').Select(line => Newer(line, "tlog-clock v1", "tlog-clock v2") + "\n"))));
        await NewerAsync("data/journal/000000000001", bytes => Sum(Replace(bytes, "TLJRNL01", "TLJRNL02"), 0, 60));
        await NewerAsync("data/segments/data.0", bytes =>
        {
            int record = bytes.AsSpan().LastIndexOf("TLR1"u8);
            "TLR2"u8.CopyTo(bytes.AsSpan(record));
            return Sum(bytes, record, BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(record - 4)));
        });
        log.Files.AssertWhole();

        async Task NewerAsync(string file, Func<byte[], byte[]> change) => Assert.True(await IsRefusedAsync(log, file, change(log.Files[file].ToArray())), file);

        // Every line, each with its CRC: what a newer program would leave.
        static byte[] Heads(byte[] bytes)
        {
            string text = Encoding.ASCII.GetString(bytes).TrimEnd('\0');
            StringBuilder newer = new();
            foreach (string line in text.TrimEnd('\n').Split('\n')) newer.Append(Newer(line, "tlog-head v1", "tlog-head v2")).Append('\n');

            Assert.Equal(text.Length, newer.Length);
            Encoding.ASCII.GetBytes(newer.ToString()).CopyTo(bytes, 0);
            return bytes;
        }

        static string Newer(string line, string from, string to)
        {
            string start = line[..^8].Replace(from, to, StringComparison.Ordinal);
            Assert.StartsWith(to, start, StringComparison.Ordinal);
            return start + Crc(Encoding.ASCII.GetBytes(start)).ToString("x8", System.Globalization.CultureInfo.InvariantCulture);
        }
    }

    /// <summary>Whether the engine refuses the directory with other bytes in one file; when it does not, it serves what it served.</summary>
    private static async Task<bool> IsRefusedAsync(FlippedLog log, string file, byte[] bytes) => await RefusalAsync(log, file, bytes) is not null;

    private static async Task<string?> RefusalAsync(FlippedLog log, string file, byte[] bytes)
    {
        string path = log.PathOf(file);
        await File.WriteAllBytesAsync(path, bytes);
        try
        {
            string? difference = await log.LookAtEngineAsync();
            Assert.True(difference is null, $"{file}, {bytes.Length} bytes: {difference}");
            return null;
        }
        catch (StorageException refusal)
        {
            Assert.Contains(file.Split('/')[1], refusal.Message, StringComparison.Ordinal);
            Assert.True((await File.ReadAllBytesAsync(path)).AsSpan().SequenceEqual(bytes), $"{file}: refused, and written to all the same");
            return refusal.Message;
        }
        finally
        {
            await File.WriteAllBytesAsync(path, log.Files[file].ToArray());
        }
    }

    /// <summary>Where frames, records, parts and lines begin.</summary>
    private static IEnumerable<int> Boundaries(byte[] bytes)
    {
        for (int i = 0; i + 8 <= bytes.Length; i++)
        {
            ReadOnlySpan<byte> rest = bytes.AsSpan(i);
            if (rest.StartsWith("TLJRNL01"u8) || rest.StartsWith("TLR1"u8) || rest.StartsWith("TLP1"u8) || (i > 0 && (rest.StartsWith("tlog-head v1"u8) || rest.StartsWith("tlog-clock v1"u8)))) yield return i;
        }
    }

    private static byte[] Replace(byte[] bytes, string from, string to)
    {
        int at = bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(from));
        Encoding.ASCII.GetBytes(to).CopyTo(bytes, at);
        return bytes;
    }

    /// <summary>Puts the CRC-32C of a range into its last four bytes.</summary>
    private static byte[] Sum(byte[] bytes, int from, int length)
    {
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(from + length - 4), Crc(bytes.AsSpan(from, length - 4)));
        return bytes;
    }

    private static uint Crc(ReadOnlySpan<byte> bytes) => FlippedLog.Crc(bytes);
}
