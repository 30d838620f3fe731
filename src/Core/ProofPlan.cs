// Which tiles a proof needs, and the proof from them: RFC 9162 sections 2.1.3.1 and 2.1.4.1, and the proofs of subtrees of
// draft-ietf-plants-merkle-tree-certs-03, of which both are cases, over the tiles of C2SP tlog-tiles.
//
// A proof is a list of Merkle tree hashes of ranges of leaves. A range falls into complete subtrees; one of height h lies in the tile
// at level h / 8, as 2^(h mod 8) neighbouring hashes. So the plan is pure arithmetic on sizes; then the caller reads each tile
// once, from wherever tiles are; then the proof is pure hashing.
using System.Numerics;
using System.Runtime.InteropServices;

namespace TransparencyLog;

/// <summary>
/// A plan for one proof, or one root hash, of a tree whose tiles are stored. Immutable once made, so one plan may be built from by many.
/// </summary>
public sealed class ProofPlan
{
    /// <summary>The tree whose tiles are read: widths are those of this size.</summary>
    private readonly long _size;
    private readonly List<TilePath> _tiles = new(8);
    private readonly List<Node> _nodes = new(48);

    /// <summary>Hash i of the proof is folded from the nodes [ends[i - 1], ends[i]).</summary>
    private readonly List<int> _ends = new(32);

    private ProofPlan(long size) => _size = size;

    /// <summary>A complete subtree: <paramref name="Count"/> hashes, a power of two below 256, of one of the tiles.</summary>
    private readonly record struct Node(int Tile, int First, int Count);

