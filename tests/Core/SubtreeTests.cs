namespace TransparencyLog.Tests.Core;

/// <summary>
/// Every valid subtree of every tree of up to 66 leaves, every proof of it, and every proof broken in every simple way; then subtrees of trees of any size.
/// </summary>
public sealed class SubtreeTests
{
    private const int Max = 66;
    private const int Seed = 20261121;

    private static readonly GrownTree Tree = GrownTree.Of(Max);
    private static readonly Rfc6962 Rfc = new(Tree.Leaves);

    /// <summary>start &lt; end, and start is a multiple of the smallest power of two that is not below end - start, counted up from 1.</summary>
    private static bool IsValidByCounting(long start, long end)
    {
        if (start < 0 || start >= end) return false;
        System.Numerics.BigInteger ceil = 1;
        while (ceil < end - start) ceil *= 2;
        return start % ceil == 0;
    }

    private static IEnumerable<(int Start, int End, int Size)> All() =>
        from size in Enumerable.Range(1, Max) from start in Enumerable.Range(0, size) from end in Enumerable.Range(start + 1, size - start) where SubtreeProof.IsValid(start, end) select (start, end, size);

    [Fact]
    public void ST01_a_subtree_is_valid_where_its_start_is_a_multiple_of_its_size_rounded_up_to_a_power_of_two()
    {
        int valid = 0;
        for (int start = -2; start <= Max; start++)
        {
            for (int end = -2; end <= Max; end++)
            {
                Assert.Equal(IsValidByCounting(start, end), SubtreeProof.IsValid(start, end));
                if (SubtreeProof.IsValid(start, end)) valid++;
            }
        }

        Assert.InRange(valid, Max, Max * Max);
    }

    [Fact]
    public void ST01_TW63_the_largest_numbers_overflow_nothing()
    {
        long[] edges = [.. Enumerable.Range(0, 63).SelectMany(bit => new[] { (1L << bit) - 1, 1L << bit, (1L << bit) + 1 }), long.MaxValue - 1, long.MaxValue, -1, long.MinValue];
        foreach (long start in edges)
        {
            foreach (long end in edges) Assert.True(IsValidByCounting(start, end) == SubtreeProof.IsValid(start, end), $"[{start}, {end})");
        }

        Assert.True(SubtreeProof.IsValid(0, long.MaxValue));
        Assert.True(SubtreeProof.IsValid(1L << 62, long.MaxValue));
        Assert.False(SubtreeProof.IsValid(1L << 61, long.MaxValue));
        Assert.False(SubtreeProof.IsValid(1, long.MaxValue));
    }

    [Fact]
    public void ST02_ST03_the_proof_of_every_subtree_of_every_tree_up_to_66_is_that_of_the_draft_and_holds()
    {
        int proofs = 0;
        foreach ((int start, int end, int size) in All())
        {
            Hash subtree = Rfc.Subtree(start, end);
            Hash[] proof = Tree.Build(ProofPlan.SubtreeConsistency(start, end, size));
            Assert.Equal(Rfc.SubtreeProof(start, end, size), proof);
            Assert.Equal([subtree], Tree.Build(ProofPlan.Subtree(start, end, size)));
            Assert.True(SubtreeProof.VerifyConsistency(start, end, size, subtree, Rfc.Root(size), proof), $"[{start}, {end}) of {size}");
            proofs++;
        }

        Assert.InRange(proofs, 5_000, 20_000);
    }

    [Fact]
    public void ST02_from_zero_it_is_the_consistency_proof_and_of_one_leaf_the_inclusion_proof()
    {
        for (int size = 1; size <= Max; size++)
        {
            for (int i = 0; i < size; i++)
            {
                Assert.Equal(Rfc.Proof(i + 1, size), Tree.Build(ProofPlan.SubtreeConsistency(0, i + 1, size)));
                Assert.Equal(Rfc.Path(i, size), Tree.Build(ProofPlan.SubtreeConsistency(i, i + 1, size)));
                // And so the verifiers take each other's proofs.
                Assert.True(MerkleProof.VerifyConsistency(i + 1, size, Rfc.Root(i + 1), Rfc.Root(size), Tree.Build(ProofPlan.SubtreeConsistency(0, i + 1, size))));
                Assert.True(SubtreeProof.VerifyConsistency(i, i + 1, size, Tree.Leaves[i], Rfc.Root(size), [.. Rfc.Path(i, size)]));
                Assert.True(SubtreeProof.VerifyConsistency(0, i + 1, size, Rfc.Root(i + 1), Rfc.Root(size), [.. Rfc.Proof(i + 1, size)]));
            }
        }
    }

