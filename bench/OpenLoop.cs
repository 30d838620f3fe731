using System.Diagnostics;
using System.Text;

namespace TransparencyLog.Bench;

// Load at a fixed rate. NBomber, which would do this, is not served by the registry that this builds from.

/// <summary>What an open loop has seen. Latencies in milliseconds, from the moment each request was due.</summary>
internal sealed record OpenFigures(double Offered, double Achieved, List<double> Milliseconds)
{
    public double At(double percent) => Percentile.Of(Milliseconds, percent);

    public double Most => At(100);
}

/// <summary>
/// POST /add at a fixed rate, whatever the answers do: a request is due at its time, and its latency counts from then, so a stall of the server (or of this
/// generator) is seen by every request that was due in it (no coordinated omission). What is due while no connection is free waits, and that counts too.
/// </summary>
internal static class OpenLoop
{
    private const int BodyBytes = 128;

    /// <summary>A second of them is dropped from the figures: connections and code are cold.</summary>
    private static readonly TimeSpan Warm = TimeSpan.FromSeconds(1);

    /// <summary>What has not been answered so long after the last was due counts with the time it has waited.</summary>
    private static readonly TimeSpan Drain = TimeSpan.FromSeconds(10);

    public static OpenFigures Measure(Uri server, double rate, TimeSpan time, string query = "")
    {
        using Wire wire = new(server, Math.Clamp((int)(rate / 40), 16, 1024));
        int total = (int)(rate * (time + Warm).TotalSeconds), warm = (int)(rate * Warm.TotalSeconds);
        double[] milliseconds = new double[total];
        int[] carries = new int[wire.Connections]; // the request that is under way on a connection
        Queue<int> free = new(Enumerable.Range(0, wire.Connections));
        byte[] request = Wire.Request(server, "POST", "/add" + query, BodyBytes);
        Span<byte> body = request.AsSpan(^BodyBytes);
        body.Fill((byte)'x');
        Encoding.ASCII.GetBytes(Guid.NewGuid().ToString("N")).CopyTo(body);

        int next = 0, answers = 0, timely = 0;
        long start = Stopwatch.GetTimestamp(), end = start + Ticks(time + Warm), give = end + Ticks(Drain);
        void Take(int connection, int status, ReadOnlySpan<byte> _)
        {
            if (status != 200) throw new InvalidOperationException($"POST /add{query} was answered with {status}");
            long now = Stopwatch.GetTimestamp();
            milliseconds[carries[connection]] = Stopwatch.GetElapsedTime(Due(carries[connection]), now).TotalMilliseconds;
            if (now >= start + Ticks(Warm) && now < end) timely++;
            answers++;
            free.Enqueue(connection);
        }

        long Due(int index) => start + (long)(index * (double)Stopwatch.Frequency / rate);

        while (answers < total && Stopwatch.GetTimestamp() < give)
        {
            while (next < total && free.Count > 0 && Due(next) <= Stopwatch.GetTimestamp())
            {
                int connection = free.Dequeue();
                carries[connection] = next;
                Number(request.AsSpan(^(BodyBytes - 32)), next++);
                wire.Send(connection, request);
            }

            long until = next < total && free.Count > 0 ? Due(next) : give;
            wire.Wait((long)Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), until).TotalNanoseconds, Take);
        }

        for (int i = 0; i < total; i++)
        {
            if (milliseconds[i] == 0) milliseconds[i] = Stopwatch.GetElapsedTime(Due(i)).TotalMilliseconds;
        }

        return new OpenFigures(rate, timely / time.TotalSeconds, [.. milliseconds.AsSpan(warm)]);
    }

    /// <summary>Ten digits, so that no two entries are equal.</summary>
    private static void Number(Span<byte> digits, int number)
    {
        for (int i = 9; i >= 0; i--, number /= 10) digits[i] = (byte)('0' + (number % 10));
    }

    private static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);
}
