// Evidence on its way to whoever has to hear of it (spec/evidence.md, "Webhooks"): POST of the file, at least once. The files themselves are the queue, and a small file
// beside each says that it has arrived: so nothing is lost with the process, and nothing waits for a receiver but its own loop.

using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Threading.Channels;
using TransparencyLog.Outbound;
using TransparencyLog.Storage;

namespace TransparencyLog.Hosting;

/// <summary>Limits of the deliveries.</summary>
internal sealed record EvidenceWebhookOptions
{
    /// <summary>Most receivers: the operator, a colleague, a public collector, and room.</summary>
    public const int MaxUrls = 8;

    /// <summary>Time for one try, from the connection to the status, and a second more for every 16 KiB of the file: the largest, 2 MiB, has 138 s.</summary>
    public TimeSpan TryLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Pause after the first failure; doubled with each one that follows.</summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest pause: a receiver that comes back has everything within this time, and a dead one costs a few hundred tries a day.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Reads the setting: http and https URLs with white space between them, at most <see cref="MaxUrls"/>, none twice, without credentials and fragment. When it answers
    /// false, the error says what is allowed.
    /// </summary>
    public static bool TryParse(string text, out IReadOnlyList<Uri> urls, out string error)
    {
        List<Uri> read = [];
        urls = read;
        error = $"1 to {MaxUrls} http or https URLs, none of them twice, with spaces between them and no user name or fragment in them";
        foreach (string one in text.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
        {
            if (!Uri.TryCreate(one, UriKind.Absolute, out Uri? url) || (url.Scheme != Uri.UriSchemeHttp && url.Scheme != Uri.UriSchemeHttps)
                || url.UserInfo.Length > 0 || url.Fragment.Length > 0 || read.Contains(url))
            {
                return false;
            }

            read.Add(url);
        }

        return read.Count is > 0 and <= MaxUrls;
    }

    /// <summary>The URLs of the setting of that name, which both programs have; none when it is not set.</summary>
    /// <exception cref="ConfigurationException">They cannot be used.</exception>
    public static IReadOnlyList<Uri> Read(SettingValues values, TextSetting setting)
    {
        if (values.Text(setting) is not string text) return [];
        return TryParse(text, out IReadOnlyList<Uri> urls, out string error) ? urls : throw values.Refusal(setting, $"is not {error}");
    }
}

/// <summary>Delivers every file of a folder to every URL. Started once; whoever keeps a file calls <see cref="Wake"/>.</summary>
internal sealed class EvidenceWebhooks : IAsyncDisposable
{
    private readonly EvidenceFolder _folder;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Receiver> _receivers = [];
    private readonly HttpClient? _http;
    private readonly Connections? _connections;
    private readonly Task _running;

    public EvidenceWebhooks(EvidenceFolder folder, IReadOnlyList<Uri> urls, EvidenceWebhookOptions options, TimeProvider time, ILogger logger)
    {
        _folder = folder;
        if (urls.Count > 0)
        {
            (_http, _connections) = Connections.Open(new ConnectionOptions { ConnectTimeout = options.TryLimit, MaxPerServer = 2, IdleTimeout = TimeSpan.FromSeconds(10) });
        }

        foreach (Uri url in urls) _receivers.Add(new Receiver(url, folder, _http!, _connections!, options, time, logger));
        _running = Task.WhenAll(_receivers.Select(receiver => Task.Run(() => receiver.RunAsync(_stop.Token))));
    }

    /// <summary>The series of both programs: files by kind, deliveries that are not done yet, those that were, tries that failed.</summary>
    public void WriteMetrics(StringBuilder text)
    {
        text.Append("# TYPE tlog_evidence_files gauge\n");
        foreach (EvidenceKind kind in Enum.GetValues<EvidenceKind>())
        {
            text.Append(CultureInfo.InvariantCulture, $"tlog_evidence_files{{kind=\"{TlogEvidence.Word(kind)}\"}} {_folder.CountOf(kind)}\n");
        }

        text.Append(CultureInfo.InvariantCulture, $"# TYPE tlog_evidence_pending gauge\ntlog_evidence_pending {_receivers.Sum(receiver => receiver.Pending)}\n")
            .Append(CultureInfo.InvariantCulture, $"# TYPE tlog_evidence_sent_total counter\ntlog_evidence_sent_total {_receivers.Sum(receiver => receiver.Delivered)}\n")
            .Append(CultureInfo.InvariantCulture, $"# TYPE tlog_evidence_failed_total counter\ntlog_evidence_failed_total {_receivers.Sum(receiver => receiver.Failed)}\n");
    }

