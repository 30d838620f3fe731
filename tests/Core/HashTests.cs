using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog.Tests.Core;

public sealed class HashTests
{
    private const int Seed = 20260801;

    [Fact]
    public void TT06_empty_leaf_and_node_are_the_hashes_of_RFC_6962()
    {
        byte[] left = SHA256.HashData("left"u8);
        byte[] right = SHA256.HashData("right"u8);
        Assert.Equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", MerkleHash.Empty.ToHex());
        Assert.Equal("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", MerkleHash.Leaf([]).ToHex());
        Assert.Equal(SHA256.HashData([1, .. left, .. right]), MerkleHash.Node(new Hash(left), new Hash(right)).ToArray());
        foreach (int length in new[] { 1, 254, 255, 256, 257, 65535, 100_000 })
        {
            byte[] entry = new byte[length];
            Array.Fill(entry, (byte)length);
            Assert.Equal(SHA256.HashData([0, .. entry]), MerkleHash.Leaf(entry).ToArray());
        }
    }

    [Fact]
    public void The_root_of_any_list_is_the_tree_hash_of_RFC_6962()
    {
        List<Hash> leaves = [.. Enumerable.Range(0, 600).Select(i => GrownTree.LeafAt(i))];
        Rfc6962 rfc = new(leaves);
        for (int size = 0; size <= leaves.Count; size++)
        {
            Assert.Equal(rfc.Root(size), MerkleHash.Root(leaves.ToArray().AsSpan(0, size)));
        }
    }

    [Fact]
    public void Nodes_hashes_pairs_also_in_place_and_refuses_an_odd_number()
    {
        Hash[] level = [.. Enumerable.Range(0, 10).Select(i => GrownTree.LeafAt(i))];
        Hash[] parents = new Hash[5];
        MerkleHash.Nodes(level, parents);
        for (int i = 0; i < 5; i++) Assert.Equal(MerkleHash.Node(level[2 * i], level[(2 * i) + 1]), parents[i]);
        MerkleHash.Nodes(level, level);
        Assert.Equal(parents, level[..5]);
        Assert.Throws<ArgumentException>(() => MerkleHash.Nodes(new Hash[3], new Hash[2]));
        Assert.Throws<ArgumentException>(() => MerkleHash.Nodes(new Hash[4], new Hash[1]));
    }

    [Fact]
    public void A_hash_has_32_bytes_and_no_other_number()
    {
        for (int length = 0; length <= 70; length++)
        {
            byte[] bytes = new byte[length];
            Array.Fill(bytes, (byte)7);
            Assert.Equal(length == 32, Hash.TryRead(bytes, out Hash hash));
            Assert.Equal(length == 32 ? bytes : new byte[32], hash.ToArray());
            if (length != 32) Assert.Throws<ArgumentException>(() => new Hash(bytes));
        }
    }

    [Fact]
    public void Equality_sees_every_bit()
    {
        byte[] bytes = SHA256.HashData("equal"u8);
        Hash hash = new(bytes);
        Assert.True(hash == new Hash(bytes) && hash.Equals((object)new Hash(bytes)) && hash.GetHashCode() == new Hash(bytes).GetHashCode());
        Assert.False(hash.Equals(new object()));
        for (int bit = 0; bit < 256; bit++)
        {
            byte[] other = [.. bytes];
            other[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(hash != new Hash(other) && !hash.Equals((object)new Hash(other)));
        }
    }

    [Fact]
    public void Base64_and_hexadecimal_read_what_they_write()
    {
        Random random = new(Seed);
        for (int i = 0; i < 1000; i++)
        {
            byte[] bytes = new byte[32];
            random.NextBytes(bytes);
            Hash hash = new(bytes);
            Assert.Equal(Convert.ToBase64String(bytes), hash.ToString());
            Assert.True(Hash.TryParseBase64(Encoding.ASCII.GetBytes(hash.ToBase64()), out Hash a) && a == hash, $"seed {Seed}, case {i}");
            Assert.True(Hash.TryParseHex(Encoding.ASCII.GetBytes(hash.ToHex()), out Hash b) && b == hash, $"seed {Seed}, case {i}");
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU")]
    [InlineData("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=")]
    [InlineData("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=")]
    [InlineData("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")]
    [InlineData(" 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU")]
    [InlineData("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==")]
    [InlineData("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA")]
    public void Any_other_base64_is_refused(string text)
    {
        Assert.False(Hash.TryParseBase64(Encoding.ASCII.GetBytes(text), out Hash hash));
        Assert.Equal(default, hash);
    }

    [Theory]
    [InlineData("")]
    [InlineData("E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85")]
    [InlineData("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85500")]
    [InlineData(" 3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    public void Any_other_hexadecimal_is_refused(string text)
    {
        Assert.False(Hash.TryParseHex(Encoding.ASCII.GetBytes(text), out Hash hash));
        Assert.Equal(default, hash);
    }
}
