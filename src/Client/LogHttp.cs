// HTTP access to one log: GET and POST below one URL prefix, with bounded size and time. LogReader knows what each path means.

using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Polly;
using Polly.Retry;
using TransparencyLog.Outbound;

namespace TransparencyLog.Client;

/// <summary>
/// One log over HTTP. Never follows a redirect, keeps no cookies, and reads no more of a response than the caller allows. A GET that fails with
/// <see cref="LogFailure.Trouble"/> is repeated once. A POST is never repeated, because the log may have processed the first one.
/// <see cref="AnswerClock"/> sets the time limits: a response that keeps arriving is not cut off.
/// </summary>
internal sealed class LogHttp : IDisposable
{
    /// <summary>Most bytes read of an error's body: a problem+json has a few lines.</summary>
    private const int MaxProblem = 4096;

    private readonly HttpClient _http;
    private readonly Connections _connections;
    private readonly string _prefix;
    private readonly LogReaderOptions _options;
    private readonly ResiliencePipeline<byte[]?> _get;

    public LogHttp(string prefix, LogReaderOptions options)
    {
        if (!TryGetPrefix(prefix, out _prefix)) throw new ArgumentException($"{prefix} is not an http or https URL", nameof(prefix));
        _options = options;

        // SPEC TT-26: gzip may come with no negotiation; it is undone whenever the answer says so.
        ConnectionOptions connections = options.Connections ?? new ConnectionOptions { ConnectTimeout = options.AttemptTimeout };
        (_http, _connections) = Connections.Open(connections with { Decompression = DecompressionMethods.GZip });
        _get = new ResiliencePipelineBuilder<byte[]?>()
            .AddRetry(new RetryStrategyOptions<byte[]?>
            {
                ShouldHandle = new PredicateBuilder<byte[]?>().Handle<LogReaderException>(failure => failure.Kind == LogFailure.Trouble),
                MaxRetryAttempts = 1,
                UseJitter = true,
                Delay = options.RetryDelay,
            })
            .Build();
    }

    /// <summary>The body of a 200; null for 404.</summary>
    public Task<byte[]?> TryGetAsync(string path, int limit, CancellationToken stop) =>
        _get.ExecuteAsync(async attempt => await GetOnceAsync(path, limit, attempt).ConfigureAwait(false), stop).AsTask();

    /// <summary>The body of a 200. A 404 throws <see cref="LogReaderException"/> too.</summary>
    public async Task<byte[]> GetAsync(string path, int limit, CancellationToken stop) =>
        await TryGetAsync(path, limit, stop).ConfigureAwait(false) ?? throw new LogReaderException(LogFailure.Missing, $"{UrlOf(path)} is not there (404)") { Status = 404 };

