// The client of a witness: one POST of c2sp.org/tlog-witness add-checkpoint, its answer read with suspicion.
// Where deployed witnesses differ from the text, the differences are tolerated as spec/decisions/witness-client.md lists them.

using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using Polly;
using Polly.Timeout;
using TransparencyLog.Outbound;

namespace TransparencyLog.Client;

/// <summary>What kind of failure an answer is, and so when it makes sense to ask again.</summary>
public enum WitnessFailure
{
    /// <summary>No answer, none in time, 5xx, or one that says nothing true: it may pass.</summary>
    Trouble,

    /// <summary>400, 403, 404 and other 4xx, or a redirect: the same request gets the same answer until an operator has changed something.</summary>
    Refused,

    /// <summary>422: the witness has another tree of this origin in mind, or does not follow the specification.</summary>
    Inconsistent,

    /// <summary>429: it is asked too often.</summary>
    Limited,

    /// <summary>409 with a size that the log has not signed, and nothing that proves it.</summary>
    Contradicting,
}

/// <summary>What a witness answered.</summary>
public abstract record WitnessAnswer
{
    private WitnessAnswer()
    {
    }

    /// <summary>200: the lines whose name and key ID are those of a known key of this witness and that verify. All others were dropped.</summary>
    public sealed record Cosigned(IReadOnlyList<NoteSignature> Lines, int Dropped) : WitnessAnswer;

    /// <summary>409: the witness has last cosigned <paramref name="Size"/>, not the old size of the request.</summary>
    public sealed record Conflict(long Size) : WitnessAnswer;

    /// <summary>Anything else: an error of the witness, of the way to it, or a refusal.</summary>
    /// <param name="Reason">In words for the operator; nothing in it was written by the witness.</param>
    /// <param name="Kind">What to do about it.</param>
    /// <param name="RetryAfter">With <see cref="WitnessFailure.Limited"/>: how long the witness asks to be left alone, not negative; null when it does not say.</param>
    public sealed record Failed(string Reason, WitnessFailure Kind = WitnessFailure.Trouble, TimeSpan? RetryAfter = null) : WitnessAnswer;
}

/// <summary>Limits of the witness client.</summary>
public sealed record WitnessClientOptions
{
    /// <summary>Time for one request, answer read. Default 2 s; 100 ms to 60 s.</summary>
    public TimeSpan AttemptTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How far the time of a cosignature may be from ours, before or behind; a line beyond it is dropped (CO-08). A fresh one is seconds old; a day
    /// lets a witness answer with one it made for the same checkpoint earlier, and drops 1970 and the far future.
    /// </summary>
    public TimeSpan MaxClockDifference { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Our clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>How connections are made; null for the usual way.</summary>
    internal ConnectionOptions? Connections { get; init; }
}

/// <summary>
/// Talks to one submission prefix, which may answer for several keys of one witness: one request, one answer; when to ask again is the business of
/// <see cref="WitnessFeed"/>. Thread-safe; its caller keeps to one request at a time. Never follows a redirect, sends no credentials, reads at most <see cref="AddCheckpointResponse.MaxSize"/> bytes of an answer.
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

    /// <summary>Where it sends.</summary>
    public string SubmissionPrefix { get; }

    /// <summary>The keys whose lines it returns.</summary>
    internal IReadOnlyList<INoteVerifier> Keys => _keys;

    /// <summary>
    /// Asks for cosignatures on a checkpoint. Every line that is returned was verified against <paramref name="request"/>'s checkpoint.
    /// Never throws for what a witness or the network does; only for cancellation.
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
            // The second is the limit of the connection attempt, when it runs out first.
            _connections.Drop();
            return new WitnessAnswer.Failed(string.Create(CultureInfo.InvariantCulture, $"no whole answer within {_options.AttemptTimeout.TotalSeconds:0.##} s{Via}"));
        }
        catch (Exception failure) when (NoAnswer.Is(failure))
        {
            // A SocketException comes as such where the peer resets the connection while its address is being asked for.
            _connections.Drop();
            return new WitnessAnswer.Failed($"no answer{Via}: {NoAnswer.Describe(failure)}");
        }
    }

    /// <summary>
    /// The newest checkpoint of a log that the witness shows to monitors, where its monitoring prefix is its submission prefix; at most <see cref="Note.MaxSize"/> bytes, nothing
    /// about them verified. Null when it is not there, or nothing came in time: it is tried once.
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

    /// <summary>Names the proxy, whose trouble it may be.</summary>
    private string Via => _connections.Proxy.NameFor(_addCheckpoint) is string proxy ? $" through the proxy {proxy}" : "";

    /// <summary>Closes its connections.</summary>
    public void Dispose() => _http.Dispose();

    /// <summary>Whether a submission prefix of a policy can be used.</summary>
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

            // An empty 409 is how some witnesses say "same size, other root": never to be read as size 0.
            HttpStatusCode.Conflict => AddCheckpointResponse.TryParseSize(answer, out long size)
                ? new WitnessAnswer.Conflict(size)
                : new WitnessAnswer.Failed("409 without a tree size in its body"),
            // Deployed witnesses say either for an origin, or a key, that they do not know.
            HttpStatusCode.NotFound => new WitnessAnswer.Failed("404: the witness does not know this origin", WitnessFailure.Refused),
            HttpStatusCode.Forbidden => new WitnessAnswer.Failed("403: the witness knows no key that signed, or no such log", WitnessFailure.Refused),
            HttpStatusCode.UnprocessableEntity => new WitnessAnswer.Failed("422: the witness does not accept the consistency proof or the root", WitnessFailure.Inconsistent),
            HttpStatusCode.TooManyRequests => new WitnessAnswer.Failed("429: the witness is asked too often", WitnessFailure.Limited, RetryAfter(response)),
            HttpStatusCode.RequestTimeout => new WitnessAnswer.Failed("status 408"),
            HttpStatusCode other => new WitnessAnswer.Failed($"status {(int)other}", (int)other is >= 300 and < 500 ? WitnessFailure.Refused : WitnessFailure.Trouble),
        };
    }

    /// <summary>Seconds, or a date, which counts from our clock.</summary>
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
