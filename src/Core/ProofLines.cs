// What an add-checkpoint body and a tlog-proof have in common: after a head, one base64 hash a line, an empty
// line, and a signed checkpoint to the end.
using System.Text;

namespace TransparencyLog;

/// <summary>The hash lines before a checkpoint.</summary>
internal static class ProofLines
{
    /// <summary>Takes one line, without its newline; false when no newline is left.</summary>
    public static bool TryTakeLine(ref ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> line)
    {
        int end = bytes.IndexOf((byte)'\n');
        line = end < 0 ? default : bytes[..end];
        if (end < 0) return false;
        bytes = bytes[(end + 1)..];
        return true;
    }

    /// <summary>Takes at most <paramref name="most"/> hash lines and the empty line that ends them.</summary>
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

    /// <summary>Whether the rest may be a signed checkpoint: note characters, not too many, no empty first line.</summary>
    public static bool IsNote(ReadOnlySpan<byte> bytes) => bytes.Length <= Note.MaxSize && Note.IsText(bytes) && bytes[0] != (byte)'\n';

    /// <summary>Head, hash lines, empty line, note.</summary>
    public static byte[] ToBytes(StringBuilder head, ReadOnlySpan<Hash> hashes, ReadOnlySpan<byte> note)
    {
        foreach (Hash hash in hashes) head.Append(hash.ToBase64()).Append('\n');
        head.Append('\n');
        // All of the head is ASCII.
        byte[] bytes = new byte[head.Length + note.Length];
        Encoding.ASCII.GetBytes(head.ToString(), bytes);
        note.CopyTo(bytes.AsSpan(head.Length));
        return bytes;
    }
}