    /// <summary>Status and body of a 200 or 202.</summary>
    public async Task<(int Status, byte[] Body)> PostAsync(string path, ReadOnlyMemory<byte> body, int limit, CancellationToken stop)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, UrlOf(path)) { Content = new ReadOnlyMemoryContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        return await SendAsync(path, request, _options.AppendTimeout, body.Length, ReadPostAsync, stop).ConfigureAwait(false);

        async Task<(int, byte[])> ReadPostAsync(HttpResponseMessage response, AnswerClock clock)
        {
            if (response.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.Accepted)) throw await FailureAsync(path, response, clock).ConfigureAwait(false);
            return ((int)response.StatusCode, await ReadAsync(path, response, limit, clock).ConfigureAwait(false));
        }
    }

    public string UrlOf(string path) => $"{_prefix}/{path}";

    public void Dispose() => _http.Dispose();

    public static bool TryGetPrefix(string text, out string prefix)
    {
        prefix = text.TrimEnd('/');
        return Uri.TryCreate(prefix, UriKind.Absolute, out Uri? uri)
            && (uri.Scheme == Uri.UriSchemeHttp || uri.Scheme == Uri.UriSchemeHttps)
            && uri.Query.Length == 0 && uri.Fragment.Length == 0 && uri.UserInfo.Length == 0;
    }

    private async Task<byte[]?> GetOnceAsync(string path, int limit, CancellationToken stop)
    {
        using HttpRequestMessage request = new(HttpMethod.Get, UrlOf(path));

        // SPEC TT-27: Accept-Encoding with gzip and identity.
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("gzip"));
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
        return await SendAsync(path, request, _options.AttemptTimeout, 0, ReadGetAsync, stop).ConfigureAwait(false);

        async Task<byte[]?> ReadGetAsync(HttpResponseMessage response, AnswerClock clock)
        {
            if (response.StatusCode == HttpStatusCode.NotFound) return null;
            if (response.StatusCode != HttpStatusCode.OK) throw await FailureAsync(path, response, clock).ConfigureAwait(false);
            return await ReadAsync(path, response, limit, clock).ConfigureAwait(false);
        }
    }

    private async Task<T> SendAsync<T>(string path, HttpRequestMessage request, TimeSpan wait, long sent, Func<HttpResponseMessage, AnswerClock, Task<T>> read, CancellationToken stop)
    {
        using AnswerClock clock = new(new AnswerLimits(wait, _options.MinBytesPerSecond), sent, _options.Time, stop);
        try
        {
            using HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, clock.Token).ConfigureAwait(false);
            return await read(response, clock).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            _connections.Drop();
            throw Trouble($"{clock.Describe()}{Via(request)}");
        }
        catch (InvalidDataException)
        {
            throw Trouble("answered bytes that are not the gzip it calls them");
        }
        catch (Exception failure) when (NoAnswer.Is(failure))
        {
            _connections.Drop();
            throw Trouble(clock.HasBody
                ? $"stopped in the middle of its answer{Via(request)}: {NoAnswer.Describe(failure)} after {clock.Progress()}"
                : $"cannot be reached{Via(request)}: {NoAnswer.Describe(failure)}");
        }

        LogReaderException Trouble(string what) => new(LogFailure.Trouble, $"{UrlOf(path)} {what}");
    }

    /// <summary>Names the proxy, if there is one: the failure may be the proxy's.</summary>
    private string Via(HttpRequestMessage? request) => request?.RequestUri is Uri uri && _connections.Proxy.NameFor(uri) is string proxy ? $" through the proxy {proxy}" : "";

    private async Task<byte[]> ReadAsync(string path, HttpResponseMessage response, int limit, AnswerClock clock)
    {
        (byte[] body, bool isWhole) = await AnswerBody.ReadAsync(response, limit, clock).ConfigureAwait(false);
        if (isWhole) return body;
        throw new LogReaderException(LogFailure.Lie, $"{UrlOf(path)} answered more than the {limit} bytes that are possible there");
    }

    private async Task<LogReaderException> FailureAsync(string path, HttpResponseMessage response, AnswerClock clock)
    {
        int status = (int)response.StatusCode;
        string url = UrlOf(path), via = Via(response.RequestMessage);
        if (status == 404) return new LogReaderException(LogFailure.Missing, $"{url} is not there (404)") { Status = status };

        // A redirect could point into a network that this process can reach and the log cannot.
        if (status is >= 300 and < 400) return new LogReaderException(LogFailure.Trouble, $"{url} answered {status}{via}, a redirect; redirects are not followed") { Status = status };
        (byte[] body, _) = await AnswerBody.ReadAsync(response, MaxProblem, clock).ConfigureAwait(false);
        string said = Problem(response.Content.Headers.ContentType?.MediaType, body);
        string again = response.Headers.RetryAfter?.Delta is TimeSpan delay ? $"; try again in {delay.TotalSeconds.ToString(CultureInfo.InvariantCulture)} s" : "";
        LogFailure kind = status is >= 400 and < 500 and not 407 and not 408 and not 429 ? LogFailure.Refused : LogFailure.Trouble;
        return new LogReaderException(kind, $"{url} answered {status}{via}{said}{again}") { Status = status };
    }

    /// <summary>
    /// The detail or title of a problem+json body, as ": TEXT"; empty when it has neither. The peer wrote the text, so at most one line of 300 printable
    /// ASCII characters is repeated.
    /// </summary>
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
            // The body is not JSON, or a string in it is not valid Unicode (the second exception). Only the status is reported.
        }

        return "";
    }

    private static string OneLine(string text)
    {
        const int Longest = 300; // a sentence or two
        return string.Concat(text.Take(Longest).Select(character => character is >= ' ' and <= '~' ? character : '?'));
    }
}
