namespace TransparencyLog.Tests.Core;

/// <summary>
/// The tree whose leaves are all the same. Complete subtrees of one height are then equal, so that the tiles of a tree of any size up to
/// 2^63-1 can be written down without growing it.
/// </summary>
internal static class EqualLeaves
{
    private static readonly Hash[] Subtrees = Make();

    /// <summary>The hash of a complete subtree of 2^height leaves.</summary>
    public static Hash Subtree(int height) => Subtrees[height];

    public static ReadOnlyMemory<byte> Tile(TilePath tile)
    {
        byte[] hashes = new byte[tile.Width * Hash.Size];
        for (int i = 0; i < tile.Width; i++) Subtrees[8 * tile.Level].CopyTo(hashes.AsSpan(i * Hash.Size));
        return hashes;
    }

    public static List<ReadOnlyMemory<byte>> PartialTiles(long size)
    {
        List<ReadOnlyMemory<byte>> tiles = [];
        for (int level = 0; level < 8; level++)
        {
            int width = (int)(size >> (8 * level) & 255);
            tiles.Add(width == 0 ? ReadOnlyMemory<byte>.Empty : Tile(new TilePath(level, 0, width)));
        }

        return tiles;
    }

    /// <summary>RFC 6962 section 2.1: split at the largest power of two below n, recursively.</summary>
    public static Hash Root(long n)
    {
        long k = 1;
        int height = 0;
        while (k < n && n - k > k)
        {
            k *= 2;
            height++;
        }

        return n == 1 ? Subtrees[0] : MerkleHash.Node(Subtrees[height], Root(n - k));
    }

    private static Hash[] Make()
    {
        Hash[] subtrees = new Hash[63];
        subtrees[0] = MerkleHash.Leaf("the same"u8);
        for (int height = 1; height < subtrees.Length; height++)
        {
            subtrees[height] = MerkleHash.Node(subtrees[height - 1], subtrees[height - 1]);
        }

        return subtrees;
    }
}
