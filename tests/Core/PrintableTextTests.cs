namespace TransparencyLog.Tests;

/// <summary>N-08: foreign text is printed as ASCII or escaped.</summary>
public sealed class PrintableTextTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("log.example/a ~", "log.example/a ~")]
    [InlineData("a\\b", "a\\b")]
    [InlineData("one\r\ntwo\tthree", "one\\r\\ntwo\\tthree")]
    [InlineData("\0\a\b\u001b[2J", "\\u0000\\u0007\\u0008\\u001b[2J")]
    [InlineData("\u007f\u0085\u009b2J", "\\u007f\\u0085\\u009b2J")]
    [InlineData("\u202egnp.exe\u2066\u200f\ufeff\u2028\u00ad", "\\u202egnp.exe\\u2066\\u200f\\ufeff\\u2028\\u00ad")]
    [InlineData("über", "\\u00fcber")]
    [InlineData("a\U0001f600\U000e0041b", "a\\u{1f600}\\u{e0041}b")]
    public void N08_what_is_not_printable_ASCII_is_escaped(string text, string printed)
    {
        Assert.Equal(printed, PrintableText.Escape(text));
        Assert.Equal(printed, PrintableText.Escape(printed));
    }

    [Fact]
    public void N08_every_character_becomes_printable_ASCII_and_no_two_the_same()
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        for (int letter = 0; letter <= char.MaxValue; letter++)
        {
            string printed = PrintableText.Escape(((char)letter).ToString()); // halves of surrogate pairs too
            Assert.False(printed.AsSpan().ContainsAnyExceptInRange(' ', '~'), printed);
            Assert.True(seen.Add(printed));
        }
    }
}
