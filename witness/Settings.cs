// What an operator can set. Command line before environment before configuration file; the keys are the same everywhere. All of it
// is checked before anything is opened.
//
//     { "data": "/var/lib/witness", "logs": "/etc/witness/logs,https://example.org/lists/10qps.1", "logs-interval-s": 3600,
//       "rate-per-day": 86400, "rate-burst": 60, "listen": "http://127.0.0.1:2026", "guard": "/mnt/guard",
//       "evidence-webhook": "https://example.com/hook",
//       "max-connections": 1024, "max-connections-per-address": 512, "body-limit-s": 15, "commit-limit-s": 10, "log-level": "Information" }
//
// The environment writes max-connections as TLOG_WITNESS_MAX_CONNECTIONS. What is meant for a log server on the same machine (TLOG_LISTEN)
// is not read: it must not move the witness.

using System.Net;
using System.Text;
using System.Text.Json;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>What <c>create</c> needs.</summary>
/// <param name="Data">Directory of the witness, which must not hold anything yet.</param>
/// <param name="Name">Key name: UTF-8 of at most 255 bytes, no white space, no plus.</param>
internal sealed record CreateSettings(string Data, string Name);

/// <summary>What <c>serve</c> needs, checked.</summary>
internal sealed record Settings
{
    public const string DefaultListen = "http://127.0.0.1:2026";

    private const string EnvironmentPrefix = "TLOG_WITNESS_";

    /// <summary>Largest configuration file in bytes: a dozen keys need a few hundred.</summary>
    private const int MaxConfigBytes = 64 * 1024;

    /// <summary>Longest URL of a list.</summary>
    private const int MaxUrl = 2000;

    private static readonly string[] Keys = ["data", "name", "logs", "listen", "guard", "max-connections", "max-connections-per-address", "body-limit-s", "commit-limit-s", "evidence-webhook", "logs-interval-s", "rate-per-day", "rate-burst", "log-level"];

    /// <summary>Directory of the witness.</summary>
    public required string Data { get; init; }

    /// <summary>Lists of the logs to witness, one at least: files, and URLs with https, or with http on this machine.</summary>
    public required IReadOnlyList<string> Logs { get; init; }

    /// <summary>How often a list is asked for by its URL, 1 s to a day; an hour is what the public witness network's lists change in at most.</summary>
    public TimeSpan ListInterval { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Checkpoints of one log a day, 1 to 2^31-1, where its list does not say; the default is what public lists grant. Refreshes of one and subtrees are limited alike, each apart.</summary>
    public int RatePerDay { get; init; } = 86_400;

    /// <summary>How many of them at once after a pause, 1 to 1,000,000; a day's at most.</summary>
    public int RateBurst { get; init; } = 60;

    /// <summary>Where to listen; port 0 takes a free one.</summary>
    public required IPEndPoint Listen { get; init; }

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

    /// <summary>What is written to standard error.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>Size of a journal file; 8 MiB hold some ten thousand updates.</summary>
    internal int JournalFileBytes { get; init; } = WitnessStore.JournalFileBytes;

    /// <summary>Limits of the deliveries of evidence.</summary>
    internal EvidenceWebhookOptions WebhookOptions { get; init; } = new();

    /// <summary>Reads the settings of <c>serve</c>.</summary>
    /// <exception cref="UsageException">One of them is missing or out of range.</exception>
    public static Settings Load(IReadOnlyDictionary<string, string> commandLine, Func<string, string?> environment)
    {
        Source source = new(commandLine, environment);
        int connections = source.Number("max-connections", 1, 100_000) ?? Descriptors.Half(4096);
        if (Descriptors.ComplaintAbout(connections) is string complaint) throw new UsageException(complaint);
        Settings settings = new()
        {
            Data = source.Required("data", "a directory made by tlog-witness create"),
            Logs = ParseLogs(source.Required("logs", "lists of logs, files or URLs")),
            ListInterval = TimeSpan.FromSeconds(source.Number("logs-interval-s", 1, 86_400) ?? 3600),
            RatePerDay = source.Number("rate-per-day", 1, int.MaxValue) ?? 86_400,
            RateBurst = source.Number("rate-burst", 1, 1_000_000) ?? 60,
            Listen = ParseListen(source.Get("listen") ?? DefaultListen),
            Guard = source.Get("guard"),
            MaxConnections = connections,
            MaxConnectionsPerAddress = source.Number("max-connections-per-address", 1, 100_000) ?? Math.Max(1, connections / 2),
            BodyTime = TimeSpan.FromSeconds(source.Number("body-limit-s", 1, 300) ?? 15),
            CommitTime = TimeSpan.FromSeconds(source.Number("commit-limit-s", 1, 300) ?? 10),
            EvidenceWebhooks = source.Get("evidence-webhook") is string hooks ? ParseWebhooks(hooks) : [],
            LogLevel = ParseLevel(source.Get("log-level") ?? nameof(LogLevel.Information)),
        };

        // A guard that goes away with the data guards nothing.
        if (settings.Guard is string guard && $"{Path.GetFullPath(guard)}/".StartsWith($"{Path.GetFullPath(settings.Data).TrimEnd('/')}/", StringComparison.Ordinal))
        {
            throw new UsageException($"guard: {guard} lies in the data directory; it has to be on another disk, out of reach of what restores the data");
        }

        return settings;
    }

    /// <summary>Reads the settings of <c>create</c>.</summary>
    /// <exception cref="UsageException">One of them is missing or out of range.</exception>
    public static CreateSettings LoadCreate(IReadOnlyDictionary<string, string> commandLine, Func<string, string?> environment)
    {
        Source source = new(commandLine, environment);
        string name = source.Required("name", "a key name, as witness.example.com/w1");
        if (!VerifierKey.IsKeyName(name) || Encoding.UTF8.GetByteCount(name) > VerifierKey.MaxNameSize)
        {
            throw new UsageException($"name: a key name has 1 to {VerifierKey.MaxNameSize} bytes, no white space, no plus and no control character");
        }

        return new CreateSettings(source.Required("data", "a directory that does not exist or is empty"), name);
    }

    private static string[] ParseLogs(string text)
    {
        string[] lists = text.Split(',');
        foreach (string list in lists)
        {
            if (list.Length == 0) throw new UsageException("logs: an empty name; lists are separated by one comma each");
            if (lists.Count(other => other == list) > 1) throw new UsageException($"logs: {list} stands there twice");
            if (!LogLists.IsUrl(list)) continue;
            if (!Uri.TryCreate(list, UriKind.Absolute, out Uri? url) || url.AbsoluteUri.Length > MaxUrl || url.UserInfo.Length > 0 || url.Fragment.Length > 0 || (url.Scheme != Uri.UriSchemeHttps && !url.IsLoopback))
            {
                throw new UsageException($"logs: {list} is not https://HOST/PATH of at most {MaxUrl} characters without a user or a fragment (http only on this machine: who can change the list can add logs)");
            }
        }

        return lists;
    }

    private static IPEndPoint ParseListen(string text)
    {
        const string Allowed = "http://ADDRESS:PORT with an IP address or localhost, a port from 0 to 65535, and no path";
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? url) || url.Scheme != Uri.UriSchemeHttp
            || url.PathAndQuery != "/" || url.Fragment.Length > 0 || url.UserInfo.Length > 0)
        {
            throw new UsageException($"listen: {text} is not {Allowed}; TLS is the matter of a proxy in front");
        }