    /// <summary>
    /// The inclusion proof of the leaf at <paramref name="index"/> in the tree of <paramref name="size"/> leaves
    /// (RFC 9162 section 2.1.3.1).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Not 0 &lt;= index &lt; size.</exception>
    public static ProofPlan Inclusion(long index, long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, size);
        return SubtreeConsistency(index, index + 1, size);
    }

    /// <summary>
    /// The consistency proof between the trees of <paramref name="from"/> and <paramref name="to"/> leaves (RFC 9162 section 2.1.4.1).
    /// It is empty, and needs no tile, when the sizes are equal or <paramref name="from"/> is 0.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Not 0 &lt;= from &lt;= to.</exception>
    public static ProofPlan Consistency(long from, long to)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(from, to);
        ProofPlan plan = new(to);
        if (from > 0) plan.Subproof(0, from, 0, to, b: true);
        return plan;
    }

    /// <summary>
    /// The proof that the subtree [<paramref name="start"/>, <paramref name="end"/>) is part of the tree of <paramref name="size"/> leaves
    /// (draft-ietf-plants-merkle-tree-certs-03 section 4.4.1). From 0 it is the consistency proof, of one leaf its inclusion proof.
    /// </summary>
    /// <exception cref="ArgumentException">No valid subtree (<see cref="SubtreeProof.IsValid"/>), or not in the tree.</exception>
    public static ProofPlan SubtreeConsistency(long start, long end, long size)
    {
        ThrowUnlessValid(start, end, size);
        ProofPlan plan = new(size);
        plan.Subproof(start, end, 0, size, b: true);
        return plan;
    }

    /// <summary>
    /// The inclusion proof of the leaf at <paramref name="index"/> of the log in the subtree [<paramref name="start"/>, <paramref name="end"/>)
    /// (section 4.3), from the tiles of a tree of <paramref name="size"/> leaves.
    /// </summary>
    /// <exception cref="ArgumentException">No valid subtree, not in the tree, or without that leaf.</exception>
    public static ProofPlan SubtreeInclusion(long index, long start, long end, long size)
    {
        ThrowUnlessValid(start, end, size);
        ArgumentOutOfRangeException.ThrowIfLessThan(index, start);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, end);
        ProofPlan plan = new(size);
        plan.Subproof(index, index + 1, start, end, b: true);
        return plan;
    }

    /// <summary>The hash of the subtree [<paramref name="start"/>, <paramref name="end"/>): one hash, from the tiles of a tree of <paramref name="size"/> leaves.</summary>
    /// <exception cref="ArgumentException">No valid subtree, or not in the tree.</exception>
    public static ProofPlan Subtree(long start, long end, long size)
    {
        ThrowUnlessValid(start, end, size);
        ProofPlan plan = new(size);
        plan.Need(start, end);
        return plan;
    }

    /// <summary>
    /// SUBPROOF(from, D_to, false) of RFC 9162 section 2.1.4.1: the consistency proof with its first node always written out, so that it leads to both root
    /// hashes by itself (<see cref="MerkleProof.TryRoots(long, long, ReadOnlySpan{Hash}, out Hash, out Hash)"/>).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Not 0 &lt; from &lt; to.</exception>
    public static ProofPlan Prefix(long from, long to)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(from);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(from, to);
        ProofPlan plan = new(to);
        plan.Subproof(0, from, 0, to, b: false);
        return plan;
    }

    /// <summary>The root hash of the tree of <paramref name="size"/> leaves: one hash, from the partial tiles alone.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is negative.</exception>
    public static ProofPlan Root(long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        ProofPlan plan = new(size);
        plan.Need(0, size);
        return plan;
    }

    /// <summary>
    /// The tiles to read, each once. A tile that is partial in the tree of this size is named with its width there.
    /// At most two for each tile level.
    /// </summary>
    public IReadOnlyList<TilePath> Tiles => _tiles;

    /// <summary>
    /// Makes the proof. <paramref name="tiles"/> is asked once for each of <see cref="Tiles"/>, in order, and gives the tile's bytes, empty
    /// when there is none. False, with an empty proof, as soon as one has not exactly width * 32 bytes. The hashes are believed: verify
    /// the proof before it is given to anyone.
    /// </summary>
    public bool TryBuild(Func<TilePath, ReadOnlyMemory<byte>> tiles, out Hash[] proof)
    {
        proof = [];
        ReadOnlyMemory<byte>[] read = new ReadOnlyMemory<byte>[_tiles.Count];
        for (int i = 0; i < read.Length; i++)
        {
            read[i] = tiles(_tiles[i]);
            if (read[i].Length != _tiles[i].Width * Hash.Size) return false;
        }

        Hash[] hashes = new Hash[_ends.Count];
        for (int i = 0; i < hashes.Length; i++) hashes[i] = Fold(read, i);
        proof = hashes;
        return true;
    }

    /// <summary>
    /// Makes the same proof from tiles whose inner hashes are known already: one look-up for most of its hashes. <paramref name="tiles"/> are those of
    /// <see cref="Tiles"/> in their order; each may be wider than planned, as a tile is in a larger tree. False, with an empty proof, when one is
    /// missing or narrower. The hashes are believed here too.
    /// </summary>
    public bool TryBuild(ReadOnlySpan<TileTree> tiles, out Hash[] proof)
    {
        proof = [];
        if (tiles.Length != _tiles.Count) return false;
        for (int i = 0; i < tiles.Length; i++)
        {
            if (tiles[i] is null || tiles[i].Width < _tiles[i].Width) return false;
        }

        Hash[] hashes = new Hash[_ends.Count];
        for (int i = 0; i < hashes.Length; i++) hashes[i] = Fold(tiles, i);
        proof = hashes;
        return true;
    }

    private static void ThrowUnlessValid(long start, long end, long size)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(end, size);
        if (!SubtreeProof.IsValid(start, end)) throw new ArgumentOutOfRangeException(nameof(start), $"[{start}, {end}) is no valid subtree");
    }

    /// <summary>
    /// The draft's SUBTREE_SUBPROOF(start, end, D_n, b), where D_n is D[from:to] and all numbers count from the beginning of the log. With start = from it
    /// is SUBPROOF, and with one leaf PATH, of RFC 9162 sections 2.1.4.1 and 2.1.3.1.
    /// </summary>
    private void Subproof(long start, long end, long from, long to, bool b)
    {
        if (start == from && end == to)
        {
            // With b, the verifier knows this hash: it is the one it starts from.
            if (!b) Need(from, to);
            return;
        }

        long k = from + LargestPowerOfTwoBelow(to - from);
        if (end <= k)
        {
            Subproof(start, end, from, k, b);
            Need(k, to);
        }
        else if (k <= start)
        {
            Subproof(start, end, k, to, b);
            Need(from, k);
        }
        else
        {
            // start < k < end, which implies start = from.
            Subproof(k, end, k, to, b: false);
            Need(from, k);
        }
    }

    /// <summary>The next hash of the proof is MTH(D[start:end]), a range as the RFC's splits make them.</summary>
    private void Need(long start, long end)
    {
        while (start < end)
        {
            int height = BitOperations.Log2((ulong)(end - start));
            int level = height / 8;
            long first = start >> (8 * level);
            _nodes.Add(new Node(Tile(level, first / TilePath.FullWidth), (int)(first % TilePath.FullWidth), 1 << (height % 8)));
            start += 1L << height;
        }

        _ends.Add(_nodes.Count);
    }

    private int Tile(int level, long index)
    {
        // At most 16 of them: looking through the list is quicker than any index of it, and the last is the likeliest.
        for (int i = _tiles.Count - 1; i >= 0; i--)
        {
            if (_tiles[i].Index == index && _tiles[i].Level == level) return i;
        }

        _tiles.Add(new TilePath(level, index, TilePath.WidthAt(level, index, _size)));
        return _tiles.Count - 1;
    }

    /// <summary>Hash i of the proof: that of neighbouring subtrees, each larger than the next, joined from the right. None is the empty tree.</summary>
    private Hash Fold(ReadOnlyMemory<byte>[] read, int i)
    {
        (int from, int to) = (i == 0 ? 0 : _ends[i - 1], _ends[i]);
        if (from == to) return MerkleHash.Empty;
        Hash r = HashOf(read, _nodes[to - 1]);
        for (int s = to - 2; s >= from; s--) r = MerkleHash.Node(HashOf(read, _nodes[s]), r);
        return r;
    }

    private Hash Fold(ReadOnlySpan<TileTree> tiles, int i)
    {
        (int from, int to) = (i == 0 ? 0 : _ends[i - 1], _ends[i]);
        if (from == to) return MerkleHash.Empty;
        Hash r = HashOf(tiles, _nodes[to - 1]);
        for (int s = to - 2; s >= from; s--) r = MerkleHash.Node(HashOf(tiles, _nodes[s]), r);
        return r;
    }

    private static Hash HashOf(ReadOnlyMemory<byte>[] read, Node node) =>
        MerkleHash.Root(MemoryMarshal.Cast<byte, Hash>(read[node.Tile].Span).Slice(node.First, node.Count));

    private static Hash HashOf(ReadOnlySpan<TileTree> tiles, Node node) => tiles[node.Tile].Subtree(node.First, node.Count);

    /// <summary>The k of RFC 9162 section 2.1.1: k &lt; n &lt;= 2k.</summary>
    private static long LargestPowerOfTwoBelow(long n) => 1L << BitOperations.Log2((ulong)(n - 1));
}
