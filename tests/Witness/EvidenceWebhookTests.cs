using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Witness;

/// <summary>spec/evidence.md, "Webhooks": at least once, to receivers that are dead, slow, failing or sent elsewhere, over restarts.</summary>
public sealed class EvidenceWebhookTests : IDisposable
{
    private static readonly EvidenceWebhookOptions Quick = new() { TryLimit = TimeSpan.FromMilliseconds(500), FirstPause = TimeSpan.FromMilliseconds(20), LongestPause = TimeSpan.FromMilliseconds(200) };

    private readonly string _root = Directory.CreateTempSubdirectory("tlog-webhooks").FullName;
    private readonly TestLog _log = new("example.com/told");
    private readonly StubLog _hook = new(new Dictionary<string, byte[]>());

    public void Dispose()
    {
        _hook.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    private EvidenceFolder Folder() => new(_root);

    private TlogEvidence Evidence(int at) => TlogEvidence.Of(NoteOf(_log.Checkpoint(12)), NoteOf(_log.Fork(at).Checkpoint(12)), [])!;

    private static Note NoteOf(string text) => Note.TryParse(Encoding.UTF8.GetBytes(text), out Note? note) ? note! : throw new InvalidOperationException(text);

    private static EvidenceWebhooks Start(EvidenceFolder folder, params string[] urls) =>
        new(folder, [.. urls.Select(url => new Uri(url))], Quick, TimeProvider.System, NullLogger.Instance);

    private string Hook(string path, Func<byte[], StubAnswer> answer)
    {
        _hook.Planted[path] = answer;
        return $"{_hook.Url}/{path}";
    }

    private int Posts(string path) => _hook.Requests.Count(request => request == $"POST {path}");

    private static async Task UntilAsync(Func<bool> condition, string what)
    {
        for (Stopwatch waited = Stopwatch.StartNew(); !condition(); await Task.Delay(10)) Assert.True(waited.Elapsed < TimeSpan.FromSeconds(60), what);
    }

    private static long Series(EvidenceWebhooks webhooks, string name)
    {
        StringBuilder text = new();
        webhooks.WriteMetrics(text);
        return long.Parse(text.ToString().Split('\n').Single(line => line.StartsWith(name + " ", StringComparison.Ordinal)).Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task A_file_arrives_as_it_is_and_once_while_nothing_fails()
    {
        List<byte[]> bodies = [];
        string url = Hook("in", body =>
        {
            lock (bodies) bodies.Add(body);
            return new StubAnswer(204, []);
        });
        EvidenceFolder folder = Folder();
        Assert.True(folder.Keep(Evidence(3)));
        await using (EvidenceWebhooks webhooks = Start(folder, url))
        {
            await UntilAsync(() => Series(webhooks, "tlog_evidence_sent_total") == 1, "the file that was there at the start");
            Assert.True(folder.Keep(Evidence(4)));
            webhooks.Wake();
            await UntilAsync(() => Series(webhooks, "tlog_evidence_sent_total") == 2, "the file that came later");
            Assert.Equal((0L, 0L), (Series(webhooks, "tlog_evidence_pending"), Series(webhooks, "tlog_evidence_failed_total")));
        }

        Assert.Equal([Evidence(3).ToBytes(), Evidence(4).ToBytes()], bodies);
        Assert.Equal(2, Directory.GetFiles(Path.Combine(_root, "evidence"), "*.sent").Length);

        // After a restart there is nothing to do; a marker that is gone is a file that has not arrived.
        string third = Directory.GetFiles(Path.Combine(_root, "evidence"), "*.sent")[0];
        await using (EvidenceWebhooks webhooks = Start(Folder(), url, Hook("second", _ => new StubAnswer(200, []))))
        {
            await UntilAsync(() => Series(webhooks, "tlog_evidence_sent_total") == 2, "another receiver has both to get");
            Assert.Equal((2, 2), (Posts("in"), Posts("second")));
        }

        File.Delete(third);
        await using (EvidenceWebhooks webhooks = Start(Folder(), url)) await UntilAsync(() => Posts("in") == 3, "sent again");
    }

    [Fact]
    public async Task A_failing_receiver_is_tried_until_it_takes_the_file()
    {
        int tries = 0;
        string url = Hook("moody", _ => new StubAnswer(Interlocked.Increment(ref tries) switch { 1 => 500, 2 => 503, 3 => 404, _ => 200 }, []));
        EvidenceFolder folder = Folder();
        folder.Keep(Evidence(3));
        await using EvidenceWebhooks webhooks = Start(folder, url);
        await UntilAsync(() => Series(webhooks, "tlog_evidence_sent_total") == 1, "500, 503, 404, then 200");
        Assert.Equal((3L, 0L, 4), (Series(webhooks, "tlog_evidence_failed_total"), Series(webhooks, "tlog_evidence_pending"), Posts("moody")));
    }

    [Fact]
    public async Task A_redirect_is_not_followed_and_is_no_delivery()
    {
        string url = Hook("moved", _ => new StubAnswer(307, []) { Headers = { ["Location"] = $"{_hook.Url}/elsewhere" } });
        Hook("elsewhere", _ => new StubAnswer(200, []));
        EvidenceFolder folder = Folder();
        folder.Keep(Evidence(3));
        await using EvidenceWebhooks webhooks = Start(folder, url);
        await UntilAsync(() => Posts("moved") >= 3, "tried again");
        Assert.Equal((0, 1L), (Posts("elsewhere"), Series(webhooks, "tlog_evidence_pending")));
    }

    [Fact]
    public async Task A_file_that_is_refused_keeps_no_other_waiting_and_a_slow_or_dead_receiver_none_of_another()
    {
        byte[] unwanted = Evidence(3).ToBytes();
        int good = 0;
        string picky = Hook("picky", body =>
        {
            if (body.AsSpan().SequenceEqual(unwanted)) return new StubAnswer(400, []);
            Interlocked.Increment(ref good);
            return new StubAnswer(200, []);
        });
        using ManualResetEventSlim end = new();
        string slow = Hook("slow", _ =>
        {
            end.Wait(TimeSpan.FromMinutes(10));
            return new StubAnswer(200, []);
        });
        using TcpListener closed = new(IPAddress.Loopback, 0);
        closed.Start();
        int port = ((IPEndPoint)closed.LocalEndpoint).Port;
        closed.Stop();
        EvidenceFolder folder = Folder();
        for (int at = 3; at <= 6; at++) folder.Keep(Evidence(at));
        EvidenceWebhooks webhooks = Start(folder, slow, $"http://127.0.0.1:{port}/", picky);
        await using (webhooks)
        {
            await UntilAsync(() => Volatile.Read(ref good) == 3 && Posts("picky") >= 6, "three of four, and the fourth tried again");
            await UntilAsync(() => Posts("slow") >= 2, "the slow one is given up and tried again");
            await UntilAsync(() => Series(webhooks, "tlog_evidence_pending") == 4 + 4 + 1, "what has not arrived");
        }

        // Closing has returned while a receiver still holds its request: it waits for none.
        Assert.False(end.IsSet);
        end.Set();
    }

    [Fact]
    public async Task A_dead_receiver_delays_no_cosignature()
    {
        using ManualResetEventSlim end = new();
        string url = Hook("hangs", _ =>
        {
            end.Wait(TimeSpan.FromMinutes(10));
            return new StubAnswer(200, []);
        });
        await using TestWitness witness = TestWitness.Create(_log);
        witness.Configure = settings => settings with { EvidenceWebhooks = [new Uri(url)], WebhookOptions = new EvidenceWebhookOptions { TryLimit = TimeSpan.FromMinutes(5) } };
        await witness.StartAsync();
        await witness.CosignAsync(_log, 0, 12);
        Stopwatch took = Stopwatch.StartNew();
        TestWitness.CheckRefusal(await witness.PostAsync(_log.Fork(3).Request(12, 20)), 422, "consistency proof");
        for (int size = 12; size < 40; size++) await witness.CosignAsync(_log, size, size + 1);
        Assert.True(took.Elapsed < TimeSpan.FromMinutes(4), $"{took.Elapsed}: less than one try of the receiver");
        await UntilAsync(() => Posts("hangs") == 1, "it was asked");
        Assert.Contains("\ntlog_evidence_pending 1\n", (await witness.GetAsync("/metrics")).Text);
        end.Set();
        await UntilAsync(() => witness.GetAsync("/metrics").GetAwaiter().GetResult().Text.Contains("\ntlog_evidence_pending 0\n", StringComparison.Ordinal), "and took it in the end");
    }

    [Theory]
    [InlineData("https://example.com/hook", 1)]
    [InlineData("http://127.0.0.1:1/a?token=b  https://example.com", 2)]
    [InlineData("", 0)]
    [InlineData("ftp://example.com/", 0)]
    [InlineData("example.com", 0)]
    [InlineData("/hook", 0)]
    [InlineData("file:///etc/passwd", 0)]
    [InlineData("https://user:password@example.com/", 0)]
    [InlineData("https://example.com/#part", 0)]
    [InlineData("https://example.com/ https://example.com/", 0)]
    [InlineData("https://example.com/ nonsense", 0)]
    [InlineData("http://a http://b http://c http://d http://e http://f http://g http://h", 8)]
    [InlineData("http://a http://b http://c http://d http://e http://f http://g http://h http://i", 0)]
    public void The_setting_is_http_and_https_URLs_and_nothing_else(string text, int count)
    {
        Assert.Equal(count > 0, EvidenceWebhookOptions.TryParse(text, out IReadOnlyList<Uri> urls, out string error));
        if (count > 0) Assert.Equal(count, urls.Count);
        Assert.Contains("http or https", error);
    }
}
