using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.Cli;

/// <summary>tlog add against a stub that gives out indexes.</summary>
public sealed class AddTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly MemoryLog _log = new(10);
    private readonly StubLog _stub;
    private readonly List<byte[]> _added = [];
    private readonly List<int> _batches = [];
    private int _accepted = int.MaxValue;

    public AddTests()
    {
        _stub = new StubLog(_log.Files);
        _stub.Planted["add"] = body => new StubAnswer(200, Index(body));
        _stub.Planted["add-batch"] = body =>
        {
            StringBuilder indexes = new();
            int count = 0;
            Assert.InRange(body.Length, 1, 512 * 1024);
            if (body.Length > _accepted) return new StubAnswer(413, [], "text/html");
            for (int offset = 0; offset < body.Length; count++)
            {
                int length = BinaryPrimitives.ReadUInt16BigEndian(body.AsSpan(offset));
                indexes.Append(Encoding.ASCII.GetString(Index(body[(offset + 2)..(offset + 2 + length)]))).Append('\n');
                offset += 2 + length;
            }

            _batches.Add(count);
            return new StubAnswer(200, Encoding.ASCII.GetBytes(indexes.ToString()));
        };
    }

    public void Dispose()
    {
        _stub.Dispose();
        _log.Dispose();
        _scratch.Dispose();
    }

    [Fact]
    public async Task Standard_input_is_one_entry_byte_for_byte()
    {
        byte[] entry = [0, 13, 10, 255, 0];
        Assert.Equal("0\n", (await Tlog.RunAsync(entry, ["add", _stub.Url])).Succeeds().Out);
        Assert.Equal("1\n", (await Tlog.RunAsync(entry, ["add", _stub.Url, "-"])).Succeeds().Out);
        Assert.Equal([entry, entry], _added);
    }

    [Fact]
    public async Task Each_file_is_one_entry_and_its_index_a_line()
    {
        string a = _scratch.Write("a", "first\nfile\n"), b = _scratch.Write("b", new byte[65535]);
        Assert.Equal("0\n1\n2\n", (await Tlog.RunAsync("add", _stub.Url, a, b, a)).Succeeds().Out);
        Assert.Equal(["first\nfile\n"u8.ToArray(), new byte[65535], "first\nfile\n"u8.ToArray()], _added);
    }

    [Fact]
    public async Task A_file_that_is_missing_empty_or_too_long_is_exit_code_2()
    {
        string good = _scratch.Write("good", "x");
        (await Tlog.RunAsync("add", _stub.Url, good, _scratch["nothing"])).Fails(2, $"no such file: {_scratch["nothing"]}");
        (await Tlog.RunAsync("add", _stub.Url, good, _scratch.Root)).Fails(2, "is a directory");
        Assert.Empty(_added);
        (await Tlog.RunAsync("add", _stub.Url, _scratch.Write("empty", ""))).Fails(2, "1 to 65535 bytes");
        (await Tlog.RunAsync("add", _stub.Url, _scratch.Write("long", new byte[65536]))).Fails(2, "more than 65535 bytes");
        (await Tlog.RunAsync([], ["add", _stub.Url])).Fails(2, "- is empty");
    }

    [Fact]
    public async Task Lines_go_in_batches_and_each_has_its_index()
    {
        string[] lines = [.. Enumerable.Range(0, 5000).Select(i => $"line {i}"), new('x', 65535), "with\r", "last, without a newline"];
        Tlog run = (await Tlog.RunAsync(Encoding.UTF8.GetBytes(string.Join('\n', lines)), ["add", _stub.Url, "--lines"])).Succeeds();
        Assert.Equal(Enumerable.Range(0, lines.Length).Select(i => i.ToString(CultureInfo.InvariantCulture)), run.Lines);
        Assert.Equal(lines, _added.Select(entry => Encoding.UTF8.GetString(entry)));
        Assert.InRange(_batches.Count, 1, 3);
    }

    [Fact]
    public async Task The_shortest_lines_of_a_large_file_stay_below_the_largest_batch()
    {
        string file = _scratch.Write("lines", string.Concat(Enumerable.Repeat("a\n", 1_200_000)));
        Tlog run = (await Tlog.RunAsync("add", _stub.Url, "--lines", file)).Succeeds();
        Assert.Equal(1_200_000, run.Lines.Length);
        Assert.Equal(1_200_000, _added.Count);
        Assert.InRange(_batches.Count, 3, 30);
    }

    [Fact]
    public async Task N19_batches_that_are_refused_as_too_large_are_halved_until_they_pass()
    {
        _accepted = 40_000;
        string[] lines = [.. Enumerable.Range(0, 60_000).Select(i => $"line {i}")];
        Tlog run = (await Tlog.RunAsync("add", _stub.Url, "--lines", _scratch.Write("lines", string.Join('\n', lines)))).Succeeds();
        Assert.Equal(Enumerable.Range(0, lines.Length).Select(i => i.ToString(CultureInfo.InvariantCulture)), run.Lines);
        Assert.Equal(lines, _added.Select(entry => Encoding.UTF8.GetString(entry)));

        // 790,000 bytes: 512 KiB are halved four times, and what passed is the size of all that follow.
        Assert.Equal(_batches.Count + 4, _stub.Requests.Count);
        Assert.InRange(_batches.Count, 790_000 / 40_000, 2 * 790_000 / 30_000);
    }

    [Fact]
    public async Task N19_a_line_that_is_refused_alone_is_named_and_those_before_it_are_added()
    {
        _accepted = 1_000;
        Tlog run = await Tlog.RunAsync(Encoding.UTF8.GetBytes($"first\nsecond\n{new string('x', 2_000)}\nfourth\n"), ["add", _stub.Url, "--lines"]);
        Assert.Equal((2, "0\n1\n"), (run.Code, run.Out));
        Assert.Contains("line 3 of - is too long for this log", run.Error);
        Assert.Contains("answered 413", run.Error);
        Assert.Contains("the request had 2002 bytes and one entry", run.Error);
        Assert.Contains("the lines before it were added", run.Error);
        Assert.Equal(["first"u8.ToArray(), "second"u8.ToArray()], _added);
    }

    [Fact]
    public async Task An_empty_or_too_long_line_is_named_after_those_before_it_were_added()
    {
        Tlog run = await Tlog.RunAsync("a\nb\n\nc\n"u8.ToArray(), ["add", _stub.Url, "--lines"]);
        Assert.Equal((2, "0\n1\n"), (run.Code, run.Out));
        Assert.Contains("line 3 of - is empty", run.Error);
        run = await Tlog.RunAsync([.. "a\n"u8, .. new byte[65536], .. "\n"u8], ["add", _stub.Url, "--lines"]);
        Assert.Equal((2, "2\n"), (run.Code, run.Out));
        Assert.Contains("line 2 of - is too long", run.Error);
        run = await Tlog.RunAsync(new byte[3_000_000], ["add", _stub.Url, "--lines"]);
        Assert.Contains("line 1 of - is too long", run.Error);
    }

    [Fact]
    public async Task No_lines_are_no_entries() => Assert.Equal("", (await Tlog.RunAsync([], ["add", _stub.Url, "--lines"])).Succeeds().Out);

    [Fact]
    public async Task Waiting_for_publication_prints_a_proof_that_verifies()
    {
        _stub.Planted["add?wait=published"] = _ => new StubAnswer(200, _log.Prove(4, 10).ToBytes());
        Tlog run = (await Tlog.RunAsync(_log.Entries[4], ["add", _stub.Url, "--wait", "published"])).Succeeds();
        Assert.Equal(_log.Prove(4, 10).ToBytes(), run.Bytes);
        string proof = _scratch.Write("p.tlog-proof", run.Bytes), policy = _scratch.Write("policy", _log.PolicyText()), entry = _scratch.Write("entry", _log.Entries[4]);
        (await Tlog.RunAsync("verify", proof, "--entry", entry, "--policy", policy)).Succeeds();

        // A proof for something else is the log's lie.
        (await Tlog.RunAsync("other"u8.ToArray(), ["add", _stub.Url, "--wait", "published"])).Fails(1, "does not hold");
    }

    [Fact]
    public async Task A_proof_that_does_not_come_in_time_is_exit_code_4_and_the_index_is_printed()
    {
        _stub.Planted["add?wait=witnessed"] = _ => new StubAnswer(202, "77"u8.ToArray());
        Tlog run = await Tlog.RunAsync("x"u8.ToArray(), ["add", _stub.Url, "--wait", "witnessed"]);
        Assert.Equal((4, "77\n"), (run.Code, run.Out));
        Assert.Contains("durable", run.Error);
    }

    [Theory]
    [InlineData(400, 2)]
    [InlineData(413, 2)]
    [InlineData(429, 4)]
    [InlineData(500, 4)]
    [InlineData(503, 4)]
    [InlineData(307, 4)]
    public async Task A_refusal_of_the_log_has_its_exit_code(int status, int code)
    {
        _stub.Planted["add"] = _ => new StubAnswer(status, "{\"detail\":\"because\"}"u8.ToArray(), "application/problem+json");
        (await Tlog.RunAsync("x"u8.ToArray(), ["add", _stub.Url])).Fails(code, $"answered {status}");
        Assert.Single(_stub.Requests);
    }

    [Fact]
    public async Task An_answer_that_is_no_index_is_exit_code_1()
    {
        _stub.Planted["add"] = _ => new StubAnswer(200, "seven"u8.ToArray());
        (await Tlog.RunAsync("x"u8.ToArray(), ["add", _stub.Url])).Fails(1, "did not answer an index");
    }

    private byte[] Index(byte[] entry)
    {
        _added.Add(entry);
        return Encoding.ASCII.GetBytes((_added.Count - 1).ToString(CultureInfo.InvariantCulture));
    }
}
