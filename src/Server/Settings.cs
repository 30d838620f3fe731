using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Which entries duplicates are looked for in.</summary>
internal enum DuplicateHistory
{
    /// <summary>The newest, as many as the table holds.</summary>
    Recent,

    /// <summary>All of them: an index on disk behind the table.</summary>
    Full,
}

/// <summary>What happens to a checkpoint that its quorum does not cosign.</summary>
internal enum QuorumMode
{
    /// <summary>It is not published.</summary>
    Require,

    /// <summary>It is published without, after a time limit, and the alarm is on.</summary>
    Degrade,
}

/// <summary>What <c>serve</c> runs with, checked. Names, ranges and defaults of the settings are in LogSettings.cs.</summary>
internal sealed record Settings
{
    /// <summary>The index on disk takes entries by whole segments a moment after they are sealed: 1 MiB is room for 80,000 in between.</summary>
    private const int LeastTableBytesOfFull = 1024 * 1024;

    public required string Data { get; init; }

    public ListenAddress Listen { get; init; } = ListenAddress.Parse(LogSettings.Listen.Default);

    public string? Policy { get; init; }

    public string? Guard { get; init; }

    /// <summary>Least time between two signed heads: it bounds signatures, register syncs and the partial tiles readers meet.</summary>
    public TimeSpan PublishGap { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>How long an append waits for the disk before it answers 503, and then for wait=published or wait=witnessed before it answers 202.</summary>
    public TimeSpan WaitLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How old cosignatures may get while nothing is appended.</summary>
    public TimeSpan RenewInterval { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>What happens to a checkpoint that the policy's quorum does not cosign.</summary>
    public QuorumMode QuorumMode { get; init; } = QuorumMode.Require;

    /// <summary>With <see cref="QuorumMode.Degrade"/>: how long what is signed waits for the quorum before it is public without.</summary>
    public TimeSpan DegradeAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>One request to a witness; also how long a signed head waits for its quorum before a newer one takes its place.</summary>
    public TimeSpan WitnessTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A request to a witness and those that its 409 leads to.</summary>
    public TimeSpan WitnessTotalTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Most requests a day to each witness, evenly: what public witness lists grant a log. It paces publication.</summary>
    public int WitnessRequestsPerDay { get; init; } = 86_400;

    /// <summary>How many of them may come at once after a quiet time.</summary>
    public int WitnessBurst { get; init; } = 60;

    /// <summary>Bytes of entries that may wait for a frame: 16 full frames, so at most a few hundred milliseconds of a slow disk.</summary>
    public int IntakeBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>Requests that may wait for a frame: no more than there may be connections, times a batch each.</summary>
    public int IntakeCount { get; init; } = 16 * 1024;

    /// <summary>Most bytes of the table of the newest entries, from which duplicates get their first index: 8 an entry when full. Less than one pair of buckets: none.</summary>
    public int DuplicateTableBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>Which entries duplicates are looked for in.</summary>
    public DuplicateHistory DuplicateIndex { get; init; } = DuplicateHistory.Recent;

    /// <summary>
    /// Memory for sealed tiles and bundles that are asked for often: some 1,900 tiles with their inner hashes, those of the newest 490,000 entries, or 950 bundles of 128-byte
    /// entries; and the server as a whole stays below 250 MB.
    /// </summary>
    public int ReadCacheBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>Most bytes a second that the check of the store reads, in MB: a few percent of a disk, and of a core. 0: no check.</summary>
    public int ScrubMegabytes { get; init; } = 8;

    /// <summary>From the beginning of a check of the whole store to that of the next.</summary>
    public TimeSpan ScrubInterval { get; init; } = TimeSpan.FromDays(1);

    /// <summary>How long the body of an append may take from its first byte to its last: 2 MiB at 140 kB/s.</summary>
    public TimeSpan BodyLimit { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How far the clock may be ahead of the last known time at a start, 1 to 3,650 days: beyond it an operator has to accept it (spec/operations.md, "Time").</summary>
    public TimeSpan ClockLimit { get; init; } = TimeSpan.FromDays(30);

    /// <summary>Where evidence of this log's own contradictions is sent; none by default.</summary>
    public IReadOnlyList<Uri> EvidenceWebhooks { get; init; } = [];

    /// <summary>Whether key files to which their group has access are read.</summary>
    public bool AllowGroupReadableKeys { get; init; }

    /// <summary>Most open connections: at most half of the process's descriptors, which is the default too, up to 4,096.</summary>
    public int MaxConnections { get; init; } = 4096;

    /// <summary>Most of them from one address; by default half of them, so that no one address takes all.</summary>
    public int MaxConnectionsPerAddress { get; init; } = 2048;

    /// <summary>The least severe messages that are written to standard error.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>Reads the settings of <c>serve</c>.</summary>
    /// <exception cref="ConfigurationException">A setting is missing, or values do not fit together.</exception>
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