    [Fact]
    public void ST03_a_proof_that_is_broken_in_any_simple_way_is_refused_for_every_subtree_up_to_66()
    {
        foreach ((int start, int end, int size) in All())
        {
            string what = $"[{start}, {end}) of {size}";
            (Hash subtree, Hash root) = (Rfc.Subtree(start, end), Rfc.Root(size));
            Hash[] proof = [.. Rfc.SubtreeProof(start, end, size)];
            foreach ((string how, Hash[] broken) in SmallTreeTests.Broken(proof, subtree, start + size)) Assert.False(SubtreeProof.VerifyConsistency(start, end, size, subtree, root, broken), $"{what}: {how}");
            Assert.False(SubtreeProof.VerifyConsistency(start, end, size, SmallTreeTests.Flip(subtree, end), root, proof), what);
            Assert.False(SubtreeProof.VerifyConsistency(start, end, size, subtree, SmallTreeTests.Flip(root, end), proof), what);
            Assert.False(SubtreeProof.VerifyConsistency(start, end, end - 1, subtree, root, proof), what);
            foreach (int wrong in new[] { start - 1, start + 1, end })
            {
                if (SubtreeProof.IsValid(wrong, end)) Assert.False(SubtreeProof.VerifyConsistency(wrong, end, size, Rfc.Subtree(wrong, end), root, proof), $"{what}, from {wrong}");
                else Assert.False(SubtreeProof.VerifyConsistency(wrong, end, size, subtree, root, proof), $"{what}, from {wrong}");
            }

            // The subtree beside it, with this one's proof: whoever shows another interval shows other leaves.
            (int next, int behind) = (end, end + (end - start));
            if (behind <= size && SubtreeProof.IsValid(next, behind)) Assert.False(SubtreeProof.VerifyConsistency(next, behind, size, subtree, root, proof), $"{what}, as [{next}, {behind})");
        }
    }

    [Fact]
    public void ST03_every_leaf_of_every_subtree_up_to_66_has_its_inclusion_proof_there_and_no_other()
    {
        foreach ((int start, int end, int size) in All().Where(one => one.Size % 11 == 0))
        {
            Hash subtree = Rfc.Subtree(start, end);
            for (int index = start; index < end; index++)
            {
                Hash[] proof = Tree.Build(ProofPlan.SubtreeInclusion(index, start, end, size));
                Hash leaf = Tree.Leaves[index];
                Assert.True(SubtreeProof.VerifyInclusion(leaf, index, start, end, proof, subtree));
                Assert.False(SubtreeProof.VerifyInclusion(SmallTreeTests.Flip(leaf, index), index, start, end, proof, subtree));
                Assert.False(SubtreeProof.VerifyInclusion(leaf, index ^ 1, start, end, proof, subtree));
                Assert.False(SubtreeProof.VerifyInclusion(leaf, index, start, end, [.. proof, leaf], subtree));
            }

            foreach (int outside in new[] { start - 1, end }) Assert.False(SubtreeProof.VerifyInclusion(Tree.Leaves[start], outside, start, end, [], subtree));
        }
    }

