using System.Numerics;
using System.Text.Json;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Signing;

public sealed class Ed25519Tests
{
    [Fact]
    public void P19_the_wycheproof_vectors_verify_exactly_where_they_are_valid()
    {
        int count = 0;
        int valid = 0;
        foreach (JsonElement group in SigningVectors.Document("wycheproof/ed25519_test.json").GetProperty("testGroups").EnumerateArray())
        {
            byte[] key = Convert.FromHexString(group.GetProperty("publicKey").Text("pk"));
            foreach (JsonElement test in group.GetProperty("tests").EnumerateArray())
            {
                bool expected = test.Text("result") == "valid";
                bool verified = Ed25519.Verify(key, Convert.FromHexString(test.Text("msg")), Convert.FromHexString(test.Text("sig")));
                Assert.True(expected == verified, $"test {test.GetProperty("tcId")}: {test.Text("comment")}");
                count++;
                if (expected) valid++;
            }
        }

        Assert.Equal(151, count);
        Assert.Equal(88, valid);
    }

    [Fact]
    public void Every_flipped_bit_of_signature_message_or_key_is_refused()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(new byte[32]);
        byte[] message = [.. "a checkpoint\n"u8];
        byte[] signature = key.Sign(message);
        Assert.True(Ed25519.Verify(key.PublicKey.Span, message, signature));
        Flip(signature, changed => Ed25519.Verify(key.PublicKey.Span, message, changed));
        Flip(message, changed => Ed25519.Verify(key.PublicKey.Span, changed, signature));
        Flip(key.PublicKey.ToArray(), changed => Ed25519.Verify(changed, message, signature));

        static void Flip(byte[] bytes, Func<byte[], bool> verify)
        {
            for (int bit = 0; bit < bytes.Length * 8; bit++)
            {
                byte[] changed = [.. bytes];
                changed[bit / 8] ^= (byte)(1 << (bit % 8));
                Assert.False(verify(changed), $"bit {bit}");
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(33)]
    [InlineData(64)]
    public void Other_lengths_are_refused_without_an_exception(int length)
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        byte[] signature = key.Sign([]);
        Assert.True(Ed25519.Verify(key.PublicKey.Span, [], signature));
        Assert.False(Ed25519.IsAcceptablePublicKey(new byte[length]));
        Assert.False(Ed25519.Verify(Enumerable.Repeat((byte)9, length).ToArray(), [], signature));
        Assert.False(Ed25519.Verify(key.PublicKey.Span, [], signature.AsSpan(0, Math.Min(length, 63))));
        Assert.False(Ed25519.Verify(key.PublicKey.Span, [], new byte[length + 1]));
        Assert.Throws<ArgumentException>(() => Ed25519PrivateKey.FromSeed(new byte[length]));
    }

