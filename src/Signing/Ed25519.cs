// Ed25519 (RFC 8032, pure), and the only rule of this library for its edge cases:
//
//     public key    32 bytes, the canonical encoding of a point of the prime-order group, not the identity
//     signature     64 bytes, R || S with S below the group order, R not of small order
//     equation      without the cofactor: R is compared with the encoding of [S]B - [k]A
//
// libsodium (NSec) signs and verifies. It imports any 32 bytes as a public key, so this file checks each key by the rule, once.
// Server, witness and client share this file, so they cannot disagree about a signature. tests/Signing/Ed25519EdgeTests
// applies this rule to every vector of C2SP/CCTV.
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using NSec.Cryptography;
using CurvePoints = Org.BouncyCastle.Math.EC.Rfc8032.Ed25519;

namespace TransparencyLog.Signing;

/// <summary>Sizes of Ed25519 and its rule for public keys (RFC 8032 section 5.1).</summary>
public static class Ed25519
{
    /// <summary>Bytes of a public key.</summary>
    public const int PublicKeySize = 32;

    /// <summary>Bytes of the seed a private key is made from.</summary>
    public const int SeedSize = 32;

    /// <summary>Bytes of a signature.</summary>
    public const int SignatureSize = 64;

    /// <summary>
    /// Whether a signature that verifies with this public key proves something. The key must have 32 bytes, y below 2^255-19, and be a point of the
    /// curve. Its order must not be 1, 2, 4 or 8, and it must have no component of such an order. For a point of small order, there are signatures
    /// that are valid for many messages. For a point with a small component, implementations disagree about signatures. RFC 8032 generates no such
    /// key. Takes about 0.1 ms: check a key once, when it is loaded.
    /// </summary>
    public static bool IsAcceptablePublicKey(ReadOnlySpan<byte> key)
    {
        if (key.Length != PublicKeySize) return false;
        Span<byte> y = stackalloc byte[PublicKeySize];
        key.CopyTo(y);
        // The top bit is the sign of x. It is cleared here, because a point and its negative have the same order.
        y[31] &= 0x7f;

        // y < 2^255-19 = ed ff ... ff 7f, little-endian.
        bool top = y[31] == 0x7f && !y[1..31].ContainsAnyExcept((byte)0xff);
        if (top && y[0] >= 0xed) return false;

        // y of the points of small order: 0 (order 4), 1 (order 1), -1 (order 2), and two values for order 8.
        bool minusOne = top && y[0] == 0xec;
        bool zeroOrOne = y[0] <= 1 && !y[1..].ContainsAnyExcept((byte)0);
        if (minusOne || zeroOrOne || y.SequenceEqual(OrderEightA) || y.SequenceEqual(OrderEightB)) return false;

        // The key must be a point of the curve, and its order must be the prime order of the group.
        return CurvePoints.ValidatePublicKeyFull(key);
    }

    /// <summary>Verifies once. False if the key, the message or the signature is not right. To verify often, keep an <see cref="Ed25519PublicKey"/>.</summary>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        return Ed25519PublicKey.TryCreate(publicKey, out Ed25519PublicKey? key) && key.Verify(message, signature);
    }

    // y of the four points of order 8, little-endian; each value belongs to two of them. A test checks the order by multiplication.
    private static ReadOnlySpan<byte> OrderEightA =>
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
        0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ];

    private static ReadOnlySpan<byte> OrderEightB =>
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
        0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
}

/// <summary>An Ed25519 public key, checked and loaded once. Immutable and safe for concurrent use.</summary>
public sealed class Ed25519PublicKey
{
    private readonly byte[] bytes;
    private readonly PublicKey key;

    private Ed25519PublicKey(byte[] bytes)
    {
        this.bytes = bytes;
        key = NSec.Cryptography.PublicKey.Import(SignatureAlgorithm.Ed25519, bytes, KeyBlobFormat.RawPublicKey);
    }

    /// <summary>The 32 bytes of the key.</summary>
    public ReadOnlyMemory<byte> Bytes => bytes;

    /// <summary>Loads a key. False if it is not acceptable, see <see cref="Ed25519.IsAcceptablePublicKey"/>.</summary>
    public static bool TryCreate(ReadOnlySpan<byte> key, [NotNullWhen(true)] out Ed25519PublicKey? publicKey)
    {
        publicKey = Ed25519.IsAcceptablePublicKey(key) ? new Ed25519PublicKey(key.ToArray()) : null;
        return publicKey is not null;
    }

    /// <summary>Whether this key signed the message. False for a signature that does not have 64 bytes.</summary>
    public bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature) =>
        signature.Length == Ed25519.SignatureSize && SignatureAlgorithm.Ed25519.Verify(key, message, signature);
}

/// <summary>
/// An Ed25519 private key in the guarded memory of libsodium: locked if the limits of the process allow it, between pages that cannot be
/// accessed, and zeroed when it is freed. Safe for concurrent use until it is disposed.
/// </summary>
public sealed class Ed25519PrivateKey : IDisposable
{
    private readonly Key key;
    private readonly byte[] publicKey;

    private Ed25519PrivateKey(ReadOnlySpan<byte> seed)
    {
        // The seed can be exported, because a key file holds it.
        KeyCreationParameters exportable = new() { ExportPolicy = KeyExportPolicies.AllowPlaintextExport };
        key = Key.Import(SignatureAlgorithm.Ed25519, seed, KeyBlobFormat.RawPrivateKey, exportable);
        publicKey = key.PublicKey.Export(KeyBlobFormat.RawPublicKey);
    }

    /// <summary>The 32 bytes of the public key.</summary>
    public ReadOnlyMemory<byte> PublicKey => publicKey;

    /// <summary>Makes the key from a seed of 32 bytes (RFC 8032 section 5.1.5). The caller zeroes the seed.</summary>
    /// <exception cref="ArgumentException">The seed does not have 32 bytes.</exception>
    public static Ed25519PrivateKey FromSeed(ReadOnlySpan<byte> seed)
    {
        if (seed.Length != Ed25519.SeedSize) throw new ArgumentException("an Ed25519 seed has 32 bytes", nameof(seed));
        return new Ed25519PrivateKey(seed);
    }

    /// <summary>Makes a new key from the system's random source.</summary>
    public static Ed25519PrivateKey Generate()
    {
        Span<byte> seed = stackalloc byte[Ed25519.SeedSize];
        try
        {
            RandomNumberGenerator.Fill(seed);
            return new Ed25519PrivateKey(seed);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    /// <summary>Signs the message: 64 bytes, the same for the same message.</summary>
    public byte[] Sign(ReadOnlySpan<byte> message) => SignatureAlgorithm.Ed25519.Sign(key, message);

    /// <summary>Frees the key. libsodium zeroes it.</summary>
    public void Dispose() => key.Dispose();

    /// <summary>Writes the 32 bytes of the seed, for a key file. The caller zeroes them.</summary>
    internal void ExportSeed(Span<byte> seed)
    {
        if (!key.TryExport(KeyBlobFormat.RawPrivateKey, seed, out int size) || size != Ed25519.SeedSize)
        {
            throw new ArgumentException("an Ed25519 seed has 32 bytes", nameof(seed));
        }
    }
}
