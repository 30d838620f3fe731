using System.Diagnostics;
using System.Net;
using System.Text;

namespace TransparencyLog.Bench;

/// <summary>
/// POST /add at a fixed rate, whatever the answers do: a request is due at its time, and its latency counts from then, so a stall of the server is seen by
/// every request that was due in it (no coordinated omission).
/// </summary>
internal static class OpenLoop
{
    /// <summary>A second of them is dropped from the figures: connections and code are cold.</summary>
    private static readonly TimeSpan Warm = TimeSpan.FromSeconds(1);

    public static async Task<string> MeasureAsync(Uri add, int rate, TimeSpan time)
    {
        using HttpClient http = new(new SocketsHttpHandler { MaxConnectionsPerServer = 512 });
        string run = Guid.NewGuid().ToString("N");
        long start = Stopwatch.GetTimestamp();
        List<Task<double>> answers = [];
        for (int i = 0; i < rate * (time + Warm).TotalSeconds; i++)
        {
            TimeSpan due = TimeSpan.FromSeconds((double)i / rate);
            while (Stopwatch.GetElapsedTime(start) is TimeSpan now && now < due)
            {
                if (due - now > TimeSpan.FromMilliseconds(1.5)) await Task.Delay(1);
                else await Task.Yield();
            }

            answers.Add(Task.Run(() => SendAsync(http, add, $"{run} {i} {new string('x', 80)}", start, due)));
        }

        double[] all = await Task.WhenAll(answers);
        List<double> milliseconds = [.. all.Skip((int)(rate * Warm.TotalSeconds))];
        return FormattableString.Invariant(
            $"{milliseconds.Count} {Percentile.Of(milliseconds, 50):F2} {Percentile.Of(milliseconds, 90):F2} {Percentile.Of(milliseconds, 99):F2} {Percentile.Of(milliseconds, 99.9):F2} {milliseconds.Max():F2}");
    }

    private static async Task<double> SendAsync(HttpClient http, Uri add, string entry, long start, TimeSpan due)
    {
        using ByteArrayContent content = new(Encoding.ASCII.GetBytes(entry));
        using HttpResponseMessage answer = await http.PostAsync(add, content);
        if (answer.StatusCode != HttpStatusCode.OK) throw new InvalidOperationException($"add: {answer.StatusCode}");
        await answer.Content.CopyToAsync(Stream.Null);
        return (Stopwatch.GetElapsedTime(start) - due).TotalMilliseconds;
    }
}
