using System.Globalization;

namespace TransparencyLog.Outbound;

/// <summary>How long an exchange may take, in proportion to what is sent.</summary>
/// <param name="Wait">Longest wait for an answer to begin, and then for the next bytes of it.</param>
/// <param name="BytesPerSecond">The rate below which bodies may not fall on the whole, after <paramref name="Wait"/>.</param>
internal readonly record struct AnswerLimits(TimeSpan Wait, int BytesPerSecond)
{
    /// <summary>
    /// 128 kbit/s, a quarter of what our servers ask of a reader: over a slower line the server gives up first. The largest answer, a bundle of 16 MiB, may take 18 minutes.
    /// </summary>
    public const int DefaultBytesPerSecond = 16 * 1024;

    /// <summary>Time in which so many bytes have to be sent or to come.</summary>
    public TimeSpan For(long bytes) => Wait + TimeSpan.FromSeconds((double)bytes / BytesPerSecond);
}

/// <summary>
/// Ends a request whose answer does not begin, stalls, or is slower on the whole than the rate. A large answer over a slow line keeps coming, and is not cut. One request, one
/// thread at a time.
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
    /// <param name="sent">Bytes of the request's body.</param>
    /// <param name="time">The clock.</param>
    /// <param name="stop">The caller's end of it.</param>
    public AnswerClock(AnswerLimits limits, long sent, TimeProvider time, CancellationToken stop)
    {
        (_limits, _time, _stop) = (limits, time, stop);
        _limit = limits.For(sent);
        _late = new CancellationTokenSource(_limit, time);
        _either = CancellationTokenSource.CreateLinkedTokenSource(_late.Token, stop);
    }

    /// <summary>For the calls of this request.</summary>
    public CancellationToken Token => _either.Token;

    /// <summary>Whether the head of the answer has come.</summary>
    public bool HasBody { get; private set; }

    /// <summary>Bytes of the answer's body that have come.</summary>
    public long Received { get; private set; }

    /// <summary>Bytes of the answer's body as its head states them; null when it does not.</summary>
    public long? Expected { get; private set; }

    /// <summary>Whether the time is over, and not the caller's patience.</summary>
    public bool IsOver => _late.IsCancellationRequested && !_stop.IsCancellationRequested;

    /// <summary>The head of the answer has come.</summary>
    public void BeginBody(long? expected)
    {
        (Expected, HasBody, _began) = (expected, true, _time.GetTimestamp());
        Restart();
    }

    /// <summary>More of the body has come.</summary>
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

    /// <summary>What happened, once <see cref="IsOver"/>: "gave no answer within 30 s".</summary>
    public string Describe()
    {
        if (!HasBody) return $"gave no answer within {Seconds(_limit)}";
        TimeSpan silent = _time.GetElapsedTime(_newest);
        return silent > _limits.Wait / 2
            ? $"stopped in the middle of its answer: nothing came for {Seconds(silent)} after {Progress()}"
            : $"answers too slowly: {Progress()} in {Seconds(_time.GetElapsedTime(_began))}";
    }

    /// <summary>How far the body has come: "5 of 10 bytes".</summary>
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
