// The text of a checkpoint (c2sp.org/tlog-checkpoint, "Note text").
//
//     example.com/behind-the-sofa                        origin, not empty
//     20852163                                           tree size, decimal
//     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=       root hash, base64
//     any further line                                   extension lines, not empty; logs should have none
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog;

/// <summary>
/// Origin, tree size and root hash of a log at one moment (c2sp.org/tlog-checkpoint). Parsing says nothing about
/// who signed it. Two checkpoints are equal when all parts are equal, extension lines included.
/// </summary>
public sealed record Checkpoint
{
    /// <summary>Most extension lines. Logs should have none, and each line allocates an object.</summary>
    public const int MaxExtensions = 64;

    /// <summary>Makes a checkpoint.</summary>
    /// <param name="origin">The log's identity: one line, not empty, without a byte order mark at its start.</param>
    /// <param name="size">Tree size, not negative.</param>
    /// <param name="root">Root hash of the tree of that size.</param>
    /// <param name="extensions">At most 64 lines, none of them empty.</param>
    /// <exception cref="ArgumentException">The text would not parse again.</exception>
    public Checkpoint(string origin, long size, Hash root, IReadOnlyList<string> extensions)
    {
        ArgumentNullException.ThrowIfNull(origin);
        ArgumentNullException.ThrowIfNull(extensions);
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        if (!IsLine(origin) || origin[0] == '\ufeff') throw new ArgumentException("an origin is one line of text, not empty", nameof(origin));
        if (extensions.Count > MaxExtensions || !extensions.All(IsLine))
        {
            throw new ArgumentException("extension lines are at most 64 lines of text, none of them empty", nameof(extensions));
        }

        Origin = origin;
        Size = size;
        Root = root;
        Extensions = [.. extensions];
    }

    /// <summary>Makes a checkpoint without extension lines, as logs should.</summary>
    /// <exception cref="ArgumentException">The text would not parse again.</exception>
    public Checkpoint(string origin, long size, Hash root)
        : this(origin, size, root, [])
    {
    }

    /// <summary>The log's identity: one line, not empty, otherwise of any form.</summary>
    public string Origin { get; }

    /// <summary>Tree size.</summary>
    public long Size { get; }

    /// <summary>Root hash.</summary>
    public Hash Root { get; }

    /// <summary>
    /// Extension lines without their newlines. Ed25519 signs them. An ML-DSA-44 cosignature (type 0x06) says nothing about them, whichever key made it.
    /// </summary>
    public IReadOnlyList<string> Extensions { get; }

    /// <summary>SHA-256 of the origin, which names the folder of the log at a witness or mirror (c2sp.org/tlog-witness).</summary>
    public Hash OriginHash => HashOrigin(Origin);

    /// <summary>
    /// Reads the text of a note as a checkpoint: UTF-8 without bytes below 0x20 other than newline, at least three lines, none empty,
    /// each ended by a newline. Only U+000A ends a line; U+0085 and U+2028 are ordinary characters.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> text, [NotNullWhen(true)] out Checkpoint? checkpoint)
    {
        checkpoint = null;
        if (text.Length > Note.MaxSize || !Note.IsText(text)) return false;
        // SPEC CP-01: at least three lines. Counted first: nothing is made of a text with too many.
        int lines = text.Count((byte)'\n');
        if (lines is < 3 or > 3 + MaxExtensions) return false;

        ReadOnlySpan<byte> origin = TakeLine(ref text);
        // SPEC CP-02: the origin is not empty. SPEC CP-04: nothing else is assumed about it.
        if (origin.IsEmpty) return false;
        // SPEC CP-05: the size is decimal without leading zeros. SPEC CP-06: the root is the base64 of 32 bytes.
        if (!Strict.TryReadSize(TakeLine(ref text), out long size) || !Hash.TryParseBase64(TakeLine(ref text), out Hash root)) return false;

        string[] extensions = new string[lines - 3];
        for (int i = 0; i < extensions.Length; i++)
        {
            ReadOnlySpan<byte> line = TakeLine(ref text);
            // SPEC CP-07: extension lines are not empty.
            if (line.IsEmpty) return false;
            extensions[i] = Encoding.UTF8.GetString(line);
        }

        checkpoint = new Checkpoint(Encoding.UTF8.GetString(origin), size, root, extensions);
        return true;
    }

    /// <summary>Formats the text to sign: the same bytes that were parsed.</summary>
    public byte[] ToText()
    {
        StringBuilder text = new();
        text.Append(Origin).Append('\n')
            .Append(CultureInfo.InvariantCulture, $"{Size}\n")
            .Append(Root.ToBase64()).Append('\n');
        foreach (string line in Extensions) text.Append(line).Append('\n');
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>SHA-256 of an origin line without its newline.</summary>
    public static Hash HashOrigin(string origin)
    {
        ArgumentNullException.ThrowIfNull(origin);
        return new Hash(SHA256.HashData(Encoding.UTF8.GetBytes(origin)));
    }

    /// <inheritdoc/>
    public bool Equals(Checkpoint? other) => other is not null && Size == other.Size && Root.Equals(other.Root)
        && string.Equals(Origin, other.Origin, StringComparison.Ordinal) && Extensions.SequenceEqual(other.Extensions, StringComparer.Ordinal);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Size, Root);

    /// <summary>Reads up to the next newline and advances <paramref name="text"/> past it. Called only while a newline is left.</summary>
    internal static ReadOnlySpan<byte> TakeLine(ref ReadOnlySpan<byte> text)
    {
        int end = text.IndexOf((byte)'\n');
        ReadOnlySpan<byte> line = text[..end];
        text = text[(end + 1)..];
        return line;
    }

    private static bool IsLine(string line) =>
        line.Length > 0 && !line.AsSpan().ContainsAnyInRange('\u0000', '\u001f') && VerifierKey.IsWellFormed(line);
}
