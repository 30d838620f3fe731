// The sources of the lists of logs (--logs), while the witness runs.
//
//     a file    is written by the operator. It is read every ten seconds, through links. Its content decides whether it has changed: an orchestrator may swap
//               a link without a change of time or length. It is the complete list: a log that was taken out is no longer cosigned, but is still remembered
//               and served (W-19). When it is wrong, missing or unreadable at the start, the witness does not start. Later, each of the three is reported, and
//               the previous content stays in force: a mount that is gone for a moment must not end the service for every log.
//     a URL     is maintained by somebody else, so it can only add: a log that it has named stays with its key. Only the rate of a log may change, and a key
//               that cannot verify anything. The logs that it has named are kept in
//
//                   lists/<SHA-256 of the URL, hex>
//
//                   # tlog-witness list v1 <CRC-32C of all that follows, hex> <URL>
//                   logs/v0
//                   ...
//
//               so that a start needs no network. To forget them, stop the witness and remove that file.
//
// Files come before URLs. Apart from that, the first list that names an origin decides.

using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Outbound;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>The lists of one witness. One loop polls them; any thread may read the counters.</summary>
internal sealed class LogLists : IAsyncDisposable
{
    /// <summary>The folder in the data directory.</summary>
    public const string Folder = "lists";

    /// <summary>Longest wait for a response to begin, and then for its next bytes. Also the longest wait for a file to be read.</summary>
    public static readonly TimeSpan FetchTime = TimeSpan.FromSeconds(30);

    /// <summary>How often a file is read, unless URLs are fetched more often.</summary>
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(10);

    /// <summary>How soon a URL is fetched again after a failure, unless it is fetched more often in any case.</summary>
    private static readonly TimeSpan Again = TimeSpan.FromMinutes(1);

    private readonly IReadOnlyList<Source> _sources;
    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly HttpClient _http;
    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;
    private HashSet<string> _told = new(StringComparer.Ordinal); // used by the loop only
    private long _reads, _failures, _refused;

    private LogLists(IReadOnlyList<Source> sources, TimeSpan interval, TimeProvider time, TimeSpan fetchTime)
    {
        _sources = sources;
        _interval = interval;
        _time = time;
        (_http, _) = Connections.Open(new ConnectionOptions { ConnectTimeout = fetchTime });
        Logs = Merge(sources, out _);
    }

    /// <summary>The logs in force now, by origin.</summary>
    public IReadOnlyDictionary<string, TrustedLog> Logs { get; private set; }

    /// <summary>How often a list was read since the start and had changed.</summary>
    public long Reads => Interlocked.Read(ref _reads);

    /// <summary>
    /// How often a list could not be read since the start. Its previous content stays in force. A file that fails again for the same reason counts once.
    /// </summary>
    public long Failures => Interlocked.Read(ref _failures);

    /// <summary>Logs that are in the lists now and are refused.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>The lists whose last read failed, with the reason. The previous content of each stays in force.</summary>
    public IEnumerable<(string Name, ListTrouble Trouble)> Troubles
    {
        get
        {
            foreach (Source source in _sources)
            {
                if (source.Trouble is ListTrouble trouble) yield return (source.Name, trouble);
            }
        }
    }

