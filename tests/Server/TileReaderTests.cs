using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>Reads through the cache: the bytes and proofs of the store, fewer reads, and damage never kept.</summary>
public sealed class TileReaderTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(32 * 1024 * 1024)]
    public async Task Proofs_of_a_growing_tree_are_those_of_its_tiles_at_any_size_and_verify(int hotBytes)
    {
        MemoryStore store = new();
        TileReader reader = new(store, hotBytes);
        Random random = new(7);
        TreeSnapshot earlier = store.Snapshot();
        for (int step = 0; step < 300; step++)
        {
            store.GrowBy(random.Next(1, 700));
            TreeSnapshot tree = store.Snapshot();

            // Readers come with the newest tree and with older ones, in any order.
            foreach (TreeSnapshot seen in (TreeSnapshot[])[tree, earlier, tree])
            {
                if (seen.Size == 0) continue;
                long index = random.NextInt64(seen.Size), size = random.NextInt64(index + 1, seen.Size + 1);
                Hash[] proof = await reader.BuildAsync(ProofPlan.Inclusion(index, size), seen, CancellationToken.None);
                Assert.Equal(store.Build(ProofPlan.Inclusion(index, size)), proof);
                Hash root = (await reader.BuildAsync(ProofPlan.Root(seen.Size), seen, CancellationToken.None))[0];
                Assert.Equal(seen.Root, root);
                Hash[] consistency = await reader.BuildAsync(ProofPlan.Consistency(size, seen.Size), seen, CancellationToken.None);
                Hash old = store.Build(ProofPlan.Root(size))[0];
                Assert.True(MerkleProof.VerifyConsistency(size, seen.Size, old, seen.Root, consistency), $"seed 7, {size} to {seen.Size}");
                Assert.True(MerkleProof.VerifyInclusion(store.Leaves[(int)index], index, size, proof, old), $"seed 7, {index} of {size}");
            }

            if (random.Next(3) == 0) earlier = tree;
        }

        Assert.True(store.Size > 65_536);
    }

    [Fact]
    public async Task A_hot_tile_is_read_twice_and_then_served_from_memory_at_every_width()
    {
        MemoryStore store = new();
        store.GrowBy(600);
        TileReader reader = new(store, 1024 * 1024);
        TreeSnapshot tree = store.Snapshot();
        foreach (int level in (int[])[0, TilePath.EntriesLevel])
        {
            store.Reads = 0;
            for (int width = 256; width >= 1; width--)
            {
                TilePath path = new(level, 1, width);
                Assert.Equal(store.Peek(path), (await reader.GetAsync(path, tree, CancellationToken.None))!.Value.ToArray());
            }

            Assert.Equal(2, store.Reads);
        }

        Assert.Null(await reader.GetAsync(new TilePath(0, 2, 89), tree, CancellationToken.None));
        Assert.Null(await reader.GetAsync(new TilePath(0, 3), tree, CancellationToken.None));
        Assert.Null(await reader.GetAsync(new TilePath(5, 0), tree, CancellationToken.None));
    }

    [Fact]
    public async Task Damage_is_told_to_everyone_who_meets_it_and_never_kept()
    {
        MemoryStore store = new();
        store.GrowBy(600);
        TileReader reader = new(store, 1024 * 1024);
        TreeSnapshot tree = store.Snapshot();
        store.Damaged = true;
        for (int i = 0; i < 5; i++)
        {
            foreach (TilePath path in (TilePath[])[new(0, 1), new(TilePath.EntriesLevel, 1), new(0, 0, 3)])
            {
                await Assert.ThrowsAsync<DamageException>(async () => await reader.GetAsync(path, tree, CancellationToken.None));
            }

            await Assert.ThrowsAsync<DamageException>(async () => await reader.ServeAsync(new TilePath(TilePath.EntriesLevel, 1), tree, gzip: true, new ByteBudget(long.MaxValue), CancellationToken.None));
            await Assert.ThrowsAsync<DamageException>(async () => await reader.BuildAsync(ProofPlan.Inclusion(3, 600), tree, CancellationToken.None));
        }

        Assert.Equal(0, reader.Hot.Count);
        store.Damaged = false;
        Assert.Equal(store.Build(ProofPlan.Inclusion(3, 600)), await reader.BuildAsync(ProofPlan.Inclusion(3, 600), tree, CancellationToken.None));
    }

    [Fact]
    public async Task H03_A05_a_bundle_that_there_is_no_room_for_is_not_read_and_one_that_fits_is()
    {
        MemoryStore store = new();
        store.GrowBy(600, 400);
        TileReader reader = new(store);
        TreeSnapshot tree = store.Snapshot();
        TilePath path = new(TilePath.EntriesLevel, 1);
        int size = store.Peek(path).Length;
        foreach (long room in (long[])[0, size - 1])
        {
            ByteBudget little = new(room);
            await Assert.ThrowsAsync<NoRoomException>(async () => await reader.ServeAsync(path, tree, gzip: false, little, CancellationToken.None));
            await Assert.ThrowsAsync<NoRoomException>(async () => await reader.ServeAsync(path, tree, gzip: true, little, CancellationToken.None));
            await Assert.ThrowsAsync<NoRoomException>(async () => await reader.ServeAsync(new TilePath(TilePath.EntriesLevel, 1, 3), tree, gzip: false, little, CancellationToken.None));
            Assert.Equal(room, little.Left);
        }

        Assert.Equal((0, 6), (store.Reads, store.Asked));
        ByteBudget enough = new(size);
        using (Served served = (await reader.ServeAsync(path, tree, gzip: false, enough, CancellationToken.None))!.Value)
        {
            Assert.Equal(store.Peek(path), served.Bytes.ToArray());
            Assert.Equal((1, 7), (store.Reads, store.Asked));
            Assert.Equal(0, enough.Left);

            // Who asks for the same meanwhile shares what is there: nothing is read, and nothing more is counted.
            using Served again = (await reader.ServeAsync(path, tree, gzip: false, enough, CancellationToken.None))!.Value;
            Assert.True(again.Bytes.Span == served.Bytes.Span);
            Assert.Equal((1, 7), (store.Reads, store.Asked));
        }

        Assert.Equal(size, enough.Left);

        // Where the largest would fit nobody asks for the size; hashes always fit.
        ByteBudget most = new(256 * (2 + 65_535));
        (await reader.ServeAsync(new TilePath(TilePath.EntriesLevel, 0), tree, gzip: false, most, CancellationToken.None))!.Value.Dispose();
        (await reader.ServeAsync(new TilePath(0, 1), tree, gzip: false, new ByteBudget(0), CancellationToken.None))!.Value.Dispose();
        Assert.Equal((3, 7), (store.Reads, store.Asked));
        Assert.Equal(256 * (2 + 65_535), most.Left);
    }

    /// <summary>N-07: four that asked at the same time each read it, and each copy stayed.</summary>
    [Fact]
    public async Task N07_requests_for_one_bundle_at_the_same_time_read_it_once()
    {
        MemoryStore store = new() { Gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously) };
        store.GrowBy(600, 400);
        TileReader reader = new(store);
        TreeSnapshot tree = store.Snapshot();
        TilePath path = new(TilePath.EntriesLevel, 1);
        ByteBudget budget = new(1 << 30);
        Task<Served?>[] asking = [.. Enumerable.Range(0, 20).Select(_ => reader.ServeAsync(path, tree, gzip: false, budget, CancellationToken.None).AsTask())];
        Assert.Equal(1, store.Reads);
        store.Gate.SetResult();
        Served[] served = [.. (await Task.WhenAll(asking)).Select(answer => answer!.Value)];
        Assert.Equal(1, store.Reads);
        Assert.All(served, one => Assert.True(one.Bytes.Span == served[0].Bytes.Span));
        Assert.Equal((1 << 30) - store.Peek(path).Length, budget.Left);
        foreach (Served one in served) one.Dispose();
        Assert.Equal(1 << 30, budget.Left);
    }

    /// <summary>N-07: a bundle of the open segment was copied before the room was asked for.</summary>
    [Fact]
    public async Task N07_a_partial_bundle_of_the_open_segment_is_shared_or_refused_and_never_copied_for_one_who_gets_none()
    {
        MemoryStore store = new();
        store.GrowBy(200, 4000);
        TileReader reader = new(store);
        TreeSnapshot tree = store.Snapshot();
        TilePath all = new(TilePath.EntriesLevel, 0, 200), few = new(TilePath.EntriesLevel, 0, 10);
        Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(tree.OpenBundle, out ArraySegment<byte> open));
        ByteBudget none = new(1000), enough = new(open.Array!.Length);
        Assert.Throws<NoRoomException>(() => reader.ServeAsync(all, tree, gzip: false, none, CancellationToken.None).AsTask().GetAwaiter().GetResult());
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            try
            {
                await reader.ServeAsync(all, tree, gzip: false, none, CancellationToken.None); // completes at once, or throws
                Assert.Fail("there was no room");
            }
            catch (NoRoomException)
            {
            }
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 20 * 1000 * 1000); // copies would be 800 MB
        using Served first = (await reader.ServeAsync(all, tree, gzip: false, enough, CancellationToken.None))!.Value;
        using Served second = (await reader.ServeAsync(all, tree, gzip: false, enough, CancellationToken.None))!.Value;
        Assert.True(first.Bytes.Span == second.Bytes.Span);
        Assert.Equal(0, enough.Left);

        // A small part of it is a copy, so that its reader does not keep the rest alive.
        using Served copy = (await reader.ServeAsync(few, tree, gzip: false, none, CancellationToken.None))!.Value;
        Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(copy.Bytes, out ArraySegment<byte> own));
        Assert.Equal(copy.Bytes.Length, own.Array!.Length);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1024 * 1024)]
    public async Task A05_the_first_entries_of_a_bundle_keep_no_more_alive_than_they_are(int hotBytes)
    {
        MemoryStore store = new();
        store.GrowBy(600);
        TileReader reader = new(store, hotBytes);
        TreeSnapshot tree = store.Snapshot();
        foreach (TilePath path in (TilePath[])[new(TilePath.EntriesLevel, 1, 3), new(TilePath.EntriesLevel, 2, 3), new(TilePath.EntriesLevel, 2, 88)])
        {
            ReadOnlyMemory<byte> bytes = (await reader.GetAsync(path, tree, CancellationToken.None))!.Value;
            Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(bytes, out ArraySegment<byte> memory));
            Assert.Equal(bytes.Length, memory.Array!.Length);
            Assert.True(EntryBundle.TryCount(bytes.Span, out int count));
            Assert.Equal(path.Width, count);
        }
    }

    /// <summary>A tree in memory, sealed like the sequencer does it, that counts what is read.</summary>
    private sealed class MemoryStore : ITileStore
    {
        private readonly RightEdge _edge = new();
        private readonly Dictionary<(int Level, long Index), ReadOnlyMemory<byte>> _full = [];
        private readonly List<byte> _open = [];

        public List<Hash> Leaves { get; } = [];

        public int Reads { get; set; }

        public int Asked { get; private set; }

        public bool Damaged { get; set; }

        /// <summary>Holds each read until it is done.</summary>
        public TaskCompletionSource? Gate { get; init; }

        public long Size => _edge.Size;

        public long SegmentCount => Size / 256;

        public long DurableSegmentCount => SegmentCount;

        /// <param name="entries">How many.</param>
        /// <param name="size">Bytes of each; 0 for 1 to 8.</param>
        public void GrowBy(int entries, int size = 0)
        {
            List<FullTile> completed = [];
            for (int i = 0; i < entries; i++)
            {
                byte[] entry = size > 0 ? new byte[size] : BitConverter.GetBytes(_edge.Size)[..(1 + ((int)_edge.Size % 8))];
                if (size > 0) BitConverter.TryWriteBytes(entry, _edge.Size);
                Leaves.Add(MerkleHash.Leaf(entry));
                byte[] encoded = new byte[EntryBundle.EncodedSize(entry.Length)];
                EntryBundle.Write(entry, encoded);
                _open.AddRange(encoded);
                _edge.Append(Leaves[^1], completed);
                foreach (FullTile tile in completed) _full[(tile.Level, tile.Index)] = tile.Hashes;
                if (completed.Count > 0)
                {
                    _full[(TilePath.EntriesLevel, completed[0].Index)] = _open.ToArray();
                    _open.Clear();
                }

                completed.Clear();
            }
        }

        public TreeSnapshot Snapshot() => new(_edge.Size, _edge.Root(), [.. Enumerable.Range(0, 8).Select(_edge.PartialTile)], _open.ToArray());

        public Hash[] Build(ProofPlan plan)
        {
            Assert.True(plan.TryBuild(path => _full.TryGetValue((path.Level, path.Index), out ReadOnlyMemory<byte> full) ? full[..(path.Width * 32)] : _edge.PartialTile(path.Level)[..(path.Width * 32)], out Hash[] proof));
            return proof;
        }

        public byte[] Peek(TilePath path)
        {
            ReadOnlySpan<byte> full = _full[(path.Level, path.Index)].Span;
            return full[..(path.IsEntries ? EntryBundle.PrefixLength(full, path.Width) : path.Width * 32)].ToArray();
        }

        public async ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, CancellationToken stop)
        {
            Reads++;
            if (Gate is not null) await Gate.Task;
            if (Damaged) throw new DamageException(new Damage("storage", "segments", path.Index, null, "a CRC", "another"));
            return _full.ContainsKey((path.Level, path.Index)) ? Peek(path).AsMemory() : default(ReadOnlyMemory<byte>?);
        }

        public ValueTask<long?> GetBundleSizeAsync(long number, CancellationToken stop)
        {
            Asked++;
            return ValueTask.FromResult<long?>(_full.TryGetValue((TilePath.EntriesLevel, number), out ReadOnlyMemory<byte> full) ? full.Length : null);
        }

        public ValueTask<Hash> GetRootAsync(int level, long index, CancellationToken stop) => throw new NotSupportedException();

        public ValueTask PutSegmentAsync(SealedSegment segment, CancellationToken stop) => throw new NotSupportedException();

        public ValueTask PutUpperTileAsync(FullTile tile, CancellationToken stop) => throw new NotSupportedException();

        public void ThrowIfFailed()
        {
        }

        public ValueTask FlushAsync(CancellationToken stop) => ValueTask.CompletedTask;

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