    [Fact]
    public void P19_every_encoding_of_a_point_of_small_order_is_refused_and_all_eight_points_are_known()
    {
        // With arithmetic of its own (RFC 8032 section 5.1.4): a point of order 8 and its multiples are all of them.
        BigInteger y8 = Curve.Number("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
        Assert.True(Curve.TryRecoverX(y8, out BigInteger x8));
        (BigInteger X, BigInteger Y) generator = (x8, y8);
        (BigInteger X, BigInteger Y) point = (BigInteger.Zero, BigInteger.One);
        HashSet<(BigInteger, BigInteger)> points = [];
        for (int i = 0; i < 8; i++)
        {
            Assert.True(points.Add(point), "a point of order 8 has eight multiples");
            foreach (byte[] encoding in Curve.Encodings(point.Y))
            {
                Assert.False(Ed25519.IsAcceptablePublicKey(encoding), Convert.ToHexString(encoding));
                Assert.False(Ed25519PublicKey.TryCreate(encoding, out Ed25519PublicKey? key));
                Assert.Null(key);
            }

            point = Curve.Add(point, generator);
        }

        Assert.Equal((BigInteger.Zero, BigInteger.One), point);
    }

    [Fact]
    public void P19_a_y_of_2_255_minus_19_or_more_is_refused_and_one_less_is_not()
    {
        for (int offset = 0; offset < 19; offset++)
        {
            foreach (byte sign in new byte[] { 0, 0x80 })
            {
                byte[] key = Curve.Bytes(Curve.P + offset);
                key[31] |= sign;
                Assert.False(Ed25519.IsAcceptablePublicKey(key), $"p + {offset}");
            }
        }

        // p-1 is the point of order 2.
        Assert.False(Ed25519.IsAcceptablePublicKey(Curve.Bytes(Curve.P - 1)));
    }

    [Fact]
    public void N22_a_public_key_is_a_point_of_the_prime_order_group_and_nothing_else_is_loaded()
    {
        // The last y of one byte, the first of two, and the largest there are, with both signs; arithmetic of this test decides.
        int accepted = 0, noPoint = 0, otherOrder = 0;
        foreach (BigInteger y in Enumerable.Range(2, 300).Select(i => (BigInteger)i).Concat(Enumerable.Range(2, 100).Select(i => Curve.P - i)))
        {
            bool isPoint = Curve.TryRecoverX(y, out BigInteger x);
            bool isKey = isPoint && Curve.Multiply(Curve.Order, (x, y)) == Curve.Identity;
            if (!isPoint) noPoint++;
            else if (!isKey) otherOrder++;
            else accepted++;
            foreach (byte sign in new byte[] { 0, 0x80 })
            {
                byte[] key = Curve.Bytes(y);
                key[31] |= sign;
                Assert.True(isKey == Ed25519.IsAcceptablePublicKey(key), $"y {y}, sign {sign}");
                Assert.Equal(isKey, Ed25519PublicKey.TryCreate(key, out _));
                Assert.Equal(isKey, Verifiers.TryCreate(VerifierKey.Create("k", VerifierKey.Ed25519, key)) is not null);
            }
        }

        Assert.True(accepted > 10 && noPoint > 100 && otherOrder > 100, $"{accepted} keys, {noPoint} that are no point, {otherOrder} of another order");
    }

    [Fact]
    public void A_forgery_for_a_key_of_small_order_is_refused()
    {
        // The reason for the rule: R = identity, S = 0 holds for the identity as public key, whatever the message.
        byte[] identity = [1, .. new byte[31]];
        byte[] forged = [1, .. new byte[63]];
        Assert.False(Ed25519.Verify(identity, "anything"u8, forged));
    }

    [Fact]
    public async Task One_key_signs_and_verifies_on_many_threads()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        Assert.True(Ed25519PublicKey.TryCreate(key.PublicKey.Span, out Ed25519PublicKey? publicKey));
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(() =>
        {
            for (int i = 0; i < 200; i++)
            {
                byte[] message = SigningVectors.Utf8($"{worker} {i}");
                byte[] signature = key.Sign(message);
                Assert.True(publicKey!.Verify(message, signature));
                signature[i % 64] ^= 1;
                Assert.False(publicKey.Verify(message, signature));
            }
        })));
    }

    [Fact]
    public void A_disposed_key_does_not_sign()
    {
        Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        key.Dispose();
        Assert.Throws<ObjectDisposedException>(() => key.Sign("x"u8));
    }

    [Fact]
    public void Generated_keys_differ_and_give_their_seed_back()
    {
        using Ed25519PrivateKey one = Ed25519PrivateKey.Generate();
        using Ed25519PrivateKey two = Ed25519PrivateKey.Generate();
        Assert.False(one.PublicKey.Span.SequenceEqual(two.PublicKey.Span));
        byte[] seed = new byte[32];
        one.ExportSeed(seed);
        using Ed25519PrivateKey again = Ed25519PrivateKey.FromSeed(seed);
        Assert.Equal(one.PublicKey.ToArray(), again.PublicKey.ToArray());
    }

    /// <summary>Edwards25519 as RFC 8032 section 5.1 writes it, slow and plain.</summary>
    private static class Curve
    {
        public static readonly BigInteger P = BigInteger.Pow(2, 255) - 19;
        public static readonly BigInteger Order = BigInteger.Pow(2, 252) + BigInteger.Parse("27742317777372353535851937790883648493", System.Globalization.CultureInfo.InvariantCulture);
        public static readonly (BigInteger X, BigInteger Y) Identity = (BigInteger.Zero, BigInteger.One);

        private static readonly BigInteger D = Mod(-121665 * Invert(121666));

        public static BigInteger Number(string hex) => new(Convert.FromHexString(hex), isUnsigned: true);

        public static byte[] Bytes(BigInteger number)
        {
            byte[] bytes = new byte[32];
            Assert.True(number.TryWriteBytes(bytes, out _, isUnsigned: true));
            return bytes;
        }

        /// <summary>Every 32 bytes that stand for y: with either sign, and once more plus p where that fits.</summary>
        public static IEnumerable<byte[]> Encodings(BigInteger y)
        {
            foreach (BigInteger number in new[] { y, y + P })
            {
                if (number >= BigInteger.Pow(2, 255)) continue;
                yield return Bytes(number);
                byte[] negative = Bytes(number);
                negative[31] |= 0x80;
                yield return negative;
            }
        }

        /// <summary>Section 5.1.3: an x of this y, if the curve has one.</summary>
        public static bool TryRecoverX(BigInteger y, out BigInteger x)
        {
            BigInteger square = Mod((y * y - 1) * Invert(D * y * y + 1));
            x = BigInteger.ModPow(square, (P + 3) / 8, P);
            if (Mod(x * x - square) != 0) x = Mod(x * BigInteger.ModPow(2, (P - 1) / 4, P));
            return Mod(x * x - square) == 0;
        }

        public static (BigInteger X, BigInteger Y) Multiply(BigInteger times, (BigInteger X, BigInteger Y) point)
        {
            (BigInteger X, BigInteger Y, BigInteger Z) sum = (0, 1, 1);
            for (int bit = (int)times.GetBitLength() - 1; bit >= 0; bit--)
            {
                sum = AddProjective(sum, sum);
                if (!(times >> bit).IsEven) sum = AddProjective(sum, (point.X, point.Y, 1));
            }

            BigInteger inverse = Invert(sum.Z);
            return (Mod(sum.X * inverse), Mod(sum.Y * inverse));
        }

        // The same law with a common denominator, so that a multiplication inverts once.
        private static (BigInteger X, BigInteger Y, BigInteger Z) AddProjective((BigInteger X, BigInteger Y, BigInteger Z) a, (BigInteger X, BigInteger Y, BigInteger Z) b)
        {
            BigInteger z = Mod(a.Z * b.Z), square = Mod(z * z), product = Mod(D * Mod(a.X * b.X) * Mod(a.Y * b.Y));
            BigInteger minus = Mod(square - product), plus = Mod(square + product);
            return (Mod(z * minus * Mod(a.X * b.Y + b.X * a.Y)), Mod(z * plus * Mod(a.Y * b.Y + a.X * b.X)), Mod(minus * plus));
        }

        public static (BigInteger X, BigInteger Y) Add((BigInteger X, BigInteger Y) a, (BigInteger X, BigInteger Y) b)
        {
            BigInteger product = Mod(D * a.X * b.X * a.Y * b.Y);
            return (Mod((a.X * b.Y + b.X * a.Y) * Invert(1 + product)), Mod((a.Y * b.Y + a.X * b.X) * Invert(1 - product)));
        }

        private static BigInteger Mod(BigInteger number) => ((number % P) + P) % P;

        private static BigInteger Invert(BigInteger number) => BigInteger.ModPow(Mod(number), P - 2, P);
    }
}
