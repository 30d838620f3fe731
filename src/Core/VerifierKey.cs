// A verifier key, or vkey (c2sp.org/signed-note, "Verifier keys").
//
//     example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
//     key name        key ID   base64(signature type || public key)
using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog;

/// <summary>
/// The name, key ID, signature type and public key that identify who signed a note line
/// (c2sp.org/signed-note, "Verifier keys"). Two keys are equal when all four are equal.
/// </summary>
public sealed class VerifierKey : IEquatable<VerifierKey>
{
    /// <summary>Ed25519 over the note text; 32-byte key.</summary>
    public const byte Ed25519 = 0x01;

    /// <summary>ECDSA; the key is its SubjectPublicKeyInfo in DER. Parsed, but not verified here.</summary>
    public const byte Ecdsa = 0x02;

    /// <summary>Timestamped Ed25519 cosignature (c2sp.org/tlog-cosignature); 32-byte key.</summary>
    public const byte Ed25519Cosignature = 0x04;

    /// <summary>RFC 6962 TreeHeadSignature (c2sp.org/static-ct-api). Parsed, but not verified here.</summary>
    public const byte Rfc6962 = 0x05;

    /// <summary>Timestamped ML-DSA-44 cosignature (c2sp.org/tlog-cosignature); 1,312-byte key.</summary>
    public const byte MlDsa44Cosignature = 0x06;

    /// <summary>A type without an assigned identifier byte; the key begins with a longer identifier. Parsed, but not verified here.</summary>
    public const byte Private = 0xff;

    /// <summary>
    /// Longest key name of a vkey in bytes. The message that ML-DSA-44 cosigners sign has one byte for its length
    /// (c2sp.org/tlog-cosignature), and one limit for all types is simpler than two.
    /// </summary>
    public const int MaxNameSize = 255;

    /// <summary>Largest public key in bytes: an ML-DSA-87 key is 2,592, an RSA-4096 one in DER 550.</summary>
    public const int MaxPublicKeySize = 4096;

    // The White_Space property of Unicode, listed here because the set in a library can change with its version, and the set of valid
    // key names must not. U+0009 to U+000D are missing: IsKeyName refuses all characters below U+0020 (SN-04).
    private static readonly SearchValues<char> Refused =
        SearchValues.Create(" +\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000");

    private readonly byte[] publicKey;

    private VerifierKey(string name, uint keyId, byte signatureType, byte[] publicKey)
    {
        Name = name;
        KeyId = keyId;
        SignatureType = signatureType;
        this.publicKey = publicKey;
    }

    /// <summary>The key name: 1 to 255 bytes of UTF-8, no Unicode space, no plus, no character below U+0020.</summary>
    public string Name { get; }

    /// <summary>The key ID, big-endian in text and in signature lines.</summary>
    public uint KeyId { get; }

    /// <summary>The signature type identifier byte.</summary>
    public byte SignatureType { get; }

    /// <summary>The public key without the type byte.</summary>
    public ReadOnlyMemory<byte> PublicKey => publicKey;

    /// <summary>
    /// Reads a vkey. False when the name is not a key name of at most 255 bytes, the ID is not 8 lower-case hex digits or is
    /// not the ID of this name, type and key, the base64 is not canonical, the type is not assigned, or the key does not
    /// have the length of its type.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> text, [NotNullWhen(true)] out VerifierKey? key)
    {
        key = null;
        // SPEC SN-24: <name>+<8 lower-case hex>+<base64>; the base64 may hold a plus, so split at the first two.
        int first = text.IndexOf((byte)'+');
        if (first < 0 || first > MaxNameSize) return false;
        ReadOnlySpan<byte> name = text[..first];
        ReadOnlySpan<byte> rest = text[(first + 1)..];
        Span<byte> id = stackalloc byte[4];
        if (!IsKeyName(name) || rest.Length < 9 || rest[8] != (byte)'+' || !Strict.TryReadHexLower(rest[..8], id)) return false;
        if (!Strict.TryReadBase64(rest[9..], MaxPublicKeySize + 1, out byte[] material) || material.Length == 0) return false;

        byte signatureType = material[0];
        byte[] keyBytes = material[1..];
        if (!IsKeyLength(signatureType, keyBytes.Length)) return false;

        string keyName = Encoding.UTF8.GetString(name);
        uint keyId = BinaryPrimitives.ReadUInt32BigEndian(id);
        // SPEC SN-25: the ID in a vkey is the one used in signature lines; it is computed again and compared.
        if (ComputeKeyId(keyName, signatureType, keyBytes) != keyId) return false;
        key = new VerifierKey(keyName, keyId, signatureType, keyBytes);
        return true;
    }

