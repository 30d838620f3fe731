using System.Text.Json;

namespace TransparencyLog.Tests.Core;

/// <summary>The vectors of transparency-dev/merkle: proofs that hold and proofs that must not.</summary>
public sealed class MerkleVectorTests
{
    [Fact]
    public void Inclusion_vectors_47_of_which_44_fail()
    {
        (int cases, int failing) = (0, 0);
        foreach (JsonElement c in Vectors.Json("merkle/inclusion.json").EnumerateArray())
        {
            bool wantErr = c.GetProperty("wantErr").GetBoolean();
            bool holds = TryHash(c.GetProperty("leafHash"), out Hash leaf)
                & TryHash(c.GetProperty("root"), out Hash root)
                & TryHashes(c.GetProperty("proof"), out Hash[] proof)
                && TrySize(c.GetProperty("leafIdx"), out long index)
                && TrySize(c.GetProperty("treeSize"), out long size)
                && MerkleProof.VerifyInclusion(leaf, index, size, proof, root);
            Assert.True(holds == !wantErr, c.GetProperty("file").GetString());
            cases++;
            if (wantErr) failing++;
        }

        Assert.Equal((47, 44), (cases, failing));
    }

    [Fact]
    public void Consistency_vectors_57_of_which_53_fail()
    {
        (int cases, int failing, int skipped) = (0, 0, 0);
        foreach (JsonElement c in Vectors.Json("merkle/consistency.json").EnumerateArray())
        {
            string file = c.GetProperty("file").GetString()!;
            bool wantErr = c.GetProperty("wantErr").GetBoolean();
            cases++;
            if (wantErr) failing++;

            // Its two roots are equal, and are 12-byte placeholders: a verifier typed to 32 bytes cannot say yes.
            bool rootsAreHashes = TryHash(c.GetProperty("root1"), out Hash root1) & TryHash(c.GetProperty("root2"), out Hash root2);
            if (file.EndsWith("/sizes-are-equal-one-and-proof-is-empty.json", StringComparison.Ordinal))
            {
                Assert.False(rootsAreHashes);
                skipped++;
                continue;
            }

            bool holds = rootsAreHashes
                && TryHashes(c.GetProperty("proof"), out Hash[] proof)
                && TrySize(c.GetProperty("size1"), out long from)
                && TrySize(c.GetProperty("size2"), out long to)
                && MerkleProof.VerifyConsistency(from, to, root1, root2, proof);
            Assert.True(holds == !wantErr, file);
        }

        Assert.Equal((57, 53, 1), (cases, failing, skipped));
    }

    [Fact]
    public void ST04_subtree_inclusion_vectors_78_of_which_72_fail()
    {
        (int cases, int failing) = (0, 0);
        foreach (JsonElement c in Vectors.Json("merkle/subtree-inclusion.json").EnumerateArray())
        {
            bool wantErr = c.GetProperty("wantErr").GetBoolean();
            bool holds = TryHash(c.GetProperty("leafHash"), out Hash leaf)
                & TryHash(c.GetProperty("root"), out Hash root)
                & TryHashes(c.GetProperty("proof"), out Hash[] proof)
                && TrySize(c.GetProperty("leafIdx"), out long index)
                && TrySize(c.GetProperty("start"), out long start)
                && TrySize(c.GetProperty("end"), out long end)
                && SubtreeProof.VerifyInclusion(leaf, index, start, end, proof, root);
            Assert.True(holds == !wantErr, c.GetProperty("file").GetString());
            cases++;
            if (wantErr) failing++;
        }

        Assert.Equal((78, 72), (cases, failing));
    }

