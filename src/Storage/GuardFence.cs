// The guard of a data directory, used as a fence: of two live copies of the directory that share it, at most one can continue (spec/storage.md, "The guard").
//
// The guarded state advances in steps, and each step is a file with the next number (GuardRow.cs). Advancing is a compare-and-swap:
//
//     1  Look: this process holds the lock, its last file is there with the bytes it wrote, and the next number is free
//        ... the caller writes its own history ...
//     2  link(2) gives a temporary file the name of the next number; it fails when that name exists
//     3  the folder is synced; the lock and the last file are checked again, and no file is newer than the one just written
//        ... the caller commits, and only then answers ...
//
// A number that is taken, a lock held by another process, or a missing last file means fenced, permanently. A folder that cannot be read or written, or that
// does not answer, fences nobody: the guard is unavailable, nothing may be signed meanwhile, and the same step may be tried again.

using System.Globalization;

namespace TransparencyLog.Storage;

/// <summary>The guard could not be used, or did not answer in time. Nothing is decided: the call may be repeated with the same arguments.</summary>
public sealed class GuardUnavailableException : StorageException
{
    internal GuardUnavailableException(string message, int errno) : base(message, errno)
    {
    }
}

/// <summary>The reason why a guard cannot be used now.</summary>
/// <param name="Since">When the trouble began.</param>
/// <param name="Reason">The reason in words, for the operator.</param>
public sealed record GuardTrouble(DateTimeOffset Since, string Reason);

/// <summary>For tests: mistakes that a guard must not make. The race tests must detect each of them.</summary>
internal enum GuardFlaw
{
    None,

    /// <summary>Creates the name of the next number with rename(2), which replaces an existing file.</summary>
    Renames,

    /// <summary>Compares nothing, neither before the step nor after it, and uses the number after a taken one.</summary>
    Blind,

    /// <summary>Makes the step only after the caller has committed and answered.</summary>
    AfterCommit,
}

/// <summary>For tests: the behaviour of a guard.</summary>
/// <param name="Flaw">A planted mistake.</param>
/// <param name="LockIsLost">Neither acquiring nor checking the lock detects another holder, as on a file system that has lost its locks.</param>
internal sealed record GuardSeams(GuardFlaw Flaw = GuardFlaw.None, bool LockIsLost = false)
{
    /// <summary>How long a caller waits for an answer of the folder.</summary>
    public TimeSpan Limit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The seams of a guard that is opened without any.</summary>
    public static GuardSeams Usual { get; set; } = new();
}

/// <summary>
/// A locked guard. A dedicated thread makes all its storage calls, and every wait for one has a limit. Looks may come from any thread; only one owner
/// advances it.
/// </summary>
public sealed class GuardFence : IDisposable
{
    /// <summary>The maximum age of the last successful look when entries are acknowledged.</summary>
    public static readonly TimeSpan FreshFor = TimeSpan.FromSeconds(1);

    /// <summary>The interval of the looks of <see cref="WatchAsync"/>: normally, and while the guard is unavailable.</summary>
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(10), RetryEvery = TimeSpan.FromSeconds(1);

    private readonly string _directory;
    private readonly (ulong Device, ulong Inode) _folder;
    private readonly GuardRow _row;
    private readonly GuardThread _thread;
    private readonly GuardLock _lock;
    private readonly GuardSeams _seams;
    private readonly TimeProvider _time;
    private readonly GuardFile? _found; // the newest file at opening
    private readonly byte[]? _old;      // the guard of an older version, at opening
    private GuardFile? _last;           // the last file of this process; used only on the guard's thread
    private byte[]? _attempted;         // the bytes of the last step begun; used only on the guard's thread
    private ConflictException? _fenced; // written once
    private GuardTrouble? _trouble;
    private long _lookedAt = long.MinValue; // Posix.BootTime in ticks at the start of the last successful look

    private GuardFence(string directory, (ulong, ulong) folder, GuardRow row, GuardThread thread, GuardLock held, GuardSeams seams, TimeProvider time, GuardFile? found, byte[]? old)
    {
        _directory = directory;
        _folder = folder;
        _row = row;
        _thread = thread;
        _lock = held;
        _seams = seams;
        _time = time;
        _found = found;
        _old = old;
    }

    /// <summary>The folder of the guard.</summary>
    public string Directory => _directory;

