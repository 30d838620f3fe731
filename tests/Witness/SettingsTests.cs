using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Signing;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>What may be set, and how a bad value is named; W-10.</summary>
public sealed class SettingsTests : IDisposable
{
    private static readonly VerifierKey Witness = VerifierKey.Create("witness.example/w1", VerifierKey.Ed25519Cosignature, TestLog.Signer("w", 1).Key.PublicKey.Span);

    private readonly string _root = Directory.CreateTempSubdirectory("tlog-settings").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private string Write(string text)
    {
        string path = Path.Combine(_root, Guid.NewGuid().ToString("N"));
        File.WriteAllText(path, text, new UTF8Encoding(false));
        return path;
    }

    private static Settings Load(Dictionary<string, string> commandLine, params (string Key, string Value)[] environment)
    {
        commandLine.TryAdd("data", "/data");
        commandLine.TryAdd("logs", "/logs");
        return Settings.Read(Values(commandLine, environment));
    }

    private static SettingValues Values(Dictionary<string, string> commandLine, params (string Key, string Value)[] environment) =>
        WitnessSettings.Table.Read(commandLine, environment.ToDictionary(one => one.Key, one => one.Value));

    /// <summary>JSON as far as its brackets go, with a text that is none: bytes that are not UTF-8, and half of a surrogate pair.</summary>
    [Theory]
    [InlineData("{\"guard\":\"\u00ff\"}")]
    [InlineData("{\"\u00ff\":\"guard\"}")]
    [InlineData("{\"guard\":\"\\ud800\"}")]
    [InlineData("{\"\\udc00\":1}")]
    public void A_configuration_file_with_a_text_that_is_no_Unicode_is_named(string latin1)
    {
        string path = Path.Combine(_root, "config");
        File.WriteAllBytes(path, Encoding.Latin1.GetBytes(latin1));
        Assert.Contains(path, Assert.Throws<ConfigurationException>(() => Load(new() { ["config"] = path })).Message);
    }

    [Fact]
    public void Defaults_are_those_of_the_contract()
    {
        Settings settings = Load([]);
        Assert.Equal(("127.0.0.1", 2026), (settings.Listen.Address!.ToString(), settings.Listen.Port));
        Assert.Null(settings.Guard);
        Assert.InRange(settings.MaxConnections, 1, 4096);
        Assert.Equal(settings.MaxConnections / 2, settings.MaxConnectionsPerAddress);
        Assert.Equal(1, Load(new() { ["max-connections"] = "1" }).MaxConnectionsPerAddress);
        Assert.Equal(9, Load(new() { ["max-connections-per-address"] = "9" }).MaxConnectionsPerAddress);
        Assert.Equal((15, 10), (settings.BodyTime.TotalSeconds, settings.CommitTime.TotalSeconds));
        Assert.Equal((86_400, 60, 3600), (settings.RatePerDay, settings.RateBurst, settings.ListInterval.TotalSeconds));
        Assert.Equal(["/logs"], settings.Logs);
        Settings set = Load(new() { ["logs"] = "a,https://example.org/10qps.1,http://127.0.0.1:1/x" }, ("TLOG_WITNESS_RATE_PER_DAY", "2147483647"), ("TLOG_WITNESS_RATE_BURST", "1000000"), ("TLOG_WITNESS_LOGS_INTERVAL_S", "1"));
        Assert.Equal((int.MaxValue, 1_000_000, 1), (set.RatePerDay, set.RateBurst, set.ListInterval.TotalSeconds));
        Assert.Equal(["a", "https://example.org/10qps.1", "http://127.0.0.1:1/x"], set.Logs);
    }

