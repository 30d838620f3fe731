using System.Text;
using TransparencyLog.Storage;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>The store by itself: groups, snapshots, trimming, damage.</summary>
public sealed class StoreTests : IDisposable
{
    private const int FileBytes = 4 * 1024 * 1024;

    private readonly string _root = Directory.CreateTempSubdirectory("tlog-store").FullName;

    public StoreTests()
    {
        if (!Directory.Exists("/dev/shm")) return;
        Directory.Delete(_root);
        _root = Directory.CreateDirectory($"/dev/shm/tlog-store-{Guid.NewGuid():N}").FullName;
    }

    private string Data => Path.Combine(_root, "data");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    /// <summary>A note of some size that no key has signed: the store does not ask.</summary>
    private static byte[] NoteOf(int origin, long size, int lines = 1) => new Note(
        Encoding.UTF8.GetBytes($"example.com/stored{origin}\n{size}\n{MerkleHash.Empty.ToBase64()}\n"),
        [.. Enumerable.Range(0, lines).Select(i => new NoteSignature("example.com/signer", (uint)i, new byte[400]))]).ToBytes();

    private async Task<(WitnessDirectory Directory, WitnessStore Store, HeldJournal Journal)> OpenAsync(string? data = null)
    {
        await Task.Yield();
        HeldJournal? journal = null;
        WitnessDirectory directory = WitnessDirectory.Open(data ?? Data);
        try
        {
            WitnessStore store = WitnessStore.Open(directory, null, FileBytes, inner => journal = new HeldJournal(inner));
            return (directory, store, journal!);
        }
        catch
        {
            directory.Dispose();
            throw;
        }
    }

    [Theory]
    [InlineData("journal/000000000001", true)]
    [InlineData("snapshot", false)]
    [InlineData("witness", false)]
    public async Task N11_a_file_that_is_removed_under_a_running_witness_halts_it(string name, bool isOpen)
    {
        await using TestWitness witness = TestWitness.Create(new TestLog("example.com/watched"));
        witness.Time = new HurriedTime();
        await witness.StartAsync();
        File.Delete(Path.Combine(witness.Data, name));
        Answer health = await witness.GetAsync("/healthz");
        for (long start = Environment.TickCount64; health.Status != 503 && Environment.TickCount64 - start < 60_000; await Task.Delay(20)) health = await witness.GetAsync("/healthz");
        Assert.Equal(503, health.Status);

        await using WitnessCopy copy = new(_root);
        List<string> keys = [];
        FileWatch watch = copy.Store.Watch(keys.Add, TimeProvider.System);
        File.Delete(Path.Combine(copy.Directory.Root, name));
        File.Delete(Path.Combine(copy.Directory.Root, "key.pem"));
        Assert.Null(watch.Look());
        string? trouble = watch.Look();
        Assert.NotNull(trouble);
        Assert.StartsWith($"{Path.Combine(copy.Directory.Root, name)} was removed", trouble);
        Assert.Equal(isOpen, trouble.Contains("/proc/", StringComparison.Ordinal));
        Assert.Contains("key.pem", Assert.Single(keys), StringComparison.Ordinal);
    }

