using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

/// <summary>What a policy says about a note, with verifiers anyone can sign for.</summary>
public sealed class PolicyVerifyTests
{
    private const string Origin = "example.com/behind-the-sofa";
    private const string Text = CheckpointText;
    private readonly OpenVerifier log = new(Origin, fill: 1);
    private readonly OpenVerifier otherLog = new("other.example", fill: 2);
    private readonly OpenVerifier a = new("a.example", VerifierKey.Ed25519Cosignature, 3);
    private readonly OpenVerifier b = new("b.example", VerifierKey.Ed25519Cosignature, 4);
    private readonly OpenVerifier c = new("c.example", VerifierKey.MlDsa44Cosignature, 5);
    private readonly Policy policy;

    public PolicyVerifyTests()
    {
        string text = $"log {log.Key}\nlog {otherLog.Key}\nwitness a {a.Key}\nwitness b {b.Key}\nwitness c {c.Key}\ngroup q 2 a b c\nquorum q\n";
        Assert.True(Policy.TryParse(Utf8(text), out Policy? parsed, out string error), error);
        policy = parsed!;
    }

    private PolicyVerdict Verify(params NoteSignature[] lines) => policy.Verify(new Note(Utf8(Text), lines), OpenVerifier.For);

    [Fact]
    public void PO19_a_checkpoint_signed_by_its_log_and_the_quorum_is_accepted()
    {
        PolicyVerdict verdict = Verify(log.Sign(Text), a.Sign(Text), c.Sign(Text));
        Assert.Equal(PolicyFailure.None, verdict.Failure);
        Assert.Equal(Origin, verdict.Checkpoint!.Origin);
        Assert.Equal(["a", "c"], verdict.Cosigned.Select(witness => witness.Name));
        Assert.Equal("", verdict.Reason);
    }

    [Fact]
    public void P07_duplicate_lines_of_a_witness_meet_no_quorum()
    {
        PolicyVerdict verdict = Verify(log.Sign(Text), a.Sign(Text, 1), a.Sign(Text, 2), a.Sign(Text, 2), a.Sign(Text, 3));
        Assert.Equal(PolicyFailure.QuorumNotMet, verdict.Failure);
        Assert.NotNull(verdict.Checkpoint);
        Assert.Equal(["a"], verdict.Cosigned.Select(witness => witness.Name));
    }

    [Fact]
    public void PR08_witnesses_alone_are_not_the_log()
    {
        PolicyVerdict verdict = Verify(a.Sign(Text), b.Sign(Text), c.Sign(Text));
        Assert.Equal(PolicyFailure.NoLogSignature, verdict.Failure);
        Assert.Null(verdict.Checkpoint);
        Assert.Empty(verdict.Cosigned);
    }

    [Fact]
    public void PO06_the_key_of_another_log_of_the_policy_is_not_the_key_of_this_one()
    {
        PolicyVerdict verdict = Verify(otherLog.Sign(Text), a.Sign(Text), b.Sign(Text));
        Assert.Equal(PolicyFailure.NoLogSignature, verdict.Failure);
        Assert.Null(verdict.Checkpoint);
    }

    [Fact]
    public void An_origin_that_no_log_has_is_unknown_whoever_signed()
    {
        const string text = "nobody.example\n1\n" + RootLine + "\n";
        PolicyVerdict verdict = policy.Verify(new Note(Utf8(text), [log.Sign(text), a.Sign(text), b.Sign(text)]), OpenVerifier.For);
        Assert.Equal(PolicyFailure.UnknownLog, verdict.Failure);
        Assert.Null(verdict.Checkpoint);
    }

    [Fact]
    public void A_note_that_is_no_checkpoint_is_refused()
    {
        const string text = Origin + "\nhello\n";
        PolicyVerdict verdict = policy.Verify(new Note(Utf8(text), [log.Sign(text)]), OpenVerifier.For);
        Assert.Equal(PolicyFailure.NotACheckpoint, verdict.Failure);
    }

    [Fact]
    public void SN15_a_bad_line_of_a_known_key_rejects_whoever_it_is()
    {
        Assert.Equal(PolicyFailure.BadSignature, Verify(log.Bad(Text), a.Sign(Text), b.Sign(Text)).Failure);
        Assert.Equal(PolicyFailure.BadSignature, Verify(log.Sign(Text), log.Bad(Text), a.Sign(Text), b.Sign(Text)).Failure);
        PolicyVerdict verdict = Verify(log.Sign(Text), a.Sign(Text), b.Sign(Text), c.Bad(Text));
        Assert.Equal(PolicyFailure.BadSignature, verdict.Failure);
        Assert.Null(verdict.Checkpoint);
        Assert.Contains("c.example", verdict.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void CP12_lines_of_keys_outside_the_policy_are_ignored()
    {
        OpenVerifier stranger = new("stranger.example", fill: 9);
        Assert.Equal(PolicyFailure.None, Verify(stranger.Bad(Text), log.Sign(Text), a.Sign(Text), b.Sign(Text)).Failure);
    }

    [Fact]
    public void A_key_of_a_type_that_is_not_understood_signs_nothing()
    {
        Note note = new(Utf8(Text), [log.Sign(Text), a.Sign(Text), c.Sign(Text)]);
        PolicyVerdict verdict = policy.Verify(note, key => key.SignatureType == VerifierKey.MlDsa44Cosignature ? null : OpenVerifier.For(key));
        Assert.Equal(PolicyFailure.QuorumNotMet, verdict.Failure);
        Assert.Equal(PolicyFailure.NoLogSignature, policy.Verify(note, _ => null).Failure);
    }

    [Fact]
    public void One_key_in_both_roles_counts_in_both()
    {
        OpenVerifier both = new(Origin, VerifierKey.MlDsa44Cosignature, 6);
        Assert.True(Policy.TryParse(Utf8($"log {both.Key}\nwitness w {both.Key}\nquorum w\n"), out Policy? one, out _));
        PolicyVerdict verdict = one!.Verify(new Note(Utf8(Text), [both.Sign(Text)]), OpenVerifier.For);
        Assert.Equal(PolicyFailure.None, verdict.Failure);
        Assert.Single(verdict.Cosigned);
    }

    [Fact]
    public void A_reason_repeats_foreign_text_as_ASCII()
    {
        const string text = "\u009b31mevil\u2028\n1\n" + RootLine + "\n";
        PolicyVerdict verdict = policy.Verify(new Note(Utf8(text), [log.Sign(text)]), OpenVerifier.For);
        Assert.All(verdict.Reason, one => Assert.InRange(one, ' ', '~'));
    }
}
