using System.Security.Cryptography;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Signing;

public sealed class NativeSha256Tests
{
    [Fact]
    public void The_hash_of_libcrypto_is_that_of_the_base_library_for_every_length_up_to_5000_and_from_many_threads()
    {
        Assert.True(NativeSha256.TryUse());
        byte[] bytes = RandomNumberGenerator.GetBytes(70_000);
        Parallel.For(0, 5000, length =>
        {
            Assert.Equal(SHA256.HashData([0, .. bytes.AsSpan(0, length)]), MerkleHash.Leaf(bytes.AsSpan(0, length)).ToArray());
        });
        Assert.Equal(SHA256.HashData([0, .. bytes.AsSpan(0, 65_535)]), MerkleHash.Leaf(bytes.AsSpan(0, 65_535)).ToArray());
    }

    public static TheoryData<string> Missing => ["no library", "no function", "another machine's library", "another hash"];

    [Theory, MemberData(nameof(Missing))]
    public void Without_a_libcrypto_that_can_be_used_the_hashes_stay_what_they_are(string what)
    {
        // The base library's function by name, so that the selection made by another test does not stand in for it.
        Assert.True(MerkleHash.TryUse((input, hash) => SHA256.HashData(input, hash)));
        Assert.False(NativeSha256.TryUse((input, hash) =>
        {
            if (what == "no library") throw new DllNotFoundException(what);
            if (what == "no function") throw new EntryPointNotFoundException(what);
            if (what == "another machine's library") throw new BadImageFormatException(what);
            SHA256.HashData(input, hash);
            hash[^1] ^= 1;
        }));

        // RFC 6962: the tree of no leaves, and the tree of one empty leaf, of the vectors that everyone has.
        Assert.Equal("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", Convert.ToHexStringLower(MerkleHash.Leaf([]).ToArray()));
        Hash[] leaves = [.. Enumerable.Range(0, 130).Select(i => MerkleHash.Leaf([(byte)i]))];
        Hash[] slow = [.. Enumerable.Range(1, 130).Select(size => MerkleHash.Root(leaves.AsSpan(0, size)))];

        // And with libcrypto all trees are the same.
        Assert.True(NativeSha256.TryUse());
        for (int size = 1; size <= 130; size++) Assert.Equal(slow[size - 1], MerkleHash.Root([.. Enumerable.Range(0, size).Select(i => MerkleHash.Leaf([(byte)i]))]));
    }
}
