// Where requests meet frames. A request copies its entries into the frame that is being filled and waits; the sequencer takes frame after
// frame. So the next frame fills while one is on its way to the disk, and an entry is copied once between the socket and the frame.
//
//   Add (any thread)  ->  filling  ->  full ones wait  ->  Take (the sequencer)  ->  in flight  ->  Complete or Fail  ->  Return
//
// An entry has its index as soon as it is in a frame: frames become durable in order, whole or not at all, and after a failure none does. The
// index is told when the frame is durable.

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

/// <summary>The log takes no entries now; the message is for the caller and says why.</summary>
internal sealed class UnavailableException(string reason, int retryAfterSeconds) : Exception(reason)
{
    public int RetryAfterSeconds { get; } = retryAfterSeconds;
}

/// <summary>What one frame takes, and who waits for it.</summary>
internal sealed class Group
{
    public JournalFrame Frame { get; } = new();

    /// <summary>The index that the frame's first entry has to get.</summary>
    public long FirstIndex { get; set; }

    /// <summary>Those that wait for this frame, in the order in which they came; duplicates of its entries among them.</summary>
    public List<Append> Appends { get; } = [];

    /// <summary>The leaf hashes of the entries as they were received, folded in order (<see cref="Fold"/>): the tree is grown from the frame, and has to give the same.</summary>
    public ulong Leaves { get; set; }

    public static ulong Fold(ulong leaves, in Hash leaf) => BitOperations.RotateLeft(leaves, 7) ^ MemoryMarshal.Read<ulong>(MemoryMarshal.AsBytes(new ReadOnlySpan<Hash>(in leaf)));
}

/// <summary>Entries on their way into frames: bounded by bytes and by count, never an unbounded queue. Many writers, one reader (the sequencer).</summary>
internal sealed class Intake : IDisposable
{
    /// <summary>Groups kept for reuse: one in flight, one being filled, one to spare. More are left to the garbage collector, like those that a burst made.</summary>
    private const int Spares = 3;

    private readonly object _gate = new(); // guards everything below
    private readonly int _maxBytes;
    private readonly int _maxCount;
    private readonly TimeSpan _limit;
    private readonly RecentEntries _recent;
    private readonly Queue<Group> _full = new();
    private readonly Stack<Group> _spares = new();
    private readonly Timer _clock;
    private Group _filling = new();
    private Group? _inFlight;
    private long _next;       // index of the next entry
    private long _durable;    // entries below are durable
    private int _bytes;       // waiting, those in flight not counted
    private int _count;
    private long _duplicates;
    private bool _idle;       // the sequencer waits for a frame
    private bool _closed;

    /// <summary>An intake that takes nothing before <see cref="Open"/>.</summary>
    /// <param name="maxBytes">Most bytes of entries that may wait.</param>
    /// <param name="maxCount">Most requests that may wait.</param>
    /// <param name="limit">How long a request waits for the disk.</param>
    /// <param name="recent">What duplicates are answered from; used under the intake's own lock.</param>
    public Intake(int maxBytes, int maxCount, TimeSpan limit, RecentEntries recent)
    {
        _maxBytes = maxBytes;
        _maxCount = maxCount;
        _limit = limit;
        _recent = recent;
        TimeSpan period = TimeSpan.FromMilliseconds(Math.Clamp(limit.TotalMilliseconds / 4, 10, 1000));
        _clock = new Timer(static intake => ((Intake)intake!).Expire(), this, period, period);
    }

    /// <summary>How many requests wait for a frame to go.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>How many entries were answered with the index that they had before.</summary>
    public long Duplicates => Volatile.Read(ref _duplicates);

    /// <summary>Tells the size of the recovered tree: the next entry's index.</summary>
    public void Open(long next)
    {
        lock (_gate) _filling.FirstIndex = _next = _durable = next;
    }

    /// <summary>Takes one entry. Throws <see cref="UnavailableException"/>, and has taken nothing then, when the intake is full or closed.</summary>
    /// <param name="entry">1 to 65,535 bytes; copied.</param>
    /// <param name="leaf">Its leaf hash.</param>
    public Append Add(in ReadOnlySequence<byte> entry, in Hash leaf)
    {
        lock (_gate)
        {
            if (_recent.TryGet(leaf, out long known)) return Known(new Append(known), known, 1);
            int size = EntryBundle.EncodedSize((int)entry.Length);
            Group group = Reserve(size);
            if (!group.Frame.TryAdd(entry)) throw new System.Diagnostics.UnreachableException("room was made before");
            Append append = new(_next);
            Remember(group, leaf);
            Enter(group, append, size);
            return append;
        }
    }