    /// <summary>The newest state at opening, including that of a guard of an older version. Null when there was none.</summary>
    public ReadOnlyMemory<byte>? Newest => (_found?.Bytes ?? _old) is byte[] bytes ? new ReadOnlyMemory<byte>(bytes) : default(ReadOnlyMemory<byte>?);

    /// <summary>The file of <see cref="Newest"/>. When there is none, the path of the first file to come.</summary>
    public string NewestPath => _found?.Path ?? (_old is null ? _row.PathOf(1) : _row.OldPath);

    /// <summary>The reason why the guard cannot be used now; null while it can. A fenced guard does not set it.</summary>
    public GuardTrouble? Trouble => Volatile.Read(ref _trouble);

    /// <summary>The reason why this copy may not continue; null while it may.</summary>
    public ConflictException? Fenced => Volatile.Read(ref _fenced);

    /// <summary>
    /// Whether the last successful look began at most <see cref="FreshFor"/> ago. Time in which the machine was suspended or the process was stopped counts.
    /// </summary>
    public bool IsFresh => Fenced is null && Posix.BootTime().Ticks - Volatile.Read(ref _lookedAt) <= FreshFor.Ticks && Volatile.Read(ref _lookedAt) != long.MinValue;

    /// <summary>Called when <see cref="Trouble"/> begins (with the trouble) or ends (with null), for the operator's log.</summary>
    public Action<GuardTrouble?>? Changed { get; set; }

    /// <summary>
    /// Called when this copy is fenced, with the bytes of the conflicting file or of the newest one; null when there is none. Returns what they say in
    /// words, and the evidence in them.
    /// </summary>
    public Func<byte[]?, (string Words, TlogEvidence? Evidence)>? Explain { get; set; }

    /// <summary>
    /// Creates the folder if it is missing and allowed to be, acquires the lock, and reads the newest state. Changes nothing else before <see cref="Begin"/>.
    /// </summary>
    /// <param name="directory">The guard's folder.</param>
    /// <param name="name">The prefix of the names of its files.</param>
    /// <param name="extension">The extension of the names of its files, with the dot.</param>
    /// <param name="dataDirectory">The guarded data directory, written into the lock file for other processes.</param>
    /// <param name="mustExist">Whether to refuse a missing folder instead of creating it.</param>
    /// <param name="time">The clock for <see cref="Trouble"/> and for the intervals of <see cref="WatchAsync"/>.</param>
    /// <exception cref="StorageException">The folder or a file in it cannot be used; the message names it.</exception>
    public static GuardFence Open(string directory, string name, string extension, string dataDirectory, bool mustExist, TimeProvider time) =>
        Open(directory, name, extension, dataDirectory, mustExist, time, GuardSeams.Usual);

    internal static GuardFence Open(string directory, string name, string extension, string dataDirectory, bool mustExist, TimeProvider time, GuardSeams seams)
    {
        string folder = Path.GetFullPath(directory);
        GuardThread thread = new($"the guard {folder}", seams.Limit);
        try
        {
            return Wait(thread.RunAsync(stillWanted =>
            {
                if (Posix.Stat(folder) is null)
                {
                    if (mustExist) throw new StorageException($"the guard {folder} is missing: no such folder. Is its file system mounted?", Posix.ErrnoNoEntry);
                    DurableFile.CreateDirectory(folder);
                }

                PathInfo info = Posix.Stat(folder) ?? throw new StorageException("stat", folder, Posix.ErrnoNoEntry);
                if (info.Kind != PathKind.Directory) throw new StorageException($"the guard {folder} is not a folder");
                GuardRow row = new(folder, name, extension);
                GuardLock held = GuardLock.Acquire(row.LockPath, Path.GetFullPath(dataDirectory), seams.LockIsLost);
                try
                {
                    GuardFile? found = row.ReadNewest();
                    byte[]? old = found is null ? row.ReadOld() : null;
                    if (!stillWanted()) throw new StorageException($"the guard {folder} has answered too late");
                    return new GuardFence(folder, (info.Device, info.Inode), row, thread, held, seams, time, found, old);
                }
                catch
                {
                    held.Dispose();
                    throw;
                }
            }));
        }
        catch (Exception failure)
        {
            thread.Dispose();
            if (failure is StorageException { Errno: not 0 } failed) throw Unavailable(folder, failed);
            throw;
        }
    }

