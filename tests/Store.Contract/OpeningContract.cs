using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>The promises of <see cref="ILogStore"/>: one opening at a time, fencing, and an end for everything that waits.</summary>
public abstract class OpeningContract<T> : ContractTests<T> where T : StoreUnderTest, new()
{
    private static readonly SampleLog Log = SampleLog.Tiny;

    [Fact]
    public async Task A_store_knows_its_origin_in_every_opening()
    {
        Assert.Equal(StoreUnderTest.Origin, Store.Origin);
        await ReopenAsync();
        Assert.Equal(StoreUnderTest.Origin, Store.Origin);
        await KillAndReopenAsync();
        Assert.Equal(StoreUnderTest.Origin, Store.Origin);
    }

    [Fact]
    public async Task A_second_opening_cannot_sign_and_the_first_goes_on()
    {
        await Register.SwapAsync(null, Acts.Head(1));
        for (int i = 0; i < 3; i++)
        {
            if (Under.AdmitsManyOpenings)
            {
                await using ILogStore second = await Under.OpenSecondAsync();
                Assert.Null(await second.Register.AcquireAsync(CancellationToken.None));
            }
            else
            {
                StoreInUseException inUse = await Assert.ThrowsAsync<StoreInUseException>(Under.OpenSecondAsync);
                Assert.Contains($"process {Environment.ProcessId}", inUse.Message, StringComparison.Ordinal);
            }

            await Journal.AppendAsync([(byte)i]);
            await Register.SwapAsync(Acts.Head(i + 1), Acts.Head(i + 2));
        }

        await Journal.HoldsAsync([[0], [1], [2]]);
        await ReopenAsync();
        await Journal.HoldsAsync([[0], [1], [2]]);
    }

    [Fact]
    public async Task A_store_that_was_killed_can_be_opened_at_once()
    {
        for (int i = 0; i < 5; i++)
        {
            IHeadLease? lease = await Register.AcquireAsync(CancellationToken.None);
            Assert.NotNull(lease);
            await Journal.AppendAsync([(byte)i]);
            await KillAndReopenAsync();
            Assert.Equal(i + 1, Journal.NextIndex);
        }
    }

    [Fact]
    public async Task An_opening_that_was_overtaken_writes_nothing_more()
    {
        await Log.PutAsync(Tiles, 0, 1);
        await Register.SwapAsync(null, Acts.Head(1));
        await Journal.AppendAsync([1]);
        IHeadLease lease = (await Register.AcquireAsync(CancellationToken.None))!;
        await Under.OvertakeAsync();

        Assert.False(await Register.SwapAsync(lease, Acts.Head(1), Acts.Head(2), "signed", CancellationToken.None));
        Assert.True(lease.Lost.IsCancellationRequested);
        if (await Register.AcquireAsync(CancellationToken.None) is IHeadLease another)
        {
            Assert.False(await Register.SwapAsync(another, Acts.Head(1), Acts.Head(2), "signed", CancellationToken.None));
        }

        await Assert.ThrowsAsync<StoreInUseException>(async () => await Journal.AppendAsync(Acts.Batch([2]), CancellationToken.None));
        await Assert.ThrowsAsync<StoreInUseException>(async () => await Tiles.PutSegmentAsync(Log.Segments[1], CancellationToken.None));
        await Assert.ThrowsAsync<StoreInUseException>(async () => await Tiles.PublishAsync(new PublishedHead(256, new byte[1]), Log.EdgeAt(256), CancellationToken.None));
        await Assert.ThrowsAsync<StoreInUseException>(async () => await Register.RecordAsync("fenced", CancellationToken.None));

        // It may still halt the log, and be closed.
        await Register.HaltAsync("two of us", CancellationToken.None);
        await Assert.ThrowsAsync<StoreInUseException>(async () => await Register.ResumeAsync("fenced", CancellationToken.None));
        await ReopenAsync();
        Assert.Equal(new RegisterValue(Acts.Head(1), "two of us"), await Register.ReadAsync(CancellationToken.None));
        Assert.Equal(["created", "signed", "halted: two of us"], (await Register.ReadHistoryAsync()).Select(line => line.Reason));
        await Journal.HoldsAsync([[1]]);
        Assert.Equal(1, Tiles.SegmentCount);
        Assert.Null(await Tiles.ReadPublishedAsync(CancellationToken.None));
    }

    [Fact]
    public async Task Closing_ends_everything_that_waits_and_loses_the_lease()
    {
        await Journal.AppendAsync([1]);
        IHeadLease lease = (await Register.AcquireAsync(CancellationToken.None))!;
        await using IJournalFollower follower = Journal.Follow(1);
        Task waits = Task.Run(async () => await follower.WaitAsync(CancellationToken.None));
        Task watches = Task.Run(async () =>
        {
            await foreach (PublishedHead _ in Tiles.WatchAsync(CancellationToken.None))
            {
            }
        });
        using CancellationTokenSource stop = new();
        IJournal journal = Journal;
        IDisposable room = Under.TakeRoom();
        Task append = Task.Run(async () => await journal.AppendAsync(Acts.Batch([2]), stop.Token));
        await Acts.UntilAsync(() => journal.IsFull, "an append that waits");
        await Store.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => append.WaitAsync(Acts.Limit));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => watches.WaitAsync(Acts.Limit));
        await waits.WaitAsync(Acts.Limit).ContinueWith(_ => { }, TaskScheduler.Default); // early or with an exception
        Assert.True(waits.IsCompleted);
        Assert.True(lease.Lost.IsCancellationRequested);
        room.Dispose();
        await Store.DisposeAsync();
        Store = await Under.ReopenAsync();
        await Journal.HoldsAsync([[1]]);
    }

    [Fact]
    public async Task After_closing_every_call_throws()
    {
        await Log.PutAsync(Tiles, 0, 1);
        await Journal.AppendAsync([1]);
        IJournalReader reader = Journal.Read(0);
        IHeadLease lease = (await Register.AcquireAsync(CancellationToken.None))!;
        await Store.DisposeAsync();
        CancellationToken none = CancellationToken.None;
        Func<Task>[] calls =
        [
            async () => await Journal.AppendAsync(Acts.Batch([2]), none), async () => await Journal.TrimAsync(0, none), async () => await Journal.FindHeadAsync("s", none),
            async () => await Journal.FindKeyAsync("k", none), async () => await reader.ReadAsync(none), () => Task.FromResult(Journal.Read(0)),
            async () => await Register.AcquireAsync(none), async () => await Register.ReadAsync(none), async () => await Register.HaltAsync("e", none),
            async () => await Register.ResumeAsync("r", none), async () => await Register.RecordAsync("r", none), async () => await Register.ReadHistoryAsync(),
            async () => await Register.SwapAsync(lease, null, Acts.Head(1), "signed", none), async () => await Tiles.PutSegmentAsync(Log.Segments[0], none),
            async () => await Tiles.PublishAsync(new PublishedHead(256, new byte[1]), Log.EdgeAt(256), none), async () => await Tiles.ReadPublishedAsync(none),
            async () => await Tiles.GetAsync(new TilePath(0, 0), 256, none), async () => await Tiles.GetSealedAsync(new TilePath(0, 0), none),
            async () => await Tiles.GetRootAsync(0, 0, none), async () => await Tiles.GetBundleSizeAsync(0, none), async () => await Tiles.FlushAsync(none),
        ];
        for (int i = 0; i < calls.Length; i++)
        {
            Exception? thrown = await Record.ExceptionAsync(calls[i]);
            Assert.True(thrown is ObjectDisposedException, $"call {i}: {thrown?.Message ?? "nothing thrown"}");
        }
    }
}
