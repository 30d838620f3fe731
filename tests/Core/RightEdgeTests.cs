namespace TransparencyLog.Tests.Core;

public sealed class RightEdgeTests
{
    private const int Seed = 20260803;

    private static readonly int[] LargeSizes = [255, 256, 257, 511, 512, 513, 65279, 65280, 65281, 65535, 65536, 65537, 70_000];

    [Fact]
    public void Root_and_proofs_are_right_at_the_sizes_where_tiles_become_full()
    {
        Random random = new(Seed);
        GrownTree tree = GrownTree.Of(LargeSizes[^1]);
        Rfc6962 rfc = new(tree.Leaves);
        GrownTree growing = new();
        foreach (int size in LargeSizes)
        {
            growing.GrowTo(size);
            Hash root = rfc.Root(size);
            Assert.Equal(root, growing.Edge.Root());
            Assert.Equal([root], growing.Build(ProofPlan.Root(size)));
            Assert.Equal([root], tree.Build(ProofPlan.Root(size)));

            IEnumerable<int> chance = Enumerable.Range(0, 20).Select(_ => random.Next(size));
            int[] indexes = [0, 1, 254, size / 2, size - 2, size - 1, .. LargeSizes.Where(s => s < size), .. chance];
            foreach (int index in indexes)
            {
                string what = $"seed {Seed}: {index} of {size}";
                Hash[] inclusion = tree.Build(ProofPlan.Inclusion(index, size));
                Assert.Equal(rfc.Path(index, size), inclusion);
                Assert.Equal(MerkleProof.InclusionLength(index, size), inclusion.Length);
                Assert.True(MerkleProof.VerifyInclusion(tree.Leaves[index], index, size, inclusion, root), what);

                int from = index + 1;
                Hash[] consistency = growing.Build(ProofPlan.Consistency(from, size));
                Assert.Equal(rfc.Proof(from, size), consistency);
                Assert.True(MerkleProof.VerifyConsistency(from, size, rfc.Root(from), root, consistency), what);
            }
        }
    }

    [Fact]
    public void TT13_TT14_every_hash_above_level_0_is_the_tree_hash_of_a_full_tile_below()
    {
        RightEdge edge = new();
        List<FullTile> completed = [];
        Dictionary<int, List<Hash>> levels = new() { [0] = [], [1] = [], [2] = [] };
        for (int i = 0; i < 70_000; i++)
        {
            Hash leaf = GrownTree.LeafAt(i);
            levels[0].Add(leaf);
            int before = completed.Count;
            edge.Append(leaf, completed);

            // The lowest level first, and one for each level that the new size is a multiple of.
            int expected = (i + 1) % 65536 == 0 ? 2 : (i + 1) % 256 == 0 ? 1 : 0;
            Assert.Equal(expected, completed.Count - before);
            for (int level = 0; level < expected; level++)
            {
                FullTile tile = completed[before + level];
                Assert.Equal((level, (long)(i >> (8 * (level + 1))), 8192), (tile.Level, tile.Index, tile.Hashes.Length));
                Assert.Equal(MerkleHash.Root(levels[level].TakeLast(256).ToArray()), tile.Root);
                Assert.True(tile.Hashes.Span.SequenceEqual(Concat(levels[level].TakeLast(256))));
                levels[level + 1].Add(tile.Root);
            }
        }

        // Nothing was changed afterwards.
        foreach (FullTile tile in completed)
        {
            Assert.True(tile.Hashes.Span.SequenceEqual(Concat(levels[tile.Level].Skip((int)tile.Index * 256).Take(256))));
        }

        for (int level = 0; level <= 2; level++)
        {
            List<Hash> hashes = levels[level];
            Assert.True(edge.PartialTile(level).Span.SequenceEqual(Concat(hashes.Skip(hashes.Count / 256 * 256))));
        }
    }

