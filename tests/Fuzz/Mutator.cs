// Changes inputs: bits, bytes, numbers in bytes and in digits, pieces, lines, words of the format, and pieces of other inputs; some of them at once.

using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>A source of chance that gives the same numbers for the same seed, on every machine (xorshift64*).</summary>
internal sealed class Chance(ulong seed)
{
    private ulong _state = (seed * 0x9E3779B97F4A7C15) | 1;

    public ulong Next()
    {
        _state ^= _state >> 12;
        _state ^= _state << 25;
        _state ^= _state >> 27;
        return _state * 0x2545F4914F6CDD1D;
    }

    /// <summary>0 to <paramref name="below"/> - 1.</summary>
    public int Below(int below) => (int)((UInt128)Next() * (ulong)below >> 64);

    public bool OneIn(int many) => Below(many) == 0;
}

/// <summary>Makes an input of one or two others. Its buffer is reused.</summary>
internal sealed class Mutator(Chance chance, int maxLength)
{
    private static readonly long[] Edges =
    [
        0, 1, -1, 2, 7, 8, 16, 31, 32, 33, 63, 64, 65, 72, 100, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1000, 1023, 1024, 4096, 32767, 32768, 65535, 65536, 65537, 1 << 20,
        int.MaxValue, int.MinValue, uint.MaxValue, 1L << 32, 1L << 62, long.MaxValue, long.MaxValue - 1, long.MinValue,
    ];

    private static readonly string[] Numbers =
    [
        "0", "1", "00", "-1", "-0", "+1", " 1", "1 ", "2", "3", "7", "8", "9", "63", "64", "127", "128", "255", "256", "999", "1000", "65535", "65536", "2147483647", "2147483648", "4294967296",
        "4611686018427387904", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999", "1e3", "0x1", "1_0", "\u0661", "\uff11",
    ];

    private static readonly byte[][] Pieces =
    [
        "\n"u8.ToArray(), "\n\n"u8.ToArray(), "\r\n"u8.ToArray(), "\r"u8.ToArray(), "\t"u8.ToArray(), " "u8.ToArray(), "\0"u8.ToArray(), "+"u8.ToArray(), "="u8.ToArray(), "=="u8.ToArray(), "-"u8.ToArray(),
        "\u2014 "u8.ToArray(), "\u2013 "u8.ToArray(), "\u0085"u8.ToArray(), "\u2028"u8.ToArray(), "\u00a0"u8.ToArray(), "\u200d"u8.ToArray(), "\u00ad"u8.ToArray(), "\ufeff"u8.ToArray(), "\ufffd"u8.ToArray(), "\u0130"u8.ToArray(), "\u0131"u8.ToArray(),
        [0x7f], [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x80],
    ];

    private byte[] _bytes = new byte[256];
    private int _length;

    /// <summary>A few changes of <paramref name="parent"/>; pieces of <paramref name="other"/> may come into it.</summary>
    public byte[] Mutate(byte[] parent, byte[] other, IReadOnlyList<byte[]> words)
    {
        _length = 0;
        Insert(0, parent);
        for (int changes = chance.OneIn(2) ? 1 : 1 << chance.Below(5); changes > 0; changes--) Change(other, words);
        if (chance.OneIn(200)) Blow();
        return _bytes.AsSpan(0, _length).ToArray();
    }

