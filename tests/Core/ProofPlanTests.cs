namespace TransparencyLog.Tests.Core;

public sealed class ProofPlanTests
{
    private const int Seed = 20260804;

    [Fact]
    public void Proofs_in_trees_of_any_size_up_to_the_largest_are_built_from_few_tiles_and_verify()
    {
        Random random = new(Seed);
        List<(long Index, long Size)> cases =
        [
            (0, long.MaxValue), (2, long.MaxValue), (long.MaxValue - 1, long.MaxValue), ((1L << 62) - 1, 1L << 62), (1L << 62, (1L << 62) + 1),
        ];
        while (cases.Count < 400)
        {
            long size = Math.Max(1, random.NextInt64() >> random.Next(63));
            cases.Add((Math.Min(size - 1, random.NextInt64(size) >> random.Next(63)), size));
        }

        foreach ((long index, long size) in cases)
        {
            string what = $"seed {Seed}: {index} of {size}";
            Hash root = EqualLeaves.Root(size);
            Assert.Equal([root], Build(ProofPlan.Root(size), size, what));
            Assert.Equal(root, RightEdge.Restore(size, EqualLeaves.PartialTiles(size)).Root());

            Hash[] inclusion = Build(ProofPlan.Inclusion(index, size), size, what);
            Assert.Equal(MerkleProof.InclusionLength(index, size), inclusion.Length);
            Assert.InRange(inclusion.Length, 0, MerkleProof.MaxLength);
            Assert.True(MerkleProof.VerifyInclusion(EqualLeaves.Subtree(0), index, size, inclusion, root), what);
            Assert.False(MerkleProof.VerifyInclusion(EqualLeaves.Subtree(0), index, size, [.. inclusion, root], root), what);

            long from = index + 1;
            Hash[] consistency = Build(ProofPlan.Consistency(from, size), size, what);
            Assert.InRange(consistency.Length, 0, size <= 1L << 62 ? MerkleProof.MaxLength : MerkleProof.MaxLength + 1);
            Assert.True(MerkleProof.VerifyConsistency(from, size, EqualLeaves.Root(from), root, consistency), what);
            Assert.False(MerkleProof.VerifyConsistency(from, size, EqualLeaves.Root(from), root, [.. consistency, root]), what);
        }
    }

