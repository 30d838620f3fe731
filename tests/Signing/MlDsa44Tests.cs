using System.Reflection;
using System.Text.Json;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Signing;

public sealed class MlDsa44Tests
{
    [Fact]
    public void K17_CO19_the_wycheproof_signatures_are_made_byte_for_byte()
    {
        int signed = 0, refused = 0, withContext = 0, withoutMessage = 0;
        foreach (JsonElement group in SigningVectors.Document("wycheproof/mldsa_44_sign_seed_test.json").GetProperty("testGroups").EnumerateArray())
        {
            byte[] seed = Convert.FromHexString(group.Text("privateSeed"));
            foreach (JsonElement test in group.GetProperty("tests").EnumerateArray())
            {
                string name = $"test {test.GetProperty("tcId")}: {test.Text("comment")}";
                if (seed.Length != MlDsa44.SeedSize)
                {
                    Assert.True(test.Text("result") == "invalid", name);
                    Assert.Throws<ArgumentException>(() => MlDsa44PrivateKey.FromSeed(seed));
                    refused++;
                    continue;
                }

                using MlDsa44PrivateKey key = MlDsa44PrivateKey.FromSeed(seed);
                Assert.True(group.Text("publicKey") == Convert.ToHexStringLower(key.PublicKey.Span), name);
                byte[] context = Optional(test, "ctx") ?? [];
                byte[] random = Optional(test, "rnd") ?? new byte[32];
                if (context.Length > 0) withContext++;
                if (test.Text("result") == "invalid")
                {
                    Assert.Throws<ArgumentException>(() => key.Sign(Optional(test, "msg")!, context, random));
                    refused++;
                    continue;
                }

                // Some cases give only mu, which message and context are hashed to: BouncyCastle has no public door for it.
                if (Optional(test, "msg") is not byte[] message)
                {
                    withoutMessage++;
                    continue;
                }

                Assert.True(test.Text("sig") == Convert.ToHexStringLower(key.Sign(message, context, random)), name);
                Assert.True(MlDsa44PublicKey.TryCreate(key.PublicKey.Span, out MlDsa44PublicKey? publicKey));
                Assert.True(publicKey!.Verify(message, context, Convert.FromHexString(test.Text("sig"))), name);
                signed++;
            }
        }

        Assert.Equal((74, 4, 4, 8), (signed, refused, withContext, withoutMessage));
    }

    [Fact]
    public void K17_P20_the_wycheproof_signatures_verify_exactly_where_they_are_valid()
    {
        int count = 0, valid = 0;
        foreach (JsonElement group in SigningVectors.Document("wycheproof/mldsa_44_verify_test.json").GetProperty("testGroups").EnumerateArray())
        {
            bool isKey = MlDsa44PublicKey.TryCreate(Convert.FromHexString(group.Text("publicKey")), out MlDsa44PublicKey? key);
            foreach (JsonElement test in group.GetProperty("tests").EnumerateArray())
            {
                bool expected = test.Text("result") == "valid";
                byte[] message = Convert.FromHexString(test.Text("msg"));
                byte[] signature = Convert.FromHexString(test.Text("sig"));
                byte[] context = Optional(test, "ctx") ?? [];
                Assert.True(expected == (isKey && key!.Verify(message, context, signature)), $"test {test.GetProperty("tcId")}: {test.Text("comment")}");
                if (context.Length == 0) Assert.True(expected == MlDsa44.Verify(Convert.FromHexString(group.Text("publicKey")), message, signature));
                count++;
                if (expected) valid++;
            }
        }

        Assert.Equal((180, 77), (count, valid));
    }

