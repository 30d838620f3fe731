// Signers of notes and of cosignatures. Each verifies its signature before it returns it. A bit that flips during signing, in memory or in
// a token, can produce a signature that reveals the private key. And an invalid signature must not be published.
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace TransparencyLog.Signing;

/// <summary>Makes a raw signature. The result is not trusted, whether it comes from software, a token, or a faulty signer in a test.</summary>
internal delegate byte[] RawSign(ReadOnlySpan<byte> message);

/// <summary>Signs note texts with Ed25519, type 0x01 (c2sp.org/signed-note). Safe for concurrent use. The caller owns the key.</summary>
public sealed class NoteSigner : INoteSigner
{
    private readonly RawSign sign;
    private readonly INoteVerifier verifier;

    /// <summary>Makes a signer for a key name.</summary>
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
    /// <exception cref="ArgumentException">The text does not end in a newline.</exception>
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

/// <summary>Cosigns checkpoints with Ed25519, type 0x04 (c2sp.org/tlog-cosignature). Safe for concurrent use. The caller owns the key.</summary>
public sealed class Cosigner : ICosigner
{
    private readonly RawSign sign;
    private readonly INoteVerifier verifier;

    /// <summary>Makes a cosigner for a key name.</summary>
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
    /// <exception cref="ArgumentException">The text is not a checkpoint, or the time is out of range.</exception>
    /// <exception cref="CryptographicException">The signature that was made does not verify; it is not returned.</exception>
    public NoteSignature Cosign(ReadOnlySpan<byte> checkpointText, ulong timestamp)
    {
        // A cosignature is a statement about a checkpoint, so no other text is signed.
        if (!Checkpoint.TryParse(checkpointText, out _)) throw new ArgumentException("not the text of a checkpoint", nameof(checkpointText));
        byte[] signature = WithTimestamp(timestamp, sign(Cosignature.Ed25519Message(timestamp, checkpointText)));
        return verifier.Verify(checkpointText, signature)
            ? new NoteSignature(Key.Name, Key.KeyId, signature)
            : throw new CryptographicException($"the cosignature made by the key {Key.Name} does not verify and was dropped");
    }

    /// <summary>The value of a cosignature: u64 timestamp, big-endian, then the signature that the algorithm made.</summary>
    internal static byte[] WithTimestamp(ulong timestamp, byte[] made)
    {
        byte[] signature = new byte[8 + made.Length];
        BinaryPrimitives.WriteUInt64BigEndian(signature, timestamp);
        made.CopyTo(signature, 8);
        return signature;
    }
}

/// <summary>
/// Cosigns checkpoints and subtrees with ML-DSA-44, hedged, type 0x06 (c2sp.org/tlog-cosignature). Safe for concurrent use. The caller owns the key.
/// </summary>
public sealed class MlDsa44Cosigner : ISubtreeCosigner
{
    private readonly RawSign sign;
    private readonly ISubtreeVerifier verifier;

    /// <summary>Makes a cosigner for a key name.</summary>
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
    /// The text is not a checkpoint, it has extension lines, which this type does not sign, its origin has more than 255 bytes, or the time is out of range.
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
    /// <exception cref="ArgumentException">The origin does not have 1 to 255 bytes, or not 0 &lt;= start &lt;= end.</exception>
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
