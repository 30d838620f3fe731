using TransparencyLog.Client;

namespace TransparencyLog.Tests.Client;

/// <summary>fsck over HTTP against logs that serve one wrong thing (M-01; the form of sumdb's TestClientBadTiles).</summary>
public sealed class RemoteCheckTests
{
    private static readonly LogReaderOptions Quick = new() { AttemptTimeout = TimeSpan.FromSeconds(5), RetryDelay = TimeSpan.FromMilliseconds(1) };

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(700)]
    [InlineData(2560)]
    public async Task A_whole_log_passes_at_every_kind_of_size(int size)
    {
        using MemoryLog log = new(size);
        using StubLog stub = new(log.Files);
        using LogReader reader = new(stub.Url, Quick);
        RemoteReport report = await RemoteCheck.RunAsync(reader, log.Policy());
        Assert.Equal(log.Checkpoint, report.Checkpoint);
        Assert.NotNull(report.Verified);

        // Every path was read, and nothing twice but the checkpoint.
        Assert.Equal(log.Files.Keys.Append("checkpoint").Order(StringComparer.Ordinal), stub.Requests.Select(request => request[4..]).Order(StringComparer.Ordinal));
        Assert.Equal(log.Files.Count - 1, report.Tiles);
    }

    [Fact]
    public async Task A_log_with_a_full_tile_of_level_1_passes_and_a_wrong_hash_in_it_is_named()
    {
        using MemoryLog log = new((257 * 256) + 3);
        using StubLog stub = new(log.Files);
        using LogReader reader = new(stub.Url, Quick);
        await RemoteCheck.RunAsync(reader, log.Policy());

        byte[] tile = [.. log.Files["tile/1/000"]];
        tile[77 * 32] ^= 1;
        stub.Plant("tile/1/000", tile);
        Damage damage = await DamageAsync(stub, log);
        Assert.Equal(new Damage("tile", "tile/1/000, hash 77", 77, null, new Hash(log.Files["tile/1/000"].AsSpan(77 * 32, 32)).ToString(), new Hash(tile.AsSpan(77 * 32, 32)).ToString()) { Tile = new TilePath(1, 0) }, damage);
    }

    [Fact]
    public async Task M01_every_single_wrong_answer_is_found_and_named()
    {
        using MemoryLog log = new(700);
        foreach (string path in log.Files.Keys)
        {
            using StubLog stub = new(log.Files);

            // One bit anywhere.
            byte[] flipped = [.. log.Files[path]];
            flipped[flipped.Length / 2] ^= 0x10;
            stub.Plant(path, flipped);
            Damage damage = await DamageAsync(stub, log);
            Assert.NotEqual(damage.Expected, damage.Found);
            if (path != "checkpoint") Assert.StartsWith(Place(path), damage.Place.Replace("tile/entries", "tile/0", StringComparison.Ordinal), StringComparison.Ordinal);

            // One byte short; nothing; gone.
            stub.Plant(path, log.Files[path][..^1]);
            await DamageAsync(stub, log);
            stub.Plant(path, []);
            await DamageAsync(stub, log);
            stub.Planted[path] = _ => new StubAnswer(404, []);
            if (path == "checkpoint") await Assert.ThrowsAsync<LogReaderException>(() => CheckAsync(stub, log));
            else Assert.Equal("missing", (await DamageAsync(stub, log)).Kind);
        }

        static string Place(string path) => path.Replace("tile/entries", "tile/0", StringComparison.Ordinal);
    }

    [Fact]
    public async Task M01_another_entry_is_named_by_its_index()
    {
        using MemoryLog log = new(700);
        using StubLog stub = new(log.Files);
        stub.Plant("tile/entries/001", MemoryLog.Bundle(log.Entries.Skip(256).Take(256).Select((entry, i) => i == 44 ? "forged"u8.ToArray() : entry)));
        Damage damage = await DamageAsync(stub, log);
        Assert.Equal(("leaf-hash", 1L, 300L), (damage.Kind, damage.Segment!.Value, damage.Index!.Value));
        Assert.StartsWith(MerkleHash.Leaf("forged"u8).ToString(), damage.Expected, StringComparison.Ordinal);
        Assert.Equal(MerkleHash.Leaf(log.Entries[300]).ToString(), damage.Found);
    }

    [Fact]
    public async Task M01_an_entry_forged_together_with_all_tiles_is_found_at_the_signed_root()
    {
        using MemoryLog log = new(700);
        using MemoryLog forged = new(700);
        forged.Entries[300] = "forged"u8.ToArray();
        forged.Publish(700);
        forged.Files["checkpoint"] = log.Files["checkpoint"];
        using StubLog stub = new(forged.Files);
        Damage damage = await DamageAsync(stub, log);
        Assert.Equal(new Damage("root", "checkpoint", null, null, $"root {forged.Root(700)} at size 700, from the entries", $"root {log.Root(700)}"), damage);
    }

    [Fact]
    public async Task M01_tiles_in_each_others_place_are_found()
    {
        using MemoryLog log = new(700);
        using StubLog stub = new(log.Files);
        stub.Plant("tile/0/000", log.Files["tile/0/001"]);
        stub.Plant("tile/0/001", log.Files["tile/0/000"]);
        Damage damage = await DamageAsync(stub, log);
        Assert.Equal(("leaf-hash", "tile/0/000", 0L), (damage.Kind, damage.Place, damage.Index!.Value));
    }

    [Fact]
    public async Task M01_a_checkpoint_that_goes_back_during_the_check_is_found()
    {
        using MemoryLog log = new(700);
        using StubLog stub = new(log.Files);
        int asked = 0;
        stub.Planted["checkpoint"] = _ => new StubAnswer(200, Interlocked.Increment(ref asked) == 1 ? log.Files["checkpoint"] : log.Sign(512));
        Damage damage = await DamageAsync(stub, log);
        Assert.Equal(("checkpoint", "size 512"), (damage.Kind, damage.Found));
    }

    [Fact]
    public async Task A_log_that_grows_during_the_check_has_to_be_consistent()
    {
        using MemoryLog log = new(700);
        Dictionary<string, byte[]> before = new(log.Files, StringComparer.Ordinal);
        log.Entries.Add("one more"u8.ToArray());
        log.Publish(701);
        using StubLog stub = new(log.Files);
        int asked = 0;
        foreach ((string path, byte[] bytes) in before) stub.Plant(path, bytes);
        stub.Planted["checkpoint"] = _ => new StubAnswer(200, Interlocked.Increment(ref asked) == 1 ? before["checkpoint"] : log.Files["checkpoint"]);
        RemoteReport report = await CheckAsync(stub, log);
        Assert.Equal(700, report.Checkpoint.Size);

        asked = 0;
        stub.Planted["checkpoint"] = _ => new StubAnswer(200, Interlocked.Increment(ref asked) == 1 ? before["checkpoint"] : log.Sign(701, root: log.Root(1)));
        Damage damage = await DamageAsync(stub, log);
        Assert.Contains("which does not", damage.Found);
    }

    [Fact]
    public async Task M01_a_checkpoint_of_another_key_is_found_and_without_a_policy_nobody_vouches()
    {
        using MemoryLog log = new(300);
        using MemoryLog other = new(300, seed: 9);
        using StubLog stub = new(log.Files);
        stub.Plant("checkpoint", other.Files["checkpoint"]);
        Damage damage = await DamageAsync(stub, log);
        Assert.Equal("checkpoint", damage.Kind);
        using LogReader reader = new(stub.Url, Quick);
        Assert.Null((await RemoteCheck.RunAsync(reader, null)).Verified);
    }

    [Fact]
    public async Task M03_a_checkpoint_without_the_quorum_is_refused()
    {
        using MemoryLog log = new(300, witnesses: 3);
        using StubLog stub = new(log.Files);
        using LogReader reader = new(stub.Url, Quick);
        stub.Plant("checkpoint", log.Sign(300, cosigned: 1));
        LogReaderException failure = await Assert.ThrowsAsync<LogReaderException>(() => RemoteCheck.RunAsync(reader, log.Policy(quorum: 2)));
        Assert.Contains("quorum", failure.Message);
        stub.Plant("checkpoint", log.Sign(300, cosigned: 2));
        Assert.Equal(2, (await RemoteCheck.RunAsync(reader, log.Policy(quorum: 2))).Verified!.Cosigned.Count);
    }

    [Fact]
    public async Task Progress_is_told_after_each_segment()
    {
        using MemoryLog log = new(700);
        using StubLog stub = new(log.Files);
        using LogReader reader = new(stub.Url, Quick);
        List<(long, long)> told = [];
        await RemoteCheck.RunAsync(reader, null, (done, total) => told.Add((done, total)));
        Assert.Equal([(256, 700), (512, 700), (700, 700)], told);
    }

    [Fact]
    public async Task So_many_segments_are_read_ahead_and_no_more()
    {
        using MemoryLog log = new(60 * 256);
        using StubLog stub = new(log.Files);
        using ManualResetEventSlim first = new(), sixth = new();
        Hold(stub, log, "tile/entries/000", first);
        Hold(stub, log, "tile/entries/005", sixth);
        using LogReader reader = new(stub.Url, Quick with { AttemptTimeout = TimeSpan.FromSeconds(60), Time = new TestClock() });
        Task<RemoteReport> check = RemoteCheck.RunAsync(reader, null);

        // Before it is known how large a bundle is, and how fast the line: two. Then 32, the one that is waited for included.
        await AskedAsync(stub, 2);
        Assert.False(check.IsCompleted);
        first.Set();
        await AskedAsync(stub, 5 + 32);
        sixth.Set();
        Assert.Equal(log.Checkpoint, (await check).Checkpoint);

        static void Hold(StubLog stub, MemoryLog log, string path, ManualResetEventSlim until) => stub.Planted[path] = _ =>
        {
            until.Wait(TimeSpan.FromMinutes(2));
            return new StubAnswer(200, log.Files[path]);
        };

        static async Task AskedAsync(StubLog stub, int bundles)
        {
            long start = TimeProvider.System.GetTimestamp();
            while (Asked(stub) < bundles && TimeProvider.System.GetElapsedTime(start) < TimeSpan.FromMinutes(1)) await Task.Delay(5);
            Assert.Equal(bundles, Asked(stub));
        }

        static int Asked(StubLog stub) => stub.Requests.Count(request => request.StartsWith("GET tile/entries/", StringComparison.Ordinal));
    }

    [Fact]
    public void N19_no_more_is_asked_for_than_a_slow_line_brings_in_8_seconds()
    {
        const int MiB = 1024 * 1024;
        Assert.Equal(2, new ReadAhead(new TestClock()).Segments);
        (int Bundle, int BytesPerSecond, int Segments)[] lines =
        [
            (MiB, 400_000, 3), (MiB, 1_200_000, 9), (MiB, 100 * MiB, 32), (16 * MiB, 400_000, 2), (16 * MiB, 4 * MiB, 2), (16 * MiB, 100 * MiB, 8), (5_000, 400_000, 32), (5_000, 10_500, 16),
        ];
        foreach ((int bundle, int rate, int segments) in lines)
        {
            TestClock clock = new();
            ReadAhead ahead = new(clock);
            for (int i = 0; i < 100; i++)
            {
                clock.Advance(TimeSpan.FromSeconds((double)bundle / rate));
                ahead.Count(bundle);
            }

            Assert.Equal(segments, ahead.Segments);
        }
    }

    [Fact]
    public void N19_a_line_that_becomes_slower_is_asked_for_less_within_half_a_minute()
    {
        TestClock clock = new();
        ReadAhead ahead = new(clock);
        for (int i = 0; i < 1_000; i++) Come(0.01);
        Assert.Equal(32, ahead.Segments);
        for (int i = 0; i < 12; i++) Come(2.5);
        Assert.InRange(ahead.Segments, 2, 12);

        void Come(double seconds)
        {
            clock.Advance(TimeSpan.FromSeconds(seconds));
            ahead.Count(1024 * 1024);
        }
    }

    private static async Task<RemoteReport> CheckAsync(StubLog stub, MemoryLog log)
    {
        using LogReader reader = new(stub.Url, Quick);
        return await RemoteCheck.RunAsync(reader, log.Policy());
    }

    private static async Task<Damage> DamageAsync(StubLog stub, MemoryLog log)
    {
        LogReaderException failure = await Assert.ThrowsAsync<LogReaderException>(() => CheckAsync(stub, log));
        Assert.Contains(failure.Kind, new[] { LogFailure.Lie, LogFailure.Missing });
        Assert.NotNull(failure.Damage);
        return failure.Damage;
    }
}
