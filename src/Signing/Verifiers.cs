// Makes verifiers from vkeys. The signature types that this library verifies, and no others (SN-23: only the needed):
//
//     0x01  Ed25519 over the note text                   c2sp.org/signed-note
//     0x04  timestamp || Ed25519 over the cosignature/v1 message    c2sp.org/tlog-cosignature
//     0x06  timestamp || ML-DSA-44 over the subtree/v1 message      c2sp.org/tlog-cosignature
using System.Buffers.Binary;
using System.Globalization;

namespace TransparencyLog.Signing;

/// <summary>Makes verifiers for the signature types above.</summary>
public static class Verifiers
{
    /// <summary>
    /// A verifier for a key, safe for concurrent use; null when its type is not supported or its public key is
    /// not acceptable (<see cref="Ed25519.IsAcceptablePublicKey"/>). For type 0x06, it is an <see cref="ISubtreeVerifier"/>.
    /// </summary>
    public static INoteVerifier? TryCreate(VerifierKey key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return key.SignatureType switch
        {
            VerifierKey.Ed25519 => Ed25519PublicKey.TryCreate(key.PublicKey.Span, out Ed25519PublicKey? publicKey) ? new NoteVerifier(key, publicKey!) : null,
            VerifierKey.Ed25519Cosignature => Ed25519PublicKey.TryCreate(key.PublicKey.Span, out Ed25519PublicKey? publicKey) ? new CosignatureVerifier(key, publicKey!) : null,
            VerifierKey.MlDsa44Cosignature => MlDsa44PublicKey.TryCreate(key.PublicKey.Span, out MlDsa44PublicKey? publicKey) ? new SubtreeVerifier(key, publicKey!) : null,
            _ => null,
        };
    }

    /// <summary>
    /// Why <see cref="TryCreate"/> returns null for a key, as the end of a sentence for the person who listed the key. Null if it returns a verifier.
    /// </summary>
    public static string? WhyUnusable(VerifierKey key)
    {
        if (TryCreate(key) is not null) return null;
        string? name = key.SignatureType switch
        {
            VerifierKey.Ecdsa => "ECDSA",
            VerifierKey.Rfc6962 => "RFC 6962",
            VerifierKey.Private => "private use",
            _ => null,
        };
        return key.SignatureType is VerifierKey.Ed25519 or VerifierKey.Ed25519Cosignature
            ? "its 32 bytes are no Ed25519 public key: they do not encode a point of the curve, or one of small or mixed order, which proves nothing"
            : string.Create(CultureInfo.InvariantCulture, $"its type is 0x{key.SignatureType:x2}{(name is null ? "" : $" ({name})")}, and only Ed25519 (0x01, 0x04) and ML-DSA-44 (0x06) are verified");
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

    private sealed class SubtreeVerifier(VerifierKey key, MlDsa44PublicKey publicKey) : ISubtreeVerifier
    {
        public VerifierKey Key => key;

        // The message does not contain extension lines, so the result is about origin, size and root hash alone.
        public bool Verify(ReadOnlySpan<byte> noteText, ReadOnlySpan<byte> signature)
        {
            // SPEC CO-06: 2,428 bytes. SPEC CO-16: start 0, end the tree size, the hash its root; a checkpoint is cosigned at a time.
            return signature.Length == Cosignature.MlDsa44Size
                && Cosignature.TryReadTimestamp(signature, out _)
                && Checkpoint.TryParse(noteText, out Checkpoint? checkpoint)
                && VerifySubtree(checkpoint!.Origin, 0, checkpoint.Size, checkpoint.Root, signature);
        }

        public bool VerifySubtree(string origin, long start, long end, in Hash hash, ReadOnlySpan<byte> signature)
        {
            if (signature.Length != Cosignature.MlDsa44Size || start < 0 || end < start || !Cosignature.IsMlDsa44Text(origin)) return false;
            ulong timestamp = BinaryPrimitives.ReadUInt64BigEndian(signature);
            // SPEC CO-07: at most 2^63-1. SPEC CO-15: 0 where start is not 0. SPEC CO-18: the time in the message is that one.
            if (timestamp > long.MaxValue || (start != 0 && timestamp != 0)) return false;
            // SPEC CO-19: pure ML-DSA with an empty context.
            return publicKey.Verify(Cosignature.MlDsa44Message(key.Name, timestamp, origin, start, end, hash), signature[8..]);
        }
    }
}
