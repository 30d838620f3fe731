// The embedded register of signed heads, in the data directory (spec/storage.md):
//
//   commit    the newest head (HeadRecord.cs), written in place, followed by zeros
//   heads     every head, one line each, appended and synced before `commit` is written (HeadHistory.cs)
//   halted    evidence against this log, until an operator resumes it
//   <guard>/<origin hash>.<sequence>.head    the newest head in another place, a file with the next number for each (GuardFence.cs)
//
// The order of a swap: look at the guard, then write history, guard and commit; only then may the signature leave the process. So history and guard are never
// older than `commit`, and at most one head ahead of it. If `commit` is lost, damaged or torn, the last line of the history is used, which was synced before
// a byte of `commit` was changed. If `commit` is older than a crash can explain, someone put an older file there, and the log does not start.

using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>
/// The register of signed heads in files. The caller holds the <see cref="DirectoryLock"/>. See <see cref="ITreeRegister"/> for the contract.
/// </summary>
public sealed class TreeRegister : ITreeRegister
{
    /// <summary>
    /// The size in bytes at which a new history file is started and the old one is kept as heads.old: about 30,000 heads, or 3,000 with ML-DSA-44.
    /// </summary>
    public const long HistoryLimit = 16 * 1024 * 1024;

    /// <summary>
    /// `commit` is a multiple of this size, with zeros after its line. It is one page, and more than a usual head needs; a head with ML-DSA-44 needs two.
    /// </summary>
    private const int CommitUnit = 4096;

    internal const int HaltedLimit = 1024 * 1024;

    private const string GuardExtension = ".head";

    /// <summary>
    /// The maximum length of evidence in characters; longer evidence is cut. Even at three bytes of UTF-8 each it stays below <see cref="HaltedLimit"/>, so
    /// it can be read again.
    /// </summary>
    private const int MaxEvidence = 300_000;

    private readonly string _commitPath;
    private readonly string _historyPath;
    private readonly string _haltedPath;
    private readonly string _directory;
    private readonly TimeProvider _time;
    private readonly DirectoryLock? _held;
    private readonly HeadHistory _history;
    private readonly GuardSeams _seams;
    private HeadRecord? _pending; // in the history, but not in guard and commit yet: the guard was unavailable
    private byte[]? _owed;        // for tests: the line still to be written to the guard, with the flaw AfterCommit
    private bool _failed;

    private TreeRegister(string directory, TimeProvider time, DirectoryLock? held, long historyLimit, GuardSeams seams)
    {
        _directory = directory;
        _seams = seams;
        _commitPath = Path.Combine(directory, "commit");
        _historyPath = Path.Combine(directory, "heads");
        _haltedPath = Path.Combine(directory, "halted");
        _time = time;
        _held = held;
        _history = HeadHistory.Open(_historyPath, historyLimit);
    }

    /// <inheritdoc/>
    public TreeHead? Current { get; private set; }

    /// <inheritdoc/>
    public string? Halted { get; private set; }

    /// <summary>Describes what opening found and repaired, for the operator; null when it repaired nothing.</summary>
    public string? Mended { get; private set; }

    /// <summary>
    /// Whether a guard was there at opening and is not ahead of the register. If so, an older copy of this directory would have been detected.
    /// </summary>
    public bool GuardAgrees { get; private set; }

    /// <summary>The guard, locked and in use; null when there is none.</summary>
    public GuardFence? Guard { get; private set; }

    /// <summary>The row of guard files of a log in a folder.</summary>
    internal static GuardRow GuardOf(string guardDirectory, string origin) => new(guardDirectory, Checkpoint.HashOrigin(origin).ToHex(), GuardExtension);

    /// <summary>Creates an empty register.</summary>
    public static void Create(string directory, TimeProvider time)
    {
        byte[] first = new HeadRecord(time.GetUtcNow().ToUnixTimeMilliseconds(), "created", null).ToBytes();
        HeadHistory.Create(Path.Combine(directory, "heads"), first);
        DurableFile.Replace(Path.Combine(directory, "commit"), Padded(first, 0));
    }

