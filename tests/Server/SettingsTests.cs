using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

public sealed class SettingsTests
{
    public static TheoryData<string, int, int> Numbers => new()
    {
        { "publish-gap-ms", 0, 60_000 },
        { "wait-limit-ms", 100, 600_000 },
        { "renew-interval-s", 1, 86_400 },
        { "witness-requests-per-day", 24, 86_400_000 },
        { "witness-burst", 1, 86_400 },
        { "degrade-after-ms", 100, 3_600_000 },
        { "intake-bytes", 2 * 1024 * 1024, 1024 * 1024 * 1024 },
        { "intake-count", 1, 1024 * 1024 },
        { "read-cache-bytes", 0, 1024 * 1024 * 1024 },
        { "duplicate-table-bytes", 0, 1024 * 1024 * 1024 },
        { "max-connections", 8, 65_536 },
        { "max-connections-per-address", 1, 65_536 },
        { "body-limit-s", 1, 300 },
        { "clock-limit-days", 1, 3650 },
        { "scrub-mb-s", 0, 10_000 },
        { "scrub-interval-s", 1, 31_536_000 },
    };

    [Theory]
    [InlineData("witness-timeout-ms", 100, 60_000, "witness-total-timeout-ms", "300000")]
    [InlineData("witness-total-timeout-ms", 100, 300_000, "witness-timeout-ms", "100")]
    public void A_time_limit_that_another_one_goes_with_has_its_own_range(string key, int least, int most, string other, string value)
    {
        Assert.Contains($"from {least} to {most}", Assert.Throws<ConfigurationException>(() => Read((key, $"{least - 1}"), (other, value))).Message);
        Assert.Contains($"from {least} to {most}", Assert.Throws<ConfigurationException>(() => Read((key, $"{most + 1}"), (other, value))).Message);
        Read((key, $"{least}"), (other, value));
        Read((key, $"{most}"), (other, value));
    }

    [Fact]
    public void A_limit_for_all_requests_is_no_less_than_that_for_one()
    {
        Assert.StartsWith("witness-total-timeout-ms: ", Assert.Throws<ConfigurationException>(() => Read(("witness-timeout-ms", "5001"))).Message);
        Assert.StartsWith("degrade-after-ms: ", Assert.Throws<ConfigurationException>(() => Read(("quorum-mode", "degrade"), ("degrade-after-ms", "1999"))).Message);
        Read(("quorum-mode", "degrade"), ("degrade-after-ms", "2000"));
        Read(("quorum-mode", "require"), ("degrade-after-ms", "1999"));
    }

    [Theory]
    [MemberData(nameof(Numbers))]
    public void A_number_out_of_its_range_is_refused_with_its_key_and_range(string key, int least, int most)
    {
        foreach (string bad in (string[])[$"{least - 1}", $"{(long)most + 1}", " ", "x", "012", "-1", "+1", " 1", "1.0", "1,000", "1e3", "0x10", "99999999999999999999", "\u0661"])
        {
            ConfigurationException refusal = Assert.Throws<ConfigurationException>(() => Read((key, bad)));
            Assert.Contains($"{key}: '{bad}'", refusal.Message);
            Assert.Contains($"from {least} to {most}", refusal.Message);
        }

        Assert.StartsWith($"{key}: is empty", Assert.Throws<ConfigurationException>(() => Read((key, ""))).Message);
        Read((key, $"{least}"));
        Read((key, $"{(key == "max-connections" ? Descriptors.Half(most) : most)}"));
    }

