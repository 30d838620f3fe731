using System.Text;
using System.Text.Json;
using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

public sealed class CheckpointTests
{
    [Fact]
    public void The_vectors_are_read_or_refused_as_C2SP_asks()
    {
        foreach (JsonElement one in Cases("checkpoint/checkpoint-parse.json", "cases", 14))
        {
            byte[] text = Utf8(Line(one, "text"));
            bool strict = one.GetProperty("strict").GetBoolean();
            Assert.True(strict == Checkpoint.TryParse(text, out Checkpoint? checkpoint), Line(one, "name"));
            if (strict) Assert.Equal(text, checkpoint!.ToText());
            else Assert.Null(checkpoint);
        }
    }

    [Fact]
    public void The_parts_are_what_the_lines_say()
    {
        Assert.True(Checkpoint.TryParse(Utf8(CheckpointText + "ext one\next two\n"), out Checkpoint? checkpoint));
        Assert.Equal("example.com/behind-the-sofa", checkpoint!.Origin);
        Assert.Equal(20852163, checkpoint.Size);
        Assert.Equal(RootLine, checkpoint.Root.ToBase64());
        Assert.Equal(["ext one", "ext two"], checkpoint.Extensions);
    }

    public static TheoryData<string, string> Hostile
    {
        get
        {
            TheoryData<string, string> texts = new()
            {
                { "empty", "" },
                { "one newline", "\n" },
                { "three newlines", "\n\n\n" },
                { "two lines", "o\n1\n" },
                { "P-15 root of 31 bytes", "o\n1\n" + Convert.ToBase64String(new byte[31]) + "\n" },
                { "P-15 root of 33 bytes", "o\n1\n" + Convert.ToBase64String(new byte[33]) + "\n" },
                { "P-15 root of 64 bytes", "o\n1\n" + Convert.ToBase64String(new byte[64]) + "\n" },
                { "P-15 empty root", "o\n1\n\n" },
                { "P-12 root with trailing bits", "o\n1\n" + RootLine.Replace("q2I=", "q2J=") + "\n" },
                { "P-12 root without padding", "o\n1\n" + RootLine.TrimEnd('=') + "\n" },
                { "P-12 root in the URL alphabet", "o\n1\n" + RootLine.Replace('/', '_') + "\n" },
                { "P-12 root with a space inside", "o\n1\n" + RootLine.Insert(4, " ") + "\n" },
                { "root in hex", "o\n1\n" + new string('a', 64) + "\n" },
                { "P-16 empty extension line", CheckpointText + "\n" },
                { "P-16 empty line between extensions", CheckpointText + "a\n\nb\n" },
                { "P-16 fake signature block", CheckpointText + "\n\u2014 o " + RootLine + "\n" },
                { "empty origin", "\n1\n" + RootLine + "\n" },
                { "no final newline", CheckpointText[..^1] },
                { "extension without newline", CheckpointText + "ext" },
                { "P-02 CRLF", CheckpointText.Replace("\n", "\r\n") },
                { "P-04 byte order mark", "\ufeff" + CheckpointText },
                { "65 extension lines", CheckpointText + string.Concat(Enumerable.Repeat("e\n", 65)) },
                { "the size in another line", "o\n" + RootLine + "\n1\n" },
                { "vertical tab for a newline", CheckpointText.Replace('\n', '\v') },
                { "line separators for newlines", CheckpointText.Replace('\n', '\u2028') },
                { "next line for newlines", CheckpointText.Replace('\n', '\u0085') },
            };
            foreach (ITheoryDataRow row in StrictTests.NotSizes)
            {
                string size = (string)row.GetData()[0]!;
                texts.Add($"P-13 size {string.Join(' ', size.Select(c => $"{(int)c:x4}"))}", $"o\n{size}\n{RootLine}\n");
            }

            return texts;
        }
    }

    [Theory, MemberData(nameof(Hostile))]
    public void Malformed_checkpoints_are_refused(string what, string text)
    {
        Assert.False(Checkpoint.TryParse(Utf8(text), out Checkpoint? checkpoint), what);
        Assert.Null(checkpoint);
    }

