// Signers of notes and of cosignatures. All verify what they made before they return it: a signature made from
// a flipped bit, in memory or in a token, can give the private key away, and a wrong one must not be published.
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace TransparencyLog.Signing;

/// <summary>Makes a raw signature. What stands behind it (software, a token, a faulty one in a test) is not believed.</summary>
internal delegate byte[] RawSign(ReadOnlySpan<byte> message);

/// <summary>Signs note texts with Ed25519, type 0x01 (c2sp.org/signed-note). Safe for concurrent use; the key stays the caller's.</summary>
public sealed class NoteSigner : INoteSigner
{
    private readonly RawSign sign;
    private readonly INoteVerifier verifier;

    /// <summary>A signer for a key name.</summary>
    /// <exception cref="ArgumentException">Not a key name.</exception>
    public NoteSigner(string name, Ed25519PrivateKey key)
        : this(name, (key ?? throw new ArgumentNullException(nameof(key))).PublicKey.Span, key.Sign)
    {
    }

    internal NoteSigner(string name, ReadOnlySpan<byte> publicKey, RawSign sign)
    {
        Key = VerifierKey.Create(name, VerifierKey.Ed25519, publicKey);
        this.sign = sign;
        verifier = Verifiers.TryCreate(Key) ?? throw new ArgumentException("not an acceptable public key", nameof(publicKey));
    }

    /// <inheritdoc/>
    public VerifierKey Key { get; }

    /// <summary>Signs a text that ends in a newline.</summary>
    /// <exception cref="ArgumentException">The text has no newline at its end.</exception>
    /// <exception cref="CryptographicException">The signature that was made does not verify; it is not returned.</exception>
    public NoteSignature Sign(ReadOnlySpan<byte> noteText)
    {
        if (!noteText.EndsWith("\n"u8)) throw new ArgumentException("a note text ends in a newline", nameof(noteText));
        byte[] signature = sign(noteText);
        return verifier.Verify(noteText, signature)
            ? new NoteSignature(Key.Name, Key.KeyId, signature)
            : throw new CryptographicException($"the signature made by the key {Key.Name} does not verify and was dropped");
    }
}

/// <summary>Cosigns checkpoints with Ed25519, type 0x04 (c2sp.org/tlog-cosignature). Safe for concurrent use; the key stays the caller's.</summary>
public sealed class Cosigner : ICosigner
{
    private readonly RawSign sign;
    private readonly INoteVerifier verifier;

    /// <summary>A cosigner for a key name.</summary>
    /// <exception cref="ArgumentException">Not a key name.</exception>
    public Cosigner(string name, Ed25519PrivateKey key)
        : this(name, (key ?? throw new ArgumentNullException(nameof(key))).PublicKey.Span, key.Sign)
    {
    }

    internal Cosigner(string name, ReadOnlySpan<byte> publicKey, RawSign sign)
    {
        Key = VerifierKey.Create(name, VerifierKey.Ed25519Cosignature, publicKey);
        this.sign = sign;
        verifier = Verifiers.TryCreate(Key) ?? throw new ArgumentException("not an acceptable public key", nameof(publicKey));
    }

    /// <inheritdoc/>
    public VerifierKey Key { get; }

    /// <summary>Cosigns the text of a checkpoint at a time in seconds since the Epoch, 1 to 2^63-1.</summary>
    /// <exception cref="ArgumentException">The text is not that of a checkpoint, or the time is out of range.</exception>
    /// <exception cref="CryptographicException">The signature that was made does not verify; it is not returned.</exception>
    public NoteSignature Cosign(ReadOnlySpan<byte> checkpointText, ulong timestamp)
    {
        // A cosigner states something about a checkpoint: it signs no other text.
        if (!Checkpoint.TryParse(checkpointText, out _)) throw new ArgumentException("not the text of a checkpoint", nameof(checkpointText));
        byte[] signature = WithTimestamp(timestamp, sign(Cosignature.Ed25519Message(timestamp, checkpointText)));
        return verifier.Verify(checkpointText, signature)
            ? new NoteSignature(Key.Name, Key.KeyId, signature)
            : throw new CryptographicException($"the cosignature made by the key {Key.Name} does not verify and was dropped");
    }