    /// <summary>Whether a text names a list by its URL.</summary>
    public static bool IsUrl(string source) => source.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || source.StartsWith("https://", StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads the files, and the kept copies of the URLs. Does not use the network.</summary>
    /// <param name="sources">Files and URLs, checked (<see cref="Settings"/>).</param>
    /// <param name="data">The data directory.</param>
    /// <param name="witness">The keys of this witness.</param>
    /// <param name="interval">How often URLs are fetched.</param>
    /// <param name="time">The clock.</param>
    /// <param name="fetchTime">How long a URL may be silent, and how long reading a file may take; <see cref="FetchTime"/>.</param>
    /// <exception cref="ConfigurationException">A file is wrong, or two files contradict each other.</exception>
    /// <exception cref="StorageException">The kept copy of a URL is damaged.</exception>
    public static LogLists Open(IReadOnlyList<string> sources, string data, IReadOnlyList<VerifierKey> witness, TimeSpan interval, TimeProvider time, TimeSpan fetchTime)
    {
        FileSource[] files = [.. sources.Where(source => !IsUrl(source)).Select(path => new FileSource(path, witness, fetchTime))];
        // When two files of an operator contradict each other, one of them is wrong.
        Merge(files, out List<string> refused);
        if (refused.Count > 0) throw new ConfigurationException(refused[0]);
        return new LogLists([.. files, .. sources.Where(IsUrl).Select(url => new UrlSource(new Uri(url), data, witness, fetchTime))], interval, time, fetchTime);
    }

    /// <summary>Starts the loop, which looks for changes and applies them to the logs.</summary>
    public void Start(WitnessedLogs logs, ILogger log) => _loop = Task.Run(() => RunAsync(logs, log, _stop.Token));

    /// <summary>Reads every list that is due, and applies the changes.</summary>
    public async Task PollAsync(WitnessedLogs logs, ILogger log, CancellationToken stop)
    {
        bool changed = false;
        foreach (Source source in _sources)
        {
            if (!source.IsDue(_time)) continue;
            try
            {
                bool read = await source.ReadAsync(_http, stop);
                source.Next(_time, _interval);
                source.Succeeded();
                if (!read) continue;
                Interlocked.Increment(ref _reads);
                changed = true;
            }
            catch (Exception failure) when (failure is ConfigurationException or InvalidDataException or StorageException or HttpRequestException or IOException or UnauthorizedAccessException or OperationCanceledException or TimeoutException)
            {
                if (stop.IsCancellationRequested) return;
                source.Next(_time, _interval < Again ? _interval : Again);
                string reason = failure is OperationCanceledException or TimeoutException ? "it took too long" : failure.Message;
                if (!source.Failed(failure, reason)) continue;
                Interlocked.Increment(ref _failures);
                log.ListFailed(source.Name, reason);
            }
        }

        if (changed) Apply(logs, log);
    }

    /// <summary>Stops the loop.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        _stop.Dispose();
        _http.Dispose();
    }

