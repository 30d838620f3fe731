using System.Text;
using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

/// <summary>c2sp.org/tlog-list, with the cases that the public witness network checks its own lists by.</summary>
public sealed class TlogListTests
{
    private const string Key = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

    private static readonly string Other = VerifierKey.Create("log.example/b", VerifierKey.Ed25519, new byte[32]).ToString();

    private static bool Parses(string text, out TlogList? list, out string error)
    {
        bool ok = TlogList.TryParse(Utf8(text), out list, out error);
        Assert.Equal(ok, list is not null);
        Assert.Equal(ok, error.Length == 0);
        Assert.DoesNotContain("golang", error, StringComparison.Ordinal);
        return ok;
    }

    [Fact]
    public void A_list_is_read_with_comments_empty_lines_and_white_space_around_its_lines()
    {
        string text = $"\n# List: 10qps-100klogs\n \t#### more\n\t\tlogs/v0\t\n\n  # first\n vkey {Key}\n\torigin go.sum database tree \n qpd 86400\n contact gophers (at) example.com | https://example.com/with/a#fragment\n\n\n\tvkey {Other}\n\tqpd 2147483647\n\tcontact # is no comment here";
        Assert.True(Parses(text, out TlogList? list, out _));
        Assert.Equal(["go.sum database tree", "log.example/b"], list!.Logs.Select(log => log.Origin));
        Assert.Equal([86400, int.MaxValue], list.Logs.Select(log => log.QueriesPerDay));
        Assert.Equal([Key, Other], list.Logs.Select(log => log.Key.ToString()));
        Assert.Equal("gophers (at) example.com | https://example.com/with/a#fragment", list.Logs[0].Contact);
        Assert.Equal("# is no comment here", list.Logs[1].Contact);
        string written = $"logs/v0\nvkey {Key}\norigin go.sum database tree\nqpd 86400\ncontact gophers (at) example.com | https://example.com/with/a#fragment\nvkey {Other}\nqpd 2147483647\ncontact # is no comment here\n";
        Assert.Equal(written, Encoding.UTF8.GetString(list.ToBytes()));
        Assert.True(Parses(written, out TlogList? again, out _));
        Assert.Equal(list.Logs, again!.Logs);
        Assert.Equal(list.ToBytes(), new TlogList(list.Logs).ToBytes());
    }

    [Theory]
    [InlineData("logs/v0")]
    [InlineData("logs/v0\n")]
    [InlineData("# a\n\n\t # b\n  logs/v0  ")]
    public void A_list_may_be_empty(string text)
    {
        Assert.True(Parses(text, out TlogList? list, out _));
        Assert.Empty(list!.Logs);
    }

