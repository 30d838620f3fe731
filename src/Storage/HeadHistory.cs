// The history of signed heads, `heads`: one line per head (HeadRecord.cs), then zeros.
//
// The zeros are written ahead, a MiB at a time, so that the data sync of a line changes neither the file's length nor the location of its blocks.
// Such a change would cost a commit of the file system's own journal, and the entries' journal on the same disk would wait for it too.
// At 16 MiB the file becomes heads.old, and a new one begins with the head in force.

using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>The file of all signed heads. One writer. A line is on disk when <see cref="Append"/> returns.</summary>
internal sealed class HeadHistory : IDisposable
{
    /// <summary>The bytes of zeros written ahead: room for about 2,000 heads.</summary>
    private const int Ahead = 1024 * 1024;

    private static readonly byte[] Zeros = new byte[Ahead];

    private readonly string _path;
    private readonly long _limit;
    private SafeFileHandle _file;
    private long _end;    // offset after the last line
    private long _filled; // the file holds zeros from _end to this offset
    private long _tornEnd;
    private byte[] _newestLine = [];

    private HeadHistory(string path, long limit)
    {
        _path = path;
        _limit = limit;
        _file = Posix.Open(path, Posix.ReadWrite | Posix.NoFollow);
    }

    /// <summary>The record of the newest line at opening.</summary>
    public HeadRecord Newest { get; private set; } = null!;

    /// <summary>The record of the newest line at opening whose head differs from the newest head; null when there was none.</summary>
    public HeadRecord? Before { get; private set; }

    /// <summary>Whether an unfinished line follows the newest one.</summary>
    public bool Torn => _tornEnd > 0;

    /// <summary>The file in use.</summary>
    public SafeFileHandle Handle => Volatile.Read(ref _file);

    /// <summary>Creates the file with its first line.</summary>
    public static void Create(string path, byte[] line) => DurableFile.Replace(path, [.. line, .. new byte[Ahead - line.Length]]);

