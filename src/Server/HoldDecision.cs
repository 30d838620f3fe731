// Decides what a log holds while witnesses claim, without proof, that they have cosigned a size that it has not signed (N-04). One pure function;
// spec/life-of-an-entry.md has the rule in words.
//
//   contradicts   the witness claims that it has cosigned a size that this log has not signed, has shown no proof, and has cosigned nothing since
//   counts        the quorum counts it, and it is not distrusted: an optional witness never holds anything
//   first         the witness has cosigned nothing since the start: the log may be an older copy, and so may everything that it remembers of the witness

using TransparencyLog.Client;

namespace TransparencyLog.Server;

/// <summary>What is held. Each value includes the one before.</summary>
internal enum Hold
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>No checkpoint becomes public. Entries are accepted, heads are signed, witnesses are asked.</summary>
    Publication,

    /// <summary>No entry is accepted, nothing is signed or made public.</summary>
    Signing,
}

/// <summary>The state of one witness of the policy.</summary>
/// <param name="Contradicts">Its last statement is a claim without proof.</param>
/// <param name="IsFirstContact">It has cosigned nothing since the start.</param>
/// <param name="IsDistrusted">Its word does not hold the log: the operator has decided so, or its own lines prove that it broke its promise.</param>
/// <param name="HasCosignedNewest">It has cosigned the newest signed head.</param>
internal readonly record struct WitnessStanding(bool Contradicts, bool IsFirstContact, bool IsDistrusted, bool HasCosignedNewest);

/// <summary>The decision.</summary>
internal static class HoldDecision
{
    /// <summary>Decides what is held. A pure function of its arguments.</summary>
    /// <param name="policy">The log's policy.</param>
    /// <param name="standing">Returns the state of each of its witnesses.</param>
    /// <param name="guardAgrees">A guard has confirmed at the start that this directory is the newest.</param>
    /// <param name="isOpen">The log has opened: a quorum has cosigned the last head, the guard agrees, or the policy needs no quorum.</param>
    public static Hold Of(Policy policy, Func<PolicyWitness, WitnessStanding> standing, bool guardAgrees, bool isOpen)
    {
        HashSet<PolicyWitness> claims = [.. policy.QuorumWitnesses.Where(witness => standing(witness) is { Contradicts: true, IsDistrusted: false })];
        if (claims.Count == 0) return Hold.None;

        // Before the log opens, one such claim is enough to wait. Later it counts only while the witnesses that have cosigned nothing since the start, or
        // contradict, could form the quorum of a newer history.
        if (claims.Any(witness => standing(witness).IsFirstContact) && !guardAgrees && (!isOpen || RivalQuorum.IsPossible(policy, witness => standing(witness) is { IsFirstContact: false, Contradicts: false }))) return Hold.Signing;

        // Witnesses that follow our newest head cannot be part of another branch. Witnesses that contradict us do not follow it, whatever they cosigned
        // before.
        return RivalQuorum.IsPossible(policy, witness => standing(witness) is { HasCosignedNewest: true, Contradicts: false }) ? Hold.Publication : Hold.None;
    }
}
