// Delivers evidence to webhooks (spec/evidence.md, "Webhooks"): POST of each file, at least once. The evidence files themselves are the queue, and a small
// marker file next to each one records that it has arrived. So no delivery is lost when the process ends, and a slow receiver delays only its own loop.

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
    /// <summary>Most receivers: enough for the operator, a colleague and a public collector, with some to spare.</summary>
    public const int MaxUrls = 8;

    /// <summary>
    /// Time for one attempt, from the connection to the status. Each 16 KiB of the file add a second: the largest file, 2 MiB, has 138 s.
    /// </summary>
    public TimeSpan TryLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Pause after the first failure. It doubles with each further failure.</summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest pause. A receiver that recovers has everything within this time, and a dead one costs a few hundred attempts a day.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Reads the setting: http and https URLs separated by white space, at most <see cref="MaxUrls"/>, no URL twice, without credentials or fragment. When it
    /// returns false, the error says what is allowed.
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

    /// <summary>The URLs of the setting, which both programs have; none when it is not set.</summary>
    /// <exception cref="ConfigurationException">The value is not valid.</exception>
    public static IReadOnlyList<Uri> Read(SettingValues values, TextSetting setting)
    {
        if (values.Text(setting) is not string text) return [];
        return TryParse(text, out IReadOnlyList<Uri> urls, out string error) ? urls : throw values.Refusal(setting, $"is not {error}");
    }
}

/// <summary>Delivers every file of a folder to every URL. Starts when it is constructed. Call <see cref="Wake"/> after keeping a file.</summary>
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

    /// <summary>Writes the metrics that both programs have: files by kind, pending deliveries, deliveries made, failed attempts.</summary>
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

    /// <summary>Announces a new file. Never blocks.</summary>
    public void Wake()
    {
        foreach (Receiver receiver in _receivers) receiver.Wake();
    }

    /// <summary>Stops immediately. A delivery that was under way is repeated after the next start.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _http?.Dispose();
        _stop.Dispose();
    }

    /// <summary>One URL and its delivery loop.</summary>
    private sealed class Receiver(Uri url, EvidenceFolder folder, HttpClient http, Connections connections, EvidenceWebhookOptions options, TimeProvider time, ILogger logger)
    {
        /// <summary>Scheme, host and port only: the path of a webhook is often a secret.</summary>
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

                    // At random between half of the pause and all of it, so that many senders that lost the same receiver do not retry in step.
                    await Task.Delay(pause * (0.5 + (Random.Shared.NextDouble() / 2)), time, stop).ConfigureAwait(false);
                    pause = pause * 2 < options.LongestPause ? pause * 2 : options.LongestPause;
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                // Normal shutdown.
            }
        }

        /// <summary>
        /// Attempts each file once. Returns false when a file has not arrived. A refused file does not hold up the files after it. When the receiver does not
        /// answer, the remaining files wait for the next round.
        /// </summary>
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

                    // After a crash here the file is sent again. Sending it twice is allowed, losing it is not.
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
                // Without an answer, each remaining file would only wait for the same time limit. A file that cannot be read ends the round too.
                if (!reached) return false;
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

/// <summary>The log events of the deliveries, in both programs.</summary>
internal static partial class EvidenceEvents
{
    [LoggerMessage(30, LogLevel.Information, "{File} was sent to {Receiver}")]
    public static partial void EvidenceSent(this ILogger logger, string file, string receiver);

    [LoggerMessage(31, LogLevel.Warning, "{File} has not reached {Receiver} and is sent again later: {Reason}")]
    public static partial void EvidenceNotSent(this ILogger logger, string file, string receiver, string reason);
}
