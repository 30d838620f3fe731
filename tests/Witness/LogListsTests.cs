using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>Lists of logs that change while the witness runs: files, and URLs that somebody else keeps. W-10, W-19.</summary>
public sealed class LogListsTests : IAsyncDisposable
{
    private static readonly VerifierKey Own = VerifierKey.Create("witness.example/w1", VerifierKey.Ed25519Cosignature, TestLog.Signer("w", 1).Key.PublicKey.Span);

    private readonly string _root = Directory.CreateTempSubdirectory("tlog-lists").FullName;
    private readonly TestLog _log = new("example.com/first"), _other = new("example.com/second");
    private readonly Messages _messages = new();

    /// <summary>What was said to the operator.</summary>
    private sealed class Messages : ILogger
    {
        public ConcurrentQueue<string> Said { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Said.Enqueue(formatter(state, exception));
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_root, recursive: true);
        return ValueTask.CompletedTask;
    }

    private string PathOf(string name) => Path.Combine(_root, name);

    private LogLists Open(params string[] sources) => LogLists.Open(sources, _root, [Own], TimeSpan.Zero, TimeProvider.System, TimeSpan.FromSeconds(5));

    private static WitnessedLogs Load(LogLists lists) => WitnessedLogs.Load(lists.Logs, new Dictionary<string, byte[]>(), [Own], TimeProvider.System, 86_400, 60);

    private static string[] Trusted(WitnessedLogs logs) => [.. logs.All.Where(log => log.Trust.Keys.Count > 0).Select(log => log.Origin).Order(StringComparer.Ordinal)];

    private static async Task UntilAsync(Func<Task<bool>> holds)
    {
        for (int i = 0; i < 600; i++)
        {
            if (await holds()) return;
            await Task.Delay(50);
        }

        Assert.Fail("it has not come about in 30 s");
    }

    private static void Touch(string path, string text)
    {
        DateTime before = File.Exists(path) ? File.GetLastWriteTimeUtc(path) : DateTime.MinValue;
        File.WriteAllText(path, text);
        // Two changes within one tick of the file system's clock are one to whoever looks at the time alone.
        if (File.GetLastWriteTimeUtc(path) <= before) File.SetLastWriteTimeUtc(path, before.AddSeconds(1));
    }

    [Fact]
    public async Task A_list_from_a_URL_is_taken_without_a_restart_and_is_there_at_the_next_start_without_its_server()
    {
        await using ListServer server = await ListServer.StartAsync();
        server.Lists(ListServer.Entry(_log));
        await using TestWitness witness = TestWitness.Create();
        witness.Configure = settings => settings with { Logs = [server.Url], ListInterval = TimeSpan.FromSeconds(1) };
        await witness.StartAsync();
        await UntilAsync(async () => (await witness.PostAsync(_log.Request(0, 5))).Status == 200);

        // A log more, while it runs.
        TestWitness.CheckRefusal(await witness.PostAsync(_other.Request(0, 5)), 404, "unknown log");
        server.Lists(ListServer.Entry(_log), ListServer.Entry(_other));
        await UntilAsync(async () => (await witness.PostAsync(_other.Request(0, 5))).Status == 200);

        await server.StopAsync();
        await witness.RestartAsync();
        await witness.CosignAsync(_log, 5, 7);
        await witness.CosignAsync(_other, 5, 7);
        await UntilAsync(async () => (await witness.GetAsync("/metrics")).Text.Contains("tlog_witness_lists_total{result=\"failed\"} ", StringComparison.Ordinal)
            && !(await witness.GetAsync("/metrics")).Text.Contains("tlog_witness_lists_total{result=\"failed\"} 0\n", StringComparison.Ordinal));
        await witness.CosignAsync(_log, 7, 8);
        Assert.Equal("ok\n", (await witness.GetAsync("/healthz")).Text);
    }

