// The client of a witness: one POST of c2sp.org/tlog-witness add-checkpoint. Nothing in the response is trusted before it is verified.
// spec/decisions/witness-client.md lists the deviations of deployed witnesses that are tolerated.

using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using Polly;
using Polly.Timeout;
using TransparencyLog.Outbound;

namespace TransparencyLog.Client;

/// <summary>The kind of a failed request, which decides when to ask again.</summary>
public enum WitnessFailure
{
    /// <summary>No response, no response in time, 5xx, or an invalid response. It may be temporary.</summary>
    Trouble,

    /// <summary>400, 403, 404 and other 4xx, or a redirect. The same request gets the same response until an operator changes something.</summary>
    Refused,

    /// <summary>422: the witness follows another tree of this origin, or does not follow the specification.</summary>
    Inconsistent,

    /// <summary>429: the witness was asked too often.</summary>
    Limited,

    /// <summary>409 with a size that the log has not signed. The response itself proves nothing.</summary>
    Contradicting,
}

/// <summary>The answer of a witness.</summary>
public abstract record WitnessAnswer
{
    private WitnessAnswer()
    {
    }

    /// <summary>
    /// 200: the lines that verify and have the name and key ID of a known key of this witness, and a time near ours. <paramref name="Dropped"/> counts all
    /// others.
    /// </summary>
    public sealed record Cosigned(IReadOnlyList<NoteSignature> Lines, int Dropped) : WitnessAnswer;

    /// <summary>409: the size that the witness cosigned last is <paramref name="Size"/>, not the old size of the request.</summary>
    public sealed record Conflict(long Size) : WitnessAnswer;

    /// <summary>Anything else: a refusal, or an error of the witness or of the network.</summary>
    /// <param name="Reason">The reason in words, for the operator. It contains no text from the witness.</param>
    /// <param name="Kind">Decides when to ask again.</param>
    /// <param name="RetryAfter">
    /// With <see cref="WitnessFailure.Limited"/>: how long the witness asks to be left alone, not negative; null when it does not say.
    /// </param>
    public sealed record Failed(string Reason, WitnessFailure Kind = WitnessFailure.Trouble, TimeSpan? RetryAfter = null) : WitnessAnswer;
}

/// <summary>Limits of the witness client.</summary>
public sealed record WitnessClientOptions
{
    /// <summary>Time limit for one request, from sending it to reading the whole response. Default 2 s; 100 ms to 60 s.</summary>
    public TimeSpan AttemptTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Largest difference between the time of a cosignature and our clock, in either direction. A line with a larger difference is dropped (CO-08). Default one
    /// day: a fresh cosignature is seconds old, but a witness may return an earlier one for the same checkpoint. Times in 1970 or the far future are rejected.
    /// </summary>
    public TimeSpan MaxClockDifference { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Our clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>How connections are made; null for the default.</summary>
    internal ConnectionOptions? Connections { get; init; }
}

/// <summary>
/// The client of one submission prefix, which may answer for several keys of one witness. One call sends one request; <see cref="WitnessFeed"/> decides when
/// to ask again. Thread-safe; its caller keeps to one request at a time. Never follows a redirect, sends no credentials, and reads at most
/// <see cref="AddCheckpointResponse.MaxSize"/> bytes of an answer to add-checkpoint.
/// </summary>
public sealed class WitnessClient : IDisposable
{
    private readonly HttpClient _http;
    private readonly Connections _connections;
    private readonly Uri _addCheckpoint;
    private readonly string _prefix;
    private readonly IReadOnlyList<INoteVerifier> _keys;
    private readonly WitnessClientOptions _options;
    private readonly ResiliencePipeline _limit;

    /// <summary>A client for one submission prefix.</summary>
    /// <param name="submissionPrefix">An absolute http or https URL; <c>/add-checkpoint</c> is appended.</param>
    /// <param name="keys">Verifiers of the cosigner keys expected there, at least one.</param>
    /// <param name="options">Limits.</param>
    public WitnessClient(string submissionPrefix, IReadOnlyList<INoteVerifier> keys, WitnessClientOptions options)
    {
        if (keys.Count == 0) throw new ArgumentException("at least one key", nameof(keys));
        if (!TryGetUri(submissionPrefix, out Uri? uri)) throw new ArgumentException($"{submissionPrefix} is not an http or https URL", nameof(submissionPrefix));
        SubmissionPrefix = submissionPrefix;
        _prefix = submissionPrefix.TrimEnd('/');
        _addCheckpoint = uri;
        _keys = keys;
        _options = options;
        (_http, _connections) = Connections.Open(options.Connections ?? new ConnectionOptions { ConnectTimeout = options.AttemptTimeout, MaxPerServer = 2 });
        _limit = new ResiliencePipelineBuilder { TimeProvider = options.Time }.AddTimeout(options.AttemptTimeout).Build();
    }