    /// <summary>Those of six empty subtrees hold from -05 of the draft on; in -03, which witnesses follow, an empty subtree is invalid.</summary>
    [Fact]
    public void ST04_subtree_consistency_vectors_53_of_which_44_fail_and_6_are_of_empty_subtrees()
    {
        (int cases, int failing, int empty, int skipped) = (0, 0, 0, 0);
        foreach (JsonElement c in Vectors.Json("merkle/subtree-consistency.json").EnumerateArray())
        {
            string file = c.GetProperty("file").GetString()!;
            bool wantErr = c.GetProperty("wantErr").GetBoolean();
            cases++;
            if (wantErr) failing++;
            bool rootsAreHashes = TryHash(c.GetProperty("root1"), out Hash subtree) & TryHash(c.GetProperty("root2"), out Hash root);
            if (file.EndsWith("/sizes-are-equal-one-and-proof-is-empty.json", StringComparison.Ordinal))
            {
                Assert.False(rootsAreHashes);
                skipped++;
                continue;
            }

            bool isEmpty = c.GetProperty("start").GetUInt64() == c.GetProperty("end").GetUInt64();
            if (isEmpty && !wantErr) empty++;
            bool holds = rootsAreHashes
                && TryHashes(c.GetProperty("proof"), out Hash[] proof)
                && TrySize(c.GetProperty("start"), out long start)
                && TrySize(c.GetProperty("end"), out long end)
                && TrySize(c.GetProperty("size"), out long size)
                && SubtreeProof.VerifyConsistency(start, end, size, subtree, root, proof);
            Assert.True(holds == (!wantErr && !isEmpty), file);
        }

        Assert.Equal((53, 44, 6, 1), (cases, failing, empty, skipped));
    }

    [Fact]
    public void The_tree_of_eight_leaves_has_the_known_hashes_at_every_level_and_size()
    {
        JsonElement tree = Vectors.Json("merkle/rfc6962-tree8.json");
        Hash[] leaves = [.. Strings(tree.GetProperty("leafInputs")).Select(hex => MerkleHash.Leaf(Convert.FromHexString(hex)))];
        string[][] levels = [.. tree.GetProperty("nodeHashesByLevel").EnumerateArray().Select(Strings)];
        string[] roots = Strings(tree.GetProperty("rootHashesSize1to8"));
        Assert.Equal((8, 4, 8), (leaves.Length, levels.Length, roots.Length));
        Assert.Equal(tree.GetProperty("emptyRoot").GetString(), MerkleHash.Empty.ToHex());

        Hash[] level = leaves;
        foreach (string[] expected in levels)
        {
            Assert.Equal(expected, level.Select(hash => hash.ToHex()));
            Hash[] above = new Hash[level.Length / 2];
            if (above.Length > 0) MerkleHash.Nodes(level, above);
            level = above;
        }

        RightEdge edge = new();
        for (int size = 1; size <= 8; size++)
        {
            edge.Append(leaves[size - 1], null);
            Assert.Equal(roots[size - 1], edge.Root().ToHex());
            Assert.Equal(roots[size - 1], MerkleHash.Root(leaves.AsSpan(0, size)).ToHex());
        }
    }

    private static string[] Strings(JsonElement list) => [.. list.EnumerateArray().Select(e => e.GetString()!)];

    private static bool TryHash(JsonElement base64, out Hash hash) =>
        Hash.TryRead(base64.ValueKind == JsonValueKind.Null ? [] : base64.GetBytesFromBase64(), out hash);

    private static bool TryHashes(JsonElement list, out Hash[] hashes)
    {
        JsonElement[] elements = list.ValueKind == JsonValueKind.Null ? [] : [.. list.EnumerateArray()];
        hashes = new Hash[elements.Length];
        bool all = true;
        for (int i = 0; i < hashes.Length; i++) all &= TryHash(elements[i], out hashes[i]);
        return all;
    }

    /// <summary>The vectors count in 64 bits without sign. What is above 2^63-1 is no size here, and cannot verify.</summary>
    private static bool TrySize(JsonElement number, out long size)
    {
        ulong value = number.GetUInt64();
        size = (long)value;
        return value <= long.MaxValue;
    }
}
