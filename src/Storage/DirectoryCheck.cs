// fsck of a data directory. It begins at the entry bytes: everything else in the directory is computed again from
// them and compared. Nothing is repaired; the only thing written is the lock file, while it is held. Beside a server that has the directory nothing
// is written at all: what is committed does not change any more, and what does change is read as of one moment.
//
//   1  identity              log
//   2  heads                 heads.old, heads, commit, guard, published: parsed, signed, one story            HeadsCheck.cs
//   3  segments and tree     parts -> leaf hashes -> seals -> chain -> tiles above                  SegmentsCheck.cs
//   4  journal               frames; equal to the segments where they overlap; the entries beyond   JournalCheck.cs
//   5  roots                 at every size that was ever signed, while 3 and 4 pass by it           Core, TreeCheck.cs
//   6  files that do not belong here

using System.Globalization;

namespace TransparencyLog.Storage;

/// <summary>A directory that was found whole.</summary>
/// <param name="Identity">Whose log it is.</param>
/// <param name="Head">The newest signed head; null when nothing was signed yet.</param>
/// <param name="Published">The checkpoint that was published last, with its cosignatures; null where none is kept.</param>
/// <param name="Heads">How many different signed heads were checked against the tree.</param>
/// <param name="Entries">How many entries it holds, those not signed yet included.</param>
/// <param name="Segments">How many of its segments are sealed.</param>
/// <param name="Notes">What is no damage and still worth knowing: traces of a crash that the next start mends, a halt. One line each.</param>
public sealed record DirectoryReport(
    LogIdentity Identity, TreeHead? Head, ReadOnlyMemory<byte>? Published, long Heads, long Entries, long Segments, IReadOnlyList<string> Notes);

/// <summary>How a directory is checked.</summary>
public sealed record CheckOptions
{
    /// <summary>The journal's layout, when it is not the usual one.</summary>
    public JournalOptions? Journal { get; init; }

    /// <summary>
    /// Whether a server may have the directory. No lock is taken then, sealed bytes are read from the disk and not from the page cache, and what is appended after the
    /// beginning is checked as far as the check meets it.
    /// </summary>
    public bool InUse { get; init; }

    /// <summary>Most bytes of segments that are checked in a second; 0 for as fast as it goes, on all cores.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>
    /// Is told how many entries were checked, and how many there are as far as is known then (sealed or signed, whichever is more): after each segment, one
    /// call at a time, on the thread that checks.
    /// </summary>
    public Action<long, long>? Progress { get; init; }
}

/// <summary>Checks a data directory from the entry bytes up.</summary>
public static class DirectoryCheck
{
    /// <summary>How often a journal in use is looked at again when it does not fit: files and frames come and go while they are listed.</summary>
    private const int JournalAttempts = 10;

