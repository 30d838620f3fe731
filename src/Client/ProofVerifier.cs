// The offline verification of a tlog-proof, in the order that c2sp.org/tlog-proof, "Verification", requires.

using System.Diagnostics.CodeAnalysis;

namespace TransparencyLog.Client;

/// <summary>Verifies that an entry is in a log, from nothing but the entry, a proof and a policy.</summary>
public static class ProofVerifier
{
    /// <summary>
    /// Whether the proof shows that the log has this entry at the proof's index, under a checkpoint that the policy accepts. When false,
    /// <paramref name="reason"/> says why in one line. The proof's extra data is ignored, because nothing authenticates it.
    /// </summary>
    public static bool TryVerify(
        ReadOnlySpan<byte> entry, TlogProof proof, Policy policy, [NotNullWhen(true)] out VerifiedCheckpoint? checkpoint, out string reason)
    {
        checkpoint = null;

        // SPEC PR-08: in this order: the leaf hash; the origin, signed by a key configured for it; the cosignatures; the inclusion proof.
        Hash leaf = MerkleHash.Leaf(entry);
        if (!CheckpointCheck.TryVerify(proof.Checkpoint.Span, policy, out VerifiedCheckpoint? verified, out reason)) return false;
        if (!Includes(proof, leaf, verified.Checkpoint, out reason)) return false;
        checkpoint = verified;
        return true;
    }

    /// <summary>
    /// The last step alone: whether the proof leads from the leaf hash to the root of the checkpoint. The signatures of the checkpoint are not verified here.
    /// </summary>
    public static bool Includes(TlogProof proof, in Hash leaf, Checkpoint checkpoint, out string reason)
    {
        // SPEC PR-09: index < size; exactly as many hashes as RFC 6962 gives for index and size.
        if (proof.Index >= checkpoint.Size)
        {
            reason = $"index {proof.Index} is not below the size {checkpoint.Size} of the checkpoint";
            return false;
        }

        int length = MerkleProof.InclusionLength(proof.Index, checkpoint.Size);
        if (proof.Hashes.Count != length)
        {
            reason = $"the proof has {proof.Hashes.Count} hashes; for index {proof.Index} at size {checkpoint.Size} it has {length}";
            return false;
        }

        bool holds = MerkleProof.VerifyInclusion(leaf, proof.Index, checkpoint.Size, [.. proof.Hashes], checkpoint.Root);
        reason = holds ? "" : $"the entry is not the one at index {proof.Index}, or the proof is damaged: it does not lead to the root {checkpoint.Root}";
        return holds;
    }
}
