using System.Text;
using System.Text.Json;

namespace TransparencyLog.Tests.Core;

/// <summary>The vector files of the formats, and the few texts that many tests start from.</summary>
internal static class FormatVectors
{
    public const string RootLine = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    public const string CheckpointText = "example.com/behind-the-sofa\n20852163\n" + RootLine + "\n";

    private static readonly string Folder = Path.Combine(Repository.Root, "tests", "vectors");

    /// <summary>The document, whose array under <paramref name="property"/> has exactly <paramref name="count"/> cases.</summary>
    public static JsonElement[] Cases(string file, string property, int count)
    {
        JsonElement[] cases = [.. Document(file).GetProperty(property).EnumerateArray()];
        Assert.Equal(count, cases.Length);
        return cases;
    }

    public static JsonElement Document(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, file)));
        return document.RootElement.Clone();
    }

    public static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);

    /// <summary>Bytes of a text in which \xNN (written with a private escape) need not be UTF-8: one byte a character.</summary>
    public static byte[] Latin1(string text) => Encoding.Latin1.GetBytes(text);

    public static string Line(JsonElement element, string property) => element.GetProperty(property).GetString()!;
}

/// <summary>A verifier whose signatures anyone can make: SHA-256 of the key name and the text, twice; a timestamp before it for cosignatures.</summary>
internal sealed class OpenVerifier(string name, byte type = VerifierKey.Ed25519, byte fill = 7) : INoteVerifier
{
    public VerifierKey Key { get; } = VerifierKey.Create(name, type, Enumerable.Repeat(fill, type == VerifierKey.MlDsa44Cosignature ? 1312 : 32).ToArray());

    public int Calls { get; private set; }

    public static OpenVerifier For(VerifierKey key) => new(key.Name, key.SignatureType, key.PublicKey.Span[0]);

    public bool Verify(ReadOnlySpan<byte> noteText, ReadOnlySpan<byte> signature)
    {
        Calls++;
        return IsCosigner
            ? Cosignature.TryReadTimestamp(signature, out _) && signature[8..].SequenceEqual(Raw(noteText))
            : signature.SequenceEqual(Raw(noteText));
    }

    public NoteSignature Sign(string text, ulong timestamp = 1)
    {
        byte[] raw = Raw(FormatVectors.Utf8(text));
        if (!IsCosigner) return new NoteSignature(Key.Name, Key.KeyId, raw);
        byte[] time = new byte[8];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(time, timestamp);
        return new NoteSignature(Key.Name, Key.KeyId, (byte[])[.. time, .. raw]);
    }

    public NoteSignature Bad(string text)
    {
        byte[] signature = Sign(text).Signature.ToArray();
        signature[^1] ^= 1;
        return new NoteSignature(Key.Name, Key.KeyId, signature);
    }

    private bool IsCosigner => Key.SignatureType is VerifierKey.Ed25519Cosignature or VerifierKey.MlDsa44Cosignature;

    private byte[] Raw(ReadOnlySpan<byte> text)
    {
        byte[] hash = System.Security.Cryptography.SHA256.HashData([.. FormatVectors.Utf8(Key.Name), .. text]);
        byte[] raw = new byte[Key.SignatureType == VerifierKey.MlDsa44Cosignature ? 2420 : 64];
        for (int i = 0; i < raw.Length; i++) raw[i] = hash[i % 32];
        return raw;
    }
}