    [Fact]
    public void Every_setting_arrives_where_it_belongs()
    {
        Settings settings = Read(
            ("listen", "http://127.0.0.1:9"), ("policy", "p"), ("guard", "g"), ("publish-gap-ms", "7"), ("wait-limit-ms", "108"), ("renew-interval-s", "9"),
            ("witness-timeout-ms", "110"), ("witness-total-timeout-ms", "111"), ("witness-requests-per-day", "112"), ("witness-burst", "113"), ("quorum-mode", "degrade"), ("degrade-after-ms", "114"), ("intake-bytes", "2097153"), ("intake-count", "12"), ("duplicate-table-bytes", "1048577"), ("duplicate-index", "full"), ("read-cache-bytes", "15"), ("max-connections", "14"), ("max-connections-per-address", "13"), ("body-limit-s", "16"), ("scrub-mb-s", "17"), ("scrub-interval-s", "18"), ("log-level", "debug"));
        Assert.Equal(
            new Settings
            {
                Data = "d",
                Listen = ListenAddress.Parse("http://127.0.0.1:9"),
                Policy = "p",
                Guard = "g",
                PublishGap = TimeSpan.FromMilliseconds(7),
                WaitLimit = TimeSpan.FromMilliseconds(108),
                RenewInterval = TimeSpan.FromSeconds(9),
                WitnessTimeout = TimeSpan.FromMilliseconds(110),
                WitnessTotalTimeout = TimeSpan.FromMilliseconds(111),
                WitnessRequestsPerDay = 112,
                WitnessBurst = 113,
                QuorumMode = QuorumMode.Degrade,
                DegradeAfter = TimeSpan.FromMilliseconds(114),
                IntakeBytes = 2_097_153,
                IntakeCount = 12,
                ReadCacheBytes = 15,
                DuplicateTableBytes = 1_048_577,
                DuplicateIndex = DuplicateHistory.Full,
                MaxConnections = 14,
                MaxConnectionsPerAddress = 13,
                BodyLimit = TimeSpan.FromSeconds(16),
                ScrubMegabytes = 17,
                ScrubInterval = TimeSpan.FromSeconds(18),
                LogLevel = Microsoft.Extensions.Logging.LogLevel.Debug,
            },
            settings);
        int half = TransparencyLog.Storage.Descriptors.Half(4096);
        Assert.Equal(new Settings { Data = "d", MaxConnections = half, MaxConnectionsPerAddress = half / 2 }, Read());
        Assert.Equal(10, Read(("max-connections", "21")).MaxConnectionsPerAddress);
    }

    [Theory]
    [InlineData("127.0.0.1:2025")]
    [InlineData("https://127.0.0.1:2025")]
    [InlineData("http://127.0.0.1:2025/path")]
    [InlineData("http://127.0.0.1:2025?x")]
    [InlineData("http://127.0.0.1:2025#x")]
    [InlineData("http://user@127.0.0.1:2025")]
    [InlineData("http://127.0.0.1:99999")]
    [InlineData("http://example.com:2025")]
    [InlineData("http://*:2025")]
    [InlineData("http://+:2025")]
    [InlineData("unix:/socket")]
    [InlineData("http://localhost:0")]
    public void An_address_that_is_none_is_refused(string listen) =>
        Assert.StartsWith($"listen: '{listen}'", Assert.Throws<ConfigurationException>(() => Read(("listen", listen))).Message);

    [Theory]
    [InlineData("http://127.0.0.1:0")]
    [InlineData("http://0.0.0.0:2025/")]
    [InlineData("http://[::1]:2025")]
    [InlineData("http://[::]:0")]
    [InlineData("http://localhost:2025")]
    public void An_address_is_taken(string listen) => Assert.Equal(listen, Read(("listen", listen)).Listen.Text);

    [Theory]
    [InlineData("data")]
    [InlineData("listen")]
    [InlineData("policy")]
    [InlineData("guard")]
    [InlineData("duplicate-index")]
    public void An_empty_text_is_refused_by_name(string key) =>
        Assert.StartsWith($"{key}: is empty", Assert.Throws<ConfigurationException>(() => Read((key, ""))).Message);

    [Theory]
    [InlineData("Full")]
    [InlineData("1")]
    [InlineData("all")]
    public void A_word_that_is_none_of_those_offered_is_refused_by_name(string word) =>
        Assert.Equal($"duplicate-index: '{word}' is not one of recent, full (--duplicate-index)", Assert.Throws<ConfigurationException>(() => Read(("duplicate-index", word))).Message);

    [Fact]
    public void Full_history_needs_a_table_in_front_of_it()
    {
        Assert.StartsWith("duplicate-index: full needs", Assert.Throws<ConfigurationException>(() => Read(("duplicate-index", "full"), ("duplicate-table-bytes", "1048575"))).Message);
        Read(("duplicate-index", "full"), ("duplicate-table-bytes", "1048576"));
        Read(("duplicate-index", "recent"), ("duplicate-table-bytes", "0"));
    }

    private static Settings Read(params (string Key, string Value)[] values)
    {
        Dictionary<string, string> all = new() { ["data"] = "d" };
        foreach ((string key, string value) in values) all[key] = value;
        return Settings.Read(LogSettings.Table.Read(all, new Dictionary<string, string>()));
    }
}