    /// <summary>Opens and reads the history; changes nothing. Throws <see cref="DamageException"/> for a line that a crash cannot have caused.</summary>
    /// <param name="path">The file.</param>
    /// <param name="limit">The size in bytes at which the file becomes heads.old.</param>
    public static HeadHistory Open(string path, long limit)
    {
        HeadHistory history = new(path, limit);
        try
        {
            history.Load();
            return history;
        }
        catch
        {
            history.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Reads the lines of a history in order. Returns the offset after the last line, and the end of a torn line that follows it, or 0. A line is torn when
    /// it is the last one, and its newline is missing or a 512-byte sector of it still holds the zeros from before. Any other line that does not parse is
    /// damage.
    /// </summary>
    /// <param name="path">The path, for messages.</param>
    /// <param name="bytes">The content of the file.</param>
    /// <param name="line">Called with the place of each line, its bytes and its record.</param>
    public static (int End, int TornEnd) Read(string path, ReadOnlyMemory<byte> bytes, Action<string, ReadOnlyMemory<byte>, HeadRecord> line)
    {
        int textEnd = bytes.Span.LastIndexOfAnyExcept((byte)0) + 1, offset = 0;
        if (textEnd == 0) throw Damaged(path, "the history of signed heads", bytes.Length == 0 ? "an empty file" : "zeros");
        while (offset < textEnd)
        {
            int newline = bytes.Span[offset..textEnd].IndexOf((byte)'\n');
            int length = newline < 0 ? textEnd - offset : newline + 1;
            string place = $"{path}, offset {offset}";
            if (!HeadRecord.TryParse(bytes.Span.Slice(offset, length), out HeadRecord? record))
            {
                bool last = offset > 0 && offset + length == textEnd && length <= HeadRecord.MaxSize;
                if (last && (newline < 0 || LacksASector(bytes.Span, offset, textEnd))) return (offset, textEnd);
                throw Damaged(place, "a head record", "a line whose CRC does not match");
            }

            line(place, bytes.Slice(offset, length), record);
            offset += length;
        }

        return (offset, 0);
    }

    /// <summary>Appends a line, syncs it, and verifies that it is there.</summary>
    /// <param name="record">The record to append.</param>
    /// <param name="current">The head in force. When this file is full, the new file begins with it.</param>
    public void Append(HeadRecord record, TreeHead? current)
    {
        byte[] line = record.ToBytes();
        if (_end + line.Length > _limit) StartAnew(new HeadRecord(record.UnixMilliseconds, "history goes on from heads.old", current));
        if (_end + line.Length > _filled) FillAhead(line.Length);
        Posix.Write(_file, line, _end, _path);
        Posix.SyncData(_file, _path);
        Posix.Verify(_file, line, _end, _path);
        _end += line.Length;
    }

    /// <summary>Writes zeros over a torn line and syncs them.</summary>
    public void CutTorn()
    {
        byte[] zeros = new byte[_tornEnd - _end];
        Posix.Write(_file, zeros, _end, _path);
        Posix.Sync(_file, _path);
        Posix.Verify(_file, zeros, _end, _path);
        _tornEnd = 0;
    }

    /// <summary>Rewrites and syncs the newest line that was found at opening: after a crash only the page cache may have it.</summary>
    public void RewriteNewest()
    {
        Posix.Write(_file, _newestLine, _end - _newestLine.Length, _path);
        Posix.SyncData(_file, _path);
        Posix.Verify(_file, _newestLine, _end - _newestLine.Length, _path);
    }

    public void Dispose() => _file.Dispose();

    private static bool LacksASector(ReadOnlySpan<byte> bytes, int from, int to)
    {
        for (int start = from; start < to; start = (start / JournalFrame.Sector * JournalFrame.Sector) + JournalFrame.Sector)
        {
            int end = Math.Min(to, (start / JournalFrame.Sector * JournalFrame.Sector) + JournalFrame.Sector);
            if (!bytes[start..end].ContainsAnyExcept((byte)0)) return true;
        }

        return false;
    }

    private static DamageException Damaged(string place, string expected, string found) => new(new Damage("heads", place, null, null, expected, found));

    private void Load()
    {
        byte[] bytes = new byte[Posix.LengthOf(_file, _path)];
        if (Posix.Read(_file, bytes, 0, _path) != bytes.Length) throw new StorageException($"{_path} could not be read whole");
        ReadOnlyMemory<byte> newest = default;
        (_end, _tornEnd) = Read(_path, bytes, (_, line, record) =>
        {
            if (Newest is not null && !Equals(Newest.Head, record.Head)) Before = Newest;
            Newest = record;
            newest = line;
        });
        _newestLine = newest.ToArray();
        _filled = bytes.Length;
    }

    private void FillAhead(int length)
    {
        long end = _end + length + Ahead;
        for (long offset = _filled; offset < end; offset += Zeros.Length)
        {
            Posix.Write(_file, Zeros.AsSpan(0, (int)Math.Min(Zeros.Length, end - offset)), offset, _path);
        }

        Posix.Sync(_file, _path);
        _filled = end;
    }

    private void StartAnew(HeadRecord first)
    {
        // The new file begins with the head in force, so it alone is enough to check `commit`.
        byte[] start = first.ToBytes();
        string next = _path + ".next";
        Create(next, start);
        DurableFile.Replace(_path + ".old", _file, _end, _path);
        SafeFileHandle before = _file, opened = Posix.Open(next, Posix.ReadWrite | Posix.NoFollow);
        try
        {
            Posix.Rename(next, _path);
        }
        catch
        {
            opened.Dispose();
            throw;
        }

        Volatile.Write(ref _file, opened);
        before.Dispose();
        Posix.SyncDirectory(Path.GetDirectoryName(_path)!);
        _end = start.Length;
        _filled = Ahead;
    }
}
