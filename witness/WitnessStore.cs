// The memory of the witness: one store for all origins, with group commits.
//
//     snapshot     the newest note of each origin at some index (Snapshot.cs)
//     journal/     every update since then, one entry each (StoredNotes.cs); frames and files as in Storage/Journal.cs
//     a guard      in another directory, if configured; it fences this copy of the store off from others (Guard.cs)
//
// A single writer thread puts all waiting updates into one frame, syncs once, advances the guard, and only then lets the callers answer. Requests that are
// being checked are announced, and a frame waits a little for them: 64 requests at the same time cost one sync. After a failure the store accepts no more
// updates: it is unknown whether the last frame is on disk, and only a new start can find out.

using System.Buffers.Binary;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>Keeps the newest note of each origin, durably. Safe for concurrent use.</summary>
internal sealed class WitnessStore : IAsyncDisposable
{
    /// <summary>
    /// Size of a journal file. The frames of a witness are small, one to a few kilobytes, so 8 MiB hold thousands of them. A start reads two or three files.
    /// </summary>
    public const int JournalFileBytes = 8 * 1024 * 1024;

    /// <summary>
    /// How long a frame waits for announced requests. A check takes 0.2 ms, so the checks of 64 requests on two cores take no longer than this.
    /// </summary>
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(8);

    /// <summary>How often the guard is asked again while it is unavailable.</summary>
    private static readonly TimeSpan UsualGuardRetry = TimeSpan.FromMilliseconds(500);

    /// <summary>Largest note in bytes: the length of an entry is a u16.</summary>
    public const int MaxNote = EntryBundle.MaxEntrySize;

    private readonly WitnessDirectory _directory;
    private readonly string _snapshotPath;
    private readonly ulong _identity;
    private readonly int _snapshotEvery;
    private readonly IJournal _journal;
    private readonly Journal _opened; // the journal itself; in tests _journal may be a wrapper with faults
    private readonly Guard? _guard;
    private readonly TimeSpan _guardRetry;
    private readonly StoredNotes _notes; // used by the writer only, once it runs
    private readonly JournalFrame _frame = new();
    private readonly Task _writer;
    private long _sinceSnapshot; // bytes of entries; used by the writer only
    private Exception? _failure; // set once, read by any thread
    private Task _watching = Task.CompletedTask;
    private readonly CancellationTokenSource _stopWatching = new();

    private readonly object _gate = new(); // guards _waiting, _coming and _closed

    // Needs no bound: each origin has at most one update here (its lock is held until the answer), and the origins are configured.
    private readonly Queue<Update> _waiting = new();
    private int _coming;  // announced updates that are neither here nor refused yet
    private bool _closed;
    private readonly CancellationTokenSource _closing = new();

