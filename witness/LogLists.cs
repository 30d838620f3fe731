// Where the lists of logs come from (--logs), while the witness runs.
//
//     a file    is the operator's word. It is read every ten seconds, through links, and its content decides whether it has changed: neither its time nor its length need to
//               (an orchestrator swaps a link above it). It says the whole of what it lists: a log that was taken out is not cosigned any more, and is still remembered and
//               shown (W-19). Wrong, missing or unreadable at the start, the witness does not start. Later each of the three is reported, and what was read before stays:
//               a mount that is gone for a moment must not end the service for every log.
//     a URL     is somebody else's word, so it can only add: a log that it has named stays, and its key never changes. What it has named is kept in
//
//                   lists/<SHA-256 of the URL, hex>
//
//                   # tlog-witness list v1 <CRC-32C of all that follows, hex> <URL>
//                   logs/v0
//                   ...
//
//               so that a start needs nobody. To forget it: stop, remove that file.
//
// Files come before URLs, and otherwise the first that names an origin says what holds for it.

using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Outbound;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>The lists of one witness. Polled by one loop; counters are read by anyone.</summary>
internal sealed class LogLists : IAsyncDisposable
{
    /// <summary>The folder in the data directory.</summary>
    public const string Folder = "lists";

    /// <summary>Longest wait for a list to begin to come, and for its next bytes.</summary>
    public static readonly TimeSpan FetchTime = TimeSpan.FromSeconds(30);

    /// <summary>How often a file is read, if URLs are not asked more often.</summary>
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(10);

    /// <summary>How soon a URL is asked again after it failed, if that is not more often than otherwise.</summary>
    private static readonly TimeSpan Again = TimeSpan.FromMinutes(1);

    private readonly IReadOnlyList<Source> _sources;
    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly HttpClient _http;
    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;
    private HashSet<string> _told = new(StringComparer.Ordinal); // the loop's
    private long _reads, _failures, _refused;

    private LogLists(IReadOnlyList<Source> sources, TimeSpan interval, TimeProvider time, TimeSpan fetchTime)
    {
        _sources = sources;
        _interval = interval;
        _time = time;
        (_http, _) = Connections.Open(new ConnectionOptions { ConnectTimeout = fetchTime });
        Logs = Merge(sources, out _);
    }

    /// <summary>What holds now, by origin.</summary>
    public IReadOnlyDictionary<string, TrustedLog> Logs { get; private set; }

    /// <summary>Lists that were read anew since the start.</summary>
    public long Reads => Interlocked.Read(ref _reads);

    /// <summary>Lists that could not be read since the start: what was known of them stays.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    /// <summary>Logs that stand in the lists now and are not taken.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>The lists that hold no longer what they say or are not what they should be, with the reason; what was known of each stays.</summary>
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

    /// <summary>Reads the files, and what is kept of the URLs. Asks nobody.</summary>
    /// <param name="sources">Files and URLs, checked (<see cref="Settings"/>).</param>
    /// <param name="data">The data directory.</param>
    /// <param name="witness">The keys of this witness.</param>
    /// <param name="interval">How often URLs are asked.</param>
    /// <param name="time">The clock.</param>
    /// <param name="fetchTime">How long a URL may be silent; <see cref="FetchTime"/>.</param>
    /// <exception cref="ConfigurationException">A file is wrong.</exception>
    /// <exception cref="StorageException">What was kept of a URL is damaged.</exception>
    public static LogLists Open(IReadOnlyList<string> sources, string data, IReadOnlyList<VerifierKey> witness, TimeSpan interval, TimeProvider time, TimeSpan fetchTime)
    {
        FileSource[] files = [.. sources.Where(source => !IsUrl(source)).Select(path => new FileSource(path, witness, fetchTime))];
        // What two files of an operator say differently, one of them says wrongly.
        Merge(files, out List<string> refused);
        if (refused.Count > 0) throw new ConfigurationException(refused[0]);
        return new LogLists([.. files, .. sources.Where(IsUrl).Select(url => new UrlSource(new Uri(url), data, witness, fetchTime))], interval, time, fetchTime);
    }

    /// <summary>Begins to look for changes, and gives them to the logs.</summary>
    public void Start(WitnessedLogs logs, ILogger log) => _loop = Task.Run(() => RunAsync(logs, log, _stop.Token));

    /// <summary>Looks at every list that is due, and takes what is new.</summary>
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

