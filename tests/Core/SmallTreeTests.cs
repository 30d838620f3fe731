namespace TransparencyLog.Tests.Core;

/// <summary>
/// Every tree of up to 130 leaves, every proof in it, and every proof broken in every simple way.
/// 130 is past a power of two on both sides: 127, 128, 129.
/// </summary>
public sealed class SmallTreeTests
{
    private const int Max = 130;

    private static readonly GrownTree Tree = GrownTree.Of(Max + 1);
    private static readonly Rfc6962 Rfc = new(Tree.Leaves);
    private static readonly Hash[] Roots = [.. Enumerable.Range(0, Max + 2).Select(Rfc.Root)];

    [Fact]
    public void Root_is_the_same_three_ways_for_every_tree_up_to_130()
    {
        GrownTree tree = new();
        for (int size = 0; size <= Max; size++)
        {
            tree.GrowTo(size);
            Assert.Equal(Roots[size], tree.Edge.Root());
            Assert.Equal([Roots[size]], tree.Build(ProofPlan.Root(size)));
            Assert.Equal([Roots[size]], Tree.Build(ProofPlan.Root(size)));
        }
    }

    [Fact]
    public void Inclusion_proof_holds_for_every_leaf_of_every_tree_up_to_130()
    {
        int proofs = 0;
        for (int size = 1; size <= Max; size++)
        {
            for (int index = 0; index < size; index++)
            {
                Hash[] proof = Tree.Build(ProofPlan.Inclusion(index, size));
                Assert.Equal(Rfc.Path(index, size), proof);
                Assert.Equal(proof.Length, MerkleProof.InclusionLength(index, size));
                Assert.True(Verify(index, size, proof));
                proofs++;
            }
        }

        Assert.Equal(Max * (Max + 1) / 2, proofs);
    }

    [Fact]
    public void Inclusion_proof_fails_when_broken_in_any_simple_way_in_every_tree_up_to_130()
    {
        for (int size = 1; size <= Max; size++)
        {
            for (int index = 0; index < size; index++)
            {
                Hash[] proof = [.. Rfc.Path(index, size)];
                string what = $"leaf {index} of {size}";
                foreach ((string how, Hash[] broken) in Broken(proof, Roots[size], index + size))
                {
                    Assert.False(Verify(index, size, broken), $"{what}: {how}");
                }

                Hash leaf = Tree.Leaves[index];
                Hash root = Roots[size];
                Assert.False(MerkleProof.VerifyInclusion(Flip(leaf, index), index, size, proof, root), what);
                Assert.False(MerkleProof.VerifyInclusion(leaf, index, size, proof, Flip(root, index)), what);
                foreach (long wrong in new[] { index - 1, index + 1, index ^ 1, -1, size, long.MinValue, long.MaxValue })
                {
                    if (wrong != index) Assert.False(MerkleProof.VerifyInclusion(leaf, wrong, size, proof, root), $"{what} as {wrong}");
                }

                // A wrong size with the root of this one: an inclusion proof does not always tell (0 of 3, 0 of 4), for the signature
                // of the checkpoint binds them. It must fail where the shape differs, and always with the root of the wrong size.
                foreach (int wrong in new[] { size - 1, size + 1 })
                {
                    Assert.False(MerkleProof.VerifyInclusion(leaf, index, wrong, proof, Roots[wrong]), $"{what} at {wrong}");
                    bool sameShape = index < wrong && MerkleProof.InclusionLength(index, wrong) == proof.Length;
                    if (!sameShape) Assert.False(MerkleProof.VerifyInclusion(leaf, index, wrong, proof, root), $"{what} at {wrong}");
                }

                foreach (long wrong in new[] { 0, -1, long.MinValue, long.MaxValue })
                {
                    Assert.False(MerkleProof.VerifyInclusion(leaf, index, wrong, proof, root), $"{what} at {wrong}");
                }
            }
        }
    }

    [Fact]
    public void Consistency_proof_holds_between_any_two_trees_up_to_130()
    {
        int proofs = 0;
        for (int to = 0; to <= Max; to++)
        {
            for (int from = 0; from <= to; from++)
            {
                Hash[] proof = Tree.Build(ProofPlan.Consistency(from, to));
                Assert.Equal(Rfc.Proof(from, to), proof);
                Assert.Equal(from == 0 || from == to, proof.Length == 0);
                Assert.True(MerkleProof.VerifyConsistency(from, to, Roots[from], Roots[to], proof), $"{from} to {to}");
                proofs++;
            }
        }

        Assert.Equal((Max + 1) * (Max + 2) / 2, proofs);
    }

