using System.Net.Sockets;
using System.Text;

namespace TransparencyLog.Tests.Witness;

/// <summary>failures.md, rows H-02 to H-13: what comes over a socket that no honest client sends.</summary>
public sealed class HttpTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/http");
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync() => _witness = await TestWitness.StartAsync(_log);

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    [Fact]
    public async Task H06_content_length_and_transfer_encoding_together_are_400_and_the_connection_ends()
    {
        string body = _log.Request(0, 5);
        string chunked = $"{Encoding.UTF8.GetByteCount(body):x}\r\n{body}\r\n0\r\n\r\n";
        foreach (string lengths in new[] { $"Content-Length: {body.Length}\r\nTransfer-Encoding: chunked", $"Transfer-Encoding: chunked\r\nContent-Length: 3" })
        {
            string answer = _witness.Raw($"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n{lengths}\r\n\r\n{chunked}");
            Assert.StartsWith("HTTP/1.1 400 ", answer);
            Assert.Contains("\r\nConnection: close\r\n", answer);
        }

        await _witness.CheckStateAsync(_log, -1);
        // One of them alone is fine.
        Assert.StartsWith("HTTP/1.1 200 ", _witness.Raw($"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"));
        await _witness.CheckStateAsync(_log, 5);
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("br")]
    [InlineData("identity")]
    public async Task H05_an_encoded_body_is_415_and_not_decoded(string encoding)
    {
        byte[] body = Encoding.UTF8.GetBytes(_log.Request(0, 5));
        string answer = _witness.Raw($"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Encoding: {encoding}\r\nContent-Length: {body.Length}\r\n\r\n{Encoding.UTF8.GetString(body)}");
        Assert.StartsWith("HTTP/1.1 415 ", answer);
        await _witness.CheckStateAsync(_log, -1);
    }

    [Fact]
    public void H04_a_declared_length_over_the_limit_is_413_before_any_byte_of_it()
    {
        using Socket socket = _witness.Connect();
        socket.Send("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 31000000\r\n\r\n"u8);
        byte[] start = new byte[64];
        int read = socket.Receive(start);
        Assert.StartsWith("HTTP/1.1 413 ", Encoding.ASCII.GetString(start, 0, read));
    }

    [Theory]
    [InlineData("GET /healthz HTTP/1.1\nHost: w\nConnection: close\n\n")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: w\r\n folded: x\r\n\r\n")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: w\r\nHost: v\r\n\r\n")]
    [InlineData("GET /healthz HTTP/1.1\r\n\r\n")]
    [InlineData("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc")]
    [InlineData("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: -3\r\n\r\nabc")]
    [InlineData("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: +3\r\n\r\nabc")]
    [InlineData("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n")]
    [InlineData("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")]
    [InlineData("GET  /healthz HTTP/1.1\r\nHost: w\r\n\r\n")]
    [InlineData("GET /healthz HTTP/3.9\r\nHost: w\r\n\r\n")]
    [InlineData("nonsense\r\n\r\n")]
    public async Task H07_broken_framing_is_refused(string request)
    {
        string answer = _witness.Raw(request.Contains("Connection:") ? request : request.Replace("Host: w\r\n", "Host: w\r\nConnection: close\r\n"));
        Assert.Matches("^HTTP/1.1 (400|414|431|501|505) ", answer);
        CheckSilent(answer);
        await _witness.CosignAsync(_log, 0, 5);
    }

    [Fact]
    public void H07_long_lines_and_many_headers_are_refused()
    {
        Assert.StartsWith("HTTP/1.1 414 ", _witness.Raw($"GET /{new string('x', 5000)} HTTP/1.1\r\nHost: w\r\n\r\n"));
        Assert.StartsWith("HTTP/1.1 431 ", _witness.Raw($"GET /healthz HTTP/1.1\r\nHost: w\r\nx: {new string('x', 20_000)}\r\n\r\n"));
        Assert.StartsWith("HTTP/1.1 431 ", _witness.Raw($"GET /healthz HTTP/1.1\r\nHost: w\r\n{string.Concat(Enumerable.Range(0, 150).Select(i => $"h{i}: x\r\n"))}\r\n"));
    }

    [Theory]
    [InlineData("GET", "http://w/healthz")]
    [InlineData("GET", "http://w/")]
    [InlineData("OPTIONS", "*")]
    [InlineData("CONNECT", "w:80")]
    [InlineData("GET", "/healthz#fragment")]
    [InlineData("GET", "/healthz?")]
    [InlineData("GET", "/HEALTHZ")]
    [InlineData("GET", "//healthz")]
    [InlineData("GET", "/healthz/")]
    [InlineData("GET", "/x/../healthz")]
    [InlineData("GET", "/%68ealthz")]
    [InlineData("POST", "/add-checkpoint/")]
    [InlineData("POST", "/add-checkpoint?old=0")]
    [InlineData("POST", "/Add-Checkpoint")]
    [InlineData("POST", "/add-entries")]
    public void H09_other_forms_and_spellings_of_a_target_are_400_or_404(string method, string target)
    {
        string answer = _witness.Raw($"{method} {target} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        Assert.Matches("^HTTP/1.1 (400|404) ", answer);
        CheckSilent(answer);
    }

    [Fact]
    public async Task H02_a_body_that_drips_ends_at_the_deadline()
    {
        _witness.Configure = settings => settings with { BodyTime = TimeSpan.FromMilliseconds(400) };
        await _witness.RestartAsync();
        using Socket socket = _witness.Connect();
        socket.Send("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 1000\r\n\r\nold 0\n"u8);
        string answer = TestWitness.ReadAll(socket);
        Assert.StartsWith("HTTP/1.1 408 ", answer);
        Assert.Contains("request-timeout", answer);
    }

    [Fact]
    public async Task H13_no_answer_says_what_we_are_made_of()
    {
        await _witness.CosignAsync(_log, 0, 5);
        foreach (string path in new[] { "/", "/healthz", "/metrics", _log.MonitorPath, "/nowhere" }) CheckSilent(_witness.Raw($"GET {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n"));
        foreach (string body in new[] { "x", _log.Request(0, 5), TestLog.Body(5, [], _log.Checkpoint(9)) })
        {
            CheckSilent(_witness.Raw($"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"));
        }
    }

    [Fact]
    public void A_body_where_none_belongs_ends_the_connection()
    {
        string answer = _witness.Raw("GET /healthz HTTP/1.1\r\nHost: w\r\nContent-Length: 5\r\n\r\nhello");
        Assert.True(answer.Length == 0 || answer.StartsWith("HTTP/1.1 ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Connections_are_bounded()
    {
        _witness.Configure = settings => settings with { MaxConnections = 4 };
        await _witness.RestartAsync();
        List<Socket> idle = [];
        try
        {
            for (int i = 0; i < 4; i++)
            {
                Socket socket = _witness.Connect();
                idle.Add(socket);
                socket.Send("GET /healthz HTTP/1.1\r\nHost: w\r\n\r\n"u8);
                Assert.True(socket.Receive(new byte[1024]) > 0);
            }

            Assert.Equal("", _witness.Raw("GET /healthz HTTP/1.1\r\nHost: w\r\n\r\n"));
        }
        finally
        {
            idle.ForEach(socket => socket.Dispose());
        }
    }

    /// <summary>No version, no path, no stack trace, no name of a type.</summary>
    private static void CheckSilent(string answer)
    {
        foreach (string word in new[] { "Kestrel", "Server:", "System.", "Microsoft", "   at ", "/dev/shm", "/tmp/", ".cs" }) Assert.DoesNotContain(word, answer);
    }
}
