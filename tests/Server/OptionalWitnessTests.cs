using System.Globalization;
using System.Text.Json;
using TransparencyLog.Client;
using TransparencyLog.Server;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>Witnesses outside the quorum: asked, shown, and waited for once a minute only.</summary>
public sealed class OptionalWitnessTests
{
    private const string Quorum = "quorum a\n";

    /// <summary>On a clock that moves only when told to, a request on its way must not run out of time.</summary>
    private static Settings Patient(Settings settings) => settings with { WitnessTimeout = TimeSpan.FromSeconds(60), WitnessTotalTimeout = TimeSpan.FromSeconds(300) };

    [Fact]
    public async Task G12_once_a_minute_a_checkpoint_stays_until_slow_optional_witnesses_have_cosigned_it()
    {
        FakeTime time = new();
        using SemaphoreSlim answers = new(0);
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(2);
        TestLog log = witnessed.Log;
        await witnessed.ServeAsync(Quorum, Patient, time);
        await witnessed.ReadyAsync();
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(0)) is ["a", "b"], "both know the empty log");
        witnessed[1].Behave = async (context, body) =>
        {
            await answers.WaitAsync(context.RequestAborted);
            await witnessed[1].HonestlyAsync(context, body);
        };

        // b answers, and always for a checkpoint that is not public any more: the log is faster.
        await log.AddAsync("0", "published");
        for (int size = 2; size <= 6; size++)
        {
            await Eventually.TrueAsync(() => witnessed[1].RequestCount == size, "b is asked");
            await log.AddAsync($"{size}", "published");
            answers.Release();
            Assert.Equal(["a"], witnessed.WhoCosigned(await log.CheckLog(size)));
        }

        // A minute later the next one stays.
        await Eventually.TrueAsync(() => witnessed[1].RequestCount == 7, "b is asked for what is public now");
        time.Advance(TimeSpan.FromSeconds(57));
        await log.AddAsync("7", "published");
        Assert.Equal(7, await log.AddAsync("8")); // durable appends go on
        answers.Release(2); // for what it was asked before, and for this one
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(7)) is ["a", "b"], "the line of b is shown");
        Assert.Equal((7L, 8L), (log.Engine.Publisher.SignedSize, log.Engine.Size));
        Assert.Equal(["a", "b"], witnessed.WhoCosigned(await log.CheckLog(7)));

        // It stays for a second, in which caches may have it, and the log goes on.
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(["a"], witnessed.WhoCosigned(await log.CheckLog(8)));
        await log.AddAsync("9", "published");
        await log.CheckLog(9);
        answers.Release(100);
    }

    [Fact]
    public async Task One_that_hangs_is_waited_for_two_seconds_a_minute_and_one_that_refuses_not_at_all()
    {
        FakeTime time = new();
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(2);
        TestLog log = witnessed.Log;
        await witnessed.ServeAsync(Quorum, Patient, time);
        await witnessed.ReadyAsync();
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(0)) is ["a", "b"], "both know the empty log");
        witnessed[1].Behave = StubWitness.HangAsync;
        await log.AddAsync("1", "published");
        time.Advance(TimeSpan.FromSeconds(57));
        await log.AddAsync("2", "published");
        Task<long> held = log.AddAsync("3", "published");
        await Eventually.TrueAsync(() => log.Engine.Size == 3, "it is durable");
        time.Advance(TimeSpan.FromSeconds(1.9));
        Assert.False(held.IsCompleted);
        Assert.Equal(2, log.Engine.Publisher.SignedSize);
        time.Advance(TimeSpan.FromSeconds(0.1));
        Assert.Equal(2, await held);
        await log.AddAsync("4", "published"); // the next stay is a minute away

        // The request that hangs runs out of time, and the next is refused.
        witnessed[1].Behave = StubWitness.Says(404, "");
        time.Advance(TimeSpan.FromSeconds(2));
        await Eventually.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(0.1));
                return log.Engine.Publisher.Peers[1].Feed.State.Condition == WitnessCondition.Refusing;
            },
            "it refuses");
        Assert.False(log.Engine.Publisher.Peers[1].Feed.IsHealthy);
        time.Advance(TimeSpan.FromSeconds(56));
        for (int i = 5; i < 9; i++) await log.AddAsync($"{i}", "published");
        await log.CheckLog(8);
    }

    [Fact]
    public async Task What_witnesses_answer_has_its_turn_while_there_is_always_another_head_to_sign()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        TestLog log = witnessed.Log;
        GrowingRegister? register = null;
        await log.ServeAsync(new LogSetup { Policy = $"{witnessed[0].PolicyLines("a")}quorum none\n", Replace = parts => parts with { Register = register = new GrowingRegister(parts.Register) } });
        register!.Grow = () => log.AddAsync(Guid.NewGuid().ToByteArray());
        await log.AddAsync("one");
        await Eventually.TrueAsync(() => log.Engine.Publisher.SignedSize > 10, "there is always another head to sign");
        witnessed[0].Behave = StubWitness.Says(500, "");
        await log.Logged.WaitAsync(4, "status 500");
        register.Grow = null;
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current?.Size == log.Engine.Size, "all is public");
        await log.CheckLog(log.Engine.Size);
    }

    [Fact]
    public async Task Our_limit_of_requests_paces_publication_and_not_appends()
    {
        FakeTime time = new();
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        TestLog log = witnessed.Log;
        await witnessed.ServeAsync(Quorum, settings => Patient(settings) with { WitnessRequestsPerDay = 86_400, WitnessBurst = 4 }, time);
        await witnessed.ReadyAsync();
        for (int i = 0; i < 3; i++) await log.AddAsync($"{i}", "published");
        Assert.Equal(4, witnessed[0].RequestCount);
        for (int i = 3; i < 40; i++) await log.AddAsync($"{i}");
        Assert.Equal((3L, 40L), (log.Engine.Publisher.SignedSize, log.Engine.Size));

        // One head for all of them, as soon as the witness may be asked again.
        await Eventually.TrueAsync(() => time.Next <= TimeSpan.FromSeconds(1), "the publisher waits for its time");
        time.Advance(TimeSpan.FromSeconds(0.9));
        Assert.Equal(3, log.Engine.Publisher.SignedSize);
        time.Advance(TimeSpan.FromSeconds(0.1));
        await log.CheckLog(40);
        Assert.Equal(5, witnessed[0].RequestCount);
    }

    [Fact]
    public async Task TW34_a_witness_with_two_keys_is_asked_once_for_each_checkpoint_and_both_lines_are_public()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1, keys: 2);
        await witnessed.ServeAsync("group g any a a-1\nquorum g\n");
        await witnessed.ReadyAsync();
        for (int i = 0; i < 30; i++)
        {
            await witnessed.Log.AddAsync($"{i}", "published");
            Assert.Equal(["a", "a-1"], witnessed.WhoCosigned(await witnessed.Log.CheckLog(i + 1)));
        }

        Assert.Equal(31, witnessed[0].RequestCount);
    }

    [Fact]
    public async Task The_state_of_each_witness_is_told()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(3, keys: 2);
        TestLog log = witnessed.Log;
        witnessed[1].Behave = StubWitness.Says(422, "");
        witnessed[2].Behave = StubWitness.Says(500, "");
        await witnessed.ServeAsync("group a2 any a a-1\nquorum a2\n");
        await witnessed.ReadyAsync();
        await log.AddAsync("one", "published");
        await Eventually.TrueAsync(() => witnessed[2].RequestCount > 0, "c was asked");
        using JsonDocument document = JsonDocument.Parse((await log.GetAsync("/status")).Text);
        JsonElement status = document.RootElement;
        Assert.Equal((TestLog.Origin, log.Key.ToString(), "ready"), (status.GetProperty("origin").GetString(), status.GetProperty("vkey").GetString(), status.GetProperty("state").GetString()));
        Assert.Equal((1, 1, 1), (status.GetProperty("durable").GetInt64(), status.GetProperty("signed").GetInt64(), status.GetProperty("published").GetInt64()));
        Assert.Equal((true, "require"), (status.GetProperty("quorum").GetProperty("needed").GetBoolean(), status.GetProperty("quorum").GetProperty("mode").GetString()));
        JsonElement[] all = [.. status.GetProperty("witnesses").EnumerateArray()];
        Assert.Equal(["well", "inconsistent", "failing"], all.Select(one => one.GetProperty("condition").GetString()));
        Assert.Equal([true, false, false], all.Select(one => one.GetProperty("required").GetBoolean()));
        Assert.Equal(["a", "a-1"], all[0].GetProperty("names").EnumerateArray().Select(name => name.GetString()));
        Assert.Equal([1, null, null], all.Select(one => one.GetProperty("cosignedSize") is { ValueKind: JsonValueKind.Number } size ? size.GetInt64() : (long?)null));
        Assert.Equal([0L, 1, 1], all.Select(one => one.GetProperty("lagEntries").GetInt64()));
        Assert.Equal(0, all[0].GetProperty("lagSeconds").GetDouble());
        Assert.InRange(all[1].GetProperty("lagSeconds").GetDouble(), 0.000001, 60);
        Assert.InRange(all[0].GetProperty("latencySeconds").GetDouble(), 0.000001, 2);
        Assert.Null(all[0].GetProperty("error").GetString());
        Assert.StartsWith("422: ", all[1].GetProperty("error").GetString());
        Assert.Equal((2, 0, 0), (all[0].GetProperty("requests").GetProperty("cosigned").GetInt64(), all[0].GetProperty("requests").GetProperty("inconsistent").GetInt64(), all[1].GetProperty("requests").GetProperty("cosigned").GetInt64()));
        Assert.Equal(1, all[1].GetProperty("requests").GetProperty("inconsistent").GetInt64());

        string[] metrics = (await log.GetAsync("/metrics")).Text.Split('\n');
        double Of(string series) => double.Parse(metrics.Single(line => line.StartsWith(series + " ", StringComparison.Ordinal))[(series.Length + 1)..], CultureInfo.InvariantCulture);
        Assert.Equal((1, 0, 0), (Of("tlog_feed_cosigned_size{witness=\"a\"}"), Of("tlog_feed_cosigned_size{witness=\"b\"}"), Of("tlog_feed_breaker_open{witness=\"a\"}")));
        Assert.Equal((0, 1), (Of("tlog_feed_lag_entries{witness=\"a\"}"), Of("tlog_feed_lag_entries{witness=\"b\"}")));
        Assert.Equal((1, 0), (Of("tlog_feed_healthy{witness=\"a\"}"), Of("tlog_feed_healthy{witness=\"b\"}")));
        Assert.Equal((2, 1), (Of("tlog_feed_requests_total{witness=\"a\",outcome=\"cosigned\"}"), Of("tlog_feed_requests_total{witness=\"b\",outcome=\"inconsistent\"}")));
        Assert.InRange(Of("tlog_feed_lag_seconds{witness=\"b\"}"), 0.001, 60);
        Assert.InRange(Of("tlog_feed_latency_seconds{witness=\"a\"}"), 0.000001, 2);

        string operations = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "spec/operations.md"));
        foreach (string line in metrics.Where(line => line.StartsWith("# TYPE tlog_feed_", StringComparison.Ordinal))) Assert.Contains($"`{line.Split(' ')[2]}", operations);
        Assert.Contains($"witness {witnessed[1].Url.AbsoluteUri.TrimEnd('/')} 422: ", (await log.GetAsync("/healthz")).Text);
    }

    /// <summary>A register under which the log has grown by the time a head is in it.</summary>
    private sealed class GrowingRegister(ITreeRegister inner) : ITreeRegister
    {
        public Func<Task>? Grow { get; set; }

        public TreeHead? Current => inner.Current;

        public string? Halted => inner.Halted;

        public async ValueTask<bool> SwapAsync(TreeHead? expected, TreeHead next, string reason, CancellationToken stop)
        {
            bool swapped = await inner.SwapAsync(expected, next, reason, stop);
            if (Grow is Func<Task> grow) await grow();
            return swapped;
        }

        public ValueTask HaltAsync(string evidence, CancellationToken stop) => inner.HaltAsync(evidence, stop);

        public ValueTask ResumeAsync(string reason, CancellationToken stop) => inner.ResumeAsync(reason, stop);

        public void Dispose() => inner.Dispose();
    }
}
