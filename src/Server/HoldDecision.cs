// What a log does while witnesses say, without proof, that they have cosigned what it has not signed (N-04). One pure function; spec/life-of-an-entry.md has the rule in words.
//
//   contradicts   the witness says that it has cosigned a size that this log has not signed, has shown no proof, and has cosigned nothing since
//   counts        the quorum is made of it, and the operator has not distrusted it: an optional witness never holds anything
//   first         the witness has cosigned nothing since the start: the log may be an older copy, and everything that it remembers of this witness may be too

using TransparencyLog.Client;

namespace TransparencyLog.Server;

/// <summary>What is held, each more than the one before.</summary>
internal enum Hold
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>No checkpoint becomes public. Entries are taken, heads are signed, witnesses are asked.</summary>
    Publication,

    /// <summary>Nothing is taken, signed or made public.</summary>
    Signing,
}

/// <summary>How one witness of the policy stands towards the log.</summary>
/// <param name="Contradicts">Its last word is a claim without proof.</param>
/// <param name="IsFirstContact">It has cosigned nothing since the start.</param>
/// <param name="IsDistrusted">The operator has decided that its word does not hold the log.</param>
/// <param name="HasCosignedNewest">It has cosigned the newest signed head.</param>
internal readonly record struct WitnessStanding(bool Contradicts, bool IsFirstContact, bool IsDistrusted, bool HasCosignedNewest);

/// <summary>The decision.</summary>
internal static class HoldDecision
{
    /// <summary>Decides. Belongs to no state: the same answers for the same standings.</summary>
    /// <param name="policy">The log's policy.</param>
    /// <param name="standing">How each of its witnesses stands.</param>
    /// <param name="guardAgrees">A guard has confirmed at the start that this directory is the newest.</param>
    /// <param name="isOpen">Entries have been taken since the start: a quorum has cosigned the last head, or the guard agrees.</param>
    public static Hold Of(Policy policy, Func<PolicyWitness, WitnessStanding> standing, bool guardAgrees, bool isOpen)
    {
        HashSet<PolicyWitness> claims = [.. policy.QuorumWitnesses.Where(witness => standing(witness) is { Contradicts: true, IsDistrusted: false })];
        if (claims.Count == 0) return Hold.None;

        // One is enough to wait before the log opens. Later its word counts like that while those who have cosigned nothing since the start could be the quorum of the newer history.
        if (claims.Any(witness => standing(witness).IsFirstContact) && !guardAgrees && (!isOpen || RivalQuorum.IsPossible(policy, witness => standing(witness) is { IsFirstContact: false, Contradicts: false }))) return Hold.Signing;

        // Those who follow our newest head cannot be part of another branch; those who contradict us do not follow it, whatever they cosigned before.
        return RivalQuorum.IsPossible(policy, witness => standing(witness) is { HasCosignedNewest: true, Contradicts: false }) ? Hold.Publication : Hold.None;
    }
}
