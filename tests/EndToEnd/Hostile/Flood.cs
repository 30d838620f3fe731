// What floods a server, as many connections as one likes: each kind opens them, does its harm for as long as it takes, and says what became of them.

using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What became of the connections of a flood, by the word for it; and when the last of them ended.</summary>
internal sealed record FloodOutcome(IReadOnlyDictionary<string, int> Ends, TimeSpan Last)
{
    public int this[string end] => Ends.GetValueOrDefault(end);

    public override string ToString() => string.Join(", ", Ends.OrderBy(end => end.Key, StringComparer.Ordinal).Select(end => $"{end.Value} {end.Key}"));
}

/// <summary>Floods against one server, all from an address that is not the normal client's.</summary>
internal sealed class Flood(HostileTarget target, string from)
{
    /// <summary>A status, or one of these: the server closed without an answer, did not take the connection, or kept it until the flood went away by itself.</summary>
    public const string Closed = "closed", Refused = "refused", Kept = "kept", IdleClosed = "idle, closed";

    private static readonly TimeSpan Drop = TimeSpan.FromSeconds(1);

    private int _answered, _ended;

    /// <summary>How many connections have ended, or have got an answer and stay.</summary>
    public int Met => Volatile.Read(ref _answered) + Volatile.Read(ref _ended);

    /// <summary>H-01: a header that comes byte by byte and never ends.</summary>
    public Task<FloodOutcome> SlowHeadersAsync(int connections, TimeSpan atMost) =>
        RunAsync(connections, async connection =>
        {
            await connection.SendAsync($"GET {target.Words.Get} HTTP/1.1\r\nHost: x\r\nX-Slow: ");
            return await DripAsync(connection, "a"u8.ToArray(), Drop, atMost);
        });

    /// <summary>H-02: a body at 250 bytes a second: above the least rate, so only the deadline ends it.</summary>
    public Task<FloodOutcome> SlowBodiesAsync(int connections, TimeSpan atMost) =>
        RunAsync(connections, async connection =>
        {
            await connection.SendAsync($"POST {target.Words.Post} HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n");
            return await DripAsync(connection, new byte[250], Drop, atMost);
        });

