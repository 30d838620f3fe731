using System.Diagnostics;

namespace TransparencyLog.Storage;

/// <summary>Holds one thread to a number of bytes a second: who was early waits, and who was late does not catch up with more than a second's worth.</summary>
internal sealed class Pace(long bytesPerSecond, CancellationToken stop)
{
    private long _next = Stopwatch.GetTimestamp(); // when the bytes counted so far are due

    /// <summary>Counts bytes that were just read, and waits until they were due.</summary>
    public void Count(long bytes)
    {
        long now = Stopwatch.GetTimestamp();
        _next = Math.Max(_next, now - Stopwatch.Frequency) + (long)((double)bytes / bytesPerSecond * Stopwatch.Frequency);
        TimeSpan wait = Stopwatch.GetElapsedTime(now, _next);
        if (wait > TimeSpan.Zero) stop.WaitHandle.WaitOne(wait);
        stop.ThrowIfCancellationRequested();
    }
}
