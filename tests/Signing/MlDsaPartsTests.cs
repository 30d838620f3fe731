using System.Security.Cryptography;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Signing;

/// <summary>The parts of ML-DSA against plain arithmetic, and Keccak against the base library.</summary>
public sealed class MlDsaPartsTests
{
    private const int Q = MlDsaPolynomial.Q;

    [Fact]
    public void Every_residue_is_rounded_as_FIPS_204_says()
    {
        const int alpha = 2 * MlDsaPolynomial.Gamma2;
        for (int r = 0; r < Q; r++)
        {
            // Algorithm 35.
            int low = Centered(r, 1 << MlDsaPolynomial.D);
            if (MlDsaPolynomial.Power2Round(r) != ((r - low) >> MlDsaPolynomial.D, low)) Assert.Fail($"Power2Round of {r}");

            // Algorithm 36.
            low = Centered(r, alpha);
            (int High, int Low) expected = r - low == Q - 1 ? (0, low - 1) : ((r - low) / alpha, low);
            if (MlDsaPolynomial.Decompose(r) != expected) Assert.Fail($"Decompose of {r}");
        }
    }

    [Fact]
    public void A_hint_gives_the_high_bits_of_the_sum_back()
    {
        // What FIPS 204 section 7.4 says of the two: UseHint(MakeHint(z, r), r) = HighBits(r + z) for z up to gamma2 from 0.
        Random random = new(3);
        for (int i = 0; i < 1_000_000; i++)
        {
            int r = random.Next(Q);
            int z = random.Next(-MlDsaPolynomial.Gamma2, MlDsaPolynomial.Gamma2 + 1);
            int sum = (r + z + Q) % Q;
            int hint = MlDsaPolynomial.MakeHint(r, sum);
            Assert.Equal(MlDsaPolynomial.Decompose(r).High != MlDsaPolynomial.Decompose(sum).High ? 1 : 0, hint);
            if (MlDsaPolynomial.UseHint(hint != 0, r) != MlDsaPolynomial.Decompose(sum).High) Assert.Fail($"seed 3, r {r}, z {z}");
        }
    }

    [Fact]
    public void The_product_by_way_of_the_transform_is_the_product_modulo_X256_plus_1()
    {
        Random random = new(5);
        for (int round = 0; round < 50; round++)
        {
            int[] a = Polynomial(random, round), b = Polynomial(random, round + 1);
            long[] expected = new long[256];
            for (int i = 0; i < 256; i++)
            {
                for (int j = 0; j < 256; j++)
                {
                    long product = (long)a[i] * b[j] % Q;
                    int at = (i + j) % 256;
                    expected[at] = (expected[at] + (i + j < 256 ? product : -product)) % Q;
                }
            }

            int[] result = new int[256];
            MlDsaPolynomial.Ntt(a);
            MlDsaPolynomial.Ntt(b);
            MlDsaPolynomial.Multiply(a, b, result);
            MlDsaPolynomial.InverseNtt(result);
            MlDsaPolynomial.ToStandard(result);
            Assert.Equal(expected.Select(c => (int)((c + Q) % Q)), result);
        }

        // The largest and the smallest that may come, and then chance.
        static int[] Polynomial(Random random, int round) => [.. Enumerable.Range(0, 256).Select(_ => round switch
        {
            0 => Q - 1,
            1 => 1 - Q,
            2 => random.Next(2) == 0 ? Q - 1 : 1 - Q,
            _ => random.Next(1 - Q, Q),
        })];
    }

    [Fact]
    public void The_sums_of_a_row_are_right_where_they_are_largest()
    {
        // Four products of the bounds that RowTimesVector names.
        foreach (int sign in new[] { 1, -1 })
        {
            int[] row = [.. Enumerable.Repeat(Q - 1, 1024)], vector = [.. Enumerable.Repeat(sign * ((9 * Q) - 1), 1024)];
            int[] product = new int[256];
            MlDsaPolynomial.RowTimesVector(row, vector, product);
            Assert.All(product, c => Assert.InRange(c, 1 - Q, Q - 1));
            // product * 2^32 = 4 * (q-1) * (9q-1) * sign = 4 * sign modulo q.
            Assert.All(product, c => Assert.Equal(((4 * sign) + Q) % Q, (int)(((c * (1L << 32) % Q) + Q) % Q)));
        }
    }

