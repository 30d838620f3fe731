using System.Globalization;
using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

/// <summary>The text of policies: one refusal for each way to get a rule wrong.</summary>
public sealed class PolicyTests
{
    private static string Key(string name, byte type, int seed) =>
        VerifierKey.Create(name, type, Enumerable.Repeat((byte)seed, type == VerifierKey.MlDsa44Cosignature ? 1312 : 32).ToArray()).ToString();

    private static string Log(int seed) => Key($"log{seed}.example", VerifierKey.Ed25519, seed);

    private static string Witness(int seed) => Key($"w{seed}.example", VerifierKey.Ed25519Cosignature, seed);

    private static readonly string Base = $"log {Log(1)}\nwitness a {Witness(11)}\nwitness b {Witness(12)}\nwitness c {Witness(13)}\n";

    private static Policy Parse(string text)
    {
        Assert.True(Policy.TryParse(Latin1(text), out Policy? policy, out string error), error);
        Assert.Equal("", error);
        return policy!;
    }

    private static string Refused(string text)
    {
        Assert.False(Policy.TryParse(Latin1(text), out Policy? policy, out string error), text);
        Assert.Null(policy);
        Assert.NotEqual("", error);
        Assert.All(error, one => Assert.InRange(one, ' ', '~'));
        return error;
    }

    [Fact]
    public void The_example_of_the_text_means_what_it_says()
    {
        Policy policy = Parse(
            $"log {Log(1)}\n\nwitness X1 {Witness(1)}\nwitness X2 {Witness(2)}\nwitness X3 {Witness(3)}\ngroup X-witnesses 2 X1 X2 X3\n\n"
            + $"witness Y1 {Witness(4)}\nwitness Y2 {Witness(5)}\nwitness Y3 {Witness(6)}\ngroup Y-witnesses any Y1 Y2 Y3\n\n"
            + "group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n");
        Assert.False(policy.QuorumIsNone);
        for (int set = 0; set < 64; set++)
        {
            bool expected = int.PopCount(set & 7) >= 2 && (set >> 3) != 0;
            Assert.Equal(expected, policy.IsQuorumMet(witness => (set >> IndexOf(policy, witness) & 1) != 0));
        }
    }

    private static int IndexOf(Policy policy, PolicyWitness witness) => policy.Witnesses.ToList().IndexOf(witness);

    [Theory]
    [InlineData("all", 3)]
    [InlineData("any", 1)]
    [InlineData("1", 1)]
    [InlineData("2", 2)]
    [InlineData("3", 3)]
    public void PO11_a_group_needs_as_many_as_it_says(string rule, int needed)
    {
        Policy policy = Parse(Base + $"group g {rule} a b c\nquorum g\n");
        for (int set = 0; set < 8; set++)
        {
            Assert.Equal(int.PopCount(set) >= needed, policy.IsQuorumMet(witness => (set >> IndexOf(policy, witness) & 1) != 0));
        }
    }

    [Theory]
    [InlineData("\tlog\t {0} \t\n  \t\n \t# comment\n#\n##quorum a\nquorum \t none\t\n")]
    [InlineData("log {0}\nquorum none\n")]
    public void PO01_items_are_between_spaces_and_tabs_and_lines_may_be_indented(string text) =>
        Assert.Single(Parse(text.Replace("{0}", Log(1))).Logs);