    /// <summary>Takes the entries of a bundle, all into one frame. Throws like <see cref="Add(in ReadOnlySequence{byte}, in Hash)"/>.</summary>
    /// <param name="bundle">At least one entry, each with its length before it, at most <see cref="JournalFrame.MaxEntryBytes"/>; copied.</param>
    /// <param name="leaves">The leaf hash of each.</param>
    public Append Add(ReadOnlySpan<byte> bundle, ReadOnlySpan<Hash> leaves)
    {
        lock (_gate)
        {
            Group group = Reserve(bundle.Length);
            int bytes = group.Frame.EntryBytes;
            long first = _next;
            long[]? indexes = null;
            int i = 0;
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle))
            {
                if (_recent.TryGet(leaves[i], out long known))
                {
                    if (indexes is null)
                    {
                        indexes = new long[leaves.Length];
                        for (int before = 0; before < i; before++) indexes[before] = first + before;
                    }

                    indexes[i] = known;
                }
                else
                {
                    if (!group.Frame.TryAdd(entry)) throw new System.Diagnostics.UnreachableException("room was made before");
                    if (indexes is not null) indexes[i] = _next;
                    Remember(group, leaves[i]);
                }

                i++;
            }

            int taken = (int)(_next - first);
            if (taken == 0) return Known(new Append(indexes!), indexes!.Max(), leaves.Length);
            Volatile.Write(ref _duplicates, _duplicates + leaves.Length - taken);
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
            while (true)
            {
                Group? next = _full.Count > 0 ? _full.Dequeue() : null;
                if (next is null && _filling.Frame.Count > 0) (next, _filling) = (_filling, Fresh());
                if (next is not null)
                {
                    _inFlight = next;
                    _bytes -= next.Frame.EntryBytes;
                    _count -= next.Appends.Count;
                    return next;
                }

                if (_closed) return null;
                _idle = true;
                Monitor.Wait(_gate);
                _idle = false;
            }
        }
    }

    /// <summary>The frame in flight is durable: its callers are answered, on other threads.</summary>
    public void Complete(Group group)
    {
        Append[] answered;
        lock (_gate)
        {
            _durable = group.FirstIndex + group.Frame.Count;
            _inFlight = null;
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
            if (_inFlight is not null) Move(_inFlight, unknown);
            foreach (Group group in _full) Move(group, refused);
            Move(_filling, refused);
            _inFlight = null;
            _full.Clear();
            _filling = new Group();
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

    /// <summary>Gives back a group that was taken and is done with.</summary>
    public void Return(Group group)
    {
        lock (_gate)
        {
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

    /// <summary>The group with room for so many bytes more, or a refusal.</summary>
    private Group Reserve(int bytes)
    {
        if (_closed) throw new UnavailableException("the log is stopping", 5);
        if (_bytes + bytes > _maxBytes || _count >= _maxCount) throw new UnavailableException("the intake is full: entries arrive faster than the disk takes them", 1);
        if (_filling.Frame.EntryBytes + bytes <= JournalFrame.MaxEntryBytes) return _filling;
        _full.Enqueue(_filling);
        return _filling = Fresh();
    }

    private void Remember(Group group, in Hash leaf)
    {
        group.Leaves = Group.Fold(group.Leaves, leaf);
        _recent.Add(leaf, _next++);
    }

    private void Enter(Group group, Append append, int bytes)
    {
        group.Appends.Add(append);
        _bytes += bytes;
        _count++;
        if (_idle) Monitor.Pulse(_gate);
    }

    /// <summary>An append with nothing new: answered at once, or with the newest frame that one of its entries is in.</summary>
    private Append Known(Append append, long newest, int entries)
    {
        Volatile.Write(ref _duplicates, _duplicates + entries);
        if (newest < _durable) append.TryAnswer(null);
        else if (_closed) throw new UnavailableException("the log is stopping", 5);
        else if (newest >= _filling.FirstIndex) Wait(_filling);
        else if (_inFlight is not null && newest < _inFlight.FirstIndex + _inFlight.Frame.Count) _inFlight.Appends.Add(append);
        else Wait(_full.First(group => newest < group.FirstIndex + group.Frame.Count));
        return append;

        void Wait(Group group)
        {
            if (_count >= _maxCount) throw new UnavailableException("the intake is full: entries arrive faster than the disk takes them", 1);
            group.Appends.Add(append);
            _count++;
        }
    }

    private Group Fresh()
    {
        Group group = _spares.Count > 0 ? _spares.Pop() : new Group();
        group.Frame.Clear();
        group.Leaves = 0;
        group.FirstIndex = _next;
        return group;
    }

    /// <summary>Whoever has waited too long hears that the disk has not answered. Its entries stay where they are.</summary>
    private void Expire()
    {
        List<Append>? late = null;
        lock (_gate)
        {
            long before = Environment.TickCount64 - (long)_limit.TotalMilliseconds;
            if (_inFlight is not null) Look(_inFlight);
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
