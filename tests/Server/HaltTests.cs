using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using TransparencyLog.Server;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

public sealed class HaltTests
{
    [Fact]
    public async Task G07_R04_a_witness_that_has_cosigned_more_than_we_signed_halts_the_log_until_an_operator_resumes()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        TestLog log = witnessed.Log;
        await log.AddAsync("one", "published");
        await log.CheckLog(1);
        byte[] text = new Checkpoint(TestLog.Origin, 1000, MerkleHash.Leaf("another tree"u8)).ToText();
        witnessed[0].Shows = new Note(text, [log.Signer.Sign(text)]).ToBytes();
        witnessed[0].Behave = StubWitness.Says(409, "1000\n");
        Assert.Equal(1, await log.AddAsync("two"));
        await HaltedAsync(log);
        await log.Logged.WaitAsync(6, "size 1000");
        string evidence = await log.HaltedAsync();
        Assert.Contains("size 1000", evidence);
        await log.CheckLog(1);

        // A restart does not forget, whatever the witness says now.
        witnessed[0].Behave = witnessed[0].HonestlyAsync;
        int asked = witnessed[0].RequestCount;
        await witnessed.RestartAsync();
        await HaltedAsync(log);
        await log.CheckLog(1);
        Assert.Equal(asked, witnessed[0].RequestCount);