    private WitnessStore(WitnessDirectory directory, ulong identity, int journalFileBytes, Journal opened, IJournal journal, Guard? guard, TimeSpan guardRetry, StoredNotes notes)
    {
        _directory = directory;
        _snapshotPath = SnapshotPath(directory.Root);
        _identity = identity;
        // Half a file of entries. Frames are rounded up to sectors, so that is about one file of journal after the snapshot.
        _snapshotEvery = journalFileBytes / 2;
        _opened = opened;
        _journal = journal;
        _guard = guard;
        _guardRetry = guardRetry;
        _notes = notes;
        Loaded = new Dictionary<string, byte[]>(notes.Newest, StringComparer.Ordinal);
        _writer = Task.Factory.StartNew(Run, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>The newest notes, by origin, at the time when the store was opened.</summary>
    public IReadOnlyDictionary<string, byte[]> Loaded { get; }

    /// <summary>Watches the files of this store and of its directory.</summary>
    /// <param name="keyGone">Called once for each key file that can no longer be read.</param>
    /// <param name="time">The clock.</param>
    public FileWatch Watch(Action<string> keyGone, TimeProvider time) => FileWatch.Of(_opened, [_directory.IdentityPath], [_snapshotPath], _directory.KeyPaths, keyGone, time);

    /// <summary>Describes a frame that was never answered and that the opening cut off; null when there was none.</summary>
    public string? Cut { get; private init; }

    /// <summary>Why the guard cannot be used now; null while it can. Without the guard, no update completes.</summary>
    public GuardTrouble? GuardTrouble => _guard?.Fence.Trouble;

    /// <summary>Why no more updates are accepted; null while all is well.</summary>
    public Exception? Failure => Volatile.Read(ref _failure) ?? _guard?.Fence.Fenced;

    /// <summary>Makes an empty store.</summary>
    public static void Create(string directory, VerifierKey witness, int journalFileBytes)
    {
        Journal.Create(JournalPath(directory), OptionsFor(witness, journalFileBytes));
        Snapshot.Write(SnapshotPath(directory), new StoredNotes(0, default), OptionsFor(witness, journalFileBytes).Identity);
    }

    /// <summary>
    /// Opens the store of a locked directory. Reads the snapshot, then every later entry of the journal.
    /// </summary>
    /// <param name="directory">The data directory, locked.</param>
    /// <param name="guardDirectory">The directory of the guard; null for none.</param>
    /// <param name="journalFileBytes">Size of a journal file.</param>
    /// <param name="wrap">Wraps the journal; null for no wrapper.</param>
    /// <param name="time">The clock of the guard.</param>
    /// <param name="guardRetry">How often the guard is asked again while it is unavailable; null for the default.</param>
    /// <exception cref="StorageException">Snapshot, journal and guard do not agree, or something is missing.</exception>
    public static WitnessStore Open(WitnessDirectory directory, string? guardDirectory, int journalFileBytes, Func<IJournal, IJournal>? wrap, TimeProvider? time = null, TimeSpan? guardRetry = null)
    {
        string root = directory.Root, journalPath = JournalPath(root);
        VerifierKey witness = directory.Cosigners[0].Key;
        JournalOptions options = OptionsFor(witness, journalFileBytes);
        (StoredNotes notes, List<Hash> chains, long lastFrame, long sinceSnapshot) = Read(root, options);
        Guard? guard = Guard.Open(root, guardDirectory, witness, notes, chains, lastFrame, time ?? TimeProvider.System);

        // Only the last frame may have been read from the page cache without being on disk: the sync of each earlier frame had returned before the next was
        // written. So the last frame is written again and synced before anything is answered from it.
        Journal? journal = null;
        try
        {
            journal = Journal.Open(journalPath, options, rewriteFrom: lastFrame);
            guard?.Begin(notes);
        }
        catch
        {
            journal?.DisposeAsync().AsTask().GetAwaiter().GetResult();
            guard?.Dispose();
            throw;
        }

        return new WitnessStore(directory, options.Identity, journalFileBytes, journal, wrap?.Invoke(journal) ?? journal, guard, guardRetry ?? UsualGuardRetry, notes)
        {
            Cut = journal.Cut,
            _sinceSnapshot = sinceSnapshot,
        };
    }

    /// <summary>Reads the content of the store of a locked directory. Changes nothing.</summary>
    /// <exception cref="StorageException">Snapshot and journal do not agree, or something is missing.</exception>
    public static StoredNotes ReadNotes(WitnessDirectory directory, int journalFileBytes) => Read(directory.Root, OptionsFor(directory.Cosigners[0].Key, journalFileBytes)).Notes;

    /// <summary>Looks at the guard from time to time until the store is closed. A fence is a failure of the store.</summary>
    /// <param name="changed">Called when the guard becomes unavailable, and with null when it answers again.</param>
    /// <param name="failed">Called once, when this copy is fenced.</param>
    public void WatchGuard(Action<GuardTrouble?> changed, Action<Exception> failed)
    {
        if (_guard is null) return;
        _guard.Fence.Changed = changed;
        _watching = WatchAsync();

        async Task WatchAsync()
        {
            try
            {
                await _guard.Fence.WatchAsync(_stopWatching.Token);
            }
            catch (OperationCanceledException) when (_stopWatching.IsCancellationRequested)
            {
                // Normal shutdown.
            }
            catch (ConflictException fenced)
            {
                _guard.KeepFence(fenced);
                failed(fenced);
            }
        }
    }

    private static (StoredNotes Notes, List<Hash> Chains, long LastFrame, long SinceSnapshot) Read(string root, JournalOptions options)
    {
        string journalPath = JournalPath(root);
        StoredNotes notes = Snapshot.Read(SnapshotPath(root), options.Identity);
        long snapshotIndex = notes.Index;
        List<Hash> chains = [notes.Chain];
        long lastFrame = 0, sinceSnapshot = 0;
        long? firstIndex = null;
        long end = Journal.Inspect(journalPath, options, frame =>
        {
            firstIndex ??= frame.FirstIndex;
            if (firstIndex > snapshotIndex) throw Disagree(root, $"the journal begins at update {firstIndex}, and the snapshot ends at {snapshotIndex}");
            lastFrame = frame.FirstIndex;
            long index = frame.FirstIndex;
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(frame.Bundle.Span))
            {
                if (index++ < snapshotIndex) continue;
                notes.Apply(entry.ToArray(), $"{journalPath}, update {index - 1}");
                chains.Add(notes.Chain);
                sinceSnapshot += entry.Length;
            }
        });
        if (end < snapshotIndex) throw Disagree(root, $"the journal ends at update {end}, and the snapshot at {snapshotIndex}");
        return (notes, chains, lastFrame, sinceSnapshot);
    }

    /// <summary>Reads the newest notes in a locked directory, by origin. Changes nothing, and does not ask the guard: only a start judges the store.</summary>
    /// <param name="directory">The data directory, locked.</param>
    /// <param name="journalFileBytes">Size of a journal file.</param>
    /// <exception cref="StorageException">Snapshot or journal is damaged.</exception>
    public static IReadOnlyDictionary<string, byte[]> ReadNewest(WitnessDirectory directory, int journalFileBytes)
    {
        JournalOptions options = OptionsFor(directory.Cosigners[0].Key, journalFileBytes);
        StoredNotes notes = Snapshot.Read(SnapshotPath(directory.Root), options.Identity);
        long from = notes.Index;
        string path = JournalPath(directory.Root);
        Journal.Inspect(path, options, frame =>
        {
            long index = frame.FirstIndex;
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(frame.Bundle.Span))
            {
                if (index++ >= from) notes.Apply(entry.ToArray(), $"{path}, update {index - 1}");
            }
        });
        return notes.Newest;
    }

