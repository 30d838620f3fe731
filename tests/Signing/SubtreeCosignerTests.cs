using System.Buffers.Binary;
using System.Security.Cryptography;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Signing;

/// <summary>Cosignatures of type 0x06 (c2sp.org/tlog-cosignature).</summary>
public sealed class SubtreeCosignerTests : IDisposable
{
    private const string Origin = "log.example/1";

    private static readonly Hash Root = MerkleHash.Leaf([1]);
    private static readonly byte[] Text = new Checkpoint(Origin, 13, Root).ToText();

    private readonly MlDsa44PrivateKey key = MlDsa44PrivateKey.Generate();

    public void Dispose() => key.Dispose();

    [Fact]
    public void CO04_CO05_CO06_CO24_key_ID_and_sizes()
    {
        MlDsa44Cosigner cosigner = new("w", key);
        Assert.Equal(BinaryPrimitives.ReadUInt32BigEndian(SHA256.HashData([.. "w\n"u8, 6, .. key.PublicKey.Span])), cosigner.Key.KeyId);
        Assert.Equal(1752, cosigner.Key.ToString().Split('+', 3)[2].Length);
        NoteSignature signature = cosigner.Cosign(Text, 0x0102030405060708);
        Assert.Equal(Cosignature.MlDsa44Size, signature.Signature.Length);
        Assert.Equal("0102030405060708", Convert.ToHexString(signature.Signature.Span[..8]));
        Assert.Equal(3244, signature.ToLine().Split(' ')[2].TrimEnd('\n').Length);
    }

    [Fact]
    public void CO16_CO18_a_cosignature_holds_for_its_checkpoint_time_name_and_key_alone()
    {
        MlDsa44Cosigner cosigner = new("w", key);
        INoteVerifier verifier = Verifiers.TryCreate(cosigner.Key)!;
        byte[] signature = cosigner.Cosign(Text, 1700000000).Signature.ToArray();
        Assert.True(verifier.Verify(Text, signature));
        Assert.False(verifier.Verify(new Checkpoint(Origin, 14, Root).ToText(), signature));
        Assert.False(verifier.Verify(new Checkpoint(Origin, 13, MerkleHash.Empty).ToText(), signature));
        Assert.False(verifier.Verify(new Checkpoint("log.example/2", 13, Root).ToText(), signature));
        Assert.False(verifier.Verify("not a checkpoint\n"u8, signature));
        Assert.False(verifier.Verify([], signature));
        Assert.False(Verifiers.TryCreate(VerifierKey.Create("v", VerifierKey.MlDsa44Cosignature, key.PublicKey.Span))!.Verify(Text, signature));
        using MlDsa44PrivateKey other = MlDsa44PrivateKey.Generate();
        Assert.False(Verifiers.TryCreate(new MlDsa44Cosigner("w", other).Key)!.Verify(Text, signature));

        for (int i = 0; i < 40; i++)
        {
            byte[] changed = [.. signature];
            changed[i] ^= 1;
            Assert.False(verifier.Verify(Text, changed), $"byte {i}");
        }

        foreach (int length in new[] { 0, 8, 72, 2420, 2427, 2429 }) Assert.False(verifier.Verify(Text, ((byte[])[.. signature, 0]).AsSpan(0, length)), $"{length} bytes");
    }

    [Fact]
    public void CO07_a_time_of_0_or_beyond_2_63_is_refused_for_a_checkpoint_even_if_the_key_made_it()
    {
        INoteVerifier verifier = Verifiers.TryCreate(new MlDsa44Cosigner("w", key).Key)!;
        foreach ((ulong time, bool verifies) in new[] { (0ul, false), (1ul, true), ((ulong)long.MaxValue, true), (1ul << 63, false), (ulong.MaxValue, false) })
        {
            // Made by hand: the message with a time that no writer of ours would put there.
            byte[] message = Cosignature.MlDsa44Message("w", 1, Origin, 0, 13, Root);
            BinaryPrimitives.WriteUInt64BigEndian(message.AsSpan(12 + 2), time);
            byte[] prefix = new byte[8];
            BinaryPrimitives.WriteUInt64BigEndian(prefix, time);
            Assert.Equal(verifies, verifier.Verify(Text, (byte[])[.. prefix, .. key.Sign(message)]));
        }
    }

    [Fact]
    public void CO15_a_subtree_is_cosigned_without_a_time_and_verifies_as_that_subtree_alone()
    {
        MlDsa44Cosigner cosigner = new("w", key);
        ISubtreeVerifier verifier = Assert.IsAssignableFrom<ISubtreeVerifier>(Verifiers.TryCreate(cosigner.Key));
        byte[] signature = cosigner.CosignSubtree(Origin, 8, 13, Root).Signature.ToArray();
        Assert.All(signature[..8], zero => Assert.Equal(0, zero));
        Assert.True(verifier.VerifySubtree(Origin, 8, 13, Root, signature));
        Assert.False(verifier.VerifySubtree(Origin, 8, 12, Root, signature));
        Assert.False(verifier.VerifySubtree(Origin, 0, 13, Root, signature));
        Assert.False(verifier.VerifySubtree(Origin, 8, 13, MerkleHash.Empty, signature));
        Assert.False(verifier.VerifySubtree("log.example/2", 8, 13, Root, signature));
        Assert.False(verifier.VerifySubtree("", 8, 13, Root, signature));
        Assert.False(verifier.VerifySubtree(new string('a', 256), 8, 13, Root, signature));
        Assert.False(verifier.VerifySubtree(Origin, -8, 13, Root, signature));
        Assert.False(verifier.VerifySubtree(Origin, 8, 7, Root, signature));
        Assert.False(verifier.VerifySubtree(Origin, 8, 13, Root, signature.AsSpan(1)));

        // With a time, signed by the key itself: refused where start is not 0.
        byte[] timed = [.. new byte[7], 5, .. key.Sign(WithTime(Cosignature.MlDsa44Message("w", 0, Origin, 8, 13, Root)))];
        Assert.False(verifier.VerifySubtree(Origin, 8, 13, Root, timed));

        // The cosignature of a checkpoint is one of the subtree from 0; one without a time is none of the checkpoint.
        Assert.True(verifier.VerifySubtree(Origin, 0, 13, Root, cosigner.Cosign(Text, 5).Signature.Span));
        byte[] untimed = cosigner.CosignSubtree(Origin, 0, 13, Root).Signature.ToArray();
        Assert.True(verifier.VerifySubtree(Origin, 0, 13, Root, untimed));
        Assert.False(verifier.Verify(Text, untimed));

        static byte[] WithTime(byte[] message)
        {
            message[12 + 2 + 7] = 5;
            return message;
        }
    }

