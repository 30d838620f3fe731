using System.Security.Cryptography;

namespace TransparencyLog.Tests.Core;

public sealed class MerkleHashTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(64)]
    [InlineData(1024)]
    [InlineData(65_536)]
    public void A_function_that_is_wrong_for_one_length_is_not_taken(int wrong)
    {
        void Planted(ReadOnlySpan<byte> input, Span<byte> hash)
        {
            SHA256.HashData(input, hash);
            if (input.Length == wrong) hash[31] ^= 1;
        }

        Assert.False(MerkleHash.TryUse(Planted));
        Assert.Equal(SHA256.HashData([0, 1, 2]), MerkleHash.Leaf([1, 2]).ToArray());
    }

    [Fact]
    public void A_function_that_looks_at_the_length_alone_or_does_nothing_is_not_taken()
    {
        Assert.False(MerkleHash.TryUse((input, hash) => SHA256.HashData(new byte[input.Length], hash)));
        Assert.False(MerkleHash.TryUse((_, _) => { }));
    }

    [Fact]
    public void A_function_that_is_right_hashes_from_then_on()
    {
        int called = 0;
        Assert.True(MerkleHash.TryUse((input, hash) =>
        {
            Interlocked.Increment(ref called);
            SHA256.HashData(input, hash);
        }));
        int before = Volatile.Read(ref called);
        Assert.Equal(SHA256.HashData([0, 1, 2]), MerkleHash.Leaf([1, 2]).ToArray());
        Assert.InRange(Volatile.Read(ref called), before + 1, int.MaxValue);
        Assert.True(MerkleHash.TryUse((input, hash) => SHA256.HashData(input, hash)));
    }
}
