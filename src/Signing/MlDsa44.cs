// ML-DSA-44 (FIPS 204, pure). This system always signs with an empty context.
//
//     seed          32 bytes, xi of algorithm 6; the only form in which a private key is stored
//     public key    1,312 bytes: rho (32) || t1 (4 polynomials of 320)
//     signature     2,420 bytes: hash of the commitment (32) || z (4 polynomials of 576) || hint (84)
//
// BouncyCastle does the computation, and its types do not appear outside this file. spec/decisions/ml-dsa.md has the reasons and the cost:
// its keys cannot be zeroed, and every operation expands the matrix again.
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Crypto.Signers;
using Org.BouncyCastle.Security;

namespace TransparencyLog.Signing;

/// <summary>Sizes of ML-DSA-44 (FIPS 204 section 4).</summary>
public static class MlDsa44
{
    /// <summary>Bytes of a public key.</summary>
    public const int PublicKeySize = 1312;

    /// <summary>Bytes of the seed a private key is made from.</summary>
    public const int SeedSize = 32;

    /// <summary>Bytes of a signature.</summary>
    public const int SignatureSize = 2420;

    /// <summary>Random bytes in a signature.</summary>
    internal const int RandomSize = 32;

    /// <summary>Longest context in bytes: the message has one byte for its length.</summary>
    internal const int MaxContextSize = 255;

    /// <summary>Verifies once. False if the key, the message or the signature is not right. To verify often, keep an <see cref="MlDsa44PublicKey"/>.</summary>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        return MlDsa44PublicKey.TryCreate(publicKey, out MlDsa44PublicKey? key) && key.Verify(message, signature);
    }

    /// <summary>A signer or verifier that has absorbed the message. It holds the state of one operation, so each operation makes a new one.</summary>
    internal static MLDsaSigner Absorb(bool signing, ICipherParameters key, ReadOnlySpan<byte> context, ReadOnlySpan<byte> message)
    {
        MLDsaSigner signer = new(MLDsaParameters.ml_dsa_44, deterministic: false);
        signer.Init(signing, context.IsEmpty ? key : new ParametersWithContext(key, context.ToArray()));
        signer.BlockUpdate(message);
        return signer;
    }
}

/// <summary>An ML-DSA-44 public key, loaded once together with its hash. Immutable and safe for concurrent use.</summary>
public sealed class MlDsa44PublicKey
{
    private readonly byte[] bytes;
    private readonly MLDsaPublicKeyParameters key;

    private MlDsa44PublicKey(byte[] bytes)
    {
        this.bytes = bytes;
        key = MLDsaPublicKeyParameters.FromEncoding(MLDsaParameters.ml_dsa_44, bytes);
    }

    /// <summary>The 1,312 bytes of the key.</summary>
    public ReadOnlyMemory<byte> Bytes => bytes;

    /// <summary>
    /// Loads a key. False unless it has 1,312 bytes. FIPS 204 has no other test: all such bytes are keys. For some of them (t1 of zeros)
    /// anyone can make signatures, as with a private key that was published.
    /// </summary>
    public static bool TryCreate(ReadOnlySpan<byte> key, [NotNullWhen(true)] out MlDsa44PublicKey? publicKey)
    {
        publicKey = key.Length == MlDsa44.PublicKeySize ? new MlDsa44PublicKey(key.ToArray()) : null;
        return publicKey is not null;
    }

    /// <summary>Whether this key signed the message, with an empty context. False for a signature that does not have 2,420 bytes.</summary>
    public bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature) => Verify(message, [], signature);

    /// <summary>FIPS 204 algorithm 3. False for a context of more than 255 bytes.</summary>
    internal bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> context, ReadOnlySpan<byte> signature)
    {
        if (signature.Length != MlDsa44.SignatureSize || context.Length > MlDsa44.MaxContextSize) return false;
        try
        {
            return MlDsa44.Absorb(signing: false, key, context, message).VerifySignature(signature.ToArray());
        }
        catch (Exception refused) when (refused is CryptoException or ArgumentException or InvalidOperationException or IndexOutOfRangeException or ArithmeticException or IOException)
        {
            // Untrusted bytes must return false. BouncyCastle documents no exception for a signature of the right length, but throws many kinds elsewhere.
            return false;
        }
    }
}

/// <summary>
/// An ML-DSA-44 private key. Safe for concurrent use until it is disposed. Disposing zeroes the seed. The values that BouncyCastle expanded from the seed
/// are not zeroed, and stay on the managed heap until that memory is used again.
/// </summary>
public sealed class MlDsa44PrivateKey : IDisposable
{
    // Pinned, so that a compaction of the heap leaves no copy. BouncyCastle keeps a reference to this array and makes no copy.
    private readonly byte[] seed = GC.AllocateArray<byte>(MlDsa44.SeedSize, pinned: true);
    private readonly MLDsaPrivateKeyParameters key;
    private readonly byte[] publicKey;
    private volatile bool disposed;

