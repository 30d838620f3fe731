using System.Net.Sockets;
using System.Text;

namespace TransparencyLog.Tests.Witness;

/// <summary>spec/reliability.md, rows H: what needs a witness of its own; the rest is tests/EndToEnd/Hostile.</summary>
public sealed class HttpTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/http");
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync() => _witness = await TestWitness.StartAsync(_log);

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    [Fact]
    public void H04_a_declared_length_over_the_limit_is_413_before_any_byte_of_it()
    {
        using Socket socket = _witness.Connect();
        socket.Send("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 31000000\r\n\r\n"u8);
        byte[] start = new byte[64];
        int read = socket.Receive(start);
        Assert.StartsWith("HTTP/1.1 413 ", Encoding.ASCII.GetString(start, 0, read));
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