    private async Task RunAsync(WitnessedLogs logs, ILogger log, CancellationToken stop)
    {
        Apply(logs, log);
        try
        {
            while (true)
            {
                await PollAsync(logs, log, stop);
                await Task.Delay(_interval < Look ? _interval : Look, _time, stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Normal shutdown.
        }
    }

    private void Apply(WitnessedLogs logs, ILogger log)
    {
        int before = Logs.Count;
        Logs = Merge(_sources, out List<string> refused);
        Interlocked.Exchange(ref _refused, refused.Count);
        // Each reason is logged once, for as long as it holds.
        foreach (string reason in refused.Where(reason => !_told.Contains(reason))) log.LogRefused(reason);
        _told = [.. refused];
        logs.Trust(Logs);
        if (Logs.Count != before) log.ListsChanged(Logs.Count);
    }

    /// <summary>Merges all sources. The first one that names an origin decides.</summary>
    private static Dictionary<string, TrustedLog> Merge(IEnumerable<Source> sources, out List<string> refused)
    {
        Dictionary<string, TrustedLog> merged = new(StringComparer.Ordinal);
        refused = [];
        foreach (Source source in sources)
        {
            refused.AddRange(source.Refused.Select(reason => $"{source.Name}: {reason}"));
            foreach (TrustedLog log in source.Logs)
            {
                if (merged.TryGetValue(log.Origin, out TrustedLog? first))
                {
                    if (!Keys(first).SetEquals(Keys(log))) refused.Add(string.Create(CultureInfo.InvariantCulture, $"{source.Name}: the log with key ID {log.Keys[0].Key.KeyId:x8}: another list has its origin with another key"));
                }
                else if (merged.Count == TlogList.MaxLogs)
                {
                    refused.Add(string.Create(CultureInfo.InvariantCulture, $"{source.Name}: the log with key ID {log.Keys[0].Key.KeyId:x8}: a witness has at most {TlogList.MaxLogs} logs"));
                }
                else
                {
                    merged.Add(log.Origin, log);
                }
            }
        }

        return merged;

        static HashSet<string> Keys(TrustedLog log) => [.. log.Keys.Select(verifier => verifier.Key.ToString())];
    }

    /// <summary>The source of a list. Used by the loop only, except for the reading in the constructor.</summary>
    private abstract class Source(string name)
    {
        private ListTrouble? _trouble; // written by the loop, read by any thread
        private long? _due; // on the monotonic clock; null: due now

        /// <summary>The name of the source, for the operator.</summary>
        public string Name { get; } = name;

        /// <summary>The logs that it lists and that may be witnessed.</summary>
        public IReadOnlyList<TrustedLog> Logs { get; protected set; } = [];

        /// <summary>Why the other logs that it lists are refused.</summary>
        public IReadOnlyList<string> Refused { get; protected set; } = [];

        /// <summary>Why the last read failed; null when it succeeded.</summary>
        public ListTrouble? Trouble
        {
            get => Volatile.Read(ref _trouble);
            protected set => Volatile.Write(ref _trouble, value);
        }

        public bool IsDue(TimeProvider time) => _due is not long due || time.GetTimestamp() >= due;

        public virtual void Next(TimeProvider time, TimeSpan interval) => _due = time.GetTimestamp() + (long)(interval.TotalSeconds * time.TimestampFrequency);

        /// <summary>Reads the list. Returns false when it has not changed. After an exception the previous content stays in force.</summary>
        public abstract Task<bool> ReadAsync(HttpClient http, CancellationToken stop);

        /// <summary>Called after a read that succeeded.</summary>
        public virtual void Succeeded() => Trouble = null;

        /// <summary>Called after a read that failed. Returns whether to report it.</summary>
        public virtual bool Failed(Exception failure, string reason)
        {
            Trouble = new ListTrouble("unreachable", reason);
            return true;
        }
    }

    /// <summary>A file on this machine.</summary>
    private sealed class FileSource : Source
    {
        private readonly string _path;
        private readonly IReadOnlyList<VerifierKey> _witness;
        private readonly TimeSpan _readTime;
        private byte[] _text;      // the text that was read last
        private string? _mistake;  // the error in that text
        private Task<byte[]?>? _reading;

        public FileSource(string path, IReadOnlyList<VerifierKey> witness, TimeSpan readTime)
            : base($"logs: {path}")
        {
            _path = path;
            _witness = witness;
            _readTime = readTime;
            try
            {
                _text = Read() ?? throw new ConfigurationException($"logs: no such file: {path}");
            }
            catch (StorageException failure)
            {
                throw new ConfigurationException($"logs: {failure.Message}", failure);
            }

            Logs = LogList.Parse(_text, path, witness);
        }

        // A file is read in every round of the loop.
        public override void Next(TimeProvider time, TimeSpan interval)
        {
        }

        public override async Task<bool> ReadAsync(HttpClient http, CancellationToken stop)
        {
            // When the file system hangs, it keeps one thread, and each round of the loop waits for the time limit.
            _reading ??= Task.Run(Read, CancellationToken.None);
            byte[]? text;
            try
            {
                text = await _reading.WaitAsync(_readTime, stop);
            }
            finally
            {
                if (_reading.IsCompleted) _reading = null;
            }

            if (text is null) throw new FileNotFoundException($"no such file: {_path}: put it back; without it the next start is refused");
            if (text.AsSpan().SequenceEqual(_text)) return _mistake is null ? false : throw new ConfigurationException(_mistake);

            (_text, _mistake) = (text, null);
            try
            {
                Logs = LogList.Parse(text, _path, _witness);
            }
            catch (ConfigurationException wrong)
            {
                _mistake = wrong.Message;
                throw;
            }

            return true;
        }

        /// <summary>Each reason is reported once, for as long as it holds.</summary>
        public override bool Failed(Exception failure, string reason)
        {
            bool isNew = Trouble?.Reason != reason;
            Trouble = new ListTrouble(failure switch { FileNotFoundException => "missing", ConfigurationException => "wrong", _ => "unreadable" }, reason);
            return isNew;
        }

        private byte[]? Read() => OperatorFile.TryRead(_path, Policy.MaxSize, out byte[] text) ? text : null;
    }

    /// <summary>A list that somebody else maintains.</summary>
    private sealed class UrlSource : Source
    {
        private const string Magic = "# tlog-witness list v1 ";

        /// <summary>A list of the largest size, a first line with a URL of 2 kB, and a newline.</summary>
        private const int MaxCopy = TlogList.MaxSize + 4096;

        private readonly Uri _url;
        private readonly string _copy;
        private readonly TimeSpan _fetchTime;
        private readonly IReadOnlyList<VerifierKey> _witness;
        private IReadOnlyList<ListedLog> _known = [];

        public UrlSource(Uri url, string data, IReadOnlyList<VerifierKey> witness, TimeSpan fetchTime)
            : base($"logs: {url.AbsoluteUri}")
        {
            _url = url;
            _copy = Path.Combine(data, Folder, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(url.AbsoluteUri))));
            _witness = witness;
            _fetchTime = fetchTime;
            if (DurableFile.TryRead(_copy, MaxCopy, out byte[] bytes)) Use(Unseal(bytes), []);
        }

        public override async Task<bool> ReadAsync(HttpClient http, CancellationToken stop)
        {
            byte[] body = await FetchAsync(http, stop);
            if (!TlogList.TryParse(body, out TlogList? list, out string error)) throw new InvalidDataException(error);

            // A list can only add. It must not change a key: with another key, those who serve the list could sign for the log.
            Dictionary<string, ListedLog> all = _known.ToDictionary(log => log.Origin, StringComparer.Ordinal);
            List<string> refused = [];
            foreach (ListedLog log in list.Logs)
            {
                // A key that cannot verify anything was never used, so the list may correct it.
                if (!all.TryGetValue(log.Origin, out ListedLog? known) || known.Key.Equals(log.Key) || Signing.Verifiers.TryCreate(known.Key) is null) all[log.Origin] = log;
                else refused.Add(string.Create(CultureInfo.InvariantCulture, $"the log with key ID {log.Key.KeyId:x8}: the list had its origin with key ID {known.Key.KeyId:x8} before; that one stays"));
            }

            ListedLog[] merged = [.. all.Values];
            bool isNew = !merged.SequenceEqual(_known);
            if (!isNew && refused.Count == 0 && Refused.Count == 0) return false;
            if (isNew)
            {
                // Kept before it is used: a log that a start would not know is not cosigned.
                DurableFile.CreateDirectory(Path.GetDirectoryName(_copy)!);
                DurableFile.Replace(_copy, Seal(merged));
            }

            Use(merged, refused);
            return true;
        }

        private void Use(IReadOnlyList<ListedLog> known, IReadOnlyList<string> refused)
        {
            _known = known;
            Logs = LogList.Take(known, _witness, out IReadOnlyList<string> objections);
            Refused = [.. refused, .. objections];
        }

        private async Task<byte[]> FetchAsync(HttpClient http, CancellationToken stop)
        {
            using AnswerClock clock = new(new AnswerLimits(_fetchTime, AnswerLimits.DefaultBytesPerSecond), 0, TimeProvider.System, stop);
            try
            {
                using HttpResponseMessage response = await http.GetAsync(_url, HttpCompletionOption.ResponseHeadersRead, clock.Token);
                if (response.StatusCode != HttpStatusCode.OK) throw new InvalidDataException($"it was answered with {(int)response.StatusCode}, and only 200 is taken; redirects are not followed");
                (byte[] body, bool isWhole) = await AnswerBody.ReadAsync(response, TlogList.MaxSize, clock);
                return isWhole ? body : throw new InvalidDataException($"a list of logs has at most {TlogList.MaxSize} bytes");
            }
            catch (OperationCanceledException late) when (!stop.IsCancellationRequested)
            {
                throw new IOException($"it {clock.Describe()}", late);
            }
            catch (Exception failure) when (NoAnswer.Is(failure) && failure is not InvalidDataException)
            {
                throw new IOException($"no answer: {NoAnswer.Describe(failure)}", failure);
            }
        }

        /// <summary>Makes the content of the kept file.</summary>
        /// <exception cref="InvalidDataException">Together with all logs that the list has named before, there are too many logs or too many bytes.</exception>
        private byte[] Seal(IReadOnlyList<ListedLog> logs)
        {
            byte[] rest;
            try
            {
                rest = [.. Encoding.UTF8.GetBytes($"{_url.AbsoluteUri}\n"), .. new TlogList(logs).ToBytes()];
            }
            catch (ArgumentException tooMany)
            {
                throw new InvalidDataException($"with all the logs that it has named before: {tooMany.Message}", tooMany);
            }

            return [.. Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Magic}{Crc32C.Of(rest):x8} ")), .. rest];
        }

        private IReadOnlyList<ListedLog> Unseal(byte[] bytes)
        {
            int head = Magic.Length + 9, end = bytes.AsSpan().IndexOf((byte)'\n') + 1;
            return end > head && TlogList.TryParse(bytes.AsSpan(end), out TlogList? list, out _) && Seal(list.Logs).AsSpan().SequenceEqual(bytes)
                ? list.Logs
                : throw new DamageException(new Damage("log-list", _copy, null, null, $"what was kept of {_url.AbsoluteUri}", "something else; remove the file to fetch it again"));
        }
    }
}

/// <summary>Why a list could not be read.</summary>
/// <param name="State">missing, unreadable, wrong, or for a URL unreachable.</param>
/// <param name="Reason">The reason in words.</param>
internal sealed record ListTrouble(string State, string Reason);