        if (url.Host == "localhost") return new IPEndPoint(IPAddress.Loopback, url.Port);
        return IPAddress.TryParse(url.Host.Trim('[', ']'), out IPAddress? address)
            ? new IPEndPoint(address, url.Port)
            : throw new UsageException($"listen: {url.Host} is not an address; expected {Allowed}");
    }

    private static IReadOnlyList<Uri> ParseWebhooks(string text) =>
        EvidenceWebhookOptions.TryParse(text, out IReadOnlyList<Uri> urls, out string error) ? urls : throw new UsageException($"evidence-webhook: not {error}");

    private static LogLevel ParseLevel(string text) => Enum.GetValues<LogLevel>().Cast<LogLevel?>()
        .FirstOrDefault(level => string.Equals(level.ToString(), text, StringComparison.OrdinalIgnoreCase))
        ?? throw new UsageException($"log-level: {text} is none of {string.Join(", ", Enum.GetNames<LogLevel>())}");

    /// <summary>The three places a setting may come from.</summary>
    private sealed class Source(IReadOnlyDictionary<string, string> commandLine, Func<string, string?> environment)
    {
        private readonly Dictionary<string, string> _file = ReadFile(commandLine.GetValueOrDefault("config") ?? environment(Variable("config")));

        public string? Get(string key)
        {
            string? value = commandLine.GetValueOrDefault(key) ?? environment(Variable(key)) ?? _file.GetValueOrDefault(key);
            return value is { Length: 0 } ? throw new UsageException($"{key}: is empty") : value;
        }

        public string Required(string key, string what) => Get(key) ?? throw new UsageException($"{key} is missing: {what} (--{key}, {Variable(key)}, or the configuration file)");

        public int? Number(string key, int least, int most)
        {
            if (Get(key) is not string text) return null;
            return Strict.TryReadSize(Encoding.UTF8.GetBytes(text), out long value) && value >= least && value <= most
                ? (int)value
                : throw new UsageException($"{key}: {text} is not a number from {least} to {most}");
        }

        private static string Variable(string key) => EnvironmentPrefix + key.ToUpperInvariant().Replace('-', '_');

        private static Dictionary<string, string> ReadFile(string? path)
        {
            Dictionary<string, string> values = new(StringComparer.Ordinal);
            if (path is null) return values;
            try
            {
                if (new FileInfo(path).Length > MaxConfigBytes) throw new UsageException($"config: {path} has more than {MaxConfigBytes} bytes");
                using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
                if (document.RootElement.ValueKind != JsonValueKind.Object) throw new UsageException($"config: {path} is not a JSON object");
                foreach (JsonProperty property in document.RootElement.EnumerateObject())
                {
                    // A misspelt key would otherwise be a setting that is silently not in force.
                    if (!Keys.Contains(property.Name, StringComparer.Ordinal)) throw new UsageException($"config: {path}: {property.Name} is none of {string.Join(", ", Keys)}");
                    if (property.Value.ValueKind is not (JsonValueKind.String or JsonValueKind.Number)) throw new UsageException($"config: {path}: {property.Name} is neither text nor number");
                    if (!values.TryAdd(property.Name, property.Value.ToString())) throw new UsageException($"config: {path}: {property.Name} stands there twice");
                }

                return values;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException)
            {
                // The last is how the reader says that a text is no Unicode: bytes that are not UTF-8, or half of a surrogate pair.
                throw new UsageException($"config: {path}: {e.Message}", e);
            }
        }
    }
}