    [Fact]
    public void Consistency_proof_fails_when_broken_in_any_simple_way_between_any_two_trees_up_to_130()
    {
        for (int to = 0; to <= Max; to++)
        {
            for (int from = 0; from <= to; from++)
            {
                Hash[] proof = [.. Rfc.Proof(from, to)];
                (Hash fromRoot, Hash toRoot) = (Roots[from], Roots[to]);
                string what = $"{from} to {to}";
                foreach ((string how, Hash[] broken) in Broken(proof, fromRoot, from + to))
                {
                    Assert.False(MerkleProof.VerifyConsistency(from, to, fromRoot, toRoot, broken), $"{what}: {how}");
                }

                Assert.False(MerkleProof.VerifyConsistency(from, to, Flip(fromRoot, to), toRoot, proof), what);
                if (from > 0)
                {
                    // From nothing, any root follows.
                    Assert.False(MerkleProof.VerifyConsistency(from, to, fromRoot, Flip(toRoot, to), proof), what);
                }

                if (from != to) Assert.False(MerkleProof.VerifyConsistency(from, to, toRoot, fromRoot, proof), what);
                foreach (int wrong in new[] { from - 1, from + 1 })
                {
                    // 0 needs no proof at all, and neither does a size to itself.
                    if (wrong < 0 || (proof.Length == 0 && (wrong == 0 || wrong == to))) continue;
                    Assert.False(MerkleProof.VerifyConsistency(wrong, to, Roots[wrong], toRoot, proof), $"{what}, from {wrong}");
                }

                foreach (int wrong in new[] { to - 1, to + 1 })
                {
                    if (wrong < 0 || (proof.Length == 0 && (from == 0 || wrong == from))) continue;
                    Assert.False(MerkleProof.VerifyConsistency(from, wrong, fromRoot, Roots[wrong], proof), $"{what}, to {wrong}");
                }

                foreach (long wrong in new[] { to + 1, -1, long.MinValue, long.MaxValue })
                {
                    Assert.False(MerkleProof.VerifyConsistency(wrong, to, fromRoot, toRoot, proof), $"{what}, from {wrong}");
                }

                foreach (long wrong in new[] { from - 1, -1, long.MinValue })
                {
                    Assert.False(MerkleProof.VerifyConsistency(from, wrong, fromRoot, toRoot, proof), $"{what}, to {wrong}");
                }

                if (from > 0) Assert.False(MerkleProof.VerifyConsistency(from, long.MaxValue, fromRoot, toRoot, proof), what);
            }
        }
    }

    [Fact]
    public void A_proof_of_a_thousand_hashes_is_refused()
    {
        Hash[] proof = new Hash[1000];
        Assert.False(MerkleProof.VerifyInclusion(default, 5, long.MaxValue, proof, default));
        Assert.False(MerkleProof.VerifyConsistency(5, long.MaxValue, default, default, proof));
        Assert.False(MerkleProof.VerifyConsistency(4, long.MaxValue, default, default, proof));
    }

    [Fact]
    public void A_proof_longer_than_its_tree_is_refused_even_when_the_roots_are_made_to_fit_it()
    {
        // The prover chooses all the hashes here: only the count of steps can tell.
        Hash more = MerkleHash.Leaf("more"u8);
        for (int to = 1; to <= Max; to++)
        {
            for (int from = 1; from <= to; from++)
            {
                Hash fromRoot = MerkleHash.Node(more, Roots[from]);
                Hash toRoot = MerkleHash.Node(more, Roots[to]);
                Assert.False(MerkleProof.VerifyConsistency(from, to, fromRoot, toRoot, [.. Rfc.Proof(from, to), more]), $"{from} to {to}");

                int index = from - 1;
                Hash[] inclusion = [.. Rfc.Path(index, to), more];
                Hash leaf = Tree.Leaves[index];
                Assert.False(MerkleProof.VerifyInclusion(leaf, index, to, inclusion, toRoot), $"leaf {index} of {to}");
                Hash right = MerkleHash.Node(Roots[to], more);
                Assert.False(MerkleProof.VerifyInclusion(leaf, index, to, inclusion, right), $"leaf {index} of {to}");
            }
        }
    }

    private static bool Verify(int index, int size, Hash[] proof) =>
        MerkleProof.VerifyInclusion(Tree.Leaves[index], index, size, proof, Roots[size]);

    /// <summary>Too long and too short by one at either end, one bit wrong in each hash, neighbours swapped.</summary>
    internal static IEnumerable<(string How, Hash[] Broken)> Broken(Hash[] proof, Hash other, int salt)
    {
        yield return ("a hash more at the end", [.. proof, other]);
        yield return ("a hash more at the start", [other, .. proof]);
        yield return ("the last hash twice", [.. proof, proof.Length == 0 ? default : proof[^1]]);
        if (proof.Length > 0)
        {
            yield return ("without the last hash", proof[..^1]);
            yield return ("without the first hash", proof[1..]);
        }

        for (int i = 0; i < proof.Length; i++)
        {
            Hash[] broken = [.. proof];
            broken[i] = Flip(broken[i], salt + (37 * i));
            yield return ($"a bit wrong in hash {i}", broken);
            if (i + 1 == proof.Length || proof[i] == proof[i + 1]) continue;
            broken = [.. proof];
            (broken[i], broken[i + 1]) = (broken[i + 1], broken[i]);
            yield return ($"hashes {i} and {i + 1} swapped", broken);
        }
    }

    internal static Hash Flip(in Hash hash, int bit)
    {
        byte[] bytes = hash.ToArray();
        bytes[bit % 256 / 8] ^= (byte)(1 << (bit % 8));
        return new Hash(bytes);
    }
}