    [Fact]
    public void TT18_a_tree_of_70000_has_273_full_tiles_one_above_and_the_partial_ones()
    {
        GrownTree tree = GrownTree.Of(70_000);
        Assert.Equal((273, 1, 0), (tree.FullTiles(0), tree.FullTiles(1), tree.FullTiles(2)));
        Assert.Equal(3, tree.Edge.Levels);
        Assert.Equal([112, 17, 1, 0], Enumerable.Range(0, 4).Select(level => tree.Edge.PartialTile(level).Length / 32));

        tree = GrownTree.Of(256);
        Assert.Equal((1, 0), (tree.FullTiles(0), tree.FullTiles(1)));
        Assert.Equal([0, 1, 0], Enumerable.Range(0, 3).Select(level => tree.Edge.PartialTile(level).Length / 32));
    }

    [Fact]
    public void Levels_counts_the_tile_levels_with_a_hash()
    {
        GrownTree tree = new();
        Assert.Equal(0, tree.Edge.Levels);
        foreach ((int size, int levels) in new[] { (1, 1), (255, 1), (256, 2), (65535, 2), (65536, 3) })
        {
            tree.GrowTo(size);
            Assert.Equal(levels, tree.Edge.Levels);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => tree.Edge.PartialTile(-1));
        Assert.True(tree.Edge.PartialTile(8).IsEmpty && tree.Edge.PartialTile(int.MaxValue).IsEmpty);
    }

    [Fact]
    public void A_snapshot_of_a_partial_tile_stays_as_it_was_while_the_tree_grows()
    {
        GrownTree tree = new();
        List<(ReadOnlyMemory<byte> Snapshot, byte[] Copy)> taken = [];
        for (int size = 1; size <= 1100; size++)
        {
            tree.GrowTo(size);
            for (int level = 0; level < 2; level++)
            {
                ReadOnlyMemory<byte> snapshot = tree.Edge.PartialTile(level);
                Assert.Equal(size >> (8 * level) & 255, snapshot.Length / 32);
                taken.Add((snapshot, snapshot.ToArray()));
            }
        }

        Assert.Equal(2200, taken.Count);
        foreach ((ReadOnlyMemory<byte> snapshot, byte[] copy) in taken) Assert.True(snapshot.Span.SequenceEqual(copy));
    }

    [Fact]
    public void Restored_at_any_size_up_to_1100_the_tree_continues_equally()
    {
        const int Max = 1100;
        const int Further = 300;
        Hash[] roots = new Hash[Max + Further + 1];
        GrownTree tree = new();
        for (int size = 0; size < roots.Length; size++)
        {
            tree.GrowTo(size);
            roots[size] = tree.Edge.Root();
        }

        for (int size = 0; size <= Max; size++)
        {
            RightEdge edge = RightEdge.Restore(size, tree.PartialTilesAt(size));
            Assert.Equal((size, roots[size]), (edge.Size, edge.Root()));
            ContinuesEqually(edge, tree, size + Further, at => roots[at]);
        }
    }

    [Fact]
    public void Restored_at_a_large_size_the_tree_continues_equally()
    {
        GrownTree tree = GrownTree.Of(LargeSizes[^1] + 300);
        Rfc6962 rfc = new(tree.Leaves);
        foreach (int size in LargeSizes)
        {
            RightEdge edge = RightEdge.Restore(size, tree.PartialTilesAt(size));
            Assert.Equal((size, rfc.Root(size)), (edge.Size, edge.Root()));
            ContinuesEqually(edge, tree, size + 300, rfc.Root);
        }
    }

    [Fact]
    public void Restore_copies_what_it_is_given()
    {
        GrownTree tree = GrownTree.Of(3);
        byte[] tile = tree.Edge.PartialTile(0).ToArray();
        RightEdge edge = RightEdge.Restore(3, [tile]);
        Array.Clear(tile);
        edge.Append(GrownTree.LeafAt(3), null);
        tree.GrowTo(4);
        Assert.Equal(tree.Edge.Root(), edge.Root());
        Assert.True(edge.PartialTile(0).Span.SequenceEqual(tree.Edge.PartialTile(0).Span));
    }

