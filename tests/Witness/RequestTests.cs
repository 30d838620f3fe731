using System.Net.Sockets;
using System.Text;

namespace TransparencyLog.Tests.Witness;

/// <summary>spec/conformance.md 5.1: what a request is, and what is not one.</summary>
public sealed class RequestTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/requests");
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync() => _witness = await TestWitness.StartAsync(_log);

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    [Theory]
    [InlineData("GET")]
    [InlineData("HEAD")]
    [InlineData("PUT")]
    [InlineData("DELETE")]
    [InlineData("OPTIONS")]
    [InlineData("PATCH")]
    public async Task TW01_add_checkpoint_is_post_only(string method)
    {
        Answer answer = await _witness.SendAsync(new HttpMethod(method), "/add-checkpoint", null);
        Assert.Equal(405, answer.Status);
        Assert.Equal(["POST"], answer.Allow);
        await _witness.CheckStateAsync(_log, -1);
    }

    [Fact]
    public async Task TW02_a_body_is_old_size_proof_empty_line_and_checkpoint()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.CosignAsync(_log, 5, 13);
        await _witness.CheckStateAsync(_log, 13);
    }

    public static TheoryData<string, string> MalformedBodies() => new()
    {
        { "TW03 no newline at the end", "cut1" },
        { "TW03 CRLF", "crlf" },
        { "TW04 two spaces", "old  0\n\n{0}" },
        { "TW04 tab", "old\t0\n\n{0}" },
        { "TW04 leading zero", "old 00\n\n{0}" },
        { "TW04 plus", "old +0\n\n{0}" },
        { "TW04 minus", "old -0\n\n{0}" },
        { "TW04 empty", "old \n\n{0}" },
        { "TW04 no size", "old\n\n{0}" },
        { "TW04 upper case", "OLD 0\n\n{0}" },
        { "TW04 2^63", "old 9223372036854775808\n\n{0}" },
        { "TW04 2^64", "old 18446744073709551616\n\n{0}" },
        { "TW04 trailing space", "old 0 \n\n{0}" },
        { "TW04 Arabic digit", "old \u0660\n\n{0}" },
        { "TW02 no old line", "\n{0}" },
        { "TW02 no empty line", "old 0\n{0}" },
        { "TW02 empty", "" },
        { "TW02 two empty lines", "old 0\n\n\n{0}" },
        { "TW05 31 bytes", "old 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n\n{0}" },
        { "TW05 33 bytes", "old 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n{0}" },
        { "TW05 trailing bits", "old 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n\n{0}" },
        { "TW05 unpadded", "old 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n{0}" },
        { "TW05 two on a line", "old 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n{0}" },
    };

    [Theory]
    [MemberData(nameof(MalformedBodies))]
    public async Task TW03_TW04_TW05_TW24_a_malformed_body_is_400(string name, string template)
    {
        string honest = _log.Request(0, 5);
        string body = template switch
        {
            "cut1" => honest[..^1],
            "crlf" => honest.Replace("\n", "\r\n"),
            _ => template.Replace("{0}", _log.Checkpoint(5)),
        };
        Assert.NotEmpty(name);
        TestWitness.CheckRefusal(await _witness.PostAsync(body), 400, "");
        await _witness.CheckStateAsync(_log, -1);
    }

    [Theory]
    [InlineData("no signature", "{0}")]
    [InlineData("hyphen", "{0}\n- {1} {2}\n")]
    [InlineData("en dash", "{0}\n\u2013 {1} {2}\n")]
    [InlineData("no-break space", "{0}\n\u2014\u00a0{1} {2}\n")]
    [InlineData("no base64", "{0}\n\u2014 {1} {2}\n\u2014 {1} \n")]
    [InlineData("no key ID", "{0}\n\u2014 {1} {2}\n\u2014 {1} AAAA\n")]
    [InlineData("text behind", "{0}\n\u2014 {1} {2}\nmore\n")]
    [InlineData("control character", "{0}\n\u2014 {1} {2}\n\u2014 a\u0001 {2}\n")]
    public async Task TW24_a_malformed_note_of_a_known_origin_is_400(string name, string template)
    {
        Assert.NotEmpty(name);
        string signature = _log.Checkpoint(5).Split(' ')[^1].TrimEnd('\n');
        string note = template.Replace("{0}", _log.Text(5)).Replace("{1}", _log.Origin).Replace("{2}", signature);
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], note)), 400, "");
        await _witness.CheckStateAsync(_log, -1);
    }

    /// <summary>A line by the log's key, or by another one, written in a way that its base64 does not decode.</summary>
    [Theory]
    [InlineData("trailing bits", true, 403)]
    [InlineData("trailing bits", false, 200)]
    [InlineData("padding too much", true, 403)]
    [InlineData("padding too much", false, 400)]
    [InlineData("no padding", true, 403)]
    [InlineData("no padding", false, 400)]
    [InlineData("another alphabet", true, 403)]
    [InlineData("another alphabet", false, 400)]
    [InlineData("a space inside", true, 403)]
    [InlineData("a space inside", false, 400)]
    [InlineData("a character too few", true, 403)]
    [InlineData("a character too few", false, 400)]
    [InlineData("a short signature", true, 403)]
    [InlineData("a short signature", false, 200)]
    [InlineData("no signature", true, 403)]
    [InlineData("no signature", false, 400)]
    public async Task N23_TW21_TW22_TW24_a_line_that_does_not_decode_is_403_where_its_key_is_trusted(string defect, bool trusted, int status)
    {
        NoteSignature signature = trusted ? _log.NoteSigner.Sign(Encoding.UTF8.GetBytes(_log.Text(5))) : TestLog.Signer("stranger.example", 1).Sign(Encoding.UTF8.GetBytes(_log.Text(5)));
        string[] parts = signature.ToLine().TrimEnd('\n').Split(' ');
        string base64 = parts[2], written = defect switch
        {
            "trailing bits" => $"{base64[..^2]}{(char)(base64[^2] + 1)}=",
            "padding too much" => base64 + "=",
            "no padding" => base64[..^1],
            "another alphabet" => $"{base64[..20]}-_{base64[22..]}",
            "a space inside" => $"{base64[..20]} {base64[20..]}",
            "a character too few" => base64[..^2] + "=",
            "a short signature" => Convert.ToBase64String(Convert.FromBase64String(base64)[..^1]),
            "no signature" => base64[..6] + "==",
            _ => throw new InvalidOperationException(defect),
        };
        string line = $"{parts[0]} {parts[1]} {written}\n";

        // After the line that is right, before it, and alone.
        string right = _log.Checkpoint(5)[(_log.Text(5).Length + 1)..];
        foreach (string lines in trusted ? (string[])[right + line, line + right, line] : [right + line, line + right])
        {
            Answer answer = await _witness.PostAsync(TestLog.Body(0, [], $"{_log.Text(5)}\n{lines}"));
            Assert.True(answer.Status == status || (status == 200 && answer.Status == 409), $"{answer.Status} instead of {status}: {answer.Text}");
            if (status != 200) await _witness.CheckStateAsync(_log, -1);
        }

        if (status != 200) return;
        Note? shown = await _witness.CheckStateAsync(_log, 5);
        Assert.DoesNotContain(shown!.Signatures, one => one.Name == "stranger.example");
    }

    [Fact]
    public async Task N23_a_line_that_does_not_decode_counts_as_a_line()
    {
        string line = $"\u2014 stranger.example {Convert.ToBase64String(new byte[8])[..^2]}B=\n";
        string note = _log.Checkpoint(5);
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], note + string.Concat(Enumerable.Repeat(line, 100)))), 400, "note");
        _witness.CheckCosigned(await _witness.PostAsync(TestLog.Body(0, [], note + string.Concat(Enumerable.Repeat(line, 99)))), _log.Text(5));
    }

    [Theory]
    [InlineData("{0}\n5\n")]
    [InlineData("{0}\n05\n{1}\n")]
    [InlineData("{0}\n+5\n{1}\n")]
    [InlineData("{0}\n9223372036854775808\n{1}\n")]
    [InlineData("{0}\n5\nAAAA\n")]
    [InlineData("{0}\n{1}\n5\n")]
    public async Task TW24_a_signed_note_that_is_no_checkpoint_is_400(string template)
    {
        string text = template.Replace("{0}", _log.Origin).Replace("{1}", _log.Root(5).ToBase64());
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], _log.Sign(text))), 400, "checkpoint");
        await _witness.CheckStateAsync(_log, -1);
    }

    [Fact]
    public async Task TW06_W06_64_proof_lines_are_400_and_63_are_read()
    {
        await _witness.CosignAsync(_log, 0, 5);
        Hash[] hashes = [.. Enumerable.Repeat(_log.Root(1), 64)];
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(5, hashes, _log.Checkpoint(9))), 400, "63");
        // Read, and then judged as a proof.
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(5, hashes[1..], _log.Checkpoint(9))), 422, "consistency proof");
        await _witness.CheckStateAsync(_log, 5);
    }

    [Fact]
    public async Task TW07_TW22_a_checkpoint_with_many_signatures_of_strangers_is_cosigned()
    {
        string note = _log.Checkpoint(5);
        for (int i = 0; i < 15; i++) note += TestLog.Signer("stranger.example", i).Sign(Encoding.UTF8.GetBytes(_log.Text(5))).ToLine();
        _witness.CheckCosigned(await _witness.PostAsync(TestLog.Body(0, [], note)), _log.Text(5));
        Note? shown = await _witness.CheckStateAsync(_log, 5);
        Assert.Equal(3, shown!.Signatures.Count);
    }

    [Fact]
    public void TW08_a_connection_serves_many_requests()
    {
        using Socket socket = _witness.Connect();
        for (int size = 1; size < 20; size++)
        {
            string body = _log.Request(size - 1, size);
            socket.Send(Encoding.UTF8.GetBytes($"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"));
            byte[] answer = new byte[8192];
            int read = 0;
            while (!Encoding.UTF8.GetString(answer, 0, read).Contains("\r\n\r\n— ")) read += socket.Receive(answer, read, answer.Length - read, SocketFlags.None);
            Assert.StartsWith("HTTP/1.1 200 ", Encoding.UTF8.GetString(answer, 0, read));
        }
    }

    [Fact]
    public async Task TW09_header_and_note_are_split_at_the_first_empty_line()
    {
        // A second "header" behind an empty line is part of the note, and makes it none of a known log.
        string body = $"old 0\n\nold 0\n\n{_log.Checkpoint(5)}";
        TestWitness.CheckRefusal(await _witness.PostAsync(body), 404, "unknown log");
    }

    [Fact]
    public async Task TW10_H04_a_body_of_128_KiB_is_read_and_one_byte_more_is_413()
    {
        // 63 hashes and 16 lines of 3.3 kB fit.
        string lines = string.Concat(Enumerable.Range(0, 15).Select(i => $"— stranger{i}.example {Convert.ToBase64String(new byte[2432])}\n"));
        Hash[] hashes = [.. Enumerable.Repeat(_log.Root(1), 63)];
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, hashes, _log.Checkpoint(5) + lines)), 422, "empty");

        string honest = _log.Request(0, 5);
        int room = AddCheckpointRequest.MaxSize - Encoding.UTF8.GetByteCount(honest);
        // Lines of a stranger that fill the body to the byte: base64 of n bytes has 4 * ceil(n / 3) characters; the name takes up the rest.
        string filled = honest + Filler(room);
        Assert.Equal(AddCheckpointRequest.MaxSize, Encoding.UTF8.GetByteCount(filled));
        TestWitness.CheckProblem(await _witness.PostAsync(filled + "x"), 413, "too-large");
        await _witness.CheckStateAsync(_log, -1);
        _witness.CheckCosigned(await _witness.PostAsync(filled), _log.Text(5));
    }

    private static string Filler(int bytes)
    {
        StringBuilder lines = new();
        while (bytes > 0)
        {
            // "— " 4 bytes, name, space, base64, newline.
            int take = bytes > 6000 ? 4000 : bytes;
            int rest = take - 6;
            int base64 = rest / 4 * 4;
            if (base64 == rest) base64 -= 4;
            lines.Append("— ").Append('n', rest - base64).Append(' ').Append(Convert.ToBase64String(new byte[base64 / 4 * 3])).Append('\n');
            bytes -= take;
        }

        return lines.ToString();
    }

    [Fact]
    public void H04_an_endless_chunked_body_is_413()
    {
        using Socket socket = _witness.Connect();
        socket.Send("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n"u8);
        string chunk = $"4000\r\n{new string('x', 0x4000)}\r\n";
        try
        {
            for (int i = 0; i < 64; i++) socket.Send(Encoding.ASCII.GetBytes(chunk));
        }
        catch (SocketException)
        {
            // It has stopped listening, as it should.
        }

        Assert.StartsWith("HTTP/1.1 413 ", TestWitness.ReadAll(socket));
    }

    [Fact]
    public async Task TW11_no_authentication_is_asked_for()
    {
        Answer answer = await _witness.PostAsync(_log.Request(0, 1));
        Assert.Equal(200, answer.Status);
        Assert.False(answer.Headers.Contains("WWW-Authenticate"));
    }

    [Fact]
    public async Task TW12_W11_two_keys_of_one_origin_share_one_state()
    {
        TestLog second = _log.WithKey(2);
        _witness.SetLogs(_log, second);
        await _witness.RestartAsync();
        await _witness.CosignAsync(_log, 0, 5);
        TestWitness.CheckConflict(await _witness.PostAsync(second.Request(0, 7)), 5);
        await _witness.CosignAsync(second, 5, 7);
        await _witness.CosignAsync(_log, 7, 9);

        // Both at once: both lines are shown, and one bad line of a trusted key spoils the note.
        string both = _log.Checkpoint(12) + second.NoteSigner.Sign(Encoding.UTF8.GetBytes(_log.Text(12))).ToLine();
        _witness.CheckCosigned(await _witness.PostAsync(TestLog.Body(9, _log.Proof(9, 12), both)), _log.Text(12));
        Assert.Equal(4, (await _witness.CheckStateAsync(_log, 12))!.Signatures.Count);
        // The same checkpoint with one of them takes none away.
        _witness.CheckCosigned(await _witness.PostAsync(second.Request(12, 12)), _log.Text(12));
        Assert.Equal(4, (await _witness.CheckStateAsync(_log, 12))!.Signatures.Count);
        string spoilt = _log.Checkpoint(15) + second.NoteSigner.Sign(Encoding.UTF8.GetBytes(_log.Text(14))).ToLine();
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(12, _log.Proof(12, 15), spoilt)), 403, "invalid signature");
        await _witness.CheckStateAsync(_log, 12);
    }
}
