// The HTTP client of the tester: it sends a request exactly as written and returns the response exactly as it came. Paths are sent byte for byte, headers are
// read unnormalised, redirects are not followed, bodies are not decompressed, and everything is bounded.

using System.Globalization;
using System.IO.Compression;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using TransparencyLog.Outbound;

namespace TransparencyLog.Cli.Conform;

/// <summary>Several requests in a row had no response: the server under test is gone.</summary>
internal sealed class GoneException() : Exception("there is no answer");

/// <summary>A response. A status of 0 means that none came; <see cref="Trouble"/> then says why.</summary>
internal sealed record Reply(int Status, byte[] Body, IReadOnlyDictionary<string, string> Headers, string Trouble = "")
{
    /// <summary>The header as it was sent; null without one.</summary>
    public string? ContentType => Headers.GetValueOrDefault("Content-Type");

    /// <summary>
    /// The body, decompressed if it has <c>Content-Encoding: gzip</c>; null for another coding, for invalid gzip, and for more bytes than any tile or bundle
    /// has.
    /// </summary>
    public byte[]? Decoded()
    {
        if (!Headers.TryGetValue("Content-Encoding", out string? coding)) return Body;
        if (!string.Equals(coding, "gzip", StringComparison.OrdinalIgnoreCase)) return null;
        try
        {
            using GZipStream unzip = new(new MemoryStream(Body), CompressionMode.Decompress);
            using MemoryStream read = new();
            byte[] buffer = new byte[16 * 1024];
            while (unzip.Read(buffer) is > 0 and int length)
            {
                read.Write(buffer, 0, length);
                if (read.Length > Prefix.MaxBody) return null;
            }

            return read.ToArray();
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    /// <summary>Status, type and the beginning of the body.</summary>
    public override string ToString()
    {
        const int Shown = 48; // a word of an error, or a tree size
        if (Status == 0) return $"no answer ({Trouble})";
        string text = string.Concat(Encoding.Latin1.GetString(Body.AsSpan(0, Math.Min(Body.Length, Shown))).Select(one => one switch { '\n' => "\\n", '\r' => "\\r", >= ' ' and <= '~' => one.ToString(), _ => "?" }));
        string body = Body.Length == 0 ? "with an empty body" : $"\"{text}\"{(Body.Length > Shown ? "..." : "")}";
        return string.Create(CultureInfo.InvariantCulture, $"{Status} {(ContentType is null ? "" : $"{ContentType} ")}{body}");
    }
}

/// <summary>
/// Sends requests below one URL prefix. After a 429, or a 503 with Retry-After, it waits and sends the request again, until the patience of the whole run is
/// used up. Safe for concurrent use.
/// </summary>
internal sealed class Prefix : IDisposable
{
    /// <summary>Most bytes of an answer: a bundle of 256 entries of 65,535 bytes.</summary>
    public const int MaxBody = 256 * (2 + EntryBundle.MaxEntrySize);

    /// <summary>This many requests in a row without a response mean that the server under test is gone.</summary>
    private const int MostTroubles = 4;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly HttpClient _http;
    private readonly Outbound.Connections _via;
    private readonly string _url;
    private readonly TimeProvider _time;
    private readonly CancellationToken _stop;
    private long _patience; // ticks; guarded by Interlocked
    private int _requests, _connections, _troubles; // guarded by Interlocked

    public Prefix(string url, TimeSpan patience, TimeProvider time, CancellationToken stop)
    {
        (_url, _time, _stop, _patience) = (url.TrimEnd('/'), time, stop, patience.Ticks);
        (_http, _via) = Outbound.Connections.Open(new ConnectionOptions { ConnectTimeout = Limit, Connect = ConnectAsync });
    }

    public int Requests => Volatile.Read(ref _requests);

    public int Connections => Volatile.Read(ref _connections);

    public TimeProvider Time => _time;

    /// <summary>Whether this can be the prefix of a log or a witness.</summary>
    public static bool IsPrefix(string url) => Client.LogReader.IsUrl(url);

    public void Dispose() => _http.Dispose();

    public Task<Reply> GetAsync(string path, string? acceptEncoding = null) => SendAsync(HttpMethod.Get, path, acceptEncoding: acceptEncoding);

    /// <summary>
    /// Sends a request to the prefix, a slash and this path, and reads the response. Throws only <see cref="GoneException"/> for what the server does.
    /// </summary>
    public async Task<Reply> SendAsync(HttpMethod method, string path, byte[]? body = null, string? acceptEncoding = null)
    {
        while (true)
        {
            Interlocked.Increment(ref _requests);
            Reply reply = await SendOnceAsync(method, path, body, acceptEncoding);
            if (reply.Status != 0) Volatile.Write(ref _troubles, 0);
            else if (Interlocked.Increment(ref _troubles) >= MostTroubles) throw new GoneException();
            if (RetryAfter(reply) is not TimeSpan wait || Interlocked.Add(ref _patience, -wait.Ticks) < 0) return reply;
            await Task.Delay(wait, _time, _stop);
        }
    }

    private static TimeSpan? RetryAfter(Reply reply)
    {
        bool told = reply.Headers.TryGetValue("Retry-After", out string? text) & Strict.TryReadSize(Encoding.ASCII.GetBytes(text ?? ""), out long seconds);
        if (reply.Status == 503 && told) return TimeSpan.FromSeconds(Math.Clamp(seconds, 1, 3600));
        return reply.Status == 429 ? TimeSpan.FromSeconds(told ? Math.Clamp(seconds, 1, 3600) : 1) : null;
    }

    private async Task<Reply> SendOnceAsync(HttpMethod method, string path, byte[]? body, string? acceptEncoding)
    {
        // Send the path unchanged: rows ask for paths with extra zeros and percent signs.
        Uri uri = new($"{_url}/{path}", new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        using HttpRequestMessage request = new(method, uri);
        if (body is not null)
        {
            request.Content = new ByteArrayContent(body);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("text/plain") { CharSet = "utf-8" };
        }

        if (acceptEncoding is not null) request.Headers.TryAddWithoutValidation("Accept-Encoding", acceptEncoding);
        if (method == HttpMethod.Get) request.Headers.CacheControl = new CacheControlHeaderValue { NoCache = true };
        using AnswerClock clock = new(new AnswerLimits(Limit, AnswerLimits.DefaultBytesPerSecond), body?.Length ?? 0, TimeProvider.System, _stop);
        string proxy = _via.Proxy.NameFor(uri) is string name ? $" through the proxy {name}" : "";
        try
        {
            using HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, clock.Token);
            Dictionary<string, string> headers = new(StringComparer.OrdinalIgnoreCase);
            foreach ((string header, HeaderStringValues values) in response.Headers.NonValidated) headers[header] = values.ToString();
            foreach ((string header, HeaderStringValues values) in response.Content.Headers.NonValidated) headers[header] = values.ToString();
            (byte[] read, bool isWhole) = await AnswerBody.ReadAsync(response, MaxBody, clock);
            return isWhole ? new Reply((int)response.StatusCode, read, headers) : new Reply(0, [], headers, "more bytes than any answer has");
        }
        catch (OperationCanceledException) when (!_stop.IsCancellationRequested)
        {
            return new Reply(0, [], new Dictionary<string, string>(), $"it {clock.Describe()}{proxy}");
        }
        catch (Exception failure) when (NoAnswer.Is(failure))
        {
            return new Reply(0, [], new Dictionary<string, string>(), $"{NoAnswer.Describe(failure)}{proxy}");
        }
    }

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken stop)
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(context.DnsEndPoint, stop);
            Interlocked.Increment(ref _connections);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
