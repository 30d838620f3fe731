// The path of a tile or of an entry bundle: C2SP tlog-tiles, "Merkle Tree" and "Log Entries".
//
//   tile/<L>/<N>           a full tile: 256 hashes of tile level L
//   tile/<L>/<N>.p/<W>     a partial tile: its first W hashes, 1 to 255
//   tile/entries/<N>[.p/<W>]   the entry bundle that belongs to the level 0 tile of the same index
//
// <N> is the index in groups of three digits, all but the last with an x in front: 1234067 is x001/x234/067.
using System.Text;

namespace TransparencyLog;

/// <summary>
/// Names one tile or entry bundle of C2SP tlog-tiles: level, index and width. <c>default</c> is the full tile at level 0, index 0.
/// </summary>
public readonly record struct TilePath
{
    /// <summary>The level that stands for an entry bundle: -1.</summary>
    public const int EntriesLevel = -1;

    /// <summary>The highest tile level a path can name: 63.</summary>
    public const int MaxLevel = 63;

    /// <summary>Hashes in a full tile, entries in a full bundle: 256.</summary>
    public const int FullWidth = 256;

    // "tile/entries/", six groups of "x000/" and one of "000" for the 19 digits of 2^63-1, ".p/255".
    private const int MaxLength = 13 + (6 * 5) + 3 + 6;

    // 0 stands for a full tile, so that default is a full tile too.
    private readonly byte _partialWidth;
    private readonly sbyte _level;

    /// <summary>Names a tile; the level is -1 for an entry bundle.</summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// The level is not -1 to 63, the index is negative, or the width is not 1 to 256.
    /// </exception>
    public TilePath(int level, long index, int width = FullWidth)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(level, EntriesLevel);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(level, MaxLevel);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(width, FullWidth);
        _level = (sbyte)level;
        _partialWidth = (byte)(width % FullWidth);
        Index = index;
    }

    /// <summary>The tile level, 0 to 63, or <see cref="EntriesLevel"/>.</summary>
    public int Level => _level;

    /// <summary>The index of the tile in its level, 0 to 2^63-1.</summary>
    public long Index { get; }

    /// <summary>Hashes or entries, 1 to 256; 256 is full.</summary>
    public int Width => _partialWidth == 0 ? FullWidth : _partialWidth;

    /// <summary>Whether it is an entry bundle.</summary>
    public bool IsEntries => _level == EntriesLevel;

    /// <summary>Whether it is a partial tile or partial bundle.</summary>
    public bool IsPartial => _partialWidth != 0;

    /// <summary>
    /// Reads a path without a leading slash. False unless it is the canonical path of a tile or bundle, with an index below 2^63.
    /// It does not check whether a tree is large enough to have the tile: <see cref="IsCoveredBy"/> does.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> path, out TilePath tile)
    {
        tile = default;
        if (path.Length > MaxLength || !path.StartsWith("tile/"u8)) return false;
        ReadOnlySpan<byte> rest = path["tile/"u8.Length..];

        // SPEC TT-08: <L> is decimal 0 to 63, no leading zeros.
        int slash = rest.IndexOf((byte)'/');
        if (slash < 0) return false;
        int level = EntriesLevel;
        if (!rest[..slash].SequenceEqual("entries"u8) && !(TryReadDigits(rest[..slash], out level) && level <= MaxLevel)) return false;
        rest = rest[(slash + 1)..];

        // SPEC TT-11: <W> is decimal 1 to 255, no leading zeros; .p/256 and .p/0 do not exist.
        int width = FullWidth;
        int suffix = rest.IndexOf(".p/"u8);
        if (suffix >= 0)
        {
            if (!TryReadDigits(rest[(suffix + ".p/"u8.Length)..], out width) || width is 0 or >= FullWidth) return false;
            rest = rest[..suffix];
        }

        if (!TryReadIndex(rest, out long index)) return false;

        // SPEC TT-10: only the canonical path. What we would have written is what was asked for, or it is no tile.
        TilePath candidate = new(level, index, width);
        Span<byte> again = stackalloc byte[MaxLength];
        if (!path.SequenceEqual(again[..candidate.Format(again)])) return false;
        tile = candidate;
        return true;
    }

    /// <summary>The path, at most 52 ASCII characters, with no leading slash.</summary>
    public override string ToString()
    {
        Span<byte> path = stackalloc byte[MaxLength];
        return Encoding.ASCII.GetString(path[..Format(path)]);
    }

    /// <summary>
    /// How many hashes (entries, at level -1) this tile has in a tree of <paramref name="size"/> leaves: 0 to 256.
    /// Any index and size are allowed; for a negative one the result is 0.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The level is not -1 to 63.</exception>
    public static int WidthAt(int level, long index, long size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(level, EntriesLevel);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(level, MaxLevel);
        if (index < 0 || size < 0) return 0;

        // SPEC TT-16: at level l a tree of size s has floor(s / 256^l) hashes. From level 8 on that is none, below 2^63 leaves.
        int shift = 8 * Math.Max(level, 0);
        long hashes = shift < 64 ? size >> shift : 0;
        long tiles = hashes / FullWidth;
        return index < tiles ? FullWidth : index == tiles ? (int)(hashes % FullWidth) : 0;
    }

    /// <summary>Whether a tree of <paramref name="size"/> leaves has every hash (entry) of this tile (bundle).</summary>
    public bool IsCoveredBy(long size) => Width <= WidthAt(Level, Index, size);

    /// <summary>SPEC TT-09: three-digit groups, all but the last behind an x.</summary>
    private static bool TryReadIndex(ReadOnlySpan<byte> groups, out long index)
    {
        index = 0;
        while (true)
        {
            bool last = groups.Length == 3;
            if (!last && !(groups.Length > 5 && groups[0] == 'x' && groups[4] == '/')) return false;
            if (!TryReadDigits(last ? groups : groups[1..4], out int group)) return false;
            if (index > (long.MaxValue - group) / 1000) return false;
            index = (index * 1000) + group;
            if (last) return true;
            groups = groups[5..];
        }
    }

    /// <summary>Reads one to three ASCII digits. Accepts leading zeros: the comparison with the canonical path refuses those that are wrong.</summary>
    private static bool TryReadDigits(ReadOnlySpan<byte> digits, out int value)
    {
        value = 0;
        if (digits.Length is 0 or > 3) return false;
        foreach (byte digit in digits)
        {
            if (digit is < (byte)'0' or > (byte)'9') return false;
            value = (value * 10) + (digit - '0');
        }

        return true;
    }

    private int Format(Span<byte> path)
    {
        int length = Put(path, 0, "tile/"u8);
        length = IsEntries ? Put(path, length, "entries"u8) : PutNumber(path, length, Level);
        length = Put(path, length, "/"u8);

        long unit = 1;
        while (Index / unit >= 1000) unit *= 1000;
        for (; unit > 1; unit /= 1000)
        {
            length = Put(path, length, "x"u8);
            length = PutGroup(path, length, (int)(Index / unit % 1000));
            length = Put(path, length, "/"u8);
        }

        length = PutGroup(path, length, (int)(Index % 1000));
        if (!IsPartial) return length;
        length = Put(path, length, ".p/"u8);
        return PutNumber(path, length, Width);
    }

    private static int Put(Span<byte> path, int length, ReadOnlySpan<byte> text)
    {
        text.CopyTo(path[length..]);
        return length + text.Length;
    }

    private static int PutGroup(Span<byte> path, int length, int value)
    {
        path[length] = (byte)('0' + (value / 100));
        path[length + 1] = (byte)('0' + (value / 10 % 10));
        path[length + 2] = (byte)('0' + (value % 10));
        return length + 3;
    }

    /// <summary>Writes a number below 1000 without leading zeros.</summary>
    private static int PutNumber(Span<byte> path, int length, int value)
    {
        if (value >= 100) path[length++] = (byte)('0' + (value / 100));
        if (value >= 10) path[length++] = (byte)('0' + (value / 10 % 10));
        path[length++] = (byte)('0' + (value % 10));
        return length;
    }
}
