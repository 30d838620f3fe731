using System.Diagnostics;

namespace TransparencyLog.Storage;

/// <summary>
/// Limits one thread to a number of bytes per second. A thread that is early waits; one that is late may catch up by at most one second's worth of bytes.
/// </summary>
internal sealed class Pace(long bytesPerSecond, CancellationToken stop)
{
    private long _next = Stopwatch.GetTimestamp(); // when the bytes counted so far are due

    /// <summary>Counts bytes that were just read, and waits until they are due.</summary>
    public void Count(long bytes)
    {
        long now = Stopwatch.GetTimestamp();
        _next = Math.Max(_next, now - Stopwatch.Frequency) + (long)((double)bytes / bytesPerSecond * Stopwatch.Frequency);
        TimeSpan wait = Stopwatch.GetElapsedTime(now, _next);
        if (wait > TimeSpan.Zero) stop.WaitHandle.WaitOne(wait);
        stop.ThrowIfCancellationRequested();
    }
}
