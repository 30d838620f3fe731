// Checks the signed heads of a data directory: heads.old, heads, commit, the guard and the last published checkpoint must be consistent with each other
// (TreeRegister.cs has the formats). A trace of a crash that TreeRegister repairs at a start is a note here, not damage. Nothing is changed.

namespace TransparencyLog.Storage;

/// <summary>Reads every signed head that is still recorded, and verifies its signatures.</summary>
internal sealed class HeadsCheck
{
    private readonly LogIdentity _identity;
    private readonly INoteVerifier[] _keys;
    private readonly List<ClaimedRoot> _claims = [];
    private TreeHead? _before;
    private ReadOnlyMemory<byte> _line, _lineBefore; // the first lines of the newest head and of the head before it, as `commit` has them

    private HeadsCheck(LogIdentity identity, INoteVerifier[] keys) => (_identity, _keys) = (identity, keys);

    /// <summary>The root that the tree must have at each signed size. Sizes never decrease.</summary>
    public IReadOnlyList<ClaimedRoot> Claims => _claims;

    /// <summary>The newest signed head; null when there is none.</summary>
    public TreeHead? Newest { get; private set; }

    /// <summary>The last published checkpoint with its cosignatures; null when none is stored.</summary>
    public ReadOnlyMemory<byte>? Published { get; private set; }

    public static HeadsCheck Read(HeadFiles files, LogIdentity identity, INoteVerifier[] keys, List<string> notes)
    {
        HeadsCheck check = new(identity, keys);
        string history = files.PathOf("heads");
        if (files.Old is not null) check.ReadHistory(history + ".old", files.Old, notes);
        check.ReadHistory(history, files.History ?? throw DirectoryCheck.Damaged("heads", history, "the history of signed heads", "no such file"), notes);
        check.CheckCommit(files.PathOf("commit"), files.Commit, notes);
        check.CheckGuard(files, notes);
        check.CheckPublished(files.PathOf("published"), files.Published);
        if (files.Halted is not null) notes.Add($"{files.PathOf("halted")}: the log is halted until an operator resumes it");
        return check;
    }

    private void ReadHistory(string path, byte[] bytes, List<string> notes)
    {
        (int end, int tornEnd) = HeadHistory.Read(path, bytes, (place, line, record) =>
        {
            if (record.Head is null && Newest is not null) throw DirectoryCheck.Damaged("heads", place, $"a head, after {Describe(Newest)}", "none");
            if (_line.Length == 0 || !Equals(record.Head, Newest)) (_lineBefore, _line) = (_line, line);
            if (record.Head is not null) Add(record.Head, place);
        });

        // An append that did not finish. Its head was never released.
        if (tornEnd > 0) notes.Add($"{path}, offset {end}: a torn last line, which the next start cuts");
    }

    private void Add(TreeHead head, string place)
    {
        if (head.Equals(Newest)) return;
        if (Newest is not null && (head.Size < Newest.Size || (head.Size == Newest.Size && head.Root != Newest.Root)))
        {
            throw DirectoryCheck.Damaged("heads", place, $"a head that follows {Describe(Newest)}", Describe(head));
        }

        Checkpoint checkpoint = ReadSigned(head.Checkpoint.Span, place);
        if (checkpoint.Size != head.Size || checkpoint.Root != head.Root)
        {
            throw DirectoryCheck.Damaged("checkpoint", place, Describe(head), $"a checkpoint of size {checkpoint.Size}, root {checkpoint.Root}");
        }

        _claims.Add(new ClaimedRoot(head.Size, head.Root, place));
        (_before, Newest) = (Newest, head);
    }

    /// <summary>Parses a checkpoint of this log, and verifies a signature by each of its keys.</summary>
    private Checkpoint ReadSigned(ReadOnlySpan<byte> bytes, string place)
    {
        if (!Note.TryParse(bytes, out Note? note) || !Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint))
        {
            throw DirectoryCheck.Damaged("checkpoint", place, "a signed checkpoint", "something else");
        }

