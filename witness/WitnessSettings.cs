using TransparencyLog.Hosting;

namespace TransparencyLog.Witness;

/// <summary>Every setting of tlog-witness. A test compares the table of spec/operations.md with this one.</summary>
internal static class WitnessSettings
{
    public static readonly TextSetting Data = new("data", "The witness's directory, made by tlog-witness create.") { IsPath = true, HelpName = "DIR", Commands = ["create", "serve", "accept"] };
    public static readonly TextSetting Logs = new("logs", "The logs to witness: files and URLs of at most 1 MiB, with log lines of c2sp.org/tlog-policy or a list of c2sp.org/tlog-list. The option may be given several times; elsewhere commas separate them.") { IsPath = true, HelpName = "FILE|URL", Repeats = true };
    public static readonly NumberSetting LogsInterval = new("logs-interval-s", 1, 86_400, 3_600, "How often a list is fetched again from its URL.");
    public static readonly NumberSetting ClockLimit = new("clock-limit-days", 1, 3_650, 30, "How far the clock may be ahead of the last known time at a start. Beyond that nothing that states a time is signed until an operator has accepted the clock.");
    public static readonly NumberSetting RatePerDay = new("rate-per-day", 1, int.MaxValue, 86_400, "Checkpoints of one log that are cosigned a day, where its list does not say. Refreshes and subtrees are limited alike, each separately.");
    public static readonly NumberSetting RateBurst = new("rate-burst", 1, 1_000_000, 60, "How many of them may come at once after a quiet time.");
    public static readonly TextSetting Listen = new("listen", "Where to listen for HTTP: an IP address, or localhost for both loopback addresses. Port 0 is a free one, with an address.") { HelpName = "http://ADDRESS:PORT", Default = "http://127.0.0.1:2026" };
    public static readonly TextSetting Guard = new("guard", "A directory on another disk that remembers how far this witness is, so that an older copy of the data is noticed.") { IsPath = true, HelpName = "DIR" };
    public static readonly TextSetting EvidenceWebhook = new("evidence-webhook", "Where evidence against a log is sent.") { HelpName = "URLS", Range = "1 to 8 http or https URLs, spaces between them" };
    public static readonly NumberSetting MaxConnections = new("max-connections", 1, 100_000, null, "Most open connections, at most half of ulimit -n: clients must never take the descriptors that the store needs. With fewer than 1,024 in all the program does not start.") { Default = "half of ulimit -n, at most 4,096" };
    public static readonly NumberSetting MaxConnectionsPerAddress = new("max-connections-per-address", 1, 100_000, null, "Most open connections from one address; of IPv6 the first 64 bits count. Every client of a reverse proxy has the address of the proxy: allow it all connections.") { Default = "half of max-connections" };
    public static readonly NumberSetting BodyLimit = new("body-limit-s", 1, 300, 15, "How long the body of a request may take.");
    public static readonly NumberSetting CommitLimit = new("commit-limit-s", 1, 300, 10, "How long a request waits for the turn of its origin, and then for the disk, before it answers 503.");
    public static readonly WordSetting<LogLevel> Level = new("log-level", LogLevel.Information, "The least severe messages that are written to standard error.") { AnyCase = true };
    public static readonly SwitchSetting AllowGroupReadableKeys = new("allow-group-readable-keys", "Read key files to which their group has access, as a mounted secret of mode 0440. Files to which every user has access are refused in any case.") { Commands = ["serve", "accept"] };
    public static readonly TextSetting Name = new("name", "The key name of the witness, as witness.example.com/w1.") { HelpName = "NAME", Commands = ["create"] };
    public static readonly SwitchSetting NoMlDsa = new("no-ml-dsa", "Make an Ed25519 key alone. The witness then signs no subtrees.") { Commands = ["create"] };

    /// <summary>
    /// All settings, in the order of the documents. The variables of the log begin with TLOG_ alone, so that one environment can serve both programs.
    /// </summary>
    public static SettingTable Table { get; } = new(
        "tlog-witness",
        "TLOG_WITNESS_",
        Data, Logs, LogsInterval, ClockLimit, RatePerDay, RateBurst, Listen, Guard, EvidenceWebhook, MaxConnections, MaxConnectionsPerAddress, BodyLimit, CommitLimit, Level, AllowGroupReadableKeys, Name, NoMlDsa);
}
