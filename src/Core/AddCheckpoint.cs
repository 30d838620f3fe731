// The bodies of add-checkpoint (c2sp.org/tlog-witness, "add-checkpoint").
//
//     request                                            response 200            response 409
//     old 20852014                                       — witness/w1 CMp+...=   20852014
//     PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=       one signature line
//                                                        or more
//     example.com/behind-the-sofa
//     20852163
//     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//
//     — example.com/behind-the-sofa Az3grlg...OAYQ8=
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace TransparencyLog;

/// <summary>
/// The request of a log to a witness: the size that the log believes the witness has cosigned, a consistency proof from that size, and a
/// signed checkpoint (c2sp.org/tlog-witness). Parsing verifies nothing. Immutable.
/// </summary>
public sealed class AddCheckpointRequest
{
    /// <summary>
    /// Largest body in bytes: 63 proof lines of 45 bytes, 16 signature lines of about 5 kB (signed-note allows post-quantum signatures),
    /// and the text of the checkpoint, rounded up.
    /// </summary>
    public const int MaxSize = 128 * 1024;

    /// <summary>Most proof lines.</summary>
    public const int MaxProof = 63;

    private readonly Hash[] proof;
    private readonly byte[] checkpoint;

    /// <summary>Makes a request.</summary>
    /// <param name="oldSize">The size that the witness is believed to have cosigned, not negative.</param>
    /// <param name="proof">The consistency proof from the old size to the size of the checkpoint, at most 63 hashes.</param>
    /// <param name="checkpoint">The bytes of the signed checkpoint.</param>
    /// <exception cref="ArgumentException">The body would not parse again.</exception>
    public AddCheckpointRequest(long oldSize, IReadOnlyList<Hash> proof, ReadOnlyMemory<byte> checkpoint)
    {
        ArgumentNullException.ThrowIfNull(proof);
        ArgumentOutOfRangeException.ThrowIfNegative(oldSize);
        if (proof.Count > MaxProof) throw new ArgumentException("a consistency proof has at most 63 hashes", nameof(proof));
        if (!ProofLines.IsNote(checkpoint.Span)) throw new ArgumentException("a checkpoint is lines of text, the first of them not empty", nameof(checkpoint));
        OldSize = oldSize;
        this.proof = [.. proof];
        this.checkpoint = checkpoint.ToArray();
        if (ToBytes().Length > MaxSize) throw new ArgumentException($"a request has at most {MaxSize} bytes", nameof(checkpoint));
    }

    /// <summary>The size that the witness is believed to have cosigned.</summary>
    public long OldSize { get; }

    /// <summary>The consistency proof from <see cref="OldSize"/> to the size of the checkpoint.</summary>
    public IReadOnlyList<Hash> Proof => proof;

    /// <summary>The signed checkpoint, verbatim, for <see cref="Note.TryParse"/>.</summary>
    public ReadOnlyMemory<byte> Checkpoint => checkpoint;

    /// <summary>
    /// Reads a body of at most <see cref="MaxSize"/> bytes. On false, <paramref name="error"/> says for people what is wrong. It quotes nothing
    /// from the body.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> body, [NotNullWhen(true)] out AddCheckpointRequest? request, out string error)
    {
        request = null;
        // SPEC TW-10: a cap that admits 63 hashes and 16 signature lines.
        error = $"a body has at most {MaxSize} bytes";
        if (body.Length > MaxSize) return false;

        ReadOnlySpan<byte> rest = body;
        // SPEC TW-04: "old", one space, decimal without leading zeros.
        error = "the first line is \"old\", a space and a tree size in decimal without leading zeros";
        if (!rest.StartsWith("old "u8) || !ProofLines.TryTakeLine(ref rest, out ReadOnlySpan<byte> line)
            || !Strict.TryReadSize(line[4..], out long oldSize))
        {
            return false;
        }

        // SPEC TW-05: one base64 hash a line. SPEC TW-06: at most 63. SPEC TW-09: the first empty line ends them.
        error = "after the first line come at most 63 lines, each the base64 of 32 bytes, and an empty line";
        if (!ProofLines.TryTake(ref rest, MaxProof, out Hash[] hashes)) return false;
        // SPEC TW-03: every line ends with a newline.
        error = "after the empty line comes a signed checkpoint: UTF-8, each line ended by a newline, no other control character";
        if (!ProofLines.IsNote(rest)) return false;

        error = "";
        request = new AddCheckpointRequest(oldSize, hashes, rest.ToArray());
        return true;
    }

    /// <summary>Formats the body: the same bytes that were parsed.</summary>
    public byte[] ToBytes() =>
        ProofLines.ToBytes(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"old {OldSize}\n")), proof, checkpoint);
}

/// <summary>The responses of a witness (c2sp.org/tlog-witness): signature lines with 200, a tree size with 409.</summary>
public static class AddCheckpointResponse
{
    /// <summary>Largest response in bytes: three signature lines of 5 kB, which is what a post-quantum signature needs.</summary>
    public const int MaxSize = 16 * 1024;

    /// <summary>The exact media type of a 409 response.</summary>
    public const string SizeContentType = "text/x.tlog.size";

    /// <summary>Reads the body of a 200 response: one or more signature lines and nothing else. None of them is verified.</summary>
    public static bool TryParse(ReadOnlySpan<byte> body, out IReadOnlyList<NoteSignature> lines)
    {
        lines = [];
        // SPEC TW-34: one or more note signature lines.
        if (body.IsEmpty || body.Length > MaxSize || body.Count((byte)'\n') > Note.MaxSignatures) return false;
        List<NoteSignature> parsed = [];
        while (!body.IsEmpty)
        {
            int end = body.IndexOf((byte)'\n') + 1;
            if (end == 0 || !NoteSignature.TryParseLine(body[..end], out NoteSignature signature)) return false;
            parsed.Add(signature);
            body = body[end..];
        }

        lines = parsed;
        return true;
    }

    /// <summary>Formats the body of a 200 response.</summary>
    /// <exception cref="ArgumentException">No line, or more than <see cref="MaxSize"/> bytes.</exception>
    public static byte[] ToBytes(IEnumerable<NoteSignature> lines)
    {
        byte[] body = Encoding.UTF8.GetBytes(string.Concat(lines.Select(line => line.ToLine())));
        if (body.Length is 0 or > MaxSize) throw new ArgumentException($"an answer has at least one line and at most {MaxSize} bytes", nameof(lines));
        return body;
    }

    /// <summary>Reads the body of a 409 response: a tree size and a newline. An empty body is refused, not read as size 0.</summary>
    public static bool TryParseSize(ReadOnlySpan<byte> body, out long size)
    {
        size = 0;
        // SPEC TW-26: the latest cosigned size in decimal, and a newline.
        return body.EndsWith("\n"u8) && Strict.TryReadSize(body[..^1], out size);
    }

    /// <summary>Formats the body of a 409 response.</summary>
    public static byte[] SizeToBytes(long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        return Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{size}\n"));
    }
}
