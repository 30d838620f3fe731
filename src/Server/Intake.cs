// The queue between requests and the sequencer. A request copies its entries into the frame that is being filled, and waits. The sequencer takes one
// frame after another. So the next frame fills while one is on its way to the disk, and an entry is copied once between the socket and the frame.
//
//   Add (any thread)  ->  filling  ->  full ones wait  ->  Take (the sequencer)  ->  in flight  ->  Complete or Fail  ->  Return
//
// An entry has its index as soon as it is in a frame: frames become durable in order, whole or not at all, and after a failure none does. The caller
// gets the index when the frame is durable.
//
// Duplicates (decisions/duplicates.md): before it calls Add, a request has searched the tree up to some tree size (Duplicates.cs). The intake searches
// the groups, each of which keeps its entries until it is returned, and the part of the tree between the two. So every entry that has an index is
// found, wherever it is.

using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>The entries of one request on their way to the disk: all of them become durable, or none.</summary>
internal sealed class Append : IValueTaskSource
{
    private ManualResetValueTaskSourceCore<bool> _done; // continuations run on the thread that answers (Answers)
    private int _answered;

    /// <summary>An append whose entries have consecutive indexes.</summary>
    public Append(long first) => First = first;

    /// <summary>An append with entries that were in the log before.</summary>
    public Append(long[] indexes) => (First, Indexes) = (indexes[0], indexes);

    /// <summary>The index of the first entry. Final once <see cref="Durable"/> has completed.</summary>
    public long First { get; }

    /// <summary>The index of each entry; null when the indexes are consecutive.</summary>
    public long[]? Indexes { get; }

    /// <summary>When the append was created, in milliseconds of <see cref="Environment.TickCount64"/>.</summary>
    public long Since { get; } = Environment.TickCount64;

    /// <summary>Completes once all entries are durable. Fails when they will not be, or when that is unknown. May be awaited once.</summary>
    public ValueTask Durable => new(this, _done.Version);

    /// <summary>
    /// Completes the append, successfully when <paramref name="failure"/> is null, and runs the caller's continuation. False when it was completed before.
    /// </summary>
    public bool TryAnswer(Exception? failure)
    {
        if (Interlocked.Exchange(ref _answered, 1) != 0) return false;
        if (failure is null) _done.SetResult(true);
        else _done.SetException(failure);
        return true;
    }

    void IValueTaskSource.GetResult(short token) => _done.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _done.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) => _done.OnCompleted(continuation, state, token, flags);
}

/// <summary>The log cannot do this now. The message is for the client and states the reason.</summary>
internal sealed class UnavailableException(string reason, int retryAfterSeconds) : Exception(reason)
{
    public int RetryAfterSeconds { get; } = retryAfterSeconds;
}

/// <summary>The entries of one frame, and the appends that wait for it.</summary>
/// <param name="remembers">Whether it keeps the leaf hashes of its entries, to find duplicates of them.</param>
internal sealed class Group(bool remembers)
{
    /// <summary>
    /// Entries for which memory is kept between two frames: 2 MiB of entries of 128 bytes. After a frame of more, smaller entries the rest is released.
    /// </summary>
    private const int Kept = 16 * 1024;

    private readonly Dictionary<Hash, long> _indexes = [];

    public JournalFrame Frame { get; } = new();

    /// <summary>Whether the frame is on disk.</summary>
    public bool IsDurable { get; set; }

    /// <summary>The index that the frame's first entry must get.</summary>
    public long FirstIndex { get; set; }

    /// <summary>The appends that wait for this frame, in the order in which they came. Includes those that only have duplicates of its entries.</summary>
    public List<Append> Appends { get; } = [];

    /// <summary>
    /// The leaf hashes of the entries as they were received, folded in order (<see cref="Fold"/>). The tree grows from the frame, whose leaf hashes must fold
    /// to the same value.
    /// </summary>
    public ulong Leaves { get; private set; }

    /// <summary>Empties the group for another frame.</summary>
    public void Begin(long firstIndex)
    {
        Frame.Clear();
        FirstIndex = firstIndex;
        Leaves = 0;
        IsDurable = false;
        _indexes.Clear();
        if (_indexes.Capacity > Kept) _indexes.TrimExcess(Kept);
    }

    /// <summary>Records an entry that is in the frame.</summary>
    public void Add(in Hash leaf, long index)
    {
        Leaves = Fold(Leaves, leaf);
        if (remembers) _indexes.TryAdd(leaf, index);
    }

