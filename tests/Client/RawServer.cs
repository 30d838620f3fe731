using System.Net;
using System.Net.Sockets;
using System.Text;

namespace TransparencyLog.Tests.Client;

/// <summary>One connection of a <see cref="RawServer"/>.</summary>
internal sealed record RawConnection(int Number, NetworkStream Stream)
{
    /// <summary>Reads the head of a request, and its body; null at the end of the connection.</summary>
    public async Task<string?> ReadRequestAsync(CancellationToken stop)
    {
        StringBuilder head = new();
        byte[] one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (await Stream.ReadAsync(one, stop) == 0) return null;
            head.Append((char)one[0]);
        }

        string? length = head.ToString().Split("\r\n").FirstOrDefault(line => line.StartsWith("Content-Length: ", StringComparison.OrdinalIgnoreCase));
        if (length is not null) await Stream.ReadExactlyAsync(new byte[int.Parse(length["Content-Length: ".Length..], System.Globalization.CultureInfo.InvariantCulture)], stop);
        return head.ToString();
    }

    public async Task WriteAsync(string text, CancellationToken stop) => await Stream.WriteAsync(Encoding.ASCII.GetBytes(text), stop);

    /// <summary>Answers every request of this connection with a status and an empty body, and keeps it open.</summary>
    public async Task AnswerAllAsync(int status, Action asked, CancellationToken stop)
    {
        while (await ReadRequestAsync(stop) is not null)
        {
            asked();
            await WriteAsync($"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n", stop);
        }
    }
}

/// <summary>A server of bytes on loopback: what it does with each connection is the test's.</summary>
internal sealed class RawServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private int _connections;

    public RawServer(Func<RawConnection, CancellationToken, Task> serve)
    {
        _listener.Start();
        _running = RunAsync(serve);
    }

    public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndpoint;

    public string Url => $"http://{EndPoint}";

    public int Connections => Volatile.Read(ref _connections);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _running;
        _stop.Dispose();
    }

    private async Task RunAsync(Func<RawConnection, CancellationToken, Task> serve)
    {
        List<Task> serving = [];
        try
        {
            while (true)
            {
                Socket socket = await _listener.AcceptSocketAsync(_stop.Token);
                int number = Interlocked.Increment(ref _connections);
                serving.Add(ServeAsync(socket, number, serve));
            }
        }
        catch (Exception over) when (over is OperationCanceledException or ObjectDisposedException or SocketException)
        {
            // The test is over.
        }

        await Task.WhenAll(serving);
    }

    private async Task ServeAsync(Socket socket, int number, Func<RawConnection, CancellationToken, Task> serve)
    {
        await Task.Yield();
        try
        {
            using NetworkStream stream = new(socket, ownsSocket: true);
            await serve(new RawConnection(number, stream), _stop.Token);
        }
        catch (Exception over) when (over is IOException or OperationCanceledException)
        {
            // The client has gone, or the test is over.
        }
    }
}
