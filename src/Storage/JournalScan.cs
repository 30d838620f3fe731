// Reads the files of a journal and judges a frame that is not whole: torn or damaged (spec/storage.md).
//
// Only one frame is in flight, and it is synced before the next one is written. So an interrupted journal ends in at most one frame that is not whole:
// nothing follows it, and preallocated zeros stand in place of its missing part. Such a frame was never acknowledged and is cut. Everything else is damage
// and is refused: a bad frame followed by a whole one, a bad frame without such zeros, a frame that must have been durable because its entries are signed,
// and bytes where no frame can reach.
//
// Reading changes nothing. Repair writes only after the whole journal has been judged, and can be repeated.

using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

internal sealed class JournalScan
{
    private readonly string _directory;
    private readonly JournalOptions _options;
    private readonly long _signed;
    private readonly List<long> _empty = [];                                        // files of zeros after the last frame
    private readonly List<(string Path, int From, int To)> _unsigned = [];          // frames with entries beyond the signed size, as ranges of files
    private (string Path, int Offset, int End, string Reason)? _torn;
    private long _sequence;                                                         // of the last whole frame

    private JournalScan(string directory, JournalOptions options, long signed) => (_directory, _options, _signed) = (directory, options, signed);

    /// <summary>The files that hold frames, oldest first; at least one.</summary>
    public List<(long Number, long FirstIndex)> Files { get; } = [];

    /// <summary>The offset of the next frame in the last of these files.</summary>
    public int Offset { get; private set; }

    public long NextSequence => _sequence + 1;

    public long NextIndex { get; private set; }

    /// <summary>Describes the torn frame; null when no frame is torn.</summary>
    public string? Torn => _torn is { } torn ? $"{torn.Path}, offset {torn.Offset}: a frame that was never answered was cut: {torn.Reason}" : null;

    public static string PathOf(string directory, long number) => Path.Combine(directory, number.ToString("D12", CultureInfo.InvariantCulture));

    /// <summary>Reads and judges the whole journal. Entries below <paramref name="signed"/> are known to have been durable.</summary>
    public static JournalScan Read(string directory, JournalOptions options, long signed, Action<JournalEntries>? visit) =>
        Read(directory, ListFiles(directory), (_, path, bytes) => Load(path, bytes, options.FileBytes), options, signed, visit);

    /// <summary>
    /// As above, for files that were opened earlier and whose names may have been removed since. A frame that is being written reads as torn.
    /// </summary>
    public static JournalScan Read(string directory, JournalFiles files, JournalOptions options, long signed, Action<JournalEntries>? visit) =>
        Read(directory, files.Numbers, (number, path, bytes) => Load(files[number], path, bytes, options.FileBytes), options, signed, visit);

    private static JournalScan Read(
        string directory, IReadOnlyList<long> numbers, Action<long, string, byte[]> load, JournalOptions options, long signed, Action<JournalEntries>? visit)
    {
        JournalScan scan = new(directory, options, signed);
        if (numbers.Count == 0) throw Damaged(directory, null, "journal files", "none");
        byte[] bytes = new byte[options.FileBytes];
        for (int i = 0; i < numbers.Count; i++)
        {
            string path = PathOf(directory, numbers[i]);
            if (i > 0 && numbers[i] != numbers[i - 1] + 1) throw Damaged(path, null, $"journal file {numbers[i - 1] + 1}", $"journal file {numbers[i]}");
            load(numbers[i], path, bytes);
            scan.ReadFile(numbers[i], path, bytes, visit);
        }

        scan.Finish();
        return scan;
    }

    /// <summary>
    /// Makes the files match the result of the scan: zeros the torn frame, rewrites and syncs the frames that are not signed, removes prepared files.
    /// After a crash part way through, the next opening reads the same result.
    /// </summary>
    public void Repair()
    {
        foreach (string unfinished in Posix.List(_directory).Where(name => name.EndsWith(".new", StringComparison.Ordinal))) Posix.Unlink(Path.Combine(_directory, unfinished));
        if (_torn is { } torn) Erase(torn.Path, torn.Offset, torn.End);
        foreach ((string path, int from, int to) in _unsigned)
        {
            byte[] bytes = new byte[to - from];
            using SafeFileHandle file = Posix.Open(path, Posix.ReadOnly | Posix.NoFollow);
            if (Posix.Read(file, bytes, from, path) != bytes.Length) throw Damaged(path, from, $"{bytes.Length} bytes", "fewer");
            Rewrite(path, from, bytes);
        }

        // Rewrite the zeros after the last frame too. When the sync of a frame failed, or that of the zeros over a torn frame, the page cache may show zeros
        // that the disk does not have. A shorter frame would then leave the rest of the old bytes for a later start to find.
        Rewrite(PathOf(_directory, Files[^1].Number), Offset, new byte[Math.Min(JournalFrame.MaxSize, _options.FileBytes - Offset)]);
        foreach (long prepared in _empty) Posix.Unlink(PathOf(_directory, prepared));
        if (_empty.Count > 0) Posix.SyncDirectory(_directory);
    }

