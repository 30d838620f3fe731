// fsck of a data directory. It starts at the entry bytes: everything else in the directory is computed again from them and compared. Nothing is repaired. The
// only file written is the lock file, while the lock is held. When a server has the directory, nothing is written at all: committed bytes do not change any
// more, and the files that do change are read as of one moment.
//
//   1  identity              log
//   2  heads                 heads.old, heads, commit, guard, published: parsed, signatures verified, consistent with each other      HeadsCheck.cs
//   3  segments and tree     parts -> leaf hashes -> seals -> chain -> tiles above                  SegmentsCheck.cs
//   4  journal               frames; equal to the segments where they overlap; the entries beyond   JournalCheck.cs
//   5  roots                 at every size that was ever signed, as 3 and 4 reach it                Core, TreeCheck.cs
//   6  files that do not belong here

using System.Globalization;

namespace TransparencyLog.Storage;

/// <summary>The result of a check that found no damage.</summary>
/// <param name="Identity">The identity of the log.</param>
/// <param name="Head">The newest signed head; null when nothing was signed yet.</param>
/// <param name="Published">The last published checkpoint with its cosignatures; null when none is stored.</param>
/// <param name="Heads">How many different signed heads were checked against the tree.</param>
/// <param name="Entries">The number of entries in the directory, including those not signed yet.</param>
/// <param name="Segments">The number of sealed segments.</param>
/// <param name="Notes">Findings that are not damage, one line each: traces of a crash that the next start repairs, a halt.</param>
public sealed record DirectoryReport(
    LogIdentity Identity, TreeHead? Head, ReadOnlyMemory<byte>? Published, long Heads, long Entries, long Segments, IReadOnlyList<string> Notes);

/// <summary>Options of a check.</summary>
public sealed record CheckOptions
{
    /// <summary>The layout of the journal; null for the one that the directory's identity states.</summary>
    public JournalOptions? Journal { get; init; }

    /// <summary>
    /// Whether a server may be using the directory. If so, no lock is taken, sealed bytes are read from the disk instead of the page cache, and entries
    /// appended after the start of the check are checked as far as the check reaches them.
    /// </summary>
    public bool InUse { get; init; }

    /// <summary>The most bytes of segments to check per second; 0 for no limit, on all cores.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>
    /// Called with the number of entries checked and the number of entries known at that time (sealed or signed, whichever is larger). Called after each
    /// segment, one call at a time, on the thread that checks.
    /// </summary>
    public Action<long, long>? Progress { get; init; }
}

/// <summary>Checks a data directory from the entry bytes up.</summary>
public static class DirectoryCheck
{
    /// <summary>How often the journal of a running server is read again when it does not fit: files and frames come and go while they are listed.</summary>
    private const int JournalAttempts = 10;

    /// <summary>
    /// Checks everything in the order above and throws at the first damage. Memory does not grow with the log, except for the history of heads, which is
    /// bounded.
    /// </summary>
    /// <param name="path">The data directory.</param>
    /// <param name="verifiers">Returns the verifier for a key in the directory's identity; null when the key is not acceptable.</param>
    /// <param name="options">Options; null for a directory that no process uses, checked without a speed limit.</param>
    /// <param name="stop">Cancels the check between two segments.</param>
    /// <exception cref="DamageException">The first damage found: kind, place, segment, index, expected, found.</exception>
    /// <exception cref="DirectoryInUseException">Another process has the directory open.</exception>
    /// <exception cref="StorageException">The directory is not a log, or cannot be read.</exception>
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

        // Open the tree before the segments: a server commits the tree after the segments, so the tree never has tiles above missing segments.
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

        // The journal drops sealed entries. So its files are opened first, then the number of sealed segments is read, and those sealed since the start are
        // checked.
        async Task CheckJournalInUseAsync(SegmentsCheck sealedPart, RecordLog segments, RecordLog upper)
        {
            for (int attempt = 1; ; attempt++)
            {
                using JournalFiles files = JournalFiles.Open(journal);
                upper.Refresh();
                segments.Refresh();
                if (segments.Count > sealedPart.Checked)
                {
                    // Checking many new segments may take long while the journal goes on, so its files are opened again afterwards.
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

    /// <summary>Reads the identity of the log, and returns the verifiers of its keys. Every checkpoint carries one signature by each.</summary>
    internal static (LogIdentity Identity, INoteVerifier[] Keys) ReadIdentity(string path, Func<VerifierKey, INoteVerifier?> verifiers)
    {
        string file = Path.Combine(path, "log");
        if (!Paths.Exists(file) && (Paths.Exists(Path.Combine(path, "segments")) || Paths.Exists(Path.Combine(path, "journal"))))
        {
            throw Damaged("identity", file, "the identity of the log whose segments and journal are beside it", "no such file");
        }

        if (!Paths.Exists(file)) LogDirectory.ReadIdentity(path); // throws, and names what is missing
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
