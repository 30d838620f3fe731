using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;

namespace TransparencyLog.Bench;

/// <summary>POST /add-batch as fast as two connections go, every entry another one.</summary>
internal static class BatchLoad
{
    private const int Connections = 2;

    /// <summary>Entries a second, over a time.</summary>
    public static async Task<double> MeasureAsync(Uri log, int entries, int bytes, TimeSpan time)
    {
        long start = Stopwatch.GetTimestamp();
        long done = await RunAsync(log, entries, bytes, _ => Stopwatch.GetElapsedTime(start) < time);
        return done / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Appends exactly so many entries, in the largest batches. Returns entries a second.</summary>
    public static async Task<double> FillAsync(Uri log, long count, int bytes, Action<long>? progress = null)
    {
        int batch = (int)Math.Min(2 * 1024 * 1024 / (2 + bytes), count);
        long start = Stopwatch.GetTimestamp();
        long whole = count / batch * batch, taken = 0;
        await RunAsync(log, batch, bytes, sent =>
        {
            progress?.Invoke(sent);
            return Interlocked.Add(ref taken, batch) <= whole;
        });
        if (count > whole)
        {
            taken = 0;
            await RunAsync(log, (int)(count - whole), bytes, _ => Interlocked.Increment(ref taken) == 1);
        }

        return count / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static async Task<long> RunAsync(Uri log, int entries, int bytes, Func<long, bool> another)
    {
        if (bytes < 16) throw new ArgumentOutOfRangeException(nameof(bytes), "an entry has at least 16 bytes, to be another one");
        long run = Random.Shared.NextInt64(), total = 0;
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(connection => Task.Run(async () =>
        {
            using HttpClient http = new() { BaseAddress = log };
            byte[] body = new byte[entries * (2 + bytes)];
            for (int i = 0; i < entries; i++)
            {
                Span<byte> entry = body.AsSpan(i * (2 + bytes));
                BinaryPrimitives.WriteUInt16BigEndian(entry, (ushort)bytes);
                BinaryPrimitives.WriteInt64BigEndian(entry[2..], run + connection);
            }

            long sent = 0;
            while (another(Interlocked.Read(ref total)))
            {
                for (int i = 0; i < entries; i++) BinaryPrimitives.WriteInt64BigEndian(body.AsSpan((i * (2 + bytes)) + 10), sent + i);
                using ByteArrayContent content = new(body);
                using HttpResponseMessage answer = await http.PostAsync(new Uri("add-batch", UriKind.Relative), content);
                if (answer.StatusCode != HttpStatusCode.OK) throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"add-batch: {(int)answer.StatusCode}"));
                await answer.Content.CopyToAsync(Stream.Null);
                sent += entries;
                Interlocked.Add(ref total, entries);
            }
        })));
        return total;
    }
}
