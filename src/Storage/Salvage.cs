// Finds everything that is still whole in a data directory, whatever else is lost. Every record, part and frame states what it is and has a CRC, so the files
// are searched from beginning to end, without the commit files, the addresses or the order of the records.

using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Provides entries that may belong to a log. The caller must compare their hashes.</summary>
public interface IEntrySource
{
    /// <summary>The place where they come from, for messages.</summary>
    string Name { get; }

    /// <summary>The first <paramref name="width"/> entries of a segment, as an entry bundle; null when this source does not have all of them.</summary>
    ValueTask<ReadOnlyMemory<byte>?> ReadAsync(long segment, int width, CancellationToken stop);
}

/// <summary>The whole records, parts and frames of a directory. Uses about 200 bytes of memory for each. For use by one thread.</summary>
public sealed class Salvage : IEntrySource
{
    private const int Window = 8 * 1024 * 1024;
    private const int Envelope = 20, Crc = 4, FasterHeader = 4;

    private readonly Dictionary<long, Found> _seals = [], _tiles = [];
    private readonly Dictionary<(long Number, long Place), Found> _parts = [];
    private readonly List<(long First, int Count, Found Entries)> _frames = []; // by first index
    private long[] _reach = []; // the largest end of this frame and those before it: never decreases

    private Salvage(string path) => Name = path;

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>One more than the number of the last segment of which anything was found.</summary>
    internal long Segments { get; private set; }

    /// <summary>The index after the last entry found in the journal; 0 when it has none.</summary>
    internal long JournalEnd => _reach is [.., long end] ? end : 0;

    /// <summary>Searches a directory, which need not be a log any more.</summary>
    /// <param name="path">The data directory.</param>
    /// <param name="origin">The origin of the log. Frames of other logs are ignored.</param>
    /// <param name="stop">Cancels the search.</param>
    public static Salvage Of(string path, string origin, CancellationToken stop)
    {
        Salvage salvage = new(path);
        Scan(Path.Combine(path, "segments"), TakeSegment, stop);
        Scan(Path.Combine(path, "tree"), TakeTile, stop);
        salvage.ScanJournal(Path.Combine(path, "journal"), LogDirectory.OptionsFor(origin).Identity, stop);
        return salvage;

        void TakeSegment(bool isPart, long number, long link, Found found)
        {
            if (isPart) salvage._parts.TryAdd((number, link), found);
            else salvage._seals.TryAdd(number, found);
            salvage.Segments = Math.Max(salvage.Segments, number + 1);
        }

        void TakeTile(bool isPart, long number, long link, Found found)
        {
            if (!isPart) salvage._tiles.TryAdd(number, found);
        }
    }

    /// <inheritdoc/>
    public ValueTask<ReadOnlyMemory<byte>?> ReadAsync(long segment, int width, CancellationToken stop)
    {
        ReadOnlyMemory<byte>? found = FromParts(segment);
        if (found is { } whole && width < EntryBundle.Width) found = whole[..EntryBundle.PrefixLength(whole.Span, width)];
        return ValueTask.FromResult(found ?? FromJournal(segment * EntryBundle.Width, width));
    }

    /// <summary>The seal of a segment; null when its record was not found.</summary>
    internal Seal? SealOf(long segment) => _seals.TryGetValue(segment, out Found found) && Seal.TryParse(found.Read(), out Seal? seal) && seal.FirstIndex == segment * EntryBundle.Width ? seal : null;

    /// <summary>A tile of level 1 or above; null when its record was not found.</summary>
    internal FullTile? TileOf(int level, long index) =>
        _tiles.TryGetValue(TileStore.RecordNumber(level, index), out Found found) && TileStore.TryParseTile(found.Read(), level, index, out FullTile tile) ? tile : null;

    /// <summary>The bundle of a segment, joined from its parts; null when some are missing.</summary>
    internal ReadOnlyMemory<byte>? FromParts(long segment)
    {
        List<byte[]> parts = [];
        while (_parts.TryGetValue((segment, parts.Count), out Found found)) parts.Add(found.Read());
        byte[] bundle = [.. parts.SelectMany(part => part)];
        if (EntryBundle.TryCount(bundle, out int count) && count == EntryBundle.Width) return bundle;
        return null;
    }

    /// <summary>Entries from the journal, as a bundle; null when the journal does not have all of them.</summary>
    internal ReadOnlyMemory<byte>? FromJournal(long first, int count)
    {
        using MemoryStream bundle = new();
        long next = first;
        for (int i = FirstThatReaches(first); i < _frames.Count; i++)
        {
            (long begin, int frameCount, Found entries) = _frames[i];
            if (begin > next) break;
            if (begin + frameCount <= next) continue;
            byte[] bytes = entries.Read();
            int from = EntryBundle.PrefixLength(bytes, (int)(next - begin)), take = (int)Math.Min(first + count - next, begin + frameCount - next);
            bundle.Write(bytes, from, EntryBundle.PrefixLength(bytes.AsSpan(from), take));
            next += take;
            if (next == first + count) return bundle.ToArray();
        }

        return null;
    }

