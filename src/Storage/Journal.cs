// The embedded journal: frames (JournalFrame.cs) in a row of zero-filled files of one size, spec/storage.md.
//
//   journal/000000000001  journal/000000000002 ...   numbered without a gap; the oldest are removed by trimming
//   journal/000000000003.new                         the next file while it is being filled with zeros
//
// A frame never crosses files. Files are never reused: after the last frame come zeros, or the frame that was being written when the machine stopped. An append
// writes and syncs on the caller's thread. The caller has a dedicated thread, and waking up another thread and back would cost as much as the sync of a good
// disk.

using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Options for the files of a journal.</summary>
public sealed record JournalOptions
{
    /// <summary>The smallest file in bytes. The largest frame fits, with room to spare.</summary>
    public const int MinFileBytes = 4 * 1024 * 1024;

    /// <summary>The largest file in bytes. Opening reads a whole file into memory.</summary>
    public const int MaxFileBytes = 1024 * 1024 * 1024;

    /// <summary>64 MiB: filling a file of this size with zeros takes tens of milliseconds in the background.</summary>
    public const int DefaultFileBytes = 64 * 1024 * 1024;

    /// <summary>
    /// The size of each file in bytes, a multiple of 4,096 from <see cref="MinFileBytes"/> to <see cref="MaxFileBytes"/>. Trimming frees space in steps of
    /// this size.
    /// </summary>
    public int FileBytes { get; init; } = DefaultFileBytes;

    /// <summary>Whether this is a valid file size.</summary>
    public static bool IsFileSize(long bytes) => bytes is >= MinFileBytes and <= MaxFileBytes && bytes % 4096 == 0;

    /// <summary>Eight bytes that identify the log. A frame with other bytes is not from this log.</summary>
    public required ulong Identity { get; init; }
}

/// <summary>The journal in files. See <see cref="IJournal"/> for the contract.</summary>
public sealed class Journal : IJournal
{
    private static readonly byte[] Zeros = new byte[1024 * 1024];

    /// <summary>The pause between two attempts to create the next file on a full disk.</summary>
    private static readonly TimeSpan RoomPause = TimeSpan.FromSeconds(1);

    private readonly string _directory;
    private readonly JournalOptions _options;
    private readonly DirectoryLock? _held;
    private readonly List<(long Number, long FirstIndex)> _files = []; // oldest first; guarded by itself
    private SafeFileHandle _file;         // used by the append in flight
    private string _path;
    private int _offset;
    private long _sequence;               // of the next frame
    private Task<SafeFileHandle>? _next;  // the next file, being filled
    private long _nextIndex;
    private bool _inFlight;
    private bool _waitsForRoom;
    private bool _closed;
    private Exception? _failure;          // sticky: after it nothing is acknowledged

    private Journal(string directory, JournalOptions options, JournalScan opened, DirectoryLock? held)
    {
        _held = held;
        _directory = directory;
        _options = options;
        _files.AddRange(opened.Files);
        _path = JournalScan.PathOf(directory, opened.Files[^1].Number);
        _file = Posix.Open(_path, Posix.ReadWrite | Posix.NoFollow);
        _offset = opened.Offset;
        _sequence = opened.NextSequence;
        NextIndex = opened.NextIndex;
        Cut = opened.Torn;
    }

    /// <inheritdoc/>
    public long FirstIndex
    {
        get
        {
            lock (_files) return _files[0].FirstIndex;
        }
    }

    /// <inheritdoc/>
    public long NextIndex
    {
        get => Volatile.Read(ref _nextIndex);
        private set => Volatile.Write(ref _nextIndex, value);
    }

    /// <summary>Describes the torn frame that opening cut; null when none was cut.</summary>
    public string? Cut { get; }

    /// <summary>Whether an append is waiting for disk space for the next file. Nothing of that append is written yet.</summary>
    public bool WaitsForRoom => Volatile.Read(ref _waitsForRoom);

    /// <summary>The number of data syncs: one per frame.</summary>
    public long Syncs { get; private set; }

    /// <summary>The bytes of all frames written by this instance, rounded up to sectors.</summary>
    public long FrameBytes { get; private set; }

    /// <summary>Creates an empty journal in a new directory.</summary>
    public static void Create(string directory, JournalOptions options)
    {
        Check(options);
        DurableFile.CreateDirectory(directory);
        if (Paths.FirstIn(directory) is not null) throw new StorageException($"{directory} is not empty");
        Fill(directory, 1, options.FileBytes).Dispose();
    }