    [Fact]
    public void The_norm_is_that_of_the_largest_coefficient_wherever_it_stands()
    {
        foreach (int bound in new[] { MlDsaCoding.Gamma1 - MlDsa44.Beta, MlDsaPolynomial.Gamma2 - MlDsa44.Beta, MlDsaPolynomial.Gamma2 })
        {
            for (int at = 0; at < 256; at++)
            {
                foreach (int offset in new[] { -1, 0, 1 })
                {
                    int[] w = new int[256];
                    foreach (int value in new[] { bound + offset, -bound - offset, bound + offset - Q, Q - bound - offset })
                    {
                        w[at] = value;
                        MlDsaPolynomial.Reduce(w);
                        Assert.Equal(offset < 0 ? 0 : -1, MlDsaPolynomial.Exceeds(w, bound));
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(6)]
    [InlineData(10)]
    [InlineData(18)]
    public void Packed_bits_are_those_of_the_number_they_make(int bits)
    {
        Random random = new(bits);
        int[] w = [.. Enumerable.Range(0, 256).Select(_ => random.Next(1 << bits))];
        byte[] bytes = new byte[32 * bits];
        MlDsaCoding.Pack(w, bits, bytes);
        System.Numerics.BigInteger number = System.Numerics.BigInteger.Zero;
        for (int j = 255; j >= 0; j--) number = (number << bits) + w[j];
        Assert.Equal(number, new System.Numerics.BigInteger(bytes, isUnsigned: true));

        int[] again = new int[256];
        MlDsaCoding.Unpack(bytes, bits, again);
        Assert.Equal(w, again);
    }

    [Fact]
    public void A_hint_has_one_encoding()
    {
        Random random = new(7);
        for (int round = 0; round < 2000; round++)
        {
            byte[] hint = new byte[1024];
            foreach (int at in Enumerable.Range(0, random.Next(MlDsaCoding.MaxHints + 1)).Select(_ => random.Next(1024))) hint[at] = 1;
            byte[] bytes = new byte[MlDsaCoding.MaxHints + 4];
            MlDsaCoding.PackHint(hint, bytes);
            byte[] read = new byte[1024];
            Assert.True(MlDsaCoding.TryUnpackHint(bytes, read));
            Assert.Equal(hint, read);

            // Any other bytes are refused, or are the encoding of another hint.
            bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            byte[] other = new byte[1024], otherBytes = new byte[bytes.Length];
            if (!MlDsaCoding.TryUnpackHint(bytes, other)) continue;
            MlDsaCoding.PackHint(other, otherBytes);
            Assert.Equal(bytes, otherBytes);
        }
    }

    // FIPS 202: the output for no input, as many programs print it.
    [Fact]
    public void SHAKE_of_nothing_is_the_known_one()
    {
        Assert.Equal("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26", Convert.ToHexStringLower(Squeeze(Shake.Shake128(), [], [32])));
        Assert.Equal("46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f", Convert.ToHexStringLower(Squeeze(Shake.Shake256(), [], [32])));
    }

    [Fact]
    public void SHAKE_is_that_of_the_base_library_for_every_length_and_in_pieces_of_any_size()
    {
        // Where the base library has none there is nothing to compare with, and the two tests above and the vectors of ML-DSA stand for it.
        if (!Shake128.IsSupported || !Shake256.IsSupported) return;
        Random random = new(11);
        for (int length = 0; length < 600; length++)
        {
            byte[] input = new byte[length];
            random.NextBytes(input);
            int[] pieces = [.. Enumerable.Range(0, 6).Select(_ => random.Next(200))];
            Assert.Equal(Shake128.HashData(input, pieces.Sum()), Squeeze(Shake.Shake128(), Pieces(input), pieces));
            Assert.Equal(Shake256.HashData(input, pieces.Sum()), Squeeze(Shake.Shake256(), Pieces(input), pieces));
        }

        byte[][] Pieces(byte[] input)
        {
            List<byte[]> pieces = [];
            for (int at = 0; at < input.Length; at += pieces[^1].Length) pieces.Add([.. input.Skip(at).Take(random.Next(1, 200))]);
            return [.. pieces];
        }
    }

    private static byte[] Squeeze(Shake shake, byte[][] input, int[] pieces)
    {
        foreach (byte[] piece in input) shake.Absorb(piece);
        List<byte> output = [];
        foreach (int length in pieces)
        {
            byte[] piece = new byte[length];
            shake.Squeeze(piece);
            output.AddRange(piece);
        }

        return [.. output];
    }

    // mod+-: above -alpha/2, at most alpha/2.
    private static int Centered(int r, int alpha)
    {
        int low = r % alpha;
        return low > alpha / 2 ? low - alpha : low;
    }
}
