// The common part of a tlog-proof and of the bodies of add-checkpoint and sign-subtree. After the first lines come one base64 hash per line,
// an empty line, and a signed checkpoint up to the end.

namespace TransparencyLog;

/// <summary>Reads and writes the hash lines before a checkpoint.</summary>
internal static class ProofLines
{
    /// <summary>Reads one line, without its newline, and advances <paramref name="bytes"/> past it. False when no newline is left.</summary>
    public static bool TryTakeLine(ref ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> line)
    {
        int end = bytes.IndexOf((byte)'\n');
        line = end < 0 ? default : bytes[..end];
        if (end < 0) return false;
        bytes = bytes[(end + 1)..];
        return true;
    }

    /// <summary>Reads at most <paramref name="most"/> hash lines and the empty line that ends them, and advances <paramref name="bytes"/> past them.</summary>
    public static bool TryTake(ref ReadOnlySpan<byte> bytes, int most, out Hash[] hashes)
    {
        hashes = [];
        List<Hash> taken = [];
        while (TryTakeLine(ref bytes, out ReadOnlySpan<byte> line))
        {
            if (line.IsEmpty)
            {
                hashes = [.. taken];
                return true;
            }

            if (taken.Count == most || !Hash.TryParseBase64(line, out Hash hash)) return false;
            taken.Add(hash);
        }

        return false;
    }

    /// <summary>Whether the rest can be a signed checkpoint: note text of at most <see cref="Note.MaxSize"/> bytes whose first line is not empty.</summary>
    public static bool IsNote(ReadOnlySpan<byte> bytes) => bytes.Length <= Note.MaxSize && Note.IsText(bytes) && bytes[0] != (byte)'\n';

    /// <summary>Joins the first lines, the hash lines, the empty line and the note in one array of exactly that size.</summary>
    public static byte[] ToBytes(ReadOnlySpan<byte> head, ReadOnlySpan<Hash> hashes, ReadOnlySpan<byte> note)
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>(head.Length + (hashes.Length * Hash.LineSize) + 1 + note.Length);
        head.CopyTo(bytes);
        Span<byte> rest = bytes.AsSpan(head.Length);
        foreach (ref readonly Hash hash in hashes)
        {
            hash.WriteLine(rest);
            rest = rest[Hash.LineSize..];
        }

        rest[0] = (byte)'\n';
        note.CopyTo(rest[1..]);
        return bytes;
    }
}
