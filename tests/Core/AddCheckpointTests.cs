using System.Text;
using System.Text.Json;
using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

public sealed class AddCheckpointTests
{
    private const string HashLine = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
    private const string NoteBytes = CheckpointText + "\n\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

    private static bool Parses(string body, out AddCheckpointRequest? request)
    {
        bool ok = AddCheckpointRequest.TryParse(Utf8(body), out request, out string error);
        Assert.Equal(ok, request is not null);
        Assert.Equal(ok, error.Length == 0);
        return ok;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(63)]
    public void TW06_up_to_63_proof_lines_are_read(int lines)
    {
        string body = "old 20852014\n" + string.Concat(Enumerable.Repeat(HashLine, lines)) + "\n" + NoteBytes;
        Assert.True(Parses(body, out AddCheckpointRequest? request));
        Assert.Equal(20852014, request!.OldSize);
        Assert.Equal(lines, request.Proof.Count);
        Assert.Equal(Utf8(NoteBytes), request.Checkpoint.ToArray());
        Assert.Equal(Utf8(body), request.ToBytes());
        Assert.Equal(Utf8(body), new AddCheckpointRequest(20852014, request.Proof, Utf8(NoteBytes)).ToBytes());
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("old 0")]
    [InlineData("old 0\n")]
    [InlineData("old 0\n\n")]
    [InlineData("old 0\n\n\n{0}")]
    [InlineData("{0}")]
    [InlineData("\nold 0\n\n{0}")]
    [InlineData("old\n\n{0}")]
    [InlineData("old \n\n{0}")]
    [InlineData("old  0\n\n{0}")]
    [InlineData("old\t0\n\n{0}")]
    [InlineData("old 0 \n\n{0}")]
    [InlineData(" old 0\n\n{0}")]
    [InlineData("Old 0\n\n{0}")]
    [InlineData("OLD 0\n\n{0}")]
    [InlineData("size 0\n\n{0}")]
    [InlineData("old 00\n\n{0}")]
    [InlineData("old 01\n\n{0}")]
    [InlineData("old +1\n\n{0}")]
    [InlineData("old -0\n\n{0}")]
    [InlineData("old 0x1\n\n{0}")]
    [InlineData("old 1e3\n\n{0}")]
    [InlineData("old \uff11\n\n{0}")]
    [InlineData("old 9223372036854775808\n\n{0}")]
    [InlineData("old 18446744073709551616\n\n{0}")]
    [InlineData("old 1\0\n\n{0}")]
    [InlineData("old 1\r\n\n{0}")]
    [InlineData("old 1\n\r\n{0}")]
    [InlineData("old 1\n{0}")]
    [InlineData("old 1\nold 1\n\n{0}")]
    [InlineData("old 1 1\n\n{0}")]
    [InlineData("old 1\nnonsense\n\n{0}")]
    [InlineData("old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\r\n\n{0}")]
    [InlineData("old 1\n PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\n{0}")]
    [InlineData("old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw\n\n{0}")]
    [InlineData("old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkax=\n\n{0}")]
    [InlineData("old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpka==\n\n{0}")]
    [InlineData("old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkawA\n\n{0}")]
    [InlineData("old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\n{0}")]
    [InlineData("old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n{0}")]
    [InlineData("old 1\n\nno final newline")]
    [InlineData("old 1\n\nwith\ttab\n")]
    [InlineData("old 1\n\nwith\r\ncarriage return\n")]
    [InlineData("\ufeffold 1\n\n{0}")]
    [InlineData("old 1\n\n\ufeff{0}")]
    public void TW24_malformed_bodies_are_refused(string body) => Assert.False(Parses(body.Replace("{0}", NoteBytes), out _));

    [Fact]
    public void TW06_a_64th_proof_line_is_refused() =>
        Assert.False(Parses("old 1\n" + string.Concat(Enumerable.Repeat(HashLine, 64)) + "\n" + NoteBytes, out _));

    [Fact]
    public void Bad_utf8_is_refused()
    {
        byte[] body = [.. Utf8("old 1\n\n"), 0xc0, 0x80, .. Utf8(NoteBytes)];
        Assert.False(AddCheckpointRequest.TryParse(body, out _, out string error));
        Assert.Contains("UTF-8", error, StringComparison.Ordinal);
    }

