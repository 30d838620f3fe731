// Where requests meet frames. A request copies its entries into the frame that is being filled and waits; the sequencer takes frame after
// frame. So the next frame fills while one is on its way to the disk, and an entry is copied once between the socket and the frame.
//
//   Add (any thread)  ->  filling  ->  full ones wait  ->  Take (the sequencer)  ->  in flight  ->  Complete or Fail  ->  Return
//
// An entry has its index as soon as it is in a frame: frames become durable in order, whole or not at all, and after a failure none does. The
// index is told when the frame is durable.
//
// Duplicates (decisions/duplicates.md): what is in the tree was looked for before (Duplicates.cs), up to some tree size; what is in a group, until it is
// returned, is found in the group; what lies between the two is asked for here. So an entry that has an index is found, wherever it is.

using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>The entries of one request on their way: all of them become durable, or none.</summary>
internal sealed class Append : IValueTaskSource
{
    private ManualResetValueTaskSourceCore<bool> _done; // continuations run on the thread that answers (Answers)
    private int _answered;

    /// <summary>An append whose entries have one index after the other.</summary>
    public Append(long first) => First = first;

    /// <summary>An append some of whose entries were there before.</summary>
    public Append(long[] indexes) => (First, Indexes) = (indexes[0], indexes);

    /// <summary>The index of the first entry; final once <see cref="Durable"/> has completed.</summary>
    public long First { get; }

    /// <summary>The index of each entry, where they are not one after the other; otherwise null.</summary>
    public long[]? Indexes { get; }

    /// <summary>When it came, in milliseconds of <see cref="Environment.TickCount64"/>.</summary>
    public long Since { get; } = Environment.TickCount64;

    /// <summary>Completes once all entries are durable; fails when that is unknown or will not be. To be awaited once.</summary>
    public ValueTask Durable => new(this, _done.Version);

    /// <summary>The caller's one answer, success with null; runs what waits for it. False when it was answered before.</summary>
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

/// <summary>The log does not do it now; the message is for the caller and says why.</summary>
internal sealed class UnavailableException(string reason, int retryAfterSeconds) : Exception(reason)
{
    public int RetryAfterSeconds { get; } = retryAfterSeconds;
}

/// <summary>What one frame takes, and who waits for it.</summary>
/// <param name="remembers">Whether duplicates of its entries are looked for.</param>
internal sealed class Group(bool remembers)
{
    /// <summary>Entries for which memory is kept between two frames: 2 MiB of entries of 128 bytes. Frames of smaller ones give theirs back.</summary>
    private const int Kept = 16 * 1024;

    private readonly Dictionary<Hash, long> _indexes = [];

    public JournalFrame Frame { get; } = new();

    /// <summary>Whether the frame is on disk.</summary>
    public bool IsDurable { get; set; }

    /// <summary>The index that the frame's first entry has to get.</summary>
    public long FirstIndex { get; set; }

    /// <summary>Those that wait for this frame, in the order in which they came; duplicates of its entries among them.</summary>
    public List<Append> Appends { get; } = [];

    /// <summary>The leaf hashes of the entries as they were received, folded in order (<see cref="Fold"/>): the tree is grown from the frame, and has to give the same.</summary>
    public ulong Leaves { get; private set; }

    /// <summary>Empties it for another frame.</summary>
    public void Begin(long firstIndex)
    {
        Frame.Clear();
        FirstIndex = firstIndex;
        Leaves = 0;
        IsDurable = false;
        _indexes.Clear();
        if (_indexes.Capacity > Kept) _indexes.TrimExcess(Kept);
    }

    /// <summary>Takes note of an entry that is in the frame.</summary>
    public void Add(in Hash leaf, long index)
    {
        Leaves = Fold(Leaves, leaf);
        if (remembers) _indexes.TryAdd(leaf, index);
    }

    public bool TryFind(in Hash leaf, out long index) => _indexes.TryGetValue(leaf, out index);

    public static ulong Fold(ulong leaves, in Hash leaf) => BitOperations.RotateLeft(leaves, 7) ^ MemoryMarshal.Read<ulong>(MemoryMarshal.AsBytes(new ReadOnlySpan<Hash>(in leaf)));
}

/// <summary>Entries on their way into frames: bounded by bytes and by count, never an unbounded queue. Many writers, one reader (the sequencer).</summary>
internal sealed class Intake : IDisposable
{
    /// <summary>Groups kept for reuse: one in flight, one being filled, one to spare. More are left to the garbage collector, like those that a burst made.</summary>
    private const int Spares = 3;

    /// <summary>
    /// Callers of a frame from which on the next waits, a millisecond at most, for a few more than it had: then throughput is what counts. Fewer never wait.
    /// </summary>
    private const int Many = 24;