    /// <summary>H-03: who asks for much and takes a byte now and then, until each of them has been told whether it gets it, and until <paramref name="longer"/> is done.</summary>
    public Task<FloodOutcome> SlowReadersAsync(int connections, string path, TimeSpan atMost, Task? longer = null)
    {
        int told = 0;
        TaskCompletionSource all = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task enough = Task.WhenAll(all.Task, longer ?? Task.CompletedTask).WaitAsync(atMost);
        return RunAsync(connections, async connection =>
        {
            await connection.SendAsync($"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            int? status = await connection.FirstAsync(atMost);
            if (Interlocked.Increment(ref told) == connections) all.SetResult();
            return status == 200 ? await connection.SipAsync(Drop, enough) : status?.ToString(CultureInfo.InvariantCulture) ?? Closed;
        }, receiveBuffer: 4096);
    }

    /// <summary>H-04: chunks without an end.</summary>
    public Task<FloodOutcome> EndlessChunksAsync(int connections) =>
        RunAsync(connections, async connection =>
        {
            byte[] chunk = Encoding.ASCII.GetBytes($"4000\r\n{new string('x', 0x4000)}\r\n");
            await connection.SendAsync($"POST {target.Words.Post} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
            for (int i = 0; i < 200 && await connection.SendAsync(chunk); i++)
            {
            }

            return await EndAsync(connection);
        });

    /// <summary>H-04, A-05: a batch that is nearly whole. Goes on until no more than <paramref name="most"/> are left.</summary>
    public Task<FloodOutcome> StalledBatchesAsync(int connections, int most, TimeSpan atMost)
    {
        int ended = 0;
        TaskCompletionSource few = new(TaskCreationOptions.RunContinuationsAsynchronously);
        byte[] nearly = [.. Encoding.ASCII.GetBytes("POST /add-batch HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n"), .. new byte[2_000_000]];
        return RunAsync(connections, async connection =>
        {
            await connection.SendAsync(nearly);
            string end = await DripAsync(connection, new byte[1], Drop, atMost, few.Task);
            if (Interlocked.Increment(ref ended) == connections - most) few.TrySetResult();
            return end;
        });
    }

    /// <summary>H-14: who asks once and keeps the connection. All stay until <paramref name="until"/> is done, or the server ends them.</summary>
    public Task<FloodOutcome> IdleAsync(int connections, Task until) =>
        RunAsync(connections, async connection =>
        {
            await connection.SendAsync($"GET {target.Words.Get} HTTP/1.1\r\nHost: x\r\n\r\n");
            if (await connection.ReceiveAsync() is null) return Closed;
            Interlocked.Increment(ref _answered);
            Task<bool> ends = connection.EndsAsync(TimeSpan.FromMinutes(5));
            return await Task.WhenAny(ends, until) == ends ? IdleClosed : Kept;
        });

    /// <summary>H-15: headers of a request with a body, and a reset; so many one after the other on each of the lines.</summary>
    public async Task<FloodOutcome> DyingAsync(int requests, int lines)
    {
        Stopwatch watch = Stopwatch.StartNew();
        int next = 0, sent = 0;
        await Task.WhenAll(Enumerable.Range(0, lines).Select(_ => Task.Run(async () =>
        {
            while (Interlocked.Increment(ref next) <= requests)
            {
                try
                {
                    using RawConnection connection = await RawConnection.OpenAsync(target.Url, from);
                    await connection.SendAsync($"POST {target.Words.Post} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf");
                    connection.Reset();
                    Interlocked.Increment(ref sent);
                }
                catch (System.Net.Sockets.SocketException)
                {
                    // Reset by the other side first.
                }
            }
        })));
        return new FloodOutcome(new Dictionary<string, int> { ["reset"] = sent }, watch.Elapsed);
    }

    /// <summary>W-08, A-14: notes of logs that nobody knows, each of another, on kept connections.</summary>
    public async Task<FloodOutcome> StrangersAsync(int requests, int lines)
    {
        Stopwatch watch = Stopwatch.StartNew();
        ConcurrentDictionary<string, int> ends = new();
        int next = 0;
        await Task.WhenAll(Enumerable.Range(0, lines).Select(_ => Task.Run(async () =>
        {
            using RawConnection connection = await RawConnection.OpenAsync(target.Url, from);
            while (Interlocked.Increment(ref next) is int number && number <= requests)
            {
                string body = string.Create(CultureInfo.InvariantCulture, $"old 0\n\nstranger.example/{number}\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— stranger.example/{number} AAAAAAAA\n");
                await connection.SendAsync(Encoding.UTF8.GetBytes($"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"));
                RawAnswer? answer = await connection.ReceiveAsync();
                ends.AddOrUpdate(answer?.Status.ToString(CultureInfo.InvariantCulture) ?? Closed, 1, (_, count) => count + 1);
            }
        })));
        return new FloodOutcome(ends, watch.Elapsed);
    }

    private async Task<FloodOutcome> RunAsync(int connections, Func<RawConnection, Task<string>> harm, int? receiveBuffer = null)
    {
        Stopwatch watch = Stopwatch.StartNew();
        ConcurrentDictionary<string, int> ends = new();
        long last = 0;
        await Task.WhenAll(Enumerable.Range(0, connections).Select(_ => Task.Run(async () =>
        {
            string end;
            try
            {
                using RawConnection connection = await RawConnection.OpenAsync(target.Url, from, receiveBuffer);
                end = await harm(connection);
            }
            catch (Exception gone) when (gone is System.Net.Sockets.SocketException or TimeoutException)
            {
                end = Refused;
            }

            ends.AddOrUpdate(end, 1, (_, count) => count + 1);
            Interlocked.Increment(ref _ended);
            Interlocked.Exchange(ref last, watch.ElapsedTicks);
        })));
        return new FloodOutcome(ends, TimeSpan.FromSeconds((double)last / Stopwatch.Frequency));
    }

    private static async Task<string> DripAsync(RawConnection connection, byte[] drop, TimeSpan every, TimeSpan atMost, Task? enough = null)
    {
        Task<string> ends = EndAsync(connection);
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < atMost && enough is not { IsCompleted: true };)
        {
            if (await Task.WhenAny(ends, Task.Delay(every)) == ends) return await ends;
            await connection.SendAsync(drop);
        }

        return Kept;
    }

    private static async Task<string> EndAsync(RawConnection connection)
    {
        try
        {
            return (await connection.ReceiveAsync(limit: TimeSpan.FromMinutes(5)))?.Status.ToString(CultureInfo.InvariantCulture) ?? Closed;
        }
        catch (CheckFailedException)
        {
            return Closed;
        }
    }
}

/// <summary>A client as they should be, from an address of its own: a new connection for each request, reading and appending in turn.</summary>
internal sealed class NormalClient(HostileTarget target)
{
    private readonly List<TimeSpan> _times = [];

    public int Failures { get; private set; }

    public string? FirstFailure { get; private set; }

    public int Requests => _times.Count;

    public TimeSpan Longest => _times.Count == 0 ? TimeSpan.MaxValue : _times.Max();

    public TimeSpan Middle => _times.Order().ElementAt(_times.Count / 2);

    /// <summary>Until it is told to stop.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        byte[] get = Encoding.ASCII.GetBytes($"GET {target.Words.Get} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        byte[] post = [.. Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"POST {target.Words.Post} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {target.Words.Body.Length}\r\n\r\n")), .. target.Words.Body];
        for (int i = 0; !stop.IsCancellationRequested; i++)
        {
            long start = Stopwatch.GetTimestamp();
            string? failure;
            try
            {
                using RawConnection connection = await RawConnection.OpenAsync(target.Url);
                await connection.SendAsync(i % 2 == 0 ? get : post);
                RawAnswer? answer = await connection.ReceiveAsync();
                failure = answer?.Status == 200 ? null : answer?.ToString() ?? "no answer";
            }
            catch (Exception gone) when (gone is System.Net.Sockets.SocketException or TimeoutException or CheckFailedException)
            {
                failure = gone.Message;
            }

            _times.Add(Stopwatch.GetElapsedTime(start));
            if (failure is not null)
            {
                Failures++;
                FirstFailure ??= failure;
            }

            await Task.WhenAny(Task.Delay(20, stop));
        }
    }
}
