using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Cli;

public sealed class PolicyTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly MemoryLog _log = new(1, witnesses: 3);

    public void Dispose()
    {
        _log.Dispose();
        _scratch.Dispose();
    }

    [Fact]
    public async Task A_policy_is_said_in_words()
    {
        string[] keys = [.. _log.PolicyText().Split('\n').Where(line => line.StartsWith("witness ", StringComparison.Ordinal)).Select(line => line.Split(' ')[2])];
        string text = $"# ours\nlog {_log.Signer.Key} https://example.com/log\nwitness w0 {keys[0]} https://w0.example\n\twitness w1  {keys[1]}\nwitness w2 {keys[2]}\ngroup some any w0 w1\ngroup top 2 some w2\nquorum top\n";
        Tlog run = (await Tlog.RunAsync("policy", "check", _scratch.Write("policy", text))).Succeeds();
        Assert.Equal("", run.Error);
        Assert.Equal(
            [
                $"log example.com/log, key {_log.Signer.Key}, at https://example.com/log",
                $"witness w0, key {keys[0]}, at https://w0.example",
                $"witness w1, key {keys[1]}, no URL",
                $"witness w2, key {keys[2]}, no URL",
                "group some: at least 1 of w0, w1",
                "group top: at least 2 of some, w2",
                "quorum top: a checkpoint is believed once top cosigned it",
            ],
            run.Lines);
    }

    public static TheoryData<byte, int, string> Unusable => new()
    {
        { VerifierKey.Ecdsa, 91, "its type is 0x02 (ECDSA)" },
        { VerifierKey.Rfc6962, 91, "its type is 0x05 (RFC 6962)" },
        { VerifierKey.Private, 91, "its type is 0xff (private use)" },
        { VerifierKey.Ed25519, 32, "its 32 bytes are no Ed25519 public key" },
    };

    [Theory, MemberData(nameof(Unusable))]
    public async Task N22_a_log_key_that_nothing_can_be_verified_with_does_not_pass(byte type, int size, string reason)
    {
        // A y of 2, which no point of the curve has; for the other types the bytes do not matter.
        VerifierKey key = VerifierKey.Create("example.com/unusable", type, [2, .. new byte[size - 1]]);
        string bad = $"line 2: nothing can be verified with the key of log example.com/unusable: {reason}";
        string alone = _scratch.Write("alone", $"# one\nlog {key}\nquorum none\n"), beside = _scratch.Write("beside", $"log {_log.Signer.Key}\nlog {key}\nquorum none\n");
        (await Tlog.RunAsync("policy", "check", alone)).Fails(1, bad);
        (await Tlog.RunAsync("policy", "check", beside)).Fails(1, bad);

        // A command that needs the policy: with no other log it ends before it asks anybody, with another one it says so and goes on.
        string entry = _scratch.Write("entry", "entry 0"), proof = _scratch.Write("proof", "no proof");
        (await Tlog.RunAsync("verify", proof, "--entry", entry, "--policy", alone)).Fails(2, bad);
        Tlog warned = await Tlog.RunAsync("verify", proof, "--entry", entry, "--policy", beside);
        Assert.Equal(1, warned.Code);
        Assert.Contains($"warning: {beside}: {bad}", warned.Error);
        (await Tlog.RunAsync("fsck", "http://127.0.0.1:1", "--vkey", key.ToString())).Fails(2, "--vkey example.com/unusable: nothing can be verified with this key");
    }

    [Fact]
    public async Task N22_a_witness_key_that_nothing_can_be_verified_with_does_not_pass()
    {
        VerifierKey mixed = VerifierKey.Create("w", VerifierKey.Ed25519Cosignature, [3, .. new byte[31]]);
        string policy = _scratch.Write("policy", $"log {_log.Signer.Key}\nwitness w {mixed}\nquorum none\n");
        (await Tlog.RunAsync("policy", "check", policy)).Fails(1, "line 2: nothing can be verified with the key of witness w");
    }

    /// <summary>The three witnesses with two keys of one name among them: groups that count the two once, and some that do not.</summary>
    [Theory]
    [InlineData("quorum all\n", "group all 2 a1 a2 b", true)]
    [InlineData("quorum all\n", "group all all a1 a2 b", true)]
    [InlineData("quorum a1\n", "", true)]
    [InlineData("quorum all\n", "group all 2 a1 b", true)]
    [InlineData("quorum all\n", "group a any a1 a2\ngroup all 2 a b", false)]
    [InlineData("quorum all\n", "group a 1 a1 a2\ngroup all 2 a b", false)]
    [InlineData("quorum all\n", "group a all a2 a1\ngroup all 2 a b", false)]
    [InlineData("quorum all\n", "group all any a1 a2 b", false)]
    public async Task PO20_two_keys_of_one_witness_that_would_count_twice_are_warned_of(string quorum, string groups, bool warned)
    {
        using Ed25519PrivateKey first = Ed25519PrivateKey.Generate(), other = Ed25519PrivateKey.Generate();
        using MlDsa44PrivateKey second = MlDsa44PrivateKey.Generate();
        string text = $"log {_log.Signer.Key}\nwitness a1 {new Cosigner("witness.example/a", first).Key}\nwitness a2 {new MlDsa44Cosigner("witness.example/a", second).Key}\n"
            + $"witness b {new Cosigner("witness.example/b", other).Key}\n{groups}\n{quorum}";
        Tlog run = (await Tlog.RunAsync("policy", "check", _scratch.Write("policy", text))).Succeeds();
        Assert.Equal(warned, run.Error.Contains("warning: a1 and a2 have one key name, witness.example/a", StringComparison.Ordinal));
        if (!warned) Assert.Equal("", run.Error);
    }

    [Fact]
    public async Task A_quorum_of_none_is_warned_of()
    {
        Tlog run = (await Tlog.RunAsync(Encoding.UTF8.GetBytes($"log {_log.Signer.Key}\nquorum none\n"), ["policy", "check", "-"])).Succeeds();
        Assert.Contains("quorum none: no witness is needed", run.Lines);
        Assert.Contains("warning: the quorum is none", run.Error);
        run = (await Tlog.RunAsync("quorum none\n"u8.ToArray(), ["policy", "check", "-"])).Succeeds();
        Assert.Contains("accepts no checkpoint", run.Error);
    }

    [Theory]
    [InlineData("")]
    [InlineData("quorum\n")]
    [InlineData("log nonsense\nquorum none\n")]
    [InlineData("quorum none\r\n")]
    [InlineData("quorum later\n")]
    public async Task A_file_that_is_no_policy_is_exit_code_1(string text) =>
        (await Tlog.RunAsync("policy", "check", _scratch.Write("policy", text))).Fails(1, "policy: ");

    [Fact]
    public async Task A_missing_file_is_exit_code_2() => (await Tlog.RunAsync("policy", "check", _scratch["nothing"])).Fails(2, $"no such file: {_scratch["nothing"]}");

    [Fact]
    public async Task Names_from_a_file_reach_the_terminal_without_control_characters()
    {
        string key = _log.PolicyText().Split('\n')[1].Split(' ')[2];
        byte[] text = [.. Encoding.UTF8.GetBytes($"log {_log.Signer.Key}\nwitness "), 0x9b, (byte)'2', (byte)'J', .. Encoding.UTF8.GetBytes($" {key}\nquorum none\n")];
        Tlog run = (await Tlog.RunAsync(text, ["policy", "check", "-"])).Succeeds();
        Assert.Contains("witness \\u009b2J, key", run.Out);
    }
}
