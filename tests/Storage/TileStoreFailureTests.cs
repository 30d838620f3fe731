using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>A failing or lying disk under a tile store: nothing is called durable that is not, nothing hangs (D-05, D-06, D-12).</summary>
public sealed class TileStoreFailureTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly Scratch _scratch = new();
    private readonly SampleTree _tree = SampleTree.Create(260, SampleTree.Tiny);

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["store"];

    [Fact]
    public async Task D06_whichever_storage_call_fails_the_store_stops_and_reopening_goes_on()
    {
        TileStore.Create(Folder);
        await using (TileStore store = await TileStore.OpenAsync(Folder))
        {
            await _tree.PutAsync(store, 0, 248);
            await store.FlushAsync(CancellationToken.None);
        }

        Directory.Move(Folder, _scratch["prepared"]);
        for (int n = 1; ; n++)
        {
            if (Directory.Exists(Folder)) Directory.Delete(Folder, recursive: true);
            Scratch.Copy(_scratch["prepared"], Folder);
            long durable = 248;
            bool failed = false;
            await using (TileStore store = await TileStore.OpenAsync(Folder))
            {
                await _tree.PutAsync(store, 248, 250);
                using FaultScope fault = FaultScope.Nth(Folder, n, FaultScope.Io, after: n % 2 == 0);
                try
                {
                    await store.FlushAsync(CancellationToken.None).AsTask().WaitAsync(Limit);
                    durable = store.DurableSegmentCount;
                    Assert.Equal(250, durable);
                    await _tree.PutAsync(store, 250, 260);
                    await store.FlushAsync(CancellationToken.None).AsTask().WaitAsync(Limit);
                    durable = store.DurableSegmentCount;
                }
                catch (StorageException)
                {
                    failed = true;
                    Assert.Equal(durable, store.DurableSegmentCount);
                    await Assert.ThrowsAsync<StorageException>(() => store.FlushAsync(CancellationToken.None).AsTask().WaitAsync(Limit));
                    await Assert.ThrowsAsync<StorageException>(async () => await store.PutSegmentAsync(_tree.Segments[(int)store.SegmentCount % 260], CancellationToken.None));
                    await Assert.ThrowsAsync<StorageException>(async () => await store.PutUpperTileAsync(_tree.Upper[0], CancellationToken.None));

                    // Readers stay. With 256 segments it may be the tile above them that was refused.
                    if (store.SegmentCount != 256) await _tree.HoldsAsync(store, (int)store.SegmentCount, from: 246);
                }
            }

            await using TileStore again = await TileStore.OpenAsync(Folder).WaitAsync(Limit);
            Assert.InRange(again.SegmentCount, durable, 260);
            await _tree.PutAsync(again, (int)again.SegmentCount, 260);
            await again.FlushAsync(CancellationToken.None).AsTask().WaitAsync(Limit);
            await _tree.HoldsAsync(again, 260, from: 246);
            if (!failed)
            {
                Assert.InRange(n, 20, 400);
                return;
            }
        }
    }

    /// <summary>A crash between the two, or a backup taken there, would look like a directory whose segments are an older copy than its tree.</summary>
    [Fact]
    public async Task What_is_put_while_the_segments_are_committed_does_not_take_the_tree_ahead_of_them()
    {
        TileStore.Create(Folder);
        int syncs = 0;
        await using (TileStore store = await TileStore.OpenAsync(Folder))
        {
            await _tree.PutAsync(store, 0, 250);
            using FaultScope between = FaultScope.On(Path.Combine(Folder, "segments"), (call, _) =>
            {
                if (call == "fdatasync" && Interlocked.Increment(ref syncs) == 1) _tree.PutAsync(store, 250, 258).GetAwaiter().GetResult();
                return FaultScope.None;
            });
            await store.FlushAsync(CancellationToken.None);
            Assert.True(syncs > 0);
            using (RecordLog segments = RecordLog.OpenReadOnly(Path.Combine(Folder, "segments")), upper = RecordLog.OpenReadOnly(Path.Combine(Folder, "tree")))
            {
                Assert.Equal((250, 0), (segments.Count, upper.Count));
            }

            await store.FlushAsync(CancellationToken.None);
            await _tree.HoldsAsync(store, 258, from: 246);
        }

        await using TileStore again = await TileStore.OpenAsync(Folder);
        await _tree.HoldsAsync(again, 258, from: 246);
    }

    [Fact]
    public async Task D12_a_disk_that_says_written_and_is_not_is_noticed_before_the_segments_are_called_durable()
    {
        TileStore.Create(Folder);
        string data = Path.Combine(Folder, "segments", "data.0");
        await using TileStore store = await TileStore.OpenAsync(Folder);
        await _tree.PutAsync(store, 0, 3);
        await store.FlushAsync(CancellationToken.None);
        await _tree.PutAsync(store, 3, 6);
        long length = new FileInfo(data).Length;
        using (FaultScope.Watch(Folder, (call, path) =>
        {
            if (call == "fdatasync" && path == data) Scratch.Overwrite(data, length + 2000, new byte[5000]);
        })) await Assert.ThrowsAsync<DamageException>(() => store.FlushAsync(CancellationToken.None).AsTask().WaitAsync(Limit));
        Assert.Equal(3, store.DurableSegmentCount);
        await _tree.HoldsAsync(store, 6);
    }

    [Fact]
    public async Task D05_a_commit_that_fails_in_the_background_is_told_to_whoever_puts_next()
    {
        SampleTree tree = SampleTree.Create(40, i => new byte[2000 + (i % 3)]);
        TileStore.Create(Folder);
        await using TileStore store = await TileStore.OpenAsync(Folder);
        using FaultScope fault = FaultScope.On(Folder, (call, _) => call == "fdatasync" ? FaultScope.Fail(FaultScope.Io) : FaultScope.None);
        await Assert.ThrowsAsync<StorageException>(async () => await tree.PutAsync(store, 0, 40).WaitAsync(Limit));
        Assert.Equal(0, store.DurableSegmentCount);
    }
}
