namespace TransparencyLog.Tests.Core;

public sealed class MerkleProofTests
{
    [Theory]
    [InlineData(0, 1)]
    [InlineData(-1, 1)]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(4, 4)]
    [InlineData(5, 4)]
    public void There_are_two_roots_of_two_sizes_alone(long from, long to)
    {
        for (int hashes = 0; hashes < 4; hashes++) Assert.False(MerkleProof.TryRoots(from, to, new Hash[hashes], out _, out _));
    }
}
