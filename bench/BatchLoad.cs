using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;

namespace TransparencyLog.Bench;

/// <summary>POST /add-batch as fast as two connections go, every entry another one.</summary>
internal static class BatchLoad
{
    private const int Connections = 2;

    public static async Task<string> MeasureAsync(Uri log, int entries, int bytes, TimeSpan time)
    {
        long start = Stopwatch.GetTimestamp();
        long run = Random.Shared.NextInt64();
        long[] done = await Task.WhenAll(Enumerable.Range(0, Connections).Select(connection => Task.Run(async () =>
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
            while (Stopwatch.GetElapsedTime(start) < time)
            {
                for (int i = 0; i < entries; i++) BinaryPrimitives.WriteInt64BigEndian(body.AsSpan((i * (2 + bytes)) + 10), sent + i);
                using ByteArrayContent content = new(body);
                using HttpResponseMessage answer = await http.PostAsync(new Uri("add-batch", UriKind.Relative), content);
                if (answer.StatusCode != HttpStatusCode.OK) throw new InvalidOperationException($"add-batch: {answer.StatusCode}");
                await answer.Content.CopyToAsync(Stream.Null);
                sent += entries;
            }

            return sent;
        })));
        return FormattableString.Invariant($"{done.Sum() / Stopwatch.GetElapsedTime(start).TotalSeconds:F0}");
    }
}
