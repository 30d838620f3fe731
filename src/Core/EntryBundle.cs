// An entry bundle: C2SP tlog-tiles, "Log Entries". Each entry follows its length, a big-endian uint16. The bundle of a tile holds at most
// 256 entries. The journal and add-batch use the same framing for any number of entries.
//
//   00 03 6f 6e 65   00 00   00 02 61 62      "one", "", "ab"
using System.Buffers.Binary;

namespace TransparencyLog;

/// <summary>Reads and writes entry bundles (C2SP tlog-tiles, "Log Entries"): big-endian uint16 length, then the entry.</summary>
public static class EntryBundle
{
    /// <summary>Longest entry that the length prefix can express: 65,535 bytes. The shortest entry is empty.</summary>
    public const int MaxEntrySize = 65535;

    /// <summary>Entries in a full bundle: 256.</summary>
    public const int Width = 256;

    private const int PrefixSize = 2;

    /// <summary>
    /// Counts the entries of a whole bundle, however many. False when a length points past the end or a single byte is left over.
    /// </summary>
    public static bool TryCount(ReadOnlySpan<byte> bundle, out int count) => TryCount(bundle, out count, out _);

    /// <summary>
    /// As <see cref="TryCount(ReadOnlySpan{byte}, out int)"/>. On false, <paramref name="badOffset"/> is the offset of the first
    /// length prefix that cannot be right. It is -1 when the bundle is well formed.
    /// </summary>
    public static bool TryCount(ReadOnlySpan<byte> bundle, out int count, out int badOffset)
    {
        // SPEC TT-24: a bundle is big-endian uint16 length-prefixed entries.
        count = 0;
        int offset = 0;
        while (offset < bundle.Length)
        {
            if (!TryEnd(bundle, offset, out int end))
            {
                count = 0;
                badOffset = offset;
                return false;
            }

            offset = end;
            count++;
        }

        badOffset = -1;
        return true;
    }

    /// <summary>
    /// The entries in order, for <c>foreach</c>. The bundle must be one that <see cref="TryCount(ReadOnlySpan{byte}, out int)"/>
    /// accepts. Otherwise the enumerator throws <see cref="ArgumentException"/> at the first bad prefix.
    /// </summary>
    public static Enumerator Enumerate(ReadOnlySpan<byte> bundle) => new(bundle);

    /// <summary>Size in bytes of an entry of this length in a bundle: two more than its length.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The length is not 0 to 65,535.</exception>
    public static int EncodedSize(int entryLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(entryLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(entryLength, MaxEntrySize);
        return PrefixSize + entryLength;
    }

    /// <summary>Writes one entry with its prefix at the start of <paramref name="destination"/>; returns the bytes written.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The entry is longer than 65,535 bytes.</exception>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is too short; nothing was written.</exception>
    public static int Write(ReadOnlySpan<byte> entry, Span<byte> destination)
    {
        int size = EncodedSize(entry.Length);
        if (destination.Length < size) throw new ArgumentException($"the entry needs {size} bytes", nameof(destination));
        BinaryPrimitives.WriteUInt16BigEndian(destination, (ushort)entry.Length);
        entry.CopyTo(destination[PrefixSize..]);
        return size;
    }

    /// <summary>Length in bytes of the first <paramref name="entries"/> entries, which are the partial bundle of that width.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="entries"/> is negative or more than the bundle holds.</exception>
    public static int PrefixLength(ReadOnlySpan<byte> bundle, int entries)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(entries);
        int offset = 0;
        for (int i = 0; i < entries; i++)
        {
            if (!TryEnd(bundle, offset, out offset))
            {
                throw new ArgumentOutOfRangeException(nameof(entries), entries, $"the bundle holds {i}");
            }
        }

        return offset;
    }

    /// <summary>Finds the end of the entry whose prefix is at <paramref name="offset"/>. False when the entry would end past the bundle.</summary>
    private static bool TryEnd(ReadOnlySpan<byte> bundle, int offset, out int end)
    {
        end = offset;
        if (bundle.Length - offset < PrefixSize) return false;
        int length = BinaryPrimitives.ReadUInt16BigEndian(bundle[offset..]);
        if (bundle.Length - offset - PrefixSize < length) return false;
        end = offset + PrefixSize + length;
        return true;
    }

    /// <summary>Enumerates the entries of a checked bundle. The spans point into the bundle.</summary>
    public ref struct Enumerator
    {
        private readonly ReadOnlySpan<byte> _bundle;
        private int _start;
        private int _end;

        internal Enumerator(ReadOnlySpan<byte> bundle) => _bundle = bundle;

        /// <summary>The entry, 0 to 65,535 bytes.</summary>
        public readonly ReadOnlySpan<byte> Current => _bundle[_start.._end];

        /// <summary>This enumerator, so that <c>foreach</c> accepts it.</summary>
        public readonly Enumerator GetEnumerator() => this;

        /// <summary>Goes to the next entry; false after the last.</summary>
        /// <exception cref="ArgumentException">The bundle was not checked, and is malformed here.</exception>
        public bool MoveNext()
        {
            if (_end == _bundle.Length) return false;
            if (!TryEnd(_bundle, _end, out int end)) throw new ArgumentException($"no entry at offset {_end} of the bundle");
            _start = _end + PrefixSize;
            _end = end;
            return true;
        }
    }
}
