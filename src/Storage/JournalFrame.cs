// One frame of the journal: everything that one group commit makes durable.
//
//   offset  size
//        0     8  magic "TLJRNL01"
//        8     4  length of the extensions (0 in this version; a reader skips them)
//       12     4  length of the entries in bytes, at most 2 MiB
//       16     8  sequence of the frame, from 1, unbroken
//       24     8  index of the first entry
//       32     4  number of entries
//       36     4  number of 512-byte sectors, not counting the first, that are all zeros in the complete frame
//       40     8  highest sequence known durable when this frame was written (one frame in flight: sequence - 1)
//       48     8  identity of the journal, so that a frame of another log is never accepted
//       56     4  CRC-32C of bytes 0 to 55
//       60     4  mark, not zero
//       64        extensions, entries (u16 length prefixes, as in an entry bundle)
//        +     4  CRC-32C of everything before
//        +     4  mark, not zero
//   zeros to the next multiple of 512: no later write ever touches a sector of an acknowledged frame.
//
// All numbers are big-endian. Frames follow each other in zero-filled files. That makes "torn" exact: a frame that was being written when the power failed
// has zeros in place of data, and a damaged frame has none (spec/storage.md, "Torn or damaged").

using System.Buffers;
using System.Buffers.Binary;

namespace TransparencyLog.Storage;

/// <summary>
/// Collects the entries of one group commit and becomes one frame of the journal. Not thread-safe; one owner at a time.
/// The buffer grows to the largest frame so far and is reused.
/// </summary>
public sealed class JournalFrame
{
    /// <summary>
    /// The most bytes of entries, prefixes included: 2 MiB, the largest body of add-batch. A batch is all or nothing, so it must fit one frame.
    /// </summary>
    public const int MaxEntryBytes = 2 * 1024 * 1024;

    internal const int Sector = 512;
    internal const int HeaderSize = 64;
    internal const int TrailerSize = 8;
    internal const int MaxSize = (HeaderSize + MaxEntryBytes + TrailerSize + Sector - 1) / Sector * Sector;
    internal const uint Mark = 0x544C4A21; // "TLJ!"

    internal static ReadOnlySpan<byte> Magic => "TLJRNL01"u8;

    private byte[] _buffer = new byte[64 * 1024];
    private int _end = HeaderSize;

    /// <summary>The number of entries in the frame.</summary>
    public int Count { get; private set; }

    /// <summary>The number of bytes of the entries, prefixes included.</summary>
    public int EntryBytes => _end - HeaderSize;

    /// <summary>The entries as an entry bundle. Valid until the frame is changed.</summary>
    public ReadOnlyMemory<byte> Entries => _buffer.AsMemory(HeaderSize, EntryBytes);

    /// <summary>Adds one entry of 0 to 65,535 bytes. Returns false, with nothing changed, when it does not fit.</summary>
    public bool TryAdd(ReadOnlySpan<byte> entry)
    {
        int size = EntryBundle.EncodedSize(entry.Length);
        if (!TryReserve(size)) return false;
        EntryBundle.Write(entry, _buffer.AsSpan(_end));
        _end += size;
        Count++;
        return true;
    }

    /// <summary>As above, for an entry in several pieces.</summary>
    public bool TryAdd(in ReadOnlySequence<byte> entry)
    {
        if (entry.Length > EntryBundle.MaxEntrySize) throw new ArgumentException($"an entry has at most {EntryBundle.MaxEntrySize} bytes, not {entry.Length}", nameof(entry));
        int length = (int)entry.Length;
        if (!TryReserve(EntryBundle.EncodedSize(length))) return false;
        BinaryPrimitives.WriteUInt16BigEndian(_buffer.AsSpan(_end), (ushort)length);
        entry.CopyTo(_buffer.AsSpan(_end + 2));
        _end += EntryBundle.EncodedSize(length);
        Count++;
        return true;
    }

    /// <summary>Adds all entries of a bundle with any number of entries. Returns false, with nothing changed, when they do not fit.</summary>
    /// <exception cref="ArgumentException">The bundle does not hold exactly <paramref name="count"/> entries. A frame with a wrong count could not be read
    /// again.</exception>
    public bool TryAddBundle(ReadOnlySpan<byte> bundle, int count)
    {
        if (!Holds(bundle, count)) throw new ArgumentException($"not a bundle of {count} entries", nameof(bundle));
        if (!TryReserve(bundle.Length)) return false;
        bundle.CopyTo(_buffer.AsSpan(_end));
        _end += bundle.Length;
        Count += count;
        return true;
    }

