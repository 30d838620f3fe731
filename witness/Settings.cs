// The settings of an operator, checked before anything is opened. Names, ranges and defaults are in WitnessSettings.cs.

using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>The settings of <c>create</c>.</summary>
/// <param name="Data">Directory of the witness, which must be empty or not exist yet.</param>
/// <param name="Name">Key name: UTF-8 of at most 255 bytes, no white space, no plus.</param>
/// <param name="MlDsa44">Whether it gets an ML-DSA-44 key as a second key, and signs subtrees.</param>
internal sealed record CreateSettings(string Data, string Name, bool MlDsa44);

/// <summary>The checked settings of <c>serve</c>.</summary>
internal sealed record Settings
{
    /// <summary>Longest URL of a list, in characters.</summary>
    private const int MaxUrl = 2000;

    /// <summary>Directory of the witness.</summary>
    public required string Data { get; init; }

    /// <summary>Lists of the logs to witness, at least one: files, and URLs with https, or with http on this machine.</summary>
    public required IReadOnlyList<string> Logs { get; init; }

    /// <summary>How often a list is fetched from its URL, 1 s to a day. The lists of the public witness network change at most once an hour.</summary>
    public TimeSpan ListInterval { get; init; } = TimeSpan.FromHours(1);

    /// <summary>
    /// How far the clock may be ahead of the last known time at a start, 1 to 3,650 days. Beyond this, an operator has to accept the clock (spec/operations.md,
    /// "Time").
    /// </summary>
    public TimeSpan ClockLimit { get; init; } = TimeSpan.FromDays(30);

    /// <summary>
    /// Checkpoints of one log a day, 1 to 2^31-1, where its list does not say. The default is the rate that public lists grant. Refreshes have the same limit,
    /// and so have subtrees, each separately.
    /// </summary>
    public int RatePerDay { get; init; } = 86_400;

    /// <summary>How many of them may come without a wait after a pause, 1 to 1,000,000; at most the number of a day.</summary>
    public int RateBurst { get; init; } = 60;

    /// <summary>Where to listen. For port 0 the system picks a free port.</summary>
    public required ListenAddress Listen { get; init; }

    /// <summary>Directory of the guard (Guard.cs); null for none.</summary>
    public string? Guard { get; init; }

    /// <summary>
    /// Most open connections, 1 to 100,000, and at most half of the process's descriptors, so that no remote peer can use up those that the store needs. When
    /// the setting is not given, <see cref="Read"/> uses that half, at most 4,096.
    /// </summary>
    public int MaxConnections { get; init; } = 1024;

    /// <summary>
    /// Most open connections from one address, 1 to 100,000, so that no single address can take all. When the setting is not given, <see cref="Read"/> uses
    /// half of <see cref="MaxConnections"/>.
    /// </summary>
    public int MaxConnectionsPerAddress { get; init; } = 512;