    /// <summary>The pause of the watch is over at once; all other waits are what they are.</summary>
    private sealed class HurriedTime : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, dueTime == FileWatch.Interval ? TimeSpan.FromMilliseconds(10) : dueTime, period);
    }

    /// <summary>A store of its own, opened.</summary>
    private sealed class WitnessCopy : IAsyncDisposable
    {
        public WitnessCopy(string root)
        {
            string data = Path.Combine(root, Guid.NewGuid().ToString("N"));
            WitnessDirectory.Create(data, "witness.example", journalFileBytes: FileBytes);
            Directory = WitnessDirectory.Open(data);
            Store = WitnessStore.Open(Directory, null, FileBytes, null);
        }

        public WitnessDirectory Directory { get; }

        public WitnessStore Store { get; }

        public async ValueTask DisposeAsync()
        {
            await Store.DisposeAsync();
            Directory.Dispose();
        }
    }

    [Fact]
    public async Task A_frame_waits_for_the_requests_that_are_announced_and_not_for_ever()
    {
        WitnessDirectory.Create(Data, "witness.example", journalFileBytes: FileBytes);
        (WitnessDirectory directory, WitnessStore store, HeldJournal journal) = await OpenAsync();
        IDisposable[] announced = [.. Enumerable.Range(0, 64).Select(_ => store.Announce())];
        Task[] saves = [.. announced.Take(63).Select((one, i) => store.SaveAsync(NoteOf(i, 1), one))];
        announced[63].Dispose(); // refused
        announced[63].Dispose();
        await Task.WhenAll(saves);
        Assert.InRange(journal.Inner.Syncs, 1, 2); // two where this machine was busy for 8 ms in between
        Assert.Equal(63, journal.NextIndex);

        // One that was announced and never comes: the others are saved all the same.
        using (store.Announce()) await store.SaveAsync(NoteOf(1, 2)).WaitAsync(TimeSpan.FromSeconds(60));
        await store.SaveAsync(NoteOf(1, 3));
        Assert.Equal(65, journal.NextIndex);
        await store.DisposeAsync();
        directory.Dispose();
    }

    [Fact]
    public async Task A_hundred_updates_that_wait_take_one_sync()
    {
        WitnessDirectory.Create(Data, "witness.example", journalFileBytes: FileBytes);
        (WitnessDirectory directory, WitnessStore store, HeldJournal journal) = await OpenAsync();
        HeldJournal.Hold hold = journal.HoldBefore();
        Task first = store.SaveAsync(NoteOf(0, 1));
        await hold.Reached;
        Task[] others = [.. Enumerable.Range(1, 100).Select(i => store.SaveAsync(NoteOf(i, 1)))];
        Assert.All(others, one => Assert.False(one.IsCompleted));
        hold.Release();
        await Task.WhenAll([first, .. others]);
        Assert.Equal(2, journal.Inner.Syncs);
        Assert.Equal(101, journal.NextIndex);
        await store.DisposeAsync();
        directory.Dispose();
    }

    [Fact]
    public async Task Concurrent_requests_over_many_origins_share_syncs()
    {
        TestLog[] logs = [.. Enumerable.Range(0, 64).Select(i => new TestLog($"example.com/many{i}", 4))];
        await using TestWitness witness = await TestWitness.StartAsync(logs);
        HeldJournal.Hold hold = witness.Journal.HoldBefore();
        Task<Answer> first = witness.PostAsync(logs[0].Request(0, 4));
        await hold.Reached;
        Task<Answer>[] others = [.. logs[1..].Select(log => witness.PostAsync(log.Request(0, 4)))];
        // Their cosignatures are made and wait for the store; those that are late by then cost a sync of their own.
        for (int i = 0; i < 20; i++) await witness.GetAsync("/healthz");
        hold.Release();
        Assert.Equal(200, (await first).Status);
        Assert.All(await Task.WhenAll(others), answer => Assert.Equal(200, answer.Status));
        Assert.InRange(witness.Journal.Inner.Syncs, 2, 20);
        foreach (TestLog log in logs) await witness.CheckStateAsync(log, 4);
    }

    /// <summary>140 notes of 35 kB are 4.9 MB, and half a journal file is 2 MiB: a snapshot for each half file would be more than twice what they are of.</summary>
    [Fact]
    public async Task Snapshots_are_never_more_than_the_journal_beside_them()
    {
        WitnessDirectory.Create(Data, "witness.example", journalFileBytes: FileBytes);
        (WitnessDirectory directory, WitnessStore store, _) = await OpenAsync();
        const int Origins = 140, Rounds = 4;
        List<long> indexes = [];
        long written = 0;
        int noteBytes = NoteOf(0, 0, lines: 60).Length;
        for (int i = 0; i < Origins * Rounds; i++)
        {
            await store.SaveAsync(NoteOf(i % Origins, i, lines: 60));
            if (i % 5 != 0) continue;
            byte[] snapshot = await File.ReadAllBytesAsync(Path.Combine(Data, "snapshot"));
            long index = System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(snapshot.AsSpan(8));
            if (indexes.Count > 0 && indexes[^1] == index) continue;
            indexes.Add(index);
            written += snapshot.Length;
        }

        Assert.InRange((long)noteBytes * Origins, FileBytes * 3 / 4, long.MaxValue);
        Assert.InRange(indexes.Count, 3, 20);
        Assert.InRange(written, 1, (long)noteBytes * Origins * Rounds);
        await store.DisposeAsync();
        directory.Dispose();
        (directory, store, HeldJournal journal) = await OpenAsync();
        Assert.Equal(Origins * Rounds, journal.NextIndex);
        Assert.Equal(Origins, store.Loaded.Count);
        await store.DisposeAsync();
        directory.Dispose();
    }

    [Fact]
    public async Task Snapshots_let_the_journal_be_trimmed_and_every_copy_opens_to_the_newest_notes()
    {
        WitnessDirectory.Create(Data, "witness.example", journalFileBytes: FileBytes);
        (WitnessDirectory directory, WitnessStore store, HeldJournal journal) = await OpenAsync();
        Dictionary<string, byte[]> expected = new(StringComparer.Ordinal);
        int snapshots = 0;
        byte[] snapshot = [];
        for (int i = 0; i < 700; i++)
        {
            byte[] note = NoteOf(i % 7, i, lines: 60);
            await store.SaveAsync(note);
            expected[$"example.com/stored{i % 7}"] = note;
            if (i % 50 != 0) continue;
            byte[] now = await File.ReadAllBytesAsync(Path.Combine(Data, "snapshot"));
            if (!now.AsSpan().SequenceEqual(snapshot)) snapshots++;
            snapshot = now;
            string copy = Path.Combine(_root, $"copy{i}");
            TestWitness.CopyDirectory(Data, copy);
            (WitnessDirectory copied, WitnessStore copiedStore, HeldJournal copiedJournal) = await OpenAsync(copy);
            Assert.Equal(i + 1, copiedJournal.NextIndex);
            AssertSame(expected, copiedStore.Loaded);
            await copiedStore.DisposeAsync();
            copied.Dispose();
            Directory.Delete(copy, recursive: true);
        }

        Assert.InRange(snapshots, 4, 15);
        Assert.True(journal.FirstIndex > 400, $"{journal.FirstIndex}");
        Assert.InRange(Directory.GetFiles(Path.Combine(Data, "journal")).Length, 1, 3);
        await store.DisposeAsync();
        directory.Dispose();
        (directory, store, _) = await OpenAsync();
        AssertSame(expected, store.Loaded);
        await store.DisposeAsync();
        directory.Dispose();

        // The snapshot of another time: older than what the journal still has, and as new as it never was.
        await File.WriteAllBytesAsync(Path.Combine(Data, "snapshot"), EmptySnapshot());
        Assert.Contains("the journal begins at update", (await Assert.ThrowsAnyAsync<StorageException>(() => OpenAsync())).Message);

        byte[] EmptySnapshot()
        {
            string other = Path.Combine(_root, "other");
            Snapshot.Write(other, new StoredNotes(0, default), System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(snapshot.AsSpan(48)));
            return File.ReadAllBytes(other);
        }
    }

    [Fact]
    public async Task A_snapshot_that_cannot_be_written_halts_the_store()
    {
        WitnessDirectory.Create(Data, "witness.example", journalFileBytes: FileBytes);
        (WitnessDirectory directory, WitnessStore store, _) = await OpenAsync();
        Directory.CreateDirectory(Path.Combine(Data, "snapshot.new"));
        for (int i = 0; i < 400 && store.Failure is null; i++)
        {
            Task save = store.SaveAsync(NoteOf(1, i, lines: 60));
            // The one whose frame made the snapshot due is stored and answered; the next is refused.
            if (store.Failure is null) await Task.WhenAny(save);
        }

        Assert.NotNull(store.Failure);
        await Assert.ThrowsAnyAsync<StorageException>(() => store.SaveAsync(NoteOf(1, 1000)));
        await store.DisposeAsync();
        directory.Dispose();
    }

    /// <summary>With a right checksum, as nothing but a program with a mistake writes it.</summary>
    [Theory]
    [InlineData(8, 0x80)]  // an index below zero
    [InlineData(59, 2)]    // fewer notes
    [InlineData(62, 0x7f)] // another length of all of them
    public void P25_a_snapshot_with_a_number_that_is_not_that_of_its_notes_is_damage(int offset, byte value)
    {
        string path = Path.Combine(_root, "snapshot");
        StoredNotes notes = new(0, default);
        for (int i = 0; i < 3; i++) notes.Apply(NoteOf(i, 5 + i), "here");
        Snapshot.Write(path, notes, 7);
        byte[] bytes = File.ReadAllBytes(path);
        Assert.NotEqual(value, bytes[offset]);
        bytes[offset] = value;
        WriteWithChecksum(path, bytes);
        Assert.Contains(path, Assert.Throws<DamageException>(() => Snapshot.Read(path, 7)).Message);
    }

    [Fact]
    public void P25_a_snapshot_with_its_notes_in_another_order_is_damage()
    {
        string path = Path.Combine(_root, "snapshot");
        StoredNotes notes = new(0, default);
        notes.Apply(NoteOf(1, 5), "here");
        notes.Apply(NoteOf(2, 5), "here");
        Snapshot.Write(path, notes, 7);
        byte[] bytes = File.ReadAllBytes(path);
        int half = (bytes.Length - 64 - 4) / 2;
        WriteWithChecksum(path, [.. bytes[..64], .. bytes[(64 + half)..^4], .. bytes[64..(64 + half)], 0, 0, 0, 0]);
        Assert.Equal(bytes.Length, new FileInfo(path).Length);
        Assert.Throws<DamageException>(() => Snapshot.Read(path, 7));

        // The control: in their order they are read.
        WriteWithChecksum(path, bytes);
        AssertSame(notes.Newest, Snapshot.Read(path, 7).Newest);
    }

    private static void WriteWithChecksum(string path, byte[] bytes)
    {
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(bytes.Length - 4), Crc32C.Of(bytes.AsSpan(0, bytes.Length - 4)));
        File.WriteAllBytes(path, bytes);
    }

    [Fact]
    public void D14_I05_every_flipped_bit_of_a_snapshot_is_noticed()
    {
        string path = Path.Combine(_root, "snapshot");
        StoredNotes notes = new(0, default);
        for (int i = 0; i < 3; i++) notes.Apply(NoteOf(i, 5 + i), "here");
        Snapshot.Write(path, notes, 7);
        StoredNotes read = Snapshot.Read(path, 7);
        Assert.Equal((notes.Index, notes.Chain), (read.Index, read.Chain));
        AssertSame(notes.Newest, read.Newest);
        byte[] good = File.ReadAllBytes(path);
        for (int bit = 0; bit < good.Length * 8; bit++)
        {
            byte[] bad = [.. good];
            bad[bit / 8] ^= (byte)(1 << (bit % 8));
            File.WriteAllBytes(path, bad);
            Assert.Throws<DamageException>(() => Snapshot.Read(path, 7));
        }

        for (int length = 0; length < good.Length; length++)
        {
            File.WriteAllBytes(path, good[..length]);
            Assert.Throws<DamageException>(() => Snapshot.Read(path, 7));
        }

        File.WriteAllBytes(path, good);
        Assert.Throws<DamageException>(() => Snapshot.Read(path, 8));
    }

    [Fact]
    public void An_entry_that_goes_back_or_is_no_note_is_damage()
    {
        StoredNotes notes = new(0, default);
        notes.Apply(NoteOf(1, 5), "here");
        notes.Apply(NoteOf(1, 5), "here");
        Assert.Contains("size 4", Assert.Throws<DamageException>(() => notes.Apply(NoteOf(1, 4), "here")).Message);
        Assert.Throws<DamageException>(() => notes.Apply("nonsense"u8.ToArray(), "here"));
        Assert.Equal(2, notes.Index);
    }

    [Fact]
    public async Task A_stored_note_that_is_not_ours_or_does_not_verify_is_refused()
    {
        TestLog log = new("example.com/forged");
        await using TestWitness witness = await TestWitness.StartAsync(log);
        await witness.CosignAsync(log, 0, 5);
        await witness.StopAsync();
        // With a frame that is whole and a note that nobody has cosigned: only a program of ours with a bug, or an attacker, writes one.
        using (WitnessDirectory directory = WitnessDirectory.Open(witness.Data))
        {
            WitnessStore store = WitnessStore.Open(directory, null, FileBytes, null);
            await store.SaveAsync(Encoding.UTF8.GetBytes(log.Checkpoint(9)));
            await store.DisposeAsync();
        }

        Assert.Contains(log.Origin, (await Assert.ThrowsAsync<DamageException>(witness.StartAsync)).Message);
    }

    private static void AssertSame(IReadOnlyDictionary<string, byte[]> expected, IReadOnlyDictionary<string, byte[]> actual)
    {
        Assert.Equal(expected.Keys.Order(StringComparer.Ordinal), actual.Keys.Order(StringComparer.Ordinal));
        foreach ((string origin, byte[] note) in expected) Assert.Equal(note, actual[origin]);
    }
}