    [Fact]
    public void Restore_refuses_tiles_that_do_not_fit_the_size()
    {
        byte[] tile = new byte[8192];
        ReadOnlyMemory<byte> Hashes(int count) => tile.AsMemory(0, 32 * count);

        Assert.Equal(257, RightEdge.Restore(257, [Hashes(1), Hashes(1)]).Size);
        Assert.Equal(257, RightEdge.Restore(257, [Hashes(1), Hashes(1), Hashes(0), .. Enumerable.Repeat(Hashes(0), 20)]).Size);
        Assert.Equal(0, RightEdge.Restore(0, []).Size);
        Assert.Throws<ArgumentOutOfRangeException>(() => RightEdge.Restore(-1, []));
        List<ReadOnlyMemory<byte>>[] wrong =
        [
            [],
            [Hashes(1)],
            [Hashes(0), Hashes(1)],
            [Hashes(2), Hashes(1)],
            [Hashes(1), Hashes(2)],
            [Hashes(1), Hashes(1), Hashes(1)],
            [Hashes(1), Hashes(1), .. Enumerable.Repeat(Hashes(0), 20), Hashes(1)],
            [tile.AsMemory(0, 31), Hashes(1)],
            [tile.AsMemory(0, 33), Hashes(1)],
        ];
        foreach (List<ReadOnlyMemory<byte>> tiles in wrong) Assert.Throws<ArgumentException>(() => RightEdge.Restore(257, tiles));
        Assert.Throws<ArgumentException>(() => RightEdge.Restore(256, [Hashes(256), Hashes(1)]));
    }

    [Fact]
    public void The_largest_tree_is_full()
    {
        RightEdge edge = RightEdge.Restore(long.MaxValue - 1, EqualLeaves.PartialTiles(long.MaxValue - 1));
        List<FullTile> completed = [];
        edge.Append(EqualLeaves.Subtree(0), completed);
        Assert.Equal((long.MaxValue, 8, 0), (edge.Size, edge.Levels, completed.Count));
        Assert.Equal(EqualLeaves.Root(long.MaxValue), edge.Root());
        Assert.Equal("a tree has at most 2^63-1 leaves", Assert.Throws<InvalidOperationException>(() => edge.Append(EqualLeaves.Subtree(0), completed)).Message);
        Assert.Equal(EqualLeaves.Root(long.MaxValue), edge.Root());
    }

    [Fact]
    public void One_append_can_fill_a_tile_at_every_level()
    {
        const long Size = 1L << 56;
        RightEdge edge = RightEdge.Restore(Size - 1, EqualLeaves.PartialTiles(Size - 1));
        List<FullTile> completed = [];
        edge.Append(EqualLeaves.Subtree(0), completed);
        Assert.Equal(
            Enumerable.Range(0, 7).Select(level => (level, (Size - 1) >> (8 * (level + 1)))),
            completed.Select(tile => (tile.Level, tile.Index)));
        Assert.Equal(Enumerable.Range(1, 7).Select(level => EqualLeaves.Subtree(8 * level)), completed.Select(tile => tile.Root));
        Assert.Equal((8, 32, EqualLeaves.Root(Size)), (edge.Levels, edge.PartialTile(7).Length, edge.Root()));
    }

    /// <summary>Grows the edge with the leaves of the tree, and compares all it says on the way: root, full tiles, partial tiles.</summary>
    private static void ContinuesEqually(RightEdge edge, GrownTree tree, int to, Func<int, Hash> rootAt)
    {
        List<FullTile> completed = [];
        while (edge.Size < to)
        {
            edge.Append(tree.Leaves[(int)edge.Size], completed);

            // Every size for a while, then one in sixteen: the cost of the test is this root.
            if (edge.Size % 16 == 0 || edge.Size % 256 <= 1) Assert.Equal(rootAt((int)edge.Size), edge.Root());
        }

        Assert.Equal(rootAt(to), edge.Root());
        Assert.NotEmpty(completed);
        foreach (FullTile tile in completed)
        {
            Assert.True(tile.Hashes.Span.SequenceEqual(tree.Tile(new TilePath(tile.Level, tile.Index)).Span));
            Assert.Equal(tile.Root, MerkleHash.Root(tile.Hashes.Span));
        }

        List<ReadOnlyMemory<byte>> partial = tree.PartialTilesAt(to);
        Assert.Equal(partial.Count, edge.Levels);
        for (int level = 0; level < partial.Count; level++)
        {
            Assert.True(edge.PartialTile(level).Span.SequenceEqual(partial[level].Span));
        }
    }

    private static byte[] Concat(IEnumerable<Hash> hashes) => [.. hashes.SelectMany(hash => hash.ToArray())];
}