        if (checkpoint.Origin != _identity.Origin) throw DirectoryCheck.Damaged("checkpoint", place, $"the origin {_identity.Origin}", "a checkpoint of another log");
        if (MissingIn(note, _keys) is not INoteVerifier missing) return checkpoint;
        string found = note.Verify([missing]).Status == NoteStatus.BadSignature ? "a line of that key that does not verify" : "no line of that key";
        throw DirectoryCheck.Damaged("signature", place, $"a signature by {missing.Key}", found);
    }

    /// <summary>The first of these keys without a signature line that verifies; null when all have one.</summary>
    public static INoteVerifier? MissingIn(Note note, INoteVerifier[] keys) => keys.FirstOrDefault(key => note.Verify([key]).Status != NoteStatus.Verified);

    private void CheckCommit(string path, byte[]? bytes, List<string> notes)
    {
        if (bytes is null || !TreeRegister.TryParseHead(bytes, out HeadRecord? commit))
        {
            if (bytes is null || !IsTorn(bytes)) throw DirectoryCheck.Damaged("commit", path, "a head record", bytes is null ? "no such file" : "bytes whose CRC does not match");
            notes.Add($"{path} is torn between the two newest heads: a crash came while it was written, and the next start takes {Describe(Newest)} from the history");
            return;
        }

        if (Equals(commit.Head, Newest)) return;
        if (!Equals(commit.Head, _before)) throw DirectoryCheck.Damaged("commit", path, $"{Describe(Newest)}, the newest line of the history", Describe(commit.Head));
        notes.Add($"{path} is one head behind the history: a crash came between the two, and the next start takes {Describe(Newest)} from the history");
    }

    /// <summary>
    /// Whether a crash while `commit` was written explains these bytes: each sector is old, is new, or begins with new bytes and ends with old ones.
    /// </summary>
    private bool IsTorn(byte[] bytes)
    {
        if (bytes.Length == 0) return false;
        byte[] before = TreeRegister.Padded(_lineBefore.ToArray(), bytes.Length), next = TreeRegister.Padded(_line.ToArray(), bytes.Length);
        for (int start = 0; start < bytes.Length; start += JournalFrame.Sector)
        {
            Range sector = start..Math.Min(bytes.Length, start + JournalFrame.Sector);
            int written = bytes.AsSpan(sector).CommonPrefixLength(next.AsSpan(sector));
            if (!bytes.AsSpan(sector)[written..].SequenceEqual(before.AsSpan(sector)[written..])) return false;
        }

        return true;
    }

    /// <summary>Compares the guard with the newest head. A guard that can be reached and is ahead of it means that this directory is an older copy.</summary>
    private void CheckGuard(HeadFiles files, List<string> notes)
    {
        if (files.Guarded is byte[] guarded && GuardedFile.Parse(guarded) is null) throw DirectoryCheck.Damaged("guarded", files.PathOf("guarded"), GuardedFile.Form, GuardedFile.Describe(guarded));
        if (files.GuardPath is not string guard) return;
        if (files.Guard is null)
        {
            notes.Add($"{guard}, the guard of this log, is not there: it was not compared");
            return;
        }

        if (!TreeRegister.TryParseHead(files.Guard, out HeadRecord? record)) throw DirectoryCheck.Damaged("guard", guard, "a head record", "bytes whose CRC does not match");
        if (record.Head is not TreeHead seen) return;
        if (Newest is null || seen.Size > Newest.Size || (seen.Size == Newest.Size && seen.Root != Newest.Root))
        {
            throw DirectoryCheck.Damaged("guard", guard, $"{Describe(Newest)}, the newest head here, or one before it", $"{Describe(seen)}: this directory is an older copy");
        }
    }

    /// <summary>Checks the last checkpoint that readers were shown: it must be a head of the same tree, not larger than the signed size.</summary>
    private void CheckPublished(string path, byte[]? bytes)
    {
        if (bytes is null) return;
        Checkpoint checkpoint = ReadSigned(bytes, path);
        if (checkpoint.Size > (Newest?.Size ?? 0)) throw DirectoryCheck.Damaged("checkpoint", path, $"at most {Describe(Newest)}", $"size {checkpoint.Size}");
        Published = bytes;
        _claims.Insert(_claims.FindLastIndex(claim => claim.Size <= checkpoint.Size) + 1, new ClaimedRoot(checkpoint.Size, checkpoint.Root, path));
    }

    private static string Describe(TreeHead? head) => head is null ? "no signed head" : $"size {head.Size}, root {head.Root}";
}