    /// <summary>
    /// How long a request's body may take before its rate counts, 1 to 300 s. Each 16 KiB received add a second (<see cref="BodyDeadline"/>): with the default,
    /// 128 KiB may take 23 s.
    /// </summary>
    public TimeSpan BodyTime { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a request waits for the turn of its origin, and then for the disk, 1 to 300 s each. After that it is answered with 503.</summary>
    public TimeSpan CommitTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The URLs that evidence is sent to; none by default.</summary>
    public IReadOnlyList<Uri> EvidenceWebhooks { get; init; } = [];

    /// <summary>Whether key files are read to which their group has access.</summary>
    public bool AllowGroupReadableKeys { get; init; }

    /// <summary>The least severe messages that are written to standard error.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>Size of a journal file. 8 MiB hold about ten thousand updates.</summary>
    internal int JournalFileBytes { get; init; } = WitnessStore.JournalFileBytes;

    /// <summary>Limits of the deliveries of evidence.</summary>
    internal EvidenceWebhookOptions WebhookOptions { get; init; } = new();

    /// <summary>Reads the settings of <c>serve</c>.</summary>
    /// <exception cref="ConfigurationException">A setting is missing, or values do not fit together.</exception>
    public static Settings Read(SettingValues values)
    {
        int connections = values.Number(WitnessSettings.MaxConnections, Descriptors.Half(4096));
        if (Descriptors.ComplaintAbout(connections) is string complaint) throw new ConfigurationException(complaint);
        Settings settings = new()
        {
            Data = values.Required(WitnessSettings.Data),
            Logs = ParseLogs(values.Required(WitnessSettings.Logs)),
            ListInterval = TimeSpan.FromSeconds(values.Number(WitnessSettings.LogsInterval)),
            ClockLimit = TimeSpan.FromDays(values.Number(WitnessSettings.ClockLimit)),
            RatePerDay = values.Number(WitnessSettings.RatePerDay),
            RateBurst = values.Number(WitnessSettings.RateBurst),
            Listen = ListenAddress.Read(values, WitnessSettings.Listen),
            Guard = values.Text(WitnessSettings.Guard),
            MaxConnections = connections,
            MaxConnectionsPerAddress = values.Number(WitnessSettings.MaxConnectionsPerAddress, Math.Max(1, connections / 2)),
            BodyTime = TimeSpan.FromSeconds(values.Number(WitnessSettings.BodyLimit)),
            CommitTime = TimeSpan.FromSeconds(values.Number(WitnessSettings.CommitLimit)),
            EvidenceWebhooks = EvidenceWebhookOptions.Read(values, WitnessSettings.EvidenceWebhook),
            LogLevel = values.Word(WitnessSettings.Level),
            AllowGroupReadableKeys = values.IsOn(WitnessSettings.AllowGroupReadableKeys),
        };

        // A guard that is lost or restored together with the data guards nothing.
        if (settings.Guard is string guard && $"{Path.GetFullPath(guard)}/".StartsWith($"{Path.GetFullPath(settings.Data).TrimEnd('/')}/", StringComparison.Ordinal))
        {
            throw new ConfigurationException($"guard: {guard} lies in the data directory; it has to be on another disk, out of reach of what restores the data");
        }

        return settings;
    }

    /// <summary>Reads the settings of <c>create</c>.</summary>
    /// <exception cref="ConfigurationException">A setting is missing, or the name is not a key name.</exception>
    public static CreateSettings ReadCreate(SettingValues values)
    {
        string name = values.Required(WitnessSettings.Name);
        if (!VerifierKey.IsKeyName(name) || Encoding.UTF8.GetByteCount(name) > VerifierKey.MaxNameSize)
        {
            throw values.Refusal(WitnessSettings.Name, $"is not a key name: 1 to {VerifierKey.MaxNameSize} bytes, no white space, no +, no control characters");
        }

        return new CreateSettings(values.Required(WitnessSettings.Data), name, !values.IsOn(WitnessSettings.NoMlDsa));
    }

    private static string[] ParseLogs(string text)
    {
        string[] lists = text.Split(',');
        foreach (string list in lists)
        {
            if (list.Length == 0) throw new ConfigurationException("logs: an empty name; lists are separated by one comma each");
            if (lists.Count(other => other == list) > 1) throw new ConfigurationException($"logs: {list} stands there twice");
            if (!LogLists.IsUrl(list)) continue;
            if (!Uri.TryCreate(list, UriKind.Absolute, out Uri? url) || url.AbsoluteUri.Length > MaxUrl || url.UserInfo.Length > 0 || url.Fragment.Length > 0 || (url.Scheme != Uri.UriSchemeHttps && !url.IsLoopback))
            {
                throw new ConfigurationException($"logs: {list} is not https://HOST/PATH of at most {MaxUrl} characters without a user or a fragment (http only on this machine: who can change the list can add logs)");
            }
        }

        return lists;
    }
}
