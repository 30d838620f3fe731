// Ed25519 (RFC 8032, pure), and the one rule of this library for its edge cases:
//
//     public key    32 bytes, the one encoding of a point (y below 2^255-19), not of small order
//     signature     64 bytes, R || S with S below the group order, R compared as bytes (libcrypto does both)
//
// Server, witness and client share this file, so that no two of them disagree about a signature.
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

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
    /// Whether a public key may be trusted with anything: 32 bytes, y below 2^255-19, and not one of the points of
    /// order 1, 2, 4 or 8, for which signatures exist that hold for many messages. libcrypto would take them all.
    /// </summary>
    public static bool IsAcceptablePublicKey(ReadOnlySpan<byte> key)
    {
        if (key.Length != PublicKeySize) return false;
        Span<byte> y = stackalloc byte[PublicKeySize];
        key.CopyTo(y);
        // The sign of x is the top bit. A point and its negative have one order, so it is dropped here.
        y[31] &= 0x7f;

        // y < 2^255-19 = ed ff ... ff 7f, little-endian.
        bool top = y[31] == 0x7f && !y[1..31].ContainsAnyExcept((byte)0xff);
        if (top && y[0] >= 0xed) return false;

        // The y of the points of small order: 0 (order 4), 1 (1), -1 (2), and two of order 8.
        bool minusOne = top && y[0] == 0xec;
        bool zeroOrOne = y[0] <= 1 && !y[1..].ContainsAnyExcept((byte)0);
        return !minusOne && !zeroOrOne && !y.SequenceEqual(OrderEightA) && !y.SequenceEqual(OrderEightB);
    }

    /// <summary>Verifies once; false for any key, message or signature that is not right. To verify often, keep an <see cref="Ed25519PublicKey"/>.</summary>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        return Ed25519PublicKey.TryCreate(publicKey, out Ed25519PublicKey? key) && key.Verify(message, signature);
    }

    // y of the four points of order 8, each for two of them, little-endian; a test multiplies them out.
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

/// <summary>An Ed25519 public key, loaded once. Immutable and safe for concurrent use; its memory is freed with it.</summary>
public sealed class Ed25519PublicKey
{
    private readonly byte[] bytes;
    private readonly EvpKeyHandle handle;

    private Ed25519PublicKey(byte[] bytes)
    {
        this.bytes = bytes;
        handle = LibCrypto.PublicKey(bytes);
    }

    /// <summary>The 32 bytes of the key.</summary>
    public ReadOnlyMemory<byte> Bytes => bytes;

    /// <summary>Loads a key; false when it is not acceptable, see <see cref="Ed25519.IsAcceptablePublicKey"/>.</summary>
    public static bool TryCreate(ReadOnlySpan<byte> key, [NotNullWhen(true)] out Ed25519PublicKey? publicKey)
    {
        publicKey = Ed25519.IsAcceptablePublicKey(key) ? new Ed25519PublicKey(key.ToArray()) : null;
        return publicKey is not null;
    }

    /// <summary>Whether this key signed the message. False for a signature of any other length than 64.</summary>
    public bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature) =>
        signature.Length == Ed25519.SignatureSize && LibCrypto.Verify(handle, message, signature);
}

/// <summary>An Ed25519 private key, held by libcrypto. Safe for concurrent use until it is disposed.</summary>
public sealed class Ed25519PrivateKey : IDisposable
{
    private readonly EvpKeyHandle handle;
    private readonly byte[] publicKey;

    private Ed25519PrivateKey(ReadOnlySpan<byte> seed)
    {
        handle = LibCrypto.PrivateKey(seed);
        publicKey = LibCrypto.ExportPublicKey(handle);
    }

    /// <summary>The 32 bytes of the public key.</summary>
    public ReadOnlyMemory<byte> PublicKey => publicKey;

    /// <summary>Makes the key of a seed of 32 bytes (RFC 8032 section 5.1.5). The caller zeroes the seed.</summary>
    /// <exception cref="ArgumentException">The seed has another length.</exception>
    public static Ed25519PrivateKey FromSeed(ReadOnlySpan<byte> seed)
    {
        if (seed.Length != Ed25519.SeedSize) throw new ArgumentException("an Ed25519 seed has 32 bytes", nameof(seed));
        return new Ed25519PrivateKey(seed);
    }

    /// <summary>Makes a new key from the random source of the system.</summary>
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

    /// <summary>Signs; 64 bytes, the same for the same message.</summary>
    public byte[] Sign(ReadOnlySpan<byte> message) => LibCrypto.Sign(handle, message);

    /// <summary>Frees the key; libcrypto zeroes it.</summary>
    public void Dispose() => handle.Dispose();

    /// <summary>Writes the 32 bytes of seed, for a key file; the caller zeroes them.</summary>
    internal void ExportSeed(Span<byte> seed) => LibCrypto.ExportSeed(handle, seed);
}
