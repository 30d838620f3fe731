// Evidence that a log made statements that cannot all be true, which a third party can check offline (spec/evidence.md).
//
//     tlog-evidence v1
//     kind inconsistent                                  fork, inconsistent, size-zero or unproven
//     gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=       inconsistent: SUBPROOF(m, D_n, false); unproven: what came in place of a proof
//     2E8zdp1PXShvRVcKUwpLJvQb8E2wOqfFcl3r8bm4mFM=
//
//     example.com/fancylog                               the checkpoint of the smaller tree, with the log's signature lines only
//     109482
//     sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=
//
//     — example.com/fancylog hI2DJw...1roloI=            lines in the order of their bytes, one per key
//
//     example.com/fancylog                               the checkpoint of the larger tree
//     109517
//     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//
//     — example.com/fancylog hI2DJw...Y3r1bA=
//
//     sha256 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03    of all bytes before this line
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog;

/// <summary>The kind of conflict that a piece of evidence shows.</summary>
public enum EvidenceKind
{
    /// <summary>Two checkpoints of one size with different root hashes. They prove the fork without any hashes.</summary>
    Fork,

    /// <summary>
    /// Two checkpoints of different sizes, and hashes that lead to the signed root of the larger size and to a root of the smaller size that is not the
    /// signed one. So the smaller tree is not the beginning of the larger one.
    /// </summary>
    Inconsistent,

    /// <summary>One checkpoint, of size 0, whose root hash is not that of the empty tree.</summary>
    SizeZero,

    /// <summary>Two checkpoints of different sizes, and no valid consistency proof between them. This proves nothing; the entries would decide it.</summary>
    Unproven,
}

/// <summary>
/// One or two checkpoints of a log, and the hashes that show how they conflict (spec/evidence.md). Parsing checks everything except the signatures. Immutable.
/// </summary>
public sealed class TlogEvidence
{
    /// <summary>Most hashes: SUBPROOF has at most one hash more than the height of the tree, and a tree size fits in 63 bits.</summary>
    public const int MaxHashes = 64;

    /// <summary>The file name extension of evidence files.</summary>
    public const string Extension = ".tlog-evidence";

    /// <summary>
    /// Largest file in bytes: the first two lines, the hashes, two notes of the largest size, an empty line after each of these three, and the last line.
    /// </summary>
    public const int MaxSize = 17 + 18 + (MaxHashes * Hash.LineSize) + (2 * Note.MaxSize) + 3 + DigestLine;

    private const int DigestLine = 7 + (2 * Hash.Size) + 1;

    private readonly Note[] notes;
    private readonly Checkpoint[] checkpoints;
    private readonly Hash[] hashes;

    private TlogEvidence(EvidenceKind kind, Note[] notes, Checkpoint[] checkpoints, Hash[] hashes)
    {
        Kind = kind;
        this.notes = notes;
        this.checkpoints = checkpoints;
        this.hashes = hashes;
    }

    /// <summary>What the evidence shows, if the signatures of the log are valid.</summary>
    public EvidenceKind Kind { get; }

    /// <summary>The signed notes: one for <see cref="EvidenceKind.SizeZero"/>, otherwise two, ordered by size and then by root hash.</summary>
    public IReadOnlyList<Note> Notes => notes;

    /// <summary>The checkpoints in the notes, in the same order, all of one origin.</summary>
    public IReadOnlyList<Checkpoint> Checkpoints => checkpoints;

    /// <summary>
    /// For <see cref="EvidenceKind.Inconsistent"/>, SUBPROOF(m, D_n, false) of RFC 9162 section 2.1.4.1. For <see cref="EvidenceKind.Unproven"/>,
    /// whatever came in place of a proof. Otherwise none.
    /// </summary>
    public IReadOnlyList<Hash> Hashes => hashes;

    /// <summary>The origin line of the log.</summary>
    public string Origin => checkpoints[0].Origin;

