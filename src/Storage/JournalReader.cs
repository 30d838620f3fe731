using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Follows the embedded journal through its files while appends go on. It has its own descriptor and its own window.</summary>
internal sealed class JournalReader(Journal journal, string directory, JournalOptions options, long from) : IJournalReader
{
    /// <summary>Holds dozens of small frames; grows to the size of the largest frame read.</summary>
    private byte[] _window = new byte[64 * 1024];
    private int _windowStart, _windowEnd; // the range of the file that the window holds
    private long _windowUntil;            // NextIndex of the journal before the window was read: frames from there on may be missing from the window
    private SafeFileHandle? _file;
    private string _path = "";
    private long _number;
    private int _offset;
    private long _next = -1; // index of the first entry at the offset

    public bool TryRead(out JournalEntries entries)
    {
        while (true)
        {
            entries = default;
            long until = journal.NextIndex;
            if (Math.Max(_next, from) >= until) return false;
            (long number, long first) = journal.FileOf(Math.Max(_next, from));
            if (number != _number) Open(number, first);
            FrameHeader header = ReadFrame(until);
            if (header.State != FrameState.Whole) throw JournalScan.Damaged(_path, _offset, $"the frame of entry {_next}", header.Reason);
            if (header.FirstIndex != _next) throw JournalScan.Damaged(_path, _offset, $"first index {_next}", $"first index {header.FirstIndex}");
            _next = header.FirstIndex + header.Count;
            int start = _offset - _windowStart + header.EntryOffset;
            _offset += header.Size;
            if (_next <= from) continue;
            entries = new JournalEntries(header.FirstIndex, header.Count, _window.AsMemory(start, header.EntryBytes));
            return true;
        }
    }

    public void Dispose() => _file?.Dispose();

    private void Open(long number, long first)
    {
        _file?.Dispose();
        _path = JournalScan.PathOf(directory, number);
        _file = Posix.Open(_path, Posix.ReadOnly | Posix.NoFollow);
        _number = number;
        _next = first;
        _offset = _windowStart = _windowEnd = 0;
    }

    private FrameHeader ReadFrame(long until)
    {
        if (_next >= _windowUntil) _windowEnd = 0;
        Hold(JournalFrame.Sector, until);
        int size = SizeOf(_window.AsSpan(_offset - _windowStart));
        Hold(size, until);
        return FrameHeader.Read(_window.AsSpan(_offset - _windowStart, size), options.Identity);
    }

    /// <summary>The frame size that the header states, capped to what can be there. The header is validated once the whole frame is in the window.</summary>
    private int SizeOf(ReadOnlySpan<byte> header)
    {
        long size = JournalFrame.HeaderSize + BinaryPrimitives.ReadUInt32BigEndian(header[8..]) + (long)BinaryPrimitives.ReadUInt32BigEndian(header[12..]) + JournalFrame.TrailerSize;
        size = (size + JournalFrame.Sector - 1) / JournalFrame.Sector * JournalFrame.Sector;
        return (int)Math.Min(size, Math.Min(JournalFrame.MaxSize, options.FileBytes - _offset));
    }

    /// <summary>Makes sure that the next <paramref name="bytes"/> bytes are in the window.</summary>
    private void Hold(int bytes, long until)
    {
        if (_offset >= _windowStart && _offset + bytes <= _windowEnd) return;
        if (bytes > _window.Length) _window = new byte[Math.Min(JournalFrame.MaxSize, Math.Max(bytes, _window.Length * 2))];
        int length = Math.Min(_window.Length, options.FileBytes - _offset);
        int read = Posix.Read(_file!, _window.AsSpan(0, length), _offset, _path);
        if (read < bytes) throw JournalScan.Damaged(_path, null, $"{options.FileBytes} bytes", $"{_offset + read} bytes that could be read");
        (_windowStart, _windowEnd, _windowUntil) = (_offset, _offset + read, until);
    }
}