    [Fact]
    public void Evidence_webhooks_are_none_one_or_several()
    {
        Assert.Empty(Load([]).EvidenceWebhooks);
        Assert.Equal(["https://a.example/x"], Load([], ("TLOG_WITNESS_EVIDENCE_WEBHOOK", "https://a.example/x")).EvidenceWebhooks.Select(url => url.AbsoluteUri));
        Assert.Equal(2, Load(new() { ["config"] = Write("""{"evidence-webhook":"https://a.example/x http://b.example/"}""") }).EvidenceWebhooks.Count);
        Assert.Contains("evidence-webhook", Assert.Throws<ConfigurationException>(() => Load(new() { ["evidence-webhook"] = "ftp://a.example/" })).Message);
    }

    [Fact]
    public void The_command_line_comes_before_the_environment_and_that_before_the_file()
    {
        string file = Write("""{"listen":"http://127.0.0.1:1","guard":"/file","max-connections":7,"log-level":"debug"}""");
        Settings settings = Load(new() { ["config"] = file, ["listen"] = "http://[::1]:3" }, ("TLOG_WITNESS_LISTEN", "http://127.0.0.1:2"), ("TLOG_WITNESS_GUARD", "/env"), ("TLOG_WITNESS_BODY_LIMIT_S", "3"), ("TLOG_LISTEN", "http://127.0.0.1:9"));
        Assert.Equal("http://[::1]:3", settings.Listen.Text);
        Assert.Equal("/env", settings.Guard);
        Assert.Equal(7, settings.MaxConnections);
        Assert.Equal(3, settings.BodyTime.TotalSeconds);
        Assert.Equal("Debug", settings.LogLevel.ToString());
    }

    [Theory]
    [InlineData("listen", "https://127.0.0.1:2026", "TLS")]
    [InlineData("listen", "127.0.0.1:2026", "http://ADDRESS:PORT")]
    [InlineData("listen", "http://witness.example:2026", "address")]
    [InlineData("listen", "http://127.0.0.1:2026/path", "no path")]
    [InlineData("listen", "http://127.0.0.1:70000", "0 to 65535")]
    [InlineData("listen", "http://u@127.0.0.1:1", "http://ADDRESS:PORT")]
    [InlineData("listen", "", "is empty")]
    [InlineData("max-connections", "0", "1 to 100000")]
    [InlineData("max-connections", "1e3", "1 to 100000")]
    [InlineData("max-connections", " 5", "1 to 100000")]
    [InlineData("max-connections-per-address", "0", "1 to 100000")]
    [InlineData("body-limit-s", "301", "1 to 300")]
    [InlineData("commit-limit-s", "-1", "1 to 300")]
    [InlineData("logs-interval-s", "0", "1 to 86400")]
    [InlineData("rate-per-day", "0", "1 to 2147483647")]
    [InlineData("rate-per-day", "2147483648", "1 to 2147483647")]
    [InlineData("rate-burst", "0", "1 to 1000000")]
    [InlineData("clock-limit-days", "0", "1 to 3650")]
    [InlineData("clock-limit-days", "3651", "1 to 3650")]
    [InlineData("log-level", "7", "information")]
    [InlineData("guard", "/data/guard", "another disk")]
    [InlineData("guard", "/data", "another disk")]
    [InlineData("guard", "/x/../data/guard", "another disk")]
    public void A_bad_value_is_named_with_what_it_may_be(string key, string value, string allowed)
    {
        bool isNumber = WitnessSettings.Table.Settings.Single(setting => setting.Name == key) is NumberSetting && value[0] != ' ';
        foreach (ConfigurationException refusal in new[]
        {
            Assert.Throws<ConfigurationException>(() => Load(new() { [key] = value })),
            Assert.Throws<ConfigurationException>(() => Load([], ($"TLOG_WITNESS_{key.ToUpperInvariant().Replace('-', '_')}", value))),
            Assert.Throws<ConfigurationException>(() => Load(new() { ["config"] = Write($$"""{"{{key}}":{{(isNumber ? value : $"\"{value}\"")}}}""") })),
        })
        {
            Assert.StartsWith(key, refusal.Message);
            Assert.Contains(allowed, refusal.Message);
        }
    }

