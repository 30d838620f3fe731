using System.Net;
using System.Text.Json;
using TransparencyLog.Server;

namespace TransparencyLog.Tests.Server;

/// <summary>A log that may publish without its quorum, after a time limit and with the alarm on.</summary>
public sealed class DegradeTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMilliseconds(400);

    private static Settings Degrade(Settings settings) => settings with { QuorumMode = QuorumMode.Degrade, DegradeAfter = Limit, WitnessTimeout = Limit, WaitLimit = TimeSpan.FromSeconds(1) };

    [Fact]
    public async Task G01_without_a_quorum_it_publishes_after_the_limit_says_so_and_goes_back_by_itself()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g all a b\nquorum g\n", Degrade);
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        Assert.Equal((0, null), await AlarmAsync(log));

        witnessed[1].Behave = StubWitness.HangAsync;
        long before = TimeProvider.System.GetTimestamp();
        Assert.Equal(1, await log.AddUntilAsync("two", "published"));
        Assert.InRange(TimeProvider.System.GetElapsedTime(before), Limit * 0.9, TimeSpan.MaxValue);
        byte[] checkpoint = await log.CheckLog(2);
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(2)) is ["a"], "the line that there is is shown");
        (HttpStatusCode status, string text) = await log.PostAsync("/add?wait=witnessed", "two"u8.ToArray());
        Assert.Equal((HttpStatusCode.Accepted, "1"), (status, text));
        (status, text) = await log.PostAsync("/add?wait=witnessed", "one"u8.ToArray());
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(["a", "b"], witnessed.WhoCosigned(TestLog.ParseProof(text).Checkpoint.ToArray()));

        // The alarm.
        (int degraded, string? since) = await AlarmAsync(log);
        Assert.Equal(1, degraded);
        Assert.NotNull(since);
        Assert.Contains("quorum missing since ", (await log.GetAsync("/healthz")).Text);
        Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/healthz")).Status);
        await log.AddUntilAsync("three", "published");
        await log.AddUntilAsync("four", "published");
        Assert.Equal(1, log.Logged.Count(20));

        // Back: who waits for the quorum gets it, and what is public has it. The longer the witness was away, the later it is asked again.
        Assert.Equal(4, await log.AddAsync("five"));
        witnessed[1].Behave = witnessed[1].HonestlyAsync;
        Assert.Equal(4, await log.AddUntilAsync("five", "witnessed"));
        await Eventually.TrueAsync(async () => await AlarmAsync(log) is (0, null), "the alarm is off");
        Assert.DoesNotContain("quorum missing", (await log.GetAsync("/healthz")).Text);
        await log.Logged.WaitAsync(21);
        Assert.Equal(["a", "b"], witnessed.WhoCosigned(await log.CheckLog(5)));
        Assert.NotEmpty(checkpoint);
    }

    [Fact]
    public async Task A_log_that_requires_its_quorum_publishes_nothing_in_the_same_time()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g all a b\nquorum g\n", settings => Degrade(settings) with { QuorumMode = QuorumMode.Require });
        await witnessed.Log.AddUntilAsync("one", "witnessed");
        witnessed[1].Behave = StubWitness.HangAsync;
        (HttpStatusCode status, string text) = await witnessed.Log.PostAsync("/add?wait=published", "two"u8.ToArray());
        Assert.Equal((HttpStatusCode.Accepted, "1"), (status, text));
        await witnessed.Log.CheckLog(1);
        Assert.False(witnessed.Log.Logged.Has(20));
    }

    [Fact]
    public async Task G12_late_lines_that_complete_the_quorum_end_the_alarm_and_wake_who_waits_for_it()
    {
        TaskCompletionSource later = new();
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n", settings => Degrade(settings) with { WitnessTimeout = TimeSpan.FromSeconds(15), WitnessTotalTimeout = TimeSpan.FromSeconds(15), WaitLimit = TimeSpan.FromSeconds(20) });
        witnessed[0].Behave = async (context, body) =>
        {
            await later.Task;
            await witnessed[0].HonestlyAsync(context, body);
        };
        Task<long> waiting = witnessed.Log.AddAsync("one", "witnessed");
        await Eventually.TrueAsync(() => witnessed.Log.Engine.Publisher.DegradedSince is not null, "it is public without");
        Assert.Empty(witnessed.WhoCosigned(await witnessed.Log.CheckLog(1)));
        Assert.False(waiting.IsCompleted);
        later.SetResult();
        Assert.Equal(0, await waiting);
        Assert.Equal(["a"], witnessed.WhoCosigned(await witnessed.Log.CheckLog(1)));
        Assert.Null(witnessed.Log.Engine.Publisher.DegradedSince);
    }

    [Fact]
    public async Task R01_the_start_is_never_degraded_nothing_is_taken_or_signed_before_the_quorum_has_answered()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n", Degrade);
        await witnessed.Log.AddUntilAsync("one", "witnessed");
        witnessed[0].Behave = StubWitness.HangAsync;
        await witnessed.Log.AddUntilAsync("two", "published");
        await Eventually.TrueAsync(() => witnessed.Log.Engine.Publisher.DegradedSince is not null, "the alarm is on");
        await witnessed.RestartAsync();

        // What was public is so again; the alarm is still on.
        await witnessed.Log.CheckLog(2);
        Assert.NotNull(witnessed.Log.Engine.Publisher.DegradedSince);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await witnessed.Log.PostAsync("/add", [1])).Status);
        await Task.Delay(Limit * 2);
        Assert.Equal(EngineState.Starting, witnessed.Log.Engine.State);
        witnessed[0].Behave = witnessed[0].HonestlyAsync;
        await witnessed.ReadyAsync();
        Assert.Null(witnessed.Log.Engine.Publisher.DegradedSince);
    }

    [Fact]
    public void The_alarm_is_told_once_a_minute_however_often_it_goes_on()
    {
        FakeTime time = new();
        RecordedLog told = new();
        QuorumAlarm alarm = new(time, told);
        for (int i = 0; i < 600; i++)
        {
            alarm.Raise(i);
            Assert.NotNull(alarm.Since);
            time.Advance(TimeSpan.FromSeconds(0.5));
            alarm.Clear(i);
            Assert.Null(alarm.Since);
            time.Advance(TimeSpan.FromSeconds(0.5));
        }

        Assert.Equal((10, 10), (told.Count(20), told.Count(21)));
        alarm.Raise(1);
        for (int i = 0; i < 600; i++)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            if (alarm.RemindAt <= time.GetTimestamp()) alarm.Raise(1);
        }

        Assert.Equal(21, told.Count(20));
    }

    private static async Task<(int Degraded, string? Since)> AlarmAsync(TestLog log)
    {
        string metrics = (await log.GetAsync("/metrics")).Text;
        using JsonDocument status = JsonDocument.Parse((await log.GetAsync("/status")).Text);
        return (metrics.Contains("\ntlog_quorum_degraded 1\n", StringComparison.Ordinal) ? 1 : 0, status.RootElement.GetProperty("quorum").GetProperty("degradedSince").GetString());
    }
}