        await log.StopAsync();
        LogDirectory directory = await LogDirectory.OpenAsync(log.Data, null, TimeProvider.System, TestLog.Journal);
        Assert.Contains("size 1000", directory.Register.Halted);
        await directory.Register.ResumeAsync("the other log was stopped", CancellationToken.None);
        await directory.DisposeAsync();
        await witnessed.RestartAsync();
        await witnessed.ReadyAsync();
        await log.CheckLog(2);
        Assert.Equal(2, await log.AddAsync("three", "witnessed"));
        await log.CheckLog(3);
    }

    [Fact]
    public async Task I09_a_tree_that_does_not_extend_the_signed_one_is_not_signed_and_the_log_halts()
    {
        FlippingTiles? tiles = null;
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Replace = parts => parts with { Tiles = tiles = new FlippingTiles(parts.Tiles) } });
        await log.AddBatchAsync([.. Enumerable.Range(0, 100).Select(i => BitConverter.GetBytes(i))]);
        byte[] checkpoint = await log.CheckLog(100);

        // From 100 to 300 the proof needs hashes of the first tile, which is sealed now and comes out of the store.
        tiles!.Flip = true;
        await log.AddBatchAsync([.. Enumerable.Range(100, 200).Select(i => BitConverter.GetBytes(i))]);
        await HaltedAsync(log);
        Assert.Equal(100, log.Engine.Publisher.SignedSize);
        await log.Logged.WaitAsync(6, "does not extend");
        Assert.Equal(checkpoint, await log.CheckLog(100));

        tiles.Flip = false;
        await log.RestartAsync();
        await HaltedAsync(log);
        Assert.Equal(checkpoint, await log.CheckLog(100));
    }

    [Theory]
    [InlineData("heads")]
    [InlineData("segments/addresses")]
    [InlineData("journal/000000000001")]
    [InlineData("log")]
    public async Task N11_a_file_that_is_removed_under_a_running_log_stops_its_appends_within_a_minute(string name)
    {
        FakeTime time = new();
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Time = time });
        await log.AddAsync("one");
        await log.CheckLog(1);
        File.Delete(Path.Combine(log.Data, name));
        TimeSpan passed = TimeSpan.Zero;
        await Eventually.TrueAsync(
            () =>
            {
                if (time.Next is TimeSpan next && passed + next <= TimeSpan.FromMinutes(1))
                {
                    time.Advance(next);
                    passed += next;
                }

                return log.Engine.State == EngineState.Failed;
            },
            "the engine stops before a minute has passed");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", [1])).Status);
        Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/checkpoint")).Status);
        await log.Logged.WaitAsync(7, $"{Path.Combine(log.Data, name)} was removed while this process uses it");
        if (name != "log") await log.Logged.WaitAsync(7, $"/proc/{Environment.ProcessId}/fd/");
    }

    [Fact]
    public async Task N11_a_key_file_that_is_withdrawn_is_said_once_and_the_log_goes_on()
    {
        FakeTime time = new();
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Time = time });
        File.Delete(Path.Combine(log.Data, "key.pem"));
        await Eventually.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(20));
                return log.Logged.Count(14) > 0;
            },
            "the key is missed");
        for (int i = 0; i < 5; i++) time.Advance(TimeSpan.FromSeconds(20));
        Assert.Equal(0, await log.AddAsync("one"));
        await log.CheckLog(1);
        Assert.Equal(1, log.Logged.Count(14));
    }

    [Fact]
    public async Task I10_a_signature_that_does_not_verify_is_never_published_and_the_log_stops()
    {
        BreakingSigner? signer = null;
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Replace = parts => parts with { Signer = signer = new BreakingSigner(parts.Signer) } });
        await log.AddAsync("one");
        byte[] checkpoint = await log.CheckLog(1);
        signer!.Broken = true;
        Assert.Equal(1, await log.AddAsync("two"));
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Failed, "the engine stops");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", [1])).Status);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.GetAsync("/healthz")).Status);
        Assert.Equal(1, log.Engine.Publisher.SignedSize);
        Assert.Equal(checkpoint, await log.CheckLog(1));
        await log.RestartAsync();
        await log.CheckLog(2);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task I01_no_signed_root_covers_other_bytes_than_the_stored_ones(bool inMemory)
    {
        BendingJournal? journal = null;
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Replace = parts => parts with { Journal = journal = new BendingJournal(parts.Journal) } });
        await log.AddAsync("one");
        byte[] checkpoint = await log.CheckLog(1);
        (journal!.BendsMemory, journal.BendsReads) = (inMemory, !inMemory);
        Assert.Equal(1, await log.AddAsync("two"));
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Failed, "the engine stops");
        await log.Logged.WaitAsync(7, "stored entries at size 2");
        Assert.Equal(1, log.Engine.Publisher.SignedSize);
        Assert.Equal(checkpoint, await log.CheckLog(1));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", [1])).Status);

        // What is stored is what was acknowledged: the next start makes the tree of it.
        await log.RestartAsync(new LogSetup());
        await log.CheckLog(2);
    }

    [Fact]
    public async Task O03_a_log_that_has_stopped_says_so_on_every_way_and_once_a_minute()
    {
        FakeTime time = new();
        BreakingSigner? signer = null;
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Time = time, Replace = parts => parts with { Signer = signer = new BreakingSigner(parts.Signer) } });
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current is not null, "the empty tree is public");
        Assert.Contains("tlog_halted 0", (await log.GetAsync("/metrics")).Text);
        time.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(0, log.Logged.Count(10));
        signer!.Broken = true;
        await log.AddAsync("one");
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Failed, "the engine stops");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.GetAsync("/healthz")).Status);
        Assert.Contains("tlog_halted 1", (await log.GetAsync("/metrics")).Text);
        await log.Logged.WaitAsync(7);
        for (int minute = 1; minute <= 3; minute++)
        {
            time.Advance(TimeSpan.FromMinutes(1));
            Assert.Equal(minute, log.Logged.Count(10));
        }

        Assert.True(log.Logged.Has(10, "does not verify"));
        Assert.True(log.Engine.HasFailed);
    }

    [Fact]
    public async Task C02_C04_a_register_that_another_process_moved_halts_the_log_and_no_signature_leaves()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        TestLog log = witnessed.Log;
        string commit = Path.Combine(log.Data, "commit");
        byte[] other = await File.ReadAllBytesAsync(commit);
        await log.AddAsync("one", "published");
        byte[] checkpoint = await log.CheckLog(1);
        await File.WriteAllBytesAsync(commit, other);
        int asked = witnessed[0].RequestCount;
        Assert.Equal(1, await log.AddAsync("two"));
        await HaltedAsync(log);
        await log.Logged.WaitAsync(6, "another process");
        Assert.Equal(asked, witnessed[0].RequestCount);
        Assert.Equal(checkpoint, await log.CheckLog(1));
        Assert.DoesNotContain(File.ReadAllText(Path.Combine(log.Data, "heads")).TrimEnd('\0', '\n').Split('\n'), line => line.Split(' ')[4] == "2");
        Assert.Equal(other, await File.ReadAllBytesAsync(commit));
    }

    [Fact]
    public async Task D06_after_a_commit_of_the_store_failed_in_the_background_the_next_entry_is_not_taken()
    {
        HookedTiles? tiles = null;
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Replace = parts => parts with { Tiles = tiles = new HookedTiles(parts.Tiles) } });
        await log.AddAsync("one");
        await log.CheckLog(1);

        // No segment is anywhere near full: nothing else would meet the failure for 254 entries.
        tiles!.Failure = new StorageException("fsync", "segments", 28);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", [1])).Status);
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Failed, "the log stops");
        await log.CheckLog(1);
    }

    [Fact]
    public async Task D10_a_register_that_fails_stops_the_log_and_the_entries_stay()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.AddAsync("one");
        byte[] checkpoint = await log.CheckLog(1);

        // The commit record cannot be opened: no symbolic link is followed there.
        string commit = Path.Combine(log.Data, "commit"), elsewhere = log.Data + "-commit";
        File.Move(commit, elsewhere);
        File.CreateSymbolicLink(commit, elsewhere);
        Assert.Equal(1, await log.AddAsync("two"));
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Failed, "the engine stops");
        Assert.Equal(checkpoint, await log.CheckLog(1));
        (_, string text) = await log.PostAsync("/add", [1]);
        Assert.DoesNotContain("commit", text);

        await log.StopAsync();
        File.Move(elsewhere, commit, overwrite: true);
        await log.ServeAsync(new LogSetup());
        await log.CheckLog(2);
    }

    [Fact]
    public async Task Other_bytes_at_a_place_that_is_stored_halt_the_log_and_the_halt_is_recorded_after_the_publisher_has_ended()
    {
        FlippingTiles? tiles = null;
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Replace = parts => parts with { Tiles = tiles = new FlippingTiles(parts.Tiles) } });
        await log.AddAsync("one");
        await log.CheckLog(1);
        tiles!.ConflictOnPut = true;
        await log.AddBatchAsync([.. Enumerable.Range(0, 300).Select(i => BitConverter.GetBytes(i))]);
        await HaltedAsync(log);
        await log.CheckLog(1);
    }

    private static async Task HaltedAsync(TestLog log)
    {
        await log.HaltedAsync();
        foreach ((HttpStatusCode status, string text) in ((HttpStatusCode, string)[])[await log.GetAsync("/readyz"), await log.GetAsync("/healthz"), await log.PostAsync("/add", [1])])
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
            Assert.Contains("its operator has to look into", text);
            Assert.DoesNotContain(log.Data, text);
            Assert.DoesNotContain("127.0.0.1", text);
        }
    }

    /// <summary>A store that reads back one flipped bit, or meets other bytes than it is given, when the test says so.</summary>
    private sealed class FlippingTiles(ITileStore inner) : ITileStore
    {
        private readonly HashSet<TilePath> _read = [];

        public bool Flip { get; set; }

        public bool ConflictOnPut { get; set; }

        public long SegmentCount => inner.SegmentCount;

        public long DurableSegmentCount => inner.DurableSegmentCount;

        public ValueTask PutSegmentAsync(SealedSegment segment, CancellationToken stop) =>
            ConflictOnPut ? throw new ConflictException($"segment {segment.Number} is stored with other bytes") : inner.PutSegmentAsync(segment, stop);

        public ValueTask PutUpperTileAsync(FullTile tile, CancellationToken stop) => inner.PutUpperTileAsync(tile, stop);

        public void ThrowIfFailed() => inner.ThrowIfFailed();

        public ValueTask FlushAsync(CancellationToken stop) => inner.FlushAsync(stop);

        public async ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, CancellationToken stop)
        {
            ReadOnlyMemory<byte>? bytes = await inner.GetAsync(path, stop);

            // The first read of a tile is the comparison with the stored entries: what the verifier is there for goes wrong behind it.
            if (!Flip || path.IsEntries || bytes is null || _read.Add(path)) return bytes;
            byte[] flipped = bytes.Value.ToArray();
            for (int i = 0; i < flipped.Length; i += 32) flipped[i] ^= 1;
            return flipped;
        }

        public ValueTask<long?> GetBundleSizeAsync(long number, CancellationToken stop) => inner.GetBundleSizeAsync(number, stop);

        public ValueTask<Hash> GetRootAsync(int level, long index, CancellationToken stop) => inner.GetRootAsync(level, index, stop);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }

    /// <summary>A journal that stores what it is given, and inverts a bit of it in memory behind that, or of what is read back.</summary>
    private sealed class BendingJournal(IJournal inner) : IJournal
    {
        public bool BendsMemory { get; set; }

        public bool BendsReads { get; set; }

        public long FirstIndex => inner.FirstIndex;

        public long NextIndex => inner.NextIndex;

        public async ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop)
        {
            long first = await inner.AppendAsync(frame, stop);
            if (BendsMemory) MemoryMarshal.AsMemory(frame.Entries).Span[^1] ^= 1;
            return first;
        }

        public IJournalReader Follow(long from) => new Reader(this, inner.Follow(from));

        public ValueTask TrimAsync(long below, CancellationToken stop) => inner.TrimAsync(below, stop);

        public ValueTask DisposeAsync() => inner.DisposeAsync();

        private sealed class Reader(BendingJournal journal, IJournalReader inner) : IJournalReader
        {
            public bool TryRead(out JournalEntries entries)
            {
                bool read = inner.TryRead(out entries);
                if (read && journal.BendsReads) MemoryMarshal.AsMemory(entries.Bundle).Span[^1] ^= 1;
                return read;
            }

            public void Dispose() => inner.Dispose();
        }
    }

    /// <summary>What NoteSigner does when the signature that its key made does not verify.</summary>
    private sealed class BreakingSigner(INoteSigner inner) : INoteSigner
    {
        public bool Broken { get; set; }

        public VerifierKey Key => inner.Key;

        public NoteSignature Sign(ReadOnlySpan<byte> noteText) =>
            Broken ? throw new CryptographicException($"the signature made by the key {Key.Name} does not verify and was dropped") : inner.Sign(noteText);
    }
}