    /// <summary>The position of the first frame that can hold this entry: all frames before it end before the entry.</summary>
    private int FirstThatReaches(long entry)
    {
        int low = 0, high = _reach.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_reach[middle] > entry) high = middle;
            else low = middle + 1;
        }

        return low;
    }

    private static void Scan(string directory, Action<bool, long, long, Found> record, CancellationToken stop)
    {
        if (!Paths.DirectoryExists(directory)) return;
        byte[] window = new byte[Window];
        foreach (int number in FasterDevice.ListFiles(directory))
        {
            string path = RecordLog.DataPath(directory, number);
            using SafeFileHandle file = Posix.Open(path, Posix.ReadOnly | Posix.NoFollow);
            for (long at = 0; ;)
            {
                stop.ThrowIfCancellationRequested();
                int read = Posix.Read(file, window, at, path);
                if (read < FasterHeader + Envelope + Crc) break;

                // A record that may not be whole in this window is examined in the next one.
                bool last = read < window.Length;
                int end = last ? read : read - FasterHeader - Envelope - RecordLog.MaxPayload - Crc, next = 0;
                while (next < end)
                {
                    int magic = window.AsSpan(next, read - next).IndexOf("TL"u8);
                    if (magic < 0 || next + magic >= end)
                    {
                        next = end;
                        break;
                    }

                    int start = next + magic;
                    next = start + 1;
                    if (start < FasterHeader || !IsRecord(window.AsSpan(start, read - start), BinaryPrimitives.ReadInt32LittleEndian(window.AsSpan(start - FasterHeader)), out bool isPart, out long id, out long link, out int length)) continue;
                    record(isPart, id, link, new Found(path, at + start + Envelope, length - Envelope - Crc));
                    next = start + length;
                }

                if (last) break;
                at += next - FasterHeader;
            }
        }
    }

    private static bool IsRecord(ReadOnlySpan<byte> bytes, int length, out bool isPart, out long number, out long link, out int size)
    {
        (isPart, number, link, size) = (bytes.StartsWith("TLP1"u8), -1, 0, length);
        if (!isPart && !bytes.StartsWith("TLR1"u8)) return false;
        if (length < Envelope + Crc || length > bytes.Length || length > Envelope + RecordLog.MaxPayload + Crc) return false;
        number = BinaryPrimitives.ReadInt64BigEndian(bytes[4..]);
        link = BinaryPrimitives.ReadInt64BigEndian(bytes[12..]);
        return number >= 0 && BinaryPrimitives.ReadUInt32BigEndian(bytes[(length - Crc)..]) == Crc32C.Of(bytes[..(length - Crc)]);
    }

    private void ScanJournal(string directory, ulong identity, CancellationToken stop)
    {
        if (!Paths.DirectoryExists(directory)) return;
        foreach (string path in Posix.List(directory).Select(name => Path.Combine(directory, name)))
        {
            stop.ThrowIfCancellationRequested();
            if (Posix.Stat(path) is not { Kind: PathKind.File, Length: <= JournalOptions.MaxFileBytes }) continue;
            byte[] bytes = DurableFile.Read(path, JournalOptions.MaxFileBytes);
            for (int at = 0; at + JournalFrame.Sector <= bytes.Length;)
            {
                FrameHeader header = bytes.AsSpan(at).StartsWith(JournalFrame.Magic) ? FrameHeader.Read(bytes.AsSpan(at), identity) : default;
                bool whole = bytes.AsSpan(at).StartsWith(JournalFrame.Magic) && header.State == FrameState.Whole;
                if (whole) _frames.Add((header.FirstIndex, header.Count, new Found(path, at + header.EntryOffset, header.EntryBytes)));
                at += whole ? header.Size : JournalFrame.Sector;
            }
        }

        _frames.Sort((one, other) => one.First.CompareTo(other.First));
        long end = 0;
        _reach = [.. _frames.Select(frame => end = Math.Max(end, frame.First + frame.Count))];
    }

    /// <summary>A range of bytes in a file.</summary>
    private readonly record struct Found(string Path, long Offset, int Length)
    {
        public byte[] Read()
        {
            byte[] bytes = new byte[Length];
            using SafeFileHandle file = Posix.Open(Path, Posix.ReadOnly | Posix.NoFollow);
            return Posix.Read(file, bytes, Offset, Path) == Length ? bytes : [];
        }
    }
}
