// Numbers, base64, hex and UTF-8 as C2SP writes them. Each value has one valid text, and no other text is accepted.
//
//     size      0 | [1-9][0-9]*            up to 2^63-1     (tlog-checkpoint, "Note text")
//     base64    RFC 4648 section 4         padded, trailing bits zero, no white space
//     hex       [0-9a-f], two a byte
//
// This is the only file that may call the base library's parsers (RS0030). They accept white space, signs, leading zeros
// and trailing bits. A log that accepted those would have several texts for one signature.
using System.Buffers;
using System.Text.Unicode;
#pragma warning disable RS0030 // the decoder is called here, and held by encoding again and comparing
using Base64 = System.Buffers.Text.Base64;

namespace TransparencyLog;

/// <summary>
/// The strict readers on which every parser of this library is built. A reader returns false for anything that is not the
/// canonical text of a value. No reader allocates more than its stated limit.
/// </summary>
public static class Strict
{
    /// <summary>Reads a tree size or an index, 0 to 2^63-1: ASCII digits only, no sign, no leading zero. On false, the size is 0.</summary>
    public static bool TryReadSize(ReadOnlySpan<byte> ascii, out long size)
    {
        bool ok = TryReadUInt64(ascii, out ulong value) && value <= long.MaxValue;
        size = ok ? (long)value : 0;
        return ok;
    }

    /// <summary>Reads a decimal number, 0 to 2^64-1: ASCII digits only, no sign, no leading zero. On false, the value is 0.</summary>
    public static bool TryReadUInt64(ReadOnlySpan<byte> ascii, out ulong value)
    {
        value = 0;
        // 2^64-1 has 20 digits.
        if (ascii.IsEmpty || ascii.Length > 20 || (ascii[0] == (byte)'0' && ascii.Length > 1)) return false;
        ulong sum = 0;
        foreach (byte character in ascii)
        {
            uint digit = (uint)(character - '0');
            if (digit > 9 || sum > (ulong.MaxValue - digit) / 10) return false;
            sum = (sum * 10) + digit;
        }

        value = sum;
        return true;
    }

    /// <summary>
    /// Reads canonical base64 of at most <paramref name="maxBytes"/> decoded bytes (RFC 4648 section 4, standard alphabet,
    /// padded) into a new array. Longer text is refused before anything is allocated. On false, the array is empty.
    /// </summary>
    public static bool TryReadBase64(ReadOnlySpan<byte> ascii, int maxBytes, out byte[] bytes)
    {
        bytes = [];
        if (!TryDecodedLength(ascii, out int length) || length > maxBytes) return false;
        byte[] decoded = new byte[length];
        if (!TryReadBase64(ascii, decoded, out _)) return false;
        bytes = decoded;
        return true;
    }

    /// <summary>
    /// Reads canonical base64 into <paramref name="destination"/>, which may be longer than needed, and allocates
    /// nothing. On false, the content of the destination is undefined.
    /// </summary>
    public static bool TryReadBase64(ReadOnlySpan<byte> ascii, Span<byte> destination, out int written)
    {
        written = 0;
        if (!TryDecodedLength(ascii, out int length) || length > destination.Length) return false;
        if (Base64.DecodeFromUtf8(ascii, destination, out int consumed, out int decoded) != OperationStatus.Done
            || consumed != ascii.Length || decoded != length)
        {
            return false;
        }

        // Encode again and compare, 192 bytes at a time: white space, wrong padding and non-zero trailing bits differ.
        Span<byte> again = stackalloc byte[256];
        for (int at = 0; at < length; at += 192)
        {
            ReadOnlySpan<byte> part = destination[at..Math.Min(at + 192, length)];
            if (Base64.EncodeToUtf8(part, again, out _, out int encoded) != OperationStatus.Done
                || !ascii.Slice(at / 3 * 4, encoded).SequenceEqual(again[..encoded]))
            {
                return false;
            }
        }

        written = length;
        return true;
    }

    /// <summary>Writes standard base64 with padding to the start of <paramref name="destination"/>, which must have room for it.</summary>
    internal static void WriteBase64(ReadOnlySpan<byte> bytes, Span<byte> destination)
    {
        if (Base64.EncodeToUtf8(bytes, destination, out _, out _) != OperationStatus.Done) throw new ArgumentException("no room for the base64", nameof(destination));
    }

    /// <summary>
    /// Reads lower-case hex that is exactly twice as long as <paramref name="destination"/>. On false, the content of the destination is undefined.
    /// </summary>
    public static bool TryReadHexLower(ReadOnlySpan<byte> ascii, Span<byte> destination)
    {
        if (ascii.Length != destination.Length * 2L) return false;
        for (int i = 0; i < destination.Length; i++)
        {
            int high = HexDigit(ascii[2 * i]);
            int low = HexDigit(ascii[(2 * i) + 1]);
            if (high < 0 || low < 0) return false;
            destination[i] = (byte)((high << 4) | low);
        }

        return true;
    }

    /// <summary>Whether the bytes are UTF-8 by RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF, no truncated sequence.</summary>
    public static bool IsUtf8(ReadOnlySpan<byte> bytes) => Utf8.IsValid(bytes);

    private static int HexDigit(byte character) => character switch
    {
        >= (byte)'0' and <= (byte)'9' => character - '0',
        >= (byte)'a' and <= (byte)'f' => character - 'a' + 10,
        _ => -1,
    };

    /// <summary>The decoded length that follows from the length and the padding of the text. The decoder must produce exactly that many bytes.</summary>
    private static bool TryDecodedLength(ReadOnlySpan<byte> ascii, out int length)
    {
        length = 0;
        if (ascii.Length % 4 != 0) return false;
        int padding = ascii.EndsWith("=="u8) ? 2 : ascii.EndsWith("="u8) ? 1 : 0;
        length = (ascii.Length / 4 * 3) - padding;
        return true;
    }
}
