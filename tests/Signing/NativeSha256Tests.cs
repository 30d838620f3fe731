using System.Security.Cryptography;

namespace TransparencyLog.Tests.Signing;

public sealed class NativeSha256Tests
{
    [Fact]
    public void The_hash_of_libcrypto_is_that_of_the_base_library_for_every_length_up_to_5000_and_from_many_threads()
    {
        Assert.True(TransparencyLog.Signing.NativeSha256.TryUse());
        byte[] bytes = RandomNumberGenerator.GetBytes(70_000);
        Parallel.For(0, 5000, length =>
        {
            Assert.Equal(SHA256.HashData([0, .. bytes.AsSpan(0, length)]), MerkleHash.Leaf(bytes.AsSpan(0, length)).ToArray());
        });
        Assert.Equal(SHA256.HashData([0, .. bytes.AsSpan(0, 65_535)]), MerkleHash.Leaf(bytes.AsSpan(0, 65_535)).ToArray());
    }
}