    private void Change(byte[] other, IReadOnlyList<byte[]> words)
    {
        switch (_length == 0 ? 12 : chance.Below(24))
        {
            case 0 or 1:
                _bytes[chance.Below(_length)] ^= (byte)(1 << chance.Below(8));
                break;
            case 2:
                _bytes[chance.Below(_length)] = (byte)chance.Next();
                break;
            case 3:
                _bytes[chance.Below(_length)] += (byte)(chance.Below(71) - 35);
                break;
            case 4 or 5:
                Number();
                break;
            case 6 or 7:
                (int from, int size) = Range(_length);
                Delete(from, size);
                break;
            case 8:
                (from, size) = Range(_length);
                Insert(chance.Below(_length + 1), _bytes.AsSpan(from, size).ToArray());
                break;
            case 9:
                (from, size) = Range(_length);
                byte[] piece = _bytes.AsSpan(from, size).ToArray();
                piece.CopyTo(_bytes, chance.Below(_length - size + 1));
                break;
            case 10:
                byte[] row = new byte[1 + chance.Below(chance.OneIn(8) ? 600 : 8)];
                if (chance.OneIn(2)) row.AsSpan().Fill((byte)chance.Next());
                else for (int i = 0; i < row.Length; i++) row[i] = (byte)chance.Next();
                Insert(chance.Below(_length + 1), row);
                break;
            case 11:
                Delete(chance.Below(_length), _length);
                break;
            case 12 or 13:
                Insert(chance.Below(_length + 1), Word(words));
                break;
            case 14:
                byte[] word = Word(words);
                int at = chance.Below(_length);
                Delete(at, word.Length);
                Insert(Math.Min(at, _length), word);
                break;
            case 15 or 16:
                Digits();
                break;
            case 17 or 18 or 19:
                Line(other);
                break;
            case 20:
                Letter();
                break;
            case 21:
                // The beginning of this one, the end of the other.
                Delete(chance.Below(_length + 1), _length);
                if (other.Length > 0) Insert(_length, other.AsSpan(chance.Below(other.Length)));
                break;
            case 22 when other.Length > 0:
                (from, size) = Range(other.Length);
                Insert(chance.Below(_length + 1), other.AsSpan(from, size));
                break;
            case 23 when other.Length > 0:
                // A piece of the other in the same place.
                (from, size) = Range(Math.Min(other.Length, _length));
                other.AsSpan(from, size).CopyTo(_bytes.AsSpan(from));
                break;
        }
    }

    /// <summary>A number in bytes, of 1 to 8 of them, in either order: an edge of something, or one up or down.</summary>
    private void Number()
    {
        int size = 1 << chance.Below(4);
        if (_length < size) return;
        Span<byte> place = _bytes.AsSpan(chance.Below(_length - size + 1), size);
        Span<byte> eight = stackalloc byte[8];
        bool little = chance.OneIn(4);
        long value = Edges[chance.Below(Edges.Length)];
        if (chance.OneIn(2))
        {
            eight.Clear();
            place.CopyTo(eight[(8 - size)..]);
            if (little) eight[(8 - size)..].Reverse();
            value = BinaryPrimitives.ReadInt64BigEndian(eight) + chance.Below(33) - 16;
        }

        BinaryPrimitives.WriteInt64BigEndian(eight, value);
        if (little) eight[(8 - size)..].Reverse();
        eight[(8 - size)..].CopyTo(place);
    }

    /// <summary>A number in decimal digits: one up or down, an edge, or a spelling that nobody should read.</summary>
    private void Digits()
    {
        ReadOnlySpan<byte> bytes = _bytes.AsSpan(0, _length);
        int start = chance.Below(_length), from = chance.OneIn(4) ? -1 : WordOfDigits(bytes, start);
        if (from < 0) from = bytes[start..].IndexOfAnyInRange((byte)'0', (byte)'9') is int at and >= 0 ? start + at : bytes.IndexOfAnyInRange((byte)'0', (byte)'9');
        if (from < 0) return;
        int end = bytes[from..].IndexOfAnyExceptInRange((byte)'0', (byte)'9') is int rest and >= 0 ? from + rest : _length;
        string now = Encoding.ASCII.GetString(bytes.Slice(from, Math.Min(end - from, 40)));
        string next = chance.Below(4) switch
        {
            0 => Numbers[chance.Below(Numbers.Length)],
            1 => "0" + now,
            _ => (BigInteger.Parse(now, NumberStyles.None, CultureInfo.InvariantCulture) + chance.Below(9) - 4).ToString(CultureInfo.InvariantCulture),
        };
        Delete(from, end - from);
        Insert(from, Encoding.UTF8.GetBytes(next));
    }

