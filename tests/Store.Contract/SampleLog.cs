using System.Security.Cryptography;
using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>
/// A log whose entries follow from their indexes, with its tree: what a store has to hold. Its segments are those of a real tree, so that the
/// first level-1 tile is among them.
/// </summary>
internal sealed class SampleLog
{
    private readonly Func<long, byte[]> _entry;
    private readonly RightEdge _edge = new();
    private readonly Dictionary<(int, long), FullTile> _tiles = [];

    public SampleLog(int segments, Func<long, byte[]> entry)
    {
        _entry = entry;
        for (int number = 0; number < segments; number++)
        {
            List<FullTile> completed = [];
            for (int i = 0; i < EntryBundle.Width; i++) _edge.Append(MerkleHash.Leaf(entry((number * EntryBundle.Width) + i)), completed);
            foreach (FullTile tile in completed) _tiles[(tile.Level, tile.Index)] = tile;
            FullTile leaves = completed[0];
            Segments.Add(new SealedSegment(number, BundleOf(number * EntryBundle.Width, EntryBundle.Width), leaves.Hashes, leaves.Root, [.. completed.Skip(1)]));
        }
    }

    /// <summary>258 segments of tiny entries: they complete one tile of level 1, and two more follow.</summary>
    public static SampleLog Tiny { get; } = new(258, TinyEntry);

    public List<SealedSegment> Segments { get; } = [];

    /// <summary>0 to 3 bytes.</summary>
    public static byte[] TinyEntry(long index) => BitConverter.GetBytes(index)[..(int)(index % 4)];

    /// <summary>0 to 300 bytes that follow from the index.</summary>
    public static byte[] Entry(long index)
    {
        byte[] hash = SHA256.HashData(BitConverter.GetBytes(index));
        byte[] entry = new byte[hash[0] + (hash[1] % 45)];
        for (int i = 0; i < entry.Length; i++) entry[i] = hash[i % 32];
        return entry;
    }

    /// <summary>Entries with their length prefixes.</summary>
    public byte[] BundleOf(long from, int count)
    {
        using MemoryStream bundle = new();
        for (long index = from; index < from + count; index++)
        {
            byte[] entry = _entry(index), encoded = new byte[EntryBundle.EncodedSize(entry.Length)];
            EntryBundle.Write(entry, encoded);
            bundle.Write(encoded);
        }

        return bundle.ToArray();
    }

    /// <summary>What the tree has beyond its full tiles at a size, of which the full segments are among these.</summary>
    public OpenEdge EdgeAt(long size)
    {
        long segments = size / EntryBundle.Width;
        RightEdge edge = TileReading.RestoreEdge(segments, (level, index) => _tiles[(level, index)].Root);
        for (long index = segments * EntryBundle.Width; index < size; index++) edge.Append(MerkleHash.Leaf(_entry(index)), null);
        return new OpenEdge(
            size,
            [.. Enumerable.Range(0, edge.Levels).Select(edge.PartialTile)],
            BundleOf(segments * EntryBundle.Width, (int)(size % EntryBundle.Width)));
    }

    /// <summary>The bytes at a path in a tree that covers it.</summary>
    public ReadOnlyMemory<byte> At(TilePath path)
    {
        if (path.IsEntries) return BundleOf(path.Index * EntryBundle.Width, path.Width);
        if (_tiles.TryGetValue((path.Level, path.Index), out FullTile full)) return full.Hashes[..(path.Width * Hash.Size)];
        long below = (path.Index * TilePath.FullWidth) + path.Width;
        return EdgeAt(path.Level == 0 ? below : below << (8 * path.Level)).PartialTiles[path.Level][..(path.Width * Hash.Size)];
    }

    /// <summary>Every path that a tree of a size covers, with the partial tiles of its edge and some of smaller trees.</summary>
    public static IEnumerable<TilePath> PathsAt(long size, Random random)
    {
        for (int level = TilePath.EntriesLevel; level < 3; level++)
        {
            for (long index = 0; TilePath.WidthAt(level, index, size) is int width and > 0; index++)
            {
                yield return new TilePath(level, index, width);
                yield return new TilePath(level, index, 1 + random.Next(width));
            }
        }
    }

    /// <summary>Puts the segments of a range.</summary>
    public async Task PutAsync(ITileStore tiles, int from, int to)
    {
        for (int number = from; number < to; number++) await tiles.PutSegmentAsync(Segments[number], CancellationToken.None);
    }

    /// <summary>The store holds the first segments, each path of those from one on, and nothing beyond.</summary>
    public async Task HoldsAsync(ITileStore tiles, int segments, int from = 0)
    {
        Assert.Equal(segments, tiles.SegmentCount);
        for (int number = from; number < segments; number++)
        {
            SealedSegment segment = Segments[number];
            await HoldsAsync(tiles, new TilePath(TilePath.EntriesLevel, number), segment.Bundle);
            await HoldsAsync(tiles, new TilePath(0, number), segment.Tile);
            Assert.Equal(segment.Root, await tiles.GetRootAsync(0, number, CancellationToken.None));
            Assert.Equal(segment.Bundle.Length, await tiles.GetBundleSizeAsync(number, CancellationToken.None));
            foreach (int width in (int[])[1 + (number % 255), 200])
            {
                await HoldsAsync(tiles, new TilePath(0, number, width), segment.Tile[..(width * Hash.Size)]);
                await HoldsAsync(
                    tiles, new TilePath(TilePath.EntriesLevel, number, width), segment.Bundle[..EntryBundle.PrefixLength(segment.Bundle.Span, width)]);
            }

            foreach (FullTile tile in segment.Upper)
            {
                await HoldsAsync(tiles, new TilePath(tile.Level, tile.Index), tile.Hashes);
                await HoldsAsync(tiles, new TilePath(tile.Level, tile.Index, 7), tile.Hashes[..(7 * Hash.Size)]);
                Assert.Equal(tile.Root, await tiles.GetRootAsync(tile.Level, tile.Index, CancellationToken.None));
            }
        }

        Assert.Null(await tiles.GetSealedAsync(new TilePath(TilePath.EntriesLevel, segments), CancellationToken.None));
        Assert.Null(await tiles.GetSealedAsync(new TilePath(0, segments, 3), CancellationToken.None));
        Assert.Null(await tiles.GetSealedAsync(new TilePath(0, long.MaxValue), CancellationToken.None));
        Assert.Null(await tiles.GetBundleSizeAsync(segments, CancellationToken.None));
        for (int level = 1; level <= TilePath.MaxLevel; level++)
        {
            Assert.Null(await tiles.GetSealedAsync(new TilePath(level, level == 1 ? segments / 256 : 0), CancellationToken.None));
            Assert.Null(await tiles.GetSealedAsync(new TilePath(level, long.MaxValue), CancellationToken.None));
        }

        await Assert.ThrowsAsync<DamageException>(async () => await tiles.GetRootAsync(0, segments, CancellationToken.None));
    }

    private static async Task HoldsAsync(ITileStore tiles, TilePath path, ReadOnlyMemory<byte> expected)
    {
        ReadOnlyMemory<byte>? found = await tiles.GetSealedAsync(path, CancellationToken.None);
        Assert.True(found is ReadOnlyMemory<byte> bytes && bytes.Span.SequenceEqual(expected.Span), path.ToString());
    }
}