    public bool TryFind(in Hash leaf, out long index) => _indexes.TryGetValue(leaf, out index);

    public static ulong Fold(ulong leaves, in Hash leaf) => BitOperations.RotateLeft(leaves, 7) ^ MemoryMarshal.Read<ulong>(MemoryMarshal.AsBytes(new ReadOnlySpan<Hash>(in leaf)));
}

/// <summary>Entries on their way into frames, bounded by bytes and by count. Many writers, one reader (the sequencer).</summary>
internal sealed class Intake : IDisposable
{
    /// <summary>Limit of the idle groups that are kept for reuse. More, as after a burst, are left to the garbage collector.</summary>
    private const int Spares = 3;

    /// <summary>
    /// From this many callers in a frame on, the next frame waits, for a millisecond at most, until it has a quarter more callers: throughput is what counts
    /// then. After a frame with fewer callers, the next never waits.
    /// </summary>
    private const int Many = 24;

    /// <summary>A frame waits for at most this many callers. With more, the cost of the frame is negligible compared with theirs.</summary>
    private const int Most = 128;

    private readonly object _gate = new(); // guards everything below
    private readonly int _maxBytes;
    private readonly int _maxCount;
    private readonly TimeSpan _limit;
    private readonly Duplicates _duplicates;
    private readonly Queue<Group> _full = new();
    private readonly Stack<Group> _spares = new();
    private readonly Timer _clock;
    private Group _filling;
    private Group? _taken;    // from Take until Return
    private TreeSnapshot? _settled; // the tree with all returned groups
    private long _next;       // index of the next entry
    private int _bytes;       // waiting, without the group that was taken
    private int _count;
    private bool _idle;       // the sequencer waits for a frame
    private int _awaited = 1; // how many callers it waits for
    private int _gathered;    // callers of the last frame
    private bool _closed;

    /// <summary>Creates an intake. <see cref="Open"/> must be called before the first append.</summary>
    /// <param name="maxBytes">Limit of the bytes of entries that wait.</param>
    /// <param name="maxCount">Limit of the requests that wait.</param>
    /// <param name="limit">How long a request waits for the disk.</param>
    /// <param name="duplicates">Finds entries that are in the tree.</param>
    public Intake(int maxBytes, int maxCount, TimeSpan limit, Duplicates duplicates)
    {
        _maxBytes = maxBytes;
        _maxCount = maxCount;
        _limit = limit;
        _duplicates = duplicates;
        _filling = new Group(duplicates.AreSought);
        TimeSpan period = TimeSpan.FromMilliseconds(Math.Clamp(limit.TotalMilliseconds / 4, 10, 1000));
        _clock = new Timer(static intake => ((Intake)intake!).Expire(), this, period, period);
    }

    /// <summary>How many requests wait for the sequencer to take their frame.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Sets the recovered tree. Its size is the index of the next entry.</summary>
    public void Open(TreeSnapshot tree)
    {
        lock (_gate)
        {
            _settled = tree;
            _next = tree.Size;
            _filling.Begin(_next);
        }
    }

    /// <summary>Accepts one entry. Throws <see cref="UnavailableException"/> when the intake is full or closed; the entry was not accepted then.</summary>
    /// <param name="entry">1 to 65,535 bytes; copied.</param>
    /// <param name="leaf">Its leaf hash.</param>
    /// <param name="lookedUpTo">The tree size up to which the caller has searched: no entry below it is equal.</param>
    public Append Add(in ReadOnlySequence<byte> entry, in Hash leaf, long lookedUpTo)
    {
        lock (_gate)
        {
            if (_duplicates.AreSought && Find(leaf, lookedUpTo, out Group? holder) is long known and >= 0) return Known(new Append(known), holder, 1);
            int size = EntryBundle.EncodedSize((int)entry.Length);
            Group group = Reserve(size);
            if (!group.Frame.TryAdd(entry)) throw new System.Diagnostics.UnreachableException("room was made before");
            Append append = new(_next);
            group.Add(leaf, _next++);
            Enter(group, append, size);
            return append;
        }
    }

