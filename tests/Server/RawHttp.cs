using System.Net;
using System.Net.Sockets;
using System.Text;

namespace TransparencyLog.Tests.Server;

/// <summary>Bytes over a socket: for requests that no HTTP client would send.</summary>
internal static class RawHttp
{
    /// <summary>Sends the bytes, reads until the server closes; what it answered, as Latin-1.</summary>
    public static async Task<string> ExchangeAsync(Uri server, string request)
    {
        using TcpClient client = new();
        await client.ConnectAsync(IPAddress.Parse(server.Host), server.Port);
        NetworkStream stream = client.GetStream();
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request), limit.Token);
        using MemoryStream answer = new();
        try
        {
            await stream.CopyToAsync(answer, limit.Token);
        }
        catch (IOException)
        {
            // Reset behind its answer: the server did not want the rest of the request.
        }

        return Encoding.Latin1.GetString(answer.ToArray());
    }

    /// <summary>The status line's number of a request without a body, after which the connection closes.</summary>
    public static async Task<(int Status, string Answer)> SendAsync(Uri server, string method, string target, string headers = "", string body = "")
    {
        string answer = await ExchangeAsync(server, $"{method} {target} HTTP/1.1\r\nHost: {server.Authority}\r\nConnection: close\r\n{headers}\r\n{body}");
        return (StatusOf(answer), answer);
    }

    public static int StatusOf(string answer) =>
        answer.StartsWith("HTTP/1.1 ", StringComparison.Ordinal) ? int.Parse(answer.AsSpan(9, 3), System.Globalization.CultureInfo.InvariantCulture) : 0;
}