    [Theory]
    [InlineData("", "first line")]
    [InlineData("# only a comment\n", "first line")]
    [InlineData("something else\n", "first line")]
    [InlineData("logs/v1\n", "first line")]
    [InlineData("Logs/v0\n", "first line")]
    [InlineData("vkey {K}\nqpd 1\ncontact c\nlogs/v0\n", "first line")]
    [InlineData("logs/v0\nlogs/v0\n", "line 2: a log begins with")]
    [InlineData("logs/v0\nqpd 1\ncontact c\n", "line 2: a log begins with")]
    [InlineData("logs/v0\norigin o\nqpd 1\ncontact c\n", "line 2: a log begins with")]
    [InlineData("logs/v0\nvkey\nqpd 1\ncontact c\n", "line 2: a log begins with")]
    [InlineData("logs/v0\nvkey {K} and more\nqpd 1\ncontact c\n", "line 2: a log begins with")]
    [InlineData("logs/v0\nvkey  {K}\nqpd 1\ncontact c\n", "line 2: a log begins with")]
    [InlineData("logs/v0\nvkey\t{K}\nqpd 1\ncontact c\n", "line 2: a log begins with")]
    [InlineData("logs/v0\nVKEY {K}\nqpd 1\ncontact c\n", "line 2: a log begins with")]
    [InlineData("logs/v0\nvkey bananas\nqpd 1\ncontact c\n", "line 2: a log begins with")]
    [InlineData("logs/v0\nvkey {K}\norigin\nqpd 1\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\norigin a\norigin b\nqpd 1\ncontact c\n", "line 4: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd 1\norigin a\ncontact c\n", "line 4: after qpd")]
    [InlineData("logs/v0\nvkey {K}\ncontact c\nqpd 1\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd 0\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd 01\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd +1\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd -1\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd 1 2\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd pineapple\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd 2147483648\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd 99999999999999999999\ncontact c\n", "line 3: after vkey")]
    [InlineData("logs/v0\nvkey {K}\nqpd 1\ncontact\n", "line 4: after qpd")]
    [InlineData("logs/v0\nvkey {K}\nqpd 1\n", "not complete")]
    [InlineData("logs/v0\nvkey {K}\nqpd 1", "not complete")]
    [InlineData("logs/v0\nvkey {K}\n", "not complete")]
    [InlineData("logs/v0\nvkey {K}\nqpd 1\ncontact c\nvkey {O}\n", "not complete")]
    [InlineData("logs/v0\nvkey {K}\nqpd 1\ncontact c\nbastion none\n", "line 5: a log begins with")]
    [InlineData("logs/v0\nvkey {K}\nqpd 1\ncontact c\nvkey {K}\nqpd 1\ncontact c\n", "twice")]
    [InlineData("logs/v0\nvkey {K}\norigin log.example/b\nqpd 1\ncontact c\nvkey {O}\nqpd 1\ncontact c\n", "twice")]
    [InlineData("logs/v0\r\n", "control characters")]
    [InlineData("logs/v0\nvkey {K}\r\nqpd 1\ncontact c\n", "control characters")]
    [InlineData("logs/v0\n\0", "control characters")]
    [InlineData("\ufefflogs/v0\n", "first line")]
    public void What_is_no_list_is_refused_and_the_line_is_named(string text, string word)
    {
        Assert.False(Parses(text.Replace("{K}", Key, StringComparison.Ordinal).Replace("{O}", Other, StringComparison.Ordinal), out _, out string error));
        Assert.Contains(word, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_UTF8_too_many_bytes_and_too_many_logs_are_refused()
    {
        Assert.False(TlogList.TryParse((byte[])[.. Utf8("logs/v0\n# "), 0xc0, 0x80], out _, out string error));
        Assert.Contains("UTF-8", error, StringComparison.Ordinal);
        byte[] largest = Utf8($"logs/v0\n#{new string('x', TlogList.MaxSize - 9)}");
        Assert.True(TlogList.TryParse(largest, out _, out _));
        Assert.False(TlogList.TryParse((byte[])[.. largest, (byte)'x'], out _, out error));
        Assert.Contains("1048576", error, StringComparison.Ordinal);

        string full = string.Concat(Enumerable.Range(0, TlogList.MaxLogs).Select(i => $"vkey {Key}\norigin {i}\nqpd 1\ncontact c\n"));
        Assert.True(Parses($"logs/v0\n{full}", out TlogList? list, out _));
        Assert.Equal(TlogList.MaxLogs, list!.Logs.Count);
        Assert.False(Parses($"logs/v0\n{full}vkey {Key}\norigin more\nqpd 1\ncontact c\n", out _, out error));
        Assert.Contains("at most 4096 logs", error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_largest_list_is_written_again()
    {
        string head = $"logs/v0\nvkey {Key}\nqpd 1\ncontact ";
        Assert.True(Parses(head + new string('c', TlogList.MaxSize - head.Length), out TlogList? list, out _));
        Assert.Equal(TlogList.MaxSize + 1, list!.ToBytes().Length);
    }

    [Fact]
    public void A_list_that_would_not_parse_cannot_be_made()
    {
        Assert.True(VerifierKey.TryParse(Utf8(Key), out VerifierKey? key));
        ListedLog log = new(key!, "o", 1, "c");
        foreach (ListedLog bad in (ListedLog[])[log with { Origin = "" }, log with { Origin = " o" }, log with { Origin = "a\nb" }, log with { Contact = "" }, log with { Contact = "\ud800" }, log with { QueriesPerDay = 0 }])
        {
            Assert.Throws<ArgumentException>(() => new TlogList([bad]));
        }

        Assert.Throws<ArgumentException>(() => new TlogList([log, log]));
        Assert.Throws<ArgumentException>(() => new TlogList([.. Enumerable.Range(0, TlogList.MaxLogs + 1).Select(i => log with { Origin = $"{i}" })]));
        Assert.Throws<ArgumentException>(() => new TlogList([log with { Contact = new string('c', TlogList.MaxSize) }]));
    }
}
