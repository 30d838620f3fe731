using TransparencyLog.Client;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

public sealed class PolicyTests : IDisposable
{
    private static readonly Ed25519PrivateKey LogKey = Ed25519PrivateKey.Generate(), WitnessKey = Ed25519PrivateKey.Generate(), OtherKey = Ed25519PrivateKey.Generate();
    private static readonly VerifierKey Log = new NoteSigner("example.com/log", LogKey).Key, Other = new NoteSigner("example.com/other", OtherKey).Key;
    private static readonly VerifierKey Witness = new Cosigner("example.com/witness", WitnessKey).Key;
    // A point of small order: nothing is verified with it.
    private static readonly VerifierKey Unusable = VerifierKey.Create("example.com/zero", VerifierKey.Ed25519Cosignature, new byte[32]);
    private readonly string _folder = Directory.CreateTempSubdirectory("tlog-policy-").FullName;

    public static TheoryData<string, string> Refused => new()
    {
        { "quorum", "line 1" },
        { $"witness w {Witness} http://127.0.0.1:1\n", "quorum" },
        { $"witness w {Witness}\nquorum w\n", "witness w has no URL" },
        { $"witness w {Witness} ftp://127.0.0.1/\nquorum w\n", "the URL of witness w" },
        { $"witness w {Witness} http://127.0.0.1/?x\nquorum w\n", "the URL of witness w" },
        { $"witness w {Witness} http://user:pass@127.0.0.1/\nquorum w\n", "the URL of witness w" },
        { $"witness w {Witness} nonsense\nquorum w\n", "the URL of witness w" },
        { $"log {Other}\nquorum none\n", "but not this one" },
        { $"witness w {new Cosigner("example.com/witness", LogKey).Key} http://127.0.0.1:1\nquorum none\n", "has the key of this log" },
        { $"witness w {Unusable} http://127.0.0.1:1\nquorum w\n", "cannot verify" },
        { $"witness w {Unusable} http://127.0.0.1:1\nwitness v {Witness} http://127.0.0.1:2\ngroup g all v w\nquorum g\n", "cannot verify" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void A_policy_that_this_log_cannot_meet_is_refused_and_says_why(string text, string why)
    {
        ConfigurationException refusal = Assert.Throws<ConfigurationException>(() => Read(text));
        Assert.StartsWith("policy: ", refusal.Message);
        Assert.Contains(why, refusal.Message);
    }

    [Fact]
    public void A_file_that_is_missing_or_too_large_is_refused_by_name()
    {
        string path = Path.Combine(_folder, "nowhere");
        Assert.Contains($"{path} does not exist", Assert.Throws<ConfigurationException>(() => WitnessPolicy.Read(path, Identity)).Message);
        Assert.Contains("at most", Assert.Throws<ConfigurationException>(() => Read(new string('\n', Policy.MaxSize + 1))).Message);
    }

    [Fact]
    public void A_policy_that_it_can_meet_is_read()
    {
        Assert.Equal((true, 0), (WitnessPolicy.Read(null, Identity).QuorumIsNone, WitnessPolicy.Read(null, Identity).Witnesses.Count));
        Assert.True(Read("quorum none\n").QuorumIsNone);
        Assert.Single(Read($"log {Log}\nlog {Other}\nwitness w {Witness} http://127.0.0.1:1/prefix/\nquorum w\n").Witnesses);
        Policy policy = Read($"witness w {Unusable} http://127.0.0.1:1\nwitness v {Witness} http://127.0.0.1:2/\ngroup g any v w\nquorum g\n");
        WitnessAddress address = Assert.Single(WitnessAddress.Of(policy, Verifiers.TryCreate));
        Assert.Equal(("http://127.0.0.1:2", Witness, "v"), (address.SubmissionPrefix, Assert.Single(address.Keys).Key, Assert.Single(address.Witnesses).Name));
    }

    [Fact]
    public void N22_keys_of_a_policy_that_verify_nothing_are_named_with_the_reason()
    {
        VerifierKey ecdsa = VerifierKey.Create("example.com/ecdsa", VerifierKey.Ecdsa, new byte[91]);
        string[] named = [.. WitnessPolicy.Unusable(Read($"log {Log}\nlog {ecdsa}\nwitness w {Unusable} http://127.0.0.1:1\nwitness v {Witness} http://127.0.0.1:2/\ngroup g any v w\nquorum g\n"))];
        Assert.Equal(2, named.Length);
        Assert.Contains("log example.com/ecdsa: its type is 0x02 (ECDSA)", named[0]);
        Assert.Contains("witness w is not asked: its 32 bytes are no Ed25519 public key", named[1]);
        Assert.Empty(WitnessPolicy.Unusable(Read($"log {Log}\nwitness v {Witness} http://127.0.0.1:2/\nquorum v\n")));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static LogIdentity Identity => new("example.com/log", Log.ToString(), "key.pem");

    private Policy Read(string text)
    {
        string path = Path.Combine(_folder, "policy");
        File.WriteAllText(path, text);
        return WitnessPolicy.Read(path, Identity);
    }
}