    /// <summary>
    /// Opens the register. Throws <see cref="DamageException"/> or <see cref="StorageException"/> when commit record, history and guard are not consistent
    /// with each other.
    /// </summary>
    /// <param name="directory">The data directory, locked by the caller.</param>
    /// <param name="guardDirectory">The folder of the guard; null for none. A log that has signed and has used a guard does not start without it.</param>
    /// <param name="origin">The log's origin.</param>
    /// <param name="time">The clock for the times in the history.</param>
    /// <param name="held">The lock of the directory: a swap is refused as fenced when the lock's file is gone. Null when the caller checks the lock.</param>
    public static TreeRegister Open(string directory, string? guardDirectory, string origin, TimeProvider time, DirectoryLock? held = null) =>
        Open(directory, guardDirectory, origin, time, held, HistoryLimit);

    internal static TreeRegister Open(string directory, string? guardDirectory, string origin, TimeProvider time, DirectoryLock? held, long historyLimit, GuardSeams? seams = null)
    {
        TreeRegister register = new(directory, time, held, historyLimit, seams ?? GuardSeams.Usual);
        try
        {
            register.Load(newest => register.CheckGuard(guardDirectory, origin, newest));
            return register;
        }
        catch
        {
            register.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Starts a new guard, or removes the guard, at an operator's request and without asking the old guard. Records this in the history. Otherwise opens the
    /// register as <see cref="Open(string, string?, string, TimeProvider, DirectoryLock?)"/> does, and closes it again.
    /// </summary>
    /// <param name="directory">The data directory, locked by the caller.</param>
    /// <param name="guardDirectory">The folder of the new guard; null for no guard.</param>
    /// <param name="origin">The log's origin.</param>
    /// <param name="reason">The operator's reason.</param>
    /// <param name="time">The clock for the times in the history.</param>
    /// <returns>A description of what was done.</returns>
    public static string ChangeGuard(string directory, string? guardDirectory, string origin, string reason, TimeProvider time)
    {
        using TreeRegister register = new(directory, time, null, HistoryLimit, GuardSeams.Usual);
        string before = GuardedFile.Describe(directory);
        register.Load(_ => null);
        if (guardDirectory is null)
        {
            register.Note($"guard dropped ({before}): {reason}");
            GuardedFile.Remove(directory);
            return $"the guard is given up ({before})";
        }

        string folder = Path.GetFullPath(guardDirectory);
        register.Guard = OpenGuard(folder, origin, directory, mustExist: false, time, GuardSeams.Usual);
        string held = register.Guard.Newest is ReadOnlyMemory<byte> found ? $"; {register.Guard.NewestPath} held {DescribeGuard(found.Span)}" : "";
        register.Note($"guard replaced ({before}) by {folder}{held}: {reason}");
        register.Guard.Begin(new HeadRecord(time.GetUtcNow().ToUnixTimeMilliseconds(), "guard replaced", register.Current).ToBytes(), agrees: false);
        GuardedFile.Write(directory, folder);
        return $"the guard is in {folder} now ({before}){held}";
    }

    /// <inheritdoc/>
    public async ValueTask<bool> SwapAsync(TreeHead? expected, TreeHead next, string reason, CancellationToken stop)
    {
        if (_failed) throw new StorageException("the register has failed and takes nothing more");
        if (next.Checkpoint.Length > TreeHead.MaxCheckpoint) throw new ArgumentException($"a checkpoint has at most {TreeHead.MaxCheckpoint} bytes", nameof(next));
        if (Halted is not null || !Equals(expected, Current)) return false;
        if (Current is not null && (next.Size < Current.Size || (next.Size == Current.Size && next.Root != Current.Root)))
        {
            throw new ConflictException($"size {Current.Size}, root {Current.Root} is signed; size {next.Size}, root {next.Root} may not follow");
        }

        if (_pending is not null && !Equals(_pending.Head, next)) throw new StorageException($"the swap to {Describe(_pending.Head)} waits for the guard, and no other may come before it");
        try
        {
            // The lock's file was removed: another process may hold a lock on a new file.
            if (_held is { IsHeld: false }) return false;

            // 1. Look at the guard: is this copy fenced?
            if (Guard is not null)
            {
                await Guard.LookAsync().ConfigureAwait(false);
                if (_owed is not null) await Guard.AdvanceAsync(_owed).ConfigureAwait(false);
            }

            // The file decides, not what is in memory: another process that got past the lock would have changed it.
            if (!Paths.FileExists(_commitPath)) throw Damaged("no such file");
            using SafeFileHandle commit = Posix.Open(_commitPath, Posix.ReadWrite | Posix.NoFollow);
            long length = Posix.LengthOf(commit, _commitPath);
            if (!TryReadHead(commit, length, _commitPath, out HeadRecord? stored)) throw Damaged("bytes whose CRC does not match");
            if (!Equals(stored.Head, Current)) return false;

            // 2. History first: after a crash from here on, the history is one head ahead, and the next start uses that head.
            HeadRecord record = _pending ?? new(_time.GetUtcNow().ToUnixTimeMilliseconds(), reason, next);
            byte[] line = record.ToBytes();
            if (_pending is null) _history.Append(record, Current);

            // 3, 4. The guard before the commit record: if another process uses a copy of this directory, either that copy or this one is fenced.
            if (Guard is not null)
            {
                _pending = record;
                if (_seams.Flaw == GuardFlaw.AfterCommit) _owed = line;
                else await Guard.AdvanceAsync(line).ConfigureAwait(false);
            }

            // 5. The commit point.
            byte[] padded = Padded(line, (int)length);
            Posix.Write(commit, padded, 0, _commitPath);
            Posix.SyncData(commit, _commitPath);
            Posix.Verify(commit, padded, 0, _commitPath);
            _pending = null;
            Current = next;
            return true;
        }
        catch (GuardUnavailableException)
        {
            // Nothing is decided. The same swap may be tried again.
            throw;
        }
        catch
        {
            _failed = true;
            throw;
        }
    }

    /// <inheritdoc/>
    public ValueTask HaltAsync(string evidence, CancellationToken stop)
    {
        if (Halted is not null) return ValueTask.CompletedTask;
        string kept = evidence.Length <= MaxEvidence ? evidence : evidence[..MaxEvidence] + " ...";
        Halted = kept; // in memory first: even if the rest fails, nothing more is signed
        byte[] halted = HaltedBytes(_time.GetUtcNow(), kept);
        HaltReserve.Use(Path.GetDirectoryName(_haltedPath)!, () =>
        {
            DurableFile.Replace(_haltedPath, halted);
            return true;
        });
        if (!_failed) Note($"halted: {kept}");
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask ResumeAsync(string reason, CancellationToken stop)
    {
        if (Halted is null) throw new StorageException("the log is not halted");
        if (_failed) throw new StorageException("the register has failed and takes nothing more");
        Note($"resumed: {reason}");
        Posix.Unlink(_haltedPath);
        Posix.SyncDirectory(Path.GetDirectoryName(_haltedPath)!);
        Halted = null;
        return ValueTask.CompletedTask;
    }

    /// <summary>Adds a line to the history that changes no head: a decision of the operator. It is durable when this returns.</summary>
    public ValueTask RecordAsync(string decision, CancellationToken stop)
    {
        if (_failed) throw new StorageException("the register has failed and takes nothing more");
        Note(decision);
        return ValueTask.CompletedTask;
    }

    /// <summary>The files of signed heads that this process relies on.</summary>
    internal IEnumerable<WatchedFile> FilesInUse() => [new WatchedFile(_commitPath), new WatchedFile(_historyPath, _history.Handle)];

    /// <inheritdoc/>
    public void Dispose()
    {
        Guard?.Dispose();
        _history.Dispose();
    }

    /// <summary>The content of `halted`: a line with the time, then the reason.</summary>
    internal static byte[] HaltedBytes(DateTimeOffset time, string why) =>
        Encoding.UTF8.GetBytes($"{time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture)}\n{why}\n");

    /// <summary>Reads the record in a file that holds one record, possibly followed by zeros.</summary>
    internal static bool TryReadHead(string path, [NotNullWhen(true)] out HeadRecord? record)
    {
        record = null;
        if (DurableFile.TryOpen(path) is not SafeFileHandle opened) return false;
        using SafeFileHandle file = opened;
        return TryReadHead(file, Posix.LengthOf(file, path), path, out record);
    }

    /// <summary>
    /// A line followed by zeros, as in `commit`: a multiple of <see cref="CommitUnit"/>, and at least <paramref name="length"/> bytes, to overwrite
    /// everything before.
    /// </summary>
    internal static byte[] Padded(byte[] line, int length)
    {
        byte[] padded = new byte[Math.Max(length, (line.Length + CommitUnit - 1) / CommitUnit * CommitUnit)];
        line.CopyTo(padded, 0);
        return padded;
    }

    private static bool TryReadHead(SafeFileHandle file, long length, string path, [NotNullWhen(true)] out HeadRecord? record)
    {
        record = null;
        if (length > HeadRecord.MaxSize) throw new StorageException($"{path} has {length} bytes; at most {HeadRecord.MaxSize} are read");
        byte[] bytes = new byte[length];
        return Posix.Read(file, bytes, 0, path) == length && TryParseHead(bytes, out record);
    }

    /// <summary>Parses the record in the bytes of such a file.</summary>
    internal static bool TryParseHead(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out HeadRecord? record)
    {
        record = null;
        int end = bytes.IndexOf((byte)'\n') + 1;
        return !bytes[end..].ContainsAnyExcept((byte)0) && HeadRecord.TryParse(bytes[..end], out record);
    }

    private void Load(Func<HeadRecord, Action?> checkGuard)
    {
        if (DurableFile.TryRead(_haltedPath, HaltedLimit, out byte[] halted)) Halted = Encoding.UTF8.GetString(halted).Trim();
        HeadRecord newest = _history.Newest;
        bool torn = _history.Torn;
        string? mended = null;
        if (TryReadHead(_commitPath, out HeadRecord? commit))
        {
            if (!Equals(commit.Head, newest.Head))
            {
                // A commit record that is one head older is explained by a crash between the two writes. Any other is a file from another time.
                if (_history.Before is not HeadRecord before || !Equals(commit.Head, before.Head))
                {
                    throw Disagree(_commitPath, newest.Head, commit.Head);
                }

                mended = $"{_commitPath} was one head behind {_historyPath}: a crash came between the two; taken from the history";
            }
        }
        else
        {
            mended = $"{_commitPath} was {(Paths.Exists(_commitPath) ? "damaged" : "missing")}: taken from the last line of {_historyPath}";
        }

        Action? writeGuard = checkGuard(newest);

        // History, guard and commit record are consistent; only now is anything changed. What was read may be in the page cache only, when its sync failed or
        // never came. So the last line of the history and `commit` are made durable before anything relies on them, and before the guard gets them.
        if (torn) _history.CutTorn();
        _history.RewriteNewest();
        DurableFile.Replace(_commitPath, Padded((mended is null ? commit! : newest).ToBytes(), 0));
        writeGuard?.Invoke();
        Mended = torn ? $"{_historyPath}: a torn last line was cut{(mended is null ? "" : $"; {mended}")}" : mended;
        Current = newest.Head;
    }

    private static GuardFence OpenGuard(string guardDirectory, string origin, string directory, bool mustExist, TimeProvider time, GuardSeams seams) =>
        GuardFence.Open(guardDirectory, Checkpoint.HashOrigin(origin).ToHex(), GuardExtension, directory, mustExist, time, seams);

    /// <summary>
    /// Opens and locks the guard, and refuses one that contradicts the history. Returns the action that starts to use the guard, or null without a guard.
    /// </summary>
    private Action? CheckGuard(string? guardDirectory, string origin, HeadRecord newest)
    {
        string? used = GuardedFile.Read(_directory, "tlog-server");
        bool isGuarded = used is not null && newest.Head is not null;
        if (guardDirectory is null)
        {
            return isGuarded
                ? throw new StorageException($"this log has a guard in {used}: start with --guard {used}, or give it up with tlog-server guard drop --data {_directory} --reason TEXT")
                : null;
        }

        GuardFence guard = Guard = OpenGuard(guardDirectory, origin, _directory, mustExist: isGuarded, _time, _seams);
        guard.Explain = bytes => Explain(bytes, newest.Head);
        bool agrees = false;
        if (guard.Newest is ReadOnlyMemory<byte> bytes)
        {
            if (!TryParseHead(bytes.Span, out HeadRecord? found)) throw new StorageException($"the guard {guard.NewestPath} is damaged: it is no head record. {HowToReplace}");
            agrees = Equals(found.Head, newest.Head);
            if (!agrees) RequireOneBehind(guard.NewestPath, found.Head, newest.Head);
            GuardAgrees = true;
        }
        else if (isGuarded)
        {
            throw new StorageException($"the guard {guard.NewestPath} is missing: {guard.Directory} holds no file of it, and this log has signed size {newest.Head!.Size} with it. {HowToReplace}");
        }

        return () =>
        {
            guard.Begin(newest.ToBytes(), agrees);
            if (used != guard.Directory) GuardedFile.Write(_directory, guard.Directory);
        };
    }

    private string HowToReplace => $"If no other copy of this log is at work or may have signed more, begin a new guard with tlog-server guard replace --data {_directory} --guard DIR --reason TEXT";

    /// <summary>
    /// Refuses a guard that is not at the newest head of the history or the one before it. A crash leaves one of these two; any other head is from another
    /// copy.
    /// </summary>
    private void RequireOneBehind(string path, TreeHead? found, TreeHead? newest)
    {
        if (found is not null && (newest is null || found.Size > newest.Size))
        {
            throw new StorageException($"the guard {path} has seen {Describe(found)}, but {_commitPath} holds {Describe(newest)}: this directory is an older copy, or the guard is that of another log");
        }

        if (found is not null && found.Size == newest!.Size && found.Root != newest.Root)
        {
            throw new ConflictException($"the guard {path} has seen {Describe(found)}, but {_commitPath} holds {Describe(newest)}: two roots for one size", Evidence(found, newest));
        }

        if (_history.Before is not HeadRecord before || !Equals(found, before.Head))
        {
            throw new StorageException(
                $"the guard {path} holds {Describe(found)}, which is neither the newest head of {_historyPath} ({Describe(newest)}) nor the one before it ({Describe(_history.Before?.Head)}): it is an older copy, or that of another log. {HowToReplace}");
        }
    }

    /// <summary>Adds a line to the history that changes no head: an operator's decision and its reason. It is durable when this returns.</summary>
    public void Remark(string reason)
    {
        if (_failed) throw new StorageException("the register has failed and takes nothing more");
        Note(reason);
    }

    /// <summary>
    /// Describes what the guard's file holds, when this copy is fenced. Adds evidence when it has another root for a size that this process has signed.
    /// </summary>
    private (string Words, TlogEvidence? Evidence) Explain(byte[]? bytes, TreeHead? opened)
    {
        if (bytes is null || !TryParseHead(bytes, out HeadRecord? found)) return ("", null);
        TreeHead? other = new[] { _pending?.Head, Current, opened }.FirstOrDefault(own => own is not null && own.Size == found.Head?.Size && own.Root != found.Head.Root);
        return ($"; it holds {DescribeGuard(bytes)}, and this process had {Describe(Current ?? opened)}", other is null ? null : Evidence(found.Head!, other));
    }

    private static string DescribeGuard(ReadOnlySpan<byte> bytes) => TryParseHead(bytes, out HeadRecord? found) ? Describe(found.Head) : "damage";

    /// <summary>Appends a line to the history that changes no head.</summary>
    private void Note(string reason)
    {
        try
        {
            _history.Append(new HeadRecord(_time.GetUtcNow().ToUnixTimeMilliseconds(), reason, _pending?.Head ?? Current), Current);
        }
        catch
        {
            _failed = true;
            throw;
        }
    }

    private DamageException Damaged(string found) => new(new Damage("commit", _commitPath, null, null, $"the record of {Describe(Current)}", found));

    private StorageException Disagree(string path, TreeHead? newest, TreeHead? found) =>
        new($"{path} holds {Describe(found)}, but the newest line of {_historyPath} is {Describe(newest)}: one of the two files is from another time");

    /// <summary>Evidence made of both signed notes, unchanged; null when they are not checkpoints of the same origin.</summary>
    private static TlogEvidence? Evidence(TreeHead one, TreeHead other) =>
        TransparencyLog.Note.TryParse(one.Checkpoint.Span, out Note? first) && Checkpoint.TryParse(first.Text.Span, out Checkpoint? a)
        && TransparencyLog.Note.TryParse(other.Checkpoint.Span, out Note? second) && Checkpoint.TryParse(second.Text.Span, out Checkpoint? b)
        && a?.Origin == b?.Origin
            ? TlogEvidence.Of(first, second, [])
            : null;

    private static string Describe(TreeHead? head) => head is null ? "no signed head" : $"size {head.Size}, root {head.Root}";
}
