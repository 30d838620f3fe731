// A proof that can be checked offline (c2sp.org/tlog-proof, "Format").
//
//     c2sp.org/tlog-proof@v1
//     extra YWdlLXYxLjIuMQ==                             optional, opaque, not authenticated
//     index 73894
//     gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=       0 to 63 hashes, the leaf's sibling first
//
//     example.com/fancylog                               a signed checkpoint, verbatim
//     109482
//     sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=
//
//     — example.com/fancylog hI2DJw...1roloI=
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace TransparencyLog;

/// <summary>
/// The index of an entry, its inclusion proof and the signed checkpoint to which the proof leads (c2sp.org/tlog-proof).
/// Parsing verifies nothing. The checkpoint is kept as bytes for <see cref="Note.TryParse"/>. Immutable.
/// </summary>
public sealed class TlogProof
{
    /// <summary>Most hashes: the longest inclusion proof of a tree whose size fits in 63 bits.</summary>
    public const int MaxHashes = 63;

    /// <summary>Most extra data in bytes, decoded: room for a few kilobytes of context, not for a file.</summary>
    public const int MaxExtra = 64 * 1024;

    /// <summary>
    /// Largest proof in bytes: first line 23, extra line 87,391, index line 26, 63 hash lines of 45 bytes, the empty
    /// line 1, and a note of the largest size.
    /// </summary>
    public const int MaxSize = 23 + (6 + ((MaxExtra + 2) / 3 * 4) + 1) + (6 + 19 + 1) + (MaxHashes * 45) + 1 + Note.MaxSize;

    private readonly Hash[] hashes;
    private readonly byte[]? extra;
    private readonly byte[] checkpoint;

    /// <summary>Makes a proof.</summary>
    /// <param name="index">Index of the entry, not negative.</param>
    /// <param name="hashes">At most 63 hashes, the leaf's sibling first.</param>
    /// <param name="checkpoint">The bytes of a signed checkpoint, at most <see cref="Note.MaxSize"/>.</param>
    /// <param name="extra">At most 65,536 bytes. Null and empty both mean none, and then the line is left out.</param>
    /// <exception cref="ArgumentException">The proof would not parse again.</exception>
    public TlogProof(long index, IReadOnlyList<Hash> hashes, ReadOnlyMemory<byte> checkpoint, ReadOnlyMemory<byte>? extra = null)
    {
        ArgumentNullException.ThrowIfNull(hashes);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        if (hashes.Count > MaxHashes) throw new ArgumentException("an inclusion proof has at most 63 hashes", nameof(hashes));
        if (!IsCheckpoint(checkpoint.Span)) throw new ArgumentException("a checkpoint is lines of text, the first of them not empty", nameof(checkpoint));
        if (extra is { Length: > MaxExtra }) throw new ArgumentException("extra data has at most 65,536 bytes", nameof(extra));
        Index = index;
        this.hashes = [.. hashes];
        this.extra = extra is { IsEmpty: false } some ? some.ToArray() : null;
        this.checkpoint = checkpoint.ToArray();
    }

    /// <summary>Index of the entry in the log.</summary>
    public long Index { get; }

    /// <summary>The inclusion proof, the leaf's sibling first (RFC 6962 section 2.1.1).</summary>
    public IReadOnlyList<Hash> Hashes => hashes;

    /// <summary>Opaque data that is not authenticated: do not trust it. Null when the line is absent.</summary>
    // Not "? null : ...", because null would convert to an empty memory instead of an absent one.
    public ReadOnlyMemory<byte>? Extra => extra is null ? default(ReadOnlyMemory<byte>?) : extra;

    /// <summary>The signed checkpoint, verbatim.</summary>
    public ReadOnlyMemory<byte> Checkpoint => checkpoint;

    /// <summary>Reads a proof of at most <see cref="MaxSize"/> bytes. False unless it is the canonical text of a proof.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out TlogProof? proof)
    {
        proof = null;
        if (bytes.Length > MaxSize) return false;
        // SPEC PR-01: the first line is exactly this.
        if (!bytes.StartsWith("c2sp.org/tlog-proof@v1\n"u8)) return false;
        bytes = bytes["c2sp.org/tlog-proof@v1\n"u8.Length..];

        // SPEC PR-02: a second line of extra data, left out if there is none.
        byte[] extraData = [];
        if (bytes.StartsWith("extra "u8))
        {
            if (!ProofLines.TryTakeLine(ref bytes, out ReadOnlySpan<byte> line)
                || !Strict.TryReadBase64(line[6..], MaxExtra, out extraData) || extraData.Length == 0)
            {
                return false;
            }
        }

        // SPEC PR-04: the index, decimal without leading zeros.
        if (!bytes.StartsWith("index "u8) || !ProofLines.TryTakeLine(ref bytes, out ReadOnlySpan<byte> indexLine)
            || !Strict.TryReadSize(indexLine[6..], out long index))
        {
            return false;
        }

        // SPEC PR-05: base64 of SHA-256 hashes, one a line. SPEC PR-06: an empty line, then the checkpoint verbatim.
        if (!ProofLines.TryTake(ref bytes, MaxHashes, out Hash[] path) || !IsCheckpoint(bytes)) return false;
        proof = new TlogProof(index, path, bytes.ToArray(), extraData);
        return true;
    }

    /// <summary>Formats the proof: the same bytes that were parsed.</summary>
    public byte[] ToBytes()
    {
        string extraLine = extra is null ? "" : $"extra {Convert.ToBase64String(extra)}\n";
        return ProofLines.ToBytes(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"c2sp.org/tlog-proof@v1\n{extraLine}index {Index}\n")), hashes, checkpoint);
    }

    // The note has its own parser. Here it is enough that the lines before it cannot run into it.
    private static bool IsCheckpoint(ReadOnlySpan<byte> bytes) => ProofLines.IsNote(bytes);
}