    [Fact]
    public void Every_flipped_bit_of_message_and_key_and_every_changed_byte_of_the_signature_is_refused()
    {
        using MlDsa44PrivateKey key = MlDsa44PrivateKey.FromSeed(new byte[32]);
        byte[] message = [.. "a checkpoint\n"u8];
        byte[] signature = key.SignDeterministic(message);
        Assert.True(MlDsa44PublicKey.TryCreate(key.PublicKey.Span, out MlDsa44PublicKey? publicKey));
        Assert.True(publicKey!.Verify(message, signature));
        for (int i = 0; i < signature.Length; i++)
        {
            byte[] changed = [.. signature];
            changed[i] ^= (byte)(1 << (i % 8));
            Assert.False(publicKey.Verify(message, changed), $"byte {i} of the signature");
        }

        for (int bit = 0; bit < message.Length * 8; bit++)
        {
            byte[] changed = [.. message];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(publicKey.Verify(changed, signature), $"bit {bit} of the message");
        }

        for (int i = 0; i < MlDsa44.PublicKeySize; i++)
        {
            byte[] changed = key.PublicKey.ToArray();
            changed[i] ^= (byte)(1 << (i % 8));
            Assert.False(MlDsa44.Verify(changed, message, signature), $"byte {i} of the key");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(33)]
    [InlineData(1311)]
    [InlineData(1313)]
    [InlineData(2419)]
    [InlineData(2421)]
    public void Other_lengths_are_refused_without_an_exception(int length)
    {
        using MlDsa44PrivateKey key = MlDsa44PrivateKey.Generate();
        byte[] signature = key.Sign([]);
        Assert.True(MlDsa44.Verify(key.PublicKey.Span, [], signature));
        Assert.False(MlDsa44PublicKey.TryCreate(new byte[length], out MlDsa44PublicKey? none));
        Assert.Null(none);
        Assert.False(MlDsa44.Verify(key.PublicKey.Span, [], ((byte[])[.. signature, 0]).AsSpan(0, length)));
        Assert.Throws<ArgumentException>(() => MlDsa44PrivateKey.FromSeed(new byte[length]));
    }

    [Fact]
    public void Hedged_signatures_differ_and_all_verify_and_deterministic_ones_are_the_same()
    {
        using MlDsa44PrivateKey key = MlDsa44PrivateKey.Generate();
        HashSet<string> seen = [];
        for (int i = 0; i < 20; i++)
        {
            byte[] signature = key.Sign("m"u8);
            Assert.True(seen.Add(Convert.ToHexString(signature)));
            Assert.True(MlDsa44.Verify(key.PublicKey.Span, "m"u8, signature));
        }

        Assert.Equal(key.SignDeterministic("m"u8), key.SignDeterministic("m"u8));
        Assert.True(MlDsa44.Verify(key.PublicKey.Span, "m"u8, key.SignDeterministic("m"u8)));
    }

    [Fact]
    public async Task One_key_signs_and_verifies_on_many_threads()
    {
        using MlDsa44PrivateKey key = MlDsa44PrivateKey.Generate();
        Assert.True(MlDsa44PublicKey.TryCreate(key.PublicKey.Span, out MlDsa44PublicKey? publicKey));
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(() =>
        {
            for (int i = 0; i < 50; i++)
            {
                byte[] message = SigningVectors.Utf8($"{worker} {i}");
                byte[] signature = key.Sign(message);
                Assert.True(publicKey!.Verify(message, signature));
                signature[i] ^= 1;
                Assert.False(publicKey.Verify(message, signature));
            }
        })));
    }

    [Fact]
    public void A_disposed_key_does_not_sign_and_gives_no_seed()
    {
        MlDsa44PrivateKey key = MlDsa44PrivateKey.Generate();
        byte[] seed = new byte[32];
        key.ExportSeed(seed);
        using (MlDsa44PrivateKey again = MlDsa44PrivateKey.FromSeed(seed)) Assert.Equal(key.PublicKey.ToArray(), again.PublicKey.ToArray());
        key.Dispose();
        Assert.Throws<ObjectDisposedException>(() => key.Sign("x"u8));
        Assert.Throws<ObjectDisposedException>(() => key.SignDeterministic("x"u8));
        Assert.Throws<ObjectDisposedException>(() => key.ExportSeed(seed));
    }

    [Fact]
    public void A_disposed_key_has_zeroed_the_one_copy_of_its_seed()
    {
        MlDsa44PrivateKey key = MlDsa44PrivateKey.Generate();
        byte[] ours = (byte[])Field(key, "seed");
        byte[] theirs = (byte[])Field(Field(key, "key"), "m_seed");
        // A copy in BouncyCastle would outlive ours; spec/trust.md says that there is none.
        Assert.Same(ours, theirs);
        Assert.True(ours.AsSpan().ContainsAnyExcept((byte)0));
        key.Dispose();
        Assert.False(ours.AsSpan().ContainsAnyExcept((byte)0));

        static object Field(object of, string name) => of.GetType().GetField(name, BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(of)!;
    }

    [Fact]
    public void Every_byte_of_a_signature_at_its_extremes_is_answered_without_an_exception()
    {
        using MlDsa44PrivateKey key = MlDsa44PrivateKey.FromSeed(new byte[32]);
        Assert.True(MlDsa44PublicKey.TryCreate(key.PublicKey.Span, out MlDsa44PublicKey? publicKey));
        byte[] signature = key.SignDeterministic("m"u8);

        // The hint is the part with a structure: 80 positions and 4 counts. Every value of every byte of it.
        for (int i = signature.Length - 84; i < signature.Length; i++)
        {
            for (int value = 0; value < 256; value++)
            {
                byte[] changed = [.. signature];
                changed[i] = (byte)value;
                Assert.Equal(changed.AsSpan().SequenceEqual(signature), publicKey!.Verify("m"u8, changed));
            }
        }

        foreach (byte fill in new byte[] { 0, 1, 0x7f, 0x80, 0xff }) Assert.False(publicKey!.Verify("m"u8, Enumerable.Repeat(fill, MlDsa44.SignatureSize).ToArray()));

        // And keys of such bytes: all are keys, none has signed this.
        foreach (byte fill in new byte[] { 0, 1, 0x7f, 0x80, 0xff }) Assert.False(MlDsa44.Verify(Enumerable.Repeat(fill, MlDsa44.PublicKeySize).ToArray(), "m"u8, signature));
    }

    private static byte[]? Optional(JsonElement test, string property) =>
        test.TryGetProperty(property, out JsonElement value) ? Convert.FromHexString(value.GetString()!) : null;
}
