using System.Buffers.Binary;
using System.Globalization;
using System.Net;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Tests that compare times: each runs alone, behind all others.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>Opening costs the same at any size.</summary>
[Collection(Alone.Name)]
public sealed class ScaleTests
{
    [Fact]
    public async Task A_log_of_five_million_entries_opens_like_one_of_one_million()
    {
        using Scratch scratch = new();
        await Programs.CreateLogAsync(scratch["log"]);
        await FillAsync(scratch["log"], 0, 1_000_000);
        (double seconds, long kilobytes) small = await OpenAsync(scratch["log"], 1_000_000);
        await FillAsync(scratch["log"], 1_000_000, 5_000_000);
        (double seconds, long kilobytes) large = await OpenAsync(scratch["log"], 5_000_000);
        Assert.True(large.kilobytes - small.kilobytes < 30 * 1024, $"{small.kilobytes} kB and {large.kilobytes} kB");
        Assert.True(large.seconds - small.seconds < 0.5, $"{small.seconds:F2} s and {large.seconds:F2} s");
    }

    private static async Task FillAsync(string directory, int from, int to)
    {
        const int Batch = 100_000;
        await using RunningProgram server = Programs.Serve(directory, new Dictionary<string, string> { ["TLOG_DUPLICATE_TABLE_BYTES"] = "0" });
        using HttpClient http = new() { BaseAddress = await server.ListeningAsync(), Timeout = TimeSpan.FromMinutes(1) };
        byte[] body = new byte[Batch * 10];
        for (int i = from; i < to; i += Batch)
        {
            for (int j = 0; j < Batch; j++)
            {
                BinaryPrimitives.WriteUInt16BigEndian(body.AsSpan(j * 10), 8);
                BinaryPrimitives.WriteInt64BigEndian(body.AsSpan((j * 10) + 2), i + j);
            }

            using ByteArrayContent content = new(body);
            using HttpResponseMessage answer = await http.PostAsync(new Uri("add-batch", UriKind.Relative), content);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        // Without warning: the next opening has a tail to take in, at both sizes.
        server.Kill();
        await server.EndAsync();
    }

    /// <summary>The best of three openings: from the start of the process to its first answer, and its memory then.</summary>
    private static async Task<(double Seconds, long Kilobytes)> OpenAsync(string directory, long size)
    {
        (double seconds, long kilobytes) best = (double.MaxValue, long.MaxValue);
        for (int i = 0; i < 3; i++)
        {
            long start = TimeProvider.System.GetTimestamp();
            await using RunningProgram server = Programs.Serve(directory);
            using LogClient client = new(await server.ListeningAsync());
            Assert.True(await client.WaitPublishedAsync(size, TimeSpan.FromSeconds(20)));
            double seconds = TimeProvider.System.GetElapsedTime(start).TotalSeconds;
            string resident = (await File.ReadAllLinesAsync($"/proc/{server.ProcessId.ToString(CultureInfo.InvariantCulture)}/status")).First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
            long kilobytes = long.Parse(resident.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
            best = (Math.Min(best.seconds, seconds), Math.Min(best.kilobytes, kilobytes));
            server.Kill();
            await server.EndAsync();
        }

        return best;
    }
}
