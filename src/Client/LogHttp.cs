// The way to a log: GET and POST below one URL prefix, with everything bounded. What a path means is LogReader's business.

using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using Polly;
using Polly.Retry;
using Polly.Timeout;

namespace TransparencyLog.Client;

/// <summary>
/// One log over HTTP. Never follows a redirect, keeps no cookies, reads no more of an answer than the caller allows. A GET that fails in
/// transit is repeated once; a POST never is, since nobody knows what became of the first.
/// </summary>
internal sealed class LogHttp : IDisposable
{
    /// <summary>Most of an error's body that is looked at: a problem+json of a few lines.</summary>
    private const int MaxProblem = 4096;

    private readonly HttpClient _http;
    private readonly string _prefix;
    private readonly LogReaderOptions _options;
    private readonly ResiliencePipeline<byte[]?> _get;
    private readonly ResiliencePipeline<(int, byte[])> _post;

    public LogHttp(string prefix, LogReaderOptions options)
    {
        if (!TryGetPrefix(prefix, out _prefix)) throw new ArgumentException($"{prefix} is not an http or https URL", nameof(prefix));
        _options = options;
        _http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            ConnectTimeout = options.AttemptTimeout,
            MaxResponseHeadersLength = 16, // KiB

            // SPEC TT-26: gzip may come with no negotiation; it is taken whenever the answer says so.
            AutomaticDecompression = DecompressionMethods.GZip,
        })
        {
            Timeout = Timeout.InfiniteTimeSpan, // the pipelines' limits count
        };
        _get = new ResiliencePipelineBuilder<byte[]?>()
            .AddRetry(new RetryStrategyOptions<byte[]?>
            {
                ShouldHandle = new PredicateBuilder<byte[]?>().Handle<HttpRequestException>().Handle<IOException>().Handle<SocketException>().Handle<TimeoutRejectedException>()
                    .Handle<LogReaderException>(failure => failure.Kind == LogFailure.Trouble),
                MaxRetryAttempts = 1,
                UseJitter = true,
                Delay = options.RetryDelay,
            })
            .AddTimeout(options.AttemptTimeout)
            .Build();
        _post = new ResiliencePipelineBuilder<(int, byte[])>().AddTimeout(options.AppendTimeout).Build();
    }

    /// <summary>The body of a 200; null for 404.</summary>
    public Task<byte[]?> TryGetAsync(string path, int limit, CancellationToken stop) =>
        RunAsync(path, _options.AttemptTimeout, token => _get.ExecuteAsync(async attempt => await GetOnceAsync(path, limit, attempt).ConfigureAwait(false), token), stop);

    /// <summary>The body of a 200. 404 is a failure too.</summary>
    public async Task<byte[]> GetAsync(string path, int limit, CancellationToken stop) =>
        await TryGetAsync(path, limit, stop).ConfigureAwait(false) ?? throw new LogReaderException(LogFailure.Missing, $"{UrlOf(path)} is not there (404)");

    /// <summary>Status and body of a 200 or 202.</summary>
    public Task<(int Status, byte[] Body)> PostAsync(string path, ReadOnlyMemory<byte> body, int limit, CancellationToken stop) =>
        RunAsync(path, _options.AppendTimeout, token => _post.ExecuteAsync(async attempt => await PostOnceAsync(path, body, limit, attempt).ConfigureAwait(false), token), stop);

    public string UrlOf(string path) => $"{_prefix}/{path}";

    public void Dispose() => _http.Dispose();

    public static bool TryGetPrefix(string text, out string prefix)
    {
        prefix = text.TrimEnd('/');
        return Uri.TryCreate(prefix, UriKind.Absolute, out Uri? uri)
            && (uri.Scheme == Uri.UriSchemeHttp || uri.Scheme == Uri.UriSchemeHttps)
            && uri.Query.Length == 0 && uri.Fragment.Length == 0 && uri.UserInfo.Length == 0;
    }

    private async Task<T> RunAsync<T>(string path, TimeSpan limit, Func<CancellationToken, ValueTask<T>> run, CancellationToken stop)
    {
        try
        {
            return await run(stop).ConfigureAwait(false);
        }
        catch (TimeoutRejectedException)
        {
            throw new LogReaderException(LogFailure.Trouble, $"{UrlOf(path)} gave no answer within {limit.TotalSeconds.ToString(CultureInfo.InvariantCulture)} s");
        }
        catch (InvalidDataException)
        {
            throw new LogReaderException(LogFailure.Trouble, $"{UrlOf(path)} answered bytes that are not the gzip it calls them");
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException or SocketException)
        {
            throw new LogReaderException(LogFailure.Trouble, $"{UrlOf(path)} cannot be reached: {OneLine(failure.InnerException?.Message ?? failure.Message)}");
        }
    }

    private async Task<byte[]?> GetOnceAsync(string path, int limit, CancellationToken stop)
    {
        using HttpRequestMessage request = new(HttpMethod.Get, UrlOf(path));

        // SPEC TT-27: Accept-Encoding with gzip and identity.
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("gzip"));
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
        using HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.NotFound) return null;
        if (response.StatusCode != HttpStatusCode.OK) throw await FailureAsync(path, response, stop).ConfigureAwait(false);
        return await ReadAsync(path, response.Content, limit, stop).ConfigureAwait(false);
    }

    private async Task<(int, byte[])> PostOnceAsync(string path, ReadOnlyMemory<byte> body, int limit, CancellationToken stop)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, UrlOf(path)) { Content = new ReadOnlyMemoryContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        using HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop).ConfigureAwait(false);
        if (response.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.Accepted)) throw await FailureAsync(path, response, stop).ConfigureAwait(false);
        return ((int)response.StatusCode, await ReadAsync(path, response.Content, limit, stop).ConfigureAwait(false));
    }

    private async Task<byte[]> ReadAsync(string path, HttpContent content, int limit, CancellationToken stop)
    {
        (byte[] body, bool whole) = await ReadUpToAsync(content, limit, stop).ConfigureAwait(false);
        if (whole) return body;
        throw new LogReaderException(LogFailure.Lie, $"{UrlOf(path)} answered more than the {limit} bytes that are possible there");
    }

    private static async Task<(byte[] Body, bool Whole)> ReadUpToAsync(HttpContent content, int limit, CancellationToken stop)
    {
        // Compressed or not, what is counted is what comes out: a small answer cannot become a large one.
        using Stream stream = await content.ReadAsStreamAsync(stop).ConfigureAwait(false);
        byte[] buffer = new byte[Math.Min(limit + 1, 16 * 1024)];
        int length = 0;
        while (true)
        {
            int read = await stream.ReadAsync(buffer.AsMemory(length), stop).ConfigureAwait(false);
            if (read == 0) return (buffer[..length], true);
            length += read;
            if (length > limit) return (buffer[..limit], false);
            if (length == buffer.Length) Array.Resize(ref buffer, (int)Math.Min(limit + 1L, buffer.Length * 2L));
        }
    }

    private async Task<LogReaderException> FailureAsync(string path, HttpResponseMessage response, CancellationToken stop)
    {
        int status = (int)response.StatusCode;
        string url = UrlOf(path);
        if (status == 404) return new LogReaderException(LogFailure.Missing, $"{url} is not there (404)");

        // A redirect could lead into networks that the log cannot reach and we can.
        if (status is >= 300 and < 400) return new LogReaderException(LogFailure.Trouble, $"{url} answered {status}, a redirect; redirects are not followed");
        (byte[] body, _) = await ReadUpToAsync(response.Content, MaxProblem, stop).ConfigureAwait(false);
        string said = Problem(response.Content.Headers.ContentType?.MediaType, body);
        string again = response.Headers.RetryAfter?.Delta is TimeSpan delay ? $"; try again in {delay.TotalSeconds.ToString(CultureInfo.InvariantCulture)} s" : "";
        LogFailure kind = status is >= 400 and < 500 and not 408 and not 429 ? LogFailure.Refused : LogFailure.Trouble;
        return new LogReaderException(kind, $"{url} answered {status}{said}{again}");
    }

    /// <summary>What a problem+json says of itself. It was written by a stranger: printable ASCII and a line of it at most.</summary>
    private static string Problem(string? mediaType, byte[] body)
    {
        if (mediaType is not ("application/problem+json" or "application/json")) return "";
        try
        {
            using JsonDocument problem = JsonDocument.Parse(body);
            if (problem.RootElement.ValueKind != JsonValueKind.Object) return "";
            foreach (string name in (string[])["detail", "title"])
            {
                if (problem.RootElement.TryGetProperty(name, out JsonElement text) && text.ValueKind == JsonValueKind.String) return ": " + OneLine(text.GetString()!);
            }
        }
        catch (Exception unreadable) when (unreadable is JsonException or InvalidOperationException)
        {
            // Not what its type says, or a text that is no Unicode, for which the reader has the second; the status alone is reported.
        }

        return "";
    }

    private static string OneLine(string text)
    {
        const int Longest = 300; // a sentence or two
        return string.Concat(text.Take(Longest).Select(character => character is >= ' ' and <= '~' ? character : '?'));
    }
}
