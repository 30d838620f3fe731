using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Which entries a new entry is compared with to find duplicates.</summary>
internal enum DuplicateHistory
{
    /// <summary>The newest entries, as many as the table holds.</summary>
    Recent,

    /// <summary>All entries: an index on disk in addition to the table.</summary>
    Full,
}

/// <summary>What happens to a checkpoint that its quorum does not cosign.</summary>
internal enum QuorumMode
{
    /// <summary>It is not published.</summary>
    Require,

    /// <summary>It is published without the quorum after a time limit, and an alarm is raised.</summary>
    Degrade,
}

/// <summary>The checked settings of <c>serve</c>. Their names, ranges and defaults are in LogSettings.cs.</summary>
internal sealed record Settings
{
    /// <summary>
    /// The index on disk receives whole segments, a moment after they are sealed. A table of 1 MiB has room for the 80,000 entries in between.
    /// </summary>
    private const int LeastTableBytesOfFull = 1024 * 1024;

    public required string Data { get; init; }

    public ListenAddress Listen { get; init; } = ListenAddress.Parse(LogSettings.Listen.Default);

    public string? Policy { get; init; }

    public string? Guard { get; init; }

    /// <summary>Minimum time between two signed heads. It bounds the number of signatures, register syncs and partial tiles that readers meet.</summary>
    public TimeSpan PublishGap { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>
    /// How long an append waits for the disk before it answers 503. After that, how long it waits for wait=published or wait=witnessed before it answers 202.
    /// </summary>
    public TimeSpan WaitLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How old cosignatures may get while nothing is appended.</summary>
    public TimeSpan RenewInterval { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>What happens to a checkpoint that the policy's quorum does not cosign.</summary>
    public QuorumMode QuorumMode { get; init; } = QuorumMode.Require;

    /// <summary>With <see cref="QuorumMode.Degrade"/>: how long a signed head waits for the quorum before it becomes public without it.</summary>
    public TimeSpan DegradeAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time limit of one request to a witness. Also how long a signed head waits for its quorum before a newer head replaces it.</summary>
    public TimeSpan WitnessTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Time limit of a request to a witness together with the requests that its 409 leads to.</summary>
    public TimeSpan WitnessTotalTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Limit of the requests a day to each witness, spread evenly. The default is what public witness lists grant a log. It limits how often the log publishes.
    /// </summary>
    public int WitnessRequestsPerDay { get; init; } = 86_400;

    /// <summary>How many of these requests may follow each other immediately after a quiet time.</summary>
    public int WitnessBurst { get; init; } = 60;

    /// <summary>
    /// Limit of the bytes of entries that wait for a frame. The default is 16 full frames: at most a few hundred milliseconds of a slow disk.
    /// </summary>
    public int IntakeBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>Limit of the requests that wait for a frame. The default is four times the default number of connections.</summary>
    public int IntakeCount { get; init; } = 16 * 1024;

    /// <summary>
    /// Limit, in bytes, of the table of the newest entries, from which duplicates get their first index: 8 bytes an entry when full. Below one pair of
    /// buckets (128 bytes) the log has no table.
    /// </summary>
    public int DuplicateTableBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>Which entries a new entry is compared with to find duplicates.</summary>
    public DuplicateHistory DuplicateIndex { get; init; } = DuplicateHistory.Recent;

    /// <summary>
    /// Memory for sealed tiles and bundles that are requested often. The default holds about 1,900 tiles with their inner hashes, those of the newest 490,000
    /// entries, or 950 bundles of 128-byte entries. With it the whole server stays below 250 MB.
    /// </summary>
    public int ReadCacheBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>
    /// Limit of the MB a second that the check of the store reads. The default is a few percent of a disk and of a core; 0 turns the check off.
    /// </summary>
    public int ScrubMegabytes { get; init; } = 8;

    /// <summary>From the start of one check of the whole store to the start of the next.</summary>
    public TimeSpan ScrubInterval { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Time limit of the body of an append. The body gets a second more for each 16 KiB received (N-19).</summary>
    public TimeSpan BodyLimit { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// How far the clock may be ahead of the last known time at a start, 1 to 3,650 days. Beyond that, an operator has to accept the clock
    /// (spec/operations.md, "Time").
    /// </summary>
    public TimeSpan ClockLimit { get; init; } = TimeSpan.FromDays(30);

    /// <summary>URLs to which evidence of this log's own contradictions is sent; none by default.</summary>
    public IReadOnlyList<Uri> EvidenceWebhooks { get; init; } = [];

    /// <summary>Whether the log reads key files to which their group has access.</summary>
    public bool AllowGroupReadableKeys { get; init; }

    /// <summary>Limit of open connections: at most half of the process's descriptors. The default is that half, but no more than 4,096.</summary>
    public int MaxConnections { get; init; } = 4096;

    /// <summary>Limit of open connections from one address. The default is half of all connections, so that one address cannot use them all.</summary>
    public int MaxConnectionsPerAddress { get; init; } = 2048;

    /// <summary>The least severe level that is written to standard error.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>Reads the settings of <c>serve</c>.</summary>
    /// <exception cref="ConfigurationException">A setting is missing, or two values contradict each other.</exception>
    public static Settings Read(SettingValues values)
    {
        int connections = values.Number(LogSettings.MaxConnections, Descriptors.Half(4096));
        Settings settings = new()
        {
            Data = values.Required(LogSettings.Data),
            Listen = ListenAddress.Read(values, LogSettings.Listen),
            Policy = values.Text(LogSettings.Policy),
            Guard = values.Text(LogSettings.Guard),
            PublishGap = TimeSpan.FromMilliseconds(values.Number(LogSettings.PublishGap)),
            WaitLimit = TimeSpan.FromMilliseconds(values.Number(LogSettings.WaitLimit)),
            RenewInterval = TimeSpan.FromSeconds(values.Number(LogSettings.RenewInterval)),
            QuorumMode = values.Word(LogSettings.Quorum),
            DegradeAfter = TimeSpan.FromMilliseconds(values.Number(LogSettings.DegradeAfter)),
            WitnessTimeout = TimeSpan.FromMilliseconds(values.Number(LogSettings.WitnessTimeout)),
            WitnessTotalTimeout = TimeSpan.FromMilliseconds(values.Number(LogSettings.WitnessTotalTimeout)),
            WitnessRequestsPerDay = values.Number(LogSettings.WitnessRequestsPerDay),
            WitnessBurst = values.Number(LogSettings.WitnessBurst),
            IntakeBytes = values.Number(LogSettings.IntakeBytes),
            IntakeCount = values.Number(LogSettings.IntakeCount),
            ReadCacheBytes = values.Number(LogSettings.ReadCacheBytes),
            DuplicateTableBytes = values.Number(LogSettings.DuplicateTableBytes),
            DuplicateIndex = values.Word(LogSettings.DuplicateIndex),
            ScrubMegabytes = values.Number(LogSettings.ScrubMegabytes),
            ScrubInterval = TimeSpan.FromSeconds(values.Number(LogSettings.ScrubInterval)),
            BodyLimit = TimeSpan.FromSeconds(values.Number(LogSettings.BodyLimit)),
            ClockLimit = TimeSpan.FromDays(values.Number(LogSettings.ClockLimit)),
            EvidenceWebhooks = EvidenceWebhookOptions.Read(values, LogSettings.EvidenceWebhook),
            AllowGroupReadableKeys = values.IsOn(LogSettings.AllowGroupReadableKeys),
            LogLevel = values.Word(LogSettings.Level),
            MaxConnections = connections,
            MaxConnectionsPerAddress = values.Number(LogSettings.MaxConnectionsPerAddress, connections / 2),
        };
        if (Descriptors.ComplaintAbout(connections) is string complaint) throw new ConfigurationException(complaint);
        if (settings.DuplicateIndex == DuplicateHistory.Full && settings.DuplicateTableBytes < LeastTableBytesOfFull)
        {
            throw new ConfigurationException($"duplicate-index: full needs duplicate-table-bytes of at least {LeastTableBytesOfFull}, for the entries on their way into it");
        }

        if (settings.WitnessTotalTimeout < settings.WitnessTimeout) throw new ConfigurationException("witness-total-timeout-ms: it is at least witness-timeout-ms, the time of one request of them");
        if (settings.QuorumMode == QuorumMode.Degrade && settings.DegradeAfter < settings.WitnessTimeout)
        {
            throw new ConfigurationException("degrade-after-ms: it is at least witness-timeout-ms, or no witness could answer in time");
        }

        return settings;
    }
}
