using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>The promises of <see cref="ITileStore"/>.</summary>
public abstract class TileContract<T> : ContractTests<T> where T : StoreUnderTest, new()
{
    private static readonly SampleLog Log = SampleLog.Tiny;

    [Fact]
    public async Task A_new_store_has_no_segment_and_nothing_published()
    {
        await Log.HoldsAsync(Tiles, 0);
        Assert.Equal(0, Tiles.DurableSegmentCount);
        Assert.Null(await Tiles.ReadPublishedAsync(CancellationToken.None));
        Assert.Null(await GetAsync(new TilePath(0, 0, 1), 1));
        Assert.Null(await GetAsync(new TilePath(0, 0, 1), 0));
        Tiles.ThrowIfFailed();
    }

    [Fact]
    public async Task Segments_and_the_tiles_that_they_complete_come_back_byte_for_byte()
    {
        await Log.PutAsync(Tiles, 0, 255);
        await Log.HoldsAsync(Tiles, 255);
        await Log.PutAsync(Tiles, 255, 258);
        await Log.HoldsAsync(Tiles, 258);
        await Tiles.FlushAsync(CancellationToken.None);
        Assert.Equal(258, Tiles.DurableSegmentCount);
        await KillAndReopenAsync();
        await Log.HoldsAsync(Tiles, 258);
        Assert.Equal(258, Tiles.DurableSegmentCount);
    }

    [Fact]
    public async Task Large_entries_make_large_bundles()
    {
        SampleLog large = new(2, index => [.. Enumerable.Repeat((byte)index, index % 64 == 0 ? EntryBundle.MaxEntrySize : 5_000)]);
        await large.PutAsync(Tiles, 0, 2);
        await large.HoldsAsync(Tiles, 2);
        await Tiles.FlushAsync(CancellationToken.None);
        await KillAndReopenAsync();
        await large.HoldsAsync(Tiles, 2);
    }

    [Fact]
    public async Task What_is_durable_survives_a_kill_and_the_rest_is_put_again()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        int put = 0;
        while (put < 258)
        {
            int to = Math.Min(258, put + random.Next(1, 60));
            await Log.PutAsync(Tiles, put, to);
            if (random.Next(2) == 0) await Tiles.FlushAsync(CancellationToken.None);
            long durable = Tiles.DurableSegmentCount;
            Assert.InRange(durable, 0, to);
            await KillAndReopenAsync();
            Assert.True(Tiles.SegmentCount >= durable && Tiles.SegmentCount <= to, $"{Tiles.SegmentCount} segments of {durable} to {to}, seed {seed}");
            put = (int)Tiles.SegmentCount;
            await Log.HoldsAsync(Tiles, put, Math.Max(0, put - 3));
        }