    /// <summary>The signature value of a cosignature: u64 timestamp, big-endian, and what the algorithm has made.</summary>
    internal static byte[] WithTimestamp(ulong timestamp, byte[] made)
    {
        byte[] signature = new byte[8 + made.Length];
        BinaryPrimitives.WriteUInt64BigEndian(signature, timestamp);
        made.CopyTo(signature, 8);
        return signature;
    }
}

/// <summary>
/// Cosigns checkpoints and subtrees with ML-DSA-44, hedged, type 0x06 (c2sp.org/tlog-cosignature). Safe for concurrent use; the key stays the caller's.
/// </summary>
public sealed class MlDsa44Cosigner : ISubtreeCosigner
{
    private readonly RawSign sign;
    private readonly ISubtreeVerifier verifier;

    /// <summary>A cosigner for a key name.</summary>
    /// <exception cref="ArgumentException">Not a key name.</exception>
    public MlDsa44Cosigner(string name, MlDsa44PrivateKey key)
        : this(name, (key ?? throw new ArgumentNullException(nameof(key))).PublicKey.Span, key.Sign)
    {
    }

    internal MlDsa44Cosigner(string name, ReadOnlySpan<byte> publicKey, RawSign sign)
    {
        Key = VerifierKey.Create(name, VerifierKey.MlDsa44Cosignature, publicKey);
        this.sign = sign;
        verifier = (ISubtreeVerifier)Verifiers.TryCreate(Key)!;
    }

    /// <inheritdoc/>
    public VerifierKey Key { get; }

    /// <summary>Cosigns the text of a checkpoint at a time in seconds since the Epoch, 1 to 2^63-1.</summary>
    /// <exception cref="ArgumentException">
    /// The text is not that of a checkpoint, has extension lines, which this type does not sign, or an origin of more than 255 bytes; or the time is out of range.
    /// </exception>
    /// <exception cref="CryptographicException">The signature that was made does not verify; it is not returned.</exception>
    public NoteSignature Cosign(ReadOnlySpan<byte> checkpointText, ulong timestamp)
    {
        if (!Checkpoint.TryParse(checkpointText, out Checkpoint? checkpoint)) throw new ArgumentException("not the text of a checkpoint", nameof(checkpointText));
        // SPEC CO-20: extension lines are not in the message, and nobody shall believe they were.
        if (checkpoint!.Extensions.Count > 0) throw new ArgumentException("a checkpoint with extension lines is not cosigned with ML-DSA-44", nameof(checkpointText));
        ArgumentOutOfRangeException.ThrowIfZero(timestamp);
        // SPEC CO-16: start 0, end the tree size, the hash its root.
        return Sign(timestamp, checkpoint.Origin, 0, checkpoint.Size, checkpoint.Root);
    }

    /// <summary>Cosigns the subtree [start, end) of a log without a time.</summary>
    /// <exception cref="ArgumentException">The origin has not 1 to 255 bytes, or not 0 &lt;= start &lt;= end.</exception>
    /// <exception cref="CryptographicException">The signature that was made does not verify; it is not returned.</exception>
    public NoteSignature CosignSubtree(string origin, long start, long end, in Hash hash) => Sign(0, origin, start, end, hash);

    private NoteSignature Sign(ulong timestamp, string origin, long start, long end, in Hash hash)
    {
        byte[] signature = Cosigner.WithTimestamp(timestamp, sign(Cosignature.MlDsa44Message(Key.Name, timestamp, origin, start, end, hash)));
        return verifier.VerifySubtree(origin, start, end, hash, signature)
            ? new NoteSignature(Key.Name, Key.KeyId, signature)
            : throw new CryptographicException($"the cosignature made by the key {Key.Name} does not verify and was dropped");
    }
}
