using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>What only the store in memory does.</summary>
public sealed class MemoryStoreTests
{
    private const string Origin = StoreUnderTest.Origin;

    [Fact]
    public void Options_and_origin_are_checked()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => MemoryStore.Create(Origin, new MemoryStoreOptions { MaxJournalBytes = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => MemoryStore.Create(Origin, new MemoryStoreOptions { SegmentsPerCommit = 0 }));
        Assert.Throws<ArgumentException>(() => MemoryStore.Create("two\nlines"));
    }

    [Fact]
    public async Task A_loss_of_power_takes_the_segments_that_are_not_durable_and_what_was_published()
    {
        MemoryStore.Shared shared = new(Origin, new MemoryStoreOptions { SegmentsPerCommit = 4 });
        MemoryStore store = shared.Open();
        await store.Journal.AppendAsync([1]);
        await SampleLog.Tiny.PutAsync(store.Tiles, 0, 6);
        await store.Tiles.PublishAsync(new PublishedHead(6 * 256, new byte[1]), SampleLog.Tiny.EdgeAt(6 * 256), CancellationToken.None);
        Assert.Equal((6, 4), (store.Tiles.SegmentCount, store.Tiles.DurableSegmentCount));
        shared.LosePower();
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await store.Register.ReadAsync(CancellationToken.None));
        await using MemoryStore again = shared.Open();
        await SampleLog.Tiny.HoldsAsync(again.Tiles, 4);
        Assert.Null(await again.Tiles.ReadPublishedAsync(CancellationToken.None));
        await again.Journal.HoldsAsync([[1]]);
        await SampleLog.Tiny.PutAsync(again.Tiles, 4, 258);
        await SampleLog.Tiny.HoldsAsync(again.Tiles, 258, 250);
    }

    [Fact]
    public async Task The_journal_holds_as_many_bytes_as_it_may_and_a_trim_makes_room()
    {
        await using MemoryStore store = MemoryStore.Create(Origin, new MemoryStoreOptions { MaxJournalBytes = 100 });
        using CancellationTokenSource stop = new();

        // A batch that is larger than the journal is accepted where nothing else is held.
        await store.Journal.AppendAsync(new byte[500]);
        Task<AppendAnswer> waiting = store.Journal.AppendAsync(Acts.Batch(new byte[48]), stop.Token).AsTask();
        Assert.True(store.Journal.IsFull);
        await store.Journal.TrimAsync(1, CancellationToken.None);
        Assert.Equal(1, (await waiting.WaitAsync(Acts.Limit)).FirstIndex);
        await store.Journal.AppendAsync(new byte[48]);
        await Assert.ThrowsAsync<StoreException>(async () => await store.Journal.AppendAsync(Acts.Batch([[]]), CancellationToken.None));
        Assert.Equal((1, 3), (store.Journal.FirstIndex, store.Journal.NextIndex));
    }
}
