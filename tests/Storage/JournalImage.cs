using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>
/// A journal of four frames in one file, and its bytes, to be damaged in every way. The last frame has what makes verdicts hard: entries of
/// zeros that fill whole sectors, entries that end in zeros, random ones.
/// </summary>
internal sealed class JournalImage
{
    private readonly Scratch _scratch;

    private JournalImage(Scratch scratch) => _scratch = scratch;

    public string Folder => _scratch["journal"];

    public string File => Path.Combine(Folder, "000000000001");

    public List<byte[]> Entries { get; } = [];

    /// <summary>Where each frame begins, and behind them where the next would.</summary>
    public List<int> Starts { get; } = [0];

    /// <summary>The index of the first entry of each frame, and the next index.</summary>
    public List<int> Indexes { get; } = [0];

    public byte[] Bytes { get; private set; } = [];

    public int LastStart => Starts[^2];

    public int End => Starts[^1];

    public int EntriesBeforeLast => Indexes[^2];

    public static async Task<JournalImage> CreateAsync(Scratch scratch)
    {
        JournalImage image = new(scratch);
        Random random = new(20);
        byte[] endsInZeros = [.. Entry(random, 300), .. new byte[700]];
        byte[][][] frames =
        [
            [Entry(random, 10), new byte[600], Entry(random, 900)],
            [Entry(random, 1), []],
            [.. Enumerable.Range(0, 300).Select(i => Entry(random, i % 5))],
            [Entry(random, 700), new byte[2000], Entry(random, 40), endsInZeros, Entry(random, 900), new byte[20]],
        ];
        Journal.Create(image.Folder, Options);
        await using (Journal journal = Journal.Open(image.Folder, Options, 0))
        {
            foreach (byte[][] frame in frames)
            {
                await AppendAsync(journal, frame);
                image.Entries.AddRange(frame);
                int bytes = 64 + frame.Sum(entry => entry.Length + 2) + 8;
                image.Starts.Add(image.Starts[^1] + ((bytes + 511) / 512 * 512));
                image.Indexes.Add(image.Entries.Count);
            }
        }

        image.Bytes = await System.IO.File.ReadAllBytesAsync(image.File);
        Assert.True(image.Bytes.AsSpan(image.End).IndexOfAnyExcept((byte)0) < 0);
        Assert.True(image.Bytes.AsSpan(image.End - 512, 512).IndexOfAnyExcept((byte)0) >= 0);
        return image;
    }

    /// <summary>The file as it was, but for these changes.</summary>
    public void Write(Action<byte[]> change)
    {
        byte[] bytes = [.. Bytes];
        change(bytes);
        System.IO.File.WriteAllBytes(File, bytes);
    }

    /// <summary>Opening and inspecting both refuse with damage in this file at this offset, and change nothing.</summary>
    public DamageException RefusedAt(int offset, string because, long signed = 0)
    {
        byte[] before = System.IO.File.ReadAllBytes(File);
        DamageException damage = Refused(() => Journal.Open(Folder, Options, signed), because);
        Assert.True(damage.Message.Contains($"{File}, offset {offset}:", StringComparison.Ordinal), $"{because}: {damage.Message}");
        Assert.True(before.AsSpan().SequenceEqual(System.IO.File.ReadAllBytes(File)), $"a refused journal was changed: {because}");
        return damage;
    }

    public static DamageException Refused(Action open, string because)
    {
        try
        {
            open();
        }
        catch (DamageException damage)
        {
            return damage;
        }

        throw Xunit.Sdk.FailException.ForFailure($"not refused: {because}");
    }

    /// <summary>
    /// Opening cuts the last frame: everything before it is there, zeros lie behind, the index goes on, and so does appending.
    /// </summary>
    public async Task CutAsync(string because)
    {
        List<byte[]> entries = Entries[..EntriesBeforeLast];
        Assert.Equal(entries.Count, Journal.Inspect(Folder, Options, _ => { }));
        await using (Journal journal = Journal.Open(Folder, Options, entries.Count))
        {
            Assert.True(journal.Cut is not null, because);
            Assert.Contains($"{File}, offset {LastStart}", journal.Cut, StringComparison.Ordinal);
            Holds(journal, entries, 0, because);
            Assert.True(System.IO.File.ReadAllBytes(File).AsSpan(LastStart).IndexOfAnyExcept((byte)0) < 0, because);
            entries.Add([1, 2, 3]);
            Assert.Equal(entries.Count - 1, await AppendAsync(journal, entries[^1]));
        }

        await using Journal again = Journal.Open(Folder, Options, 0);
        Assert.Null(again.Cut);
        Holds(again, entries, 0, because);
    }
}