    /// <summary>Removes all entries; keeps the buffer.</summary>
    public void Clear()
    {
        _end = HeaderSize;
        Count = 0;
    }

    private bool TryReserve(int size)
    {
        if (EntryBytes + size > MaxEntryBytes) return false;
        int needed = (_end + size + TrailerSize + Sector - 1) / Sector * Sector;
        if (needed > _buffer.Length) Array.Resize(ref _buffer, Math.Min(Math.Max(needed, _buffer.Length * 2), MaxSize));
        return true;
    }

    /// <summary>Writes header and trailer around the entries. Returns the bytes to store, a whole number of sectors.</summary>
    internal ReadOnlyMemory<byte> Seal(long sequence, long firstIndex, long durable, ulong identity)
    {
        int end = _end + TrailerSize;
        int size = (end + Sector - 1) / Sector * Sector;
        Span<byte> bytes = _buffer.AsSpan(0, size);
        bytes[end..].Clear();
        BinaryPrimitives.WriteUInt32BigEndian(bytes[(end - 4)..], Mark);
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt32BigEndian(bytes[8..], 0);
        BinaryPrimitives.WriteInt32BigEndian(bytes[12..], EntryBytes);
        BinaryPrimitives.WriteInt64BigEndian(bytes[16..], sequence);
        BinaryPrimitives.WriteInt64BigEndian(bytes[24..], firstIndex);
        BinaryPrimitives.WriteInt32BigEndian(bytes[32..], Count);
        BinaryPrimitives.WriteInt32BigEndian(bytes[36..], CountZeroSectors(bytes));
        BinaryPrimitives.WriteInt64BigEndian(bytes[40..], durable);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[48..], identity);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[56..], Crc32C.Of(bytes[..56]));
        BinaryPrimitives.WriteUInt32BigEndian(bytes[60..], Mark);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[(end - TrailerSize)..], Crc32C.Of(bytes[..(end - TrailerSize)]));
        return _buffer.AsMemory(0, size);
    }

    internal static int CountZeroSectors(ReadOnlySpan<byte> frame)
    {
        int zero = 0;
        for (int sector = Sector; sector < frame.Length; sector += Sector)
        {
            if (frame.Slice(sector, Sector).IndexOfAnyExcept((byte)0) < 0) zero++;
        }

        return zero;
    }

    /// <summary>
    /// Whether the bytes are exactly <paramref name="count"/> entries with their length prefixes. A frame holds any number of them, a bundle of the tree at
    /// most 256.
    /// </summary>
    internal static bool Holds(ReadOnlySpan<byte> entries, int count)
    {
        while (entries.Length >= 2)
        {
            int size = 2 + BinaryPrimitives.ReadUInt16BigEndian(entries);
            if (size > entries.Length) return false;
            entries = entries[size..];
            count--;
        }

        return entries.IsEmpty && count == 0;
    }
}

/// <summary>The state of a place in a journal file where a frame may begin.</summary>
internal enum FrameState
{
    /// <summary>A whole frame.</summary>
    Whole,

    /// <summary>No frame: a sector of zeros, or too little room for a header.</summary>
    Empty,

    /// <summary>A frame whose writing did not finish: preallocated zeros stand in place of data.</summary>
    Torn,

    /// <summary>Bytes that an interrupted write cannot leave.</summary>
    Damaged,
}

