using System.Globalization;

namespace TransparencyLog.Cli;

/// <summary>
/// Shows how far a check has come, how fast it is and how long it will take, for people: a line every five seconds, or on a terminal one line that is
/// rewritten twice a second. A check that takes less time than that shows nothing.
/// </summary>
internal sealed class FsckProgress(Surroundings around)
{
    /// <summary>Moves to the beginning of the line and erases the line (ECMA-48, EL).</summary>
    private const string Anew = "\r\e[K";

    private readonly TimeSpan _gap = around.ErrorIsTerminal ? TimeSpan.FromSeconds(0.5) : TimeSpan.FromSeconds(5);
    private long _lastTime = around.Time.GetTimestamp();
    private long _lastDone;
    private bool _written;

    /// <summary>Reports how many entries of how many were checked. One call at a time.</summary>
    public void Tell(long done, long total)
    {
        long now = around.Time.GetTimestamp();
        TimeSpan since = around.Time.GetElapsedTime(_lastTime, now);
        if (since < _gap) return;

        // The rate of the last seconds: the beginning of a check (reading from the disk) may have run at another rate.
        double rate = (done - _lastDone) / since.TotalSeconds;
        (_lastTime, _lastDone) = (now, done);
        string left = rate > 0 ? $"{Time(TimeSpan.FromSeconds(Math.Min(Math.Max(0, total - done) / rate, TimeSpan.FromDays(365).TotalSeconds)))} left" : "no end in sight";
        string line = string.Create(CultureInfo.InvariantCulture, $"tlog: {done:N0} of {total:N0} entries, {100.0 * done / Math.Max(total, 1):F0} %, {rate:N0} entries/s, {left}");
        if (around.ErrorIsTerminal) around.Error.Write(Anew + line);
        else around.Error.WriteLine(line);
        around.Error.Flush();
        _written = true;
    }

    /// <summary>Returns the result of a check. Erases the progress line on a terminal, also when the check fails.</summary>
    public async Task<T> EndAsync<T>(Task<T> check)
    {
        try
        {
            return await check;
        }
        finally
        {
            if (_written && around.ErrorIsTerminal)
            {
                await around.Error.WriteAsync(Anew);
                await around.Error.FlushAsync(CancellationToken.None);
            }
        }
    }

    private static string Time(TimeSpan time) => time switch
    {
        { TotalHours: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours} h {time.Minutes} min"),
        { TotalMinutes: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.Minutes} min {time.Seconds} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(time.TotalSeconds):F0} s"),
    };
}