    /// <summary>
    /// Opens a journal, distinguishes torn from damaged, and cuts a torn last frame. Rewrites and syncs every frame with entries at or after
    /// <paramref name="rewriteFrom"/>, the signed size: after a crash, a frame that was read from the page cache may not be on disk, and after a failed sync
    /// another sync would not write it. Entries below the signed size were durable, so their frames are never cut as torn. A journal that is refused is not
    /// changed.
    /// </summary>
    /// <exception cref="DamageException">An interruption does not explain the bytes of the journal.</exception>
    public static Journal Open(string directory, JournalOptions options, long rewriteFrom) => Open(directory, options, rewriteFrom, (_, _) => null, null);

    /// <summary>
    /// As above. <paramref name="refuse"/> is called with the first and the next index before anything is changed; it returns the reason to refuse them, or
    /// null. An append throws before it writes when the lock is lost. It also throws when the lock is lost once the frame is synced: then it is unknown
    /// whether the frame is stored.
    /// </summary>
    internal static Journal Open(string directory, JournalOptions options, long rewriteFrom, Func<long, long, string?> refuse, DirectoryLock? held)
    {
        Check(options);
        JournalScan scan = JournalScan.Read(directory, options, rewriteFrom, null);
        if (refuse(scan.Files[0].FirstIndex, scan.NextIndex) is string refusal) throw new StorageException($"{directory}: {refusal}");
        scan.Repair();
        return new Journal(directory, options, scan, held);
    }

    /// <summary>
    /// Reads a journal without changing it: every frame in order, up to a torn last frame. Throws <see cref="DamageException"/> as opening does.
    /// </summary>
    /// <returns>The index after the last entry.</returns>
    public static long Inspect(string directory, JournalOptions options, Action<JournalEntries> frame)
    {
        Check(options);
        return JournalScan.Read(directory, options, 0, frame).NextIndex;
    }

