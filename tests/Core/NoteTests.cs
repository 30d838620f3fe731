using System.Diagnostics;
using System.Text;
using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

public sealed class NoteTests
{
    private const string Text = "first line\n\nlast line\n";
    private const string SignatureLine = "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    private const string Good = Text + "\n" + SignatureLine;

    [Fact]
    public void A_note_is_split_at_its_last_empty_line_and_written_back()
    {
        // SPEC SN-06.
        Assert.True(Note.TryParse(Utf8(Good), out Note? note));
        Assert.Equal(Text, Encoding.UTF8.GetString(note!.Text.Span));
        NoteSignature signature = Assert.Single(note.Signatures);
        Assert.Equal("example.com/foo", signature.Name);
        Assert.Equal(0x530d903au, signature.KeyId);
        Assert.Equal(64, signature.Signature.Length);
        Assert.Equal(SignatureLine, signature.ToLine());
        Assert.Equal(Utf8(Good), note.ToBytes());
        Assert.Equal(Utf8(Good), new Note(note.Text, note.Signatures).ToBytes());
    }

    public static TheoryData<string, string> HostileNotes
    {
        get
        {
            TheoryData<string, string> notes = new()
            {
                { "empty", "" },
                { "a newline", "\n" },
                { "text alone", Text },
                { "text and empty line", Text + "\n" },
                { "no empty line", "line\n" + SignatureLine },
                { "P-02 CRLF throughout", Good.Replace("\n", "\r\n") },
                { "P-02 CRLF at the end", Good[..^1] + "\r\n" },
                { "P-02 CRLF in the text", Good.Replace("first line\n", "first line\r\n") },
                { "P-04 byte order mark", "\ufeff" + Good },
                { "no final newline", Good[..^1] },
                { "two final newlines", Good + "\n" },
                { "text after the signatures", Good + "more\n" },
                { "text between signatures", Good + "more\n" + SignatureLine },
                { "empty line between signatures", Good + "\n" + SignatureLine.Replace("\u2014", "-") },
                { "P-06 en dash", Good.Replace('\u2014', '\u2013') },
                { "P-06 hyphen", Good.Replace('\u2014', '-') },
                { "P-06 horizontal bar", Good.Replace('\u2014', '\u2015') },
                { "P-06 two hyphens", Good.Replace("\u2014", "--") },
                { "P-06 no-break space after the dash", Good.Replace("\u2014 ", "\u2014\u00a0") },
                { "P-06 no space after the dash", Good.Replace("\u2014 ", "\u2014") },
                { "P-06 two spaces after the dash", Good.Replace("\u2014 ", "\u2014  ") },
                { "P-06 tab after the dash", Good.Replace("\u2014 ", "\u2014\t") },
                { "P-05 zero width joiner before the dash", Good.Replace("\u2014", "\u200d\u2014") },
                { "P-05 soft hyphen before the dash", Good.Replace("\u2014", "\u00ad\u2014") },
                { "P-05 zero width joiner after the dash", Good.Replace("\u2014 ", "\u2014\u200d ") },
                { "space before the dash", Good.Replace("\u2014", " \u2014") },
                { "two spaces after the name", Good.Replace("/foo ", "/foo  ") },
                { "no space after the name", Good.Replace("/foo ", "/foo") },
                { "no name", Good.Replace("example.com/foo ", " ") },
                { "no name and no space", Good.Replace("example.com/foo ", "") },
                { "plus in the name", Good.Replace("/foo", "/f+o") },
                { "space in the name", Good.Replace("/foo", "/f o") },
                { "no signature", Text + "\n\u2014 example.com/foo \n" },
                { "key ID alone", Text + "\n\u2014 example.com/foo Uw2QOg==\n" },
                { "three bytes", Text + "\n\u2014 example.com/foo Uw2Q\n" },
                { "P-12 missing padding", Good.Replace("aQM=\n", "aQM\n") },
                { "P-12 trailing bits", Good.Replace("aQM=\n", "aQN=\n") },
                { "P-12 space inside the base64", Good.Replace("Uw2QOkn8", "Uw2Q Okn8") },
                { "P-12 space after the base64", Good.Replace("aQM=\n", "aQM= \n") },
                { "P-12 four spaces inside the base64", Good.Replace("Uw2QOkn8", "Uw2Q    Okn8") },
                { "P-12 newline inside the base64", Good.Replace("Uw2QOkn8", "Uw2Q\nOkn8") },
                { "P-12 URL alphabet", Good.Replace("YEq6TfX", "YEq6_fX") },
                { "P-12 twice padded", Good.Replace("aQM=\n", "aQM=====\n") },
            };
            for (int control = 0; control < 0x20; control++)
            {
                if (control == '\n') continue;
                char one = (char)control;
                notes.Add($"P-01 {control:x2} in the text", Good.Replace("first", $"fi{one}rst"));
                notes.Add($"P-01 {control:x2} in the name", Good.Replace("/foo", $"/f{one}oo"));
                notes.Add($"P-01 {control:x2} in the base64", Good.Replace("Uw2Q", $"Uw{one}2Q"));
                notes.Add($"P-01 {control:x2} at the end", Good[..^1] + one + "\n");
            }

            return notes;
        }
    }

    [Theory, MemberData(nameof(HostileNotes))]
    public void Malformed_notes_are_refused(string what, string note)
    {
        Assert.False(Note.TryParse(Utf8(note), out Note? parsed), what);
        Assert.Null(parsed);
    }

