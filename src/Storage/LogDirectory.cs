// The data directory of a log (spec/storage.md): its identity, its lock, and its parts.
//
//   log        identity: version, origin, vkey, path of the key, size of a journal file; also vkey and key path of an ML-DSA-44 key
//              if the log has one. Written last by `create`: a directory without it is not a log
//   key.pem    the signing key, unless it lies elsewhere; key-ml-dsa.pem: the second key
//   lock       flock of the process that has the directory open
//   journal/ segments/ tree/ commit heads halted guarded published evidence/

using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace TransparencyLog.Storage;

/// <summary>One key of a log.</summary>
/// <param name="VerifierKey">Its vkey.</param>
/// <param name="KeyPath">The path of the key file, relative to the directory or absolute.</param>
public sealed record LogKey(string VerifierKey, string KeyPath);

/// <summary>The identity of a log, as its directory states it.</summary>
/// <param name="Origin">The origin line of its checkpoints.</param>
/// <param name="VerifierKey">The vkey of its Ed25519 key.</param>
/// <param name="KeyPath">The path of the key file, relative to the directory or absolute.</param>
/// <param name="JournalFileBytes">The size of each file of its journal: <see cref="JournalOptions.FileBytes"/>.</param>
/// <param name="MlDsa44">The ML-DSA-44 key that also signs every checkpoint (type 0x06); null when the log has none.</param>
public sealed record LogIdentity(string Origin, string VerifierKey, string KeyPath, int JournalFileBytes = JournalOptions.DefaultFileBytes, LogKey? MlDsa44 = null)
{
    private const string Header = "tlog-directory v1", HeaderOfTwo = "tlog-directory v2";
    internal const int MaxSize = 16 * 1024;

    /// <summary>Describes a valid identity file, for the message about an invalid one.</summary>
    internal const string Form = "five lines that begin with tlog-directory v1, or seven that begin with tlog-directory v2";

    /// <summary>The keys that sign every checkpoint, in the order of their signature lines: Ed25519, then ML-DSA-44 if the log has one.</summary>
    public IReadOnlyList<LogKey> Keys => MlDsa44 is null ? [new(VerifierKey, KeyPath)] : [new(VerifierKey, KeyPath), MlDsa44];

    internal byte[] ToBytes() => Encoding.UTF8.GetBytes(string.Create(
        CultureInfo.InvariantCulture,
        $"{(MlDsa44 is null ? Header : HeaderOfTwo)}\norigin {Origin}\nvkey {VerifierKey}\nkey {KeyPath}\njournal {JournalFileBytes}\n{(MlDsa44 is null ? "" : $"ml-dsa-vkey {MlDsa44.VerifierKey}\nml-dsa-key {MlDsa44.KeyPath}\n")}"));

    /// <summary>
    /// The refusal of a file whose first line is <paramref name="name"/> followed by a version number outside 1 to <paramref name="newest"/>; null for any
    /// other file.
    /// </summary>
    internal static StorageException? OtherVersion(string path, ReadOnlySpan<byte> bytes, string name, long newest)
    {
        ReadOnlySpan<byte> line = bytes[..Math.Max(0, bytes.IndexOf((byte)'\n'))];
        return line.StartsWith(Encoding.ASCII.GetBytes(name)) && Strict.TryReadSize(line[name.Length..], out long version) && (version < 1 || version > newest)
            ? new StorageException($"{path} is of version v{version}, which this program does not know: it reads v1{(newest > 1 ? $" to v{newest}" : "")}. Nothing was changed; a newer program reads it")
            : null;
    }

    internal static bool TryParse(byte[] bytes, [NotNullWhen(true)] out LogIdentity? identity)
    {
        identity = null;
        if (!Strict.IsUtf8(bytes)) return false;
        string[] lines = Encoding.UTF8.GetString(bytes).Split('\n');
        bool two = lines[0] == HeaderOfTwo;
        if (!(two || lines[0] == Header) || lines.Length != (two ? 8 : 6) || lines[^1].Length != 0) return false;
        if (!lines[1].StartsWith("origin ", StringComparison.Ordinal) || !lines[2].StartsWith("vkey ", StringComparison.Ordinal) || !lines[3].StartsWith("key ", StringComparison.Ordinal)) return false;
        if (!lines[4].StartsWith("journal ", StringComparison.Ordinal) || !Strict.TryReadSize(Encoding.UTF8.GetBytes(lines[4][8..]), out long journal) || !JournalOptions.IsFileSize(journal)) return false;
        if (two && (!lines[5].StartsWith("ml-dsa-vkey ", StringComparison.Ordinal) || !lines[6].StartsWith("ml-dsa-key ", StringComparison.Ordinal))) return false;
        identity = new LogIdentity(lines[1][7..], lines[2][5..], lines[3][4..], (int)journal, two ? new LogKey(lines[5][12..], lines[6][11..]) : null);
        return true;
    }
}

