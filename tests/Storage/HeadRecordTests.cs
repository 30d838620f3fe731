using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>A head record has one text.</summary>
public sealed class HeadRecordTests
{
    private static readonly TreeHead Head = new(7, MerkleHash.Empty, "a checkpoint\n"u8.ToArray());

    [Theory]
    [InlineData("")]
    [InlineData("published")]
    [InlineData("h\u00e9, \u2028, \ud83d\ude00")]
    public void P25_what_is_written_is_read_and_written_again(string reason)
    {
        foreach (TreeHead? head in new[] { null, Head })
        {
            byte[] line = new HeadRecord(1_700_000_000_000, reason, head).ToBytes();
            Assert.True(HeadRecord.TryParse(line, out HeadRecord? record));
            Assert.Equal(line, record.ToBytes());
            Assert.Equal(head, record.Head);
        }
    }

    /// <summary>A reason is cut where it is too long, between the halves of a character perhaps: what that leaves is read as well.</summary>
    [Fact]
    public void P25_a_reason_that_is_too_long_is_cut_once()
    {
        string reason = new string('a', 3999) + string.Concat(Enumerable.Repeat("\ud83d\ude00", 100));
        byte[] line = new HeadRecord(1_700_000_000_000, reason, Head).ToBytes();
        Assert.True(HeadRecord.TryParse(line, out HeadRecord? record));
        Assert.Equal(line, record.ToBytes());
        Assert.EndsWith(" ...", record.Reason, StringComparison.Ordinal);
    }

    /// <summary>Every checksum is right here: what is refused is another text for the same record.</summary>
    [Theory]
    [InlineData("tlog-head v1 1700000000000 YQ== - - - ", true)]
    [InlineData("tlog-head v1 1700000000000  - - - ", false)]       // no reason is written as "-"
    [InlineData("tlog-head v1 1700000000000 /w== - - - ", false)]   // a reason that is not UTF-8
    [InlineData("tlog-head v1 1700000000000 YQ== - - -", false)]
    [InlineData("tlog-head v1 01700000000000 YQ== - - - ", false)]
    [InlineData("tlog-head v1 1700000000000 YR== - - - ", false)]
    [InlineData("tlog-head v2 1700000000000 YQ== - - - ", false)]
    [InlineData("tlog-head v1 1700000000000 YQ== - x - ", false)]
    [InlineData("tlog-head v1 1700000000000 YQ== - - x ", false)]
    [InlineData("tlog-head v1 1700000000000 YQ== 1 x - ", false)]
    public void P25_another_text_is_refused(string text, bool read)
    {
        byte[] line = Encoding.ASCII.GetBytes($"{text}{Crc32C.Of(Encoding.ASCII.GetBytes(text)):x8}\n");
        Assert.Equal(read, HeadRecord.TryParse(line, out HeadRecord? record));
        Assert.Equal(read, record is not null);
    }

    [Fact]
    public void A_line_that_is_cut_or_has_another_bit_is_refused()
    {
        byte[] line = new HeadRecord(1_700_000_000_000, "published", Head).ToBytes();
        for (int length = 0; length < line.Length; length++)
        {
            Assert.False(HeadRecord.TryParse(line.AsSpan(0, length), out HeadRecord? cut));
            Assert.Null(cut);
        }

        for (int at = 0; at < line.Length * 8; at++)
        {
            line[at / 8] ^= (byte)(1 << (at % 8));
            Assert.False(HeadRecord.TryParse(line, out HeadRecord? changed), $"bit {at}");
            Assert.Null(changed);
            line[at / 8] ^= (byte)(1 << (at % 8));
        }
    }
}