    /// <summary>
    /// Announces that an update may come, so that the next frame waits for it. To be disposed when no update will come; <see cref="SaveAsync"/> disposes it
    /// too.
    /// </summary>
    public IDisposable Announce()
    {
        lock (_gate) _coming++;
        return new Announced(this);
    }

    /// <summary>
    /// Makes the note the newest of its origin. When the task completes, the note is durable and final. When the task fails, it is unknown whether the note is
    /// stored, and every later call fails too. The caller holds the origin's lock.
    /// </summary>
    /// <param name="note">The note.</param>
    /// <param name="announced">The announcement of this update by <see cref="Announce"/>; it ends here.</param>
    public Task SaveAsync(byte[] note, IDisposable? announced = null)
    {
        if (note.Length > MaxNote) throw new ArgumentException($"a note has at most {MaxNote} bytes", nameof(note));
        Update update = new(note);
        lock (_gate)
        {
            if (_closed) return Task.FromException(new StorageException("the store has failed and takes nothing more"));
            _waiting.Enqueue(update);
            if (_waiting.Count == 1 && announced is null) Monitor.Pulse(_gate);
        }

        announced?.Dispose();
        return update.Done.Task;
    }

    /// <summary>Accepts no more updates, as after a failure of the store itself.</summary>
    public void Fail(Exception failure)
    {
        Interlocked.CompareExchange(ref _failure, failure, null);
        Close();
    }

    /// <summary>Finishes the accepted updates and closes the journal.</summary>
    public async ValueTask DisposeAsync()
    {
        Close();
        await _stopWatching.CancelAsync();
        await _writer;
        await _watching;
        await _journal.DisposeAsync();
        _closing.Dispose();
        _guard?.Dispose();
        _stopWatching.Dispose();
    }