    [Theory]
    [InlineData("quorum none", "newline")] // PO-01
    [InlineData("quorum none\n# comment", "newline")]
    [InlineData("", "quorum")] // PO-16
    [InlineData("\n", "quorum")]
    [InlineData("# quorum none\n", "quorum")]
    [InlineData("quorum none # no witnesses yet\n", "comment")] // PO-02, read as a comment by others
    [InlineData("quorum none #\n", "comment")]
    [InlineData("quorum none\r\n", "0x0d")] // PO-03
    [InlineData("quorum\u00a0none\n", "begins no line")]
    [InlineData("quorum\u0085none\n", "begins no line")]
    [InlineData("\fquorum none\n", "0x0c")]
    [InlineData("quorum\vnone\n", "0x0b")]
    [InlineData("quorum none\0\n", "0x00")]
    [InlineData("# \u007f\nquorum none\n", "0x7f")]
    [InlineData("# \u001b[31m\nquorum none\n", "0x1b")]
    [InlineData("\u00ef\u00bb\u00bfquorum none\n", "begins no line")] // a byte order mark
    [InlineData("quorum\n", "quorum <name>")]
    [InlineData("quorum none none\n", "quorum <name>")]
    [InlineData("quorum none\nquorum none\n", "exactly one")]
    [InlineData("Quorum none\n", "begins no line")]
    [InlineData("quorum None\n", "not defined")]
    [InlineData("threshold 1\n", "begins no line")]
    [InlineData("quorum nobody\n", "not defined")]
    [InlineData("log\nquorum none\n", "log <vkey>")] // PO-05
    [InlineData("log {L1} https://log.example/ more\nquorum none\n", "log <vkey>")]
    [InlineData("log {L1} # the log\nquorum none\n", "log <vkey>")]
    [InlineData("log example.com+00000000+AAAA\nquorum none\n", "not a vkey")]
    [InlineData("log name {L1}\nquorum none\n", "not a vkey")]
    [InlineData("log {W1}\nquorum none\n", "0x04")] // PO-10
    [InlineData("log {L1}\nlog {L1}\nquorum none\n", "line 1")] // PO-07
    [InlineData("log {L1}\nlog {L1} https://other.example/\nquorum none\n", "line 1")]
    [InlineData("log {L1}\nlog {L1 under another name}\nquorum none\n", "line 1")]
    [InlineData("witness\nquorum none\n", "witness <name>")] // PO-08
    [InlineData("witness a\nquorum none\n", "witness <name>")]
    [InlineData("witness {W1}\nquorum none\n", "witness <name>")]
    [InlineData("witness a {W1} https://w.example/ more\nquorum none\n", "witness <name>")]
    [InlineData("witness a b\nquorum none\n", "not a vkey")]
    [InlineData("witness a {L1}\nquorum none\n", "0x04 or 0x06")] // PO-10
    [InlineData("witness a {W1}\nwitness b {W1}\nquorum none\n", "line 1")] // PO-09
    [InlineData("witness a {W1}\nwitness b {W1 under another name}\nquorum none\n", "line 1")]
    [InlineData("witness a {W1}\nwitness a {W2}\nquorum none\n", "already defined")] // PO-12
    [InlineData("witness none {W1}\nquorum none\n", "\"none\"")] // PO-13
    public void A_policy_that_breaks_a_rule_is_refused_and_the_error_says_which(string text, string says)
    {
        string error = Refused(text
            .Replace("{L1 under another name}", Key("other.example", VerifierKey.Ed25519, 1)).Replace("{W1 under another name}", Key("other.example", VerifierKey.Ed25519Cosignature, 21))
            .Replace("{L1}", Log(1)).Replace("{W1}", Witness(21)).Replace("{W2}", Witness(22)));
        Assert.Contains(says, error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("group g\nquorum a\n", "at least one member")] // PO-11
    [InlineData("group g all\nquorum g\n", "at least one member")]
    [InlineData("group g any\nquorum g\n", "at least one member")]
    [InlineData("group g 0\nquorum g\n", "at least one member")]
    [InlineData("group g 0 a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g -1 a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g 3 a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g 02 a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g +1 a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g 0x1 a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g 1.0 a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g 18446744073709551617 a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g ALL a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g most a b\nquorum g\n", "from 1 to the 2")]
    [InlineData("group g a b c\nquorum g\n", "from 1 to the 2")]
    [InlineData("group a any b c\nquorum a\n", "already defined")] // PO-12
    [InlineData("group g any a\ngroup g any b\nquorum g\n", "already defined")]
    [InlineData("group none any a\nquorum none\n", "\"none\"")] // PO-13
    [InlineData("group g any a none\nquorum g\n", "\"none\"")]
    [InlineData("group g any none\nquorum g\n", "\"none\"")]
    [InlineData("group g any a d\nwitness d {W}\nquorum g\n", "not defined")] // PO-14
    [InlineData("group g any g\nquorum g\n", "not defined")]
    [InlineData("group g any h\ngroup h any g\nquorum g\n", "not defined")]
    [InlineData("quorum g\ngroup g any a\n", "not defined")]
    [InlineData("quorum d\nwitness d {W}\n", "not defined")]
    [InlineData("group g any a # b\nquorum g\n", "not defined")] // PO-02
    [InlineData("group g any a a\nquorum g\n", "already a member")] // PO-15
    [InlineData("group g any a b\ngroup h any b c\nquorum h\n", "already a member")]
    [InlineData("group g any a\ngroup h any b\ngroup i any g h\ngroup j any g c\nquorum j\n", "already a member")]
    [InlineData("group g any A\nquorum g\n", "not defined")] // PO-04
    [InlineData("quorum a\nquorum b\n", "exactly one")] // PO-16
    [InlineData("quorum a\nquorum a\n", "exactly one")]
    [InlineData("quorum none\nquorum a\n", "exactly one")]
    [InlineData("quorum a b\n", "quorum <name>")]
    public void A_quorum_that_breaks_a_rule_is_refused_and_the_error_says_which(string text, string says)
    {
        string error = Refused(Base + text.Replace("{W}", Witness(31)));
        Assert.Contains(says, error, StringComparison.Ordinal);
        Assert.StartsWith("line ", error, StringComparison.Ordinal);
    }

    [Fact]
    public void PO07_PO09_one_public_key_may_stand_for_a_log_and_for_a_witness_but_not_twice_for_either()
    {
        string ml = Key("both.example", VerifierKey.MlDsa44Cosignature, 3);
        Policy policy = Parse($"log {ml}\nwitness w {ml}\nquorum w\n");
        Assert.Equal(policy.Logs[0].Key, policy.Witnesses[0].Key);
    }

    [Theory]
    [InlineData("group g any a b\nquorum a\n")] // a member of a group is legal in the quorum line
    [InlineData("quorum a\nwitness later {W}\nlog {L}\ngroup g any b later\n")] // lines after the quorum
    [InlineData("group all all a\ngroup any any all\ngroup 2 1 any\nquorum 2\n")] // keywords and numbers are names like others
    [InlineData("witness # {W}\nquorum #\n")]
    [InlineData("group g all a\nquorum g\n")]
    public void PO16_what_the_text_allows_is_read(string text) => Parse(Base + text.Replace("{W}", Witness(31)).Replace("{L}", Log(32)));

    [Fact]
    public void PO04_names_are_opaque_bytes()
    {
        // The Kelvin sign in UTF-8, K, k, and two bytes that are no UTF-8 and would both become U+FFFD.
        string[] names = ["\u00e2\u0084\u00aa", "K", "k", "\u00ff", "\u00fe", "\u00c3\u00a4", "a\u00cc\u0088", "\u0085", "\u00a0"];
        string text = string.Concat(names.Select((name, i) => $"witness {name} {Witness(40 + i)}\n"));
        Policy policy = Parse(text + $"group g 1 {string.Join(' ', names)}\nquorum {names[3]}\n");
        Assert.Equal(names, policy.Witnesses.Select(witness => witness.Name));
        Assert.True(policy.IsQuorumMet(witness => witness.Name == "\u00ff"));
        Assert.False(policy.IsQuorumMet(witness => witness.Name != "\u00ff"));
    }

    [Fact]
    public void PO17_quorum_none_needs_nobody_and_no_logs()
    {
        Policy policy = Parse("quorum none\n");
        Assert.True(policy.QuorumIsNone);
        Assert.Empty(policy.Logs);
        Assert.Empty(policy.Witnesses);
        Assert.True(policy.IsQuorumMet(_ => false));
        Assert.True(Parse(Base + "quorum none\n").IsQuorumMet(_ => false));
    }

    [Fact]
    public void A_list_of_logs_needs_no_quorum_line()
    {
        Assert.True(Policy.TryParseLogs(Utf8($"log {Log(1)} https://log.example/\n"), out Policy? policy, out _));
        Assert.True(policy!.QuorumIsNone);
        Assert.Equal("https://log.example/", policy.Logs[0].Url);
        Assert.True(Policy.TryParseLogs(""u8, out _, out _));
        Assert.False(Policy.TryParseLogs(Utf8($"log {Log(1)}\nlog {Log(1)}\n"), out _, out _));
        Assert.False(Policy.TryParseLogs("quorum none\nquorum none\n"u8, out _, out _));
    }

    [Fact]
    public void PO08_URLs_are_kept_as_written()
    {
        Policy policy = Parse($"log {Log(1)}\nwitness a {Witness(2)} https://m\u00c3\u00bcnchen.example/#x\nwitness b {Witness(3)} \u00ff\nwitness c {Witness(4)}\nquorum none\n");
        Assert.Equal(["https://m\u00fcnchen.example/#x", "\u00ff", null], policy.Witnesses.Select(witness => witness.Url));
        Assert.Null(policy.Logs[0].Url);
    }

    [Fact]
    public void G11_a_group_counts_a_witness_with_two_keys_once()
    {
        // SPEC PO-20.
        Policy policy = Parse(Base + $"witness a-pq {Key("w11.example", VerifierKey.MlDsa44Cosignature, 9)}\ngroup both any a a-pq\ngroup q 2 both b c\nquorum q\n");
        Assert.False(policy.IsQuorumMet(witness => witness.Name is "a" or "a-pq"));
        Assert.True(policy.IsQuorumMet(witness => witness.Name is "a-pq" or "b"));
    }

    [Fact]
    public void Two_keys_with_one_name_and_ID_are_refused()
    {
        // Found by trying seeds: the key ID has 32 bits, so a collision with another type is made here by hand.
        Dictionary<uint, int> seen = [];
        Random random = new(7);
        byte[] key = new byte[32];
        List<byte[]> keys = [];
        while (true)
        {
            random.NextBytes(key);
            keys.Add([.. key]);
            uint id = VerifierKey.ComputeKeyId("w", VerifierKey.Ed25519Cosignature, key);
            if (!seen.TryAdd(id, keys.Count - 1))
            {
                string one = VerifierKey.Create("w", VerifierKey.Ed25519Cosignature, keys[seen[id]]).ToString();
                string two = VerifierKey.Create("w", VerifierKey.Ed25519Cosignature, key).ToString();
                Assert.Contains("told apart", Refused($"witness a {one}\nwitness b {two}\nquorum none\n"), StringComparison.Ordinal);
                return;
            }
        }
    }

    [Theory]
    [InlineData(257, true)]
    [InlineData(4096, true)]
    [InlineData(4097, false)]
    public void A_list_of_logs_may_have_more_of_them_than_a_policy(int count, bool ok)
    {
        byte[] logs = Utf8(string.Concat(Enumerable.Range(0, count).Select(i =>
            $"log {VerifierKey.Create($"log{i}.example/a-name-of-the-usual-length", 1, [(byte)i, (byte)(i >> 8), .. new byte[30]])} https://log{i}.example/with/a/prefix/\n")));
        Assert.Equal(ok, Policy.TryParseLogs(logs, out Policy? policy, out string error));
        if (ok) Assert.Equal(count, policy!.Logs.Count);
        else Assert.Contains("a list of logs 4096", error, StringComparison.Ordinal);
        Assert.False(Policy.TryParse([.. logs, .. "quorum none\n"u8], out _, out _));
    }

    [Theory]
    [InlineData(32, true)]
    [InlineData(256, true)]
    [InlineData(257, false)]
    public void PO18_many_logs_witnesses_and_groups_are_read_up_to_the_limit(int count, bool ok)
    {
        static string Numbered(string name, byte type, int i) => VerifierKey.Create(name, type, [(byte)i, (byte)(i >> 8), .. new byte[30]]).ToString();
        string logs = string.Concat(Enumerable.Range(0, count).Select(i => $"log {Numbered("log", 1, i)}\n"));
        string witnesses = string.Concat(Enumerable.Range(0, count).Select(i => $"witness w{i} {Numbered("w", 4, i)}\n"));
        string groups = string.Concat(Enumerable.Range(0, count).Select(i => i == 0 ? "group g0 any w0\n" : $"group g{i} all g{i - 1} {(i < 256 ? $"w{i}" : "")}\n"));
        Assert.Equal(ok, Policy.TryParse(Utf8(logs + "quorum none\n"), out _, out string error));
        if (!ok) Assert.Contains("at most 256", error, StringComparison.Ordinal);
        Assert.Equal(ok, Policy.TryParse(Utf8(witnesses + "quorum none\n"), out _, out _));
        string few = ok ? witnesses : string.Concat(Enumerable.Range(0, 256).Select(i => $"witness w{i} {Numbered("w", 4, i)}\n"));
        Assert.Equal(ok, Policy.TryParse(Utf8(few + groups + $"quorum g{count - 1}\n"), out Policy? policy, out _));
        if (!ok) return;
        Assert.True(policy!.IsQuorumMet(_ => true));
        Assert.False(policy.IsQuorumMet(witness => witness.Name != "w0"));
    }

    [Fact]
    public void Limits_to_bytes_lines_and_items_have_numbers_and_hold()
    {
        Parse(new string('\n', Policy.MaxLines - 1) + "quorum none\n");
        Assert.Contains("8192", Refused(new string('\n', Policy.MaxLines) + "quorum none\n"), StringComparison.Ordinal);
        Parse("quorum none\n#" + new string('x', Policy.MaxSize - 14) + "\n");
        Assert.Contains("1048576", Refused("quorum none\n#" + new string('x', Policy.MaxSize - 13) + "\n"), StringComparison.Ordinal);

        byte[] flood = Utf8("group g any " + string.Concat(Enumerable.Repeat("a ", 500_000)) + "\n");
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.False(Policy.TryParse(flood, out _, out string error));
        Assert.Contains("items", error, StringComparison.Ordinal);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Fact]
    public void An_error_names_the_line_and_quotes_in_ASCII()
    {
        Assert.StartsWith("line 3: ", Refused("# one\n\nbogus\nquorum none\n"), StringComparison.Ordinal);
        string error = Refused("\u009b31m" + new string('x', 500) + "\n");
        Assert.Contains("\\x9b31m", error, StringComparison.Ordinal);
        Assert.InRange(error.Length, 0, 400);
    }

    [Fact]
    public void Reading_depends_on_no_culture()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            foreach (string name in new[] { "tr-TR", "ar-SA", "th-TH", "de-DE" })
            {
                CultureInfo.CurrentCulture = new CultureInfo(name);
                Parse(Base + "group I any a\nwitness i " + Witness(50) + "\ngroup g 2 b I i\nquorum g\n");
                Assert.StartsWith("line 1: ", Refused("x\n"), StringComparison.Ordinal);
                Assert.True(Checkpoint.TryParse(Utf8(CheckpointText), out Checkpoint? checkpoint));
                Assert.Equal(Utf8(CheckpointText), checkpoint!.ToText());
            }
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }
}