    /// <summary>
    /// Starts to use the guard: from here on the newest file of the row is ours. Adopts the newest file when <paramref name="agrees"/>; otherwise writes the
    /// next number.
    /// A guard of an older version is converted to a row, and a notice to older versions replaces its file.
    /// </summary>
    /// <param name="bytes">The state of the data directory, which is durable there already.</param>
    /// <param name="agrees">Whether the newest file holds the same state.</param>
    /// <exception cref="ConflictException">Another process has added to the row since it was opened.</exception>
    public void Begin(byte[] bytes, bool agrees)
    {
        try
        {
            Wait(_thread.RunAsync(stillWanted => BeginNow(bytes, agrees, stillWanted)));
        }
        catch (StorageException failure) when (failure.Errno != 0)
        {
            throw Unavailable(_directory, failure);
        }
    }

    private bool BeginNow(byte[] bytes, bool agrees, Func<bool> stillWanted)
    {
        if (_found is not null && agrees)
        {
            _row.Sync(adopted: _found.Sequence);
            _last = _found;
        }
        else
        {
            long next = (_found?.Sequence ?? 0) + 1;
            if (!_row.TryAdd(next, bytes, stillWanted, _seams.Flaw == GuardFlaw.Renames) && _seams.Flaw != GuardFlaw.Blind) throw Fence($"{_row.PathOf(next)} was written by another process", next);
            _row.Sync();
            _last = _found;
            if (_last is not null) RequireHeld();
            RequireNewest(next);
            _last = new GuardFile(next, _row.PathOf(next), bytes);
        }

        _row.RemoveLeftovers();
        _row.KeepOldVersionsOut();
        return true;
    }

    /// <summary>
    /// Step 1: throws when this copy is fenced. Otherwise <see cref="IsFresh"/> is true afterwards, unless the look itself took longer than
    /// <see cref="FreshFor"/>.
    /// </summary>
    /// <exception cref="ConflictException">This copy is fenced.</exception>
    /// <exception cref="GuardUnavailableException">The guard did not answer: it is unknown whether this copy is fenced.</exception>
    public Task LookAsync() => AskAsync(_ =>
    {
        if (_seams.Flaw == GuardFlaw.Blind) return;
        long begun = Posix.BootTime().Ticks;
        RequireHeld();
        long next = _last!.Sequence + 1;
        if (Posix.Stat(_row.PathOf(next), follow: false) is not null && !IsAttempted(next)) throw Fence($"{_row.PathOf(next)} was written by another process", next);
        if (_row.HasMarkerChanged()) throw Fence($"{_row.OldPath} has changed: a program of an older version is at work with this guard", null);
        Volatile.Write(ref _lookedAt, begun);
    });

    /// <summary>
    /// Steps 2 and 3: writes the next file of the row, which is durable when the task has completed. A call with the same bytes after
    /// <see cref="GuardUnavailableException"/> continues the same step.
    /// </summary>
    /// <exception cref="ConflictException">This copy is fenced: the head in <paramref name="bytes"/> must never be released.</exception>
    /// <exception cref="GuardUnavailableException">The outcome is unknown: the head in <paramref name="bytes"/> must not be released yet.</exception>
    public Task AdvanceAsync(byte[] bytes) => AskAsync(stillWanted =>
    {
        long begun = Posix.BootTime().Ticks;
        GuardFile last = _last!;

        // An earlier attempt succeeded after its caller had stopped waiting.
        if (last.Bytes.AsSpan().SequenceEqual(bytes))
        {
            RequireHeld();
            return;
        }

        long next = last.Sequence + 1;
        bool isAgain = _attempted is not null && _attempted.AsSpan().SequenceEqual(bytes) && IsAttempted(next);
        _attempted = bytes;
        bool isOurs = isAgain || _row.TryAdd(next, bytes, stillWanted, _seams.Flaw == GuardFlaw.Renames);
        while (!isOurs && _seams.Flaw == GuardFlaw.Blind) isOurs = _row.TryAdd(++next, bytes, stillWanted);
        if (!isOurs) throw Fence($"{_row.PathOf(next)} was written by another process", next);
        _row.Sync();
        if (_seams.Flaw != GuardFlaw.Blind)
        {
            RequireHeld();
            RequireNewest(next);
        }

        _last = new GuardFile(next, _row.PathOf(next), bytes);
        Volatile.Write(ref _lookedAt, begun);
        _row.RemoveBefore(last.Sequence);
    });

