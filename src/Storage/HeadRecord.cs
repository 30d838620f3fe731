// One signed head as bytes: the commit record, a file of the guard, or a line of the history.
//
//   tlog-head v1 <unix milliseconds> <reason, base64> <size> <root, base64> <checkpoint, base64> <CRC-32C of the line before it, 8 hex digits>\n
//
// It is one line of text, so that an operator can read it and a torn last line of the history is detected.

using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace TransparencyLog.Storage;

internal sealed record HeadRecord(long UnixMilliseconds, string Reason, TreeHead? Head)
{
    /// <summary>The longest line in bytes: a checkpoint of 64 KiB and a reason of <see cref="MaxReason"/> characters, both in base64, rounded up.</summary>
    public const int MaxSize = 128 * 1024;

    /// <summary>
    /// A longer reason is cut to this many characters. Even at three bytes of UTF-8 each, the line then fits <see cref="MaxSize"/> and can be read again.
    /// </summary>
    private const int MaxReason = 4000;
    private const string Prefix = "tlog-head v1 ";

    public byte[] ToBytes()
    {
        string head = Head is null ? "- - -" : $"{Head.Size.ToString(CultureInfo.InvariantCulture)} {Head.Root.ToBase64()} {Convert.ToBase64String(Head.Checkpoint.Span)}";
        string reason = Reason.Length == 0 ? "-" : Reason.Length <= MaxReason ? Reason : Reason[..MaxReason] + " ...";
        string line = $"{Prefix}{UnixMilliseconds.ToString(CultureInfo.InvariantCulture)} {Convert.ToBase64String(Encoding.UTF8.GetBytes(reason))} {head} ";
        return Encoding.ASCII.GetBytes($"{line}{Crc32C.Of(Encoding.ASCII.GetBytes(line)):x8}\n");
    }

    public static bool TryParse(ReadOnlySpan<byte> line, [NotNullWhen(true)] out HeadRecord? record)
    {
        record = null;
        if (line.Length is < 40 or > MaxSize || line[^1] != (byte)'\n') return false;
        ReadOnlySpan<byte> text = line[..^9];
        if (!Encoding.ASCII.GetBytes($"{Crc32C.Of(text):x8}").AsSpan().SequenceEqual(line[^9..^1])) return false;
        string[] words = Encoding.ASCII.GetString(text).Split(' ');
        if (words.Length != 8 || words[0] != "tlog-head" || words[1] != "v1" || words[7].Length != 0) return false;
        if (!Strict.TryReadSize(Encoding.ASCII.GetBytes(words[2]), out long time)) return false;
        if (!Strict.TryReadBase64(Encoding.ASCII.GetBytes(words[3]), MaxSize, out byte[] reason)) return false;
        TreeHead? head = null;
        if (words[4] == "-")
        {
            if (words[5] != "-" || words[6] != "-") return false;
        }
        else
        {
            if (!Strict.TryReadSize(Encoding.ASCII.GetBytes(words[4]), out long size)
                || !Hash.TryParseBase64(Encoding.ASCII.GetBytes(words[5]), out Hash root)
                || !Strict.TryReadBase64(Encoding.ASCII.GetBytes(words[6]), TreeHead.MaxCheckpoint, out byte[] checkpoint))
            {
                return false;
            }

            head = new TreeHead(size, root, checkpoint);
        }

        // Each record has exactly one valid text. A reason that is not UTF-8, for example, would be written differently.
        HeadRecord read = new(time, Encoding.UTF8.GetString(reason), head);
        if (!read.ToBytes().AsSpan().SequenceEqual(line)) return false;
        record = read;
        return true;
    }
}
