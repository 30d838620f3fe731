using System.Text;
using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

public sealed class StrictTests
{
    public static TheoryData<string> NotSizes =>
    [
        "", "+5", " 5", "5 ", "05", "00", "-0", "-1", "5\0", "\05", "5\n", "\n5", "5\r", "\uff15", "\u0665", "\u096b", "1e3", "1E3", "0x5", "5h", "1_000",
        "1,000", "1.000", "5.0", "5.", ".5", "\u20095", "\u00a05", "5\u200d", "\ufeff5", "(5)", "$5", "\u2212" + "1", "NaN", "Infinity", "--5", "\t5",
        "9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999", "100000000000000000000", "09223372036854775807",
    ];

    [Theory, MemberData(nameof(NotSizes))]
    public void P13_text_that_is_not_the_one_decimal_of_a_size_is_refused(string text)
    {
        Assert.False(Strict.TryReadSize(Utf8(text), out long size));
        Assert.Equal(0, size);
    }

    [Theory]
    [InlineData("0", 0)]
    [InlineData("7", 7)]
    [InlineData("10", 10)]
    [InlineData("20852163", 20852163)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void P14_sizes_up_to_the_largest_are_read(string text, long expected)
    {
        Assert.True(Strict.TryReadSize(Utf8(text), out long size));
        Assert.Equal(expected, size);
    }

    [Fact]
    public void P14_the_edges_of_64_bits_are_exact()
    {
        Assert.True(Strict.TryReadUInt64("18446744073709551615"u8, out ulong largest));
        Assert.Equal(ulong.MaxValue, largest);
        Assert.False(Strict.TryReadUInt64("18446744073709551616"u8, out _));
        Assert.False(Strict.TryReadUInt64("18446744073709551625"u8, out _));
        Assert.False(Strict.TryReadUInt64("28446744073709551615"u8, out _));
        Assert.False(Strict.TryReadUInt64("99999999999999999999"u8, out _));
    }

    [Fact]
    public void A_size_of_a_megabyte_of_digits_is_refused_at_once_and_allocates_nothing()
    {
        byte[] digits = Utf8(new string('9', 1 << 20));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.False(Strict.TryReadSize(digits, out _));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1000);
    }

    public static TheoryData<string> NotBase64 =>
    [
        "A", "AA", "AAA", "AA=", "AAAAA", "====", "=", "A===", "AA==AA==", "AA=A", "AB==", "AAF=", "AAAAAB==", "AA ==", " AA==", "AA== ", "AA==\n",
        "A\nA==", "AAAA AAAA", "AAAA\nAAAA", "AAAA\r\nAAAA", "\tAAAA", "-AAA", "_AAA", "AA-_", "AA%3", "\u0410AAA", "AAA\u200d", "AAAA\0", "AAAA====",
        "AAA=====", "AAAA    ", "    ", "AA==    ", "A A=",
    ];

    [Theory, MemberData(nameof(NotBase64))]
    public void SN10_base64_is_canonical(string text)
    {
        byte[] ascii = Utf8(text);
        Assert.False(Strict.TryReadBase64(ascii, 1000, out byte[] bytes));
        Assert.Empty(bytes);
        Assert.False(Strict.TryReadBase64(ascii, new byte[1000], out int written));
        Assert.Equal(0, written);
    }

    [Fact]
    public void Base64_of_every_length_up_to_600_is_read_back()
    {
        Random random = new(20240717);
        for (int length = 0; length <= 600; length++)
        {
            byte[] bytes = new byte[length];
            random.NextBytes(bytes);
            byte[] text = Utf8(Convert.ToBase64String(bytes));
            Assert.True(Strict.TryReadBase64(text, length, out byte[] read));
            Assert.Equal(bytes, read);
            // One byte too many is refused by the limit, before the array is made.
            if (length > 0) Assert.False(Strict.TryReadBase64(text, length - 1, out _));
            byte[] larger = new byte[length + 5];
            Assert.True(Strict.TryReadBase64(text, larger, out int written));
            Assert.Equal(bytes, larger[..written]);
        }
    }

    [Fact]
    public void Every_other_last_character_before_the_padding_is_refused()
    {
        // 2 of 64 characters in "A?==" hold zero in the four trailing bits... one for each value of the upper two bits: 4.
        const string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        Assert.Equal(4, alphabet.Count(one => Strict.TryReadBase64(Utf8($"A{one}=="), 3, out _)));
        Assert.Equal(16, alphabet.Count(one => Strict.TryReadBase64(Utf8($"AA{one}="), 3, out _)));
    }

    [Fact]
    public void No_byte_outside_the_alphabet_is_base64()
    {
        for (int value = 0; value < 256; value++)
        {
            bool inAlphabet = value < 128 && (char.IsAsciiLetterOrDigit((char)value) || value is '+' or '/');
            for (int at = 0; at < 8; at++)
            {
                byte[] text = [.. "AAAAAAAA"u8];
                text[at] = (byte)value;
                // Padding has one place, the last, and there it needs the bits before it to be zero, which they are.
                Assert.Equal(inAlphabet || (value == '=' && at == 7), Strict.TryReadBase64(text, 6, out _));
            }
        }
    }

    [Theory]
    [InlineData("0aff", true)]
    [InlineData("0AFF", false)]
    [InlineData("0aFf", false)]
    [InlineData("0af", false)]
    [InlineData("0afff", false)]
    [InlineData("0x0a", false)]
    [InlineData("0a f", false)]
    [InlineData("0ag0", false)]
    [InlineData("0a/0", false)]
    [InlineData("0a:0", false)]
    [InlineData("0a`0", false)]
    public void Hex_is_lower_case_and_of_the_right_length(string text, bool ok) => Assert.Equal(ok, Strict.TryReadHexLower(Utf8(text), new byte[2]));

    [Theory]
    [InlineData("a\u00c0\u0080", false)] // overlong NUL
    [InlineData("\u00c0\u00af", false)] // overlong slash
    [InlineData("\u00e0\u0080\u00af", false)]
    [InlineData("\u00f0\u0080\u0080\u00af", false)]
    [InlineData("\u00ed\u00a0\u0080", false)] // surrogate
    [InlineData("\u00ed\u00bf\u00bf", false)]
    [InlineData("\u00f4\u0090\u0080\u0080", false)] // above U+10FFFF
    [InlineData("\u00e2\u0080", false)] // cut
    [InlineData("\u0080", false)]
    [InlineData("\u00fe", false)]
    [InlineData("\u00ff", false)]
    [InlineData("\u00e2\u0080\u0094", true)] // the em dash
    [InlineData("\u00f4\u008f\u00bf\u00bf", true)] // U+10FFFF
    public void P03_utf8_is_that_of_RFC_3629(string bytes, bool ok) => Assert.Equal(ok, Strict.IsUtf8(Encoding.Latin1.GetBytes(bytes)));
}