    /// <summary>
    /// A name for the file: origin hash, kind, and the first 16 hex digits of SHA-256 over the texts of the notes. Equal claims have equal names,
    /// whichever keys signed them and however often.
    /// </summary>
    public string FileName
    {
        get
        {
            byte[] texts = [.. notes.SelectMany(note => note.Text.ToArray())];
            return $"{checkpoints[0].OriginHash.ToHex()}-{Word(Kind)}-{Convert.ToHexStringLower(SHA256.HashData(texts))[..16]}{Extension}";
        }
    }

    /// <summary>The evidence that a single checkpoint is, or null if it shows no conflict.</summary>
    /// <param name="note">A checkpoint with only those signature lines of the log that were verified.</param>
    /// <exception cref="ArgumentException">Its text is not a checkpoint.</exception>
    public static TlogEvidence? Of(Note note)
    {
        Checkpoint checkpoint = Read(note);
        return checkpoint.Size == 0 && checkpoint.Root != MerkleHash.Empty ? new TlogEvidence(EvidenceKind.SizeZero, [InOrder(note)], [checkpoint], []) : null;
    }

    /// <summary>
    /// The evidence that two checkpoints of one origin are, in either order. Null when they are equal in size and root, or shown to be consistent.
    /// If one of them is evidence alone (<see cref="EvidenceKind.SizeZero"/>), the result is that evidence.
    /// </summary>
    /// <param name="one">A checkpoint with only those signature lines of the log that were verified.</param>
    /// <param name="other">The other checkpoint, likewise.</param>
    /// <param name="hashes">
    /// A consistency proof from the smaller size to the larger one. If the smaller size is a power of two, the proof can show an inconsistency only with its
    /// first node included (<see cref="ProofPlan.Prefix"/>). At most <see cref="MaxHashes"/> hashes. Ignored for equal sizes.
    /// </param>
    /// <exception cref="ArgumentException">Not two checkpoints of one origin, or too many hashes.</exception>
    public static TlogEvidence? Of(Note one, Note other, IReadOnlyList<Hash> hashes)
    {
        ArgumentNullException.ThrowIfNull(hashes);
        if (hashes.Count > MaxHashes) throw new ArgumentException($"there are at most {MaxHashes} hashes", nameof(hashes));
        (Checkpoint first, Checkpoint second) = (Read(one), Read(other));
        if (!string.Equals(first.Origin, second.Origin, StringComparison.Ordinal)) throw new ArgumentException("two origins are two logs", nameof(other));
        if ((Of(one) ?? Of(other)) is TlogEvidence alone) return alone;
        if (IsBefore(second, first)) (one, other, first, second) = (other, one, second, first);
        Hash[] material = first.Size == second.Size ? [] : [.. hashes];
        return Classify(first, second, material) is EvidenceKind kind ? new TlogEvidence(kind, [InOrder(one), InOrder(other)], [first, second], material) : null;
    }

    /// <summary>
    /// Reads a file of at most <see cref="MaxSize"/> bytes. Also refuses a file whose notes and hashes do not show what the file says. Does not check the
    /// signatures; <see cref="TryVerify"/> does. On false, <paramref name="error"/> says what is wrong, and quotes nothing from the file.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out TlogEvidence? evidence, out string error)
    {
        evidence = null;
        error = $"an evidence file has at most {MaxSize} bytes";
        if (bytes.Length > MaxSize) return false;
        error = "the first line is \"tlog-evidence v1\"";
        if (!bytes.StartsWith("tlog-evidence v1\n"u8)) return false;

        error = "the last line is \"sha256\", a space and 64 lower-case hex digits, and it is cut or missing";
        Span<byte> said = stackalloc byte[Hash.Size], digest = stackalloc byte[Hash.Size];
        ReadOnlySpan<byte> last = bytes[^Math.Min(DigestLine, bytes.Length)..];
        if (last.Length != DigestLine || !last.StartsWith("sha256 "u8) || last[^1] != (byte)'\n' || !Strict.TryReadHexLower(last[7..^1], said)) return false;
        error = "the file was changed or is damaged: the last line is not the SHA-256 of what is before it";
        ReadOnlySpan<byte> rest = bytes[..^DigestLine];
        SHA256.HashData(rest, digest);
        if (!said.SequenceEqual(digest)) return false;

        error = "the second line is \"kind\", a space and fork, inconsistent, size-zero or unproven";
        rest = rest["tlog-evidence v1\n"u8.Length..];
        if (!rest.StartsWith("kind "u8) || !ProofLines.TryTakeLine(ref rest, out ReadOnlySpan<byte> word) || !TryReadKind(word[5..], out EvidenceKind kind)) return false;
        error = $"after the kind come at most {MaxHashes} lines, each the base64 of 32 bytes, and an empty line";
        if (!ProofLines.TryTake(ref rest, MaxHashes, out Hash[] hashes)) return false;

        Note[] signed = new Note[kind == EvidenceKind.SizeZero ? 1 : 2];
        Checkpoint[] claims = new Checkpoint[signed.Length];
        error = signed.Length == 1 ? "after the hashes comes one signed checkpoint and an empty line" : "after the hashes come two signed checkpoints, each with an empty line behind it";
        for (int i = 0; i < signed.Length; i++)
        {
            if (!TryTakeNote(ref rest, out Note? note) || !Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)) return false;
            (signed[i], claims[i]) = (note, checkpoint);
        }

