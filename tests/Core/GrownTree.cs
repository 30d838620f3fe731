using System.Buffers.Binary;

namespace TransparencyLog.Tests.Core;

/// <summary>
/// A tree grown leaf by leaf through <see cref="RightEdge"/>, with every full tile it gave. Serves the tiles of every size it went through:
/// a partial tile is a prefix of what came later.
/// </summary>
internal sealed class GrownTree
{
    private readonly Dictionary<(int Level, long Index), ReadOnlyMemory<byte>> _full = [];

    public RightEdge Edge { get; } = new();

    public List<Hash> Leaves { get; } = [];

    public int Size => Leaves.Count;

    public int FullTiles(int level) => _full.Keys.Count(tile => tile.Level == level);

    /// <summary>A different leaf hash for every index.</summary>
    public static Hash LeafAt(long index)
    {
        Span<byte> entry = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(entry, index);
        return MerkleHash.Leaf(entry);
    }

    public static GrownTree Of(int size)
    {
        GrownTree tree = new();
        tree.GrowTo(size);
        return tree;
    }

    public void GrowTo(int size)
    {
        List<FullTile> completed = [];
        while (Size < size)
        {
            Hash leaf = LeafAt(Size);
            Edge.Append(leaf, completed);
            Leaves.Add(leaf);
            Assert.Equal(Size, Edge.Size);
            foreach (FullTile tile in completed) _full.Add((tile.Level, tile.Index), tile.Hashes);
            completed.Clear();
        }
    }

    public ReadOnlyMemory<byte> Tile(TilePath tile)
    {
        int width = TilePath.WidthAt(tile.Level, tile.Index, Size);
        Assert.True(tile.Width <= width, $"{tile} is not in a tree of {Size}");
        bool isFull = _full.TryGetValue((tile.Level, tile.Index), out ReadOnlyMemory<byte> full);
        ReadOnlyMemory<byte> stored = isFull ? full : Edge.PartialTile(tile.Level);
        Assert.Equal(width * Hash.Size, stored.Length);
        return stored[..(tile.Width * Hash.Size)];
    }

    public Hash[] Build(ProofPlan plan)
    {
        Assert.True(plan.TryBuild(Tile, out Hash[] proof));
        return proof;
    }

    /// <summary>The partial tiles of an earlier or this size, as <see cref="RightEdge.Restore"/> takes them.</summary>
    public List<ReadOnlyMemory<byte>> PartialTilesAt(long size)
    {
        List<ReadOnlyMemory<byte>> tiles = [];
        for (int level = 0; size >> (8 * level) != 0; level++)
        {
            long index = size >> (8 * level) >> 8;
            int width = TilePath.WidthAt(level, index, size);
            tiles.Add(width == 0 ? ReadOnlyMemory<byte>.Empty : Tile(new TilePath(level, index, width)));
        }

        return tiles;
    }
}
