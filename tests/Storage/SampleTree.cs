using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>A log made up from a seed, in memory: the model that a tile store is compared with.</summary>
internal sealed class SampleTree
{
    private readonly RightEdge _edge = new();
    private readonly List<FullTile> _completed = [];

    public List<SealedSegment> Segments { get; } = [];

    /// <summary>The full tiles of level 1 and above, in the order in which they became full.</summary>
    public List<FullTile> Upper { get; } = [];

    /// <summary>Upper tiles by the segment that completes them.</summary>
    public Dictionary<long, List<FullTile>> UpperOf { get; } = [];

    public static SampleTree Create(int segments, Func<int, byte[]> entry)
    {
        SampleTree tree = new();
        for (int number = 0; number < segments; number++) tree.AddSegment(Enumerable.Range(number * 256, 256).Select(entry));
        return tree;
    }

    /// <summary>Entries of 0 to 3 bytes.</summary>
    public static byte[] Tiny(int index) => BitConverter.GetBytes(index)[..(index % 4)];

    public void AddSegment(IEnumerable<byte[]> entries)
    {
        using MemoryStream bundle = new();
        foreach (byte[] entry in entries)
        {
            byte[] encoded = new byte[EntryBundle.EncodedSize(entry.Length)];
            EntryBundle.Write(entry, encoded);
            bundle.Write(encoded);
            _edge.Append(MerkleHash.Leaf(entry), _completed);
        }

        FullTile tile = _completed[0];
        Segments.Add(new SealedSegment(tile.Index, bundle.ToArray(), tile.Hashes, tile.Root));
        Upper.AddRange(_completed[1..]);
        UpperOf[tile.Index] = _completed[1..];
        _completed.Clear();
    }

    /// <summary>Puts the segments of a range with the tiles that they complete.</summary>
    public async Task PutAsync(ITileStore store, int from, int to)
    {
        for (int number = from; number < to; number++)
        {
            await store.PutSegmentAsync(Segments[number], CancellationToken.None);
            foreach (FullTile tile in UpperOf[number]) await store.PutUpperTileAsync(tile, CancellationToken.None);
        }
    }

    /// <summary>The store holds exactly the first segments of this tree: every path of those from a number on, full and partial, and nothing beyond.</summary>
    public async Task HoldsAsync(ITileStore store, int segments, int from = 0)
    {
        Assert.Equal(segments, store.SegmentCount);
        for (int number = from; number < segments; number++)
        {
            SealedSegment segment = Segments[number];
            Equal(segment.Bundle, await store.GetAsync(new TilePath(TilePath.EntriesLevel, number), CancellationToken.None));
            Equal(segment.Tile, await store.GetAsync(new TilePath(0, number), CancellationToken.None));
            Assert.Equal(segment.Root, await store.GetRootAsync(0, number, CancellationToken.None));
            Assert.Equal(segment.Bundle.Length, await store.GetBundleSizeAsync(number, CancellationToken.None));
            foreach (int width in number % 100 == 0 && segment.Bundle.Length < 100_000 ? Enumerable.Range(1, 255) : [1 + (number % 255), 200])
            {
                Equal(segment.Tile[..(width * 32)], await store.GetAsync(new TilePath(0, number, width), CancellationToken.None));
                Equal(
                    segment.Bundle[..EntryBundle.PrefixLength(segment.Bundle.Span, width)],
                    await store.GetAsync(new TilePath(TilePath.EntriesLevel, number, width), CancellationToken.None));
            }
        }

        foreach (FullTile tile in Upper.Where(tile => (tile.Index + 1) << (8 * tile.Level) <= segments))
        {
            Equal(tile.Hashes, await store.GetAsync(new TilePath(tile.Level, tile.Index), CancellationToken.None));
            Equal(tile.Hashes[..(7 * 32)], await store.GetAsync(new TilePath(tile.Level, tile.Index, 7), CancellationToken.None));
            Assert.Equal(tile.Root, await store.GetRootAsync(tile.Level, tile.Index, CancellationToken.None));
        }

        Assert.Null(await store.GetAsync(new TilePath(TilePath.EntriesLevel, segments), CancellationToken.None));
        Assert.Null(await store.GetBundleSizeAsync(segments, CancellationToken.None));
        Assert.Null(await store.GetAsync(new TilePath(0, segments, 3), CancellationToken.None));
        Assert.Null(await store.GetAsync(new TilePath(1, segments / 256), CancellationToken.None));
        Assert.Null(await store.GetAsync(new TilePath(2, segments / 65536), CancellationToken.None));
        Assert.Null(await store.GetAsync(new TilePath(0, long.MaxValue), CancellationToken.None));
        for (int level = 1; level <= TilePath.MaxLevel; level++) Assert.Null(await store.GetAsync(new TilePath(level, long.MaxValue), CancellationToken.None));
    }

    private static void Equal(ReadOnlyMemory<byte> expected, ReadOnlyMemory<byte>? found)
    {
        Assert.NotNull(found);
        Assert.True(expected.Span.SequenceEqual(found.Value.Span));
    }
}