        if (!rest.IsEmpty) return false;
        error = "the signature lines of a note are in the order of their bytes, and there is one of a key";
        if (signed.Any(note => !note.Signatures.SequenceEqual(InOrder(note).Signatures))) return false;
        if (signed.Length == 1)
        {
            error = "a checkpoint of this kind has size 0 and another root hash than the empty tree, and no hashes with it";
            if (hashes.Length > 0 || Of(signed[0]) is null) return false;
        }
        else
        {
            error = "the two checkpoints are of one origin, and the one of the smaller size, or of equal sizes the one with the smaller root hash, is the first";
            if (!string.Equals(claims[0].Origin, claims[1].Origin, StringComparison.Ordinal) || !IsBefore(claims[0], claims[1])) return false;
            error = "the checkpoints and the hashes do not show what the file says they do";
            if (claims.Any(one => one.Size == 0 && one.Root != MerkleHash.Empty) || Classify(claims[0], claims[1], hashes) != kind) return false;
        }

        error = "";
        evidence = new TlogEvidence(kind, signed, claims, hashes);
        return true;
    }

    /// <summary>Formats the file: the same bytes that were parsed.</summary>
    public byte[] ToBytes()
    {
        byte[] signed = [.. notes.SelectMany(note => (byte[])[.. note.ToBytes(), (byte)'\n'])];
        byte[] body = ProofLines.ToBytes(Encoding.ASCII.GetBytes($"tlog-evidence v1\nkind {Word(Kind)}\n"), hashes, signed);
        return [.. body, .. Encoding.ASCII.GetBytes($"sha256 {Convert.ToHexStringLower(SHA256.HashData(body))}\n")];
    }

    /// <summary>
    /// Whether the evidence convinces someone who trusts that these are the keys of the log: every note has a signature line of one of them, and none of
    /// their lines is bad. Lines of other keys are ignored. Evidence of the kind <see cref="EvidenceKind.Unproven"/> never convinces.
    /// </summary>
    /// <param name="logKeys">The keys of the log with this <see cref="Origin"/>, and no other keys.</param>
    /// <param name="reason">Why the evidence does not convince, in one line of printable ASCII; empty if it does.</param>
    public bool TryVerify(IReadOnlyList<INoteVerifier> logKeys, out string reason)
    {
        reason = "";
        for (int i = 0; i < notes.Length && reason.Length == 0; i++)
        {
            NoteVerification verification = notes[i].Verify(logKeys);
            string which = notes.Length == 1 ? "the checkpoint" : i == 0 ? "the first checkpoint" : "the second checkpoint";
            reason = verification.Status switch
            {
                NoteStatus.Verified => "",
                NoteStatus.BadSignature => $"{which} has a signature line of {PolicyParser.Quote(verification.BadKeyName!)} that does not verify",
                _ => $"{which} is not signed by a key that is trusted for {PolicyParser.Quote(Origin)}",
            };
        }

        if (reason.Length == 0 && Kind == EvidenceKind.Unproven)
        {
            reason = "the log signed both checkpoints, but nothing shows that they conflict: a consistency proof between them may exist, and whoever has the entries can tell";
        }

        return reason.Length == 0;
    }

    /// <summary>The word for the kind in the file.</summary>
    public static string Word(EvidenceKind kind) => kind switch
    {
        EvidenceKind.Fork => "fork",
        EvidenceKind.Inconsistent => "inconsistent",
        EvidenceKind.SizeZero => "size-zero",
        EvidenceKind.Unproven => "unproven",
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    private static bool TryReadKind(ReadOnlySpan<byte> word, out EvidenceKind kind)
    {
        foreach (EvidenceKind one in (ReadOnlySpan<EvidenceKind>)[EvidenceKind.Fork, EvidenceKind.Inconsistent, EvidenceKind.SizeZero, EvidenceKind.Unproven])
        {
            kind = one;
            if (word.SequenceEqual(Encoding.ASCII.GetBytes(Word(one)))) return true;
        }

        kind = default;
        return false;
    }

    /// <summary>
    /// Reads a note and the empty line after it. A checkpoint has no empty line in its text or between its signature lines, so the second empty line
    /// ends the note.
    /// </summary>
    private static bool TryTakeNote(ref ReadOnlySpan<byte> rest, [NotNullWhen(true)] out Note? note)
    {
        note = null;
        int text = rest.IndexOf("\n\n"u8) + 2;
        if (text < 2) return false;
        int lines = rest[text..].IndexOf("\n\n"u8);
        if (lines < 0 || !Note.TryParse(rest[..(text + lines + 1)], out note)) return false;
        rest = rest[(text + lines + 2)..];
        return true;
    }

    /// <summary>
    /// The note with one line per key, the first, ordered by the bytes of the lines. So the order in which the lines of the keys came makes no difference.
    /// </summary>
    private static Note InOrder(Note note) => new(note.Text, [.. note.Signatures.DistinctBy(line => (line.Name, line.KeyId)).OrderBy(line => Encoding.UTF8.GetBytes(line.ToLine()), Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b)))]);

    /// <summary>The order of two checkpoints in a file: by size, then by the bytes of the root hash.</summary>
    private static bool IsBefore(Checkpoint one, Checkpoint other) =>
        one.Size < other.Size || (one.Size == other.Size && one.Root.ToArray().AsSpan().SequenceCompareTo(other.Root.ToArray()) < 0);

    /// <summary>
    /// What two checkpoints show with these hashes, given in the order of <see cref="IsBefore"/>; null when they do not conflict. The caller has checked that a
    /// checkpoint of size 0 has the root of the empty tree. Every tree begins with the empty tree, so such a checkpoint conflicts with no larger one.
    /// </summary>
    /// <remarks>
    /// Why <see cref="EvidenceKind.Inconsistent"/> convinces: let T be a tree of n leaves with the larger root.
    /// <see cref="MerkleProof.TryRoots(long, long, ReadOnlySpan{Hash}, out Hash, out Hash)"/> joins the hashes in an order that only m and n determine. If the
    /// result is the root of T, then every hash on the way is the hash of T at that place, or SHA-256 has a collision. The other root is joined from the same
    /// hashes, so it is the root of the first m leaves of T. If that is not the root that the log signed for m, no tree has both signed roots.
    /// </remarks>
    private static EvidenceKind? Classify(Checkpoint first, Checkpoint second, ReadOnlySpan<Hash> hashes)
    {
        if (first.Size == second.Size) return first.Root != second.Root && hashes.IsEmpty ? EvidenceKind.Fork : null;
        if (first.Size == 0) return null;
        if (MerkleProof.TryRoots(first.Size, second.Size, hashes, out Hash begins, out Hash ends) && ends == second.Root)
        {
            return begins == first.Root ? null : EvidenceKind.Inconsistent;
        }

        return MerkleProof.VerifyConsistency(first.Size, second.Size, first.Root, second.Root, hashes) ? null : EvidenceKind.Unproven;
    }

    private static Checkpoint Read(Note note)
    {
        ArgumentNullException.ThrowIfNull(note);
        return Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint) ? checkpoint : throw new ArgumentException("not a checkpoint", nameof(note));
    }
}
