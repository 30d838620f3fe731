using System.Text;

namespace TransparencyLog.Hosting;

/// <summary>
/// N-09: enforces that a Content-Length is digits and nothing else (RFC 9112 section 6.2). Kestrel parses the value as a number and does not keep its text: it
/// reads <c>+1</c> as 1 and <c>-0</c> as 0, where a proxy may read something else. The only hook is the encoding that Kestrel asks for to decode the value.
/// This encoding decodes digits as digits and every other byte as a character that is not part of a number. Kestrel refuses that with 400 and ends the
/// connection.
/// </summary>
internal sealed class LengthDigits : Encoding
{
    private const char NoDigit = '?';

    /// <summary>The encoding for a header: this one for Content-Length. Null for all other headers, for which Kestrel then uses its own.</summary>
    public static Encoding? Select(string header) => string.Equals(header, "Content-Length", StringComparison.OrdinalIgnoreCase) ? Instance : null;

    private static readonly LengthDigits Instance = new();

    public override int GetChars(ReadOnlySpan<byte> bytes, Span<char> chars)
    {
        if (bytes.Length > chars.Length)
        {
            // Longer than any valid length.
            chars[0] = NoDigit;
            return 1;
        }

        for (int i = 0; i < bytes.Length; i++) chars[i] = char.IsAsciiDigit((char)bytes[i]) ? (char)bytes[i] : NoDigit;
        return bytes.Length;
    }

    public override int GetChars(byte[] bytes, int byteIndex, int byteCount, char[] chars, int charIndex) => GetChars(bytes.AsSpan(byteIndex, byteCount), chars.AsSpan(charIndex));

    public override int GetCharCount(byte[] bytes, int index, int count) => count;

    public override int GetMaxCharCount(int byteCount) => byteCount;

    public override int GetByteCount(char[] chars, int index, int count) => count;

    public override int GetBytes(char[] chars, int charIndex, int charCount, byte[] bytes, int byteIndex)
    {
        for (int i = 0; i < charCount; i++) bytes[byteIndex + i] = (byte)chars[charIndex + i];
        return charCount;
    }

    public override int GetMaxByteCount(int charCount) => charCount;
}
