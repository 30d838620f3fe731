using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>A frame whose writing was interrupted is cut, and nothing else is lost (D-03, D-16).</summary>
public sealed class JournalTornTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task D03_a_last_frame_torn_at_any_byte_is_cut_and_the_rest_is_there()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        int size = image.End - image.LastStart;
        SortedSet<int> kept = [1, 7, 8, 9, 59, 60, 61, 62, 63, 64, 65, 100, 511, 512, 513];
        for (int k = 97; k < size; k += 97) kept.Add(k);
        int written = image.Bytes.AsSpan(0, image.End).LastIndexOfAnyExcept((byte)0) + 1 - image.LastStart;
        foreach (int k in (int[])[written - 1, written - 2, written - 3, written - 4, written - 5, written - 8, written - 9]) kept.Add(k);
        foreach (int k in kept.Where(k => k < written))
        {
            image.Write(bytes => bytes.AsSpan(image.LastStart + k).Clear());
            await image.CutAsync($"torn behind {k} bytes");
        }
    }

    [Fact]
    public async Task D16_a_last_frame_that_is_whole_on_disk_is_taken_in_answered_or_not()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        int written = image.Bytes.AsSpan(0, image.End).LastIndexOfAnyExcept((byte)0) + 1;
        image.Write(bytes => bytes.AsSpan(written).Clear());
        await using Journal journal = Journal.Open(image.Folder, Options, 0);
        Assert.Null(journal.Cut);
        Holds(journal, image.Entries);
    }

    [Fact]
    public async Task D03_nothing_of_the_last_frame_written_is_no_frame_and_nothing_to_cut()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        image.Write(bytes => bytes.AsSpan(image.LastStart).Clear());
        await using Journal journal = Journal.Open(image.Folder, Options, 0);
        Assert.Null(journal.Cut);
        Holds(journal, image.Entries[..image.EntriesBeforeLast]);
    }

    [Fact]
    public async Task D04_any_sectors_of_the_last_frame_missing_is_torn()
    {
        // A disk may write sectors in any order: every set of missing ones, among those that hold anything.
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        int[] sectors = [.. Enumerable.Range(0, (image.End - image.LastStart) / 512)
            .Select(i => image.LastStart + (i * 512))
            .Where(offset => image.Bytes.AsSpan(offset, 512).IndexOfAnyExcept((byte)0) >= 0)];
        Assert.InRange(sectors.Length, 4, 7);
        for (int missing = 1; missing < (1 << sectors.Length) - 1; missing++)
        {
            image.Write(bytes =>
            {
                for (int i = 0; i < sectors.Length; i++)
                {
                    if ((missing >> i & 1) != 0) bytes.AsSpan(sectors[i], 512).Clear();
                }
            });
            await image.CutAsync($"sectors {missing:b} missing");
        }
    }

    [Fact]
    public async Task D15_a_torn_frame_below_the_signed_size_is_damage_because_it_was_durable()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        image.Write(bytes => bytes.AsSpan(image.LastStart + 700).Clear());
        image.RefusedAt(image.LastStart, "signed", signed: image.EntriesBeforeLast + 1);
        image.RefusedAt(image.LastStart, "signed", signed: image.Entries.Count);
        await image.CutAsync("not signed");
    }

    [Fact]
    public async Task D02_a_cut_that_was_interrupted_is_a_cut_again()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        for (int zeroed = 512; zeroed < image.End - image.LastStart; zeroed += 512)
        {
            image.Write(bytes =>
            {
                bytes.AsSpan(image.End - 600).Clear();
                bytes.AsSpan(image.LastStart, zeroed).Clear();
            });
            if (image.Bytes.AsSpan(image.LastStart + zeroed, Math.Max(0, image.End - 600 - image.LastStart - zeroed)).IndexOfAnyExcept((byte)0) < 0) break;
            await image.CutAsync($"{zeroed} bytes zeroed");
        }
    }

    [Fact]
    public async Task D02_D03_a_cut_that_stopped_at_any_byte_is_a_cut_again()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        int stopped = 0;
        foreach (int kept in new[] { 8, 63, 64, 513, image.End - image.LastStart - 600 })
        {
            foreach (int bytes in new[] { 0, 1, 100, 511, 513 })
            {
                for (int write = 1, before = -1; before < stopped; write++)
                {
                    before = stopped;
                    image.Write(all => all.AsSpan(image.LastStart + kept).Clear());
                    int writes = 0;
                    using (FaultScope.On(image.Folder, (call, _) => call != "pwrite" || ++writes < write ? FaultScope.None
                        : writes == write && bytes > 0 ? new FaultAct(FaultKind.Short, bytes) : FaultScope.Fail(FaultScope.Io)))
                    {
                        try
                        {
                            await using Journal journal = Journal.Open(image.Folder, Options, image.EntriesBeforeLast);
                        }
                        catch (StorageException failure)
                        {
                            Assert.True(failure.Errno == FaultScope.Io, $"{kept} bytes kept, write {write} stopped after {bytes}: {failure.Message}");
                            stopped++;
                        }
                    }

                    await using Journal again = Journal.Open(image.Folder, Options, image.EntriesBeforeLast);
                    Assert.Equal(image.EntriesBeforeLast, again.NextIndex);
                    Assert.True((await File.ReadAllBytesAsync(image.File)).AsSpan(image.LastStart).IndexOfAnyExcept((byte)0) < 0);
                }
            }
        }

        Assert.True(stopped > 200, $"{stopped}");
    }

    [Fact]
    public async Task A_torn_first_frame_of_a_file_leaves_the_journal_in_the_file_before()
    {
        string folder = _scratch["journal"];
        Journal.Create(folder, Options);
        List<byte[]> entries = [];
        byte[][] frame = [.. Enumerable.Range(0, 16).Select(i => Entry(new Random(i), 65_000))];
        await using (Journal journal = Journal.Open(folder, Options, 0))
        {
            for (int i = 0; i < 5; i++)
            {
                await AppendAsync(journal, frame);
                entries.AddRange(frame);
            }
        }

        string second = Path.Combine(folder, "000000000002");
        Scratch.Overwrite(second, 500_000, new byte[600_000]);
        await using (Journal journal = Journal.Open(folder, Options, 0))
        {
            Assert.Contains($"{second}, offset 0", journal.Cut, StringComparison.Ordinal);
            Assert.False(File.Exists(second));
            entries.RemoveRange(64, 16);
            Holds(journal, entries);
            await AppendAsync(journal, frame);
            entries.AddRange(frame);
            Holds(journal, entries);
        }

        await using Journal again = Journal.Open(folder, Options, 0);
        Holds(again, entries);
    }

    [Fact]
    public async Task A_torn_first_frame_of_a_new_journal_leaves_it_empty()
    {
        string folder = _scratch["journal"];
        Journal.Create(folder, Options);
        await using (Journal journal = Journal.Open(folder, Options, 0)) await AppendAsync(journal, Entry(new Random(1), 3000));
        Scratch.Overwrite(Path.Combine(folder, "000000000001"), 1000, new byte[3000]);
        await using Journal again = Journal.Open(folder, Options, 0);
        Assert.NotNull(again.Cut);
        Holds(again, []);
        Assert.Equal(0, await AppendAsync(again, [9]));
    }

    [Fact]
    public async Task Opening_writes_what_is_not_signed_anew_and_leaves_the_same_bytes()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        foreach (int signed in (int[])[0, 1, image.Indexes[1], image.Indexes[2] + 5, image.EntriesBeforeLast, image.Entries.Count])
        {
            List<string> written = [];
            using (FaultScope.Watch(image.Folder, (call, path) =>
            {
                if (call is "pwrite" or "fdatasync") written.Add(call);
            }))
            {
                await using Journal journal = Journal.Open(image.Folder, Options, signed);
                Holds(journal, image.Entries);
            }

            // One write and one sync for all of them, since they lie behind each other in one file; then the zeros behind them.
            string[] zeros = ["pwrite", "fdatasync"];
            Assert.Equal(signed < image.Entries.Count ? ["pwrite", "fdatasync", .. zeros] : zeros, written);
            Assert.Equal(image.Bytes, await File.ReadAllBytesAsync(image.File));
        }
    }
}