    [Fact]
    public async Task W19_a_log_taken_out_of_a_file_while_it_is_in_use_keeps_its_state_and_goes_on_when_it_comes_back()
    {
        await using TestWitness witness = TestWitness.Create(_log, _other);
        witness.Configure = settings => settings with { ListInterval = TimeSpan.FromSeconds(1) };
        await witness.StartAsync();
        await witness.CosignAsync(_log, 0, 5);
        Touch(witness.LogsFile, _other.PolicyLine);
        // Until the file is read again it is 409.
        await UntilAsync(async () => (await witness.PostAsync(_log.Request(0, 9))).Status == 404);
        TestWitness.CheckRefusal(await witness.PostAsync(_log.Request(5, 7)), 404, "unknown log");
        Assert.Contains("not on the list", (await witness.GetAsync("/")).Text);
        await witness.CheckStateAsync(_log, 5);
        await witness.CosignAsync(_other, 0, 5);

        Touch(witness.LogsFile, _log.PolicyLine + _other.PolicyLine);
        await UntilAsync(async () => (await witness.PostAsync(_log.Request(0, 9))).Status == 409);
        TestWitness.CheckConflict(await witness.PostAsync(_log.Request(0, 9)), 5);
        await witness.CosignAsync(_log, 5, 9);
    }

