using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace TransparencyLog.Bench;

/// <summary>
/// Many HTTP/1.1 connections on one thread, with at most one request under way on each: a server answers the requests of a connection one after the other, so
/// a second one would wait for the first. A request costs two system calls and no allocation; a client of the base library would cost as much as the server.
/// One owner.
/// </summary>
internal sealed class Wire : IDisposable
{
    /// <summary>Largest answer in bytes: a tlog-proof under a checkpoint with many cosignatures has a few thousand.</summary>
    private const int MaxAnswer = 64 * 1024;

    private readonly Socket[] _sockets;
    private readonly byte[][] _received;
    private readonly int[] _filled;
    private readonly ulong[] _ready = new ulong[256];
    private readonly int _poll = Native.CreatePoll();

    public Wire(Uri server, int connections)
    {
        _sockets = new Socket[connections];
        _received = new byte[connections][];
        _filled = new int[connections];
        for (int i = 0; i < connections; i++)
        {
            _received[i] = new byte[2048];
            _sockets[i] = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            _sockets[i].Connect(server.Host, server.Port);
            _sockets[i].Blocking = false;
            Native.Watch(_poll, (int)_sockets[i].Handle, (ulong)i);
        }

        Native.WakeInTime();
    }

    /// <summary>Gets the connection, which is free again, the status, and the body, which is overwritten by the next answer.</summary>
    public delegate void Answered(int connection, int status, ReadOnlySpan<byte> body);

    public int Connections => _sockets.Length;

    /// <summary>Sends a whole request on a connection that has none under way.</summary>
    public void Send(int connection, ReadOnlySpan<byte> request)
    {
        int sent = Native.Send((int)_sockets[connection].Handle, request);
        if (sent != request.Length) throw new IOException($"{sent} of {request.Length} bytes were taken by a connection that had nothing under way");
    }

    /// <summary>Waits for answers, at most so long, and hands on those that are complete.</summary>
    public void Wait(long nanoseconds, Answered answered)
    {
        int count = Native.Poll(_poll, _ready, nanoseconds);
        for (int i = 0; i < count; i++) Receive((int)_ready[i], answered);
    }

    /// <summary>A request as bytes: the head, and room for the body behind it.</summary>
    public static byte[] Request(Uri server, string method, string target, int bodyLength)
    {
        byte[] head = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{method} {target} HTTP/1.1\r\nHost: {server.Authority}\r\nContent-Length: {bodyLength}\r\n\r\n"));
        byte[] request = new byte[head.Length + bodyLength];
        head.CopyTo(request, 0);
        return request;
    }

    public void Dispose()
    {
        foreach (Socket socket in _sockets) socket.Dispose();
        Native.Close(_poll);
    }

    private void Receive(int connection, Answered answered)
    {
        ref byte[] buffer = ref _received[connection];
        if (_filled[connection] == buffer.Length)
        {
            if (buffer.Length >= MaxAnswer) throw new IOException("an answer is too large");
            Array.Resize(ref buffer, buffer.Length * 2);
        }

        int received = Native.Receive((int)_sockets[connection].Handle, buffer.AsSpan(_filled[connection]));
        if (received < 0) return;
        if (received == 0) throw new IOException("the server has closed a connection");
        _filled[connection] += received;
        ReadOnlySpan<byte> all = buffer.AsSpan(0, _filled[connection]);
        int head = all.IndexOf("\r\n\r\n"u8);
        if (head < 0) return;
        int status = Number(all[9..12]);
        int at = all[..head].IndexOf("\r\nContent-Length: "u8);
        if (at < 0) throw new IOException($"an answer without a length: {Encoding.ASCII.GetString(all[..head])}");
        ReadOnlySpan<byte> rest = all[(at + 18)..];
        int length = Number(rest[..rest.IndexOf((byte)'\r')]);
        if (all.Length < head + 4 + length) return;
        _filled[connection] = 0;
        answered(connection, status, all.Slice(head + 4, length));
    }

    private static int Number(ReadOnlySpan<byte> digits)
    {
        int number = 0;
        foreach (byte digit in digits) number = (number * 10) + (digit - '0');
        return number;
    }
}