    [Theory]
    [InlineData("a,,b", "one comma")]
    [InlineData(",", "one comma")]
    [InlineData("a,b,a", "twice")]
    [InlineData("http://example.org/list", "https://HOST/PATH")]
    [InlineData("https://user@example.org/list", "https://HOST/PATH")]
    [InlineData("https://example.org/list#part", "https://HOST/PATH")]
    [InlineData("a,https://", "https://HOST/PATH")]
    public void Lists_that_cannot_be_are_named(string value, string allowed)
    {
        string message = Assert.Throws<ConfigurationException>(() => Load(new() { ["logs"] = value })).Message;
        Assert.StartsWith("logs: ", message);
        Assert.Contains(allowed, message);
        Assert.Contains("https://" + new string('h', 10), Assert.Throws<ConfigurationException>(() => Load(new() { ["logs"] = "https://" + new string('h', 2000) })).Message);
    }

    [Theory]
    [InlineData("""{"lisen":"http://127.0.0.1:1"}""", "'lisen' is not a setting of tlog-witness; the nearest is listen")]
    [InlineData("""{"listen":["x"]}""", "is not a text")]
    [InlineData("""{"listen":"http://127.0.0.1:1","listen":"http://127.0.0.1:2"}""", "twice")]
    [InlineData("""["x"]""", "not a JSON object")]
    [InlineData("""{"listen":""", "config:")]
    [InlineData("", "config:")]
    public void A_bad_configuration_file_is_named(string json, string word)
    {
        string file = Write(json);
        ConfigurationException refusal = Assert.Throws<ConfigurationException>(() => Load(new() { ["config"] = file }));
        Assert.Contains(word, refusal.Message);
        Assert.Contains(file, refusal.Message);
        Assert.Contains("config", Assert.Throws<ConfigurationException>(() => Load(new() { ["config"] = file + ".not" })).Message);
    }

