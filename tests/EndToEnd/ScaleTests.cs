using System.Buffers.Binary;
using System.Globalization;
using System.Net;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Tests that need the machine for themselves: each runs alone, behind all others.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>Opening costs the same at any size, in what is read and what is kept; how long that takes is for bench/.</summary>
[Collection(Alone.Name)]
public sealed class ScaleTests
{
    [Fact]
    public async Task A_log_of_five_million_entries_opens_like_one_of_one_million()
    {
        using Scratch scratch = new();
        await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await FillAsync(scratch["log"], 0, 1_000_000);
        (long read, double memory) small = await OpenAsync(scratch["log"], 1_000_000);
        await FillAsync(scratch["log"], 1_000_000, 5_000_000);
        (long read, double memory) large = await OpenAsync(scratch["log"], 5_000_000);

        // Four million leaf hashes alone are 128 MB; the tail is two files of the journal at most, and falls differently at each size.
        Assert.True(large.read - small.read < 32_000_000, $"{small.read} and {large.read} bytes were read");
        Assert.True(large.memory - small.memory < 30, $"{small.memory:F0} MB and {large.memory:F0} MB");
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

    /// <summary>The least of three openings: bytes read from the start of the process to its first answer, and MB of memory then.</summary>
    private static async Task<(long Read, double Memory)> OpenAsync(string directory, long size)
    {
        // What has a limit of its own, and at a million entries is not full yet.
        Dictionary<string, string> without = new() { ["TLOG_DUPLICATE_TABLE_BYTES"] = "0", ["TLOG_SCRUB_MB_S"] = "0" };
        (long read, double memory) least = (long.MaxValue, double.MaxValue);
        for (int i = 0; i < 3; i++)
        {
            await using RunningProgram server = Programs.Serve(directory, without);
            using LogClient client = new(await server.ListeningAsync());
            Assert.True(await client.WaitPublishedAsync(size));
            string read = (await File.ReadAllLinesAsync($"/proc/{server.ProcessId.ToString(CultureInfo.InvariantCulture)}/io")).Single(line => line.StartsWith("rchar: ", StringComparison.Ordinal));
            double memory = new ProcessWatch().Look("log", server.ProcessId)!.Megabytes;
            least = (Math.Min(least.read, long.Parse(read["rchar: ".Length..], CultureInfo.InvariantCulture)), Math.Min(least.memory, memory));
            server.Kill();
            await server.EndAsync();
        }

        return least;
    }
}