/// <summary>The header of a whole frame, or the reason why a frame is not whole.</summary>
internal readonly record struct FrameHeader(FrameState State, long Sequence, long FirstIndex, int Count, long Durable, int Size, int EntryOffset, int EntryBytes, string Reason)
{
    /// <summary>
    /// Reads the frame at the start of <paramref name="bytes"/>, which must reach to the end of the file or be at least as long as the largest frame.
    /// </summary>
    public static FrameHeader Read(ReadOnlySpan<byte> bytes, ulong identity)
    {
        if (bytes.Length < JournalFrame.Sector || bytes[..JournalFrame.Sector].IndexOfAnyExcept((byte)0) < 0) return Bad(FrameState.Empty, "zeros");

        // The header ends in a mark, and the last byte of the mark is written last. If it is still zero, the write stopped within the header: then the bytes
        // must be the beginning of a header, followed by zeros.
        if (bytes[JournalFrame.HeaderSize - 1] == 0)
        {
            int there = Math.Min(8, bytes[..JournalFrame.Sector].LastIndexOfAnyExcept((byte)0) + 1);
            return bytes[..there].SequenceEqual(JournalFrame.Magic[..there]) && bytes[JournalFrame.HeaderSize..JournalFrame.Sector].IndexOfAnyExcept((byte)0) < 0
                ? Bad(FrameState.Torn, "the header stops in zeros")
                : Bad(FrameState.Damaged, "neither a frame nor the beginning of one");
        }

        if (!bytes[..8].SequenceEqual(JournalFrame.Magic)) return Bad(FrameState.Damaged, "no frame magic");
        if (BinaryPrimitives.ReadUInt32BigEndian(bytes[60..]) != JournalFrame.Mark
            || BinaryPrimitives.ReadUInt32BigEndian(bytes[56..]) != Crc32C.Of(bytes[..56]))
        {
            return Bad(FrameState.Damaged, "the header's CRC does not match");
        }

        if (BinaryPrimitives.ReadUInt64BigEndian(bytes[48..]) != identity) return Bad(FrameState.Damaged, "a frame of another log");
        long sequence = BinaryPrimitives.ReadInt64BigEndian(bytes[16..]), firstIndex = BinaryPrimitives.ReadInt64BigEndian(bytes[24..]);
        if (sequence is < 1 or long.MaxValue || firstIndex is < 0 or > long.MaxValue - int.MaxValue) return Bad(FrameState.Damaged, "a sequence or a first index that no frame has");
        long extensions = BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]);
        long entryBytes = BinaryPrimitives.ReadUInt32BigEndian(bytes[12..]);
        long end = JournalFrame.HeaderSize + extensions + entryBytes + JournalFrame.TrailerSize;
        long size = (end + JournalFrame.Sector - 1) / JournalFrame.Sector * JournalFrame.Sector;
        if (size > bytes.Length) return Bad(FrameState.Damaged, $"a frame of {size} bytes where {bytes.Length} are left");

        ReadOnlySpan<byte> frame = bytes[..(int)size];
        int zeroByRight = BinaryPrimitives.ReadInt32BigEndian(frame[36..]);
        uint crc = BinaryPrimitives.ReadUInt32BigEndian(frame[((int)end - 8)..]);
        uint mark = BinaryPrimitives.ReadUInt32BigEndian(frame[((int)end - 4)..]);
        bool stops = frame[(int)end - 1] == 0; // the mark's last byte is the last one written
        int count = BinaryPrimitives.ReadInt32BigEndian(frame[32..]);
        FrameHeader header = new(
            FrameState.Whole,
            sequence,
            firstIndex,
            count,
            BinaryPrimitives.ReadInt64BigEndian(frame[40..]),
            (int)size,
            JournalFrame.HeaderSize + (int)extensions,
            (int)entryBytes,
            "");
        if (mark == JournalFrame.Mark
            && crc == Crc32C.Of(frame[..((int)end - JournalFrame.TrailerSize)])
            && frame[(int)end..].IndexOfAnyExcept((byte)0) < 0
            && JournalFrame.Holds(frame.Slice(header.EntryOffset, header.EntryBytes), count))
        {
            return header;
        }

        // Sectors that were not written are zeros, so the frame has more zero sectors than it states; or the write stopped within the last sector.
        bool inLastSector = stops && frame[(((int)end - 1) / JournalFrame.Sector * JournalFrame.Sector)..].IndexOfAnyExcept((byte)0) >= 0;
        return inLastSector || JournalFrame.CountZeroSectors(frame) > zeroByRight
            ? header with { State = FrameState.Torn, Reason = stops ? "the frame's end is still zeros" : "sectors of the frame are still zeros" }
            : header with { State = FrameState.Damaged, Reason = "the frame's CRC does not match" };
    }

    private static FrameHeader Bad(FrameState state, string reason) => new(state, 0, 0, 0, 0, 0, 0, 0, reason);
}