    /// <summary>Accepts the entries of a bundle, all into one frame. Throws like <see cref="Add(in ReadOnlySequence{byte}, in Hash, long)"/>.</summary>
    /// <param name="bundle">At least one entry, each after its length prefix, at most <see cref="JournalFrame.MaxEntryBytes"/>; copied.</param>
    /// <param name="leaves">The leaf hash of each entry.</param>
    /// <param name="known">The index of each entry that is in the tree, -1 for the others; null when none is in the tree.</param>
    /// <param name="lookedUpTo">The tree size up to which the caller has searched: no entry below it equals one of the others.</param>
    public Append Add(ReadOnlySpan<byte> bundle, ReadOnlySpan<Hash> leaves, long[]? known, long lookedUpTo)
    {
        lock (_gate)
        {
            Group group = Reserve(bundle.Length);
            int bytes = group.Frame.EntryBytes;
            long first = _next;
            long[]? indexes = null; // set once they are not consecutive
            Group? newest = null; // the newest group that holds one of the entries
            int i = 0;
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle))
            {
                Group? holder = null;
                long index = known is not null && known[i] >= 0 ? known[i] : _duplicates.AreSought ? Find(leaves[i], lookedUpTo, out holder) : -1;
                if (holder is not null && holder.FirstIndex >= (newest?.FirstIndex ?? 0)) newest = holder;
                if (index < 0)
                {
                    if (!group.Frame.TryAdd(entry)) throw new System.Diagnostics.UnreachableException("room was made before");
                    index = _next++;
                    group.Add(leaves[i], index);
                }

                if (indexes is null && index != first + i)
                {
                    indexes = new long[leaves.Length];
                    for (int before = 0; before < i; before++) indexes[before] = first + before;
                }

                if (indexes is not null) indexes[i] = index;
                i++;
            }

