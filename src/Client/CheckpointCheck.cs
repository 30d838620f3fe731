// Verifies who signed a checkpoint, by a policy (c2sp.org/tlog-policy) or by one vkey, which makes a policy of one log and quorum none.

using System.Diagnostics.CodeAnalysis;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Client;

/// <summary>A witness whose cosignature on a checkpoint was verified.</summary>
/// <param name="Witness">The witness line of the policy.</param>
/// <param name="Timestamp">When the witness says it cosigned, in seconds since 1970. Its cosignature covers this value.</param>
public readonly record struct WitnessedBy(PolicyWitness Witness, ulong Timestamp);

/// <summary>A checkpoint whose signatures satisfied a policy.</summary>
/// <param name="Checkpoint">Origin, size, root.</param>
/// <param name="Bytes">The signed note, verbatim.</param>
/// <param name="Keys">The keys of the log whose signatures verified.</param>
/// <param name="Cosigned">The witnesses of the policy that cosigned it.</param>
public sealed record VerifiedCheckpoint(
    Checkpoint Checkpoint, ReadOnlyMemory<byte> Bytes, IReadOnlyList<VerifierKey> Keys, IReadOnlyList<WitnessedBy> Cosigned)
{
    /// <summary>The note with the lines of the log's verified keys alone, which is the form that evidence contains.</summary>
    public Note LogNote()
    {
        if (!Note.TryParse(Bytes.Span, out Note? note)) throw new System.Diagnostics.UnreachableException("a verified checkpoint is a note");
        return new Note(note.Text, [.. note.Signatures.Where(line => Keys.Any(key => key.KeyId == line.KeyId && key.Name == line.Name))]);
    }
}

/// <summary>Verifies signed checkpoints.</summary>
public static class CheckpointCheck
{
    /// <summary>A policy that trusts this log key and needs no witness.</summary>
    /// <exception cref="ArgumentException">Logs do not sign with keys of this type.</exception>
    public static Policy PolicyOf(VerifierKey key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return Policy.TryParse(Encoding.UTF8.GetBytes($"log {key}\nquorum none\n"), out Policy? policy, out string error)
            ? policy!
            : throw new ArgumentException(error, nameof(key));
    }

    /// <summary>A policy that trusts the same logs and needs no witness, for a caller that is about to ask the witnesses.</summary>
    public static Policy WithoutQuorum(Policy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        string lines = string.Concat(policy.Logs.Select(log => $"log {log.Key}\n"));
        return Policy.TryParse(Encoding.UTF8.GetBytes($"{lines}quorum none\n"), out Policy? without, out string error) ? without! : throw new System.Diagnostics.UnreachableException(error);
    }

    /// <summary>
    /// Reads a signed note and judges it: a log of the policy signed it, no line of a known key is invalid, and the quorum cosigned it. When false,
    /// <paramref name="reason"/> says why in one line.
    /// </summary>
    public static bool TryVerify(
        ReadOnlySpan<byte> bytes, Policy policy, [NotNullWhen(true)] out VerifiedCheckpoint? verified, out string reason)
    {
        verified = null;
        if (!Note.TryParse(bytes, out Note? note))
        {
            reason = "the checkpoint is not a signed note";
            return false;
        }

        PolicyVerdict verdict = policy.Verify(note, Verifiers.TryCreate);
        reason = verdict.Reason;
        if (verdict.Failure != PolicyFailure.None) return false;

        // The verdict has no timestamps. The lines verified above are verified once more here to get them.
        Checkpoint checkpoint = verdict.Checkpoint!;
        VerifierKey[] logKeys = [.. policy.Logs.Select(log => log.Key).Where(key => string.Equals(key.Name, checkpoint.Origin, StringComparison.Ordinal))];
        INoteVerifier[] known = [.. logKeys.Concat(verdict.Cosigned.Select(witness => witness.Key)).Distinct().Select(Verifiers.TryCreate).OfType<INoteVerifier>()];
        Dictionary<VerifierKey, ulong> times = note.Verify(known).Verified.ToDictionary(one => one.Verifier.Key, one => one.Timestamp);
        verified = new VerifiedCheckpoint(
            checkpoint,
            bytes.ToArray(),
            [.. logKeys.Where(times.ContainsKey)],
            [.. verdict.Cosigned.Select(witness => new WitnessedBy(witness, times.GetValueOrDefault(witness.Key)))]);
        return true;
    }
}