    /// <summary>Implements <see cref="IJournal.AppendAsync"/> synchronously: blocks the caller's thread, and has completed or failed when it returns.</summary>
    public ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop)
    {
        if (frame.Count == 0) throw new ArgumentException("a frame holds at least one entry", nameof(frame));
        if (Interlocked.Exchange(ref _inFlight, true)) throw new InvalidOperationException("an append is in flight");
        try
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (_failure is Exception before) return ValueTask.FromException<long>(Failed(before));
            return ValueTask.FromResult(Write(frame, stop));
        }
        catch (Exception failure) when (failure is not ObjectDisposedException)
        {
            // It is unknown whether the frame is on disk, and a second sync of this file would prove nothing.
            _failure = failure;
            return ValueTask.FromException<long>(failure);
        }
        finally
        {
            Volatile.Write(ref _inFlight, false);
        }
    }

    /// <inheritdoc/>
    public IJournalReader Follow(long from) => new JournalReader(this, _directory, _options, from);

    /// <summary>The file that holds an entry or will hold it: its number and the index of its first entry.</summary>
    internal (long Number, long FirstIndex) FileOf(long index)
    {
        lock (_files)
        {
            int i = _files.Count - 1;
            while (i > 0 && _files[i].FirstIndex > index) i--;
            return _files[i];
        }
    }

    /// <inheritdoc/>
    public ValueTask TrimAsync(long below, CancellationToken stop)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(below, NextIndex);
        List<long> remove = [];
        lock (_files)
        {
            // Only remove a file when the one after it begins below what is durable: while the first frame of that file is still being written, only the
            // files before it contain the next index.
            while (_files.Count > 1 && _files[1].FirstIndex < below)
            {
                remove.Add(_files[0].Number);
                _files.RemoveAt(0);
            }
        }

        // Remove the oldest first, so that a crash in between leaves numbers without a gap.
        foreach (long number in remove) Posix.Unlink(JournalScan.PathOf(_directory, number));
        if (remove.Count > 0) Posix.SyncDirectory(_directory);
        return ValueTask.CompletedTask;
    }

    /// <summary>Closes the files. Call it when no append is in flight.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_closed) return;
        _closed = true;
        if (_next is not null)
        {
            try
            {
                (await _next.ConfigureAwait(false)).Dispose();
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                // The next file was never used. Opening removes its leftovers.
            }
        }

        _file.Dispose();
    }

    private long Write(JournalFrame frame, CancellationToken stop)
    {
        long first = NextIndex;
        ReadOnlyMemory<byte> bytes = frame.Seal(_sequence, first, _sequence - 1, _options.Identity);
        if (_offset + bytes.Length > _options.FileBytes) Switch(stop);

        // Check the lock before the write, so that no frame of another process is overwritten, and after it, so that no index is acknowledged that the other
        // process also assigned.
        _held?.ThrowIfLost();
        Posix.Write(_file, bytes.Span, _offset, _path);
        Posix.SyncData(_file, _path);
        Posix.Verify(_file, bytes.Span, _offset, _path);
        _held?.ThrowIfLost();
        Syncs++;
        FrameBytes += bytes.Length;
        _offset += bytes.Length;
        _sequence++;
        NextIndex = first + frame.Count;
        if (_next is null && _offset > _options.FileBytes / 2) _next = FillNextAsync();
        return first;
    }

    private void Switch(CancellationToken stop)
    {
        SafeFileHandle next = Next(stop);
        lock (_files)
        {
            _file.Dispose();
            _file = next;
            long number = _files[^1].Number + 1;
            _files.Add((number, NextIndex));
            _path = JournalScan.PathOf(_directory, number);
        }

        _offset = 0;
    }

    /// <summary>
    /// Returns the next file. A disk without bytes or inodes for it is not a failure of the journal, because nothing of the journal was changed: a caller
    /// that can be cancelled waits until there is room.
    /// </summary>
    private SafeFileHandle Next(CancellationToken stop)
    {
        try
        {
            while (true)
            {
                Task<SafeFileHandle>? prepared = _next;
                _next = null;
                try
                {
                    return (prepared ?? FillNextAsync()).GetAwaiter().GetResult();
                }
                catch (StorageException) when (prepared is not null)
                {
                    // Filling failed in the background, perhaps because the disk was full. There may be room again.
                }
                catch (StorageException failure) when (failure.IsFull && stop.CanBeCanceled && !stop.IsCancellationRequested)
                {
                    Volatile.Write(ref _waitsForRoom, true);
                    stop.WaitHandle.WaitOne(RoomPause);
                }
            }
        }
        finally
        {
            Volatile.Write(ref _waitsForRoom, false);
        }
    }

    /// <summary>The files of the journal, oldest first; the newest with its descriptor.</summary>
    internal IEnumerable<WatchedFile> FilesInUse()
    {
        lock (_files) return [.. _files.Select((file, i) => new WatchedFile(JournalScan.PathOf(_directory, file.Number), i == _files.Count - 1 ? _file : null))];
    }

    private Task<SafeFileHandle> FillNextAsync()
    {
        long number;
        lock (_files) number = _files[^1].Number + 1;
        return Task.Factory.StartNew(
            () => Fill(_directory, number, _options.FileBytes), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private static SafeFileHandle Fill(string directory, long number, int size)
    {
        string path = JournalScan.PathOf(directory, number);
        string unfinished = path + ".new";
        SafeFileHandle file = Posix.Open(unfinished, Posix.ReadWrite | Posix.Create | Posix.Truncate | Posix.NoFollow);
        try
        {
            for (int offset = 0; offset < size; offset += Zeros.Length)
            {
                Posix.Write(file, Zeros.AsSpan(0, Math.Min(Zeros.Length, size - offset)), offset, unfinished);
            }

            Posix.Sync(file, unfinished);
            if (Posix.LengthOf(file, unfinished) != size) throw new StorageException("pwrite", unfinished, Posix.ErrnoIo);
            Posix.Rename(unfinished, path);
            Posix.SyncDirectory(directory);
            return file;
        }
        catch
        {
            // Free the space: the commit record and the record of a halt may still have to be written to this disk.
            file.Dispose();
            Posix.TryUnlink(unfinished);
            throw;
        }
    }

    private static StorageException Failed(Exception cause) => new($"the journal has failed and takes nothing more: {cause.Message}");

    private static void Check(JournalOptions options)
    {
        if (!JournalOptions.IsFileSize(options.FileBytes))
        {
            throw new ArgumentOutOfRangeException(nameof(options), $"FileBytes is a multiple of 4,096 from {JournalOptions.MinFileBytes} to {JournalOptions.MaxFileBytes}");
        }
    }
}
