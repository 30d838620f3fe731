// Verifies proofs of subtrees (draft-ietf-plants-merkle-tree-certs-03 sections 4.1, 4.3 and 4.4, to which c2sp.org/tlog-witness refers for
// sign-subtree). The variable names and the order of the steps are those of the draft. ProofPlan makes these proofs.
//
//     [0, 14)        A subtree [start, end) is the Merkle tree over the entries of that interval alone. It is valid if start is a multiple of
//      /   \         BIT_CEIL(end - start). Then all of its nodes except those on its right edge are also nodes of the tree around it.
//   [0, 8) [8, 14)
//            |       The subtree [8, 13) is not a node of this tree, but it is built from two nodes of it: [8, 12) and [12, 13).
//         [8, 13)
//
// From version -05 on, the draft also allows empty subtrees. tlog-witness follows -03, which does not, and so does this file.
using System.Numerics;

namespace TransparencyLog;

/// <summary>Verifies proofs about subtrees of a Merkle tree. All input is untrusted: whatever is wrong with it, the result is false.</summary>
public static class SubtreeProof
{
    /// <summary>
    /// Whether [<paramref name="start"/>, <paramref name="end"/>) is a valid subtree of every tree of at least <paramref name="end"/> leaves
    /// (section 4.1): 0 &lt;= start &lt; end, and start is a multiple of the smallest power of two that is at least end - start.
    /// </summary>
    // Sizes are at most 2^63-1, so the power of two is at most 2^63 and fits in an unsigned 64-bit integer.
    public static bool IsValid(long start, long end) =>
        start >= 0 && start < end && ((ulong)start & (BitOperations.RoundUpToPowerOf2((ulong)(end - start)) - 1)) == 0;

    /// <summary>
    /// Whether the leaf with this leaf hash is at <paramref name="index"/> of the log, in the subtree [<paramref name="start"/>,
    /// <paramref name="end"/>) with this hash (section 4.3).
    /// </summary>
    public static bool VerifyInclusion(in Hash leaf, long index, long start, long end, ReadOnlySpan<Hash> proof, in Hash subtree) =>
        IsValid(start, end) && index >= start && MerkleProof.VerifyInclusion(leaf, index - start, end - start, proof, subtree);

    /// <summary>
    /// Whether the subtree [<paramref name="start"/>, <paramref name="end"/>) with the hash <paramref name="subtree"/> is part of the tree of
    /// <paramref name="size"/> leaves with this root hash (section 4.4).
    /// </summary>
    public static bool VerifyConsistency(long start, long end, long size, in Hash subtree, in Hash root, ReadOnlySpan<Hash> proof)
    {
        // 1. Check that [start, end) is a valid subtree, and that end <= n. If either do not hold, fail.
        if (!IsValid(start, end) || end > size) return false;

        // 2, 3, 4. Go up to the level where the proof starts. It starts at the subtree itself if that is a node of the tree, otherwise at the
        // largest node of the tree that ends where the subtree ends.
        (long fn, long sn, long tn) = (start, end - 1, size - 1);
        if (sn == tn)
        {
            while (fn != sn) (fn, sn, tn) = (fn >> 1, sn >> 1, tn >> 1);
        }
        else
        {
            while (fn != sn && (sn & 1) != 0) (fn, sn, tn) = (fn >> 1, sn >> 1, tn >> 1);
        }

        // 5, 6. If fn is sn, set fr and sr to node_hash; otherwise to the first value of the proof, which must not be empty.
        bool known = fn == sn;
        if (!known && proof.IsEmpty) return false;
        Hash fr = known ? subtree : proof[0];
        Hash sr = fr;

        // 7. For each value c in the proof array:
        foreach (Hash c in known ? proof : proof[1..])
        {
            // a.
            if (tn == 0) return false;

            // b. and otherwise
            if ((sn & 1) != 0 || sn == tn)
            {
                if (fn < sn) fr = MerkleHash.Node(c, fr);
                sr = MerkleHash.Node(c, sr);
                while ((sn & 1) == 0) (fn, sn, tn) = (fn >> 1, sn >> 1, tn >> 1);
            }
            else
            {
                sr = MerkleHash.Node(sr, c);
            }

            // c.
            (fn, sn, tn) = (fn >> 1, sn >> 1, tn >> 1);
        }

        // 8.
        return tn == 0 && fr == subtree && sr == root;
    }
}