    private MlDsa44PrivateKey(ReadOnlySpan<byte> xi)
    {
        xi.CopyTo(seed);
        key = MLDsaPrivateKeyParameters.FromSeed(MLDsaParameters.ml_dsa_44, seed);
        publicKey = key.GetPublicKeyEncoded();
    }

    /// <summary>The 1,312 bytes of the public key.</summary>
    public ReadOnlyMemory<byte> PublicKey => publicKey;

    /// <summary>Makes the key from a seed of 32 bytes (FIPS 204 algorithm 6). The caller zeroes the seed.</summary>
    /// <exception cref="ArgumentException">The seed does not have 32 bytes.</exception>
    public static MlDsa44PrivateKey FromSeed(ReadOnlySpan<byte> seed)
    {
        if (seed.Length != MlDsa44.SeedSize) throw new ArgumentException("an ML-DSA-44 seed has 32 bytes", nameof(seed));
        return new MlDsa44PrivateKey(seed);
    }

    /// <summary>Makes a new key from the system's random source.</summary>
    public static MlDsa44PrivateKey Generate()
    {
        Span<byte> xi = stackalloc byte[MlDsa44.SeedSize];
        try
        {
            RandomNumberGenerator.Fill(xi);
            return new MlDsa44PrivateKey(xi);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(xi);
        }
    }

    /// <summary>
    /// Signs with an empty context, hedged: 2,420 bytes, different each time. If the random source repeats itself, or a fault occurs in one of two signatures
    /// of the same message, this reveals less than <see cref="SignDeterministic"/>.
    /// </summary>
    public byte[] Sign(ReadOnlySpan<byte> message)
    {
        Span<byte> random = stackalloc byte[MlDsa44.RandomSize];
        try
        {
            RandomNumberGenerator.Fill(random);
            return Sign(message, [], random);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(random);
        }
    }

    /// <summary>Signs with an empty context, deterministic: 2,420 bytes, the same for the same message.</summary>
    public byte[] SignDeterministic(ReadOnlySpan<byte> message) => Sign(message, [], new byte[MlDsa44.RandomSize]);

    /// <summary>Zeroes the seed. The key cannot sign afterwards.</summary>
    public void Dispose()
    {
        disposed = true;
        CryptographicOperations.ZeroMemory(seed);
    }

    /// <summary>Writes the 32 bytes of the seed, for a key file. The caller zeroes them.</summary>
    internal void ExportSeed(Span<byte> destination)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        seed.CopyTo(destination);
    }

    /// <summary>Whether the bytes are this key in the 2,560 bytes that FIPS 204 algorithm 24, skEncode, writes.</summary>
    internal bool IsExpandedTo(ReadOnlySpan<byte> expanded)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        byte[] own = key.GetEncoded();
        bool same = CryptographicOperations.FixedTimeEquals(own, expanded);
        CryptographicOperations.ZeroMemory(own);
        return same;
    }

    /// <summary>FIPS 204 algorithm 2, with 32 random bytes; 32 zeros for the deterministic variant.</summary>
    /// <exception cref="ArgumentException">The context has more than 255 bytes.</exception>
    internal byte[] Sign(ReadOnlySpan<byte> message, ReadOnlySpan<byte> context, ReadOnlySpan<byte> random)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        if (context.Length > MlDsa44.MaxContextSize) throw new ArgumentException("a context has at most 255 bytes", nameof(context));
        using OneDraw source = new(random);
        return MlDsa44.Absorb(signing: true, new ParametersWithRandom(key, source), context, message).GenerateSignature();
    }

    /// <summary>Supplies the random bytes of one signature. Without it, BouncyCastle would draw them from its own generator.</summary>
    private sealed class OneDraw : SecureRandom, IDisposable
    {
        private readonly byte[] random = GC.AllocateUninitializedArray<byte>(MlDsa44.RandomSize, pinned: true);

        public OneDraw(ReadOnlySpan<byte> random)
            : base(null) => random.CopyTo(this.random);

        public override void NextBytes(byte[] buf) => NextBytes(buf.AsSpan());

        public override void NextBytes(byte[] buf, int off, int len) => NextBytes(buf.AsSpan(off, len));

        // Exactly 32 bytes, or an exception: a draw of another size would leave zeros in the signature's randomness.
        public override void NextBytes(Span<byte> buffer)
        {
            if (buffer.Length != random.Length) throw new System.Diagnostics.UnreachableException("FIPS 204 draws 32 bytes for a signature");
            random.CopyTo(buffer);
        }

        public void Dispose() => CryptographicOperations.ZeroMemory(random);
    }
}