    [Fact]
    public void TW10_the_largest_body_holds_63_hashes_and_16_lines_of_5_kB_and_one_byte_more_is_refused()
    {
        NoteSignature[] lines = [.. Enumerable.Range(0, 16).Select(i => new NoteSignature($"witness{i}", (uint)i, new byte[5000]))];
        byte[] note = new Note(Utf8(CheckpointText), lines).ToBytes();
        Assert.True(AddCheckpointRequest.TryParse(new AddCheckpointRequest(1, new Hash[63], note).ToBytes(), out _, out _));

        byte[] largest = Utf8("old 1\n\n" + new string('x', AddCheckpointRequest.MaxSize - 8) + "\n");
        Assert.Equal(AddCheckpointRequest.MaxSize, largest.Length);
        Assert.True(AddCheckpointRequest.TryParse(largest, out _, out _));
        Assert.False(AddCheckpointRequest.TryParse((byte[])[.. largest, (byte)'\n'], out _, out string error));
        Assert.Contains("131072", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_flood_of_proof_lines_is_refused_in_bounded_memory()
    {
        byte[] body = Utf8("old 1\n" + string.Concat(Enumerable.Repeat(HashLine, 2900)));
        Assert.InRange(body.Length, 100_000, AddCheckpointRequest.MaxSize);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.False(AddCheckpointRequest.TryParse(body, out _, out _));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 16_000);
    }

    [Fact]
    public void The_requests_of_the_witness_scenario_are_read_unless_their_status_allows_400()
    {
        foreach (JsonElement step in Cases("witness/scenario-sigsum.json", "steps", 9))
        {
            string request = Line(step, "request");
            Assert.True(Parses(request, out AddCheckpointRequest? parsed), request);
            Assert.Equal(Utf8(request), parsed!.ToBytes());
            bool mayBeMalformed = step.GetProperty("status").GetInt32() == 400
                || (step.TryGetProperty("alsoAllowed", out JsonElement also) && also.EnumerateArray().Any(status => status.GetInt32() == 400));
            bool isNote = Note.TryParse(parsed.Checkpoint.Span, out Note? note);
            Assert.Equal(!mayBeMalformed, isNote);
            if (isNote) Assert.True(Checkpoint.TryParse(note!.Text.Span, out _));
        }
    }

    [Fact]
    public void A_request_that_would_not_parse_cannot_be_made()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new AddCheckpointRequest(-1, [], Utf8(NoteBytes)));
        Assert.Throws<ArgumentException>(() => new AddCheckpointRequest(0, new Hash[64], Utf8(NoteBytes)));
        Assert.Throws<ArgumentException>(() => new AddCheckpointRequest(0, [], Utf8("")));
        Assert.Throws<ArgumentException>(() => new AddCheckpointRequest(0, [], Utf8(new string('x', AddCheckpointRequest.MaxSize) + "\n")));
    }

    [Fact]
    public void TW34_an_answer_is_one_signature_line_or_more()
    {
        const string line = "\u2014 witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n";
        foreach (string body in new[] { line, line + line, line + "\u2014 other AAAAAAA=\n" })
        {
            Assert.True(AddCheckpointResponse.TryParse(Utf8(body), out IReadOnlyList<NoteSignature> lines));
            Assert.Equal(body.Count('\n'), lines.Count);
            Assert.Equal(body, Encoding.UTF8.GetString(AddCheckpointResponse.ToBytes(lines)));
        }

        string[] refused = ["", "\n", line[..^1], line + "\n", "\n" + line, line + "text\n", line.Replace("\n", "\r\n"), line.TrimStart('\u2014'), line.Replace("w1", "w+1"), CheckpointText];
        foreach (string body in refused)
        {
            Assert.False(AddCheckpointResponse.TryParse(Utf8(body), out IReadOnlyList<NoteSignature> lines), body);
            Assert.Empty(lines);
        }

        Assert.False(AddCheckpointResponse.TryParse(Utf8(string.Concat(Enumerable.Repeat(line, 200))), out _));
        Assert.False(AddCheckpointResponse.TryParse(Utf8(string.Concat(Enumerable.Repeat("\u2014 a AAAAAAA=\n", 101))), out _));
        Assert.Throws<ArgumentException>(() => AddCheckpointResponse.ToBytes([]));
    }

    [Fact]
    public void TW26_a_conflict_is_a_size_and_a_newline()
    {
        Assert.True(AddCheckpointResponse.TryParseSize("20852014\n"u8, out long size));
        Assert.Equal(20852014, size);
        Assert.Equal("20852014\n"u8.ToArray(), AddCheckpointResponse.SizeToBytes(20852014));
        Assert.Equal("0\n"u8.ToArray(), AddCheckpointResponse.SizeToBytes(0));
        foreach (string body in new[] { "", "\n", "5", "5\n\n", "05\n", "5\r\n", " 5\n", "5 \n", "-1\n", "5\n6\n", "9223372036854775808\n", "null\n" })
        {
            Assert.False(AddCheckpointResponse.TryParseSize(Utf8(body), out size), body);
            Assert.Equal(0, size);
        }
    }
}
