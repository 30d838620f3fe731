// Plans which tiles of C2SP tlog-tiles a proof needs, and builds the proof from them. The code makes the subtree proofs of
// draft-ietf-plants-merkle-tree-certs-03. The proofs of RFC 9162 sections 2.1.3.1 and 2.1.4.1 are special cases of those.
//
// A proof is a list of Merkle tree hashes of ranges of leaves. A range splits into complete subtrees. A subtree of height h lies in the tile
// at level h / 8, as 2^(h mod 8) adjacent hashes. So the plan is pure arithmetic on sizes. The caller then reads each tile once, from any
// source, and building the proof is pure hashing.
using System.Numerics;
using System.Runtime.InteropServices;

namespace TransparencyLog;

/// <summary>
/// A plan for one proof, or for one root hash, of a tree whose tiles are stored. Immutable, so several threads may build from one plan.
/// </summary>
public sealed class ProofPlan
{
    /// <summary>Size of the tree whose tiles are read. Each tile has the width that it has at this size.</summary>
    private readonly long _size;
    private readonly List<TilePath> _tiles = new(8);
    private readonly List<Node> _nodes = new(48);

    /// <summary>Hash i of the proof is folded from the nodes [ends[i - 1], ends[i]).</summary>
    private readonly List<int> _ends = new(32);

    private ProofPlan(long size) => _size = size;

    /// <summary>A complete subtree: <paramref name="Count"/> adjacent hashes of one tile, a power of two below 256.</summary>
    private readonly record struct Node(int Tile, int First, int Count);

    /// <summary>
    /// Plans the inclusion proof of the leaf at <paramref name="index"/> in the tree of <paramref name="size"/> leaves
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
    /// Plans the consistency proof between the trees of <paramref name="from"/> and <paramref name="to"/> leaves (RFC 9162 section 2.1.4.1).
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
    /// Plans the proof that the subtree [<paramref name="start"/>, <paramref name="end"/>) is part of the tree of <paramref name="size"/> leaves
    /// (draft-ietf-plants-merkle-tree-certs-03 section 4.4.1). If start is 0, it is the consistency proof; for a single leaf, it is the inclusion proof.
    /// </summary>
    /// <exception cref="ArgumentException">Not a valid subtree (<see cref="SubtreeProof.IsValid"/>), or not in the tree.</exception>
    public static ProofPlan SubtreeConsistency(long start, long end, long size)
    {
        ThrowUnlessValid(start, end, size);
        ProofPlan plan = new(size);
        plan.Subproof(start, end, 0, size, b: true);
        return plan;
    }

    /// <summary>
    /// Plans the inclusion proof of a leaf in the subtree [<paramref name="start"/>, <paramref name="end"/>) (section 4.3), from the tiles of a tree of
    /// <paramref name="size"/> leaves. <paramref name="index"/> is the index of the leaf in the log.
    /// </summary>
    /// <exception cref="ArgumentException">Not a valid subtree, not in the tree, or the leaf is not in the subtree.</exception>
    public static ProofPlan SubtreeInclusion(long index, long start, long end, long size)
    {
        ThrowUnlessValid(start, end, size);
        ArgumentOutOfRangeException.ThrowIfLessThan(index, start);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, end);
        ProofPlan plan = new(size);
        plan.Subproof(index, index + 1, start, end, b: true);
        return plan;
    }

    /// <summary>
    /// Plans the hash of the subtree [<paramref name="start"/>, <paramref name="end"/>), from the tiles of a tree of <paramref name="size"/> leaves.
    /// The result is one hash.
    /// </summary>
    /// <exception cref="ArgumentException">Not a valid subtree, or not in the tree.</exception>
    public static ProofPlan Subtree(long start, long end, long size)
    {
        ThrowUnlessValid(start, end, size);
        ProofPlan plan = new(size);
        plan.Need(start, end);
        return plan;
    }

    /// <summary>
    /// Plans SUBPROOF(from, D_to, false) of RFC 9162 section 2.1.4.1: the consistency proof with its first node always included. Both root hashes
    /// follow from it alone (<see cref="MerkleProof.TryRoots(long, long, ReadOnlySpan{Hash}, out Hash, out Hash)"/>).
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

    /// <summary>Plans the root hash of the tree of <paramref name="size"/> leaves. The result is one hash, from the partial tiles alone.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is negative.</exception>
    public static ProofPlan Root(long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        ProofPlan plan = new(size);
        plan.Need(0, size);
        return plan;
    }

    /// <summary>
    /// The tiles to read, each listed once. A tile that is partial in the tree of this size is listed with its width there.
    /// At most two tiles per tile level.
    /// </summary>
    public IReadOnlyList<TilePath> Tiles => _tiles;

    /// <summary>
    /// Builds the proof. Calls <paramref name="tiles"/> once for each of <see cref="Tiles"/>, in order; it returns the bytes of the tile, or
    /// empty memory if there is no such tile. Returns false, with an empty proof, as soon as a tile does not have exactly width * 32 bytes.
    /// The hashes are not verified: verify the proof before passing it on.
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
    /// Builds the same proof from tiles whose inner hashes are already computed: most hashes of the proof then need one lookup.
    /// <paramref name="tiles"/> are those of <see cref="Tiles"/>, in the same order. Each may be wider than planned, as a tile is in a larger tree.
    /// Returns false, with an empty proof, when a tile is missing or narrower. The hashes are not verified here either.
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
    /// SUBTREE_SUBPROOF(start, end, D_n, b) of the draft, where D_n is D[from:to] and all indexes count from the beginning of the log. If start = from,
    /// it is SUBPROOF of RFC 9162 section 2.1.4.1; for a single leaf, it is PATH of section 2.1.3.1.
    /// </summary>
    private void Subproof(long start, long end, long from, long to, bool b)
    {
        if (start == from && end == to)
        {
            // If b is true, the verifier already knows this hash: its check starts from it.
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

    /// <summary>Adds MTH(D[start:end]) as the next hash of the proof. The range must be one that the RFC's splits produce.</summary>
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
        // There are at most 16 tiles: scanning the list is faster than any index over it. The last tile is the most likely match.
        for (int i = _tiles.Count - 1; i >= 0; i--)
        {
            if (_tiles[i].Index == index && _tiles[i].Level == level) return i;
        }

        _tiles.Add(new TilePath(level, index, TilePath.WidthAt(level, index, _size)));
        return _tiles.Count - 1;
    }

    /// <summary>
    /// Computes hash i of the proof: joins adjacent subtrees, each larger than the next, from the right. Without any, it is the hash of the empty tree.
    /// </summary>
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