    /// <summary>The submission prefix, as the constructor received it.</summary>
    public string SubmissionPrefix { get; }

    /// <summary>The keys whose lines it returns.</summary>
    internal IReadOnlyList<INoteVerifier> Keys => _keys;

    /// <summary>
    /// Asks for cosignatures on a checkpoint. Every returned line was verified against the checkpoint of <paramref name="request"/>. A failure of the witness
    /// or of the network is returned, not thrown; the call throws for cancellation, and when the checkpoint is not a note.
    /// </summary>
    public async Task<WitnessAnswer> AddCheckpointAsync(AddCheckpointRequest request, CancellationToken stop)
    {
        byte[] body = request.ToBytes();
        if (!Note.TryParse(request.Checkpoint.Span, out Note? note)) throw new ArgumentException("the checkpoint is not a note", nameof(request));
        try
        {
            return await _limit.ExecuteAsync(async token => await PostAsync(body, note, token).ConfigureAwait(false), stop).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is TimeoutRejectedException || (failure is OperationCanceledException && !stop.IsCancellationRequested))
        {
            // The second exception comes from the limit of the connection attempt, when that expires first.
            _connections.Drop();
            return new WitnessAnswer.Failed(string.Create(CultureInfo.InvariantCulture, $"no whole answer within {_options.AttemptTimeout.TotalSeconds:0.##} s{Via}"));
        }
        catch (Exception failure) when (NoAnswer.Is(failure))
        {
            // A SocketException is not wrapped when the peer resets the connection while its address is being read.
            _connections.Drop();
            return new WitnessAnswer.Failed($"no answer{Via}: {NoAnswer.Describe(failure)}");
        }
    }