    [Theory]
    [InlineData("\u007f")]
    [InlineData("\u0085")]
    [InlineData("\u2028")]
    [InlineData("\u2029")]
    [InlineData("\u200d\u00ad")]
    [InlineData("\u001b", false)]
    [InlineData("\ufffd")]
    public void P01_characters_that_are_no_ASCII_controls_are_text_and_split_nothing(string character, bool ok = true)
    {
        string text = $"first{character}line\nmore{character}{character}\n\n{character}\n";
        Assert.Equal(ok, Note.TryParse(Utf8(text + "\n" + SignatureLine), out Note? note));
        if (ok) Assert.Equal(Utf8(text), note!.Text.ToArray());
    }

    [Fact]
    public void P03_a_signed_replacement_character_is_not_the_same_as_bad_bytes()
    {
        OpenVerifier key = new("k");
        string text = "a\ufffdb\n";
        byte[] good = new Note(Utf8(text), [key.Sign(text)]).ToBytes();
        Assert.True(Note.TryParse(good, out Note? note));
        Assert.Equal(NoteStatus.Verified, note!.Verify([key]).Status);

        foreach (byte[] bytes in new byte[][] { [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x80], [0xf5, 0x80, 0x80, 0x80] })
        {
            byte[] bad = [(byte)'a', .. bytes, .. good[4..]];
            Assert.False(Note.TryParse(bad, out _), Convert.ToHexString(bytes));
        }
    }

    [Fact]
    public void P16_a_text_may_hold_what_looks_like_signatures()
    {
        string text = Good + "\nmore\n";
        Assert.True(Note.TryParse(Utf8(text + "\n" + SignatureLine), out Note? note));
        Assert.Equal(text, Encoding.UTF8.GetString(note!.Text.Span));
        Assert.False(Checkpoint.TryParse(note.Text.Span, out _));
    }

    [Fact]
    public void P10_sixteen_lines_of_the_largest_signatures_are_accepted()
    {
        // SPEC SN-11.
        NoteSignature[] lines = [.. Enumerable.Range(0, 16).Select(i => new NoteSignature($"witness{i}", (uint)i, new byte[5000]))];
        byte[] bytes = new Note(Utf8(Text), lines).ToBytes();
        Assert.True(bytes.Length > 100_000);
        Assert.True(Note.TryParse(bytes, out Note? note));
        Assert.Equal(lines, note!.Signatures);
    }

    [Theory]
    [InlineData(100, true)]
    [InlineData(101, false)]
    public void SN12_at_most_a_hundred_lines(int count, bool ok) =>
        Assert.Equal(ok, Note.TryParse(Utf8(Text + "\n" + string.Concat(Enumerable.Repeat(SignatureLine, count))), out _));

    [Theory]
    [InlineData(4_000)]
    [InlineData(100_000)]
    public void P11_thousands_of_lines_are_refused_fast_and_in_bounded_memory(int count)
    {
        // The shortest line there is: the larger note has 1.2 MB, so both limits are met.
        byte[] bytes = Utf8(Text + "\n" + string.Concat(Enumerable.Repeat("\u2014 a AAAAAAA=\n", count)));
        Assert.False(Note.TryParse(bytes, out _));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.False(Note.TryParse(bytes, out _));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 10_000);

        // A millisecond; work that grows with the square of the lines would be minutes.
        Stopwatch watch = Stopwatch.StartNew();
        Assert.False(Note.TryParse(bytes, out Note? _));
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void P11_a_note_at_both_limits_costs_a_few_times_its_size()
    {
        string name = new('n', 10_000);
        byte[] bytes = Utf8(Text + "\n" + string.Concat(Enumerable.Repeat($"\u2014 {name} AAAAAAA=\n", 100)));
        Assert.InRange(bytes.Length, 900_000, Note.MaxSize);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.True(Note.TryParse(bytes, out _));
        // A name is made as a string three times (checked as bytes, checked as a value, kept): 3 x 2 bytes a character.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 7L * bytes.Length);
    }

    [Fact]
    public void A_note_that_would_not_parse_cannot_be_made()
    {
        NoteSignature line = new("k", 1, new byte[64]);
        Assert.Throws<ArgumentException>(() => new Note(Utf8("no newline"), [line]));
        Assert.Throws<ArgumentException>(() => new Note(Utf8(""), [line]));
        Assert.Throws<ArgumentException>(() => new Note(Utf8("tab\t\n"), [line]));
        Assert.Throws<ArgumentException>(() => new Note((byte[])[0xff, (byte)'\n'], [line]));
        Assert.Throws<ArgumentException>(() => new Note(Utf8("text\n"), []));
        Assert.Throws<ArgumentException>(() => new Note(Utf8("text\n"), [default]));
        Assert.Throws<ArgumentException>(() => new Note(Utf8("text\n"), [.. Enumerable.Repeat(line, 101)]));
        Assert.Throws<ArgumentException>(() => new Note(Utf8(new string('a', Note.MaxSize) + "\n"), [line]));
        Assert.Throws<ArgumentException>(() => new NoteSignature("a b", 1, new byte[64]));
        Assert.Throws<ArgumentException>(() => new NoteSignature("", 1, new byte[64]));
        Assert.Throws<ArgumentException>(() => new NoteSignature("a", 1, default));
    }
}
