// A tile with the hashes inside it: the subtree of height 8 that a tile of C2SP tlog-tiles represents, "with its hashes as the leaves".
// tlog-tiles stores every eighth level of the tree. The levels between are computed once here, so that a proof only looks up hashes.
//
// Node i of height h, the root of the hashes [i * 2^h, (i + 1) * 2^h), is at index 256 / 2^h + i: height 1 from 128 on, height 7 at 2 and 3.
using System.Numerics;
using System.Runtime.InteropServices;

namespace TransparencyLog;

/// <summary>
/// The 1 to 256 hashes of a tile and the root of every complete subtree inside it, up to height 7: 8,192 bytes in addition to the tile, and at
/// most width - 1 node hashes to compute. Immutable.
/// </summary>
public sealed class TileTree
{
    /// <summary>Bytes of memory for the inner nodes, whatever the width: 8,192.</summary>
    public const int InnerBytes = TilePath.FullWidth * Hash.Size;

    // The hash at height 8 is stored one tile level up.
    private const int InnerHeights = 7;

    private readonly ReadOnlyMemory<byte> _tile;
    private readonly Hash[] _inner = new Hash[TilePath.FullWidth];

    /// <summary>Computes the inner hashes of a tile.</summary>
    /// <param name="tile">Its 1 to 256 hashes of 32 bytes. The memory is kept and must not change.</param>
    /// <param name="shorter">
    /// The same tile when it had fewer hashes, or null. Its inner hashes are reused, unless it is wider than <paramref name="tile"/>. The caller
    /// guarantees that its hashes are the first hashes of the tile.
    /// </param>
    /// <exception cref="ArgumentException">Not 1 to 256 hashes of 32 bytes.</exception>
    public TileTree(ReadOnlyMemory<byte> tile, TileTree? shorter = null)
    {
        if (tile.Length is 0 or > TilePath.FullWidth * Hash.Size || tile.Length % Hash.Size != 0) throw new ArgumentException("a tile has 1 to 256 hashes of 32 bytes", nameof(tile));
        _tile = tile;
        int known = shorter is not null && shorter.Width <= Width ? shorter.Width : 0;
        if (known > 0) shorter!._inner.CopyTo(_inner, 0);
        ReadOnlySpan<Hash> below = MemoryMarshal.Cast<byte, Hash>(tile.Span);
        for (int height = 1; height <= InnerHeights; height++)
        {
            int from = known >> height, to = Width >> height;
            Span<Hash> nodes = _inner.AsSpan(TilePath.FullWidth >> height, TilePath.FullWidth >> height);
            MerkleHash.Nodes(below[(2 * from)..(2 * to)], nodes[from..]);
            below = nodes;
        }
    }

    /// <summary>How many hashes the tile has, 1 to 256.</summary>
    public int Width => _tile.Length / Hash.Size;

    /// <summary>The tile itself: the memory that was passed in.</summary>
    public ReadOnlyMemory<byte> Tile => _tile;

    /// <summary>
    /// The Merkle tree hash of the hashes [<paramref name="first"/>, <paramref name="first"/> + <paramref name="count"/>): a complete subtree, so
    /// <paramref name="count"/> is a power of two from 1 to 128 and <paramref name="first"/> a multiple of it.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not such a subtree, or the tile has fewer hashes.</exception>
    public Hash Subtree(int first, int count)
    {
        int height = BitOperations.TrailingZeroCount(count);
        if (height > InnerHeights || count != 1 << height || first < 0 || (first & (count - 1)) != 0 || first + count > Width)
        {
            throw new ArgumentOutOfRangeException(nameof(first), first, $"{count} hashes from there on are no complete subtree of a tile of {Width}");
        }

        return height == 0 ? new Hash(_tile.Span.Slice(first * Hash.Size, Hash.Size)) : _inner[(TilePath.FullWidth >> height) + (first >> height)];
    }
}
