using System.Globalization;

namespace TransparencyLog.Outbound;

/// <summary>How long an exchange may take, in proportion to the bytes that are transferred.</summary>
/// <param name="Wait">Longest wait for the response to begin, and then for its next bytes.</param>
/// <param name="BytesPerSecond">Lowest average rate of a body. It is required from the end of <paramref name="Wait"/> on.</param>
internal readonly record struct AnswerLimits(TimeSpan Wait, int BytesPerSecond)
{
    /// <summary>
    /// 128 kbit/s, a quarter of the rate that our servers require of a client that reads a response. Over a slower line, the server gives up first.
    /// The largest response, a bundle of 16 MiB, may take 18 minutes.
    /// </summary>
    public const int DefaultBytesPerSecond = 16 * 1024;

    /// <summary>The time within which this many bytes must be sent or received.</summary>
    public TimeSpan For(long bytes) => Wait + TimeSpan.FromSeconds((double)bytes / BytesPerSecond);
}

/// <summary>
/// Cancels a request whose response does not begin, stalls, or is slower on average than the rate. A large response over a slow line is not
/// cancelled while it keeps that rate. For one request, and one thread at a time.
/// </summary>
internal sealed class AnswerClock : IDisposable
{
    private readonly AnswerLimits _limits;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _late, _either;
    private readonly CancellationToken _stop;
    private readonly TimeSpan _limit; // for the answer to begin
    private long _began, _newest; // when the body began, and when its last bytes came

    /// <param name="limits">The limits.</param>
    /// <param name="sent">Size of the request body in bytes.</param>
    /// <param name="time">The clock.</param>
    /// <param name="stop">Cancelled when the caller gives up.</param>
    public AnswerClock(AnswerLimits limits, long sent, TimeProvider time, CancellationToken stop)
    {
        (_limits, _time, _stop) = (limits, time, stop);
        _limit = limits.For(sent);
        _late = new CancellationTokenSource(_limit, time);
        _either = CancellationTokenSource.CreateLinkedTokenSource(_late.Token, stop);
    }

    /// <summary>The token for all calls of this request: cancelled by a limit or by the caller.</summary>
    public CancellationToken Token => _either.Token;

    /// <summary>Whether the head of the response has arrived.</summary>
    public bool HasBody { get; private set; }

    /// <summary>Bytes of the response body that have arrived.</summary>
    public long Received { get; private set; }

    /// <summary>Size of the response body in bytes as its head states it; null if it does not.</summary>
    public long? Expected { get; private set; }

    /// <summary>Whether a limit has cancelled the request, and not the caller.</summary>
    public bool IsOver => _late.IsCancellationRequested && !_stop.IsCancellationRequested;

    /// <summary>Call this when the head of the response has arrived.</summary>
    public void BeginBody(long? expected)
    {
        (Expected, HasBody, _began) = (expected, true, _time.GetTimestamp());
        Restart();
    }

    /// <summary>Call this when more bytes of the body have arrived.</summary>
    public void Count(int bytes)
    {
        Received += bytes;
        Restart();
    }

    public void Dispose()
    {
        _either.Dispose();
        _late.Dispose();
    }

    /// <summary>Describes what happened, once <see cref="IsOver"/> is true: "gave no answer within 30 s".</summary>
    public string Describe()
    {
        if (!HasBody) return $"gave no answer within {Seconds(_limit)}";
        TimeSpan silent = _time.GetElapsedTime(_newest);
        return silent > _limits.Wait / 2
            ? $"stopped in the middle of its answer: nothing came for {Seconds(silent)} after {Progress()}"
            : $"answers too slowly: {Progress()} in {Seconds(_time.GetElapsedTime(_began))}";
    }

    /// <summary>How much of the body has arrived: "5 of 10 bytes".</summary>
    public string Progress() => Expected is long all
        ? string.Create(CultureInfo.InvariantCulture, $"{Received} of {all} bytes")
        : string.Create(CultureInfo.InvariantCulture, $"{Received} bytes");

    private static string Seconds(TimeSpan time) => $"{time.TotalSeconds.ToString(time < TimeSpan.FromSeconds(10) ? "0.##" : "0", CultureInfo.InvariantCulture)} s";

    private void Restart()
    {
        _newest = _time.GetTimestamp();
        TimeSpan left = _limits.For(Received) - _time.GetElapsedTime(_began);
        if (left > _limits.Wait) left = _limits.Wait;
        if (!_late.IsCancellationRequested) _late.CancelAfter(left > TimeSpan.Zero ? left : TimeSpan.Zero);
    }
}
