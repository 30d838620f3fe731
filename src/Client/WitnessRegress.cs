// A witness that went back (N-05): it cosigned a head of this log, the log verified and kept that cosignature, and a later answer has a smaller size. The
// answer is a 409, which is not signed, so the two prove nothing to a third party. They do when the witness shows a smaller checkpoint under a cosignature
// with a later time.
//
//     tlog-witness-note v1
//     condition went-back                                or broken-promise, when it is proven
//     witness example.com/witness https://...
//     noticed 2026-11-30T19:00:00Z
//     answered 409 5
//
//     example.com/log                                    the checkpoint with the log's line and the witness's, as it was received
//     10
//     ...
//
//     example.com/log                                    broken-promise: the smaller checkpoint that the witness shows, with its line
//     5
//     ...

using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog.Client;

/// <summary>The newest head that a witness has cosigned for this log.</summary>
/// <param name="Checkpoint">The head, with the log's own lines.</param>
/// <param name="Lines">The witness's lines, verified.</param>
public sealed record HeldCosignature(OfferedCheckpoint Checkpoint, IReadOnlyList<NoteSignature> Lines)
{
    /// <summary>The log's origin line.</summary>
    internal string Origin => Read(Checkpoint.Note).Checkpoint.Origin;

    /// <summary>The signed note with the lines of the log and of the witness.</summary>
    public byte[] ToNote()
    {
        Note note = Read(Checkpoint.Note).Note;
        return new Note(note.Text, [.. note.Signatures, .. Lines]).ToBytes();
    }

    /// <summary>
    /// Whether a note that the witness shows proves that it broke its promise: a smaller checkpoint of the same log, under a later time by the same key. A
    /// correct witness never makes one (c2sp.org/tlog-witness: it never cosigns an older size after a newer one).
    /// </summary>
    /// <param name="shown">A note from any source. Nothing in it is trusted before it is verified.</param>
    /// <param name="keys">The witness's keys.</param>
    /// <param name="proof">The smaller checkpoint with that line alone; empty when false.</param>
    public bool IsBrokenBy(ReadOnlySpan<byte> shown, IReadOnlyList<INoteVerifier> keys, out byte[] proof)
    {
        ArgumentNullException.ThrowIfNull(keys);
        proof = [];
        if (!Note.TryParse(shown, out Note? note) || !TransparencyLog.Checkpoint.TryParse(note.Text.Span, out Checkpoint? smaller)) return false;
        if (smaller.Origin != Origin || smaller.Size >= Checkpoint.Size) return false;
        foreach (NoteSignature line in note.Signatures)
        {
            if (!IsLater(line) || !keys.Any(key => key.Key.KeyId == line.KeyId && key.Key.Name == line.Name && key.Verify(note.Text.Span, line.Signature.Span))) continue;
            proof = new Note(note.Text, [line]).ToBytes();
            return true;
        }

        return false;
    }

    /// <summary>Whether a line has a later time than the held line of the same key.</summary>
    private bool IsLater(NoteSignature line) =>
        Cosignature.TryReadTimestamp(line.Signature.Span, out ulong later)
        && Lines.Any(held => held.KeyId == line.KeyId && held.Name == line.Name && Cosignature.TryReadTimestamp(held.Signature.Span, out ulong earlier) && later > earlier);

    /// <summary>Parses a head of this log. It was parsed before it was offered, so this cannot fail.</summary>
    internal static (Note Note, Checkpoint Checkpoint) Read(ReadOnlyMemory<byte> bytes) =>
        Note.TryParse(bytes.Span, out Note? note) && TransparencyLog.Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)
            ? (note, checkpoint)
            : throw new System.Diagnostics.UnreachableException("a head is a signed checkpoint");
}

/// <summary>A witness that answered a smaller size than it had cosigned.</summary>
/// <param name="Held">The head that it had cosigned.</param>
/// <param name="Size">The smaller size that it answered.</param>
/// <param name="Noticed">When it answered that.</param>
/// <param name="Shown">A smaller checkpoint under its cosignature with a later time, which proves it; null when it shows none.</param>
public sealed record WitnessRegress(HeldCosignature Held, long Size, DateTimeOffset Noticed, ReadOnlyMemory<byte>? Shown)
{
    /// <summary>The extension of the file's name.</summary>
    public const string Extension = ".tlog-witness-note";

    /// <summary>Whether the witness's own cosignatures prove it.</summary>
    public bool IsProven => Shown is not null;

    /// <summary>
    /// A name for the file: origin hash, condition, and 16 hex digits of SHA-256 over the checkpoint that the witness had cosigned, its keys and the smaller
    /// size. Equal findings have equal names.
    /// </summary>
    public string FileName
    {
        get
        {
            (Note note, Checkpoint checkpoint) = HeldCosignature.Read(Held.Checkpoint.Note);
            string keys = string.Join('\n', Held.Lines.Select(line => string.Create(CultureInfo.InvariantCulture, $"{line.Name} {line.KeyId:x8}")));
            byte[] finding = [.. note.Text.Span, .. Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{keys}\n{Size}\n"))];
            return $"{checkpoint.OriginHash.ToHex()}-{Word}-{Convert.ToHexStringLower(SHA256.HashData(finding))[..16]}{Extension}";
        }
    }

    private string Word => IsProven ? "broken-promise" : "went-back";

    /// <summary>The content of the file.</summary>
    /// <param name="name">The witness's name in the policy.</param>
    /// <param name="url">The URL at which it answered.</param>
    public byte[] ToBytes(string name, string url)
    {
        string time = Noticed.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
        byte[] head = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"tlog-witness-note v1\ncondition {Word}\nwitness {name} {url}\nnoticed {time}\nanswered 409 {Size}\n\n"));
        return [.. head, .. Held.ToNote(), .. Shown is ReadOnlyMemory<byte> shown ? [(byte)'\n', .. shown.Span] : Array.Empty<byte>()];
    }
}
