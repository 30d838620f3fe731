using System.IO.Compression;
using TransparencyLog.Server;

namespace TransparencyLog.Tests.Server;

/// <summary>The memory of hot tiles: the store's bytes or nothing, never more than its bound.</summary>
public sealed class HotTilesTests
{
    private const int Bound = 1024 * 1024;

    [Fact]
    public void What_is_asked_for_once_is_not_kept_and_what_is_asked_for_twice_is()
    {
        HotTiles hot = new(Bound);
        TilePath path = new(0, 7);
        for (int ask = 1; ask <= 2; ask++)
        {
            Assert.Null(hot.Find(path));
            Assert.True(hot.Offer(path, Bytes(1, 8192)).Bytes.Span.SequenceEqual(Bytes(1, 8192)));
        }

        Assert.True(hot.Find(path)!.Bytes.Span.SequenceEqual(Bytes(1, 8192)));
        Assert.Same(hot.Find(path), hot.Offer(path, Bytes(1, 8192)));
        Assert.Equal(1, hot.Count);
    }

    [Fact]
    public void Tiles_and_bundles_of_one_index_are_not_mixed_up()
    {
        HotTiles hot = new(Bound);
        TilePath[] paths = [new(TilePath.EntriesLevel, 0), new(0, 0), new(1, 0), new(TilePath.EntriesLevel, 1), new(0, 1), new(0, (1L << 55) - 1), new(6, 1)];
        for (int round = 0; round < 2; round++)
        {
            foreach (TilePath path in paths) hot.Offer(path, Bytes(path.GetHashCode(), 8192));
        }

        foreach (TilePath path in paths)
        {
            Assert.True(hot.Find(path)!.Bytes.Span.SequenceEqual(Bytes(path.GetHashCode(), 8192)));
            Assert.Same(hot.Find(path), hot.Find(new TilePath(path.Level, path.Index, 5)));
        }
    }

    [Fact]
    public void A_bound_of_zero_keeps_nothing_and_everything_still_works()
    {
        HotTiles hot = new(0);
        for (int i = 0; i < 3; i++)
        {
            HotTile tile = hot.Offer(new TilePath(0, 1), Bytes(1, 8192));
            Assert.Equal(new TileTree(Bytes(1, 8192)).Subtree(0, 128), hot.TreeOf(tile).Subtree(0, 128));
            Assert.NotNull(hot.GzipOf(hot.Offer(new TilePath(TilePath.EntriesLevel, 1), new byte[5000])));
        }

        Assert.Equal((0L, 0), (hot.Bytes, hot.Count));
    }

    [Fact]
    public void A_piece_of_something_larger_does_not_keep_all_of_it()
    {
        HotTiles hot = new(Bound);
        byte[] large = Bytes(1, 100_000);
        hot.Offer(new TilePath(0, 1), large.AsMemory(500, 8192));
        HotTile kept = hot.Offer(new TilePath(0, 1), large.AsMemory(500, 8192));
        Assert.Same(kept, hot.Find(new TilePath(0, 1)));
        Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(kept.Bytes, out ArraySegment<byte> array));
        Assert.Equal(8192, array.Array!.Length);
        Assert.True(kept.Bytes.Span.SequenceEqual(large.AsSpan(500, 8192)));
    }

    [Fact]
    public void What_is_asked_for_again_and_again_stays_while_others_come_and_go()
    {
        HotTiles hot = new(Bound);
        TilePath wanted = new(0, 1_000_000);
        for (int i = 0; i < 2; i++) hot.Offer(wanted, Bytes(1, 8192));
        for (int i = 0; i < 5000; i++)
        {
            Assert.NotNull(hot.Find(wanted));
            for (int round = 0; round < 2; round++) hot.Offer(new TilePath(0, i), new byte[8192]);
        }

        Assert.InRange(hot.Count, 50, Bound / 8192);
    }

    [Fact]
    public async Task The_bound_holds_whatever_is_asked_for_by_whom()
    {
        HotTiles hot = new(Bound);
        byte[] text = new byte[200_000];
        await Task.WhenAll(Enumerable.Range(0, 4).Select(seed => Task.Run(() =>
        {
            Random random = new(seed);
            for (int i = 0; i < 20_000; i++)
            {
                bool entries = random.Next(3) == 0;
                TilePath path = new(entries ? TilePath.EntriesLevel : random.Next(2), random.Next(300));

                // Of one path always the same bytes, as a store gives them; some of the bundles are too large to be kept.
                int length = entries ? 600 * (1 + (int)path.Index) : 8192;
                HotTile tile = hot.Find(path) ?? hot.Offer(path, text.AsMemory(0, length));
                Assert.Equal(length, tile.Bytes.Length);
                if (!entries && random.Next(2) == 0) Assert.Equal(256, hot.TreeOf(tile).Width);
                if (entries && random.Next(20) == 0 && hot.GzipOf(tile) is byte[] gzip) Assert.True(gzip.Length < length);
                Assert.InRange(hot.Bytes, 0, Bound);
            }
        })));

        // Counted again from what is kept.
        long bytes = 0;
        int count = 0;
        for (int index = 0; index < 300; index++)
        {
            foreach (int level in (int[])[-1, 0, 1])
            {
                if (hot.Find(new TilePath(level, index)) is not HotTile tile) continue;
                count++;
                bytes += 256 + tile.Bytes.Length + (tile.Tree is null ? 0 : 256 + TileTree.InnerBytes) + (tile.Gzip is null ? 0 : 256 + tile.Gzip.Length);
            }
        }

        Assert.Equal((count, bytes), (hot.Count, hot.Bytes));
        Assert.InRange(bytes, Bound / 2, Bound);
    }

    [Fact]
    public void What_does_not_get_smaller_is_sent_as_it_is_and_not_tried_again()
    {
        HotTiles hot = new(Bound);
        TilePath path = new(TilePath.EntriesLevel, 1);
        hot.Offer(path, Bytes(5, 20_000));
        HotTile bundle = hot.Offer(path, Bytes(5, 20_000));
        Assert.Null(hot.GzipOf(bundle));
        Assert.Empty(bundle.Gzip!);
        Assert.Null(hot.GzipOf(bundle));
        Assert.Null(hot.GzipOf(hot.Offer(path, new byte[HotTiles.MaxCompressed + 1])));
    }

    [Fact]
    public async Task A_hot_bundle_is_compressed_once_and_nobody_waits_for_it()
    {
        HotTiles hot = new(Bound);
        TilePath path = new(TilePath.EntriesLevel, 1);
        hot.Offer(path, new byte[100_000]);
        HotTile bundle = hot.Offer(path, new byte[100_000]);
        byte[]?[] answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(() => hot.GzipOf(bundle))));
        byte[] gzip = hot.GzipOf(bundle)!;
        Assert.All(answers, answer => Assert.True(answer is null || ReferenceEquals(answer, gzip)));
        using GZipStream unzipped = new(new MemoryStream(gzip), CompressionMode.Decompress);
        using MemoryStream all = new();
        await unzipped.CopyToAsync(all);
        Assert.Equal(new byte[100_000], all.ToArray());
    }

    private static byte[] Bytes(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
