// The right edge of the tree: the state that must be kept in memory to append, to compute the root hash and to write the tiles.
//
// The edge is kept in two forms. The peaks are the roots of the complete subtrees that make up the tree, one for each bit that is
// set in its size (RFC 6962 section 2.1, read from the right). The partial tiles hold the hashes that C2SP tlog-tiles serves.
// An append carries through the peaks as adding 1 carries through the bits of a binary number. Each time the carry passes a height
// that is a multiple of 8, a tile has become full, and its root is the next hash one tile level up.
using System.Numerics;

namespace TransparencyLog;

/// <summary>A tile that has just become full.</summary>
/// <param name="Level">Tile level, 0 to 6.</param>
/// <param name="Index">Index of the tile in its level.</param>
/// <param name="Hashes">Its 256 hashes, 8,192 bytes, never changed afterwards.</param>
/// <param name="Root">The Merkle tree hash of the 256 hashes: the hash at <paramref name="Index"/> one tile level up.</param>
public readonly record struct FullTile(int Level, long Index, ReadOnlyMemory<byte> Hashes, Hash Root);

/// <summary>
/// The right edge of a tree of 0 to 2^63-1 leaves: at most 63 peaks and eight partial tiles. It has one owner and is not safe for
/// concurrent use. The memory that it returns never changes, so any thread may read it at any time.
/// </summary>
public sealed class RightEdge
{
    // A size below 2^63 has at most 63 bits, and so at most 63 / 8 tile levels, rounded up.
    private const int MaxHeight = 63;
    private const int MaxLevels = 8;
    private const int TileBytes = TilePath.FullWidth * Hash.Size;

    /// <summary>[h] is the root of the complete subtree of 2^h leaves, when bit h of the size is set; otherwise stale.</summary>
    private readonly Hash[] _peaks = new Hash[MaxHeight];

    /// <summary>
    /// [l] is the open tile at level l, or null while that tile has no hash. Bytes are only added after those already handed out, and a
    /// full tile is never written again. So no snapshot ever changes.
    /// </summary>
    private readonly byte[]?[] _open = new byte[]?[MaxLevels];

    /// <summary>The edge of the empty tree.</summary>
    public RightEdge()
    {
    }

    /// <summary>
    /// Restores the edge of a tree of <paramref name="size"/> leaves from its partial tiles, which are copied. <c>partialTiles[l]</c> is the
    /// tile at level l: <c>floor(size / 256^l) mod 256</c> hashes of 32 bytes. A level past the end of the list counts as empty.
    /// The hashes are not verified: compare <see cref="Root"/> with a known root hash.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is negative.</exception>
    /// <exception cref="ArgumentException">A tile is longer or shorter than the size says.</exception>
    public static RightEdge Restore(long size, IReadOnlyList<ReadOnlyMemory<byte>> partialTiles)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        RightEdge edge = new() { Size = size };
        for (int level = 0; level < Math.Max(MaxLevels, partialTiles.Count); level++)
        {
            ReadOnlySpan<byte> tile = level < partialTiles.Count ? partialTiles[level].Span : [];
            int width = level < MaxLevels ? edge.OpenWidth(level) : 0;
            if (tile.Length != width * Hash.Size)
            {
                throw new ArgumentException(
                    $"the partial tile at level {level} of size {size} has {width} hashes, not {tile.Length} bytes", nameof(partialTiles));
            }

            if (width > 0) edge.RestoreLevel(level, tile);
        }

        return edge;
    }

    /// <summary>The tree size: the number of leaves.</summary>
    public long Size { get; private set; }

    /// <summary>How many tile levels have a hash, 0 to 8. The partial tile of such a level may be empty.</summary>
    public int Levels => (MaxHeight + 1 - BitOperations.LeadingZeroCount((ulong)Size) + 7) / 8;

    /// <summary>
    /// Appends a leaf hash. The tiles that it fills are added to <paramref name="completed"/> (unless null), the lowest level first.
    /// Computes one node hash on average.
    /// </summary>
    /// <exception cref="InvalidOperationException">The tree has 2^63-1 leaves.</exception>
    public void Append(in Hash leaf, List<FullTile>? completed)
    {
        if (Size == long.MaxValue) throw new InvalidOperationException("a tree has at most 2^63-1 leaves");
        Hash r = leaf;
        Put(0, r);
        int height = 0;
        while ((Size >> height & 1) != 0)
        {
            r = MerkleHash.Node(_peaks[height], r);
            height++;
            if (height % 8 != 0) continue;

            // SPEC TT-14: each hash at level l is the tree hash of a full tile at level l-1.
            int level = height / 8;
            completed?.Add(new FullTile(level - 1, Size >> height, _open[level - 1], r));
            _open[level - 1] = null;
            Put(level, r);
        }

        _peaks[height] = r;
        Size++;
    }

    /// <summary>Computes the root hash of the tree, with at most 62 node hashes.</summary>
    public Hash Root()
    {
        if (Size == 0) return MerkleHash.Empty;
        int height = BitOperations.TrailingZeroCount(Size);
        Hash r = _peaks[height];
        for (height++; Size >> height != 0; height++)
        {
            if ((Size >> height & 1) != 0) r = MerkleHash.Node(_peaks[height], r);
        }

        return r;
    }

    /// <summary>
    /// The hashes of the partial tile at a level, 32 bytes each, at most 255. Empty when the tile has no hash or the tree has no such level.
    /// The returned memory never changes, whatever is appended later.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The level is negative.</exception>
    public ReadOnlyMemory<byte> PartialTile(int level)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(level);
        return level < MaxLevels ? _open[level].AsMemory(0, OpenWidth(level) * Hash.Size) : ReadOnlyMemory<byte>.Empty;
    }

    /// <summary>SPEC TT-16: the partial tile at level l for size s has floor(s / 256^l) mod 256 hashes.</summary>
    private int OpenWidth(int level) => (int)(Size >> (8 * level) & (TilePath.FullWidth - 1));

    /// <summary>Adds to its level the hash of the subtree that the leaf at index <see cref="Size"/> completes.</summary>
    private void Put(int level, in Hash hash)
    {
        byte[] tile = _open[level] ??= new byte[TileBytes];
        hash.CopyTo(tile.AsSpan(OpenWidth(level) * Hash.Size));
    }

    private void RestoreLevel(int level, ReadOnlySpan<byte> tile)
    {
        byte[] open = _open[level] = new byte[TileBytes];
        tile.CopyTo(open);

        // Each set bit of the width, the highest first, stands for one complete subtree of the tile's hashes.
        int width = tile.Length / Hash.Size;
        int start = 0;
        for (int bit = 7; bit >= 0; bit--)
        {
            int count = width & (1 << bit);
            if (count == 0) continue;
            _peaks[(8 * level) + bit] = MerkleHash.Root(tile.Slice(start * Hash.Size, count * Hash.Size));
            start += count;
        }
    }
}
