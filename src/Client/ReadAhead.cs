namespace TransparencyLog.Client;

/// <summary>
/// How many segments a check asks for at once. Many hide the way there and back; but all of them share the line, and each has to arrive within the time that the log gives one
/// answer. So no more is on its way than the line has lately brought in <see cref="LineTime"/>.
/// </summary>
internal sealed class ReadAhead(TimeProvider time)
{
    /// <summary>Hides the way there and back on a line of 50 ms at 600 segments, 160,000 entries, a second.</summary>
    public const int Most = 32;

    /// <summary>Of the largest bundles, 16 MiB: 128 MiB, which fill any line.</summary>
    private const int MostOfLarge = 8;

    /// <summary>One that arrives and one that is asked for meanwhile.</summary>
    private const int Least = 2;

    /// <summary>
    /// Bytes of bundles that are on their way beyond <see cref="MostOfLarge"/>, going by the largest that was seen: 32 of 1 MiB. A log whose bundles grow from one to the next to
    /// the 16 MiB that are possible can fill <see cref="Most"/> of them once.
    /// </summary>
    private const int MostBytes = 32 * 1024 * 1024;

    /// <summary>Far below the 30 s that our servers give the smallest of large answers, on a line whose rate changes too.</summary>
    private static readonly TimeSpan LineTime = TimeSpan.FromSeconds(8);

    /// <summary>After this time what came before counts half.</summary>
    private static readonly TimeSpan Memory = TimeSpan.FromSeconds(5);

    private long _began = time.GetTimestamp();
    private double _bytes;
    private long _largest;

    /// <summary>How many may be on their way.</summary>
    public int Segments
    {
        get
        {
            // Before it is known how large a bundle is, and how fast the line.
            if (_largest == 0) return Least;
            double seconds = Math.Max(time.GetElapsedTime(_began).TotalSeconds, 0.001);
            double byLine = _bytes / seconds * LineTime.TotalSeconds / _largest;
            long bySize = Math.Clamp(MostBytes / _largest, MostOfLarge, Most);
            return (int)Math.Clamp(byLine, Least, bySize);
        }
    }

    /// <summary>A bundle has come.</summary>
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
