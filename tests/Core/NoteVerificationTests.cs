using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

/// <summary>Who counts as having signed; with real keys in the tests of Signing.</summary>
public sealed class NoteVerificationTests
{
    private const string Text = CheckpointText;
    private readonly OpenVerifier log = new("log");
    private readonly OpenVerifier other = new("other", fill: 8);
    private readonly OpenVerifier witness = new("witness", VerifierKey.Ed25519Cosignature);

    private static NoteVerification Verify(NoteSignature[] lines, params INoteVerifier[] verifiers) => new Note(Utf8(Text), lines).Verify(verifiers);

    [Fact]
    public void SN13_lines_of_unknown_keys_are_ignored()
    {
        NoteVerification result = Verify([other.Bad(Text), log.Sign(Text), other.Sign(Text)], log);
        Assert.Equal(NoteStatus.Verified, result.Status);
        Assert.Same(log, Assert.Single(result.Verified).Verifier);
        Assert.Equal(0, other.Calls);
    }

    [Fact]
    public void P09_the_name_or_the_ID_of_a_known_key_alone_makes_no_line_known()
    {
        NoteSignature sameName = new("log", log.Key.KeyId ^ 1, log.Sign(Text).Signature);
        NoteSignature sameId = new("Log", log.Key.KeyId, log.Sign(Text).Signature);
        Assert.Equal(NoteStatus.NoKnownKey, Verify([sameName, sameId], log).Status);
        Assert.Equal(NoteStatus.Verified, Verify([sameName, log.Sign(Text), sameId], log).Status);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void P08_one_bad_line_of_a_known_key_rejects_the_note_wherever_it_stands(int at)
    {
        // SPEC SN-15.
        List<NoteSignature> lines = [log.Sign(Text), other.Sign(Text)];
        lines.Insert(at, log.Bad(Text));
        NoteVerification result = Verify([.. lines], log, other);
        Assert.Equal(NoteStatus.BadSignature, result.Status);
        Assert.Equal("log", result.BadKeyName);
        Assert.Empty(result.Verified);
    }

    [Fact]
    public void P07_duplicate_lines_of_a_key_count_once_and_cost_one_verification()
    {
        NoteVerification result = Verify([.. Enumerable.Repeat(log.Sign(Text), 90), other.Sign(Text)], log, other);
        Assert.Equal(2, result.Verified.Count);
        Assert.Equal(1, log.Calls);
    }

    [Fact]
    public void P07_several_cosignatures_of_a_key_count_once_with_the_newest_time()
    {
        NoteVerification result = Verify([witness.Sign(Text, 5), witness.Sign(Text, 9), witness.Sign(Text, 7)], witness);
        VerifiedSignature one = Assert.Single(result.Verified);
        Assert.Equal(9u, one.Timestamp);
        Assert.Equal(witness.Sign(Text, 9), one.Signature);
    }

    [Fact]
    public void SN16_a_note_without_a_known_key_is_not_verified()
    {
        Assert.Equal(NoteStatus.NoKnownKey, Verify([log.Sign(Text)]).Status);
        Assert.Equal(NoteStatus.NoKnownKey, Verify([log.Sign(Text)], other).Status);
    }

    [Fact]
    public void A_timestamp_is_reported_for_cosignatures_alone()
    {
        NoteVerification result = Verify([log.Sign(Text), witness.Sign(Text, 1700000000)], log, witness);
        Assert.Equal([0u, 1700000000u], result.Verified.Select(one => one.Timestamp));
    }

    [Fact]
    public void Two_verifiers_with_one_name_and_ID_verify_for_neither()
    {
        OpenVerifier twin = new("log");
        Assert.Equal(NoteStatus.BadSignature, Verify([log.Sign(Text)], log, twin).Status);
        Assert.Equal(NoteStatus.Verified, Verify([other.Sign(Text)], log, twin, other).Status);
    }

    [Fact]
    public void P07_of_two_cosignatures_of_a_key_with_one_time_the_first_counts()
    {
        AnyBytes any = new(witness.Key);
        NoteSignature first = witness.Sign(Text, 5), bad = witness.Bad(Text), newer = new(bad.Name, bad.KeyId, witness.Sign(Text, 6).Signature);
        bad = new(bad.Name, bad.KeyId, (byte[])[.. first.Signature.Span[..8], .. bad.Signature.Span[8..]]);
        Assert.Equal(first, Assert.Single(Verify([first, bad], any).Verified).Signature);
        Assert.Equal(newer, Assert.Single(Verify([first, bad, newer], any).Verified).Signature);
    }

    /// <summary>A key under which every signature is good, as of a signer that draws its nonces.</summary>
    private sealed class AnyBytes(VerifierKey key) : INoteVerifier
    {
        public VerifierKey Key => key;

        public bool Verify(ReadOnlySpan<byte> noteText, ReadOnlySpan<byte> signature) => true;
    }
}
