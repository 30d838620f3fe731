// The quorum arithmetic for a witness that claims, without proof, to have cosigned a checkpoint that this log has not signed (spec/trust.md, "A witness
// that contradicts the log").
//
// If the claim is true, there is a second branch of the log's history. A witness that has cosigned our newest head follows our branch: it refuses every
// tree that does not extend that head. So only the other witnesses can make a quorum on the second branch. A quorum is monotone (more witnesses never
// lose it), so the question whether all the others together meet it covers every group of them.

namespace TransparencyLog.Client;

/// <summary>Whether a second branch of a log's history could have a quorum as well.</summary>
public static class RivalQuorum
{
    /// <summary>
    /// True when the witnesses that have not cosigned the newest head could meet the quorum among themselves. Always false when the quorum is none, because
    /// then nobody waits for a quorum.
    /// </summary>
    /// <param name="policy">The policy; groups count as they do for a checkpoint.</param>
    /// <param name="cosigned">Whether a witness has cosigned the newest head and has not contradicted it since.</param>
    public static bool IsPossible(Policy policy, Func<PolicyWitness, bool> cosigned)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(cosigned);
        return !policy.QuorumIsNone && policy.IsQuorumMet(witness => !cosigned(witness));
    }

    /// <summary>
    /// True when a second branch could have a quorum even if every other witness cosigned the newest head, as with a quorum of one. Waiting for cosignatures
    /// cannot help then.
    /// </summary>
    /// <param name="policy">The policy.</param>
    /// <param name="contradicts">Whether a witness claims to have cosigned a checkpoint that the log has not signed.</param>
    public static bool IsCertain(Policy policy, Func<PolicyWitness, bool> contradicts)
    {
        ArgumentNullException.ThrowIfNull(contradicts);
        return IsPossible(policy, witness => !contradicts(witness));
    }
}
