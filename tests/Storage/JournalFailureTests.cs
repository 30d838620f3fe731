using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>A failed call ends the journal: nothing is acknowledged after it, and a new opening decides (D-05, D-06, D-13).</summary>
public sealed class JournalFailureTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["journal"];

    [Theory]
    [InlineData("pwrite", false, 1)]
    [InlineData("pwrite", true, 2)]
    [InlineData("fdatasync", false, 2)]
    [InlineData("fdatasync", true, 2)]
    public async Task D06_after_a_failed_write_or_sync_everything_throws_and_reopening_decides(string call, bool after, int found)
    {
        Journal.Create(Folder, Options);
        await using (Journal journal = Journal.Open(Folder, Options, 0))
        {
            await AppendAsync(journal, [1]);
            using (FaultScope.On(Folder, (made, _) => made == call ? FaultScope.Fail(FaultScope.Io, after) : FaultScope.None))
            {
                StorageException failure = await Assert.ThrowsAsync<StorageException>(() => AppendAsync(journal, [2]));
                Assert.Equal(FaultScope.Io, failure.Errno);
                Assert.Contains(call, failure.Message, StringComparison.Ordinal);
            }

            // The disk is well again, and that changes nothing: no call is repeated.
            long syncs = journal.Syncs;
            for (int i = 0; i < 3; i++) await Assert.ThrowsAsync<StorageException>(() => AppendAsync(journal, [3]));
            Assert.Equal(syncs, journal.Syncs);
            Assert.Equal(1, journal.NextIndex);
            Holds(journal, [[1]]);
        }

        await using Journal again = Journal.Open(Folder, Options, 0);
        List<byte[]> entries = [[1], [2], [4]];
        if (found == 1) entries.RemoveAt(1);
        Assert.Equal(found, again.NextIndex);
        await AppendAsync(again, [4]);
        Holds(again, entries);
    }

    [Fact]
    public async Task N10_without_bytes_or_inodes_for_the_next_file_an_append_waits_and_goes_on_by_itself_once_there_is_room()
    {
        Journal.Create(Folder, Options);
        byte[] entry = Entry(new Random(1), 65_000);
        List<byte[]> entries = [];
        await using Journal journal = Journal.Open(Folder, Options, 0);
        bool full = true;
        using CancellationTokenSource closing = new();
        using (FaultScope.On(Folder, (call, path) => Volatile.Read(ref full) && call == "open" && path.EndsWith(".new", StringComparison.Ordinal) ? FaultScope.Fail(FaultScope.NoSpace) : FaultScope.None))
        {
            JournalFrame frame = new();
            Assert.True(frame.TryAdd(entry));
            Task<long> append;
            do
            {
                append = Task.Run(() => journal.AppendAsync(frame, closing.Token).AsTask());
                await Task.WhenAny(append, Task.Run(() => SpinWait.SpinUntil(() => append.IsCompleted || journal.WaitsForRoom, TimeSpan.FromMinutes(1))));
                entries.Add(entry);
            }
            while (append.IsCompletedSuccessfully);

            Assert.True(journal.WaitsForRoom);
            Assert.False(append.IsCompleted);
            Assert.Single(Directory.GetFiles(Folder));
            Volatile.Write(ref full, false);
            Assert.Equal(entries.Count - 1, await append.WaitAsync(TimeSpan.FromMinutes(1)));
            Assert.False(journal.WaitsForRoom);
            Holds(journal, entries);
        }
    }

    [Fact]
    public async Task N10_a_wait_for_room_ends_when_the_log_closes_and_nothing_is_half_there()
    {
        Journal.Create(Folder, Options);
        byte[] entry = Entry(new Random(1), 65_000);
        long stored = 0;
        await using (Journal journal = Journal.Open(Folder, Options, 0))
        {
            using CancellationTokenSource closing = new();
            using FaultScope scope = FaultScope.On(Folder, (call, path) => call == "open" && path.EndsWith(".new", StringComparison.Ordinal) ? FaultScope.Fail(FaultScope.NoSpace) : FaultScope.None);
            JournalFrame frame = new();
            Assert.True(frame.TryAdd(entry));
            Task<long> append;
            do
            {
                append = Task.Run(() => journal.AppendAsync(frame, closing.Token).AsTask());
                await Task.WhenAny(append, Task.Run(() => SpinWait.SpinUntil(() => append.IsCompleted || journal.WaitsForRoom, TimeSpan.FromMinutes(1))));
                if (append.IsCompletedSuccessfully) stored++;
            }
            while (append.IsCompletedSuccessfully);

            await closing.CancelAsync();
            Assert.Equal(FaultScope.NoSpace, (await Assert.ThrowsAsync<StorageException>(() => append.WaitAsync(TimeSpan.FromMinutes(1)))).Errno);
        }

        await using Journal again = Journal.Open(Folder, Options, 0);
        Assert.Equal(stored, again.NextIndex);
    }

    [Fact]
    public async Task D08_a_full_disk_while_the_next_file_is_prepared_gives_its_space_back_and_is_tried_once_more()
    {
        Journal.Create(Folder, Options);
        List<byte[]> entries = [];
        byte[] entry = Entry(new Random(1), 65_000);
        await using (Journal journal = Journal.Open(Folder, Options, 0))
        {
            int failed = 0;
            using (FaultScope.On(Folder, (call, path) =>
                path.EndsWith(".new", StringComparison.Ordinal) && call == "pwrite" && Interlocked.Increment(ref failed) == 3 ? FaultScope.Fail(FaultScope.NoSpace, after: true) : FaultScope.None))
            {
                while (entries.Count < 40)
                {
                    await AppendAsync(journal, entry);
                    entries.Add(entry);
                }

                SpinWait.SpinUntil(() => failed >= 3, TimeSpan.FromSeconds(30));
                SpinWait.SpinUntil(() => Directory.GetFiles(Folder).Length == 1, TimeSpan.FromSeconds(30));
                Assert.Single(Directory.GetFiles(Folder));
                while (entries.Count < 80)
                {
                    await AppendAsync(journal, entry);
                    entries.Add(entry);
                }
            }

            Holds(journal, entries);
        }

        await using Journal again = Journal.Open(Folder, Options, 0);
        Holds(again, entries);
    }

    [Fact]
    public async Task D08_a_disk_that_stays_full_ends_the_journal_before_anything_is_half_written()
    {
        Journal.Create(Folder, Options);
        List<byte[]> entries = [];
        byte[] entry = Entry(new Random(1), 65_000);
        await using (Journal journal = Journal.Open(Folder, Options, 0))
        {
            using FaultScope full = FaultScope.On(Folder, (call, path) => path.EndsWith(".new", StringComparison.Ordinal) && call == "pwrite" ? FaultScope.Fail(FaultScope.NoSpace) : FaultScope.None);
            StorageException failure = await Assert.ThrowsAsync<StorageException>(async () =>
            {
                while (entries.Count < 1000)
                {
                    await AppendAsync(journal, entry);
                    entries.Add(entry);
                }
            });
            Assert.Equal(FaultScope.NoSpace, failure.Errno);
            Assert.Equal(64, entries.Count);
            await Assert.ThrowsAsync<StorageException>(() => AppendAsync(journal, [1]));
        }

        await using Journal again = Journal.Open(Folder, Options, 0);
        Assert.Null(again.Cut);
        Holds(again, entries);
        Assert.Equal(64, await AppendAsync(again, entry));
    }

    [Fact]
    public async Task D02_an_opening_that_fails_at_any_call_can_be_repeated()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        for (int n = 1; ; n++)
        {
            image.Write(bytes => bytes.AsSpan(image.LastStart + 700).Clear());
            File.WriteAllBytes(JournalScan.PathOf(image.Folder, 2), new byte[Options.FileBytes]);
            bool failed = false;
            using (FaultScope.Nth(image.Folder, n, FaultScope.Io, after: n % 2 == 0))
            {
                try
                {
                    await using Journal journal = Journal.Open(image.Folder, Options, 0);
                }
                catch (StorageException)
                {
                    failed = true;
                }
            }

            if (!failed)
            {
                Assert.InRange(n, 5, 20);
                return;
            }

            await using Journal again = Journal.Open(image.Folder, Options, 0);
            Holds(again, image.Entries[..image.EntriesBeforeLast]);
        }
    }
}
