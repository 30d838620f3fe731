// Subtrees and their proofs (draft-ietf-plants-merkle-tree-certs-03 sections 4.1, 4.3 and 4.4, which c2sp.org/tlog-witness names for
// sign-subtree), with the letters and the order of the draft. ProofPlan makes these proofs.
//
//     [0, 14)        a subtree [start, end) is a Merkle tree of its own over the entries of that interval. It is valid where its start is a
//      /   \         multiple of BIT_CEIL(end - start): then all of it but its right edge is also part of the tree around it.
//   [0, 8) [8, 14)
//            |       The subtree [8, 13) is none of the nodes here, and still is built of them: [8, 12) and [12, 13).
//         [8, 13)
//
// From -05 on the draft also takes empty subtrees. The specification of witnesses follows -03, which does not, and so does this file.
using System.Numerics;

namespace TransparencyLog;

/// <summary>Verifies proofs about subtrees of a Merkle tree. Everything comes from strangers; false is the only bad answer.</summary>
public static class SubtreeProof
{
    /// <summary>
    /// Whether [<paramref name="start"/>, <paramref name="end"/>) is a valid subtree of every tree of at least <paramref name="end"/> leaves
    /// (section 4.1): 0 &lt;= start &lt; end, and start is a multiple of the smallest power of two that is not below end - start.
    /// </summary>
    // The power of two is at most 2^63 and fits 64 bits without sign, for sizes end at 2^63-1.
    public static bool IsValid(long start, long end) =>
        start >= 0 && start < end && ((ulong)start & (BitOperations.RoundUpToPowerOf2((ulong)(end - start)) - 1)) == 0;

    /// <summary>
    /// Whether the leaf with this leaf hash is at <paramref name="index"/> of the log, in the subtree [<paramref name="start"/>,
    /// <paramref name="end"/>) with this hash (section 4.3).
    /// </summary>
    public static bool VerifyInclusion(in Hash leaf, long index, long start, long end, ReadOnlySpan<Hash> proof, in Hash subtree) =>
        IsValid(start, end) && index >= start && MerkleProof.VerifyInclusion(leaf, index - start, end - start, proof, subtree);

    /// <summary>
    /// Whether the subtree [<paramref name="start"/>, <paramref name="end"/>) with the hash <paramref name="subtree"/> is that of the tree of
    /// <paramref name="size"/> leaves with this root hash (section 4.4).
    /// </summary>
    public static bool VerifyConsistency(long start, long end, long size, in Hash subtree, in Hash root, ReadOnlySpan<Hash> proof)
    {
        // 1. Check that [start, end) is a valid subtree, and that end <= n. If either do not hold, fail.
        if (!IsValid(start, end) || end > size) return false;

        // 2, 3, 4. Up to the first node that is a whole child in the tree around it; where the subtree is one itself, to its own.
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