    private void Close()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.Pulse(_gate);
        }

        _closing.Cancel();
    }

    private void Arrived()
    {
        lock (_gate)
        {
            // The writer waits for the first update, or for the last one that was announced.
            if (--_coming == 0 || _waiting.Count == 1) Monitor.Pulse(_gate);
        }
    }

    private void Run()
    {
        List<Update> batch = [];
        try
        {
            while (Take(batch))
            {
                Commit(batch);
                batch.Clear();
            }
        }
        catch (Exception failure)
        {
            // The failure is permanent, and is set before the callers learn of it: none of them may see a failed update and a store that seems well.
            Interlocked.CompareExchange(ref _failure, failure, null);
            if (failure is ConflictException fenced) _guard?.KeepFence(fenced);
            Close();
            foreach (Update update in batch) update.Done.TrySetException(failure);
            lock (_gate)
            {
                while (_waiting.TryDequeue(out Update? update)) update.Done.TrySetException(failure);
            }
        }
    }

    /// <summary>Puts all waiting updates into one frame, as far as they fit. Returns false once the store is closed and nothing waits.</summary>
    private bool Take(List<Update> batch)
    {
        lock (_gate)
        {
            while (_waiting.Count == 0)
            {
                if (_closed) return false;
                Monitor.Wait(_gate);
            }

            long start = Stopwatch.GetTimestamp();
            while (_coming > 0 && !_closed && Gathering - Stopwatch.GetElapsedTime(start) is TimeSpan left && left > TimeSpan.Zero) Monitor.Wait(_gate, left);
            _frame.Clear();
            while (_waiting.TryPeek(out Update? next) && _frame.TryAdd(next.Note)) batch.Add(_waiting.Dequeue());
            return true;
        }
    }

    /// <summary>The commit path of the witness.</summary>
    private void Commit(List<Update> batch)
    {
        // 1. The frame already has the waiting updates.
        // 2. Check that this is still the only process. A removed lock file lets in a second process, and the two could cosign contradicting checkpoints
        // (C-03).
        if (!_directory.IsHeld) throw new StorageException($"the lock file of {_directory.Root} was removed or replaced: another process may be using this directory");
        if (_guard is not null) Ask(() => _guard.Fence.LookAsync().GetAwaiter().GetResult());

        // 3. Write once and sync once. After a crash before the end of this step the frame is whole, or it is torn and the next start cuts it off. No caller
        // was answered.
        long first = Wait(_journal.AppendAsync(_frame, _closing.Token));
        foreach (Update update in batch) _notes.Apply(update.Note, $"update {first}");
        if (_notes.Index != first + batch.Count) throw new StorageException($"the journal gave index {first} to an update that is number {_notes.Index - batch.Count}");
        _sinceSnapshot += _frame.EntryBytes;

        // 4. Advance the guard before any caller is answered. After a crash between 3 and 4 it is one frame behind, and the next start brings it up to date.
        if (_guard is not null) Ask(() => _guard.Advance(_notes));

        // 5. The frame is durable: the cosignatures may leave the process.
        foreach (Update update in batch) update.Done.SetResult();

        // 6. From time to time write a snapshot of all notes, after which the journal below it is not needed. After a crash between the two it is trimmed next
        // time. A snapshot is written only after the journal has grown by the size of one, so snapshots are at most half of all that is written.
        if (_sinceSnapshot < Math.Max(_snapshotEvery, _notes.Bytes)) return;
        Snapshot.Write(_snapshotPath, _notes, _identity);
        Wait(_journal.TrimAsync(_notes.Index, CancellationToken.None));
        _sinceSnapshot = 0;
    }

    /// <summary>
    /// Asks the guard until it answers. An unavailable guard decides nothing, and callers have a separate time limit. When the store is closed, the wait ends
    /// with the exception of the last attempt.
    /// </summary>
    private void Ask(Action question)
    {
        while (true)
        {
            try
            {
                question();
                return;
            }
            catch (GuardUnavailableException) when (!_stopWatching.Token.WaitHandle.WaitOne(_guardRetry))
            {
                // Ask again.
            }
        }
    }

    /// <summary>Blocks: the writer has a separate thread.</summary>
    private static void Wait(ValueTask task)
    {
        if (!task.IsCompletedSuccessfully) task.AsTask().GetAwaiter().GetResult();
    }

    private static long Wait(ValueTask<long> task) => task.IsCompletedSuccessfully ? task.Result : task.AsTask().GetAwaiter().GetResult();

    /// <summary>
    /// Free bytes on the disk below which nothing more is accepted. They are for the next journal file, a snapshot next to the one it replaces, and evidence.
    /// </summary>
    public static long ReserveFor(int journalFileBytes) => (2L * journalFileBytes) + (16 * 1024 * 1024);

    private static JournalOptions OptionsFor(VerifierKey witness, int fileBytes) => new()
    {
        FileBytes = fileBytes,
        Identity = BinaryPrimitives.ReadUInt64BigEndian(SHA256.HashData(Encoding.UTF8.GetBytes(witness.ToString()))),
    };

    private static string JournalPath(string directory) => Path.Combine(directory, "journal");

    private static string SnapshotPath(string directory) => Path.Combine(directory, "snapshot");

    private static StorageException Disagree(string directory, string what) => new($"{directory}: {what}: one of the two is from another time, or lost");

    /// <summary>An announcement of one update. Disposing it again has no effect.</summary>
    private sealed class Announced(WitnessStore store) : IDisposable
    {
        private int _ended;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0) store.Arrived();
        }
    }

    private sealed class Update(byte[] note)
    {
        public byte[] Note { get; } = note;

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
