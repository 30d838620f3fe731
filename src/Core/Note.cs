// A signed note (c2sp.org/signed-note, "Format").
//
//     This is an example message.                      text: ends in a newline, may hold empty lines
//                                                      the last empty line separates
//     — example.com/foo Uw2QOkn8srV1yJ...2IneyaQM=     1 to 100 signature lines
//
// The whole note is UTF-8 without ASCII control characters other than newline.
using System.Diagnostics.CodeAnalysis;

namespace TransparencyLog;

/// <summary>
/// A text and the signature lines below it (c2sp.org/signed-note). The text means nothing until
/// <see cref="Verify"/> has returned <see cref="NoteStatus.Verified"/>. Immutable.
/// </summary>
public sealed class Note
{
    /// <summary>Largest note in bytes. 100 signature lines of 5 kB, which is what a post-quantum signature needs, are half of it.</summary>
    public const int MaxSize = 1024 * 1024;

    /// <summary>Most signature lines. The specification requires at least 16. The Go reference stops at 100, and so does this code.</summary>
    public const int MaxSignatures = 100;

    private readonly byte[] text;
    private readonly NoteSignature[] signatures;

    /// <summary>Makes a note from a text and signature lines.</summary>
    /// <param name="text">
    /// UTF-8 that ends in a newline, with no other byte below 0x20 and no byte order mark at its start.
    /// </param>
    /// <param name="signatures">1 to 100 lines.</param>
    /// <exception cref="ArgumentException">The note would not parse again.</exception>
    public Note(ReadOnlyMemory<byte> text, IReadOnlyList<NoteSignature> signatures)
    {
        ArgumentNullException.ThrowIfNull(signatures);
        if (!IsText(text.Span)) throw new ArgumentException("a note text is UTF-8, ends in a newline and has no other control character", nameof(text));
        if (signatures.Count is 0 or > MaxSignatures) throw new ArgumentException("a note has 1 to 100 signature lines", nameof(signatures));
        this.text = text.ToArray();
        this.signatures = [.. signatures];
        if (Array.Exists(this.signatures, signature => signature.Name is null)) throw new ArgumentException("a signature line without a name", nameof(signatures));
        if (EncodedSize() > MaxSize) throw new ArgumentException($"a note has at most {MaxSize} bytes", nameof(text));
    }

    private Note(byte[] text, NoteSignature[] signatures)
    {
        this.text = text;
        this.signatures = signatures;
    }

    /// <summary>The signed text, with its final newline and without the separating empty line.</summary>
    public ReadOnlyMemory<byte> Text => text;

    /// <summary>The signature lines in their order, whether or not they are known or verified.</summary>
    public IReadOnlyList<NoteSignature> Signatures => signatures;

    /// <summary>
    /// Reads a note of at most <see cref="MaxSize"/> bytes and <see cref="MaxSignatures"/> lines. Lines are counted
    /// before any of them is decoded.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out Note? note)
    {
        note = null;
        // SPEC SN-12: a limit to the size, and below to the number of lines, before anything is allocated.
        if (bytes.Length > MaxSize) return false;
        // SPEC SN-01: text, empty line, signature lines. SPEC SN-06: the text may hold empty lines, the last one splits.
        int split = bytes.LastIndexOf("\n\n"u8);
        if (split < 0) return false;
        // SPEC SN-05: the signed text has its final newline and not the empty line.
        ReadOnlySpan<byte> signed = bytes[..(split + 1)];
        ReadOnlySpan<byte> lines = bytes[(split + 2)..];
        int count = lines.Count((byte)'\n');
        if (count is 0 or > MaxSignatures || lines[^1] != (byte)'\n' || !IsText(signed)) return false;

        NoteSignature[] parsed = new NoteSignature[count];
        for (int i = 0; i < count; i++)
        {
            int end = lines.IndexOf((byte)'\n') + 1;
            if (!NoteSignature.TryParseLine(lines[..end], out parsed[i])) return false;
            lines = lines[end..];
        }

        note = new Note(signed.ToArray(), parsed);
        return true;
    }

    /// <summary>Formats the note: the same bytes that were parsed.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[EncodedSize()];
        text.CopyTo(bytes, 0);
        int at = text.Length;
        bytes[at++] = (byte)'\n';
        foreach (NoteSignature signature in signatures)
        {
            at += signature.WriteLine(bytes.AsSpan(at));
        }

        return bytes;
    }

    /// <summary>
    /// Verifies every line whose name and key ID are those of one of the <paramref name="verifiers"/>, and ignores the other lines.
    /// A key counts once, however many lines it has. One bad line of a known key rejects the note.
    /// </summary>
    /// <remarks>Two verifiers with the same name and key ID cannot be told apart, so a line with that name and ID is bad.</remarks>
    public NoteVerification Verify(IReadOnlyList<INoteVerifier> verifiers) => NoteVerification.Of(text, signatures, verifiers);

    /// <summary>Whether the bytes can be the text of a note, or a whole note.</summary>
    internal static bool IsText(ReadOnlySpan<byte> bytes)
    {
        return !bytes.IsEmpty && bytes[^1] == (byte)'\n'
            // SPEC SN-04: no byte below 0x20 other than newline (no CR, no TAB); 0x7F is allowed.
            && !bytes.ContainsAnyInRange((byte)0x00, (byte)0x09) && !bytes.ContainsAnyInRange((byte)0x0b, (byte)0x1f)
            // SPEC SN-03: a note is valid UTF-8; a byte order mark is not skipped, and refused where a name begins.
            && !bytes.StartsWith("\ufeff"u8) && Strict.IsUtf8(bytes);
    }

    private long EncodedSize() => text.Length + 1L + signatures.Sum(signature => signature.LineSize);
}
