// Verifies proofs: RFC 9162 sections 2.1.3.2 (inclusion) and 2.1.4.2 (consistency), with the RFC's letters and its order of steps.
// All input is untrusted: any sizes, any hashes and any number of hashes return true or false, never an exception.
using System.Numerics;

namespace TransparencyLog;

/// <summary>Verifies inclusion and consistency proofs (RFC 9162 section 2.1). Whatever is wrong with the input, the result is false.</summary>
public static class MerkleProof
{
    /// <summary>
    /// Number of hashes in the longest inclusion proof: 63, the height of a tree of 2^63-1 leaves. A consistency proof has at most one hash more
    /// than the height, so 63 is enough for it up to 2^62 leaves.
    /// </summary>
    public const int MaxLength = 63;

    /// <summary>
    /// Whether the leaf with this leaf hash is at <paramref name="index"/> in the tree of <paramref name="size"/> leaves with this
    /// root hash (RFC 9162 section 2.1.3.2). The size must come from the same source as the root: proofs for different sizes can have the same shape.
    /// </summary>
    public static bool VerifyInclusion(in Hash leaf, long index, long size, ReadOnlySpan<Hash> proof, in Hash root)
    {
        // 1. If leaf_index is greater than or equal to tree_size, fail.
        if (index < 0 || index >= size) return false;

        // 2, 3.
        (long fn, long sn, Hash r) = (index, size - 1, leaf);

        // 4. For each value p in the inclusion_path array:
        foreach (Hash p in proof)
        {
            // a.
            if (sn == 0) return false;

            // b. and otherwise
            if ((fn & 1) != 0 || fn == sn)
            {
                r = MerkleHash.Node(p, r);
                while ((fn & 1) == 0 && fn != 0) (fn, sn) = (fn >> 1, sn >> 1);
            }
            else
            {
                r = MerkleHash.Node(r, p);
            }

            // c.
            (fn, sn) = (fn >> 1, sn >> 1);
        }

        // 5.
        return sn == 0 && r == root;
    }

    /// <summary>
    /// Whether the tree of <paramref name="from"/> leaves with root hash <paramref name="fromRoot"/> is the beginning of the tree of
    /// <paramref name="to"/> leaves with root hash <paramref name="toRoot"/> (RFC 9162 section 2.1.4.2). Two cases are not in the RFC. With
    /// equal sizes, the roots must be equal and the proof empty. From size 0, the proof must be empty and <paramref name="fromRoot"/> the
    /// root hash of the empty tree.
    /// </summary>
    public static bool VerifyConsistency(long from, long to, in Hash fromRoot, in Hash toRoot, ReadOnlySpan<Hash> proof)
    {
        if (from < 0 || from > to) return false;
        if (from == 0 && fromRoot != MerkleHash.Empty) return false;
        if (from == to) return proof.IsEmpty && fromRoot == toRoot;
        if (from == 0) return proof.IsEmpty;

        // 1. If consistency_path is an empty array, fail.
        if (proof.IsEmpty) return false;

        // 2, 5. If first is an exact power of 2, the path begins with first_hash.
        bool known = BitOperations.IsPow2(from);
        return TryRoots(from, to, known ? fromRoot : proof[0], known ? proof : proof[1..], out Hash fr, out Hash sr)

            // 7.
            && fr == fromRoot && sr == toRoot;
    }

    /// <summary>
    /// Computes the two root hashes to which SUBPROOF(from, D_to, false) of RFC 9162 section 2.1.4.1 leads. That is the consistency proof with its first node
    /// always included; the RFC leaves it out if <paramref name="from"/> is a power of two. If <paramref name="toRoot"/> is the root hash of a tree of
    /// <paramref name="to"/> leaves, then <paramref name="fromRoot"/> is that of its first <paramref name="from"/> leaves, even if the hashes are not
    /// trusted. False unless 0 &lt; from &lt; to and there are as many hashes as such a proof has.
    /// </summary>
    public static bool TryRoots(long from, long to, ReadOnlySpan<Hash> hashes, out Hash fromRoot, out Hash toRoot)
    {
        (fromRoot, toRoot) = (default, default);
        return from > 0 && from < to && !hashes.IsEmpty && TryRoots(from, to, hashes[0], hashes[1..], out fromRoot, out toRoot);
    }

    /// <summary>RFC 9162 section 2.1.4.2 from step 3 on, with its letters. <paramref name="first"/> is the first node of the path.</summary>
    private static bool TryRoots(long from, long to, in Hash first, ReadOnlySpan<Hash> path, out Hash fr, out Hash sr)
    {
        fr = first;
        sr = first;

        // 3, 4.
        (long fn, long sn) = (from - 1, to - 1);
        while ((fn & 1) != 0) (fn, sn) = (fn >> 1, sn >> 1);

        // 6. For each subsequent value c in the consistency_path array:
        foreach (Hash c in path)
        {
            // a.
            if (sn == 0) return false;

            // b. and otherwise
            if ((fn & 1) != 0 || fn == sn)
            {
                fr = MerkleHash.Node(c, fr);
                sr = MerkleHash.Node(c, sr);
                while ((fn & 1) == 0 && fn != 0) (fn, sn) = (fn >> 1, sn >> 1);
            }
            else
            {
                sr = MerkleHash.Node(sr, c);
            }

            // c.
            (fn, sn) = (fn >> 1, sn >> 1);
        }

        return sn == 0;
    }

    /// <summary>
    /// Number of hashes in the inclusion proof of the leaf at <paramref name="index"/> in a tree of <paramref name="size"/> leaves: 0 to 63.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Not 0 &lt;= index &lt; size.</exception>
    public static int InclusionLength(long index, long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, size);

        // Below the node where the paths to this leaf and to the last leaf meet, each level adds a hash. Above it, only left siblings do.
        int apart = 64 - BitOperations.LeadingZeroCount((ulong)(index ^ (size - 1)));
        return apart + BitOperations.PopCount((ulong)index >> apart);
    }
}