    /// <summary>Looks periodically until it is cancelled, more often while the guard is unavailable. Throws when this copy is fenced.</summary>
    public async Task WatchAsync(CancellationToken stop)
    {
        while (true)
        {
            try
            {
                await LookAsync().ConfigureAwait(false);
            }
            catch (GuardUnavailableException)
            {
                // AskAsync has recorded it in Trouble.
            }

            await Task.Delay(Trouble is null ? LookEvery : RetryEvery, _time, stop).ConfigureAwait(false);
        }
    }

    /// <summary>Ends the guard's thread and releases the lock.</summary>
    public void Dispose()
    {
        _thread.Dispose();
        _lock.Dispose();
    }

    private async Task AskAsync(Action<Func<bool>> ask)
    {
        if (Fenced is ConflictException fenced) throw fenced;
        try
        {
            await _thread.RunAsync(stillWanted =>
            {
                ask(stillWanted);
                return true;
            }).ConfigureAwait(false);
            if (Interlocked.Exchange(ref _trouble, null) is not null) Changed?.Invoke(null);
        }
        catch (ConflictException)
        {
            throw;
        }
        catch (StorageException failure)
        {
            GuardUnavailableException unavailable = Unavailable(_directory, failure);
            GuardTrouble now = new(Trouble?.Since ?? _time.GetUtcNow(), unavailable.Message);
            if (Interlocked.Exchange(ref _trouble, now) is null) Changed?.Invoke(now);
            throw unavailable;
        }
    }

    /// <summary>Requires that the folder is the one that was opened, this process holds the lock, and its last file is there with the bytes it wrote.</summary>
    private void RequireHeld()
    {
        // An unmounted file system leaves an empty folder: then the guard is unavailable, which does not fence.
        if (Posix.Stat(_directory) is not PathInfo folder) throw new StorageException($"{_directory} is gone", Posix.ErrnoNoEntry);
        if ((folder.Device, folder.Inode) != _folder) throw new StorageException($"{_directory} is another folder than at the start. Is its file system mounted?", Posix.ErrnoNoEntry);
        if (!_seams.LockIsLost && _lock.WhyLost() is string why) throw Fence(why, null);
        GuardFile last = _last!;
        if (_row.Read(last.Sequence) is not GuardFile found) throw Fence($"{last.Path}, the last file of this process, is gone", null);
        if (!found.Bytes.AsSpan().SequenceEqual(last.Bytes)) throw Fence($"{last.Path} is not what this process wrote", last.Sequence);
    }

    /// <summary>
    /// Requires that the file just written is the newest of the row. <see cref="RequireHeld"/> is not enough: the removal of our last file was not synced, so
    /// a loss of power on the guard's machine may undo it, and the file is found although another copy is far ahead (spec/model, LOOK_FOR_LAST_ONLY).
    /// </summary>
    private void RequireNewest(long sequence)
    {
        List<long> all = _row.List();
        if (all.Count == 0 || all[^1] < sequence) throw Fence($"{_row.PathOf(sequence)}, which this process has just written, is gone", null);
        if (all[^1] > sequence) throw Fence($"{_row.PathOf(all[^1])} was written by another process", all[^1]);
    }

    /// <summary>Whether the file of this number was left by an attempt of this process whose caller got no answer.</summary>
    private bool IsAttempted(long sequence) => _attempted is byte[] attempted && _row.Read(sequence) is GuardFile found && found.Bytes.AsSpan().SequenceEqual(attempted);

    private ConflictException Fence(string what, long? sequence)
    {
        byte[]? found = null;
        try
        {
            found = (sequence is long one ? _row.Read(one) : _row.ReadNewest())?.Bytes;
        }
        catch (StorageException)
        {
            // The copy is fenced even when the file cannot be read.
        }

        (string words, TlogEvidence? evidence) = Explain?.Invoke(found) ?? ("", null);
        ConflictException fenced = new($"fenced: the guard {_directory} was moved by another process that works with a copy of this data: {what}{words}", evidence);
        Interlocked.CompareExchange(ref _fenced, fenced, null);
        return Fenced!;
    }

    private static GuardUnavailableException Unavailable(string directory, StorageException failure) =>
        failure as GuardUnavailableException ?? new GuardUnavailableException($"the guard {directory} cannot be used: {failure.Message}", failure.Errno);

    private static T Wait<T>(Task<T> task) => task.GetAwaiter().GetResult();
}
