// A signature line of a note (c2sp.org/signed-note, "Signatures").
//
//     — witness.example.com/w1 jWbPPwAAAABkGF...+mbIUBkBIfZ+qnA==
//     U+2014, space, key name, space, base64(key ID in 4 bytes || signature), newline
using System.Buffers.Binary;
using System.Text;

namespace TransparencyLog;

/// <summary>One signature line: the name and key ID that it states, and the signature. Nothing of it is verified.</summary>
/// <param name="Name">Key name, see <see cref="VerifierKey.IsKeyName(string)"/>.</param>
/// <param name="KeyId">Key ID, big-endian on the wire.</param>
/// <param name="Signature">The signature without the 4 bytes of the key ID; at least one byte.</param>
/// <exception cref="ArgumentException">The name is not a key name, or the signature is empty.</exception>
public readonly record struct NoteSignature(string Name, uint KeyId, ReadOnlyMemory<byte> Signature)
{
    /// <summary>Key name.</summary>
    public string Name { get; } = VerifierKey.IsKeyName(Name) ? Name : throw new ArgumentException("not a key name", nameof(Name));

    /// <summary>The signature without the key ID.</summary>
    public ReadOnlyMemory<byte> Signature { get; } = !Signature.IsEmpty ? Signature : throw new ArgumentException("an empty signature", nameof(Signature));

    /// <summary>Size of the line in bytes, newline included.</summary>
    internal long LineSize => 4 + Encoding.UTF8.GetByteCount(Name) + 1 + ((Signature.Length + 4L + 2) / 3 * 4) + 1;

    /// <summary>Reads one line with its newline. False unless it is the canonical text of a line.</summary>
    public static bool TryParseLine(ReadOnlySpan<byte> line, out NoteSignature signature)
    {
        signature = default;
        // SPEC SN-02: em dash, space, key name, space, base64, newline; compared as bytes, so nothing is ignorable.
        if (line.Length > Note.MaxSize || !line.StartsWith("— "u8) || line[^1] != (byte)'\n') return false;
        line = line[4..^1];
        int space = line.IndexOf((byte)' ');
        if (space < 0 || !VerifierKey.IsKeyName(line[..space])) return false;
        // SPEC SN-10: base64 is RFC 4648 section 4, and only its canonical form.
        // SPEC SN-09: four bytes of key ID and the signature.
        if (!Strict.TryReadBase64(line[(space + 1)..], Note.MaxSize, out byte[] bytes) || bytes.Length < 5) return false;
        signature = new NoteSignature(Encoding.UTF8.GetString(line[..space]), BinaryPrimitives.ReadUInt32BigEndian(bytes), bytes.AsMemory(4));
        return true;
    }

    /// <summary>The line with its newline, as in a note.</summary>
    public string ToLine()
    {
        byte[] bytes = new byte[4 + Signature.Length];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, KeyId);
        Signature.Span.CopyTo(bytes.AsSpan(4));
        return $"— {Name} {Convert.ToBase64String(bytes)}\n";
    }

    /// <summary>Writes the line as UTF-8 and returns its size.</summary>
    internal int WriteLine(Span<byte> destination) => Encoding.UTF8.GetBytes(ToLine(), destination);

    /// <summary>Equal when name, key ID and signature bytes are equal.</summary>
    public bool Equals(NoteSignature other) => KeyId == other.KeyId
        && string.Equals(Name, other.Name, StringComparison.Ordinal) && Signature.Span.SequenceEqual(other.Signature.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => unchecked((int)KeyId);
}
