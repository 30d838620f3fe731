using System.Diagnostics;
using TransparencyLog.Server;

namespace TransparencyLog.Tests.Server;

public sealed class PublishingTests
{
    [Fact]
    public async Task Without_a_gap_each_entry_is_public_before_its_caller_asks_again()
    {
        await using TestLog log = await TestLog.StartAsync();
        for (int i = 0; i < 20; i++) await log.AddAsync($"{i}", "published");
        await log.CheckLog(20);
    }

    [Fact]
    public async Task Within_the_gap_one_head_is_signed_for_all_that_came()
    {
        FakeTime time = new();
        TimeSpan gap = TimeSpan.FromSeconds(60);
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Time = time, Settings = settings => settings with { PublishGap = gap } });
        await log.CheckLog(0);
        int idle = time.Waiting;
        for (int i = 0; i < 10; i++) await log.AddAsync($"{i}");
        await Eventually.TrueAsync(() => time.Waiting > idle, "the publisher waits for its time");
        time.Advance(gap - TimeSpan.FromTicks(1));
        Assert.Equal(0, log.Engine.Publisher.SignedSize);
        time.Advance(TimeSpan.FromTicks(1));
        await log.CheckLog(10);
        Assert.Equal(3, (await File.ReadAllTextAsync(Path.Combine(log.Data, "heads"))).Count(letter => letter == '\n'));

        // After a quiet while the next entry waits for nothing.
        time.Advance(gap);
        await log.AddAsync("later");
        await log.CheckLog(11);
    }

    [Fact]
    public async Task C06_C10_under_load_the_published_size_never_goes_down_and_every_tile_of_it_is_there()
    {
        await using TestLog log = await TestLog.StartAsync();
        using CancellationTokenSource stop = new();
        int next = 0;
        Task[] writers =
        [
            .. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
            {
                while (!stop.IsCancellationRequested) await log.AddAsync(BitConverter.GetBytes(Interlocked.Increment(ref next)));
            })),
            Task.Run(async () =>
            {
                while (!stop.IsCancellationRequested) await log.AddBatchAsync([.. Enumerable.Range(0, 100).Select(_ => BitConverter.GetBytes(Interlocked.Increment(ref next)))]);
            }),
            Task.Run(async () =>
            {
                while (!stop.IsCancellationRequested) await log.AddAsync(BitConverter.GetBytes(Interlocked.Increment(ref next)), "published");
            }),
        ];
        int checks = 0;
        Task[] readers = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(() => ReadAsync(log, () => Interlocked.Increment(ref checks), () => stop.IsCancellationRequested)))];
        Stopwatch watch = Stopwatch.StartNew();
        await Eventually.TrueAsync(() => (Volatile.Read(ref checks) > 60 && log.Engine.Size > 3000) || readers.Any(reader => reader.IsFaulted), "readers have seen enough");
        await stop.CancelAsync();
        await Task.WhenAll([.. writers, .. readers]);
        await log.CheckLog(log.Engine.Size);
    }

    [Fact]
    public async Task Callers_that_stop_waiting_do_no_harm()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        TestLog log = witnessed.Log;
        witnessed[0].Behave = StubWitness.Says(500, "");
        using CancellationTokenSource gone = new();
        Task[] waiting = [.. Enumerable.Range(0, 50).Select(i => log.Http.PostAsync("/add?wait=published", new ByteArrayContent(BitConverter.GetBytes(i)), gone.Token))];
        await Eventually.TrueAsync(() => log.Engine.Size == 50, "all are durable");
        await gone.CancelAsync();
        foreach (Task one in waiting) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => one);
        witnessed[0].Behave = witnessed[0].HonestlyAsync;
        await log.CheckLog(50);
        Assert.Equal(EngineState.Ready, log.Engine.State);
        Assert.False(log.Logged.Has(8));
    }

    /// <summary>Fetches the checkpoint, then the right edge and one chance tile of its tree, and hashes the root again.</summary>
    private static async Task ReadAsync(TestLog log, Action done, Func<bool> enough)
    {
        Random random = new(20260803);
        long size = 0;
        while (!enough())
        {
            Checkpoint checkpoint = log.Check.Open(await log.Http.GetByteArrayAsync("/checkpoint"));
            Assert.True(checkpoint.Size >= size, $"the published size went from {size} down to {checkpoint.Size}");
            size = checkpoint.Size;
            Dictionary<TilePath, ReadOnlyMemory<byte>> tiles = [];
            ProofPlan plan = ProofPlan.Root(size);
            foreach (TilePath path in plan.Tiles) tiles[path] = await log.Http.GetByteArrayAsync("/" + path);
            Assert.True(plan.TryBuild(path => tiles[path], out Hash[] root));
            Assert.Equal(checkpoint.Root, root[0]);
            if (size > 0)
            {
                long n = random.NextInt64((size + 255) / 256);
                int width = TilePath.WidthAt(-1, n, size);
                byte[] bundle = await log.Http.GetByteArrayAsync(LogCheck.PathOf(-1, n, width)), tile = await log.Http.GetByteArrayAsync(LogCheck.PathOf(0, n, width));
                Assert.True(EntryBundle.TryCount(bundle, out int count));
                Assert.Equal((width, width * 32), (count, tile.Length));
                Assert.Equal(Rfc6962.Leaf(bundle.AsSpan(2, 4)), tile[..32]);
            }

            done();
        }
    }
}