    [Fact]
    public void What_is_missing_is_named()
    {
        Assert.Contains("--data", Assert.Throws<ConfigurationException>(() => Settings.Read(Values([]))).Message);
        Assert.Contains("TLOG_WITNESS_LOGS", Assert.Throws<ConfigurationException>(() => Settings.Read(Values(new() { ["data"] = "x" }))).Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a b")]
    [InlineData("a+b")]
    [InlineData("a\u2003b")]
    [InlineData("a\nb")]
    public void A_name_that_is_no_key_name_is_refused(string name)
    {
        Assert.Throws<ConfigurationException>(() => Settings.ReadCreate(Values(new() { ["data"] = "x", ["name"] = name })));
        Assert.Throws<ConfigurationException>(() => Settings.ReadCreate(Values(new() { ["data"] = "x", ["name"] = new string('n', 256) })));
        Assert.Equal(255, Settings.ReadCreate(Values(new() { ["data"] = "x", ["name"] = new string('n', 255) })).Name.Length);
    }

    private static string Line(string name, byte type, ReadOnlySpan<byte> key) => $"log {VerifierKey.Create(name, type, key)}\n";

    private string Refusal(string text)
    {
        string path = Write(text);
        string message = Assert.Throws<ConfigurationException>(() => LogList.Read(path, [Witness])).Message;
        Assert.Contains(path, message);
        return message;
    }

    [Fact]
    public void The_list_of_logs_groups_keys_by_origin()
    {
        TestLog log = new("example.com/a", 1), other = new("example.com/b", 1);
        IReadOnlyList<TrustedLog> logs = LogList.Read(Write($"# logs\n{log.PolicyLine}\n{other.PolicyLine.TrimEnd()} https://b.example\n{log.WithKey(2).PolicyLine}quorum none\n"), [Witness]);
        Assert.Equal(["example.com/a", "example.com/b"], logs.Select(one => one.Origin));
        Assert.Equal([2, 1], logs.Select(one => one.Keys.Count));
        Assert.All(logs, one => Assert.Null(one.QueriesPerDay));
    }

    [Fact]
    public void A_bad_line_of_the_list_is_named_by_its_number()
    {
        TestLog log = new("example.com/a", 1);
        Assert.Contains("line 2", Refusal($"{log.PolicyLine}log nonsense\n"));
        Assert.Contains("line 2", Refusal($"{log.PolicyLine}{log.PolicyLine}"));
        Assert.Contains("line 1", Refusal(log.PolicyLine.TrimEnd('\n')));
        Assert.Contains("no log in it", Refusal("# none\n"));
        Assert.Contains("no log in it", Refusal("logs/v0\n"));
        Assert.Contains("line 3: after vkey", Refusal($"logs/v0\nvkey {log.NoteSigner.Key}\nqpd 0\ncontact c\n"));
        Assert.Contains("line 2", Refusal($"{log.PolicyLine}{Line("example.com/p", VerifierKey.Ecdsa, new byte[91])}"));
        // The identity point: a signature by it proves nothing.
        Assert.Contains("small or mixed order", Refusal(Line("example.com/p", VerifierKey.Ed25519, [1, .. new byte[31]])));
        // N-22: no point of the curve has this y.
        Assert.Contains("line 1: nothing can be verified with its key", Refusal(Line("example.com/p", VerifierKey.Ed25519, [2, .. new byte[31]])));
        Assert.Contains("logs:", Assert.Throws<ConfigurationException>(() => LogList.Read(Path.Combine(_root, "none"), [Witness])).Message);
        Assert.Contains("at most 16 keys", Refusal(string.Concat(Enumerable.Range(0, 17).Select(i => log.WithKey(i).PolicyLine))));
    }

    [Fact]
    public void A_list_of_the_network_may_be_a_file_and_nothing_in_it_may_be_wrong()
    {
        TestLog log = new("example.com/a", 1), other = new("example.com/b", 1);
        string first = $"vkey {log.NoteSigner.Key}\norigin go.sum database tree\nqpd 24\ncontact c\n";
        IReadOnlyList<TrustedLog> logs = LogList.Read(Write($"# comment\nlogs/v0\n{first}vkey {other.NoteSigner.Key}\nqpd 8640\ncontact c\n"), [Witness]);
        Assert.Equal([("go.sum database tree", 24), ("example.com/b", 8640)], logs.Select(one => (one.Origin, one.QueriesPerDay!.Value)));
        Assert.Contains("name of this witness", Refusal($"logs/v0\n{first}vkey {new TestLog(Witness.Name, 1).NoteSigner.Key}\nqpd 1\ncontact c\n"));
        Assert.Contains("name of this witness", Refusal($"logs/v0\nvkey {log.NoteSigner.Key}\norigin {Witness.Name}\nqpd 1\ncontact c\n"));
        Assert.Contains("key of this witness", Refusal($"logs/v0\nvkey {VerifierKey.Create("example.com/c", VerifierKey.Ed25519, Witness.PublicKey.Span)}\nqpd 1\ncontact c\n"));
        Assert.Contains("type of the key is 0x06", Refusal($"logs/v0\nvkey {VerifierKey.Create("example.com/c", VerifierKey.MlDsa44Cosignature, new byte[1312])}\nqpd 1\ncontact c\n"));
        Assert.Contains("at most 255 bytes", Refusal($"logs/v0\nvkey {log.NoteSigner.Key}\norigin {new string('o', 256)}\nqpd 1\ncontact c\n"));
    }

    [Fact]
    public void W10_a_log_with_the_name_or_the_key_of_the_witness_is_refused()
    {
        TestLog log = new("example.com/a", 1);
        Assert.Contains("line 2: a log cannot have the name of this witness", Refusal($"{log.PolicyLine}{new TestLog(Witness.Name, 1).PolicyLine}"));
        Assert.Contains("line 2: a log cannot have the key of this witness", Refusal($"{log.PolicyLine}{Line("example.com/b", VerifierKey.Ed25519, Witness.PublicKey.Span)}"));
    }
}