/// <summary>Creates and opens the directory of a log. Opening never creates: an empty directory must never look like a new log.</summary>
public sealed class LogDirectory : IAsyncDisposable
{
    private readonly DirectoryLock _lock;

    private LogDirectory(string path, LogIdentity identity, DirectoryLock held, TreeRegister register, TileStore tiles, Journal journal)
    {
        Root = path;
        Identity = identity;
        _lock = held;
        Register = register;
        Tiles = tiles;
        Journal = journal;
    }

    /// <summary>The name of the Ed25519 key file that is created with a log, in its directory.</summary>
    public const string KeyName = "key.pem";

    /// <summary>The name of the ML-DSA-44 key file that is created with a log, in its directory.</summary>
    public const string MlDsa44KeyName = "key-ml-dsa.pem";

    /// <summary>The largest key file to copy, in bytes. PEM with comments around it is far smaller.</summary>
    internal const int MaxKeyFile = 64 * 1024;

    /// <summary>The same two names, in the order of <see cref="LogIdentity.Keys"/>: the names of key files in a backup, wherever the originals are.</summary>
    internal static readonly string[] KeyNames = [KeyName, MlDsa44KeyName];

    /// <summary>The path of the data directory.</summary>
    public string Root { get; }

    /// <summary>The identity of the log.</summary>
    public LogIdentity Identity { get; }

    /// <summary>The register of the signed heads.</summary>
    public TreeRegister Register { get; }

    /// <summary>The sealed bytes.</summary>
    public TileStore Tiles { get; }

    /// <summary>The journal, which decides the order of entries.</summary>
    public Journal Journal { get; }

    /// <summary>
    /// Creates a new log in a directory that does not exist or is empty except for <paramref name="allowed"/> (the keys just made). The identity is written
    /// last: a crash before that leaves a directory that is neither served nor mistaken for a log.
    /// </summary>
    public static void Create(string path, LogIdentity identity, TimeProvider time, JournalOptions? options = null, params string[] allowed)
    {
        DurableFile.CreateDirectory(path);
        RequireEmpty(path, allowed);
        TreeRegister.Create(path, time);
        TileStore.Create(path);
        options ??= OptionsFor(identity);
        Journal.Create(Path.Combine(path, "journal"), options);
        identity = identity with { JournalFileBytes = options.FileBytes };
        DurableFile.Replace(Path.Combine(path, "log"), identity.ToBytes());
    }

    /// <summary>Refuses a directory that holds anything except <paramref name="allowed"/> and the names that its file system puts there.</summary>
    public static void RequireEmpty(string path, params string[] allowed)
    {
        if (!Paths.DirectoryExists(path)) return;
        string? other = Paths.FirstIn(path, allowed);
        if (other is not null) throw new StorageException($"{path} is not empty: it holds {other}; a log is created in an empty directory");
    }

    /// <summary>
    /// Refuses a place for <paramref name="what"/> that is <paramref name="directory"/> or lies below it: everything in a data directory belongs to the log,
    /// and fsck would report other files as damage.
    /// </summary>
    internal static void RequireOutside(string path, string directory, string what)
    {
        if (Paths.IsWithin(path, directory)) throw new StorageException($"{path} is inside of {directory}: choose a folder outside of it for {what}");
    }

    /// <summary>As above, for the directories of all logs.</summary>
    internal static void RequireOutsideOfLogs(string path, string what)
    {
        foreach (string above in Paths.RealFolders(path))
        {
            string identity = Path.Combine(above, "log");
            if (Posix.Stat(identity) is not { Kind: PathKind.File, Length: <= LogIdentity.MaxSize }) continue;
            if (DurableFile.TryRead(identity, LogIdentity.MaxSize, out byte[] bytes) && LogIdentity.TryParse(bytes, out _)) throw new StorageException($"{path} is inside of {above}, the directory of a log: choose a folder outside of it for {what}");
        }
    }

    /// <summary>Reads the identity of the log in a directory. Changes nothing.</summary>
    /// <exception cref="StorageException">The directory is not a log.</exception>
    public static LogIdentity ReadIdentity(string path)
    {
        if (!Paths.DirectoryExists(path)) throw new StorageException($"{path} does not exist; tlog-server create makes a new log");
        string file = Path.Combine(path, "log");

        // The user may have named the parent of a log directory that is called "log".
        if (Paths.IsDirectory(file)) throw new StorageException($"{path} is not a log: {file} is a directory; name that if it is the log");
        if (!DurableFile.TryRead(file, LogIdentity.MaxSize, out byte[] bytes))
        {
            // If other files are there, this may be a damaged log: suggest a new log only for an empty directory.
            string? other = Paths.FirstIn(path, "lock");
            throw new StorageException($"{path} is not a log: it has no file named log{(other is null ? "; tlog-server create makes a new log" : $", but it holds {other}: check the path; if the log was here, take {file} from a backup")}");
        }

        if (LogIdentity.TryParse(bytes, out LogIdentity? identity)) return identity;
        throw LogIdentity.OtherVersion(file, bytes, "tlog-directory v", 2) ?? new StorageException($"{file} is damaged: expected {LogIdentity.Form}");
    }

