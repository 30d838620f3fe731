using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>Segments and upper tiles: readable at once, durable when it says so, the same bytes for ever.</summary>
public sealed class TileStoreTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["store"];

    private async Task<TileStore> OpenAsync(bool create = false)
    {
        if (create) TileStore.Create(Folder);
        return await TileStore.OpenAsync(Folder);
    }

    [Fact]
    public async Task Every_path_can_be_read_before_a_flush_after_it_and_after_reopening()
    {
        SampleTree tree = SampleTree.Create(300, SampleTree.Tiny);
        Assert.Single(tree.Upper);
        await using (TileStore store = await OpenAsync(create: true))
        {
            await tree.HoldsAsync(store, 0);
            await tree.PutAsync(store, 0, 300);
            await tree.HoldsAsync(store, 300);
            await store.FlushAsync(CancellationToken.None);
            Assert.Equal(300, store.DurableSegmentCount);
            await tree.HoldsAsync(store, 300);
        }

        await using TileStore again = await OpenAsync();
        Assert.Equal(300, again.DurableSegmentCount);
        await tree.HoldsAsync(again, 300);
    }

    [Fact]
    public async Task Segments_that_were_not_flushed_are_gone_after_reopening_and_were_never_called_durable()
    {
        SampleTree tree = SampleTree.Create(20, SampleTree.Tiny);
        await using (TileStore store = await OpenAsync(create: true))
        {
            await tree.PutAsync(store, 0, 12);
            Assert.Equal(0, store.DurableSegmentCount);
            await store.FlushAsync(CancellationToken.None);
            await tree.PutAsync(store, 12, 20);
            Assert.Equal(12, store.DurableSegmentCount);
            await tree.HoldsAsync(store, 20);
        }

        await using (TileStore store = await OpenAsync())
        {
            Assert.Equal(12, store.DurableSegmentCount);
            await tree.HoldsAsync(store, 12);
            await tree.PutAsync(store, 12, 20);
            await tree.HoldsAsync(store, 20);
            await store.FlushAsync(CancellationToken.None);
        }

        await using TileStore again = await OpenAsync();
        await tree.HoldsAsync(again, 20);
    }

    [Fact]
    public async Task A_segment_of_256_entries_of_65535_bytes_survives()
    {
        SampleTree tree = SampleTree.Create(2, i => Entry(new Random(i), i < 256 ? EntryBundle.MaxEntrySize : 5));
        Assert.Equal(256 * 65_537, tree.Segments[0].Bundle.Length);
        await using (TileStore store = await OpenAsync(create: true))
        {
            await tree.PutAsync(store, 0, 2);
            await store.FlushAsync(CancellationToken.None);
            await tree.HoldsAsync(store, 2);
        }

        await using TileStore again = await OpenAsync();
        await tree.HoldsAsync(again, 2);
    }

    [Fact]
    public async Task What_waits_in_memory_is_committed_in_the_background()
    {
        SampleTree tree = SampleTree.Create(12, i => Entry(new Random(i), 4000));
        await using TileStore store = await OpenAsync(create: true);
        await tree.PutAsync(store, 0, 12);
        Assert.True(SpinWait.SpinUntil(() => store.DurableSegmentCount >= 5, TimeSpan.FromSeconds(30)));
        await tree.HoldsAsync(store, 12);
    }

    [Fact]
    public async Task The_same_bytes_again_are_fine_and_other_bytes_are_a_conflict()
    {
        SampleTree tree = SampleTree.Create(257, SampleTree.Tiny);
        await using TileStore store = await OpenAsync(create: true);
        await tree.PutAsync(store, 0, 257);
        for (int round = 0; round < 2; round++)
        {
            await tree.PutAsync(store, 0, 257);
            SealedSegment segment = tree.Segments[3];
            FullTile tile = tree.Upper[0];
            await Assert.ThrowsAsync<ConflictException>(async () => await store.PutSegmentAsync(segment with { Bundle = Changed(segment.Bundle) }, CancellationToken.None));
            await Assert.ThrowsAsync<ConflictException>(async () => await store.PutSegmentAsync(segment with { Bundle = segment.Bundle[..^1] }, CancellationToken.None));
            await Assert.ThrowsAsync<ConflictException>(async () => await store.PutSegmentAsync(segment with { Tile = Changed(segment.Tile) }, CancellationToken.None));
            await Assert.ThrowsAsync<ConflictException>(async () => await store.PutUpperTileAsync(tile with { Hashes = Changed(tile.Hashes) }, CancellationToken.None));
            await tree.HoldsAsync(store, 257);
            await store.FlushAsync(CancellationToken.None);
        }

        static byte[] Changed(ReadOnlyMemory<byte> bytes)
        {
            byte[] changed = bytes.ToArray();
            changed[^1] ^= 1;
            return changed;
        }
    }

    [Fact]
    public async Task Segments_and_tiles_out_of_order_or_of_a_wrong_size_are_misuse()
    {
        SampleTree tree = SampleTree.Create(257, SampleTree.Tiny);
        await using TileStore store = await OpenAsync(create: true);
        await Assert.ThrowsAsync<ArgumentException>(async () => await store.PutSegmentAsync(tree.Segments[1], CancellationToken.None));
        await Assert.ThrowsAsync<ArgumentException>(async () => await store.PutSegmentAsync(tree.Segments[0] with { Tile = new byte[32] }, CancellationToken.None));
        await Assert.ThrowsAsync<ArgumentException>(async () => await store.PutUpperTileAsync(tree.Upper[0] with { Index = 1 }, CancellationToken.None));
        await Assert.ThrowsAsync<ArgumentException>(async () => await store.PutUpperTileAsync(tree.Upper[0] with { Hashes = new byte[32] }, CancellationToken.None));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await store.PutUpperTileAsync(tree.Upper[0] with { Level = 0 }, CancellationToken.None));
        await tree.HoldsAsync(store, 0);
    }

    [Fact]
    public void The_place_of_an_upper_tile_is_the_order_in_which_tiles_become_full()
    {
        long number = 0;
        for (long m = 1; m <= 70_000; m++)
        {
            for (int level = 1; m % (1L << (8 * (level - 1))) == 0; level++)
            {
                Assert.Equal(number++, TileStore.RecordNumber(level, (m >> (8 * (level - 1))) - 1));
            }
        }

        // Tiles that no tree has never look like stored ones.
        for (int level = 1; level <= TilePath.MaxLevel; level++)
        {
            foreach (long index in (long[])[long.MaxValue, long.MaxValue / 2, long.MaxValue / 256, 1L << 55]) Assert.True(TileStore.RecordNumber(level, index) > 1L << 55);
        }
    }

    [Theory]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(300)]
    [InlineData(520)]
    public async Task Tiles_missing_from_the_tree_are_made_again_from_the_segments(int segments)
    {
        SampleTree tree = SampleTree.Create(segments, SampleTree.Tiny);
        await using (TileStore store = await OpenAsync(create: true))
        {
            await tree.PutAsync(store, 0, segments);
            await store.FlushAsync(CancellationToken.None);
        }

        Directory.Delete(Path.Combine(Folder, "tree"), recursive: true);
        RecordLog.Create(Path.Combine(Folder, "tree"));
        for (int i = 0; i < 2; i++)
        {
            await using TileStore store = await OpenAsync();
            await tree.HoldsAsync(store, segments);
            Assert.Equal(segments, store.DurableSegmentCount);
        }
    }

    [Fact]
    public async Task A_tree_that_is_ahead_of_the_segments_takes_the_same_tiles_again()
    {
        SampleTree tree = SampleTree.Create(260, SampleTree.Tiny);
        await using (TileStore store = await OpenAsync(create: true))
        {
            await tree.PutAsync(store, 0, 200);
            await store.FlushAsync(CancellationToken.None);
            Scratch.Copy(Path.Combine(Folder, "segments"), _scratch["older"]);
            await tree.PutAsync(store, 200, 260);
            await store.FlushAsync(CancellationToken.None);
        }

        Directory.Delete(Path.Combine(Folder, "segments"), recursive: true);
        Directory.Move(_scratch["older"], Path.Combine(Folder, "segments"));
        await using (TileStore store = await OpenAsync())
        {
            Assert.Equal(200, store.SegmentCount);
            await tree.PutAsync(store, 200, 260);
            await tree.HoldsAsync(store, 260);
            await store.FlushAsync(CancellationToken.None);
        }

        await using TileStore again = await OpenAsync();
        await tree.HoldsAsync(again, 260);
    }

    [Fact]
    public async Task The_files_hold_the_bytes_of_every_sealed_entry_as_they_are_served()
    {
        SampleTree tree = SampleTree.Create(3, i => Entry(new Random(i), 40 + (i % 50)));
        await using (TileStore store = await OpenAsync(create: true))
        {
            await tree.PutAsync(store, 0, 3);
            await store.FlushAsync(CancellationToken.None);
        }

        byte[] file = await File.ReadAllBytesAsync(Path.Combine(Folder, "segments", "data.0"));
        foreach (SealedSegment segment in tree.Segments)
        {
            Assert.True(file.AsSpan().IndexOf(segment.Bundle.Span) > 0);
            Assert.True(file.AsSpan().IndexOf(segment.Tile.Span) > 0);
        }
    }

    [Fact]
    public async Task Readers_see_the_right_bytes_while_segments_are_put_and_committed()
    {
        SampleTree tree = SampleTree.Create(150, i => BitConverter.GetBytes(i * 7919L));
        await using TileStore store = await OpenAsync(create: true);
        using CancellationTokenSource done = new();
        Task[] readers = [.. Enumerable.Range(0, 2).Select(seed => Task.Run(async () =>
        {
            Random random = new(seed);
            while (!done.IsCancellationRequested)
            {
                int count = (int)store.SegmentCount;
                if (count == 0) continue;
                int number = random.Next(10) < 8 ? random.Next(count) : count - 1;
                Assert.True((await store.GetAsync(new TilePath(TilePath.EntriesLevel, number), done.Token))!.Value.Span.SequenceEqual(tree.Segments[number].Bundle.Span));
                Assert.True((await store.GetAsync(new TilePath(0, number), done.Token))!.Value.Span.SequenceEqual(tree.Segments[number].Tile.Span));
            }
        }))];
        for (int number = 0; number < 150; number++)
        {
            await tree.PutAsync(store, number, number + 1);
            if (number % 10 == 0) await store.FlushAsync(CancellationToken.None);
        }

        await done.CancelAsync();
        await Task.WhenAll(readers);
        await tree.HoldsAsync(store, 150);
    }
}