    [Fact]
    public async Task A_file_that_is_wrong_after_the_start_changes_nothing_and_is_told_once()
    {
        Touch(PathOf("logs"), _log.PolicyLine);
        await using LogLists lists = Open(PathOf("logs"));
        using WitnessedLogs logs = Load(lists);
        foreach (string bad in new[] { "log nonsense\n", "", "logs/v0\nvkey\n", "log" })
        {
            Touch(PathOf("logs"), bad);
            int said = _messages.Said.Count;
            for (int i = 0; i < 3; i++) await lists.PollAsync(logs, _messages, default);
            Assert.Equal([_log.Origin], Trusted(logs));
            Assert.Equal(said + 1, _messages.Said.Count);
            Assert.Contains("what was known of it stays", _messages.Said.Last(), StringComparison.Ordinal);
        }

        Assert.Equal((0, 4), (lists.Reads, lists.Failures));
        File.Delete(PathOf("logs"));
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_log.Origin], Trusted(logs));

        Touch(PathOf("logs"), $"logs/v0\n{ListServer.Entry(_other)}");
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_other.Origin], Trusted(logs));
        Assert.Equal(1, lists.Reads);
    }

    /// <summary>As Kubernetes mounts a ConfigMap: logs -> ..data/logs, ..data -> a folder; an update renames another link over ..data.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task N14_a_list_behind_links_that_are_swapped_is_read_again_and_what_was_removed_is_not_cosigned(bool sameLengthAndTime)
    {
        await using TestWitness witness = TestWitness.Create();
        Directory.CreateDirectory(PathOf("..1"));
        Directory.CreateDirectory(PathOf("..2"));
        TestLog another = new("example.com/third"), log = new("example.com/first");
        File.WriteAllText(PathOf("..1/logs"), log.PolicyLine);
        File.WriteAllText(PathOf("..2/logs"), sameLengthAndTime ? another.PolicyLine : $"{another.PolicyLine}# another length\n");
        if (sameLengthAndTime)
        {
            Assert.Equal(new FileInfo(PathOf("..1/logs")).Length, new FileInfo(PathOf("..2/logs")).Length);
            File.SetLastWriteTimeUtc(PathOf("..2/logs"), File.GetLastWriteTimeUtc(PathOf("..1/logs")));
        }

        File.CreateSymbolicLink(PathOf("..data"), "..1");
        File.CreateSymbolicLink(PathOf("logs"), "..data/logs");
        witness.Configure = settings => settings with { Logs = [PathOf("logs")], ListInterval = TimeSpan.FromSeconds(1) };
        await witness.StartAsync();
        await witness.CosignAsync(log, 0, 5);
        TestWitness.CheckRefusal(await witness.PostAsync(another.Request(0, 5)), 404, "unknown log");

        File.CreateSymbolicLink(PathOf("..new"), "..2");
        Posix.Rename(PathOf("..new"), PathOf("..data"));
        Directory.Delete(PathOf("..1"), recursive: true);
        await UntilAsync(async () => (await witness.PostAsync(another.Request(0, 5))).Status == 200);
        TestWitness.CheckRefusal(await witness.PostAsync(log.Request(5, 9)), 404, "unknown log");
        await witness.CheckStateAsync(log, 5);
        await witness.CosignAsync(another, 5, 9);
    }

    [Fact]
    public async Task N14_a_file_of_the_same_length_and_time_with_other_content_is_another_list()
    {
        TestLog third = new("example.com/third");
        Assert.Equal(_log.PolicyLine.Length, third.PolicyLine.Length);
        File.WriteAllText(PathOf("logs"), _log.PolicyLine);
        DateTime written = File.GetLastWriteTimeUtc(PathOf("logs"));
        await using LogLists lists = Open(PathOf("logs"));
        using WitnessedLogs logs = Load(lists);
        File.WriteAllText(PathOf("logs"), third.PolicyLine);
        File.SetLastWriteTimeUtc(PathOf("logs"), written);
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([third.Origin], Trusted(logs));

        // The other way round: another time and the same content is nothing new.
        File.SetLastWriteTimeUtc(PathOf("logs"), written.AddHours(1));
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal((1, 0), (lists.Reads, lists.Failures));
    }

    [Fact]
    public async Task N14_a_list_by_URL_whose_headers_say_that_nothing_changed_is_read_again()
    {
        await using ListServer server = await ListServer.StartAsync();
        string entry = ListServer.Entry(_log);
        server.Answer = context =>
        {
            context.Response.Headers.ETag = "\"1\"";
            context.Response.Headers.LastModified = "Mon, 30 Nov 2026 10:00:00 GMT";
            context.Response.Headers.CacheControl = "max-age=31536000, immutable";
            Assert.Equal("", context.Request.Headers.IfNoneMatch.ToString() + context.Request.Headers.IfModifiedSince);
            return context.Response.WriteAsync($"logs/v0\n{entry}");
        };
        await using LogLists lists = Open(server.Url);
        using WitnessedLogs logs = Load(lists);
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_log.Origin], Trusted(logs));
        entry = ListServer.Entry(_log) + ListServer.Entry(_other);
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_log.Origin, _other.Origin], Trusted(logs));
    }

    [Fact]
    public async Task N14_a_list_that_is_missing_one_that_cannot_be_read_and_one_that_is_wrong_are_three_answers()
    {
        string path = PathOf("logs");
        File.WriteAllText(path, _log.PolicyLine);
        await using LogLists lists = Open(path);
        using WitnessedLogs logs = Load(lists);
        Assert.Empty(lists.Troubles);

        (Action Break, string State, string Word)[] breaks =
        [
            (() => File.Delete(path), "missing", "no such file"),
            (() => Directory.CreateDirectory(path), "unreadable", "is a directory"),
            (() => Directory.Delete(path), "missing", "no such file"),
            (() => File.CreateSymbolicLink(path, path), "unreadable", "errno 40"),
            (() => Remake(() => File.WriteAllText(path, "log nonsense\n")), "wrong", "line 1"),
            (() => Remake(() => MakePipe(path)), "unreadable", "is a named pipe"),
            (() => Remake(() => File.CreateSymbolicLink(path, "/dev/zero")), "unreadable", "is a device"),
            (() => Remake(() => File.WriteAllBytes(path, new byte[Policy.MaxSize + 1])), "unreadable", $"more than {Policy.MaxSize} bytes"),
        ];
        foreach ((Action act, string state, string word) in breaks)
        {
            act();
            int said = _messages.Said.Count;
            for (int i = 0; i < 3; i++) await lists.PollAsync(logs, _messages, default);
            Assert.Equal([_log.Origin], Trusted(logs)); // what was listed stays
            Assert.Equal(said + 1, _messages.Said.Count);
            (_, ListTrouble trouble) = Assert.Single(lists.Troubles);
            Assert.Equal(state, trouble.State);
            Assert.Contains(word, trouble.Reason, StringComparison.Ordinal);
            Assert.Contains(path, trouble.Reason, StringComparison.Ordinal);
        }

        // The list as it was is nothing new, and no trouble any more.
        Remake(() => File.WriteAllText(path, _log.PolicyLine));
        await lists.PollAsync(logs, _messages, default);
        Assert.Empty(lists.Troubles);
        Remake(() => File.WriteAllText(path, _other.PolicyLine));
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_other.Origin], Trusted(logs));

        void Remake(Action make)
        {
            File.Delete(path);
            make();
        }

        static void MakePipe(string name)
        {
            using System.Diagnostics.Process made = System.Diagnostics.Process.Start("mkfifo", name);
            made.WaitForExit();
            Assert.Equal(0, made.ExitCode);
        }
    }

    [Fact]
    public void N14_a_start_refuses_a_list_that_is_missing_or_no_regular_file_and_does_not_wait_for_it()
    {
        Assert.Contains("logs: no such file", Assert.Throws<ConfigurationException>(() => Open(PathOf("logs"))).Message, StringComparison.Ordinal);
        using (System.Diagnostics.Process made = System.Diagnostics.Process.Start("mkfifo", PathOf("logs"))) made.WaitForExit();
        Assert.Contains("named pipe", Assert.Throws<ConfigurationException>(() => Open(PathOf("logs"))).Message, StringComparison.Ordinal);
        File.Delete(PathOf("logs"));
        File.WriteAllText(PathOf("file"), "");
        Assert.Contains("errno 20", Assert.Throws<ConfigurationException>(() => Open(PathOf("file/logs"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_URL_only_adds_and_the_key_of_a_log_never_changes_by_it()
    {
        await using ListServer server = await ListServer.StartAsync();
        server.Lists(ListServer.Entry(_log, 100), ListServer.Entry(_other, 200));
        await using LogLists lists = Open(server.Url);
        using WitnessedLogs logs = Load(lists);
        Assert.Empty(Trusted(logs));
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_log.Origin, _other.Origin], Trusted(logs));
        RateLimits limits = logs.All.Single(log => log.Origin == _log.Origin).Trust.Limits, others = logs.All.Single(log => log.Origin == _other.Origin).Trust.Limits;
        Assert.Equal((100, 200), (limits.PerDay, others.PerDay));

        // One is gone, the other has a key of somebody else, and a third one comes.
        TestLog third = new("example.com/third");
        server.Lists(ListServer.Entry(_other.WithKey(7), 300), ListServer.Entry(third));
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_log.Origin, _other.Origin, third.Origin], Trusted(logs));
        Assert.Equal(_other.NoteSigner.Key, Assert.Single(logs.All.Single(log => log.Origin == _other.Origin).Trust.Keys).Key);
        Assert.Equal(1, lists.Refused);
        Assert.Contains(_messages.Said, one => one.Contains($"{_other.WithKey(7).NoteSigner.Key.KeyId:x8}", StringComparison.Ordinal) && one.Contains("that one stays", StringComparison.Ordinal));

        // The rate is the list's to say; a limit that is as it was stays as far used as it is.
        server.Lists(ListServer.Entry(_other, 300), ListServer.Entry(_log, 100));
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal(300, logs.All.Single(log => log.Origin == _other.Origin).Trust.Limits.PerDay);
        Assert.Same(limits, logs.All.Single(log => log.Origin == _log.Origin).Trust.Limits);
        Assert.Equal(0, lists.Refused);

        // All of it is there without the server.
        await using LogLists again = Open(server.Url);
        Assert.Equal(3, again.Logs.Count);
        Assert.Equal(300, again.Logs[_other.Origin].QueriesPerDay);
    }

    [Fact]
    public async Task N22_a_key_in_a_list_of_others_that_verifies_nothing_is_named_and_skipped_and_the_list_may_correct_it()
    {
        await using ListServer server = await ListServer.StartAsync();
        VerifierKey ecdsa = VerifierKey.Create("example.com/ecdsa", VerifierKey.Ecdsa, new byte[91]), noPoint = VerifierKey.Create(_other.Origin, VerifierKey.Ed25519, [2, .. new byte[31]]);
        server.Lists(Entry(ecdsa), Entry(noPoint), ListServer.Entry(_log));
        await using LogLists lists = Open(server.Url);
        using WitnessedLogs logs = Load(lists);
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_log.Origin], Trusted(logs));
        Assert.Equal(2, lists.Refused);
        Assert.Contains(_messages.Said, one => one.Contains($"{ecdsa.KeyId:x8}: the type of the key is 0x02", StringComparison.Ordinal));
        Assert.Contains(_messages.Said, one => one.Contains($"{noPoint.KeyId:x8}: nothing can be verified with its key", StringComparison.Ordinal));

        // It was never used, so it is not the key that stays.
        server.Lists(ListServer.Entry(_other), ListServer.Entry(_log));
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_log.Origin, _other.Origin], Trusted(logs).Order(StringComparer.Ordinal));

        static string Entry(VerifierKey key) => $"vkey {key}\nqpd 1\ncontact c\n";
    }

    [Fact]
    public async Task W10_what_could_be_mistaken_for_this_witness_is_left_out_of_a_list_of_others_and_told()
    {
        await using ListServer server = await ListServer.StartAsync();
        TestLog namesake = new(Own.Name);
        string same = $"vkey {VerifierKey.Create("example.com/same-key", VerifierKey.Ed25519, Own.PublicKey.Span)}\nqpd 1\ncontact c\n";
        string origin = $"vkey {new TestLog("example.com/x").NoteSigner.Key}\norigin {Own.Name}x\nqpd 1\ncontact c\n".Replace($"{Own.Name}x", Own.Name);
        string quantum = $"vkey {VerifierKey.Create("example.com/quantum", VerifierKey.MlDsa44Cosignature, new byte[1312])}\nqpd 1\ncontact c\n";
        foreach (string bad in new[] { ListServer.Entry(namesake), same, origin, quantum })
        {
            server.Lists(bad, ListServer.Entry(_log));
            await using LogLists lists = Open(server.Url);
            using WitnessedLogs logs = Load(lists);
            await lists.PollAsync(logs, _messages, default);
            Assert.Equal([_log.Origin], Trusted(logs));
            Assert.Equal(1, lists.Refused);
            Directory.Delete(PathOf(LogLists.Folder), recursive: true);
        }

        Assert.Contains(_messages.Said, one => one.Contains("the name of this witness", StringComparison.Ordinal));
        Assert.Contains(_messages.Said, one => one.Contains("the key of this witness", StringComparison.Ordinal));
        Assert.Contains(_messages.Said, one => one.Contains("type of the key is 0x06", StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_answer_that_is_no_list_changes_nothing_and_takes_bounded_time_and_memory()
    {
        await using ListServer server = await ListServer.StartAsync(), elsewhere = await ListServer.StartAsync();
        server.Lists(ListServer.Entry(_log));
        await using LogLists lists = LogLists.Open([server.Url], _root, [Own], TimeSpan.Zero, TimeProvider.System, TimeSpan.FromSeconds(2));
        using WitnessedLogs logs = Load(lists);
        await lists.PollAsync(logs, _messages, default);

        elsewhere.Lists(ListServer.Entry(_other));
        (string Word, RequestDelegate Answer)[] bad =
        [
            ("answered with 500", context => Status(context, 500)),
            ("answered with 404", context => Status(context, 404)),
            ("answered with 204", context => Status(context, 204)),
            ("answered with 302", context => Redirect(context, elsewhere.Url)),
            ("answered with 301", context => Redirect(context, "file:///etc/hostname", 301)),
            ("first line", context => context.Response.WriteAsync("<html>sorry</html>\n")),
            ("line 2", context => context.Response.WriteAsync("logs/v0\nvkey nonsense\n")),
            ("first line", context => Task.CompletedTask),
            ("answers too slowly", Dripping),
            ("", Broken),
        ];
        int failures = 0;
        foreach ((string word, RequestDelegate answer) in bad)
        {
            server.Answer = answer;
            // A failed URL is asked again after a while: a new one asks at once, and knows what was kept.
            await using LogLists again = LogLists.Open([server.Url], _root, [Own], TimeSpan.Zero, TimeProvider.System, TimeSpan.FromSeconds(2));
            long start = System.Diagnostics.Stopwatch.GetTimestamp();
            await again.PollAsync(logs, _messages, default);
            Assert.InRange(System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 30);
            Assert.Equal((0, 1), (again.Reads, again.Failures));
            Assert.Contains(word, _messages.Said.Last(), StringComparison.Ordinal);
            Assert.Equal([_log.Origin], Trusted(logs));
            Assert.Equal([_log.Origin], again.Logs.Keys);
            failures++;
        }

        Assert.Equal(bad.Length, failures);
        Assert.Equal(0, elsewhere.Asked);

        static Task Status(HttpContext context, int status)
        {
            context.Response.StatusCode = status;
            return Task.CompletedTask;
        }

        static Task Redirect(HttpContext context, string to, int status = 302)
        {
            context.Response.Headers.Location = to;
            return Status(context, status);
        }

        static async Task Dripping(HttpContext context)
        {
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.WriteAsync("#", context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
                await Task.Delay(100, context.RequestAborted);
            }
        }

        static async Task Broken(HttpContext context)
        {
            context.Response.ContentLength = 1000;
            await context.Response.WriteAsync("logs/v0\n");
            context.Abort();
        }
    }

    [Fact]
    public async Task Of_a_list_without_an_end_not_much_more_is_read_than_is_allowed()
    {
        using TcpListener endless = new(IPAddress.Loopback, 0);
        endless.Start();
        const long Most = 256 * 1024 * 1024;
        Task<long> sending = Task.Run(async () =>
        {
            using TcpClient client = await endless.AcceptTcpClientAsync();
            NetworkStream stream = client.GetStream();
            await stream.WriteAsync("HTTP/1.1 200 OK\r\n\r\nlogs/v0\n#"u8.ToArray());
            byte[] comment = new byte[64 * 1024];
            comment.AsSpan().Fill((byte)'x');
            long sent = 0;
            try
            {
                for (; sent < Most; sent += comment.Length) await stream.WriteAsync(comment);
            }
            catch (IOException)
            {
                // The reader has gone.
            }

            return sent;
        });
        await using LogLists lists = Open($"http://{endless.LocalEndpoint}/list");
        using WitnessedLogs logs = Load(lists);
        await lists.PollAsync(logs, _messages, default);
        Assert.Contains("at most 1048576 bytes", _messages.Said.Last(), StringComparison.Ordinal);
        // What is more is what the buffers of two sockets hold.
        Assert.InRange(await sending, 1024 * 1024, 32 * 1024 * 1024);
    }

    [Fact]
    public async Task After_a_failure_a_URL_is_asked_again_after_a_minute_and_otherwise_after_its_interval()
    {
        await using ListServer server = await ListServer.StartAsync();
        server.Lists(ListServer.Entry(_log));
        Clock clock = new();
        await using LogLists lists = LogLists.Open([server.Url], _root, [Own], TimeSpan.FromHours(1), clock, LogLists.FetchTime);
        using WitnessedLogs logs = Load(lists);
        await Ask(TimeSpan.Zero, 1);
        await Ask(TimeSpan.FromMinutes(59), 1);
        server.Answer = context =>
        {
            context.Response.StatusCode = 500;
            return Task.CompletedTask;
        };
        await Ask(TimeSpan.FromMinutes(1), 2);
        await Ask(TimeSpan.FromSeconds(59), 2);
        await Ask(TimeSpan.FromSeconds(1), 3);
        server.Lists(ListServer.Entry(_log));
        await Ask(TimeSpan.FromMinutes(1), 4);
        await Ask(TimeSpan.FromMinutes(59), 4);
        Assert.Equal((1, 2), (lists.Reads, lists.Failures));

        async Task Ask(TimeSpan later, int asked)
        {
            clock.Now += later;
            await lists.PollAsync(logs, _messages, default);
            Assert.Equal(asked, server.Asked);
        }
    }

    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; set; } = TimeSpan.FromDays(3);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }

    [Fact]
    public async Task A_file_says_what_holds_where_a_URL_says_something_else()
    {
        await using ListServer server = await ListServer.StartAsync();
        server.Lists(ListServer.Entry(_log.WithKey(7), 100), ListServer.Entry(_other));
        Touch(PathOf("logs"), _log.PolicyLine);
        await using LogLists lists = Open(server.Url, PathOf("logs"));
        using WitnessedLogs logs = Load(lists);
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal([_log.Origin, _other.Origin], Trusted(logs));
        Assert.Equal(_log.NoteSigner.Key, Assert.Single(logs.All.Single(log => log.Origin == _log.Origin).Trust.Keys).Key);
        Assert.Contains(_messages.Said, one => one.Contains("another list has its origin with another key", StringComparison.Ordinal));
        Assert.Equal(1, lists.Refused);
    }

    [Fact]
    public void Two_files_that_say_different_things_of_one_origin_are_refused_at_the_start()
    {
        Touch(PathOf("a"), _log.PolicyLine);
        Touch(PathOf("b"), _log.WithKey(7).PolicyLine);
        Touch(PathOf("c"), $"logs/v0\n{ListServer.Entry(_log)}{ListServer.Entry(_other)}");
        Assert.Contains("another key", Assert.Throws<ConfigurationException>(() => Open(PathOf("a"), PathOf("b"))).Message, StringComparison.Ordinal);
        Assert.Equal(2, Open(PathOf("a"), PathOf("c")).Logs.Count);
    }

    [Fact]
    public async Task A_flipped_bit_anywhere_in_what_was_kept_of_a_URL_is_refused_and_the_file_is_named()
    {
        await using ListServer server = await ListServer.StartAsync();
        server.Lists(ListServer.Entry(_log, 100));
        await using LogLists lists = Open(server.Url);
        using WitnessedLogs logs = Load(lists);
        await lists.PollAsync(logs, _messages, default);
        string kept = Assert.Single(Directory.GetFiles(PathOf(LogLists.Folder)));
        byte[] bytes = await File.ReadAllBytesAsync(kept);
        for (int i = 0; i < bytes.Length; i++)
        {
            byte[] flipped = [.. bytes];
            flipped[i] ^= (byte)(1 << (i % 8));
            await File.WriteAllBytesAsync(kept, flipped);
            Assert.Contains(kept, Assert.ThrowsAny<StorageException>(() => Open(server.Url)).Message, StringComparison.Ordinal);
        }

        foreach (byte[] cut in new[] { [], bytes[..^1], bytes[..20], [.. bytes, (byte)'\n'] })
        {
            await File.WriteAllBytesAsync(kept, cut);
            Assert.ThrowsAny<StorageException>(() => Open(server.Url));
        }

        await File.WriteAllBytesAsync(kept, bytes);
        Assert.Equal([_log.Origin], Open(server.Url).Logs.Keys);
    }

    [Fact]
    public async Task A_list_that_grows_beyond_the_most_logs_is_not_taken()
    {
        await using ListServer server = await ListServer.StartAsync();
        string Many(int from, int count) => string.Concat(Enumerable.Range(from, count).Select(i => $"vkey {_log.NoteSigner.Key}\norigin o{i}\nqpd 1\ncontact c\n"));
        server.Lists(Many(0, TlogList.MaxLogs));
        await using LogLists lists = Open(server.Url);
        using WitnessedLogs logs = Load(lists);
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal(TlogList.MaxLogs, lists.Logs.Count);
        server.Lists(Many(1, TlogList.MaxLogs));
        await lists.PollAsync(logs, _messages, default);
        Assert.Equal((1, 1), (lists.Reads, lists.Failures));
        Assert.Contains("4096", _messages.Said.Last(), StringComparison.Ordinal);
        Assert.Equal(TlogList.MaxLogs, lists.Logs.Count);
    }
}
