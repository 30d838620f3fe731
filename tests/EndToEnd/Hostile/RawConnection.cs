using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>An answer as it came: head and body, nothing decoded.</summary>
internal sealed record RawAnswer(int Status, string Head, byte[] Body)
{
    /// <summary>The value of a header; null when there is none.</summary>
    public string? this[string name]
    {
        get
        {
            int at = Head.IndexOf($"\r\n{name}: ", StringComparison.OrdinalIgnoreCase);
            return at < 0 ? null : Head[(at + name.Length + 4)..Head.IndexOf("\r\n", at + 2, StringComparison.Ordinal)];
        }
    }

    public string Text => Encoding.UTF8.GetString(Body);

    public override string ToString() => Head + Text;
}

/// <summary>One connection: bytes out, answers in.</summary>
internal sealed class RawConnection : IDisposable
{
    /// <summary>Longest any answer or end may take on a busy machine; what the server itself waits for is 15 s at most.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    private readonly Socket _socket;
    private readonly List<byte> _ahead = []; // received, and not part of an answer that was read

    private RawConnection(Socket socket) => _socket = socket;

    /// <param name="server">Where to.</param>
    /// <param name="from">The address to come from: all of 127.0.0.0/8 is ours.</param>
    /// <param name="receiveBuffer">Bytes that the system takes for us ahead; null for what it likes.</param>
    public static async Task<RawConnection> OpenAsync(Uri server, string? from = null, int? receiveBuffer = null)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (receiveBuffer is int bytes) socket.ReceiveBufferSize = bytes;
        if (from is not null) socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
        try
        {
            await socket.ConnectAsync(IPAddress.Parse(server.Host), server.Port).WaitAsync(Limit);
            return new RawConnection(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>False when the server has closed before all was sent.</summary>
    public async Task<bool> SendAsync(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            while (!bytes.IsEmpty) bytes = bytes[(await _socket.SendAsync(bytes).AsTask().WaitAsync(Limit))..];
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    public Task<bool> SendAsync(string ascii) => SendAsync(Encoding.ASCII.GetBytes(ascii));

    /// <summary>The next answer, by its own length; null when the connection ends before there is one (a frame of HTTP/2 that says "speak 1.1" is none).</summary>
    public async Task<RawAnswer?> ReceiveAsync(bool isHead = false, TimeSpan? limit = null)
    {
        int end;
        while ((end = HeadEnd()) < 0)
        {
            if (!await MoreAsync(limit)) return _ahead.Count == 0 || _ahead[0] != 'H' ? null : throw new CheckFailedException($"an answer that is cut: {Encoding.Latin1.GetString([.. _ahead])}");
        }

        string head = Encoding.Latin1.GetString([.. _ahead.Take(end)]);
        if (!head.StartsWith("HTTP/1.1 ", StringComparison.Ordinal)) throw new CheckFailedException($"not an answer: {head}");
        RawAnswer answer = new(int.Parse(head.AsSpan(9, 3), NumberStyles.None, CultureInfo.InvariantCulture), head, []);
        _ahead.RemoveRange(0, end);
        if (answer.Status == 100) return await ReceiveAsync(isHead, limit);
        if (isHead) return answer;
        if (answer["Transfer-Encoding"] is not null) return answer with { Body = await ChunksAsync(limit) };
        int length = int.Parse(answer["Content-Length"] ?? throw new CheckFailedException($"an answer without a length: {head}"), NumberStyles.None, CultureInfo.InvariantCulture);
        while (_ahead.Count < length)
        {
            if (!await MoreAsync(limit)) throw new CheckFailedException($"an answer whose body is cut: {head}");
        }

        answer = answer with { Body = [.. _ahead.Take(length)] };
        _ahead.RemoveRange(0, length);
        return answer;
    }

    /// <summary>Whether the server ends the connection, with nothing more sent.</summary>
    public async Task<bool> EndsAsync(TimeSpan? limit = null)
    {
        try
        {
            if (await MoreAsync(limit)) throw new CheckFailedException($"more than one answer: {Encoding.Latin1.GetString([.. _ahead])}");
            return _ahead.Count == 0;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <summary>Gives the connection up with a reset.</summary>
    public void Reset()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>The status of an answer of which nothing more is read; null when there is none.</summary>
    public async Task<int?> FirstAsync(TimeSpan limit)
    {
        byte[] first = new byte[64];
        try
        {
            int read = await _socket.ReceiveAsync(first).WaitAsync(limit);
            return read < 12 ? null : int.Parse(Encoding.ASCII.GetString(first, 9, 3), NumberStyles.None, CultureInfo.InvariantCulture);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    /// <summary>Takes one byte now and then: "kept" when the server lets it until it is enough, else "closed".</summary>
    public async Task<string> SipAsync(TimeSpan every, Task enough)
    {
        byte[] sip = new byte[1];
        try
        {
            while (await Task.WhenAny(enough, Task.Delay(every)) != enough)
            {
                if (await _socket.ReceiveAsync(sip).WaitAsync(Limit) == 0) return Flood.Closed;
            }

            return Flood.Kept;
        }
        catch (SocketException)
        {
            return Flood.Closed;
        }
    }

    /// <summary>Reads what is there. False at the end.</summary>
    private async Task<bool> MoreAsync(TimeSpan? limit = null)
    {
        byte[] buffer = new byte[16 * 1024];
        try
        {
            int read = await _socket.ReceiveAsync(buffer).WaitAsync(limit ?? Limit);
            _ahead.AddRange(buffer.AsSpan(0, read));
            return read > 0;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private int HeadEnd()
    {
        int at = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_ahead).IndexOf("\r\n\r\n"u8);
        return at < 0 ? -1 : at + 4;
    }

    private async Task<byte[]> ChunksAsync(TimeSpan? limit)
    {
        List<byte> body = [];
        while (true)
        {
            int line;
            while ((line = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_ahead).IndexOf("\r\n"u8)) < 0)
            {
                if (!await MoreAsync(limit)) throw new CheckFailedException("a chunked answer that is cut");
            }

            int size = int.Parse(Encoding.ASCII.GetString([.. _ahead.Take(line)]), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
            while (_ahead.Count < line + 2 + size + 2)
            {
                if (!await MoreAsync(limit)) throw new CheckFailedException("a chunked answer that is cut");
            }

            body.AddRange(_ahead.Skip(line + 2).Take(size));
            _ahead.RemoveRange(0, line + 2 + size + 2);
            if (size == 0) return [.. body];
        }
    }
}
