// What one append makes durable: entries, and the conditions under which they may be appended.
//
//   entries      with big-endian u16 length prefixes, as in an entry bundle (C2SP tlog-tiles), any number of them
//   conditions   at most 1,024; all of them hold and everything is appended, or one does not and nothing is

using System.Buffers;
using System.Buffers.Binary;

namespace TransparencyLog.Store;

/// <summary>
/// Collects the entries and conditions of one append. Not thread-safe: one owner at a time. Its buffer grows to the largest batch it has
/// held and is reused.
/// </summary>
public sealed class JournalBatch
{
    /// <summary>
    /// Largest total of entries in bytes, length prefixes included: 2 MiB, the largest body of add-batch, which is appended whole or not at
    /// all.
    /// </summary>
    public const int MaxEntryBytes = 2 * 1024 * 1024;

    /// <summary>
    /// Largest number of conditions: 512 events a batch, each with a stream and a key. At most 128 bytes of name and 88 of hashes and
    /// numbers each, they stay below 256 KiB.
    /// </summary>
    public const int MaxConditions = 1024;

    /// <summary>
    /// Bytes that are free before and after the entries in the buffer, so that a store can write the entries with a header and a trailer,
    /// rounded up to a sector of 512 bytes, without copying them.
    /// </summary>
    internal const int HeaderRoom = 64, TrailerRoom = 512 + 8;

    private const int MaxBuffer = HeaderRoom + MaxEntryBytes + TrailerRoom;

    private readonly List<JournalCondition> _conditions = [];
    private byte[] _buffer = new byte[64 * 1024];
    private int _end = HeaderRoom;

    /// <summary>Names the append (<see cref="IJournal.AppendAsync"/>). All zeros until <see cref="Begin"/>.</summary>
    public Guid Id { get; private set; }

    /// <summary>How many entries it holds.</summary>
    public int Count { get; private set; }

    /// <summary>How many bytes the entries take, length prefixes included.</summary>
    public int EntryBytes => _end - HeaderRoom;

    /// <summary>The entries with their length prefixes. Valid until the batch is changed.</summary>
    public ReadOnlyMemory<byte> Entries => _buffer.AsMemory(HeaderRoom, EntryBytes);

    /// <summary>The conditions, in the order in which they were added.</summary>
    public IReadOnlyList<JournalCondition> Conditions => _conditions;

    /// <summary>
    /// The buffer around the entries: <see cref="HeaderRoom"/> bytes before them, at least <see cref="TrailerRoom"/> after them.
    /// </summary>
    internal byte[] Buffer => _buffer;

    /// <summary>Empties the batch for another append; keeps the buffer.</summary>
    /// <param name="id">The name of the next append: a new one for each, not all zeros.</param>
    public void Begin(Guid id)
    {
        if (id == Guid.Empty) throw new ArgumentException("an id of all zeros names no append", nameof(id));
        Id = id;
        Count = 0;
        _end = HeaderRoom;
        _conditions.Clear();
    }

    /// <summary>Adds one entry of 0 to 65,535 bytes. Returns false, and changes nothing, when it does not fit.</summary>
    /// <exception cref="ArgumentException">The entry is longer.</exception>
    public bool TryAdd(ReadOnlySpan<byte> entry)
    {
        int size = EntryBundle.EncodedSize(entry.Length);
        if (!TryReserve(size)) return false;
        EntryBundle.Write(entry, _buffer.AsSpan(_end));
        _end += size;
        Count++;
        return true;
    }

    /// <summary>
    /// Adds one entry of 0 to 65,535 bytes that lies in several pieces of memory. Returns false, and changes nothing, when it does not fit.
    /// </summary>
    /// <exception cref="ArgumentException">The entry is longer.</exception>
    public bool TryAdd(in ReadOnlySequence<byte> entry)
    {
        if (entry.Length > EntryBundle.MaxEntrySize)
        {
            throw new ArgumentException($"an entry has at most {EntryBundle.MaxEntrySize} bytes, not {entry.Length}", nameof(entry));
        }

        int length = (int)entry.Length;
        if (!TryReserve(EntryBundle.EncodedSize(length))) return false;
        BinaryPrimitives.WriteUInt16BigEndian(_buffer.AsSpan(_end), (ushort)length);
        entry.CopyTo(_buffer.AsSpan(_end + 2));
        _end += EntryBundle.EncodedSize(length);
        Count++;
        return true;
    }

    /// <summary>Adds all entries of a bundle. Returns false, and changes nothing, when they do not fit.</summary>
    /// <exception cref="ArgumentException">The bundle does not hold exactly <paramref name="count"/> entries.</exception>
    public bool TryAddBundle(ReadOnlySpan<byte> bundle, int count)
    {
        if (!EntryBundle.TryCount(bundle, out int found) || found != count)
        {
            throw new ArgumentException($"not a bundle of {count} entries", nameof(bundle));
        }

        if (!TryReserve(bundle.Length)) return false;
        bundle.CopyTo(_buffer.AsSpan(_end));
        _end += bundle.Length;
        Count += count;
        return true;
    }

    /// <summary>Adds a condition. The entries that it names are added before it.</summary>
    /// <exception cref="ArgumentException">
    /// There are <see cref="MaxConditions"/> already; a name has not 1 to <see cref="JournalCondition.MaxName"/> bytes; an entry is not in
    /// the batch; a sequence is negative; a sequence of 0 comes with a hash, or another one without; or a time is before 1970.
    /// </exception>
    public void Require(JournalCondition condition)
    {
        if (_conditions.Count == MaxConditions)
        {
            throw new ArgumentException($"a batch has at most {MaxConditions} conditions", nameof(condition));
        }

        _conditions.Add(condition switch
        {
            JournalCondition.Head head => Checked(head),
            JournalCondition.Once once => Checked(once),
            _ => throw new ArgumentException($"there is no condition {condition.GetType().Name}", nameof(condition)),
        });
    }

    private JournalCondition.Head Checked(JournalCondition.Head head)
    {
        JournalCondition.EncodeName(head.Stream);
        CheckEntries(head.Entry, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(head.ExpectedSequence, nameof(head));
        if (head.ExpectedSequence == 0 != (head.ExpectedHash == default))
        {
            throw new ArgumentException("a stream without an event has sequence 0 and a hash of zeros, another has neither", nameof(head));
        }

        if (head.Time < DateTimeOffset.UnixEpoch) throw new ArgumentException("the time of an event is not before 1970", nameof(head));
        return head with { Time = DateTimeOffset.FromUnixTimeMilliseconds(head.Time.ToUnixTimeMilliseconds()) };
    }

    private JournalCondition.Once Checked(JournalCondition.Once once)
    {
        JournalCondition.EncodeName(once.Key);
        CheckEntries(once.Entry, once.Count);
        return once;
    }

    private void CheckEntries(int first, int count)
    {
        if (first < 0 || count < 1 || first > Count - count)
        {
            throw new ArgumentException($"the batch holds {Count} entries; a condition names {count} from {first} on", nameof(first));
        }
    }

    private bool TryReserve(int size)
    {
        if (size > MaxEntryBytes - EntryBytes) return false;
        int needed = _end + size + TrailerRoom;
        if (needed > _buffer.Length) Array.Resize(ref _buffer, Math.Min(Math.Max(needed, _buffer.Length * 2), MaxBuffer));
        return true;
    }
}