    /// <summary>Makes the vkey of a public key and computes its key ID.</summary>
    /// <exception cref="ArgumentException">The name, the type or the length of the key is one that <see cref="TryParse"/> refuses.</exception>
    public static VerifierKey Create(string name, byte signatureType, ReadOnlySpan<byte> publicKey)
    {
        if (!IsKeyName(name) || Encoding.UTF8.GetByteCount(name) > MaxNameSize)
        {
            throw new ArgumentException("a key name has 1 to 255 bytes of UTF-8 and no space, plus or control character", nameof(name));
        }

        if (!IsKeyLength(signatureType, publicKey.Length))
        {
            throw new ArgumentException($"no signature type 0x{signatureType:x2} with a key of {publicKey.Length} bytes", nameof(publicKey));
        }

        return new VerifierKey(name, ComputeKeyId(name, signatureType, publicKey), signatureType, publicKey.ToArray());
    }

    /// <summary>
    /// SHA-256(name || 0x0A || type || key)[:4], big-endian; for ECDSA SHA-256(key)[:4]
    /// (c2sp.org/signed-note, "Signatures" and "Signature types").
    /// </summary>
    public static uint ComputeKeyId(string name, byte type, ReadOnlySpan<byte> key)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        // SPEC SN-21: the key ID of an ECDSA key is the hash of its SPKI alone.
        if (type == Ecdsa)
        {
            SHA256.HashData(key, digest);
        }
        else
        {
            // SPEC SN-19: key ID = SHA-256(name || 0x0A || signature type || public key)[:4].
            byte[] preimage = [.. Encoding.UTF8.GetBytes(name), (byte)'\n', type, .. key];
            SHA256.HashData(preimage, digest);
        }

        return BinaryPrimitives.ReadUInt32BigEndian(digest);
    }

    /// <summary>Whether the bytes are a key name: UTF-8, not empty, no Unicode space, no plus, no character below U+0020.</summary>
    public static bool IsKeyName(ReadOnlySpan<byte> name)
    {
        // Invalid UTF-8 is refused before a string is allocated. After IsUtf8, GetString has nothing to replace.
        return !name.IsEmpty && Strict.IsUtf8(name) && IsKeyName(Encoding.UTF8.GetString(name));
    }

    /// <summary>The same rule for a string. A string with an unpaired surrogate is not a key name.</summary>
    public static bool IsKeyName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        // SPEC SN-07: a key name is not empty. SPEC SN-08: no Unicode space and no plus. All of these are in the
        // first plane, so looking at UTF-16 units is looking at code points.
        return name.Length > 0
            && !name.AsSpan().ContainsAny(Refused)
            && !name.AsSpan().ContainsAnyInRange('\u0000', '\u001f')
            && IsWellFormed(name);
    }

    /// <summary>Whether a string can be encoded as UTF-8: every surrogate is paired.</summary>
    internal static bool IsWellFormed(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) continue;
            if (i + 1 >= text.Length || !char.IsSurrogatePair(text[i], text[i + 1])) return false;
            i++;
        }

        return true;
    }

    /// <summary>The vkey text: the only text that parses to this key.</summary>
    public override string ToString() => $"{Name}+{KeyId:x8}+{Convert.ToBase64String([SignatureType, .. publicKey])}";

    /// <inheritdoc/>
    public bool Equals(VerifierKey? other) => other is not null && KeyId == other.KeyId && SignatureType == other.SignatureType
        && string.Equals(Name, other.Name, StringComparison.Ordinal) && publicKey.AsSpan().SequenceEqual(other.publicKey);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as VerifierKey);

    /// <inheritdoc/>
    public override int GetHashCode() => unchecked((int)KeyId);

    // SPEC SN-22: only assigned types are read; 0x03 and 0xfa-0xfe are reserved, the rest mean nothing yet.
    private static bool IsKeyLength(byte signatureType, int length) => signatureType switch
    {
        Ed25519 or Ed25519Cosignature => length == 32,
        MlDsa44Cosignature => length == 1312,
        Ecdsa or Rfc6962 or Private => length is > 0 and <= MaxPublicKeySize,
        _ => false,
    };
}
