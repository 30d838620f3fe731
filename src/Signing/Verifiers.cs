// From a vkey to something that verifies: which signature types this library understands (SN-23: only the needed).
//
//     0x01  Ed25519 over the note text                   c2sp.org/signed-note
//     0x04  timestamp || Ed25519 over the cosignature/v1 message    c2sp.org/tlog-cosignature
namespace TransparencyLog.Signing;

/// <summary>Makes verifiers for the signature types that are understood.</summary>
public static class Verifiers
{
    /// <summary>
    /// A verifier for a key, safe for concurrent use; null when its type is not understood or its public key is
    /// not acceptable (<see cref="Ed25519.IsAcceptablePublicKey"/>).
    /// </summary>
    public static INoteVerifier? TryCreate(VerifierKey key)
    {
        ArgumentNullException.ThrowIfNull(key);
        if (key.SignatureType is not (VerifierKey.Ed25519 or VerifierKey.Ed25519Cosignature)) return null;
        if (!Ed25519PublicKey.TryCreate(key.PublicKey.Span, out Ed25519PublicKey? publicKey) || publicKey is null) return null;
        return key.SignatureType == VerifierKey.Ed25519 ? new NoteVerifier(key, publicKey) : new CosignatureVerifier(key, publicKey);
    }

    // SPEC SN-20: Ed25519 over the note text.
    private sealed class NoteVerifier(VerifierKey key, Ed25519PublicKey publicKey) : INoteVerifier
    {
        public VerifierKey Key => key;

        public bool Verify(ReadOnlySpan<byte> noteText, ReadOnlySpan<byte> signature) => publicKey.Verify(noteText, signature);
    }

    private sealed class CosignatureVerifier(VerifierKey key, Ed25519PublicKey publicKey) : INoteVerifier
    {
        public VerifierKey Key => key;

        public bool Verify(ReadOnlySpan<byte> noteText, ReadOnlySpan<byte> signature)
        {
            // SPEC CO-05: a big-endian timestamp and 64 bytes of signature. SPEC CO-18: the time in the message is that one.
            return signature.Length == Cosignature.Ed25519Size
                && Cosignature.TryReadTimestamp(signature, out ulong timestamp)
                && publicKey.Verify(Cosignature.Ed25519Message(timestamp, noteText), signature[8..]);
        }
    }
}