    [Fact]
    public void Subtrees_of_trees_of_any_size_up_to_the_largest_are_proven_from_few_tiles()
    {
        Random random = new(Seed);
        List<(long Start, long End, long Size)> cases =
        [
            (0, long.MaxValue, long.MaxValue), (0, long.MaxValue - 1, long.MaxValue), (1L << 62, long.MaxValue, long.MaxValue), (1L << 62, long.MaxValue - 1, long.MaxValue), (long.MaxValue - 1, long.MaxValue, long.MaxValue),
            ((1L << 62) - 256, 1L << 62, long.MaxValue), (256, 511, 1000), (256, 512, 512), (65536, 65536 + 257, 70_000),
        ];
        while (cases.Count < 500)
        {
            long size = Math.Max(1, random.NextInt64() >> random.Next(63));
            long length = 1 + random.NextInt64(Math.Max(1, size >> random.Next(63)));
            long ceil = (long)Math.Min(1UL << 62, System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)length));
            long start = length > 1L << 62 ? 0 : random.NextInt64(size) / ceil * ceil;
            if (start + length <= size && start + length > 0) cases.Add((start, start + length, size));
        }

        foreach ((long start, long end, long size) in cases)
        {
            string what = $"seed {Seed}: [{start}, {end}) of {size}";
            Assert.True(SubtreeProof.IsValid(start, end), what);
            (Hash subtree, Hash root) = (EqualLeaves.Root(end - start), EqualLeaves.Root(size));
            Hash[] proof = ProofPlanTests.Build(ProofPlan.SubtreeConsistency(start, end, size), size, what);
            Assert.InRange(proof.Length, 0, MerkleProof.MaxLength + 1);
            Assert.True(SubtreeProof.VerifyConsistency(start, end, size, subtree, root, proof), what);
            Assert.False(SubtreeProof.VerifyConsistency(start, end, size, subtree, root, [.. proof, root]), what);
            Assert.Equal([subtree], ProofPlanTests.Build(ProofPlan.Subtree(start, end, size), size, what));
            Hash[] inclusion = ProofPlanTests.Build(ProofPlan.SubtreeInclusion(end - 1, start, end, size), size, what);
            Assert.True(SubtreeProof.VerifyInclusion(EqualLeaves.Subtree(0), end - 1, start, end, inclusion, subtree), what);
        }
    }

    [Fact]
    public void What_is_no_subtree_of_the_tree_cannot_be_planned_and_verifies_nothing()
    {
        (long, long, long)[] wrong = [(-1, 1, 2), (0, 0, 2), (1, 1, 2), (2, 1, 2), (1, 3, 4), (0, 3, 2), (2, 5, 8), (0, -1, 5), (long.MinValue, 1, 2), (0, 1, -1), (long.MaxValue, long.MinValue, 1)];
        foreach ((long start, long end, long size) in wrong)
        {
            Assert.ThrowsAny<ArgumentException>(() => ProofPlan.SubtreeConsistency(start, end, size));
            Assert.ThrowsAny<ArgumentException>(() => ProofPlan.Subtree(start, end, size));
            Assert.ThrowsAny<ArgumentException>(() => ProofPlan.SubtreeInclusion(start, start, end, size));
            Assert.False(SubtreeProof.VerifyConsistency(start, end, size, MerkleHash.Empty, MerkleHash.Empty, []));
        }

        Assert.ThrowsAny<ArgumentException>(() => ProofPlan.SubtreeInclusion(3, 4, 8, 8));
        Assert.ThrowsAny<ArgumentException>(() => ProofPlan.SubtreeInclusion(8, 4, 8, 8));
        Assert.False(SubtreeProof.VerifyConsistency(4, 7, long.MaxValue, default, default, new Hash[1000]));
        Assert.False(SubtreeProof.VerifyInclusion(default, 5, 4, 8, new Hash[1000], default));
    }

    [Fact]
    public void What_is_no_valid_subtree_includes_nothing_though_its_hashes_fit()
    {
        Hash left = MerkleHash.Leaf([1]), right = MerkleHash.Leaf([2]), both = MerkleHash.Node(left, right);
        Assert.True(SubtreeProof.VerifyInclusion(left, 2, 2, 4, [right], both));
        Assert.False(SubtreeProof.VerifyInclusion(left, 1, 1, 3, [right], both));
        Assert.False(SubtreeProof.VerifyInclusion(left, 3, 3, 5, [right], both));
    }

    [Fact]
    public void A_proof_without_its_first_node_is_refused()
    {
        // [0, 3) of 4: not a node of the tree, so the first hash is needed.
        Hash[] leaves = [.. Enumerable.Range(0, 4).Select(i => MerkleHash.Leaf([(byte)i]))];
        Hash three = MerkleHash.Root(leaves.AsSpan(0, 3)), four = MerkleHash.Root(leaves);
        Assert.True(SubtreeProof.VerifyConsistency(0, 3, 4, three, four, [leaves[2], leaves[3], MerkleHash.Node(leaves[0], leaves[1])]));
        Assert.False(SubtreeProof.VerifyConsistency(0, 3, 4, three, four, []));
    }
}
