// The guard of a data directory as a fence: of two live copies of the directory that share it, at most one goes on (spec/storage.md, "The guard").
//
// What is guarded moves in steps, and each step is a file with the next number (GuardRow.cs). Advancing is a compare-and-swap:
//
//     1  Look: the lock is ours, our last file is there as we wrote it, and the next number is free
//        ... the caller writes its own history ...
//     2  a temporary file gets the name of the next number with link(2), which fails where that name exists
//     3  the folder is synced; the lock and our last file are looked at again, and no file is newer than the one just written
//        ... the caller commits, and only then answers ...
//
// A taken number, a lock that is another's, or a last file that is gone: fenced, for good. A folder that cannot be read or written, or does not answer, fences nobody: it is
// unavailable, nothing may be signed meanwhile, and the same step may be tried again.

using System.Globalization;

namespace TransparencyLog.Storage;

/// <summary>The guard could not be asked, or has not answered in time. Nothing is decided: the call may be repeated with the same arguments.</summary>
public sealed class GuardUnavailableException : StorageException
{
    internal GuardUnavailableException(string message, int errno) : base(message, errno)
    {
    }
}

/// <summary>Why a guard cannot be used now.</summary>
/// <param name="Since">Since when.</param>
/// <param name="Reason">In words, for the operator.</param>
public sealed record GuardTrouble(DateTimeOffset Since, string Reason);

/// <summary>For tests: mistakes that a guard must not make. The race tests have to find each.</summary>
internal enum GuardFlaw
{
    None,

    /// <summary>The name of the next number is taken with rename(2), which replaces a file that has it.</summary>
    Renames,

    /// <summary>Nothing is compared: neither before the step nor after it, and a taken number leads to the next.</summary>
    Blind,

    /// <summary>The step is made when the caller has committed and answered.</summary>
    AfterCommit,
}

/// <summary>For tests: how a guard is to behave.</summary>
/// <param name="Flaw">A planted mistake.</param>
/// <param name="LockIsLost">Neither taking the lock nor looking at it says anything, as on a file system that has forgotten it.</param>
internal sealed record GuardSeams(GuardFlaw Flaw = GuardFlaw.None, bool LockIsLost = false)
{
    /// <summary>How long a caller waits for the folder.</summary>
    public TimeSpan Limit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>What applies where nothing else is said.</summary>
    public static GuardSeams Usual { get; set; } = new();
}

/// <summary>A guard that is locked. All its storage calls are made on a thread of its own, and every wait for them has a limit. Looks may come from any thread; one owner advances it.</summary>
public sealed class GuardFence : IDisposable
{
    /// <summary>How old a look may be when something is acknowledged.</summary>
    public static readonly TimeSpan FreshFor = TimeSpan.FromSeconds(1);

    /// <summary>How often <see cref="WatchAsync"/> looks, and how often while the guard is unavailable.</summary>
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(10), RetryEvery = TimeSpan.FromSeconds(1);

    private readonly string _directory;
    private readonly (ulong Device, ulong Inode) _folder;
    private readonly GuardRow _row;
    private readonly GuardThread _thread;
    private readonly GuardLock _lock;
    private readonly GuardSeams _seams;
    private readonly TimeProvider _time;
    private readonly GuardFile? _found; // at opening
    private readonly byte[]? _old;      // of a version before, at opening
    private GuardFile? _last;           // ours; of the thread's jobs
    private byte[]? _attempted;         // whose step was begun; of the thread's jobs
    private ConflictException? _fenced; // written once
    private GuardTrouble? _trouble;
    private long _lookedAt = long.MinValue; // ticks of Posix.BootTime when the last look that found all well was begun

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

    /// <summary>The folder.</summary>
    public string Directory => _directory;

    /// <summary>The newest state at opening, also of a guard of the versions before; null where there was none.</summary>
    public ReadOnlyMemory<byte>? Newest => (_found?.Bytes ?? _old) is byte[] bytes ? new ReadOnlyMemory<byte>(bytes) : default(ReadOnlyMemory<byte>?);

    /// <summary>The file of <see cref="Newest"/>; the name of the first one where there is none.</summary>
    public string NewestPath => _found?.Path ?? (_old is null ? _row.PathOf(1) : _row.OldPath);

    /// <summary>Why the guard cannot be used now; null while it can. Also null once it is fenced.</summary>
    public GuardTrouble? Trouble => Volatile.Read(ref _trouble);

    /// <summary>Why this copy may not go on; null while it may.</summary>
    public ConflictException? Fenced => Volatile.Read(ref _fenced);