            int taken = (int)(_next - first);
            if (taken == 0) return Known(new Append(indexes!), newest, leaves.Length);
            _duplicates.CountAnswered(leaves.Length - taken);
            Append append = indexes is null ? new Append(first) : new Append(indexes);
            Enter(group, append, group.Frame.EntryBytes - bytes);
            return append;
        }
    }

    /// <summary>
    /// Returns the next frame to write, and waits for one if necessary. Null once the intake is closed and empty. Only the sequencer calls this.
    /// </summary>
    public Group? Take()
    {
        lock (_gate)
        {
            // A frame costs the same for 30 callers as for 100, and the callers that were answered a moment ago are about to send again.
            int many = Math.Min(_gathered + (_gathered / 4), Most);
            if (_gathered >= Many && _full.Count == 0 && !_closed && _filling.Appends.Count < many) Wait(1, many);
            while (true)
            {
                Group? next = _full.Count > 0 ? _full.Dequeue() : null;
                if (next is null && _filling.Frame.Count > 0) (next, _filling) = (_filling, Fresh());
                if (next is not null)
                {
                    _taken = next;
                    _gathered = next.Appends.Count;
                    _bytes -= next.Frame.EntryBytes;
                    _count -= next.Appends.Count;
                    return next;
                }

                if (_closed) return null;
                Wait(Timeout.Infinite, 1);
            }
        }
    }

    /// <summary>Marks the frame in flight as durable. Its callers are answered, on other threads.</summary>
    public void Complete(Group group)
    {
        Append[] answered;
        lock (_gate)
        {
            group.IsDurable = true;
            answered = [.. group.Appends];
            group.Appends.Clear();
        }

        Answers.Give(answered, null);
    }

    /// <summary>
    /// Closes the intake after a failure. The callers of the frame in flight get the failure: whether it is stored is unknown. The callers that wait for
    /// later frames are refused.
    /// </summary>
    public void Fail(Exception failure)
    {
        List<Append> unknown = [], refused = [];
        lock (_gate)
        {
            _closed = true;
            if (_taken is not null) Move(_taken, unknown);
            foreach (Group group in _full) Move(group, refused);
            Move(_filling, refused);
            _taken = null;
            _full.Clear();
            _filling = Fresh();
            (_bytes, _count) = (0, 0);
        }

        Answers.Give([.. unknown], failure);
        Answers.Give([.. refused], new UnavailableException("the log has stopped before the entry was stored", 5));

        static void Move(Group group, List<Append> to)
        {
            to.AddRange(group.Appends);
            group.Appends.Clear();
        }
    }

    /// <summary>Returns a group after its frame is integrated: its entries are in this tree.</summary>
    public void Return(Group group, TreeSnapshot tree)
    {
        lock (_gate)
        {
            _taken = null;
            _settled = tree;
            if (_spares.Count < Spares) _spares.Push(group);
        }
    }

    /// <summary>Accepts no more entries. The sequencer still gets those that wait.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.PulseAll(_gate);
        }
    }

    public void Dispose() => _clock.Dispose();

    /// <summary>
    /// Waits, on the sequencer's thread, until the frame that is being filled has this many callers, a frame is full, the time is over, or the intake is
    /// closed.
    /// </summary>
    private void Wait(int milliseconds, int callers)
    {
        _idle = true;
        _awaited = callers;
        Monitor.Wait(_gate, milliseconds);
        _idle = false;
    }

    /// <summary>Returns the group that has room for this many more bytes. Throws when the intake is closed or full.</summary>
    private Group Reserve(int bytes)
    {
        if (_closed) throw new UnavailableException("the log is stopping", 5);
        if (_bytes + bytes > _maxBytes || _count >= _maxCount) throw Full();
        if (_filling.Frame.EntryBytes + bytes <= JournalFrame.MaxEntryBytes) return _filling;
        _full.Enqueue(_filling);
        if (_idle) Monitor.Pulse(_gate);
        return _filling = Fresh();
    }

    /// <summary>
    /// Returns the index of an equal entry, -1 when none is known. <paramref name="holder"/> is the group that holds the entry; null when the entry is in the
    /// tree.
    /// </summary>
    private long Find(in Hash leaf, long lookedUpTo, out Group? holder)
    {
        if ((holder = _filling).TryFind(leaf, out long index)) return index;
        foreach (Group group in _full)
        {
            if ((holder = group).TryFind(leaf, out index)) return index;
        }

        if ((holder = _taken) is not null && _taken!.TryFind(leaf, out index)) return index;
        holder = null;
        return _settled!.Size > lookedUpTo ? _duplicates.FindNow(leaf, lookedUpTo, _settled) : -1;
    }

    private void Enter(Group group, Append append, int bytes)
    {
        group.Appends.Add(append);
        _bytes += bytes;
        _count++;
        if (_idle && group.Appends.Count >= _awaited) Monitor.Pulse(_gate);
    }

    /// <summary>
    /// Completes an append without new entries: together with the newest group that holds one of its entries, or immediately when all entries are durable.
    /// </summary>
    private Append Known(Append append, Group? holder, int entries)
    {
        if (holder is { IsDurable: false })
        {
            if (_closed) throw new UnavailableException("the log is stopping", 5);
            if (holder.Appends.Count >= _maxCount) throw Full();
            holder.Appends.Add(append);
            if (holder != _taken) _count++;
        }
        else
        {
            append.TryAnswer(null);
        }

        _duplicates.CountAnswered(entries);
        return append;
    }

    private static UnavailableException Full() => new("the intake is full: entries arrive faster than the disk takes them", 1);

    private Group Fresh()
    {
        Group group = _spares.Count > 0 ? _spares.Pop() : new Group(_duplicates.AreSought);
        group.Begin(_next);
        return group;
    }

    /// <summary>Refuses the callers that have waited too long for the disk. Their entries stay in their frames.</summary>
    private void Expire()
    {
        List<Append>? late = null;
        lock (_gate)
        {
            long before = Environment.TickCount64 - (long)_limit.TotalMilliseconds;
            if (_taken is not null) Look(_taken);
            foreach (Group group in _full) Look(group);
            Look(_filling);

            void Look(Group group)
            {
                foreach (Append append in group.Appends)
                {
                    if (append.Since > before) return;
                    (late ??= []).Add(append);
                }
            }
        }

        if (late is not null) Answers.Give([.. late], new UnavailableException("the disk has not answered in time: whether the entry is stored is unknown; sending it again is safe", 5));
    }
}

/// <summary>
/// Answers the callers of a frame on the thread pool, with no more work items than processors. Each item answers one caller after another. One item per
/// caller would cost more to queue than to run.
/// </summary>
internal sealed class Answers : IThreadPoolWorkItem
{
    private readonly Append[] _appends;
    private readonly Exception? _failure;
    private int _next = -1;

    private Answers(Append[] appends, Exception? failure) => (_appends, _failure) = (appends, failure);

    public static void Give(Append[] appends, Exception? failure)
    {
        if (appends.Length == 0) return;
        Answers answers = new(appends, failure);
        for (int i = Math.Min(appends.Length, Environment.ProcessorCount); i > 0; i--) ThreadPool.UnsafeQueueUserWorkItem(answers, preferLocal: false);
    }

    public void Execute()
    {
        for (int i = Interlocked.Increment(ref _next); i < _appends.Length; i = Interlocked.Increment(ref _next)) _appends[i].TryAnswer(_failure);
    }
}