    /// <summary>
    /// Zeros a torn frame from its end to its beginning, and its magic byte by byte. A crash at any byte then leaves the bytes of a frame whose writing
    /// stopped earlier, which the next opening cuts. In the other order a crash would leave half a header, which is damage.
    /// </summary>
    private static void Erase(string path, int from, int to)
    {
        const int Magic = 8;
        byte[] zeros = new byte[to - from];
        using SafeFileHandle file = Posix.Open(path, Posix.ReadWrite | Posix.NoFollow);
        Clear(JournalFrame.Sector, zeros.Length);
        Clear(JournalFrame.HeaderSize, JournalFrame.Sector);
        Clear(JournalFrame.HeaderSize - 1, JournalFrame.HeaderSize); // a header without its last byte counts as unfinished, not as damaged
        Clear(Magic, JournalFrame.HeaderSize - 1);
        for (int at = Magic - 1; at >= 0; at--) Clear(at, at + 1);
        Posix.SyncData(file, path);
        Posix.Verify(file, zeros, from, path);

        void Clear(int start, int end)
        {
            if (end > start) Posix.Write(file, zeros.AsSpan(start, end - start), from + start, path);
        }
    }

    private static void Rewrite(string path, int offset, byte[] bytes)
    {
        if (bytes.Length == 0) return;
        using SafeFileHandle file = Posix.Open(path, Posix.ReadWrite | Posix.NoFollow);
        Posix.Write(file, bytes, offset, path);
        Posix.SyncData(file, path);
        Posix.Verify(file, bytes, offset, path);
    }

    public static void Load(string path, byte[] bytes, int size)
    {
        using SafeFileHandle file = Posix.Open(path, Posix.ReadOnly | Posix.NoFollow);
        Load(file, path, bytes, size);
    }

    private static void Load(SafeFileHandle file, string path, byte[] bytes, int size)
    {
        long length = Posix.LengthOf(file, path);
        if (length != size) throw Damaged(path, null, $"{size} bytes", $"{length} bytes");
        int read = Posix.Read(file, bytes.AsSpan(0, size), 0, path);
        if (read != size) throw Damaged(path, null, $"{size} bytes", $"{read} bytes that could be read");
    }

    public static DamageException Damaged(string path, int? offset, string expected, string found) =>
        new(new Damage("journal", offset is int at ? $"{path}, offset {at}" : path, null, null, expected, found));

    internal static List<long> ListFiles(string directory)
    {
        if (!Paths.DirectoryExists(directory)) throw Damaged(directory, null, "a directory", "nothing");
        List<long> numbers = [];
        foreach (string name in Posix.List(directory))
        {
            if (name.EndsWith(".new", StringComparison.Ordinal) || Paths.IsOfFileSystem(name)) continue;
            if (name.Length != 12 || name.AsSpan().IndexOfAnyExceptInRange('0', '9') >= 0) throw Damaged(Path.Combine(directory, name), null, "journal files only", $"a file named {name}");
            numbers.Add(name.Aggregate(0L, (number, digit) => (number * 10) + (digit - '0')));
        }

        numbers.Sort();
        return numbers;
    }

    private void ReadFile(long number, string path, byte[] bytes, Action<JournalEntries>? visit)
    {
        int position = 0;
        int unsignedFrom = -1;
        while (true)
        {
            FrameHeader header = FrameHeader.Read(bytes.AsSpan(position), _options.Identity);
            if (header.State != FrameState.Whole)
            {
                Judge(header, path, position, bytes);
                break;
            }

            CheckOrder(header, number, path, position);
            if (position == 0) Files.Add((number, header.FirstIndex));
            _sequence = header.Sequence;
            NextIndex = header.FirstIndex + header.Count;
            if (NextIndex > _signed && unsignedFrom < 0) unsignedFrom = position;
            visit?.Invoke(new JournalEntries(header.FirstIndex, header.Count, bytes.AsMemory(position + header.EntryOffset, header.EntryBytes)));
            position += header.Size;
        }

        if (position == 0) _empty.Add(number);
        else Offset = position;
        if (unsignedFrom >= 0) _unsigned.Add((path, unsignedFrom, position));
    }

