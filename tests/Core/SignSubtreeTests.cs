using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

public sealed class SignSubtreeTests
{
    private const string HashLine = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
    private const string NoteBytes = CheckpointText + "\n\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

    private static bool Parses(string body, out SignSubtreeRequest? request)
    {
        bool ok = SignSubtreeRequest.TryParse(Utf8(body), out request, out string error);
        Assert.Equal(ok, request is not null);
        Assert.Equal(ok, error.Length == 0);
        return ok;
    }

    [Theory]
    [InlineData("0 1", 0)]
    [InlineData("8 13", 4)]
    [InlineData("0 9223372036854775807", 63)]
    [InlineData("4611686018427387904 9223372036854775807", 1)]
    public void TW51_TW53_range_hash_up_to_63_proof_lines_an_empty_line_and_the_checkpoint_are_read(string range, int lines)
    {
        string body = $"subtree {range}\n{HashLine}{string.Concat(Enumerable.Repeat(HashLine, lines))}\n{NoteBytes}";
        Assert.True(Parses(body, out SignSubtreeRequest? request));
        Assert.Equal(range, $"{request!.Start} {request.End}");
        Assert.Equal(lines, request.Proof.Count);
        Assert.Equal(Utf8(NoteBytes), request.Checkpoint.ToArray());
        Assert.Equal(Utf8(body), request.ToBytes());
        Assert.Equal(Utf8(body), new SignSubtreeRequest(request.Start, request.End, request.Hash, request.Proof, Utf8(NoteBytes)).ToBytes());
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("subtree 0 1")]
    [InlineData("subtree 0 1\n")]
    [InlineData("subtree 0 1\n{1}")]
    [InlineData("subtree 0 1\n{1}\n")]
    [InlineData("subtree 0 1\n{1}\n\n{0}")]
    [InlineData("{0}")]
    [InlineData("subtree 0 1\n\n{0}")]
    [InlineData("{1}subtree 0 1\n\n{0}")]
    [InlineData("\nsubtree 0 1\n{1}\n{0}")]
    [InlineData("subtree\n{1}\n{0}")]
    [InlineData("subtree 1\n{1}\n{0}")]
    [InlineData("subtree  0 1\n{1}\n{0}")]
    [InlineData("subtree 0  1\n{1}\n{0}")]
    [InlineData("subtree 0 1 \n{1}\n{0}")]
    [InlineData(" subtree 0 1\n{1}\n{0}")]
    [InlineData("subtree\t0 1\n{1}\n{0}")]
    [InlineData("subtree 0\t1\n{1}\n{0}")]
    [InlineData("Subtree 0 1\n{1}\n{0}")]
    [InlineData("old 0 1\n{1}\n{0}")]
    [InlineData("subtree 0 1 2\n{1}\n{0}")]
    [InlineData("subtree 00 1\n{1}\n{0}")]
    [InlineData("subtree 0 01\n{1}\n{0}")]
    [InlineData("subtree +0 1\n{1}\n{0}")]
    [InlineData("subtree -0 1\n{1}\n{0}")]
    [InlineData("subtree 0 -1\n{1}\n{0}")]
    [InlineData("subtree 0x0 1\n{1}\n{0}")]
    [InlineData("subtree 0 1e3\n{1}\n{0}")]
    [InlineData("subtree 0 \uff11\n{1}\n{0}")]
    [InlineData("subtree 0 1\0\n{1}\n{0}")]
    [InlineData("subtree 0 1\r\n{1}\n{0}")]
    [InlineData("subtree 0 1\n{1}\r\n{0}")]
    [InlineData("subtree 0 1\n{1}nonsense\n\n{0}")]
    [InlineData("subtree 0 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw\n\n{0}")]
    [InlineData("subtree 0 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkax=\n\n{0}")]
    [InlineData("subtree 0 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpka==\n\n{0}")]
    [InlineData("subtree 0 1\n{1}{0}")]
    [InlineData("subtree 0 1\n{1}\nno final newline")]
    [InlineData("subtree 0 1\n{1}\nwith\ttab\n")]
    [InlineData("\ufeffsubtree 0 1\n{1}\n{0}")]
    [InlineData("subtree 0 1\n{1}\n\ufeff{0}")]
    public void TW52_malformed_bodies_are_refused(string body) => Assert.False(Parses(body.Replace("{0}", NoteBytes).Replace("{1}", HashLine), out _));

    [Theory]
    [InlineData("0 0")]
    [InlineData("1 1")]
    [InlineData("2 1")]
    [InlineData("1 3")]
    [InlineData("2 5")]
    [InlineData("4 9")]
    [InlineData("1 9223372036854775807")]
    [InlineData("2305843009213693952 9223372036854775807")]
    [InlineData("0 9223372036854775808")]
    [InlineData("0 9223372036854775809")]
    [InlineData("1 9223372036854775810")]
    [InlineData("0 18446744073709551615")]
    [InlineData("1 18446744073709551615")]
    [InlineData("9223372036854775808 18446744073709551615")]
    [InlineData("0 18446744073709551616")]
    public void TW55_TW63_what_is_no_valid_subtree_is_refused_empty_and_enormous_ones_too(string range) => Assert.False(Parses($"subtree {range}\n{HashLine}\n{NoteBytes}", out _));

    [Fact]
    public void TW53_a_64th_proof_line_is_refused() =>
        Assert.False(Parses($"subtree 0 1\n{HashLine}{string.Concat(Enumerable.Repeat(HashLine, 64))}\n{NoteBytes}", out _));

    [Fact]
    public void The_largest_body_is_read_and_one_byte_more_is_refused()
    {
        byte[] largest = Utf8($"subtree 0 1\n{HashLine}\n{new string('x', SignSubtreeRequest.MaxSize - 59)}\n");
        Assert.Equal(SignSubtreeRequest.MaxSize, largest.Length);
        Assert.True(SignSubtreeRequest.TryParse(largest, out _, out _));
        Assert.False(SignSubtreeRequest.TryParse((byte[])[.. largest, (byte)'\n'], out _, out string error));
        Assert.Contains("131072", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_request_that_would_not_parse_cannot_be_made()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new SignSubtreeRequest(1, 3, default, [], Utf8(NoteBytes)));
        Assert.Throws<ArgumentException>(() => new SignSubtreeRequest(0, 1, default, new Hash[64], Utf8(NoteBytes)));
        Assert.Throws<ArgumentException>(() => new SignSubtreeRequest(0, 1, default, [], Utf8("")));
        Assert.Throws<ArgumentException>(() => new SignSubtreeRequest(0, 1, default, [], Utf8(new string('x', SignSubtreeRequest.MaxSize) + "\n")));
    }
}
