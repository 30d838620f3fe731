// fsck of a data directory that no process holds. It begins at the entry bytes: everything else in the directory is computed again from
// them and compared. Nothing is repaired; the only thing written is the lock file, while it is held.
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

/// <summary>Checks a data directory from the entry bytes up.</summary>
public static class DirectoryCheck
{
    /// <summary>
    /// Checks everything in the order above and throws at the first damage. Memory does not grow with the log, but for the history of
    /// heads, which is bounded.
    /// </summary>
    /// <param name="path">The data directory.</param>
    /// <param name="verifiers">Gives the verifier of the key in the directory's identity; null for a type that is not understood.</param>
    /// <param name="options">The journal's layout, when it is not the usual one.</param>
    /// <param name="progress">
    /// Is told how many entries were checked, and how many there are as far as is known then (sealed or signed, whichever is more): after each segment, one
    /// call at a time, on the thread that checks.
    /// </param>
    /// <param name="stop">Ends the check between two segments.</param>
    /// <exception cref="DamageException">The first damage: kind, place, segment, index, expected, found.</exception>
    /// <exception cref="DirectoryInUseException">Another process has it.</exception>
    /// <exception cref="StorageException">It is not a log, or cannot be read.</exception>
    public static async Task<DirectoryReport> RunAsync(
        string path, Func<VerifierKey, INoteVerifier?> verifiers, JournalOptions? options = null, Action<long, long>? progress = null, CancellationToken stop = default)
    {
        (LogIdentity identity, VerifierKey key) = ReadIdentity(path);
        INoteVerifier verifier = verifiers(key) ?? throw Damaged("identity", Path.Combine(path, "log"), "the vkey of an Ed25519 key", $"one of type 0x{key.SignatureType:x2}");
        using DirectoryLock held = DirectoryLock.Acquire(path);
        List<string> notes = [];
        HeadsCheck heads = HeadsCheck.Read(path, identity, verifier, notes);
        TreeCheck tree = new(heads.Claims);
        Require(tree.CheckEmpty());
        string journal = Path.Combine(path, "journal");
        RecordLog segments = RecordLog.OpenReadOnly(RequireRecordLog(path, "segments"));
        await using (segments.ConfigureAwait(false))
        {
            RecordLog upper = RecordLog.OpenReadOnly(RequireRecordLog(path, "tree"));
            await using (upper.ConfigureAwait(false))
            {
                long total = Math.Max(heads.Newest?.Size ?? 0, segments.Count * EntryBundle.Width);
                new SegmentsCheck(path, segments, upper, tree).Run(notes, done => progress?.Invoke(done, total), stop);
            }

            JournalCheck.Run(journal, options ?? LogDirectory.OptionsFor(identity), heads.Newest?.Size ?? 0, segments, tree, notes);
        }

        Require(tree.Finish(journal));
        StrayFiles.Check(path, identity, notes);
        return new DirectoryReport(identity, heads.Newest, heads.Published, heads.Claims.Count, tree.Size, segments.Count, notes);
    }

    internal static void Require(Damage? damage)
    {
        if (damage is not null) throw new DamageException(damage);
    }

    internal static DamageException Damaged(string kind, string place, string expected, string found, long? segment = null) =>
        new(new Damage(kind, place, segment, null, expected, found));

    private static (LogIdentity, VerifierKey) ReadIdentity(string path)
    {
        string file = Path.Combine(path, "log");
        if (!File.Exists(file) && (Directory.Exists(Path.Combine(path, "segments")) || Directory.Exists(Path.Combine(path, "journal"))))
        {
            throw Damaged("identity", file, "the identity of the log whose segments and journal are beside it", "no such file");
        }

        if (!File.Exists(file)) LogDirectory.ReadIdentity(path); // throws, and says what is missing
        if (!DurableFile.TryRead(file, LogIdentity.MaxSize, out byte[] bytes) || !LogIdentity.TryParse(bytes, out LogIdentity? identity))
        {
            throw Damaged("identity", file, "five lines that begin with tlog-directory v1", string.Create(CultureInfo.InvariantCulture, $"{bytes.Length} other bytes"));
        }

        if (!VerifierKey.TryParse(System.Text.Encoding.UTF8.GetBytes(identity.VerifierKey), out VerifierKey? key) || key is null)
        {
            throw Damaged("identity", file, "a vkey whose key ID is that of its parts", "another text");
        }

        return key.Name == identity.Origin
            ? (identity, key)
            : throw Damaged("identity", file, "a vkey whose name is the origin", "another name");
    }

    private static string RequireRecordLog(string path, string name)
    {
        string directory = Path.Combine(path, name);
        if (!Directory.Exists(directory)) throw Damaged("storage", directory, "a directory", "nothing");
        string addresses = Path.Combine(directory, "addresses");
        return File.Exists(addresses) ? directory : throw Damaged("storage", addresses, "the addresses of its records", "no such file");
    }
}
