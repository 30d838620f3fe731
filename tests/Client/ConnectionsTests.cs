using System.Net;
using System.Net.Sockets;
using TransparencyLog.Client;
using TransparencyLog.Outbound;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Client;

/// <summary>A name that moves while something still answers at its old address: N-16. The name is one that a test resolves.</summary>
public sealed class ConnectionsTests
{
    private const string Url = "http://moves.test";

    [Fact]
    public async Task N16_after_a_failure_no_connection_is_kept_and_the_name_is_resolved_again()
    {
        foreach (int status in (int[])[500, 502, 503, 504])
        {
            await using Moving moving = new(status);
            using HttpClient http = moving.Open(new ConnectionOptions { ConnectTimeout = TimeSpan.FromSeconds(60) });
            Assert.Equal((HttpStatusCode)status, await StatusAsync(http));
            Assert.Equal((HttpStatusCode)status, await StatusAsync(http));
            moving.Move();
            Assert.Equal(HttpStatusCode.OK, await StatusAsync(http));
            Assert.Equal((2, 1), (moving.Old.Connections, moving.New.Connections));
        }
    }

    [Fact]
    public async Task N16_without_failures_a_connection_is_kept_and_ends_with_its_lifetime()
    {
        await using Moving moving = new(200);
        using (HttpClient kept = moving.Open(new ConnectionOptions { ConnectTimeout = TimeSpan.FromSeconds(60) }))
        {
            for (int i = 0; i < 20; i++) Assert.Equal(HttpStatusCode.OK, await StatusAsync(kept));
            Assert.Equal(1, moving.Old.Connections);
        }

        using HttpClient http = moving.Open(new ConnectionOptions { ConnectTimeout = TimeSpan.FromSeconds(60), Lifetime = TimeSpan.FromMilliseconds(100) });
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(http));
        moving.Move();
        await UntilAsync(async () => await StatusAsync(http) == HttpStatusCode.OK && moving.New.Connections > 0);
        Assert.Equal(TimeSpan.FromMinutes(2), new ConnectionOptions { ConnectTimeout = default }.Lifetime);
    }

    [Fact]
    public async Task N16_a_failure_does_not_disturb_the_answers_that_are_under_way()
    {
        using SemaphoreSlim rest = new(0);
        await using RawServer server = new(async (connection, stop) =>
        {
            string request = (await connection.ReadRequestAsync(stop))!;
            if (request.StartsWith("GET /fails", StringComparison.Ordinal))
            {
                await connection.WriteAsync("HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nfull", stop);
                await connection.ReadRequestAsync(stop);
                return;
            }

            await connection.WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf", stop);
            await rest.WaitAsync(stop);
            await connection.WriteAsync("half", stop);
        });
        (HttpClient http, _) = Connections.Open(new ConnectionOptions { ConnectTimeout = TimeSpan.FromSeconds(60) });
        using HttpClient own = http;
        using HttpResponseMessage slow = await http.GetAsync($"{server.Url}/slow", HttpCompletionOption.ResponseHeadersRead);
        using HttpResponseMessage failed = await http.GetAsync($"{server.Url}/fails", HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("full", await failed.Content.ReadAsStringAsync());
        rest.Release();
        Assert.Equal("halfhalf", await slow.Content.ReadAsStringAsync());
    }

    [Theory]
    [InlineData(503)]
    [InlineData(0)]
    public async Task N16_a_witness_that_moves_is_found_while_its_old_address_answers_failures_or_nothing(int status)
    {
        await using Moving moving = new(status);
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        INoteVerifier verifier = Verifiers.TryCreate(VerifierKey.Create("witness.example", VerifierKey.Ed25519Cosignature, key.PublicKey.Span))!;
        using WitnessClient witness = new(Url, [verifier], new WitnessClientOptions { AttemptTimeout = TimeSpan.FromSeconds(status == 0 ? 1 : 60), Connections = moving.Options });
        AddCheckpointRequest request = new(0, [], "log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— log.example AAAAAAAA\n"u8.ToArray());
        WitnessAnswer.Failed failed = Assert.IsType<WitnessAnswer.Failed>(await witness.AddCheckpointAsync(request, CancellationToken.None));
        Assert.Equal(status == 0 ? "no whole answer within 1 s" : "status 503", failed.Reason);
        moving.Move();

        // The new one answers 200 with nothing in it: that it was asked is what counts.
        await UntilAsync(async () => Assert.IsType<WitnessAnswer.Failed>(await witness.AddCheckpointAsync(request, CancellationToken.None)).Reason.StartsWith("200", StringComparison.Ordinal));
        Assert.Equal(1, moving.New.Connections);
    }

    [Fact]
    public async Task N16_a_log_that_moves_is_found_by_the_next_request()
    {
        await using Moving moving = new(503);
        using LogReader reader = new(Url, new LogReaderOptions { RetryDelay = TimeSpan.FromMilliseconds(1), Connections = moving.Options });
        Assert.Contains("answered 503", (await Assert.ThrowsAsync<LogReaderException>(() => reader.ReadCheckpointBytesAsync(default))).Message);
        moving.Move();
        Assert.Empty(await reader.ReadCheckpointBytesAsync(default));
    }

    private static async Task<HttpStatusCode> StatusAsync(HttpClient http)
    {
        using HttpResponseMessage response = await http.GetAsync(Url);
        return response.StatusCode;
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        long started = TimeProvider.System.GetTimestamp();
        while (!await condition()) Assert.True(TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromMinutes(1), "not in a minute");
    }

    /// <summary>A name with an old address that answers everything with one status, or with nothing, and a new one that answers 200.</summary>
    private sealed class Moving : IAsyncDisposable
    {
        private volatile bool _moved;

        public Moving(int status)
        {
            Old = new RawServer((connection, stop) => status == 0 ? Task.Delay(Timeout.InfiniteTimeSpan, stop) : connection.AnswerAllAsync(status, () => { }, stop));
            New = new RawServer((connection, stop) => connection.AnswerAllAsync(200, () => { }, stop));
            Options = new ConnectionOptions { ConnectTimeout = TimeSpan.FromSeconds(60), Connect = ConnectAsync };
        }

        public RawServer Old { get; }

        public RawServer New { get; }

        public ConnectionOptions Options { get; }

        public HttpClient Open(ConnectionOptions options) => Connections.Open(options with { Connect = ConnectAsync }).Http;

        public void Move() => _moved = true;

        public async ValueTask DisposeAsync()
        {
            await Old.DisposeAsync();
            await New.DisposeAsync();
        }

        private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken stop)
        {
            Assert.Equal("moves.test", context.DnsEndPoint.Host);
            Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(_moved ? New.EndPoint : Old.EndPoint, stop);
            return new NetworkStream(socket, ownsSocket: true);
        }
    }
}