    /// <summary>Callers that a frame waits for at most: beyond that its cost is nothing beside theirs.</summary>
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
    private Group? _taken;    // until it is returned
    private TreeSnapshot? _settled; // the tree with all groups that were returned
    private long _next;       // index of the next entry
    private int _bytes;       // waiting, those taken not counted
    private int _count;
    private bool _idle;       // the sequencer waits for a frame
    private int _awaited = 1; // with so many callers
    private int _gathered;    // callers of the last frame
    private bool _closed;

    /// <summary>An intake that takes nothing before <see cref="Open"/>.</summary>
    /// <param name="maxBytes">Most bytes of entries that may wait.</param>
    /// <param name="maxCount">Most requests that may wait.</param>
    /// <param name="limit">How long a request waits for the disk.</param>
    /// <param name="duplicates">Which entries are in the tree.</param>
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

    /// <summary>How many requests wait for a frame to go.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Tells the recovered tree: its size is the next entry's index.</summary>
    public void Open(TreeSnapshot tree)
    {
        lock (_gate)
        {
            _settled = tree;
            _next = tree.Size;
            _filling.Begin(_next);
        }
    }

    /// <summary>Takes one entry. Throws <see cref="UnavailableException"/>, and has taken nothing then, when the intake is full or closed.</summary>
    /// <param name="entry">1 to 65,535 bytes; copied.</param>
    /// <param name="leaf">Its leaf hash.</param>
    /// <param name="lookedUpTo">The tree size below which no equal entry is.</param>
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

    /// <summary>Takes the entries of a bundle, all into one frame. Throws like <see cref="Add(in ReadOnlySequence{byte}, in Hash, long)"/>.</summary>
    /// <param name="bundle">At least one entry, each with its length before it, at most <see cref="JournalFrame.MaxEntryBytes"/>; copied.</param>
    /// <param name="leaves">The leaf hash of each.</param>
    /// <param name="known">The index of each that is in the tree, -1 for the others; null when none is.</param>
    /// <param name="lookedUpTo">The tree size below which no entry equals one of the others.</param>
    public Append Add(ReadOnlySpan<byte> bundle, ReadOnlySpan<Hash> leaves, long[]? known, long lookedUpTo)
    {
        lock (_gate)
        {
            Group group = Reserve(bundle.Length);
            int bytes = group.Frame.EntryBytes;
            long first = _next;
            long[]? indexes = null; // once they are not one after the other
            Group? newest = null; // that holds one of the entries
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

    /// <summary>The next frame to write; waits for one. Null once the intake is closed and empty. The sequencer's alone.</summary>
    public Group? Take()
    {
        lock (_gate)
        {
            // A frame costs the same whether 30 share it or 100, and whoever was answered a moment ago is about to come again.
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

    /// <summary>The frame in flight is durable: its callers are answered, on other threads.</summary>
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

    /// <summary>Whether the frame in flight is stored is unknown, and nothing more will be: its callers, and all that wait behind it, are told.</summary>
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

    /// <summary>Gives back a group that was taken and is done with: its entries are in this tree.</summary>
    public void Return(Group group, TreeSnapshot tree)
    {
        lock (_gate)
        {
            _taken = null;
            _settled = tree;
            if (_spares.Count < Spares) _spares.Push(group);
        }
    }

    /// <summary>Takes no more entries. What waits is still given to the sequencer.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.PulseAll(_gate);
        }
    }

    public void Dispose() => _clock.Dispose();

    /// <summary>Waits, the sequencer alone, until the frame that is being filled has so many callers, or the time is over, or the intake is closed.</summary>
    private void Wait(int milliseconds, int callers)
    {
        _idle = true;
        _awaited = callers;
        Monitor.Wait(_gate, milliseconds);
        _idle = false;
    }

    /// <summary>The group with room for so many bytes more, or a refusal.</summary>
    private Group Reserve(int bytes)
    {
        if (_closed) throw new UnavailableException("the log is stopping", 5);
        if (_bytes + bytes > _maxBytes || _count >= _maxCount) throw Full();
        if (_filling.Frame.EntryBytes + bytes <= JournalFrame.MaxEntryBytes) return _filling;
        _full.Enqueue(_filling);
        if (_idle) Monitor.Pulse(_gate);
        return _filling = Fresh();
    }

    /// <summary>The index of an equal entry, -1 when there is none; with the group that holds it, unless it is in the tree.</summary>
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

    /// <summary>An append with nothing new: answered with the newest group that holds one of its entries, or at once.</summary>
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

    /// <summary>Whoever has waited too long hears that the disk has not answered. Its entries stay where they are.</summary>
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
/// Answers a frame's callers on the threads of the pool: as many work items as there are processors, each taking one caller after the other. An item
/// a caller would cost more to queue than to run.
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
