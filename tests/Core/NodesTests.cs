using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;

namespace TransparencyLog.Tests.Core;

/// <summary>Nodes hashed many at once are those hashed one by one with the base library.</summary>
public sealed class NodesTests
{
    /// <summary>It tests itself, and what is wrong with it is slower and nothing else: nobody would notice.</summary>
    [Fact]
    public void Sixteen_at_once_are_used_wherever_the_processor_can() => Assert.Equal(Avx512F.IsSupported, Sha256Lanes.IsUsable);

    [Fact]
    public void Any_number_of_nodes_at_once_in_place_or_not_is_each_of_them_alone()
    {
        Random random = new(20261121);
        for (int pairs = 0; pairs <= 100; pairs++)
        {
            byte[] bytes = new byte[pairs * 64];
            random.NextBytes(bytes);
            if (pairs % 10 == 1) Array.Fill(bytes, (byte)0xff);
            if (pairs % 10 == 2) Array.Clear(bytes);
            Hash[] children = [.. Enumerable.Range(0, 2 * pairs).Select(i => new Hash(bytes.AsSpan(i * 32, 32)))];
            Hash[] expected = [.. Enumerable.Range(0, pairs).Select(i => new Hash(SHA256.HashData([0x01, .. bytes.AsSpan(i * 64, 64)])))];
            Hash[] parents = new Hash[pairs + 3];
            MerkleHash.Nodes(children, parents);
            Assert.Equal([.. expected, default, default, default], parents);
            MerkleHash.Nodes(children, children);
            Assert.Equal(expected, children[..pairs]);
        }
    }

    [Fact]
    public void Every_bit_of_every_lane_counts()
    {
        byte[] bytes = new byte[32 * 32];
        Hash[] before = Parents(bytes);
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Hash[] after = Parents(bytes);
            int lane = bit / 8 / 64;
            for (int i = 0; i < 16; i++) Assert.Equal(i != lane, before[i] == after[i]);
            Assert.Equal(new Hash(SHA256.HashData([0x01, .. bytes.AsSpan(lane * 64, 64)])), after[lane]);
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        static Hash[] Parents(byte[] bytes)
        {
            Hash[] parents = new Hash[16];
            MerkleHash.Nodes(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, Hash>(bytes), parents);
            return parents;
        }
    }
}