    [Theory]
    [InlineData("0", true)]
    [InlineData("9223372036854775807", true)]
    [InlineData("9223372036854775808", false)]
    [InlineData("18446744073709551615", false)]
    [InlineData("18446744073709551616", false)]
    public void P14_sizes_at_the_edges(string size, bool ok)
    {
        Assert.Equal(ok, Checkpoint.TryParse(Utf8($"o\n{size}\n{RootLine}\n"), out Checkpoint? checkpoint));
        if (ok) Assert.Equal(size, $"{checkpoint!.Size}");
    }

    [Theory]
    [InlineData("go.sum database tree")]
    [InlineData("with+plus")]
    [InlineData(" ")]
    [InlineData("next\u0085line and line\u2028separator")]
    [InlineData("\u0130stanbul \u0131")]
    [InlineData("\U0001f332")]
    public void CP04_nothing_is_assumed_about_the_shape_of_an_origin(string origin)
    {
        byte[] text = Utf8($"{origin}\n7\n{RootLine}\n{origin}\n");
        Assert.True(Checkpoint.TryParse(text, out Checkpoint? checkpoint));
        Assert.Equal(origin, checkpoint!.Origin);
        Assert.Equal([origin], checkpoint.Extensions);
        Assert.Equal(text, checkpoint.ToText());
        Assert.Equal(checkpoint, new Checkpoint(origin, 7, checkpoint.Root, [origin]));
    }

    [Fact]
    public void Checkpoints_are_equal_by_value_with_their_extensions()
    {
        Assert.True(Checkpoint.TryParse(Utf8(CheckpointText + "ext\n"), out Checkpoint? one));
        Assert.Equal(one, new Checkpoint(one!.Origin, one.Size, one.Root, ["ext"]));
        Assert.NotEqual(one, new Checkpoint(one.Origin, one.Size, one.Root));
        Assert.NotEqual(one, new Checkpoint(one.Origin, one.Size + 1, one.Root, ["ext"]));
        Assert.NotEqual(one, new Checkpoint("o", one.Size, one.Root, ["ext"]));
        Assert.NotEqual(one, new Checkpoint(one.Origin, one.Size, default, ["ext"]));
    }

    [Fact]
    public void A_checkpoint_that_would_not_parse_cannot_be_made()
    {
        Assert.Throws<ArgumentException>(() => new Checkpoint("", 1, default));
        Assert.Throws<ArgumentException>(() => new Checkpoint("a\nb", 1, default));
        Assert.Throws<ArgumentException>(() => new Checkpoint("a\rb", 1, default));
        Assert.Throws<ArgumentException>(() => new Checkpoint("a\ud800", 1, default));
        Assert.Throws<ArgumentException>(() => new Checkpoint("\ufeffa", 1, default));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Checkpoint("a", -1, default));
        Assert.Throws<ArgumentException>(() => new Checkpoint("a", 1, default, [""]));
        Assert.Throws<ArgumentException>(() => new Checkpoint("a", 1, default, ["a\nb"]));
        Assert.Throws<ArgumentException>(() => new Checkpoint("a", 1, default, [.. Enumerable.Repeat("e", 65)]));
    }

    [Fact]
    public void The_origin_hash_is_that_of_the_line_without_its_newline()
    {
        byte[] expected = System.Security.Cryptography.SHA256.HashData("example.com/behind-the-sofa"u8);
        Assert.Equal(expected, Checkpoint.HashOrigin("example.com/behind-the-sofa").ToArray());
        Assert.Equal(expected, new Checkpoint("example.com/behind-the-sofa", 0, default).OriginHash.ToArray());
    }

    [Fact]
    public void A_megabyte_of_extension_lines_is_refused_in_bounded_memory()
    {
        byte[] text = Utf8(CheckpointText + string.Concat(Enumerable.Repeat("e\n", 500_000)));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.False(Checkpoint.TryParse(text, out _));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 10_000);
    }
}

public sealed class CosignatureTests
{
    [Fact]
    public void CO09_the_message_is_two_lines_and_the_whole_text()
    {
        byte[] message = Cosignature.Ed25519Message(1679315147, Utf8(CheckpointText + "ext\n"));
        Assert.Equal("cosignature/v1\ntime 1679315147\n" + CheckpointText + "ext\n", Encoding.UTF8.GetString(message));
    }

