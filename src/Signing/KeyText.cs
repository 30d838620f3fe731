// The text of a key file. KeyFile.cs shows the text, and has the rules for the file itself.
using System.Buffers.Binary;
using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog.Signing;

/// <summary>
/// Reads and writes the bytes of key files. <c>source</c> is the path, for messages. A message repeats nothing from the bytes but the OID of
/// the algorithm. Buffers that hold key bytes are zeroed here or by the caller. Only what BouncyCastle expands from an ML-DSA-44 seed is not.
/// </summary>
internal static class KeyText
{
    private const string Ed25519Oid = "1.3.101.112";
    private const string MlDsa44Oid = "2.16.840.1.101.3.4.3.17";

    /// <summary>Bytes of an expanded ML-DSA-44 key (FIPS 204 section 4).</summary>
    private const int ExpandedMlDsa44 = 2560;

    /// <summary>Largest PKCS#8 structure in bytes: seed, expanded key and public key of ML-DSA-44 have 3,904; the rest is for tags and attributes.</summary>
    private const int MaxDer = 5 * 1024;

    private static readonly Asn1Tag MlDsaSeed = new(TagClass.ContextSpecific, 0);

    /// <summary>
    /// The content of a key file: an <see cref="Ed25519PrivateKey"/> or an <see cref="MlDsa44PrivateKey"/>, and the name and signature type that the
    /// file states.
    /// </summary>
    internal readonly record struct Found(string? Name, byte? SignatureType, IDisposable Key)
    {
        public KeyFile Ed25519(string source) => Key is Ed25519PrivateKey key ? new KeyFile(Name, SignatureType, key) : throw Other(source, "an ML-DSA-44 key", "an Ed25519 key");

        public MlDsa44KeyFile MlDsa44(string source) => Key is MlDsa44PrivateKey key ? new MlDsa44KeyFile(Name, key) : throw Other(source, "an Ed25519 key", "an ML-DSA-44 key");

        private KeyFileException Other(string source, string found, string wanted)
        {
            Key.Dispose();
            return new KeyFileException($"{source}: holds {found}, where {wanted} is needed");
        }
    }

    private static ReadOnlySpan<byte> Begin => "-----BEGIN PRIVATE KEY-----"u8;

    private static ReadOnlySpan<byte> End => "-----END PRIVATE KEY-----"u8;

