// The note in a request (c2sp.org/tlog-witness, "add-checkpoint"): which defects of its signature lines are answered with 400, which with 403, and which are
// ignored. The specification says 403 for a line that has the name and ID of a trusted key and does not verify, and says that lines of unknown keys are
// ignored. A line whose base64 is not the canonical text of a signature is treated in the same way, as long as its name and key ID can be read:
//
//     the line                                                        by a trusted key    by any other key
//     can be read, and does not verify or has another length          403                 ignored
//     has base64 with trailing bits that are not zero                 403                 ignored
//     is otherwise not base64, but the key ID can be read             403                 400
//     has no key name, no base64 or no key ID                         400                 400
//
// Every other defect of a note is 400. Witnesses that use Go's note package ignore trailing bits and verify the rest. No witness has to accept a text that is
// not canonical (RFC 4648, section 3.5), and this one does not: two texts for one signature would be two notes for one checkpoint.

using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace TransparencyLog.Witness;

/// <summary>Reads the note of a request.</summary>
internal static class SubmittedNote
{
    private const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    /// <summary>Characters of base64 that hold the four bytes of a key ID: six characters hold 36 bits.</summary>
    private const int KeyIdCharacters = 6;

    /// <summary>
    /// Reads a note. A line that is not canonical, but whose key is known, is put into <paramref name="note"/> with a signature of one byte, which no key
    /// verifies. So <see cref="Note.Verify"/> rejects it where the key is trusted, and ignores it where it is not. Returns false when the note is malformed.
    /// </summary>
    /// <param name="bytes">The note as it came.</param>
    /// <param name="trusted">The keys that are trusted for its origin.</param>
    /// <param name="note">The note.</param>
    public static bool TryParse(ReadOnlySpan<byte> bytes, IReadOnlyList<INoteVerifier> trusted, [NotNullWhen(true)] out Note? note)
    {
        if (Note.TryParse(bytes, out note)) return true;
        int split = bytes.LastIndexOf("\n\n"u8);
        if (bytes.Length > Note.MaxSize || split < 0) return false;
        ReadOnlySpan<byte> lines = bytes[(split + 2)..];
        if (lines.Count((byte)'\n') > Note.MaxSignatures) return false;

        // Each line is replaced by a readable one, or copied unchanged and then fails below. So the other rules for a note are applied in one place, the parser
        // of all notes.
        ArrayBufferWriter<byte> readable = new(bytes.Length);
        readable.Write(bytes[..(split + 2)]);
        while (!lines.IsEmpty)
        {
            int end = lines.IndexOf((byte)'\n') + 1;
            ReadOnlySpan<byte> line = end == 0 ? lines : lines[..end];
            if (!NoteSignature.TryParseLine(line, out _) && TryReadKey(line, trusted, out string? name, out uint keyId)) readable.Write(Encoding.UTF8.GetBytes(new NoteSignature(name, keyId, new byte[1]).ToLine()));
            else readable.Write(line);
            lines = lines[line.Length..];
        }

        return Note.TryParse(readable.WrittenSpan, out note);
    }

    /// <summary>Reads the name and ID of a line's key. Returns false when the line is malformed for every key.</summary>
    private static bool TryReadKey(ReadOnlySpan<byte> line, IReadOnlyList<INoteVerifier> trusted, [NotNullWhen(true)] out string? name, out uint keyId)
    {
        (name, keyId) = (null, 0);
        if (!line.StartsWith("— "u8) || line[^1] != (byte)'\n') return false;
        line = line[4..^1];
        int space = line.IndexOf((byte)' ');
        if (space < 0 || !VerifierKey.IsKeyName(line[..space])) return false;
        ReadOnlySpan<byte> base64 = line[(space + 1)..];
        Span<byte> start = stackalloc byte[6];
        if (base64.Length < KeyIdCharacters || !Strict.TryReadBase64([.. base64[..KeyIdCharacters], (byte)'A', (byte)'A'], start, out _)) return false;
        keyId = BinaryPrimitives.ReadUInt32BigEndian(start);
        name = Encoding.UTF8.GetString(line[..space]);
        (string ofLine, uint id) = (name, keyId);
        return trusted.Any(key => key.Key.KeyId == id && key.Key.Name == ofLine) || IsCanonicalButForTrailingBits(base64);
    }

    private static bool IsCanonicalButForTrailingBits(ReadOnlySpan<byte> base64)
    {
        int padding = base64.EndsWith("=="u8) ? 2 : base64.EndsWith("="u8) ? 1 : 0, last = base64.Length - padding - 1;
        if (padding == 0 || last < 0 || Alphabet.IndexOf((char)base64[last], StringComparison.Ordinal) is not (>= 0 and int bits)) return false;
        byte[] zeroed = base64.ToArray();
        // With one "=" two bits are unused, with two of them four.
        zeroed[last] = (byte)Alphabet[bits & (padding == 1 ? ~0b11 : ~0b1111)];
        return Strict.TryReadBase64(zeroed, Note.MaxSize, out byte[] signature) && signature.Length > sizeof(uint);
    }
}