    /// <summary>Stops looking.</summary>
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
            // The end of the loop.
        }
    }

    private void Apply(WitnessedLogs logs, ILogger log)
    {
        int before = Logs.Count;
        Logs = Merge(_sources, out List<string> refused);
        Interlocked.Exchange(ref _refused, refused.Count);
        // Each reason once, as long as it holds.
        foreach (string reason in refused.Where(reason => !_told.Contains(reason))) log.LogRefused(reason);
        _told = [.. refused];
        logs.Trust(Logs);
        if (Logs.Count != before) log.ListsChanged(Logs.Count);
    }

    /// <summary>All sources as one: the first that names an origin says what holds for it.</summary>
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

    /// <summary>Where a list comes from. The loop's, but for what the constructor reads.</summary>
    private abstract class Source(string name)
    {
        private ListTrouble? _trouble; // written by the loop, read by anyone
        private long? _due; // of the monotonic clock; null: at once

        /// <summary>For the operator.</summary>
        public string Name { get; } = name;

        /// <summary>What it lists and may be witnessed.</summary>
        public IReadOnlyList<TrustedLog> Logs { get; protected set; } = [];

        /// <summary>Why some of what it lists is not.</summary>
        public IReadOnlyList<string> Refused { get; protected set; } = [];

        /// <summary>Why the list could not be read the last time; null when it could.</summary>
        public ListTrouble? Trouble
        {
            get => Volatile.Read(ref _trouble);
            protected set => Volatile.Write(ref _trouble, value);
        }

        public bool IsDue(TimeProvider time) => _due is not long due || time.GetTimestamp() >= due;

        public virtual void Next(TimeProvider time, TimeSpan interval) => _due = time.GetTimestamp() + (long)(interval.TotalSeconds * time.TimestampFrequency);

        /// <summary>Reads it; false when it says what it said. After an exception it says what it said.</summary>
        public abstract Task<bool> ReadAsync(HttpClient http, CancellationToken stop);

        /// <summary>It was read.</summary>
        public virtual void Succeeded() => Trouble = null;

        /// <summary>It was not read. Whether that is to be said.</summary>
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
        private byte[] _text;      // what was read last
        private string? _mistake;  // what is wrong with it
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

        // Read each time that the loop comes round.
        public override void Next(TimeProvider time, TimeSpan interval)
        {
        }

        public override async Task<bool> ReadAsync(HttpClient http, CancellationToken stop)
        {
            // A file system that hangs holds up this list and no other, and one thread.
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

        /// <summary>Each reason is said once, as long as it holds.</summary>
        public override bool Failed(Exception failure, string reason)
        {
            bool isNew = Trouble?.Reason != reason;
            Trouble = new ListTrouble(failure switch { FileNotFoundException => "missing", ConfigurationException => "wrong", _ => "unreadable" }, reason);
            return isNew;
        }

        private byte[]? Read() => OperatorFile.TryRead(_path, Policy.MaxSize, out byte[] text) ? text : null;
    }

    /// <summary>A list that somebody else keeps.</summary>
    private sealed class UrlSource : Source
    {
        private const string Magic = "# tlog-witness list v1 ";

        /// <summary>A list as large as any, its first line with a URL of 2 kB, and a newline.</summary>
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

            // It only adds. A key that changes is not its to change: with another key, whoever hands out the list could sign for the log.
            Dictionary<string, ListedLog> all = _known.ToDictionary(log => log.Origin, StringComparer.Ordinal);
            List<string> refused = [];
            foreach (ListedLog log in list.Logs)
            {
                // A key that verifies nothing was never used, so the list may correct it.
                if (!all.TryGetValue(log.Origin, out ListedLog? known) || known.Key.Equals(log.Key) || Signing.Verifiers.TryCreate(known.Key) is null) all[log.Origin] = log;
                else refused.Add(string.Create(CultureInfo.InvariantCulture, $"the log with key ID {log.Key.KeyId:x8}: the list had its origin with key ID {known.Key.KeyId:x8} before; that one stays"));
            }

            ListedLog[] merged = [.. all.Values];
            bool isNew = !merged.SequenceEqual(_known);
            if (!isNew && refused.Count == 0 && Refused.Count == 0) return false;
            if (isNew)
            {
                // Kept before it is used: what a start would not know is not cosigned.
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

        /// <summary>The file.</summary>
        /// <exception cref="InvalidDataException">With all that the list has named before there are too many logs, or too many bytes of them.</exception>
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
/// <param name="Reason">In words.</param>
internal sealed record ListTrouble(string State, string Reason);
