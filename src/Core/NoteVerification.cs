// Decides who signed a note (c2sp.org/signed-note, "Signatures"): the rules for known and unknown lines, and the interfaces through which
// Core uses signature algorithms. Core contains none; each verifier has its own.
namespace TransparencyLog;

/// <summary>
/// Verifies signatures of one key. Implementations are safe for concurrent calls, never throw whatever the bytes are, and
/// return false for anything that is not a signature by this key.
/// </summary>
public interface INoteVerifier
{
    /// <summary>The key whose signatures are verified.</summary>
    VerifierKey Key { get; }

    /// <summary>Whether <paramref name="signature"/> (without key ID; with timestamp, if the type has one) signs the text.</summary>
    bool Verify(ReadOnlySpan<byte> noteText, ReadOnlySpan<byte> signature);
}

/// <summary>Signs note texts with one key. Implementations verify each signature before they return it.</summary>
public interface INoteSigner
{
    /// <summary>The key that verifies these signatures.</summary>
    VerifierKey Key { get; }

    /// <summary>Signs a text that ends in a newline.</summary>
    NoteSignature Sign(ReadOnlySpan<byte> noteText);
}

/// <summary>Cosigns checkpoints with one key (c2sp.org/tlog-cosignature). Implementations verify each cosignature before they return it.</summary>
public interface ICosigner
{
    /// <summary>The key that verifies these cosignatures.</summary>
    VerifierKey Key { get; }

    /// <summary>Cosigns the text of a checkpoint at a time in seconds since the Epoch, 1 to 2^63-1.</summary>
    NoteSignature Cosign(ReadOnlySpan<byte> checkpointText, ulong timestamp);
}

/// <summary>A cosigner whose signatures cover subtrees too: ML-DSA-44, type 0x06.</summary>
public interface ISubtreeCosigner : ICosigner
{
    /// <summary>
    /// Cosigns the subtree [start, end) without a time (timestamp 0). The caller must know that it is a subtree of a tree of that log, and that it is
    /// consistent with everything that this cosigner has seen.
    /// </summary>
    NoteSignature CosignSubtree(string origin, long start, long end, in Hash hash);
}

/// <summary>Also verifies cosignatures of subtrees. Like every verifier, it never throws, and returns false for anything that is wrong.</summary>
public interface ISubtreeVerifier : INoteVerifier
{
    /// <summary>
    /// Whether <paramref name="signature"/> (timestamp and signature, without key ID) is a cosignature of this subtree. A timestamp other than 0 is
    /// allowed only if start is 0. It is then the cosignature of a checkpoint of size <paramref name="end"/>.
    /// </summary>
    bool VerifySubtree(string origin, long start, long end, in Hash hash, ReadOnlySpan<byte> signature);
}

/// <summary>What is known about a note once its lines have been checked.</summary>
public enum NoteStatus
{
    /// <summary>At least one known key signed the note, and no line of a known key is bad.</summary>
    Verified,

    /// <summary>A line names a known key and does not verify: reject the note (a witness answers 403).</summary>
    BadSignature,

    /// <summary>No line is by a known key: nothing is known about the text.</summary>
    NoKnownKey,
}

/// <summary>A key that signed the note, counted once.</summary>
/// <param name="Verifier">The verifier that accepted the signature.</param>
/// <param name="Signature">The line. If the key has several, the one with the latest timestamp.</param>
/// <param name="Timestamp">Seconds since the Epoch for a cosignature that states a time, otherwise 0.</param>
public readonly record struct VerifiedSignature(INoteVerifier Verifier, NoteSignature Signature, ulong Timestamp);

/// <summary>The result of <see cref="Note.Verify"/>.</summary>
/// <param name="Status">Whether the text may be used.</param>
/// <param name="Verified">The keys that signed, in the order of the lines. Empty unless the status is <see cref="NoteStatus.Verified"/>.</param>
/// <param name="BadKeyName">The name of the known key whose line is bad, otherwise null.</param>
public sealed record NoteVerification(NoteStatus Status, IReadOnlyList<VerifiedSignature> Verified, string? BadKeyName)
{
    internal static NoteVerification Of(ReadOnlySpan<byte> text, ReadOnlySpan<NoteSignature> signatures, IReadOnlyList<INoteVerifier> verifiers)
    {
        ArgumentNullException.ThrowIfNull(verifiers);
        List<VerifiedSignature> verified = [];
        foreach (NoteSignature signature in signatures)
        {
            // SPEC SN-13: a line is of a known key only if name and ID are; a line with one of them is unknown, and ignored.
            if (!TryFind(verifiers, signature, out INoteVerifier? verifier, out bool ambiguous)) continue;

            int known = verified.FindIndex(one => ReferenceEquals(one.Verifier, verifier));
            if (known >= 0 && verified[known].Signature.Equals(signature)) continue;

            // SPEC SN-14: the line of a known key is verified. SPEC SN-15: if it fails, the whole note is rejected,
            // also when another line of the same key verifies.
            if (ambiguous || !verifier!.Verify(text, signature.Signature.Span))
            {
                return new NoteVerification(NoteStatus.BadSignature, [], signature.Name);
            }

            VerifiedSignature one = new(verifier, signature, Timestamp(verifier.Key, signature));
            if (known < 0) verified.Add(one);
            else if (one.Timestamp > verified[known].Timestamp) verified[known] = one;
        }

        // SPEC SN-16: without a verified line of a known key the note is rejected.
        return new NoteVerification(verified.Count > 0 ? NoteStatus.Verified : NoteStatus.NoKnownKey, verified, null);
    }

    private static bool TryFind(IReadOnlyList<INoteVerifier> verifiers, in NoteSignature signature, out INoteVerifier? found, out bool ambiguous)
    {
        found = null;
        ambiguous = false;
        for (int i = 0; i < verifiers.Count; i++)
        {
            VerifierKey key = verifiers[i].Key;
            if (key.KeyId != signature.KeyId || !string.Equals(key.Name, signature.Name, StringComparison.Ordinal)) continue;
            ambiguous = found is not null;
            found = verifiers[i];
        }

        return found is not null;
    }

    private static ulong Timestamp(VerifierKey key, in NoteSignature signature) =>
        key.SignatureType is VerifierKey.Ed25519Cosignature or VerifierKey.MlDsa44Cosignature
        && Cosignature.TryReadTimestamp(signature.Signature.Span, out ulong timestamp) ? timestamp : 0;
}