        await Log.HoldsAsync(Tiles, 258);
    }

    [Fact]
    public async Task An_orderly_close_loses_no_segment()
    {
        await Log.PutAsync(Tiles, 0, 7);
        await ReopenAsync();
        await Log.HoldsAsync(Tiles, 7);
        await Log.PutAsync(Tiles, 7, 9);
        await Log.HoldsAsync(Tiles, 9);
    }

    [Fact]
    public async Task A_segment_may_be_put_again_and_with_other_bytes_it_is_a_conflict()
    {
        await Log.PutAsync(Tiles, 0, 258);
        await Log.PutAsync(Tiles, 254, 258);
        await Log.PutAsync(Tiles, 0, 1);
        SealedSegment first = Log.Segments[0], last = Log.Segments[255];
        FullTile upper = last.Upper[0];
        byte[] tile = first.Tile.ToArray(), hashes = upper.Hashes.ToArray();
        tile[77] ^= 1;
        hashes[8191] ^= 1;
        SealedSegment[] others =
        [
            first with { Bundle = Log.Segments[1].Bundle }, first with { Tile = tile }, first with { Root = Acts.HashOf("other") },
            last with { Upper = [upper with { Hashes = hashes }] }, last with { Upper = [upper with { Root = Acts.HashOf("other") }] },
        ];
        foreach (SealedSegment other in others)
        {
            await Assert.ThrowsAsync<StoreConflictException>(async () => await Tiles.PutSegmentAsync(other, CancellationToken.None));
        }

        await Log.HoldsAsync(Tiles, 258, 250);
        await KillAndReopenAsync();
        await Log.PutAsync(Tiles, 0, 258);
        await Log.HoldsAsync(Tiles, 258);
    }

    [Fact]
    public async Task A_gap_and_a_segment_without_its_form_are_misuse()
    {
        await Log.PutAsync(Tiles, 0, 255);
        SealedSegment next = Log.Segments[255];
        FullTile upper = next.Upper[0];
        SealedSegment[] bad =
        [
            Log.Segments[256], Log.Segments[257], next with { Number = -1 }, next with { Number = long.MaxValue },
            next with { Bundle = next.Bundle[..^1] }, next with { Bundle = Log.BundleOf(0, 255) }, next with { Tile = next.Tile[..^32] },
            next with { Upper = [] }, next with { Upper = [upper, upper] }, next with { Upper = [upper with { Index = 1 }] },
            next with { Upper = [upper with { Level = 2 }] }, next with { Upper = [upper with { Hashes = upper.Hashes[..^32] }] },
            Log.Segments[0] with { Upper = [upper] },
        ];
        foreach (SealedSegment segment in bad)
        {
            await Assert.ThrowsAnyAsync<ArgumentException>(async () => await Tiles.PutSegmentAsync(segment, CancellationToken.None));
        }

        await Log.HoldsAsync(Tiles, 255, 250);
        await Log.PutAsync(Tiles, 255, 258);
        await Log.HoldsAsync(Tiles, 258, 250);
    }

    [Fact]
    public async Task The_right_edge_comes_back_from_the_roots()
    {
        await Log.PutAsync(Tiles, 0, 258);
        foreach (int segments in (int[])[0, 1, 255, 256, 257, 258])
        {
            RightEdge edge = await Tiles.RestoreEdgeAsync(segments, CancellationToken.None);
            OpenEdge expected = Log.EdgeAt(segments * 256);
            Assert.Equal(segments * 256, edge.Size);
            Assert.Equal(expected.PartialTiles.Select(tile => tile.ToArray()), Enumerable.Range(0, edge.Levels).Select(level => edge.PartialTile(level).ToArray()));
        }
    }

    [Fact]
    public async Task Every_path_of_a_published_size_can_be_read_and_none_beyond()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        await Log.PutAsync(Tiles, 0, 258);
        long[] sizes = [0, 1, 255, 256, 257, 511, 65_535, 65_536, 65_537, 66_047];
        foreach (long size in sizes)
        {
            // The edge may be larger than the head.
            long edge = random.Next(3) == 0 ? Math.Min(66_047, size + random.Next(300)) : size;
            await Tiles.PublishAsync(Head(size), Log.EdgeAt(edge), CancellationToken.None);
            await IsPublishedAsync(size, random, $"seed {seed}");
            foreach (long smaller in sizes.Where(one => one < size)) await IsCoveredAsync(smaller, random, $"seed {seed}", some: 6);
            Assert.Null(await GetAsync(new TilePath(0, 0), size + 1));
        }

        await Log.HoldsAsync(Tiles, 258, 250);
    }

    [Fact]
    public async Task What_is_published_never_goes_back_and_gains_cosignatures_at_its_size()
    {
        Random random = new(3);
        await Log.PutAsync(Tiles, 0, 3);
        await Tiles.PublishAsync(Head(700), Log.EdgeAt(700), CancellationToken.None);
        await Tiles.PublishAsync(Head(699), Log.EdgeAt(700), CancellationToken.None);
        await Tiles.PublishAsync(Head(3), Log.EdgeAt(3), CancellationToken.None);
        await IsPublishedAsync(700, random, "after a smaller head");
        await Tiles.PublishAsync(Head(700, "cosigned"), Log.EdgeAt(700), CancellationToken.None);
        Assert.Equal("700 cosigned", Words(await Tiles.ReadPublishedAsync(CancellationToken.None)));
        await Tiles.PublishAsync(Head(701), Log.EdgeAt(701), CancellationToken.None);
        await IsPublishedAsync(701, random, "after a larger head");
    }

    [Fact]
    public async Task An_edge_that_does_not_fit_is_misuse()
    {
        await Log.PutAsync(Tiles, 0, 2);
        OpenEdge edge = Log.EdgeAt(600);
        (PublishedHead, OpenEdge)[] bad =
        [
            (Head(601), edge), (Head(-1), edge), (Head(600), edge with { OpenBundle = Log.BundleOf(512, 87) }), (Head(600), edge with { OpenBundle = edge.OpenBundle[..^1] }),
            (Head(600), edge with { PartialTiles = [] }), (Head(600), edge with { PartialTiles = [edge.PartialTiles[0], edge.PartialTiles[1][..32]] }),
            (Head(600), edge with { PartialTiles = [.. edge.PartialTiles, new byte[32]] }), (Head(600), Log.EdgeAt(768)), (Head(768), Log.EdgeAt(768)),
        ];
        foreach ((PublishedHead head, OpenEdge wrong) in bad)
        {
            await Assert.ThrowsAnyAsync<ArgumentException>(async () => await Tiles.PublishAsync(head, wrong, CancellationToken.None));
        }

        Assert.Null(await Tiles.ReadPublishedAsync(CancellationToken.None));
        await Tiles.PublishAsync(Head(600), edge, CancellationToken.None);
        await IsPublishedAsync(600, new Random(1), "");
    }

    [Fact]
    public async Task A_later_opening_shows_what_was_published_whole_or_nothing()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        await Log.PutAsync(Tiles, 0, 257);
        long size = 0;
        while (size < 65_800)
        {
            size += random.Next(1, random.Next(2) == 0 ? 40 : 20_000);
            size = Math.Min(size, 65_800);
            await Tiles.PublishAsync(Head(size), Log.EdgeAt(size), CancellationToken.None);
            if (random.Next(3) > 0 && size < 65_800) continue;
            await (random.Next(2) == 0 ? ReopenAsync() : KillAndReopenAsync());
            PublishedHead? found = await Tiles.ReadPublishedAsync(CancellationToken.None);
            if (Under.KeepsWhatWasPublished) Assert.NotNull(found);
            if (found is null) continue;
            await IsPublishedAsync(size, random, $"seed {seed}", some: 40);
        }
    }

    [Fact]
    public async Task A_watcher_sees_the_newest_head_and_each_that_follows_slowly()
    {
        await Log.PutAsync(Tiles, 0, 1);
        await Tiles.PublishAsync(Head(100), Log.EdgeAt(100), CancellationToken.None);
        using CancellationTokenSource stop = new();
        IAsyncEnumerator<PublishedHead> watch = Tiles.WatchAsync(stop.Token).GetAsyncEnumerator(CancellationToken.None);
        for (long size = 100; size < 105; size++)
        {
            Assert.True(await watch.MoveNextAsync().AsTask().WaitAsync(Acts.Limit));
            Assert.Equal(size, watch.Current.Size);
            await Tiles.PublishAsync(Head(size + 1), Log.EdgeAt(size + 1), CancellationToken.None);
        }

        // Of three that came quickly the newest. A smaller one is none.
        await Tiles.PublishAsync(Head(106), Log.EdgeAt(106), CancellationToken.None);
        await Tiles.PublishAsync(Head(107), Log.EdgeAt(107), CancellationToken.None);
        await Tiles.PublishAsync(Head(50), Log.EdgeAt(107), CancellationToken.None);
        Assert.True(await watch.MoveNextAsync().AsTask().WaitAsync(Acts.Limit));
        Assert.Equal(107, watch.Current.Size);
        Task<bool> next = watch.MoveNextAsync().AsTask();
        await Tiles.PublishAsync(Head(107, "cosigned"), Log.EdgeAt(107), CancellationToken.None);
        Assert.True(await next.WaitAsync(Acts.Limit));
        Assert.Equal("107 cosigned", Words(watch.Current));
        next = watch.MoveNextAsync().AsTask();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next.WaitAsync(Acts.Limit));
        await watch.DisposeAsync();
    }

    [Fact]
    public async Task Readers_find_every_path_of_what_they_see_published_while_the_tree_grows()
    {
        int seed = Random.Shared.Next();
        using CancellationTokenSource done = new();
        Task[] readers = [.. Enumerable.Range(0, 3).Select(reader => Task.Run(async () =>
        {
            Random random = new(seed + reader);
            long last = 0;
            while (!done.IsCancellationRequested)
            {
                if (await Tiles.ReadPublishedAsync(CancellationToken.None) is not PublishedHead head) continue;
                Assert.True(head.Size >= last, $"{head.Size} after {last}");
                last = head.Size;
                await IsCoveredAsync(last, random, $"seed {seed}", some: 3);
            }
        }))];
        long size = 0;
        Random sizes = new(seed);
        for (int segment = 0; segment < 40; segment++)
        {
            await Log.PutAsync(Tiles, segment, segment + 1);
            for (int i = 0; i < 4; i++)
            {
                size = sizes.NextInt64(size, ((segment + 1) * 256) + 255);
                await Tiles.PublishAsync(Head(size), Log.EdgeAt(size), CancellationToken.None);
            }
        }

        await done.CancelAsync();
        await Task.WhenAll(readers).WaitAsync(Acts.Limit);
    }

    private static PublishedHead Head(long size, string more = "") => new(size, System.Text.Encoding.UTF8.GetBytes($"{size} {more}"));

    private static string? Words(PublishedHead? head) => head is null ? null : System.Text.Encoding.UTF8.GetString(head.Checkpoint.Span);

    private ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, long size) => Tiles.GetAsync(path, size, CancellationToken.None);

    private async Task IsPublishedAsync(long size, Random random, string because, int some = int.MaxValue)
    {
        PublishedHead? head = await Tiles.ReadPublishedAsync(CancellationToken.None);
        Assert.NotNull(head);
        Assert.Equal(size, head.Size);
        Assert.StartsWith($"{size} ", Words(head), StringComparison.Ordinal);
        await IsCoveredAsync(size, random, because, some);
        foreach (int level in (int[])[TilePath.EntriesLevel, 0, 1, 2, 7, 8, 63])
        {
            long index = level < 3 ? size >> (8 * (Math.Max(level, 0) + 1)) : 0;
            int width = TilePath.WidthAt(level, index, size);
            Assert.Null(await GetAsync(new TilePath(level, index, width + 1), size));
            Assert.Null(await GetAsync(new TilePath(level, index + 1, 1), size));
        }
    }

    /// <summary>Paths of a size that was published, or is smaller than one: all, or some of them with those at the edge.</summary>
    private async Task IsCoveredAsync(long size, Random random, string because, int some)
    {
        TilePath[] paths = [.. SampleLog.PathsAt(size, random)];
        if (paths.Length > some) paths = [.. random.GetItems(paths, some), .. paths.GroupBy(path => path.Level).SelectMany(level => level.TakeLast(2))];
        foreach (TilePath path in paths)
        {
            ReadOnlyMemory<byte>? found = await GetAsync(path, size);
            Assert.True(found is ReadOnlyMemory<byte> bytes && bytes.Span.SequenceEqual(Log.At(path).Span), $"{path} at size {size}; {because}");
        }
    }
}