    /// <summary>
    /// Reads the newest checkpoint of a log that the witness shows to monitors, if its monitoring prefix is its submission prefix. Returns at most
    /// <see cref="Note.MaxSize"/> bytes, unverified. Null when the witness shows none, or does not answer in time. Tries once.
    /// </summary>
    public async Task<byte[]?> TryReadCheckpointAsync(string origin, CancellationToken stop)
    {
        using CancellationTokenSource late = new(_options.AttemptTimeout), either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, stop);
        try
        {
            using HttpRequestMessage message = new(HttpMethod.Get, new Uri($"{_prefix}/{Checkpoint.HashOrigin(origin).ToHex()}/checkpoint"));
            using HttpResponseMessage response = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, either.Token).ConfigureAwait(false);
            return response.StatusCode == HttpStatusCode.OK ? await ReadAsync(response.Content, Note.MaxSize, either.Token).ConfigureAwait(false) : null;
        }
        catch (Exception failure) when (NoAnswer.Is(failure) || (failure is OperationCanceledException && !stop.IsCancellationRequested))
        {
            return null;
        }
    }

    /// <summary>Names the proxy, if there is one: the failure may be the proxy's.</summary>
    private string Via => _connections.Proxy.NameFor(_addCheckpoint) is string proxy ? $" through the proxy {proxy}" : "";

    /// <summary>Closes its connections.</summary>
    public void Dispose() => _http.Dispose();

    /// <summary>Whether a submission prefix can be used: an absolute http or https URL without query, fragment or credentials.</summary>
    public static bool TryGetUri(string submissionPrefix, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Uri? addCheckpoint)
    {
        addCheckpoint = null;
        return Uri.TryCreate(submissionPrefix.TrimEnd('/') + "/add-checkpoint", UriKind.Absolute, out Uri? uri)
            && (uri.Scheme == Uri.UriSchemeHttp || uri.Scheme == Uri.UriSchemeHttps)
            && uri.Query.Length == 0 && uri.Fragment.Length == 0 && uri.UserInfo.Length == 0
            && (addCheckpoint = uri) is not null;
    }

    private async Task<WitnessAnswer> PostAsync(byte[] body, Note note, CancellationToken stop)
    {
        using HttpRequestMessage message = new(HttpMethod.Post, _addCheckpoint) { Content = new ByteArrayContent(body) };
        message.Content.Headers.ContentType = new MediaTypeHeaderValue("text/plain") { CharSet = "utf-8" };
        using HttpResponseMessage response = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, stop).ConfigureAwait(false);
        byte[]? answer = await ReadAsync(response.Content, AddCheckpointResponse.MaxSize, stop).ConfigureAwait(false);
        if (answer is null) return new WitnessAnswer.Failed($"{(int)response.StatusCode} with more than {AddCheckpointResponse.MaxSize} bytes");
        return response.StatusCode switch
        {
            HttpStatusCode.OK => Check(answer, note),

            // Some witnesses send an empty 409 to say "same size, other root". It must never be read as size 0.
            HttpStatusCode.Conflict => AddCheckpointResponse.TryParseSize(answer, out long size)
                ? new WitnessAnswer.Conflict(size)
                : new WitnessAnswer.Failed("409 without a tree size in its body"),
            // Deployed witnesses send either of the next two for an origin, or a key, that they do not know.
            HttpStatusCode.NotFound => new WitnessAnswer.Failed("404: the witness does not know this origin", WitnessFailure.Refused),
            HttpStatusCode.Forbidden => new WitnessAnswer.Failed("403: the witness knows no key that signed, or no such log", WitnessFailure.Refused),
            HttpStatusCode.UnprocessableEntity => new WitnessAnswer.Failed("422: the witness does not accept the consistency proof or the root", WitnessFailure.Inconsistent),
            HttpStatusCode.TooManyRequests => new WitnessAnswer.Failed("429: the witness is asked too often", WitnessFailure.Limited, RetryAfter(response)),
            HttpStatusCode.RequestTimeout => new WitnessAnswer.Failed("status 408"),
            HttpStatusCode other => new WitnessAnswer.Failed($"status {(int)other}", (int)other is >= 300 and < 500 ? WitnessFailure.Refused : WitnessFailure.Trouble),
        };
    }

    /// <summary>The Retry-After of a response, never negative; null without one. A date is compared with our clock.</summary>
    private TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        TimeSpan? said = response.Headers.RetryAfter?.Delta ?? response.Headers.RetryAfter?.Date - _options.Time.GetUtcNow();
        return said < TimeSpan.Zero ? TimeSpan.Zero : said;
    }

    private WitnessAnswer Check(byte[] answer, Note note)
    {
        if (!AddCheckpointResponse.TryParse(answer, out IReadOnlyList<NoteSignature> lines)) return new WitnessAnswer.Failed("200 with a body that is not signature lines");
        List<NoteSignature> good = [];
        foreach (NoteSignature line in lines)
        {
            INoteVerifier? key = _keys.FirstOrDefault(key => key.Key.KeyId == line.KeyId && key.Key.Name == line.Name);
            if (key is null || good.Exists(other => other.KeyId == line.KeyId && other.Name == line.Name)) continue;
            if (key.Verify(note.Text.Span, line.Signature.Span) && IsTimely(line)) good.Add(line);
        }

        return good.Count > 0
            ? new WitnessAnswer.Cosigned(good, lines.Count - good.Count)
            : new WitnessAnswer.Failed($"200, but none of its {lines.Count} lines is a valid cosignature of a key we know");
    }

    private bool IsTimely(NoteSignature line)
    {
        double difference = Cosignature.TryReadTimestamp(line.Signature.Span, out ulong timestamp) ? (double)timestamp - _options.Time.GetUtcNow().ToUnixTimeSeconds() : double.MaxValue;
        return Math.Abs(difference) <= _options.MaxClockDifference.TotalSeconds;
    }

    private static async Task<byte[]?> ReadAsync(HttpContent content, int limit, CancellationToken stop)
    {
        using Stream stream = await content.ReadAsStreamAsync(stop).ConfigureAwait(false);
        byte[] buffer = new byte[limit + 1];
        int length = 0;
        while (length < buffer.Length)
        {
            int read = await stream.ReadAsync(buffer.AsMemory(length), stop).ConfigureAwait(false);
            if (read == 0) return buffer[..length];
            length += read;
        }

        return null;
    }
}