    private void CheckOrder(FrameHeader header, long number, string path, int position)
    {
        string frame = $"frame {header.Sequence}";
        if (_torn is { } torn) throw Damaged(torn.Path, torn.Offset, $"frame {header.Sequence - 1}", $"{torn.Reason}, while {frame} in {path} is whole");
        if (_empty.Count > 0) throw Damaged(PathOf(_directory, _empty[0]), 0, $"frame {header.Sequence - 1}", $"zeros, while {frame} in {path} is whole");
        if (Files.Count == 0 && number > 1)
        {
            // Older files were trimmed, so this file may begin at any later frame.
            if (header.Sequence <= 1) throw Damaged(path, position, "a frame behind those of the files before", frame);
            NextIndex = header.FirstIndex;
            return;
        }

        if (header.Sequence != NextSequence) throw Damaged(path, position, $"frame {NextSequence}", frame);
        if (header.FirstIndex != NextIndex) throw Damaged(path, position, $"first index {NextIndex}", $"first index {header.FirstIndex}");
    }

    /// <summary>Judges a place without a whole frame: the end of the journal, the end of this file, a torn frame, or damage.</summary>
    private void Judge(FrameHeader header, string path, int position, byte[] bytes)
    {
        ReadOnlySpan<byte> rest = bytes.AsSpan(position);
        int last = rest.LastIndexOfAnyExcept((byte)0);
        if (last < 0) return;
        if (FindLater(rest, header) is FrameHeader beyond)
        {
            throw Damaged(path, position, $"frame {NextSequence}", $"{header.Reason}, while frame {beyond.Sequence} behind it is whole and says that {beyond.Durable} was durable");
        }

        if (header.State == FrameState.Damaged) throw Damaged(path, position, $"frame {NextSequence}", header.Reason);

        // The header of a torn frame may be whole. It then states the size of the frame, and must show that the frame is the next one.
        int reach = header.Size > 0 ? header.Size : JournalFrame.MaxSize;
        if (last >= reach) throw Damaged(path, position, "zeros behind the last frame", $"a byte that is not zero at offset {position + last}");
        if (header.Size > 0 && (header.Sequence != NextSequence || (_sequence > 0 && header.FirstIndex != NextIndex)))
        {
            throw Damaged(path, position, $"frame {NextSequence} with first index {NextIndex}", $"a torn frame {header.Sequence} with first index {header.FirstIndex}");
        }

        if (_torn is { } torn) throw Damaged(torn.Path, torn.Offset, $"frame {NextSequence}", $"{torn.Reason}, and another torn frame in {path}");
        int end = position + ((last + JournalFrame.Sector) / JournalFrame.Sector * JournalFrame.Sector);
        _torn = (path, position, end, header.Reason);
    }

    private void Finish()
    {
        if (Files.Count == 0)
        {
            long first = _empty[0];
            if (first != 1) throw Damaged(PathOf(_directory, first), 0, "a frame: files before it were trimmed", _torn?.Reason ?? "zeros");
            Files.Add((first, 0));
            _empty.RemoveAt(0);
        }

        // After the file in use at most one prepared file may follow, filled with zeros.
        if (_empty.Count > 1) throw Damaged(PathOf(_directory, _empty[1]), 0, "at most one prepared file", "a second one");

        // A signed entry was durable, so a frame that is missing below the signed size is not torn.
        if (_torn is { } torn && NextIndex < _signed)
        {
            throw Damaged(torn.Path, torn.Offset, $"frame {NextSequence}, whose entries are below the signed size {_signed}", torn.Reason);
        }
    }

    /// <summary>The first whole frame after a bad one that says that the bad one was durable when it was written.</summary>
    private FrameHeader? FindLater(ReadOnlySpan<byte> bytes, FrameHeader bad)
    {
        // Skip the bad frame itself when its size is known: an entry may contain bytes that look like a frame.
        for (int offset = Math.Max(bad.Size, JournalFrame.Sector); offset + JournalFrame.Sector <= bytes.Length; offset += JournalFrame.Sector)
        {
            if (!bytes.Slice(offset, 8).SequenceEqual(JournalFrame.Magic)) continue;
            FrameHeader header = FrameHeader.Read(bytes[offset..], _options.Identity);
            if (header.State == FrameState.Whole && header.Durable > _sequence) return header;
        }

        return null;
    }
}
