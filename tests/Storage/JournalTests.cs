using System.Buffers;
using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>What the journal promises while nothing goes wrong.</summary>
public sealed class JournalTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly List<byte[]> _entries = [];

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["journal"];

    private Journal Open(long signed = 0) => Journal.Open(Folder, Options, signed);

    private async Task AppendAsync(Journal journal, params byte[][] entries)
    {
        Assert.Equal(_entries.Count, await JournalAssert.AppendAsync(journal, entries));
        _entries.AddRange(entries);
    }

    [Fact]
    public async Task A_new_journal_is_empty_and_starts_at_index_0()
    {
        Journal.Create(Folder, Options);
        await using Journal journal = Open();
        Assert.Equal(0, journal.FirstIndex);
        Assert.Equal(0, journal.NextIndex);
        Assert.Empty(journal.Read(0));
    }

    [Fact]
    public async Task Entries_keep_their_index_through_every_reopening()
    {
        Journal.Create(Folder, Options);
        Random random = new(1);
        for (int round = 0; round < 8; round++)
        {
            await using Journal journal = Open(signed: round % 2 == 0 ? 0 : _entries.Count);
            Holds(journal, _entries);
            for (int i = 0; i < round; i++) await AppendAsync(journal, Entry(random, i), [], Entry(random, 700 * round));
            Holds(journal, _entries);
            Holds(journal, _entries, _entries.Count / 2);
            Assert.Null(journal.Cut);
        }
    }

    [Theory]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(10_000)]
    public async Task A_frame_holds_more_entries_than_a_bundle_is_wide(int count)
    {
        Journal.Create(Folder, Options);
        byte[][] entries = [.. Enumerable.Range(0, count).Select(i => BitConverter.GetBytes(i))];
        await using (Journal journal = Open())
        {
            await AppendAsync(journal, entries);
            Holds(journal, _entries);
        }

        await using Journal again = Open();
        Holds(again, _entries);
    }

    [Fact]
    public async Task The_largest_frame_and_the_longest_entries_fit()
    {
        Journal.Create(Folder, Options);
        Random random = new(2);
        JournalFrame frame = new();
        int count = 0;
        byte[] longest = Entry(random, EntryBundle.MaxEntrySize);
        while (frame.TryAdd(longest))
        {
            _entries.Add(longest);
            count++;
        }

        byte[] rest = Entry(random, JournalFrame.MaxEntryBytes - frame.EntryBytes - 2);
        Assert.True(frame.TryAdd(rest));
        _entries.Add(rest);
        Assert.Equal(JournalFrame.MaxEntryBytes, frame.EntryBytes);
        Assert.False(frame.TryAdd([]));
        Assert.Equal(count + 1, frame.Count);

        await using (Journal journal = Open())
        {
            await journal.AppendAsync(frame, CancellationToken.None);
            Holds(journal, _entries);
        }

        await using Journal again = Open();
        Holds(again, _entries);
    }

    [Fact]
    public async Task An_append_costs_one_write_and_one_data_sync_behind_it()
    {
        Journal.Create(Folder, Options);
        await using Journal journal = Open();
        for (int i = 0; i < 20; i++)
        {
            long before = journal.Syncs;
            List<string> calls = [];
            using (FaultScope.Watch(Folder, (call, path) => calls.Add($"{call} {Path.GetFileName(path)}"))) await AppendAsync(journal, new byte[100 * i]);
            Assert.Equal(before + 1, journal.Syncs);
            Assert.Equal(["pwrite 000000000001", "fdatasync 000000000001"], calls);
        }
    }

    [Fact]
    public async Task A_frame_that_does_not_fit_goes_into_the_next_file()
    {
        Journal.Create(Folder, Options);
        Random random = new(3);
        await using (Journal journal = Open())
        {
            for (int i = 0; i < 40; i++) await AppendAsync(journal, [.. Enumerable.Range(0, 5).Select(_ => Entry(random, 60_000))]);
            Holds(journal, _entries);
            Holds(journal, _entries, 107);
        }

        Assert.Equal(["000000000001", "000000000002", "000000000003"], Directory.GetFiles(Folder).Select(Path.GetFileName).Order().Take(3));
        Assert.All(Directory.GetFiles(Folder), file => Assert.Equal(Options.FileBytes, new FileInfo(file).Length));
        await using Journal again = Open(150);
        Holds(again, _entries);
        await AppendAsync(again, [1]);
        Holds(again, _entries, 199);
    }

    [Fact]
    public async Task Trimming_removes_whole_files_only_and_never_what_is_still_needed()
    {
        Journal.Create(Folder, Options);
        Random random = new(4);
        await using (Journal journal = Open())
        {
            for (int i = 0; i < 60; i++) await AppendAsync(journal, [.. Enumerable.Range(0, 5).Select(_ => Entry(random, 60_000))]);
            for (long below = 0; below <= _entries.Count; below += 7)
            {
                await journal.TrimAsync(below, CancellationToken.None);
                Assert.InRange(journal.FirstIndex, 0, below);
                Assert.Equal(0, journal.FirstIndex % 65);
                Assert.InRange(Directory.GetFiles(Folder).Length, 1, 6);
                Holds(journal, _entries, below);
            }
        }

        await using Journal again = Open();
        Assert.Equal(260, again.FirstIndex);
        Holds(again, _entries, 260);
    }

    [Fact]
    public async Task Trimming_keeps_a_file_until_what_it_may_forget_reaches_into_the_next_one()
    {
        // The next index is told by what is stored. While the first frame of the second file is being written, everything
        // before it may be sealed and forgotten: with the first file gone and that frame torn, the index would start at 0 again.
        Journal.Create(Folder, Options);
        await using Journal journal = Open();
        byte[][] frame = [.. Enumerable.Repeat(new byte[65_000], 16)];
        for (int i = 0; i < 5; i++) await AppendAsync(journal, frame);
        await journal.TrimAsync(64, CancellationToken.None);
        Assert.Equal(0, journal.FirstIndex);
        await journal.TrimAsync(65, CancellationToken.None);
        Assert.Equal(64, journal.FirstIndex);
        Holds(journal, _entries, 64);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await journal.TrimAsync(_entries.Count + 1, CancellationToken.None));
    }

    [Fact]
    public async Task A_second_append_in_flight_is_misuse()
    {
        Journal.Create(Folder, Options);
        await using Journal journal = Open();
        JournalFrame first = new(), second = new();
        first.TryAdd([1]);
        second.TryAdd([2]);
        using ManualResetEventSlim started = new(), written = new();
        Task<long> append;
        using (FaultScope.On(Folder, (call, _) =>
        {
            if (call != "fdatasync") return FaultScope.None;
            started.Set();
            written.Wait();
            return FaultScope.None;
        }))
        {
            append = Task.Run(async () => await journal.AppendAsync(first, CancellationToken.None));
            Assert.True(started.Wait(TimeSpan.FromSeconds(20)));
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await journal.AppendAsync(second, CancellationToken.None));
            Assert.False(append.IsCompleted);
            written.Set();
            Assert.Equal(0, await append);
        }

        Assert.Equal(1, await journal.AppendAsync(second, CancellationToken.None));
    }

    [Fact]
    public async Task An_empty_frame_and_a_bundle_of_another_count_are_misuse()
    {
        Journal.Create(Folder, Options);
        await using Journal journal = Open();
        ArgumentException empty = await Assert.ThrowsAsync<ArgumentException>(async () => await journal.AppendAsync(new JournalFrame(), CancellationToken.None));
        Assert.StartsWith("a frame holds at least one entry", empty.Message, StringComparison.Ordinal);
        JournalFrame frame = new();
        Assert.Throws<ArgumentException>(() => frame.TryAddBundle([0, 1, 7, 0, 0], 1));
        Assert.Throws<ArgumentException>(() => frame.TryAddBundle([0, 1, 7, 0, 0], 3));
        Assert.Throws<ArgumentException>(() => frame.TryAddBundle([0, 1, 7, 0], 2));
        Assert.Equal(0, frame.Count);
        Assert.True(frame.TryAddBundle([0, 1, 7, 0, 0], 2));
        Assert.Equal(2, frame.Count);
        Assert.Equal(0, await journal.AppendAsync(frame, CancellationToken.None));
        Assert.Equal((1, 512), (journal.Syncs, journal.FrameBytes));
        JournalFrame full = new();
        byte[] bundle = [255, 255, .. new byte[65_535]];
        int count = 0;
        while (full.TryAddBundle(bundle, 1)) count++;
        Assert.Equal((31, 31), (count, full.Count));
        Assert.Equal(31 * bundle.Length, full.EntryBytes);
        _entries.AddRange([[7], []]);
        Holds(journal, _entries);
    }

    [Fact]
    public void A_journal_is_made_where_nothing_is_and_with_files_of_a_size_that_is_allowed()
    {
        JournalOptions odd = Options with { FileBytes = Options.FileBytes + 1 };
        Assert.Contains("a multiple of 4,096", Assert.Throws<ArgumentOutOfRangeException>(() => Journal.Create(Folder, odd)).Message, StringComparison.Ordinal);
        Journal.Create(Folder, Options);
        Assert.Contains("is not empty", Assert.Throws<StorageException>(() => Journal.Create(Folder, Options)).Message, StringComparison.Ordinal);
        Assert.Contains("a multiple of 4,096", Assert.Throws<ArgumentOutOfRangeException>(() => Journal.Open(Folder, odd, 0)).Message, StringComparison.Ordinal);
        Assert.Contains("a multiple of 4,096", Assert.Throws<ArgumentOutOfRangeException>(() => Journal.Inspect(Folder, odd, _ => { })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_frame_can_be_cleared_and_used_again()
    {
        Journal.Create(Folder, Options);
        JournalFrame frame = new();
        await using (Journal journal = Open())
        {
            foreach (int size in (int[])[200_000, 3, 65_000, 0])
            {
                frame.Clear();
                for (int left = size; left >= 0; left -= 65_000)
                {
                    byte[] entry = Entry(new Random(size), Math.Min(left, 65_000));
                    Assert.True(frame.TryAdd(entry));
                    _entries.Add(entry);
                }

                await journal.AppendAsync(frame, CancellationToken.None);
            }
        }

        await using Journal again = Open();
        Holds(again, _entries);
    }

    [Fact]
    public async Task Closing_twice_is_fine_and_appending_afterwards_is_refused()
    {
        Journal.Create(Folder, Options);
        Journal journal = Open();
        await AppendAsync(journal, [1]);
        await journal.DisposeAsync();
        await journal.DisposeAsync();
        await Assert.ThrowsAnyAsync<ObjectDisposedException>(async () => await JournalAssert.AppendAsync(journal, [2]));
    }

    [Fact]
    public void Inspecting_reads_every_frame_and_changes_nothing()
    {
        Journal.Create(Folder, Options);
        SortedDictionary<string, string> before = Scratch.Content(Folder);
        Assert.Equal(0, Journal.Inspect(Folder, Options, _ => Assert.Fail("there is no frame")));
        Assert.Equal(before, Scratch.Content(Folder));
    }

    [Fact]
    public void A_journal_is_created_in_an_empty_directory_only()
    {
        Journal.Create(Folder, Options);
        Assert.Throws<StorageException>(() => Journal.Create(Folder, Options));
    }

    [Theory]
    [InlineData(0)]
    [InlineData((4 * 1024 * 1024) - 4096)]
    [InlineData((4 * 1024 * 1024) + 512)]
    public void Files_too_small_or_not_of_whole_pages_are_misuse(int fileBytes) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Journal.Create(Folder, Options with { FileBytes = fileBytes }));

    [Fact]
    public void A_frame_has_as_many_sectors_as_it_needs_and_no_more()
    {
        for (int size = 0; size < 1200; size++)
        {
            JournalFrame frame = new();
            Assert.True(frame.TryAdd(new byte[size]));
            int needed = JournalFrame.HeaderSize + 2 + size + JournalFrame.TrailerSize;
            Assert.Equal((int)Math.Ceiling(needed / 512.0) * 512, frame.Seal(1, 0, 0, 7).Length);
        }
    }

    [Fact]
    public void An_entry_in_pieces_is_the_entry()
    {
        byte[] entry = [.. Enumerable.Range(0, 1000).Select(i => (byte)i)];
        Piece first = new(entry.AsMemory(0, 10), null), second = new(entry.AsMemory(10, 600), first), third = new(entry.AsMemory(610), second);
        ReadOnlySequence<byte> pieces = new(first, 0, third, 390);
        JournalFrame whole = new(), cut = new();
        Assert.True(whole.TryAdd(entry));
        Assert.True(cut.TryAdd(pieces));
        Assert.Equal(1, cut.Count);
        Assert.Equal(whole.Seal(1, 0, 0, 7).ToArray(), cut.Seal(1, 0, 0, 7).ToArray());
        Assert.Contains("at most 65535 bytes, not 65536", Assert.Throws<ArgumentException>(() => cut.TryAdd(new ReadOnlySequence<byte>(new byte[65536]))).Message);

        int count = cut.Count;
        while (cut.TryAdd(pieces)) count++;
        Assert.Equal((JournalFrame.MaxEntryBytes / 1002, count), (count, cut.Count));
        Assert.True(cut.TryAdd(new ReadOnlySequence<byte>(new byte[JournalFrame.MaxEntryBytes - cut.EntryBytes - 2])));
        Assert.Equal(JournalFrame.MaxEntryBytes, cut.EntryBytes);
        Assert.False(cut.TryAdd(ReadOnlySequence<byte>.Empty));
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> bytes, Piece? before)
        {
            Memory = bytes;
            if (before is null) return;
            RunningIndex = before.RunningIndex + before.Memory.Length;
            before.Next = this;
        }
    }
}