    /// <summary>Writes header lines and the PEM block; returns the length. The caller pins the destination and zeroes it.</summary>
    public static int Write(Span<byte> destination, string name, byte signatureType, Ed25519PrivateKey key)
    {
        string type = signatureType switch
        {
            VerifierKey.Ed25519 => "note",
            VerifierKey.Ed25519Cosignature => "cosignature",
            _ => throw new ArgumentException("an Ed25519 key has type 0x01 or 0x04", nameof(signatureType)),
        };
        Span<byte> seed = stackalloc byte[Ed25519.SeedSize];
        try
        {
            key.ExportSeed(seed);
            // RFC 8410 section 7: the key is an octet string inside the octet string.
            return Write(destination, name, type, Ed25519Oid, Asn1Tag.PrimitiveOctetString, seed);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    /// <summary>The same for an ML-DSA-44 key, which has only one signature type.</summary>
    public static int Write(Span<byte> destination, string name, MlDsa44PrivateKey key)
    {
        Span<byte> seed = stackalloc byte[MlDsa44.SeedSize];
        try
        {
            key.ExportSeed(seed);
            // RFC 9881 section 6: of the three choices, the seed.
            return Write(destination, name, "cosignature", MlDsa44Oid, MlDsaSeed, seed);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    private static int Write(Span<byte> destination, string name, string type, string oid, Asn1Tag tag, ReadOnlySpan<byte> seed)
    {
        Span<byte> der = stackalloc byte[64];
        Span<char> base64 = stackalloc char[96];
        AsnWriter writer = new(AsnEncodingRules.DER);
        try
        {
            using (writer.PushSequence())
            {
                writer.WriteInteger(0);
                using (writer.PushSequence()) writer.WriteObjectIdentifier(oid);
                using (writer.PushOctetString()) writer.WriteOctetString(seed, tag);
            }

            int size = writer.Encode(der);
            if (!Convert.TryToBase64Chars(der[..size], base64, out int characters)) throw new System.Diagnostics.UnreachableException("54 bytes are 72 characters");
            int at = Encoding.UTF8.GetBytes($"Name: {name}\nType: {type}\n-----BEGIN PRIVATE KEY-----\n", destination);
            at += Encoding.UTF8.GetBytes(base64[..characters], destination[at..]);
            return at + Encoding.UTF8.GetBytes("\n-----END PRIVATE KEY-----\n", destination[at..]);
        }
        finally
        {
            // Reset zeroes the writer's buffer.
            writer.Reset();
            CryptographicOperations.ZeroMemory(der);
            base64.Clear();
        }
    }

    /// <summary>Reads an Ed25519 key in either form.</summary>
    /// <exception cref="KeyFileException">The text is in neither form, or the key is not an Ed25519 key.</exception>
    public static KeyFile Read(ReadOnlyMemory<byte> text, string source) => ReadAny(text, source).Ed25519(source);

    /// <summary>Reads a key of either algorithm, in either form.</summary>
    /// <exception cref="KeyFileException">The text is in neither form, or the algorithm of the key is not supported.</exception>
    public static Found ReadAny(ReadOnlyMemory<byte> text, string source)
    {
        return text.Span.StartsWith("PRIVATE+KEY+"u8) ? ReadGo(text.Span, source) : ReadPem(text.Span, source);
    }

    // golang.org/x/mod/sumdb/note: PRIVATE+KEY+<name>+<key ID>+base64(type || seed), where the ID is that of the public key.
    private static Found ReadGo(ReadOnlySpan<byte> text, string source)
    {
        text = text["PRIVATE+KEY+"u8.Length..].TrimEnd(" \t\r\n"u8);
        int plus = text.IndexOf((byte)'+');
        Span<byte> id = stackalloc byte[4];
        Span<byte> material = stackalloc byte[1 + Ed25519.SeedSize];
        try
        {
            if (plus < 0 || plus > VerifierKey.MaxNameSize || !VerifierKey.IsKeyName(text[..plus])
                || text.Length < plus + 10 || text[plus + 9] != (byte)'+'
                || !Strict.TryReadHexLower(text.Slice(plus + 1, 8), id))
            {
                throw new KeyFileException($"{source}: begins like a Go key, but is not PRIVATE+KEY+<name>+<8 hex digits>+<base64>");
            }

            if (!Strict.TryReadBase64(text[(plus + 10)..], material, out int written) || written != material.Length
                || material[0] is not (VerifierKey.Ed25519 or VerifierKey.Ed25519Cosignature))
            {
                throw new KeyFileException($"{source}: the key is not the base64 of a type byte (0x01 or 0x04) and 32 bytes of Ed25519 seed");
            }

            string name = Encoding.UTF8.GetString(text[..plus]);
            Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(material[1..]);
            if (VerifierKey.ComputeKeyId(name, material[0], key.PublicKey.Span) == BinaryPrimitives.ReadUInt32BigEndian(id))
            {
                return new Found(name, material[0], key);
            }

            key.Dispose();
            throw new KeyFileException($"{source}: the key ID is not that of this name and key; the file was changed");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(material);
        }
    }

    private static Found ReadPem(ReadOnlySpan<byte> text, string source)
    {
        string? name = null;
        string? type = null;
        // The block may be as long as the whole text. It is pinned and zeroed as the text is.
        byte[] block = GC.AllocateArray<byte>(text.Length, pinned: true);
        byte[] der = GC.AllocateArray<byte>(MaxDer, pinned: true);
        int length = -1;
        bool ended = false;
        try
        {
            foreach (Range range in text.Split((byte)'\n'))
            {
                ReadOnlySpan<byte> line = text[range].TrimEnd(" \t\r"u8);
                if (line.StartsWith("-----BEGIN "u8))
                {
                    if (length >= 0) throw new KeyFileException($"{source}: holds more than one PEM block; a key file has one key");
                    if (!line.SequenceEqual(Begin)) throw new KeyFileException($"{source}: the PEM block is not a \"PRIVATE KEY\" (PKCS#8, not encrypted)");
                    length = 0;
                }
                else if (length >= 0 && !ended)
                {
                    ended = line.SequenceEqual(End);
                    if (ended) continue;
                    line.CopyTo(block.AsSpan(length));
                    length += line.Length;
                }
                else if (length < 0)
                {
                    ReadHeader(line, source, ref name, ref type);
                }
            }

            if (!ended) throw new KeyFileException($"{source}: is neither a PEM file with a \"PRIVATE KEY\" block nor a Go key");
            if (!Strict.TryReadBase64(block.AsSpan(0, length), der, out int size)) throw new KeyFileException($"{source}: the PEM block is not base64, or is too long for a key");
            IDisposable key = ReadPkcs8(der.AsMemory(0, size), source);
            if (key is MlDsa44PrivateKey && type == "note")
            {
                key.Dispose();
                throw new KeyFileException($"{source}: an ML-DSA-44 key makes cosignatures, so its \"Type:\" is not note");
            }

            byte? signatureType = (type, key) switch
            {
                (null, _) => null,
                ("note", _) => VerifierKey.Ed25519,
                (_, MlDsa44PrivateKey) => VerifierKey.MlDsa44Cosignature,
                _ => VerifierKey.Ed25519Cosignature,
            };
            return new Found(name, signatureType, key);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(block);
            CryptographicOperations.ZeroMemory(der);
        }
    }

    // Unknown lines before the block are notes of the file's owner, and are ignored.
    private static void ReadHeader(ReadOnlySpan<byte> line, string source, ref string? name, ref string? type)
    {
        if (line.StartsWith("Name:"u8))
        {
            ReadOnlySpan<byte> value = line[5..].Trim(" \t"u8);
            if (name is not null || value.Length > VerifierKey.MaxNameSize || !VerifierKey.IsKeyName(value))
            {
                throw new KeyFileException($"{source}: the \"Name:\" line is there twice, or holds no key name");
            }

            name = Encoding.UTF8.GetString(value);
        }
        else if (line.StartsWith("Type:"u8))
        {
            ReadOnlySpan<byte> value = line[5..].Trim(" \t"u8);
            string? read = value.SequenceEqual("note"u8) ? "note" : value.SequenceEqual("cosignature"u8) ? "cosignature" : null;
            if (type is not null || read is null) throw new KeyFileException($"{source}: the \"Type:\" line is there twice, or is neither note nor cosignature");
            type = read;
        }
    }

    // PrivateKeyInfo of RFC 5208, or OneAsymmetricKey of RFC 5958, which can have attributes and the public key.
    private static IDisposable ReadPkcs8(ReadOnlyMemory<byte> der, string source)
    {
        try
        {
            AsnReader outer = new(der, AsnEncodingRules.DER);
            AsnReader info = outer.ReadSequence();
            outer.ThrowIfNotEmpty();
            if (!info.TryReadInt32(out int version) || version is not (0 or 1)) throw new KeyFileException($"{source}: PKCS#8 of a version other than 0 or 1");
            AsnReader algorithm = info.ReadSequence();
            string oid = algorithm.ReadObjectIdentifier();
            if (oid is not (Ed25519Oid or MlDsa44Oid))
            {
                throw new KeyFileException($"{source}: the algorithm of the key is {oid}, and only Ed25519 ({Ed25519Oid}) and ML-DSA-44 ({MlDsa44Oid}) are understood");
            }

            algorithm.ThrowIfNotEmpty();
            if (!info.TryReadPrimitiveOctetString(out ReadOnlyMemory<byte> inner)) throw new AsnContentException();
            Asn1Tag attributes = new(TagClass.ContextSpecific, 0, isConstructed: true);
            Asn1Tag publicKey = new(TagClass.ContextSpecific, 1);
            if (info.HasData && info.PeekTag() == attributes) info.ReadEncodedValue();
            byte[]? claimed = info.HasData && info.PeekTag() == publicKey ? info.ReadBitString(out _, publicKey) : null;
            info.ThrowIfNotEmpty();

            AsnReader keyReader = new(inner, AsnEncodingRules.DER);
            (IDisposable key, ReadOnlyMemory<byte> made) = oid == Ed25519Oid ? ReadEd25519(keyReader) : ReadMlDsa44(keyReader, source);
            if (claimed is null || made.Span.SequenceEqual(claimed)) return key;
            key.Dispose();
            throw new KeyFileException($"{source}: the public key in the file is not that of its private key; the file was changed");
        }
        catch (AsnContentException)
        {
            // Without the reader's message: it could quote bytes next to the key.
            throw new KeyFileException($"{source}: the PEM block is not the PKCS#8 of an Ed25519 or ML-DSA-44 key");
        }
    }

    private static (IDisposable Key, ReadOnlyMemory<byte> PublicKey) ReadEd25519(AsnReader reader)
    {
        ReadOnlyMemory<byte> seed = ReadOctets(reader, Asn1Tag.PrimitiveOctetString, Ed25519.SeedSize);
        reader.ThrowIfNotEmpty();
        Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(seed.Span);
        return (key, key.PublicKey);
    }

    // RFC 9881 section 6: a choice of the seed as [0], an octet string with the expanded key, or a sequence of both.
    private static (IDisposable Key, ReadOnlyMemory<byte> PublicKey) ReadMlDsa44(AsnReader reader, string source)
    {
        Asn1Tag choice = reader.PeekTag();
        if (choice == Asn1Tag.PrimitiveOctetString)
        {
            throw new KeyFileException($"{source}: holds an expanded ML-DSA-44 key without its seed; a key is read from its seed of 32 bytes, alone or with the expanded key beside it (RFC 9881)");
        }

        ReadOnlyMemory<byte> expanded = default;
        ReadOnlyMemory<byte> seed;
        if (choice == MlDsaSeed)
        {
            seed = ReadOctets(reader, MlDsaSeed, MlDsa44.SeedSize);
        }
        else
        {
            AsnReader both = reader.ReadSequence();
            seed = ReadOctets(both, Asn1Tag.PrimitiveOctetString, MlDsa44.SeedSize);
            expanded = ReadOctets(both, Asn1Tag.PrimitiveOctetString, ExpandedMlDsa44);
            both.ThrowIfNotEmpty();
        }

        reader.ThrowIfNotEmpty();
        MlDsa44PrivateKey key = MlDsa44PrivateKey.FromSeed(seed.Span);
        if (expanded.IsEmpty || key.IsExpandedTo(expanded.Span)) return (key, key.PublicKey);
        key.Dispose();
        throw new KeyFileException($"{source}: the expanded key in the file is not that of its seed; the file was changed");
    }

    private static ReadOnlyMemory<byte> ReadOctets(AsnReader reader, Asn1Tag tag, int size) =>
        reader.TryReadPrimitiveOctetString(out ReadOnlyMemory<byte> octets, tag) && octets.Length == size ? octets : throw new AsnContentException();
}
