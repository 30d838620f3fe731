// What an operator can set, checked before anything is opened. Names, ranges and defaults are in WitnessSettings.cs.

using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>What <c>create</c> needs.</summary>
/// <param name="Data">Directory of the witness, which must not hold anything yet.</param>
/// <param name="Name">Key name: UTF-8 of at most 255 bytes, no white space, no plus.</param>
/// <param name="MlDsa44">Whether it has a second key, and signs subtrees.</param>
internal sealed record CreateSettings(string Data, string Name, bool MlDsa44);

/// <summary>What <c>serve</c> needs, checked.</summary>
internal sealed record Settings
{
    /// <summary>Longest URL of a list.</summary>
    private const int MaxUrl = 2000;

    /// <summary>Directory of the witness.</summary>
    public required string Data { get; init; }

    /// <summary>Lists of the logs to witness, one at least: files, and URLs with https, or with http on this machine.</summary>
    public required IReadOnlyList<string> Logs { get; init; }

    /// <summary>How often a list is asked for by its URL, 1 s to a day; an hour is what the public witness network's lists change in at most.</summary>
    public TimeSpan ListInterval { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How far the clock may be ahead of the last known time at a start, 1 to 3,650 days: beyond it an operator has to accept it (spec/operations.md, "Time").</summary>
    public TimeSpan ClockLimit { get; init; } = TimeSpan.FromDays(30);

    /// <summary>Checkpoints of one log a day, 1 to 2^31-1, where its list does not say; the default is what public lists grant. Refreshes of one and subtrees are limited alike, each apart.</summary>
    public int RatePerDay { get; init; } = 86_400;

    /// <summary>How many of them at once after a pause, 1 to 1,000,000; a day's at most.</summary>
    public int RateBurst { get; init; } = 60;

    /// <summary>Where to listen; port 0 takes a free one.</summary>
    public required ListenAddress Listen { get; init; }

    /// <summary>Directory of the guard (Guard.cs), or null for none.</summary>
    public string? Guard { get; init; }

    /// <summary>
    /// Most open connections, 1 to 100,000, and at most half of the process's descriptors, so that no remote peer can take those
    /// that the store needs. The default is that half, at most 4,096.
    /// </summary>
    public int MaxConnections { get; init; } = 1024;

    /// <summary>Most of them from one address, 1 to 100,000; by default half of them, so that no one address takes all.</summary>
    public int MaxConnectionsPerAddress { get; init; } = 512;

    /// <summary>How long a request's body may take from its first byte to its last, 1 to 300 s: 128 KiB at 9 kB/s.</summary>
    public TimeSpan BodyTime { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a request waits for its origin's turn, and then for the disk, 1 to 300 s each; after it 503.</summary>
    public TimeSpan CommitTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Where evidence is sent; none by default.</summary>
    public IReadOnlyList<Uri> EvidenceWebhooks { get; init; } = [];

    /// <summary>Whether key files to which their group has access are read.</summary>
    public bool AllowGroupReadableKeys { get; init; }

    /// <summary>What is written to standard error.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>Size of a journal file; 8 MiB hold some ten thousand updates.</summary>
    internal int JournalFileBytes { get; init; } = WitnessStore.JournalFileBytes;

    /// <summary>Limits of the deliveries of evidence.</summary>
    internal EvidenceWebhookOptions WebhookOptions { get; init; } = new();

    /// <summary>Reads the settings of <c>serve</c>.</summary>
    /// <exception cref="ConfigurationException">One of them is missing, or values do not fit together.</exception>
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

        // A guard that goes away with the data guards nothing.
        if (settings.Guard is string guard && $"{Path.GetFullPath(guard)}/".StartsWith($"{Path.GetFullPath(settings.Data).TrimEnd('/')}/", StringComparison.Ordinal))
        {
            throw new ConfigurationException($"guard: {guard} lies in the data directory; it has to be on another disk, out of reach of what restores the data");
        }

        return settings;
    }

    /// <summary>Reads the settings of <c>create</c>.</summary>
    /// <exception cref="ConfigurationException">One of them is missing or is not a key name.</exception>
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
