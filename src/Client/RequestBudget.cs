namespace TransparencyLog.Client;

/// <summary>
/// How often one witness may be asked: so many requests a day, evenly, and a burst that fills again in the same measure. What goes beyond it is owed: the next
/// wait is longer. Thread-safe.
/// </summary>
internal sealed class RequestBudget(int perDay, int burst, TimeProvider time)
{
    private readonly long _interval = (long)(TimeSpan.FromDays(1).TotalSeconds / perDay * time.TimestampFrequency);
    private long _full = time.GetTimestamp(); // when the burst is whole again; not long before now

    /// <summary>Time until the next request may go; zero or less when one may go now.</summary>
    public TimeSpan Wait
    {
        get
        {
            double ahead = Volatile.Read(ref _full) - time.GetTimestamp() - ((burst - 1.0) * _interval);
            return TimeSpan.FromSeconds(ahead / time.TimestampFrequency);
        }
    }

    /// <summary>Waits until a request may go.</summary>
    public async Task WaitAsync(CancellationToken stop)
    {
        for (TimeSpan wait = Wait; wait > TimeSpan.Zero; wait = Wait)
        {
            // Timers count whole milliseconds, and end early rather than late.
            await Task.Delay(TimeSpan.FromMilliseconds(Math.Ceiling(wait.TotalMilliseconds)), time, stop).ConfigureAwait(false);
        }
    }

    /// <summary>A request goes now, whether it may or not. One caller at a time.</summary>
    public void Charge() => Volatile.Write(ref _full, Math.Max(Volatile.Read(ref _full), time.GetTimestamp()) + _interval);
}
