namespace TransparencyLog.Client;

/// <summary>
/// Decides how many segments a check requests at the same time. Many requests hide the round-trip time, but they share the connection, and each response has
/// to arrive within the time that the log allows for one. So the check keeps no more bytes in flight than the connection, at its recent rate, delivers in
/// <see cref="LineTime"/>.
/// </summary>
internal sealed class ReadAhead(TimeProvider time)
{
    /// <summary>Most requests in flight. With a round trip of 50 ms they allow about 600 segments, or 160,000 entries, a second.</summary>
    public const int Most = 32;

    /// <summary>
    /// Requests allowed in flight however large the bundles are. Eight of the largest bundles (16 MiB) are 128 MiB, which fill any connection.
    /// </summary>
    private const int MostOfLarge = 8;

    /// <summary>Fewest requests in flight: one whose response arrives, and the next one.</summary>
    private const int Least = 2;

    /// <summary>
    /// Most bytes of bundles in flight, each bundle counted as large as the largest one seen: 32 bundles of 1 MiB. <see cref="MostOfLarge"/> bundles are
    /// allowed in any case. If bundles suddenly grow to the maximum of 16 MiB, <see cref="Most"/> of them can be in flight once.
    /// </summary>
    private const int MostBytes = 32 * 1024 * 1024;

    /// <summary>Far below the 30 s that our servers allow for the smallest of the large responses, because the rate of a connection may drop.</summary>
    private static readonly TimeSpan LineTime = TimeSpan.FromSeconds(8);

    /// <summary>Each time this interval has passed, the bytes and the time counted so far are halved, so that recent ones weigh more.</summary>
    private static readonly TimeSpan Memory = TimeSpan.FromSeconds(5);

    private long _began = time.GetTimestamp();
    private double _bytes;
    private long _largest;

    /// <summary>How many requests may be in flight now.</summary>
    public int Segments
    {
        get
        {
            // No bundle has arrived yet, so neither the size of a bundle nor the rate of the connection is known.
            if (_largest == 0) return Least;
            double seconds = Math.Max(time.GetElapsedTime(_began).TotalSeconds, 0.001);
            double byLine = _bytes / seconds * LineTime.TotalSeconds / _largest;
            long bySize = Math.Clamp(MostBytes / _largest, MostOfLarge, Most);
            return (int)Math.Clamp(byLine, Least, bySize);
        }
    }

    /// <summary>Records a bundle of this many bytes that has arrived.</summary>
    public void Count(int bytes)
    {
        _bytes += bytes;
        _largest = Math.Max(_largest, Math.Max(bytes, 1));
        TimeSpan elapsed = time.GetElapsedTime(_began);
        if (elapsed < Memory) return;
        _bytes /= 2;
        _began += (long)(elapsed.TotalSeconds / 2 * time.TimestampFrequency);
    }
}
