using System.Text;

namespace TransparencyLog.Hosting;

/// <summary>
/// N-09: a Content-Length is digits and nothing else (RFC 9112 section 6.2). Kestrel parses it as a number, and reads <c>+1</c> as 1 and <c>-0</c> as 0, where a proxy may read something
/// else; the text itself is not kept. The one place where Kestrel shows it is the encoding it asks for to decode the value: this one decodes digits, and anything else to what is no number,
/// which Kestrel refuses with 400 and the end of the connection.
/// </summary>
internal sealed class LengthDigits : Encoding
{
    private const char NoDigit = '?';

    /// <summary>What Kestrel is to ask: this encoding for Content-Length, and for all other headers its own.</summary>
    public static Encoding? Select(string header) => string.Equals(header, "Content-Length", StringComparison.OrdinalIgnoreCase) ? Instance : null;

    private static readonly LengthDigits Instance = new();

    public override int GetChars(ReadOnlySpan<byte> bytes, Span<char> chars)
    {
        if (bytes.Length > chars.Length)
        {
            // More digits than any length has.
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
