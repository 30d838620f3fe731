// The body of sign-subtree (c2sp.org/tlog-witness, "sign-subtree"). The response is that of add-checkpoint: signature lines.
//
//     subtree 8 13
//     mbsQCg+dEIMGlpqeGgk94JutQwKKS2Lo5IuDhKmDjiU=       hash of the subtree
//     CD82D2LDm0phY0+xKbHyZfq3Hw21lVkuV7Zis5EFg0k=       0 to 63 hashes: the subtree consistency proof
//     h/ghL5nyaXTIBAklqDnisM+SFdbA3izoGZ5oRYMZzc0=
//
//     example.com/behind-the-sofa                        the reference checkpoint, cosigned by the witness
//     14
//     /CcKVZM9n65aH7jLaIZuUB4/MSlEFQ4+ldwUC21rDHM=
//
//     — witness.example/w1 LijDAFSp...azezGX6o5Vulg==
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace TransparencyLog;

/// <summary>
/// A request to a witness to sign a subtree: its interval and hash, the proof that it is part of a tree that this witness has cosigned, and
/// the checkpoint of that tree, cosigned by the witness (c2sp.org/tlog-witness). Parsing verifies nothing. Immutable.
/// </summary>
public sealed class SignSubtreeRequest
{
    /// <summary>Largest body in bytes: the same as for add-checkpoint, although this body has one line more.</summary>
    public const int MaxSize = AddCheckpointRequest.MaxSize;

    /// <summary>Most proof lines.</summary>
    public const int MaxProof = AddCheckpointRequest.MaxProof;

    private readonly Hash[] proof;
    private readonly byte[] checkpoint;

    /// <summary>Makes a request.</summary>
    /// <param name="start">First index of the subtree.</param>
    /// <param name="end">The index after its last leaf; [start, end) is a valid subtree (<see cref="SubtreeProof.IsValid"/>).</param>
    /// <param name="hash">Hash of the subtree.</param>
    /// <param name="proof">The subtree consistency proof to the tree of the checkpoint, at most 63 hashes.</param>
    /// <param name="checkpoint">The bytes of the cosigned checkpoint.</param>
    /// <exception cref="ArgumentException">The body would not parse again.</exception>
    public SignSubtreeRequest(long start, long end, Hash hash, IReadOnlyList<Hash> proof, ReadOnlyMemory<byte> checkpoint)
    {
        ArgumentNullException.ThrowIfNull(proof);
        if (!SubtreeProof.IsValid(start, end)) throw new ArgumentOutOfRangeException(nameof(start), "a subtree's start is a multiple of the smallest power of two that is not below its size, which is not 0");
        if (proof.Count > MaxProof) throw new ArgumentException("a subtree consistency proof has at most 63 hashes", nameof(proof));
        if (!ProofLines.IsNote(checkpoint.Span)) throw new ArgumentException("a checkpoint is lines of text, the first of them not empty", nameof(checkpoint));
        Start = start;
        End = end;
        Hash = hash;
        this.proof = [.. proof];
        this.checkpoint = checkpoint.ToArray();
        if (ToBytes().Length > MaxSize) throw new ArgumentException($"a request has at most {MaxSize} bytes", nameof(checkpoint));
    }

    /// <summary>First index of the subtree.</summary>
    public long Start { get; }

    /// <summary>The index after its last leaf; [<see cref="Start"/>, End) is a valid subtree.</summary>
    public long End { get; }

    /// <summary>Hash of the subtree.</summary>
    public Hash Hash { get; }

    /// <summary>The subtree consistency proof to the tree of the checkpoint.</summary>
    public IReadOnlyList<Hash> Proof => proof;

    /// <summary>The cosigned checkpoint, verbatim, for <see cref="Note.TryParse"/>.</summary>
    public ReadOnlyMemory<byte> Checkpoint => checkpoint;

    /// <summary>
    /// Reads a body of at most <see cref="MaxSize"/> bytes. On false, <paramref name="error"/> says for people what is wrong. It quotes nothing
    /// from the body.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> body, [NotNullWhen(true)] out SignSubtreeRequest? request, out string error)
    {
        request = null;
        error = $"a body has at most {MaxSize} bytes";
        if (body.Length > MaxSize) return false;

        ReadOnlySpan<byte> rest = body;
        // SPEC TW-51: range line, hash line, proof lines, an empty line, the checkpoint. SPEC TW-52: decimal without leading zeros.
        error = "the first line is \"subtree\", a space, the start, a space and the end of the subtree, both in decimal without leading zeros";
        if (!rest.StartsWith("subtree "u8) || !ProofLines.TryTakeLine(ref rest, out ReadOnlySpan<byte> line)) return false;
        line = line[8..];
        int space = line.IndexOf((byte)' ');
        if (space < 0 || !Strict.TryReadSize(line[..space], out long start) || !Strict.TryReadSize(line[(space + 1)..], out long end)) return false;

        // SPEC TW-55: a valid subtree.
        error = "a subtree [start, end) is valid where start < end, and start is a multiple of the smallest power of two that is not below end - start";
        if (!SubtreeProof.IsValid(start, end)) return false;

        error = "the second line is the hash of the subtree, the base64 of 32 bytes";
        if (!ProofLines.TryTakeLine(ref rest, out line) || !Hash.TryParseBase64(line, out Hash hash)) return false;

        // SPEC TW-53: at most 63.
        error = "after the second line come at most 63 lines, each the base64 of 32 bytes, and an empty line";
        if (!ProofLines.TryTake(ref rest, MaxProof, out Hash[] hashes)) return false;
        error = "after the empty line comes a signed checkpoint: UTF-8, each line ended by a newline, no other control character";
        if (!ProofLines.IsNote(rest)) return false;

        error = "";
        request = new SignSubtreeRequest(start, end, hash, hashes, rest.ToArray());
        return true;
    }

    /// <summary>Formats the body: the same bytes that were parsed.</summary>
    public byte[] ToBytes() =>
        ProofLines.ToBytes(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"subtree {Start} {End}\n{Hash.ToBase64()}\n")), proof, checkpoint);
}
