using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Every setting of tlog-server. A test compares this table with that of spec/operations.md.</summary>
internal static class LogSettings
{
    public static readonly TextSetting Data = new("data", "The log's directory, made by tlog-server create.") { IsPath = true, HelpName = "DIR", Commands = ["create", "serve", "resume", "accept"] };
    public static readonly TextSetting Listen = new("listen", "Where to listen for HTTP: an IP address, or localhost for both loopback addresses. Port 0 is a free one, with an address.") { HelpName = "http://ADDRESS:PORT", Default = "http://127.0.0.1:2025" };
    public static readonly TextSetting Policy = new("policy", "A tlog-policy file. Its witnesses are asked to cosign, and its quorum must be met to publish. Without it: quorum none.") { IsPath = true, HelpName = "FILE" };
    public static readonly TextSetting Guard = new("guard", "A directory on another disk for a copy of the newest signed head, so that an older copy of the data is noticed.") { IsPath = true, HelpName = "DIR", Commands = ["serve", "resume", "accept"] };
    public static readonly NumberSetting PublishGap = new("publish-gap-ms", 0, 60_000, 5, "Least time between two signed heads.");
    public static readonly NumberSetting WaitLimit = new("wait-limit-ms", 100, 600_000, 30_000, "How long an append waits for the disk before it answers 503, and then with wait=published before it answers 202.");
    public static readonly NumberSetting RenewInterval = new("renew-interval-s", 1, 86_400, 600, "How old cosignatures get while nothing is appended.");
    public static readonly WordSetting<QuorumMode> Quorum = new("quorum-mode", QuorumMode.Require, "What happens to a checkpoint that the quorum of the policy does not cosign. With require it is not published. With degrade it is published after degrade-after-ms, and the alarm is on.");
    public static readonly NumberSetting DegradeAfter = new("degrade-after-ms", 100, 3_600_000, 10_000, "With quorum-mode degrade: how long a signed checkpoint waits for the quorum before it is published without. At least witness-timeout-ms.");
    public static readonly NumberSetting WitnessTimeout = new("witness-timeout-ms", 100, 60_000, 2_000, "Time limit of one request to a witness, and how long a signed head waits for its quorum before a newer one takes its place.");
    public static readonly NumberSetting WitnessTotalTimeout = new("witness-total-timeout-ms", 100, 300_000, 5_000, "Time limit of a request to a witness together with the requests that its 409 leads to, three at most. At least witness-timeout-ms.");
    public static readonly NumberSetting WitnessRequestsPerDay = new("witness-requests-per-day", 24, 86_400_000, 86_400, "Most requests to each witness, spread evenly: what public witness lists grant a log. It paces publication. Set more for witnesses of your own.");
    public static readonly NumberSetting WitnessBurst = new("witness-burst", 1, 86_400, 60, "How many requests to a witness may come at once after a quiet time.");
    public static readonly NumberSetting IntakeBytes = new("intake-bytes", 2 * 1024 * 1024, 1024 * 1024 * 1024, 32 * 1024 * 1024, "Bytes of entries that may wait for a frame of the journal.");
    public static readonly NumberSetting IntakeCount = new("intake-count", 1, 1024 * 1024, 16 * 1024, "Requests that may wait for a frame of the journal.");
    public static readonly NumberSetting ReadCacheBytes = new("read-cache-bytes", 0, 1024 * 1024 * 1024, 32 * 1024 * 1024, "Memory for sealed tiles and bundles that are read often. 0 keeps none.");
    public static readonly NumberSetting DuplicateTableBytes = new("duplicate-table-bytes", 0, DuplicateTable.MaxBytes, 64 * 1024 * 1024, "Most memory of the table of the newest entries, from which duplicates get their first index: 16 bytes an entry while it grows, 8 when it is full. Below 128 there is no table, and duplicates are not recognised, not even within a batch.");
    public static readonly WordSetting<DuplicateHistory> DuplicateIndex = new("duplicate-index", DuplicateHistory.Recent, "Which entries duplicates are compared with: those of the table, or all. With full there is an index of all entries below index/, 24 bytes an entry on disk and 10 to 20 in memory, filled again at every start. It needs a table of at least 1 MiB, and turns /index/LEAF-HASH on.");
    public static readonly NumberSetting ScrubMegabytes = new("scrub-mb-s", 0, 10_000, 8, "MB a second at which the stored segments are checked while the log runs. 0 turns the check off.");
    public static readonly NumberSetting ScrubInterval = new("scrub-interval-s", 1, 31_536_000, 86_400, "From the start of one such check to the start of the next.");
    public static readonly NumberSetting ClockLimit = new("clock-limit-days", 1, 3_650, 30, "How far the clock may be ahead of the last known time at a start. Beyond that nothing that states a time is signed until an operator has accepted the clock.");
    public static readonly TextSetting EvidenceWebhook = new("evidence-webhook", "Where evidence against this log is sent.") { HelpName = "URLS", Range = "1 to 8 http or https URLs, spaces between them" };
    public static readonly NumberSetting MaxConnections = new("max-connections", 8, 65_536, null, "Most open connections, at most half of ulimit -n: clients must never take the descriptors that storage needs. With fewer than 1,024 in all the program does not start.") { Default = "half of ulimit -n, at most 4,096" };
    public static readonly NumberSetting MaxConnectionsPerAddress = new("max-connections-per-address", 1, 65_536, null, "Most open connections from one address; of IPv6 the first 64 bits count. Every client of a reverse proxy has the address of the proxy: allow it all connections.") { Default = "half of max-connections" };
    public static readonly NumberSetting BodyLimit = new("body-limit-s", 1, 300, 15, "How long the body of an append may take.");
    public static readonly WordSetting<LogLevel> Level = new("log-level", LogLevel.Information, "The least severe messages that are written to standard error.") { AnyCase = true };
    public static readonly TextSetting Origin = new("origin", "The origin line of the checkpoints and the name of the key: a URL without its scheme, as example.com/log.") { HelpName = "NAME", Commands = ["create"] };
    public static readonly TextSetting Key = new("key", "A key file to use instead of a new one. It stays where it is.") { IsPath = true, HelpName = "FILE", Commands = ["create"] };
    public static readonly SwitchSetting MlDsa = new("ml-dsa", "Sign every checkpoint with ML-DSA-44 too, with a second new key: 3.3 kB more a checkpoint. Fixed for the life of the log.") { Commands = ["create"] };
    public static readonly TextSetting MlDsaKey = new("ml-dsa-key", "The same, with a key file to use instead of a new one. It stays where it is.") { IsPath = true, HelpName = "FILE", Commands = ["create"] };
    public static readonly SwitchSetting AllowGroupReadableKeys = new("allow-group-readable-keys", "Read key files to which their group has access, as a mounted secret of mode 0440. Files to which every user has access are refused in any case.") { Commands = ["create", "serve"] };
    public static readonly NumberSetting JournalFileBytes = new("journal-file-bytes", JournalOptions.MinFileBytes, JournalOptions.MaxFileBytes, JournalOptions.DefaultFileBytes, "Size of each journal file. Fixed for the life of the log.", multiple: 4096) { Commands = ["create"] };

    /// <summary>All settings, in the order of the documents.</summary>
    public static SettingTable Table { get; } = new(
        "tlog-server",
        "TLOG_",
        Data, Listen, Policy, Guard, PublishGap, WaitLimit, RenewInterval, Quorum, DegradeAfter, WitnessTimeout, WitnessTotalTimeout, WitnessRequestsPerDay, WitnessBurst,
        IntakeBytes, IntakeCount, ReadCacheBytes, DuplicateTableBytes, DuplicateIndex, ScrubMegabytes, ScrubInterval, ClockLimit, EvidenceWebhook, MaxConnections, MaxConnectionsPerAddress, BodyLimit, Level,
        AllowGroupReadableKeys, Origin, Key, MlDsa, MlDsaKey, JournalFileBytes);
}