    /// <summary>There is a new file. Never waits.</summary>
    public void Wake()
    {
        foreach (Receiver receiver in _receivers) receiver.Wake();
    }

    /// <summary>Ends at once: what is under way is tried again after the next start.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _http?.Dispose();
        _stop.Dispose();
    }

    /// <summary>One URL and its loop.</summary>
    private sealed class Receiver(Uri url, EvidenceFolder folder, HttpClient http, Connections connections, EvidenceWebhookOptions options, TimeProvider time, ILogger logger)
    {
        /// <summary>Scheme, host and port: paths of webhooks often are secrets.</summary>
        private readonly string _name = url.GetLeftPart(UriPartial.Authority);
        private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        private long _delivered, _failed;

        public int Pending => folder.NotSentTo(url.AbsoluteUri).Count;

        public long Delivered => Interlocked.Read(ref _delivered);

        public long Failed => Interlocked.Read(ref _failed);

        public void Wake() => _signal.Writer.TryWrite(true);

        public async Task RunAsync(CancellationToken stop)
        {
            TimeSpan pause = options.FirstPause;
            try
            {
                while (true)
                {
                    if (await DeliverAllAsync(stop).ConfigureAwait(false))
                    {
                        pause = options.FirstPause;
                        await _signal.Reader.ReadAsync(stop).ConfigureAwait(false);
                        continue;
                    }

                    // Half of it at least and all of it at most, by chance: many senders that lost one receiver do not come back in step.
                    await Task.Delay(pause * (0.5 + (Random.Shared.NextDouble() / 2)), time, stop).ConfigureAwait(false);
                    pause = pause * 2 < options.LongestPause ? pause * 2 : options.LongestPause;
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                // The orderly end.
            }
        }

        /// <summary>Tries each file once. False when one of them has not arrived. A file that is refused keeps none behind it waiting.</summary>
        private async Task<bool> DeliverAllAsync(CancellationToken stop)
        {
            bool all = true;
            foreach (string name in folder.NotSentTo(url.AbsoluteUri))
            {
                string? failure;
                bool reached = false;
                try
                {
                    if (!DurableFile.TryRead(folder.PathOf(name), TlogEvidence.MaxSize, out byte[] file)) continue;
                    (reached, failure) = await PostAsync(file, stop).ConfigureAwait(false);

                    // A crash here: it is sent again. Once more is allowed, never is not.
                    if (failure is null) folder.MarkSent(name, url.AbsoluteUri, time.GetUtcNow());
                }
                catch (StorageException disk)
                {
                    failure = disk.Message;
                }

                if (failure is null)
                {
                    Interlocked.Increment(ref _delivered);
                    logger.EvidenceSent(name, _name);
                    continue;
                }

                all = false;
                Interlocked.Increment(ref _failed);
                logger.EvidenceNotSent(name, _name, failure);
                if (!reached) return false; // nobody is there: the other files would only wait for the same time limit
            }

            return all;
        }

        private async Task<(bool Reached, string? Failure)> PostAsync(byte[] file, CancellationToken stop)
        {
            using AnswerClock clock = new(new AnswerLimits(options.TryLimit, AnswerLimits.DefaultBytesPerSecond), file.Length, time, stop);
            string via = connections.Proxy.NameFor(url) is string proxy ? $" through the proxy {proxy}" : "";
            try
            {
                using HttpRequestMessage request = new(HttpMethod.Post, url) { Content = new ByteArrayContent(file) };
                request.Content.Headers.ContentType = new MediaTypeHeaderValue("text/plain") { CharSet = "utf-8" };
                using HttpResponseMessage response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, clock.Token).ConfigureAwait(false);
                return (true, (int)response.StatusCode is >= 200 and < 300 ? null : $"status {(int)response.StatusCode}{via}");
            }
            catch (OperationCanceledException) when (!stop.IsCancellationRequested)
            {
                return (false, $"it {clock.Describe()}{via}");
            }
            catch (Exception failure) when (NoAnswer.Is(failure))
            {
                return (false, $"no answer{via}: {NoAnswer.Describe(failure)}");
            }
        }
    }
}

/// <summary>What both programs say of it.</summary>
internal static partial class EvidenceEvents
{
    [LoggerMessage(30, LogLevel.Information, "{File} was sent to {Receiver}")]
    public static partial void EvidenceSent(this ILogger logger, string file, string receiver);

    [LoggerMessage(31, LogLevel.Warning, "{File} has not reached {Receiver} and is sent again later: {Reason}")]
    public static partial void EvidenceNotSent(this ILogger logger, string file, string receiver, string reason);
}