    /// <summary>
    /// Acquires the lock and opens all parts. Parts that do not fit together are refused with a message that names them: commit record, history, guard,
    /// segments, journal. The caller still has to check, with the verifier's code, that the tree from these parts has the signed root.
    /// </summary>
    public static async Task<LogDirectory> OpenAsync(string path, string? guardDirectory, TimeProvider time, JournalOptions? options = null)
    {
        LogIdentity identity = ReadIdentity(path);
        DirectoryLock held = DirectoryLock.Acquire(path);
        TreeRegister? register = null;
        TileStore? tiles = null;
        try
        {
            register = HaltReserve.Use(path, () => TreeRegister.Open(path, guardDirectory, identity.Origin, time, held));
            tiles = await TileStore.OpenAsync(path, held).ConfigureAwait(false);
            long signed = register.Current?.Size ?? 0;
            long sealedSize = tiles.DurableSegmentCount * EntryBundle.Width;
            Journal journal = Journal.Open(
                Path.Combine(path, "journal"), options ?? OptionsFor(identity), signed, (first, next) => Reconcile(first, next, sealedSize, signed), held);
            HaltReserve.Ensure(path);
            return new LogDirectory(path, identity, held, register, tiles, journal);
        }
        catch
        {
            if (tiles is not null) await tiles.DisposeAsync().ConfigureAwait(false);
            register?.Dispose();
            held.Dispose();
            throw;
        }
    }

    /// <summary>The files that this process relies on.</summary>
    internal IEnumerable<WatchedFile> FilesInUse() =>
        [new WatchedFile(Path.Combine(Root, "log")), .. Register.FilesInUse(), .. Tiles.FilesInUse(), .. Journal.FilesInUse()];

    /// <summary>
    /// Starts a new guard, or removes the guard, at an operator's request (<see cref="TreeRegister.ChangeGuard"/>). Returns a description of the change.
    /// </summary>
    /// <param name="path">The data directory. No server may be using it.</param>
    /// <param name="guardDirectory">The folder of the new guard; null for no guard.</param>
    /// <param name="reason">The operator's reason, kept in the history.</param>
    /// <param name="time">The clock for the time in the history.</param>
    public static string ChangeGuard(string path, string? guardDirectory, string reason, TimeProvider time)
    {
        LogIdentity identity = ReadIdentity(path);
        using DirectoryLock held = DirectoryLock.Acquire(path);
        return TreeRegister.ChangeGuard(path, guardDirectory, identity.Origin, reason, time);
    }

    /// <summary>The reason why journal, segments and commit record cannot belong together; null when they can.</summary>
    internal static string? Reconcile(long journalFirst, long journalNext, long sealedSize, long signed)
    {
        if (journalNext < signed) return $"the journal ends at {journalNext} entries, but size {signed} is signed: entries are missing";
        if (journalNext < sealedSize) return $"the journal ends at {journalNext} entries, but the segments hold {sealedSize}: one of the two is an older copy";
        if (journalFirst > sealedSize) return $"the journal begins at entry {journalFirst}, but the segments end at {sealedSize}: entries {sealedSize} to {journalFirst - 1} are missing";
        return null;
    }

    /// <summary>Closes everything and releases the lock.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await Journal.DisposeAsync().ConfigureAwait(false);
            await Tiles.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            // Release the lock last: nothing here may still write when another process acquires it.
            Register.Dispose();
            _lock.Dispose();
        }
    }

    /// <summary>
    /// The disk space in bytes that a log of this identity needs in addition to what it has written, when entries of up to <paramref name="waiting"/> bytes
    /// are queued: these entries in journal and segments, the next journal file, uncommitted segment bytes, and 16 MiB for everything else.
    /// </summary>
    public static long ReserveFor(LogIdentity identity, long waiting) => (2 * waiting) + identity.JournalFileBytes + TileStore.MaxUncommitted + (16 * 1024 * 1024);

    /// <summary>The journal options of this log.</summary>
    public static JournalOptions OptionsFor(LogIdentity identity) => OptionsFor(identity.Origin) with { FileBytes = identity.JournalFileBytes };

    /// <summary>The journal options of a log with this origin and files of the default size.</summary>
    public static JournalOptions OptionsFor(string origin)
    {
        Span<byte> hash = stackalloc byte[Hash.Size];
        Checkpoint.HashOrigin(origin).CopyTo(hash);
        return new JournalOptions { Identity = System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(hash) };
    }
}