    [Fact]
    public void A_plan_names_each_tile_once_with_its_width_in_that_tree()
    {
        Assert.Equal(["tile/0/000.p/1"], Names(ProofPlan.Root(1)));
        Assert.Equal(["tile/2/000.p/1", "tile/1/001.p/17", "tile/0/273.p/112"], Names(ProofPlan.Root(70_000)));
        Assert.Equal(["tile/1/000.p/1"], Names(ProofPlan.Root(256)));
        Assert.Equal(["tile/0/000"], Names(ProofPlan.Inclusion(5, 256)));
        Assert.Equal(["tile/0/000", "tile/0/001.p/1"], Names(ProofPlan.Inclusion(5, 257)).Order(StringComparer.Ordinal));
        Assert.Equal(
            ["tile/0/000", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17"],
            Names(ProofPlan.Inclusion(5, 70_000)).Order(StringComparer.Ordinal));
        Assert.Empty(ProofPlan.Inclusion(0, 1).Tiles);
    }

    [Fact]
    public void The_empty_proofs_need_no_tile()
    {
        foreach ((long from, long to) in new[] { (0L, 0L), (0, 1), (0, 1000), (7, 7), (0, long.MaxValue), (long.MaxValue, long.MaxValue) })
        {
            ProofPlan plan = ProofPlan.Consistency(from, to);
            Assert.Empty(plan.Tiles);
            Assert.True(plan.TryBuild(_ => throw new InvalidOperationException("asked for a tile"), out Hash[] proof));
            Assert.Empty(proof);
        }

        Assert.Empty(ProofPlan.Root(0).Tiles);
        Assert.True(ProofPlan.Root(0).TryBuild(_ => default, out Hash[] root));
        Assert.Equal([MerkleHash.Empty], root);
    }

    [Fact]
    public void A_tile_of_another_length_than_planned_makes_no_proof()
    {
        GrownTree tree = GrownTree.Of(700);
        foreach (ProofPlan plan in new[] { ProofPlan.Inclusion(300, 700), ProofPlan.Consistency(300, 700), ProofPlan.Root(700) })
        {
            foreach (TilePath bad in plan.Tiles)
            {
                foreach (int change in new[] { -1, 1, -32, 32, -bad.Width * 32 })
                {
                    byte[] bytes = new byte[(bad.Width * 32) + change];
                    Assert.False(plan.TryBuild(tile => tile == bad ? bytes : tree.Tile(tile), out Hash[] proof));
                    Assert.Empty(proof);
                }
            }

            Assert.True(plan.TryBuild(tree.Tile, out _));
        }
    }

    [Fact]
    public void Inner_hashes_of_missing_or_narrower_tiles_make_no_proof()
    {
        GrownTree tree = GrownTree.Of(700);
        foreach (ProofPlan plan in new[] { ProofPlan.Inclusion(300, 700), ProofPlan.Consistency(300, 700), ProofPlan.Root(700) })
        {
            TileTree[] trees = [.. plan.Tiles.Select(tile => new TileTree(tree.Tile(tile)))];
            Assert.True(plan.TryBuild(trees, out Hash[] proof));
            Assert.Equal(tree.Build(plan), proof);
            Assert.False(plan.TryBuild(trees.AsSpan(1), out proof));
            Assert.Empty(proof);
            Assert.False(plan.TryBuild([.. trees, trees[0]], out _));
            for (int i = 0; i < trees.Length; i++)
            {
                TileTree?[] bad = [.. trees];
                bad[i] = null;
                Assert.False(plan.TryBuild(bad!, out proof));
                if (plan.Tiles[i].Width == 1) continue;
                bad[i] = new TileTree(tree.Tile(new TilePath(plan.Tiles[i].Level, plan.Tiles[i].Index, plan.Tiles[i].Width - 1)));
                Assert.False(plan.TryBuild(bad!, out proof));
                Assert.Empty(proof);
            }
        }
    }

    [Fact]
    public void A_wrong_bit_in_any_planned_tile_makes_a_proof_that_does_not_verify_or_is_not_used()
    {
        Random random = new(Seed);
        GrownTree tree = GrownTree.Of(700);
        Hash root = tree.Edge.Root();
        int refused = 0;
        for (int i = 0; i < 500; i++)
        {
            int index = random.Next(700);
            ProofPlan plan = ProofPlan.Inclusion(index, 700);
            TilePath bad = plan.Tiles[random.Next(plan.Tiles.Count)];
            byte[] bytes = tree.Tile(bad).ToArray();
            bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            Assert.True(plan.TryBuild(tile => tile == bad ? bytes : tree.Tile(tile), out Hash[] proof));
            bool same = proof.SequenceEqual(tree.Build(plan));
            Assert.Equal(same, MerkleProof.VerifyInclusion(tree.Leaves[index], index, 700, proof, root));
            if (!same) refused++;
        }

        Assert.InRange(refused, 1, 500);
    }

    [Fact]
    public void Sizes_out_of_range_cannot_be_planned()
    {
        (long, long)[] wrong = [(-1, 1), (0, 0), (1, 1), (2, 1), (0, -1), (long.MaxValue, long.MaxValue), (long.MinValue, long.MaxValue)];
        foreach ((long index, long size) in wrong)
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => ProofPlan.Inclusion(index, size));
            Assert.Throws<ArgumentOutOfRangeException>(() => MerkleProof.InclusionLength(index, size));
        }

        foreach ((long from, long to) in new[] { (-1L, 1L), (2, 1), (0, -1), (-2, -1), (long.MaxValue, 1) })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => ProofPlan.Consistency(from, to));
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => ProofPlan.Root(-1));
    }

    private static string[] Names(ProofPlan plan) => [.. plan.Tiles.Select(tile => tile.ToString())];

    internal static Hash[] Build(ProofPlan plan, long size, string what)
    {
        Assert.Equal(plan.Tiles.Count, plan.Tiles.Distinct().Count());
        Assert.All(plan.Tiles, tile => Assert.Equal(TilePath.WidthAt(tile.Level, tile.Index, size), tile.Width));
        Assert.All(plan.Tiles.CountBy(tile => tile.Level), level => Assert.InRange(level.Value, 1, 2));
        List<TilePath> asked = [];
        bool built = plan.TryBuild(
            tile =>
            {
                asked.Add(tile);
                return EqualLeaves.Tile(tile);
            },
            out Hash[] proof);
        Assert.True(built, what);

        // The same proof by looking up inner hashes, from tiles as planned and from wider ones.
        TileTree[] trees = [.. plan.Tiles.Select(tile => new TileTree(EqualLeaves.Tile(tile)))];
        Assert.True(plan.TryBuild(trees, out Hash[] again), what);
        Assert.Equal(proof, again);
        Assert.True(plan.TryBuild([.. plan.Tiles.Select(tile => new TileTree(EqualLeaves.Tile(new TilePath(tile.Level, tile.Index))))], out again), what);
        Assert.Equal(proof, again);
        Assert.Equal(plan.Tiles, asked);
        return proof;
    }
}