    /// <summary>The first digits from a place on, or from the beginning, that are a word of their own: a number, not a part of a key or a hash. -1 where there are none.</summary>
    private static int WordOfDigits(ReadOnlySpan<byte> bytes, int start)
    {
        foreach (int begin in new[] { start, 0 })
        {
            for (int from = begin; from < bytes.Length; from++)
            {
                if (!char.IsAsciiDigit((char)bytes[from]) || (from > 0 && IsLetter(bytes[from - 1]))) continue;
                int length = bytes[from..].IndexOfAnyExceptInRange((byte)'0', (byte)'9');
                if (length < 0 || !IsLetter(bytes[from + length])) return from;
            }
        }

        return -1;

        static bool IsLetter(byte letter) => char.IsAsciiLetterOrDigit((char)letter) || letter is (byte)'+' or (byte)'/' or (byte)'=' or (byte)'-' or (byte)'.';
    }

    /// <summary>A line goes, comes twice, moves, or is one of the other input.</summary>
    private void Line(byte[] other)
    {
        (int from, int size) = LineOf(_bytes.AsSpan(0, _length), chance.Below(_length));
        byte[] line = _bytes.AsSpan(from, size).ToArray();
        switch (chance.Below(5))
        {
            case 0:
                Delete(from, size);
                break;
            case 1:
                Insert(from, line);
                break;
            case 2:
                Delete(from, size);
                Insert(LineStart(), line);
                break;
            case 3 when other.Length > 0:
                Delete(from, size);
                Insert(from, Foreign());
                break;
            case 4 when other.Length > 0:
                Insert(LineStart(), Foreign());
                break;
        }

        int LineStart() => _length == 0 ? 0 : LineOf(_bytes.AsSpan(0, _length), chance.Below(_length)).From;

        byte[] Foreign()
        {
            (int start, int length) = LineOf(other, chance.Below(other.Length));
            return other.AsSpan(start, length).ToArray();
        }
    }

    private static (int From, int Size) LineOf(ReadOnlySpan<byte> bytes, int at)
    {
        int from = bytes[..at].LastIndexOf((byte)'\n') + 1;
        int size = bytes[from..].IndexOf((byte)'\n') + 1;
        return (from, size == 0 ? bytes.Length - from : size);
    }

    /// <summary>Another case, another letter of base64, another hexadecimal digit.</summary>
    private void Letter()
    {
        ref byte place = ref _bytes[chance.Below(_length)];
        place = chance.Below(3) switch
        {
            0 => (byte)(place ^ 0x20),
            1 => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_"u8[chance.Below(67)],
            _ => "0123456789abcdefABCDEF"u8[chance.Below(22)],
        };
    }

    /// <summary>A piece again and again, up to the largest input: what costs more than its length shows.</summary>
    private void Blow()
    {
        if (_length == 0) return;
        (int from, int size) = chance.OneIn(2) ? LineOf(_bytes.AsSpan(0, _length), chance.Below(_length)) : Range(_length);
        if (size == 0) return;
        byte[] piece = _bytes.AsSpan(from, size).ToArray();
        int room = (maxLength - _length) / size;
        if (room <= 0) return;
        byte[] many = new byte[(1 + chance.Below(room)) * size];
        for (int at = 0; at < many.Length; at += size) piece.CopyTo(many, at);
        Insert(from, many);
    }

    private byte[] Word(IReadOnlyList<byte[]> words) => words.Count == 0 || chance.OneIn(3) ? Pieces[chance.Below(Pieces.Length)] : words[chance.Below(words.Count)];

    /// <summary>A range that is not empty: mostly short.</summary>
    private (int From, int Size) Range(int length)
    {
        int size = 1 + chance.Below(Math.Min(length, chance.Below(4) switch { 0 => length, 1 => 128, _ => 16 }));
        return (chance.Below(length - size + 1), size);
    }

    private void Delete(int from, int size)
    {
        size = Math.Min(size, _length - from);
        _bytes.AsSpan(from + size, _length - from - size).CopyTo(_bytes.AsSpan(from));
        _length -= size;
    }

    private void Insert(int at, ReadOnlySpan<byte> piece)
    {
        piece = piece[..Math.Min(piece.Length, Math.Max(0, maxLength - _length))];
        int needed = 2 * (_length + piece.Length);
        if (needed > _bytes.Length) Array.Resize(ref _bytes, needed);
        _bytes.AsSpan(at, _length - at).CopyTo(_bytes.AsSpan(at + piece.Length));
        piece.CopyTo(_bytes.AsSpan(at));
        _length += piece.Length;
    }
}