    [Fact]
    public void CO14_CO20_what_the_message_cannot_hold_is_not_cosigned()
    {
        MlDsa44Cosigner cosigner = new("w", key);
        INoteVerifier verifier = Verifiers.TryCreate(cosigner.Key)!;
        Assert.Throws<ArgumentException>(() => cosigner.Cosign("not a checkpoint\n"u8, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => cosigner.Cosign(Text, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => cosigner.Cosign(Text, 1ul << 63));
        Assert.Throws<ArgumentException>(() => new MlDsa44Cosigner("", key));
        Assert.Throws<ArgumentException>(() => new MlDsa44Cosigner(new string('w', 256), key));

        string longest = new('o', 255);
        byte[] signature = cosigner.Cosign(new Checkpoint(longest, 1, Root).ToText(), 5).Signature.ToArray();
        Assert.True(verifier.Verify(new Checkpoint(longest, 1, Root).ToText(), signature));
        byte[] longer = new Checkpoint(longest + "o", 1, Root).ToText();
        Assert.Contains("255", Assert.Throws<ArgumentException>(() => cosigner.Cosign(longer, 5)).Message);
        Assert.False(verifier.Verify(longer, signature));

        Assert.Contains("extension", Assert.Throws<ArgumentException>(() => cosigner.Cosign(new Checkpoint(Origin, 1, Root, ["more"]).ToText(), 5)).Message);
    }

    [Fact]
    public void CO20_the_extension_lines_of_others_are_nobodys_statement()
    {
        // A checkpoint whose log has such lines may be cosigned by others: the line verifies, and says nothing about them.
        MlDsa44Cosigner cosigner = new("w", key);
        byte[] signature = cosigner.Cosign(Text, 5).Signature.ToArray();
        Assert.True(Verifiers.TryCreate(cosigner.Key)!.Verify(new Checkpoint(Origin, 13, Root, ["anything"]).ToText(), signature));
    }

    [Fact]
    public void K05_I10_a_wrong_signature_is_thrown_away()
    {
        using MlDsa44PrivateKey other = MlDsa44PrivateKey.Generate();
        RawSign[] wrong =
        [
            other.Sign,
            _ => key.Sign("other"u8),
            message => [.. key.Sign(message)[..^1]],
            message => [.. key.Sign(message), 0],
            _ => [],
            message => Flip(key.Sign(message), 0),
            message => Flip(key.Sign(message), 1000),
            message => Flip(key.Sign(message), 2419),
        ];
        foreach (RawSign sign in wrong)
        {
            MlDsa44Cosigner cosigner = new("w", key.PublicKey.Span, sign);
            Assert.Throws<CryptographicException>(() => cosigner.Cosign(Text, 5));
            Assert.Throws<CryptographicException>(() => cosigner.CosignSubtree(Origin, 8, 13, Root));
        }

        Assert.Equal(2428, new MlDsa44Cosigner("w", key.PublicKey.Span, key.Sign).Cosign(Text, 5).Signature.Length);

        static byte[] Flip(byte[] signature, int at)
        {
            signature[at] ^= 1;
            return signature;
        }
    }

    [Fact]
    public void A_policy_counts_log_and_witness_keys_of_this_type()
    {
        using MlDsa44PrivateKey witnessKey = MlDsa44PrivateKey.Generate();
        MlDsa44Cosigner log = new(Origin, key);
        MlDsa44Cosigner witness = new("w.example", witnessKey);
        Assert.True(Policy.TryParse(SigningVectors.Utf8($"log {log.Key}\nwitness w {witness.Key}\nquorum w\n"), out Policy? policy, out string error), error);
        Assert.Equal(PolicyFailure.None, policy!.Verify(new Note(Text, [log.Cosign(Text, 5), witness.Cosign(Text, 5)]), Verifiers.TryCreate).Failure);
        Assert.Equal(PolicyFailure.QuorumNotMet, policy.Verify(new Note(Text, [log.Cosign(Text, 5)]), Verifiers.TryCreate).Failure);
        Assert.Equal(PolicyFailure.NoLogSignature, policy.Verify(new Note(Text, [witness.Cosign(Text, 5)]), Verifiers.TryCreate).Failure);
        NoteSignature wrong = new(log.Key.Name, log.Key.KeyId, witness.Cosign(Text, 5).Signature);
        Assert.Equal(PolicyFailure.BadSignature, policy.Verify(new Note(Text, [wrong]), Verifiers.TryCreate).Failure);
    }
}
