using System.Security.Cryptography;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Signing;

public sealed class SignerTests
{
    private static readonly byte[] Text = new Checkpoint("log", 1, default).ToText();

    [Fact]
    public void K05_I10_a_signature_with_any_flipped_bit_is_thrown_away()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        for (int bit = 0; bit < 512; bit += 7)
        {
            byte[] Flip(ReadOnlySpan<byte> message)
            {
                byte[] signature = key.Sign(message);
                signature[bit / 8] ^= (byte)(1 << (bit % 8));
                return signature;
            }

            Assert.Throws<CryptographicException>(() => new NoteSigner("k", key.PublicKey.Span, Flip).Sign(Text));
            Assert.Throws<CryptographicException>(() => new Cosigner("k", key.PublicKey.Span, Flip).Cosign(Text, 5));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(65)]
    [InlineData(128)]
    public void K05_a_signature_of_another_length_is_thrown_away(int length)
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        byte[] Cut(ReadOnlySpan<byte> message) => [.. ((byte[])[.. key.Sign(message), .. new byte[64]]).Take(length)];
        Assert.Throws<CryptographicException>(() => new NoteSigner("k", key.PublicKey.Span, Cut).Sign(Text));
        Assert.Throws<CryptographicException>(() => new Cosigner("k", key.PublicKey.Span, Cut).Cosign(Text, 5));
    }

    [Fact]
    public void K05_the_signature_of_another_message_or_key_is_thrown_away()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        using Ed25519PrivateKey other = Ed25519PrivateKey.Generate();
        Assert.Throws<CryptographicException>(() => new NoteSigner("k", key.PublicKey.Span, other.Sign).Sign(Text));
        Assert.Throws<CryptographicException>(() => new NoteSigner("k", key.PublicKey.Span, _ => key.Sign("other\n"u8)).Sign(Text));
        Assert.Throws<CryptographicException>(() => new Cosigner("k", key.PublicKey.Span, _ => key.Sign(Text)).Cosign(Text, 5));
    }

    [Fact]
    public void A_right_signature_is_returned()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        NoteSignature signature = new NoteSigner("k", key.PublicKey.Span, key.Sign).Sign(Text);
        Assert.True(Ed25519.Verify(key.PublicKey.Span, Text, signature.Signature.Span));
    }

    [Fact]
    public void Only_texts_and_checkpoints_are_signed()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        Assert.Throws<ArgumentException>(() => new NoteSigner("k", key).Sign("no newline"u8));
        Assert.Throws<ArgumentException>(() => new NoteSigner("k", key).Sign([]));
        Assert.Throws<ArgumentException>(() => new Cosigner("k", key).Cosign("not a checkpoint\n"u8, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Cosigner("k", key).Cosign(Text, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Cosigner("k", key).Cosign(Text, 1ul << 63));
        Assert.Throws<ArgumentException>(() => new NoteSigner("a b", key));
        Assert.Throws<ArgumentException>(() => new Cosigner("", key));
    }

    [Fact]
    public void P19_no_verifier_is_made_for_a_key_of_small_order()
    {
        Assert.Null(Verifiers.TryCreate(VerifierKey.Create("k", VerifierKey.Ed25519, new byte[32])));
        Assert.Null(Verifiers.TryCreate(VerifierKey.Create("k", VerifierKey.Ed25519Cosignature, (byte[])[1, .. new byte[31]])));
        Assert.Null(Verifiers.TryCreate(VerifierKey.Create("k", VerifierKey.Ecdsa, new byte[32])));
    }

    [Theory]
    [InlineData(VerifierKey.Ed25519, 2, "no Ed25519 public key")] // no point of the curve has this y
    [InlineData(VerifierKey.Ed25519, 1, "no Ed25519 public key")] // the identity
    [InlineData(VerifierKey.Ed25519Cosignature, 3, "no Ed25519 public key")] // a point of mixed order
    [InlineData(VerifierKey.Ecdsa, 9, "type is 0x02 (ECDSA)")]
    [InlineData(VerifierKey.Rfc6962, 9, "type is 0x05 (RFC 6962)")]
    [InlineData(VerifierKey.Private, 9, "type is 0xff (private use)")]
    public void N22_a_key_that_verifies_nothing_says_why(byte type, byte first, string says)
    {
        VerifierKey key = VerifierKey.Create("k", type, [first, .. new byte[31]]);
        Assert.Null(Verifiers.TryCreate(key));
        Assert.Contains(says, Verifiers.WhyUnusable(key));
    }

    [Fact]
    public void N22_keys_that_verify_have_nothing_said_about_them()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        using MlDsa44PrivateKey second = MlDsa44PrivateKey.Generate();
        Assert.Null(Verifiers.WhyUnusable(new NoteSigner("k", key).Key));
        Assert.Null(Verifiers.WhyUnusable(new Cosigner("k", key).Key));
        Assert.Null(Verifiers.WhyUnusable(new MlDsa44Cosigner("k", second).Key));
    }
}
