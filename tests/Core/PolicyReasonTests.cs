using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

/// <summary>What a policy, or the judgement by one, says of what it refuses: people mend their files by it.</summary>
public sealed class PolicyReasonTests
{
    private const string Origin = "example.com/behind-the-sofa";
    private readonly OpenVerifier log = new(Origin, fill: 1);
    private readonly OpenVerifier second = new(Origin, fill: 9);
    private readonly OpenVerifier a = new("a.example", VerifierKey.Ed25519Cosignature, 3);
    private readonly OpenVerifier b = new("b.example", VerifierKey.Ed25519Cosignature, 4);
    private readonly OpenVerifier c = new("c.example", VerifierKey.Ed25519Cosignature, 5);
    private readonly OpenVerifier d = new("d.example", VerifierKey.Ed25519Cosignature, 6);

    private static Policy Parse(string text)
    {
        Assert.True(Policy.TryParse(Utf8(text), out Policy? policy, out string error), error);
        return policy;
    }

    private static string Refused(string text)
    {
        Assert.False(Policy.TryParse(Utf8(text), out Policy? policy, out string error));
        Assert.Null(policy);
        return error;
    }

    private static PolicyVerdict Verify(Policy policy, string text, params NoteSignature[] lines) => policy.Verify(new Note(Utf8(text), lines), OpenVerifier.For);

    private string Witnesses => $"witness a {a.Key}\nwitness b {b.Key}\nwitness c {c.Key}\nwitness d {d.Key}\n";

    private static VerifierKey Numbered(int number, byte type)
    {
        byte[] key = new byte[32];
        BitConverter.TryWriteBytes(key, number);
        return VerifierKey.Create($"key{number}", type, key);
    }

    [Fact]
    public void A_verdict_says_why()
    {
        Policy policy = Parse($"log {log.Key}\n{Witnesses}group g 2 a b\nquorum g\n");
        Assert.Equal("the text of the note is not a checkpoint", Verify(policy, "a\n", log.Sign("a\n")).Reason);
        string other = CheckpointText.Replace("sofa", "couch", StringComparison.Ordinal);
        Assert.Equal("no log of the policy has the origin \"example.com/behind-the-couch\"", Verify(policy, other, log.Sign(other)).Reason);
        Assert.Equal("a signature line of \"a.example\" does not verify", Verify(policy, CheckpointText, log.Sign(CheckpointText), a.Bad(CheckpointText)).Reason);
        Assert.Equal("no key of the log \"example.com/behind-the-sofa\" signed the checkpoint", Verify(policy, CheckpointText, a.Sign(CheckpointText), b.Sign(CheckpointText)).Reason);
        Assert.Equal("the quorum is not met: 1 of 4 witnesses cosigned", Verify(policy, CheckpointText, log.Sign(CheckpointText), a.Sign(CheckpointText)).Reason);
    }

    [Fact]
    public void One_of_the_keys_of_a_log_is_enough()
    {
        Policy policy = Parse($"log {log.Key}\nlog {second.Key}\nquorum none\n");
        Assert.Equal(PolicyFailure.None, Verify(policy, CheckpointText, log.Sign(CheckpointText)).Failure);
        Assert.Equal(PolicyFailure.None, Verify(policy, CheckpointText, second.Sign(CheckpointText)).Failure);
        Assert.Equal(PolicyFailure.NoLogSignature, Verify(policy, CheckpointText, a.Sign(CheckpointText)).Failure);
    }

    [Theory]
    [InlineData("quorum none\n", "")]
    [InlineData("quorum c\n", "c")]
    [InlineData("group g 1 a b\nquorum g\n", "a b")]
    [InlineData("group g any b d\nquorum g\n", "b d")]
    [InlineData("group g 1 a b\ngroup h all g d\nquorum h\n", "a b d")]
    [InlineData("group g 1 a b\ngroup h all c d\nquorum g\n", "a b")]
    [InlineData("group g 1 a b\ngroup h all c d\nquorum h\n", "c d")]
    [InlineData("group g 1 a\ngroup h all g\ngroup i all c h\nquorum i\n", "a c")]
    public void The_witnesses_of_a_quorum_are_those_it_is_made_of(string rest, string names) =>
        Assert.Equal(names, string.Join(' ', Parse($"log {log.Key}\n{Witnesses}{rest}").QuorumWitnesses.Select(witness => witness.Name)));

    [Fact]
    public void A_key_that_is_there_twice_is_named_by_role_and_line()
    {
        Assert.Equal("line 2: the public key is that of the log on line 1", Refused($"log {log.Key}\nlog {log.Key}\nquorum none\n"));
        Assert.Equal("line 3: the public key is that of the witness on line 2", Refused($"log {log.Key}\nwitness a {a.Key}\nwitness b {a.Key}\nquorum none\n"));
    }

    [Fact]
    public void There_are_at_most_256_witnesses_and_groups()
    {
        string witnesses = string.Concat(Enumerable.Range(0, 256).Select(i => $"witness w{i} {Numbered(i, VerifierKey.Ed25519Cosignature)}\n"));
        Assert.Equal(256, Parse($"log {log.Key}\n{witnesses}quorum none\n").Witnesses.Count);
        Assert.Equal("line 258: a policy has at most 256 witnesses", Refused($"log {log.Key}\n{witnesses}witness w {a.Key}\nquorum none\n"));
        string groups = string.Concat(Enumerable.Range(0, 256).Select(i => $"group g{i} all w{i}\n"));
        Parse($"log {log.Key}\n{witnesses}{groups}quorum g255\n");
        Assert.Equal("line 514: a policy has at most 256 groups", Refused($"log {log.Key}\n{witnesses}{groups}group g all g0\nquorum none\n"));
    }

    [Fact]
    public void A_policy_has_at_most_1_MiB_and_8192_lines()
    {
        string begin = $"log {log.Key}\nquorum none\n";
        string Filled(int size) => $"{begin}#{new string('x', size - begin.Length - 2)}\n";
        Parse(Filled(1048576));
        Assert.Equal("a policy has at most 1048576 bytes", Refused(Filled(1048577)));
        Parse(begin + new string('\n', 8190));
        Assert.Equal("a policy has at most 8192 lines", Refused(begin + new string('\n', 8191)));
    }

    [Theory]
    [InlineData("a b~", "\"a b~\"")]
    [InlineData("\u001f\u007f\"\\\n", "\"\\x1f\\x7f\\x22\\x5c\\x0a\"")]
    [InlineData("\u00e9", "\"\\xc3\\xa9\"")]
    [InlineData("", "\"\"")]
    public void Foreign_text_stands_in_quotes_as_printable_ASCII(string text, string quoted) => Assert.Equal(quoted, PolicyParser.Quote(text));

    [Fact]
    public void Foreign_text_is_cut_after_80_bytes()
    {
        Assert.Equal($"\"{new string('x', 80)}\"", PolicyParser.Quote(new string('x', 80)));
        Assert.Equal($"\"{new string('x', 80)}...\"", PolicyParser.Quote(new string('x', 81)));
    }
}
