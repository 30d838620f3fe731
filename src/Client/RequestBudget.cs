namespace TransparencyLog.Client;

/// <summary>
/// Limits how often one witness is asked: a number of requests a day, evenly spaced, and a burst that refills at the same rate. A request beyond the limit is
/// charged too, and makes the next wait longer. Thread-safe.
/// </summary>
internal sealed class RequestBudget(int perDay, int burst, TimeProvider time)
{
    private readonly long _interval = (long)(TimeSpan.FromDays(1).TotalSeconds / perDay * time.TimestampFrequency);
    private long _full = time.GetTimestamp(); // when the whole burst is available again; past when it already is

    /// <summary>Time until the next request is allowed; zero or less when it is allowed now.</summary>
    public TimeSpan Wait
    {
        get
        {
            double ahead = Volatile.Read(ref _full) - time.GetTimestamp() - ((burst - 1.0) * _interval);
            return TimeSpan.FromSeconds(ahead / time.TimestampFrequency);
        }
    }

    /// <summary>Waits until a request is allowed. Does not charge it.</summary>
    public async Task WaitAsync(CancellationToken stop)
    {
        for (TimeSpan wait = Wait; wait > TimeSpan.Zero; wait = Wait)
        {
            // Timers have millisecond resolution and may fire early, so round up and check again.
            await Task.Delay(TimeSpan.FromMilliseconds(Math.Ceiling(wait.TotalMilliseconds)), time, stop).ConfigureAwait(false);
        }
    }

    /// <summary>Charges a request that is sent now, whether or not it is allowed. One caller at a time.</summary>
    public void Charge() => Volatile.Write(ref _full, Math.Max(Volatile.Read(ref _full), time.GetTimestamp()) + _interval);
}