    /// <summary>
    /// Checks everything in the order above and throws at the first damage. Memory does not grow with the log, but for the history of
    /// heads, which is bounded.
    /// </summary>
    /// <param name="path">The data directory.</param>
    /// <param name="verifiers">Gives the verifiers of the keys in the directory's identity; null for a key that is not acceptable.</param>
    /// <param name="options">How; null for a directory that no process has, as fast as it goes.</param>
    /// <param name="stop">Ends the check between two segments.</param>
    /// <exception cref="DamageException">The first damage: kind, place, segment, index, expected, found.</exception>
    /// <exception cref="DirectoryInUseException">Another process has it.</exception>
    /// <exception cref="StorageException">It is not a log, or cannot be read.</exception>
    public static async Task<DirectoryReport> RunAsync(
        string path, Func<VerifierKey, INoteVerifier?> verifiers, CheckOptions? options = null, CancellationToken stop = default)
    {
        options ??= new CheckOptions();
        (LogIdentity identity, INoteVerifier[] keys) = ReadIdentity(path, verifiers);
        using DirectoryLock? held = options.InUse ? null : DirectoryLock.Acquire(path);
        List<string> notes = [];
        HeadsCheck heads = HeadsCheck.Read(await HeadFiles.ReadAsync(path, identity.Origin, options.InUse, stop).ConfigureAwait(false), identity, keys, notes);
        TreeCheck tree = new(heads.Claims);
        Require(tree.CheckBegin());
        string journal = Path.Combine(path, "journal");
        JournalOptions journalOptions = options.Journal ?? LogDirectory.OptionsFor(identity);
        long signed = heads.Newest?.Size ?? 0;

        // The tree before the segments: a server commits it behind them, so it never has more than they have.
        RecordLog upper = RecordLog.OpenReadOnly(RequireRecordLog(path, "tree"), options.InUse);
        long sealedSegments;
        await using (upper.ConfigureAwait(false))
        {
            RecordLog segments = RecordLog.OpenReadOnly(RequireRecordLog(path, "segments"), options.InUse);
            await using (segments.ConfigureAwait(false))
            {
                Pace? pace = options.BytesPerSecond > 0 ? new Pace(options.BytesPerSecond, stop) : null;
                SegmentsCheck sealedPart = new(path, segments, upper, tree, pace is null ? null : pace.Count);
                sealedPart.Run(Tell, stop);
                if (!options.InUse)
                {
                    sealedPart.Finish(notes);
                    JournalCheck.Run(journal, null, journalOptions, signed, segments, tree, notes);
                }
                else
                {
                    await CheckJournalInUseAsync(sealedPart, segments, upper).ConfigureAwait(false);
                }

                sealedSegments = sealedPart.Checked;

                void Tell(long done) => options.Progress?.Invoke(done, Math.Max(signed, segments.Count * EntryBundle.Width));
            }
        }

        Require(tree.Finish(journal));
        StrayFiles.Check(path, identity, notes);
        return new DirectoryReport(identity, heads.Newest, heads.Published, heads.Claims.Count, tree.Size, sealedSegments, notes);

        // The journal lets go of what is sealed, so its files are opened before it is asked how much that is, and what was sealed since the beginning is checked first.
        async Task CheckJournalInUseAsync(SegmentsCheck sealedPart, RecordLog segments, RecordLog upper)
        {
            for (int attempt = 1; ; attempt++)
            {
                using JournalFiles files = JournalFiles.Open(journal);
                upper.Refresh();
                segments.Refresh();
                if (segments.Count > sealedPart.Checked)
                {
                    // Much of it may take long, and the journal goes on: the files are opened again then.
                    bool little = segments.Count - sealedPart.Checked <= 64;
                    sealedPart.Run(done => options.Progress?.Invoke(done, Math.Max(signed, done)), stop);
                    if (!little)
                    {
                        attempt = 0;
                        continue;
                    }
                }

                if (attempt == 1) sealedPart.Finish(notes);
                try
                {
                    JournalCheck.Run(journal, files, journalOptions, Math.Min(signed, tree.Size), segments, tree, notes);
                    return;
                }
                catch (DamageException failure) when (attempt < JournalAttempts && failure.Damage.Kind != "root")
                {
                    await Task.Delay(50, stop).ConfigureAwait(false);
                }
            }
        }
    }

    internal static void Require(Damage? damage)
    {
        if (damage is not null) throw new DamageException(damage);
    }

    internal static DamageException Damaged(string kind, string place, string expected, string found, long? segment = null) =>
        new(new Damage(kind, place, segment, null, expected, found));

    /// <summary>Whose log it is, and what verifies its signatures: every checkpoint has one by each.</summary>
    internal static (LogIdentity Identity, INoteVerifier[] Keys) ReadIdentity(string path, Func<VerifierKey, INoteVerifier?> verifiers)
    {
        string file = Path.Combine(path, "log");
        if (!Paths.Exists(file) && (Paths.Exists(Path.Combine(path, "segments")) || Paths.Exists(Path.Combine(path, "journal"))))
        {
            throw Damaged("identity", file, "the identity of the log whose segments and journal are beside it", "no such file");
        }

        if (!Paths.Exists(file)) LogDirectory.ReadIdentity(path); // throws, and says what is missing
        if (!DurableFile.TryRead(file, LogIdentity.MaxSize, out byte[] bytes) || !LogIdentity.TryParse(bytes, out LogIdentity? identity))
        {
            throw Damaged("identity", file, LogIdentity.Form, string.Create(CultureInfo.InvariantCulture, $"{bytes.Length} other bytes"));
        }

        INoteVerifier Own(LogKey own, byte type, string name)
        {
            if (!VerifierKey.TryParse(System.Text.Encoding.UTF8.GetBytes(own.VerifierKey), out VerifierKey? key))
            {
                throw Damaged("identity", file, "a vkey whose key ID is that of its parts", "another text");
            }

            if (key.Name != identity.Origin) throw Damaged("identity", file, "a vkey whose name is the origin", "another name");
            return (key.SignatureType == type ? verifiers(key) : null) ?? throw Damaged("identity", file, $"the vkey of an {name} key", $"one of type 0x{key.SignatureType:x2}");
        }

        INoteVerifier first = Own(identity.Keys[0], VerifierKey.Ed25519, "Ed25519");
        return (identity, identity.MlDsa44 is null ? [first] : [first, Own(identity.MlDsa44, VerifierKey.MlDsa44Cosignature, "ML-DSA-44")]);
    }

    internal static string RequireRecordLog(string path, string name)
    {
        string directory = Path.Combine(path, name);
        if (!Paths.DirectoryExists(directory)) throw Damaged("storage", directory, "a directory", "nothing");
        string addresses = Path.Combine(directory, "addresses");
        return Paths.FileExists(addresses) ? directory : throw Damaged("storage", addresses, "the addresses of its records", "no such file");
    }
}