    [Fact]
    public void CO13_CO17_the_message_of_ML_DSA_is_the_structure_of_the_text()
    {
        byte[] message = Cosignature.MlDsa44Message("w", 0x0102030405060708, "log", 0, 0x1112131415161718, MerkleHash.Empty);
        Assert.Equal(
            "737562747265652f76310a00" + "01" + "77" + "0102030405060708" + "03" + "6c6f67" + "0000000000000000" + "1112131415161718" + MerkleHash.Empty.ToHex(),
            Convert.ToHexStringLower(message));
        Assert.Equal(
            "737562747265652f76310a00" + "01" + "77" + "0000000000000000" + "03" + "6c6f67" + "0000000000000008" + "000000000000000d" + MerkleHash.Empty.ToHex(),
            Convert.ToHexStringLower(Cosignature.MlDsa44Message("w", 0, "log", 8, 13, MerkleHash.Empty)));
    }

    [Fact]
    public void CO14_names_and_origins_of_1_to_255_bytes_are_signed_and_others_refused()
    {
        // Bytes, not characters: 127 of two bytes and one more are 255.
        foreach (string good in new[] { "a", new string('a', 255), new string('\u00e9', 127) + "a" })
        {
            Assert.True(Cosignature.IsMlDsa44Text(good));
            Assert.Equal(71 + Encoding.UTF8.GetByteCount(good), Cosignature.MlDsa44Message(good, 1, "o", 0, 1, default).Length);
            Assert.Equal(71 + Encoding.UTF8.GetByteCount(good), Cosignature.MlDsa44Message("n", 1, good, 0, 1, default).Length);
        }

        foreach (string bad in new[] { "", new string('a', 256), new string('\u00e9', 128), "\ud800" })
        {
            Assert.False(Cosignature.IsMlDsa44Text(bad));
            Assert.Contains("255", Assert.Throws<ArgumentException>(() => Cosignature.MlDsa44Message(bad, 1, "o", 0, 1, default)).Message);
            Assert.Contains("255", Assert.Throws<ArgumentException>(() => Cosignature.MlDsa44Message("n", 1, bad, 0, 1, default)).Message);
        }
    }

    [Fact]
    public void CO15_a_subtree_that_starts_elsewhere_has_no_time()
    {
        Assert.Throws<ArgumentException>(() => Cosignature.MlDsa44Message("w", 1, "log", 8, 13, default));
        Assert.NotEmpty(Cosignature.MlDsa44Message("w", 0, "log", 8, 13, default));
        Assert.NotEmpty(Cosignature.MlDsa44Message("w", 0, "log", 0, 13, default));
        Assert.NotEmpty(Cosignature.MlDsa44Message("w", long.MaxValue, "log", 0, 13, default));
        Assert.Throws<ArgumentOutOfRangeException>(() => Cosignature.MlDsa44Message("w", 1ul << 63, "log", 0, 13, default));
        Assert.Throws<ArgumentOutOfRangeException>(() => Cosignature.MlDsa44Message("w", 0, "log", -1, 13, default));
        Assert.Throws<ArgumentOutOfRangeException>(() => Cosignature.MlDsa44Message("w", 0, "log", 8, 7, default));
    }

    [Theory]
    [InlineData("0000000000000000", false)]
    [InlineData("0000000000000001", true)]
    [InlineData("7fffffffffffffff", true)]
    [InlineData("8000000000000000", false)]
    [InlineData("ffffffffffffffff", false)]
    public void CO07_a_timestamp_is_1_to_2_63_minus_1(string hex, bool ok)
    {
        foreach (int size in new[] { Cosignature.Ed25519Size, Cosignature.MlDsa44Size })
        {
            byte[] signature = [.. Convert.FromHexString(hex), .. new byte[size - 8]];
            Assert.Equal(ok, Cosignature.TryReadTimestamp(signature, out ulong timestamp));
            Assert.Equal(ok ? Convert.ToUInt64(hex, 16) : 0, timestamp);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(64)]
    [InlineData(71)]
    [InlineData(73)]
    [InlineData(2420)]
    [InlineData(2427)]
    [InlineData(2429)]
    public void CO06_other_lengths_are_no_cosignature(int length) =>
        Assert.False(Cosignature.TryReadTimestamp(Enumerable.Repeat((byte)1, length).ToArray(), out _));

    [Fact]
    public void No_message_is_made_for_a_time_that_cannot_be()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Cosignature.Ed25519Message(0, Utf8(CheckpointText)));
        Assert.Throws<ArgumentOutOfRangeException>(() => Cosignature.Ed25519Message(1ul << 63, Utf8(CheckpointText)));
    }
}