    /// <summary>Whether a look that found all well was begun less than <see cref="FreshFor"/> ago, the time included in which the machine or the process was suspended.</summary>
    public bool IsFresh => Fenced is null && Posix.BootTime().Ticks - Volatile.Read(ref _lookedAt) <= FreshFor.Ticks && Volatile.Read(ref _lookedAt) != long.MinValue;

    /// <summary>Called when <see cref="Trouble"/> comes or goes, for the operator's log.</summary>
    public Action<GuardTrouble?>? Changed { get; set; }

    /// <summary>Called when this copy is fenced, with the bytes of the newest file where there is one: what they say, and evidence in them.</summary>
    public Func<byte[]?, (string Words, TlogEvidence? Evidence)>? Explain { get; set; }

    /// <summary>Makes the folder where there is none, takes the lock, and reads the newest state. Nothing else is changed before <see cref="Begin"/>.</summary>
    /// <param name="directory">The guard's folder.</param>
    /// <param name="name">What the names of its files begin with.</param>
    /// <param name="extension">What they end with, with its dot.</param>
    /// <param name="dataDirectory">What is guarded, for others to read.</param>
    /// <param name="mustExist">Whether a folder that is not there is a refusal.</param>
    /// <param name="time">The clock of <see cref="Trouble"/>.</param>
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
    /// Begins to use it: from here on the row's newest file is ours. Adopts the newest one where it holds these bytes or <paramref name="agrees"/>; otherwise writes the next number.
    /// A guard of the versions before becomes a row, and a text takes its place.
    /// </summary>
    /// <param name="bytes">The state of the data directory, which is durable there.</param>
    /// <param name="agrees">Whether the newest file says the same.</param>
    /// <exception cref="ConflictException">Another process has moved the row since it was opened.</exception>
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

    /// <summary>Step 1: throws when this copy is fenced. Otherwise it is <see cref="IsFresh"/>, unless the answer took longer.</summary>
    /// <exception cref="ConflictException">It is fenced.</exception>
    /// <exception cref="GuardUnavailableException">Nobody knows.</exception>
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

    /// <summary>Steps 2 and 3: the next file of the row, durable when the task has completed. The same bytes once more, after <see cref="GuardUnavailableException"/>, are the same step.</summary>
    /// <exception cref="ConflictException">It is fenced: what the bytes stand for may not be released.</exception>
    /// <exception cref="GuardUnavailableException">Nobody knows: what they stand for may not be released yet.</exception>
    public Task AdvanceAsync(byte[] bytes) => AskAsync(stillWanted =>
    {
        long begun = Posix.BootTime().Ticks;
        GuardFile last = _last!;

        // An earlier attempt went through after its caller had stopped waiting.
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

    /// <summary>Looks now and then until it is stopped, more often while the guard is unavailable. Throws when this copy is fenced.</summary>
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
                // Kept as the trouble.
            }

            await Task.Delay(Trouble is null ? LookEvery : RetryEvery, _time, stop).ConfigureAwait(false);
        }
    }

    /// <summary>Ends its thread and releases the lock.</summary>
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

    /// <summary>The folder is the one that was opened, the lock is ours, and our last file is there as we wrote it.</summary>
    private void RequireHeld()
    {
        // A file system that is not mounted leaves an empty folder: that is no fence.
        if (Posix.Stat(_directory) is not PathInfo folder) throw new StorageException($"{_directory} is gone", Posix.ErrnoNoEntry);
        if ((folder.Device, folder.Inode) != _folder) throw new StorageException($"{_directory} is another folder than at the start. Is its file system mounted?", Posix.ErrnoNoEntry);
        if (!_seams.LockIsLost && _lock.WhyLost() is string why) throw Fence(why, null);
        GuardFile last = _last!;
        if (_row.Read(last.Sequence) is not GuardFile found) throw Fence($"{last.Path}, the last file of this process, is gone", null);
        if (!found.Bytes.AsSpan().SequenceEqual(last.Bytes)) throw Fence($"{last.Path} is not what this process wrote", last.Sequence);
    }

    /// <summary>
    /// The file just written is the newest of the row. A loss of power on the machine of the guard may undo the removal of our last file, which was not synced: then
    /// <see cref="RequireHeld"/> finds it although another copy is far ahead (spec/model, LOOK_FOR_LAST_ONLY).
    /// </summary>
    private void RequireNewest(long sequence)
    {
        List<long> all = _row.List();
        if (all.Count == 0 || all[^1] < sequence) throw Fence($"{_row.PathOf(sequence)}, which this process has just written, is gone", null);
        if (all[^1] > sequence) throw Fence($"{_row.PathOf(all[^1])} was written by another process", all[^1]);
    }

    /// <summary>Whether the file of a number is what an attempt of ours has left whose caller was told nothing.</summary>
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
            // The fence stands without.
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
