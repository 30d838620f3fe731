namespace TransparencyLog.Tests.Witness;

/// <summary>T-01, T-03, TW-37, spec/conformance.md section 8, point 7: what a cosignature says about time.</summary>
public sealed class ClockTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/clock");
    private readonly FakeTime _time = new();
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync()
    {
        _witness = TestWitness.Create(_log);
        _witness.Time = _time;
        await _witness.StartAsync();
    }

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    [Fact]
    public async Task T01_a_clock_that_jumps_back_an_hour_stops_signing_and_nothing_else()
    {
        ulong before = await _witness.CosignAsync(_log, 0, 5);
        _time.Unix -= 3600;
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "clock");
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 5)), 503, "clock");
        await _witness.CheckStateAsync(_log, 5);
        Assert.Equal(200, (await _witness.GetAsync("/healthz")).Status);
        TestWitness.CheckProblem(await _witness.GetAsync("/readyz"), 503, "clock");
        // The rest of the protocol needs no clock.
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(0, 9)), 5);

        // Also over a restart: the time of the last one is stored.
        await _witness.RestartAsync();
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "clock");
        _time.Unix += 3601;
        Assert.Equal(before + 1, await _witness.CosignAsync(_log, 5, 9));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task T01_a_small_step_back_is_waited_for(int seconds)
    {
        ulong before = await _witness.CosignAsync(_log, 0, 5);
        _time.Unix -= seconds;
        Assert.Equal(before, await _witness.CosignAsync(_log, 5, 9));
        Assert.Equal([TimeSpan.FromSeconds(seconds)], _time.Waits);
    }

    [Fact]
    public async Task T01_three_seconds_are_not_waited_for()
    {
        await _witness.CosignAsync(_log, 0, 5);
        _time.Unix -= 3;
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "clock");
        Assert.Empty(_time.Waits);
    }

    [Fact]
    public async Task T01_one_log_with_a_late_cosignature_does_not_stop_another()
    {
        TestLog other = new("example.com/other");
        _witness.SetLogs(_log, other);
        await _witness.RestartAsync();
        await _witness.CosignAsync(_log, 0, 5);
        _time.Unix -= 3600;
        await _witness.CosignAsync(other, 0, 5);
    }

    [Theory]
    [InlineData(-5_000_000_000)]
    [InlineData(-10)]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1_767_225_599)] // a second before 2026
    public async Task TW37_T03_a_time_before_there_was_such_a_witness_is_never_signed(long unix)
    {
        // As a machine that has no clock of its own starts, and is told the time later.
        _time.Unix = unix;
        await _witness.RestartAsync();
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(0, 5)), 503, "clock");
        Assert.Equal(503, (await _witness.GetAsync("/healthz")).Status);
        await _witness.CheckStateAsync(_log, -1);
        _time.Unix = 1_767_225_600;
        Assert.Equal(1_767_225_600ul, await _witness.CosignAsync(_log, 0, 5));
        Assert.Equal(200, (await _witness.GetAsync("/healthz")).Status);
    }

    [Fact]
    public async Task TW37_T03_the_last_second_of_the_calendar_is_signed()
    {
        await _witness.StopAsync();
        File.Delete(Path.Combine(_witness.Data, "heartbeat")); // or the clock would be far ahead of it
        _time.Unix = DateTimeOffset.MaxValue.ToUnixTimeSeconds();
        await _witness.StartAsync();
        Assert.Equal(253402300799ul, await _witness.CosignAsync(_log, 0, 5));
    }

    [Theory]
    [InlineData(366 * 86_400)]
    [InlineData(86_400 + 60)]
    [InlineData(-86_400 - 60)]
    public async Task T02_a_clock_that_jumps_by_more_than_a_day_signs_nothing_until_it_is_back(long seconds)
    {
        ulong before = await _witness.CosignAsync(_log, 0, 5);
        TestLog other = new("example.com/other"); // which has no cosignature that could be later
        _witness.SetLogs(_log, other);
        await _witness.RestartAsync();
        Assert.Equal(200, (await _witness.GetAsync("/healthz")).Status);
        _time.Unix += seconds;
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "clock");
        TestWitness.CheckProblem(await _witness.PostAsync(other.Request(0, 9)), 503, "clock");
        Assert.Equal(503, (await _witness.GetAsync("/healthz")).Status);
        await _witness.CheckStateAsync(_log, 5);
        await _witness.CheckStateAsync(other, -1);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(0, 9)), 5);

        _time.Unix -= seconds - 1;
        Assert.Equal(before + 1, await _witness.CosignAsync(_log, 5, 9));
        Assert.Equal(200, (await _witness.GetAsync("/healthz")).Status);
    }

    [Fact]
    public async Task T02_a_step_of_less_than_a_day_is_believed()
    {
        await _witness.CosignAsync(_log, 0, 5);
        _time.Unix += 86_400 - 60;
        await _witness.CosignAsync(_log, 5, 9);
    }

    [Fact]
    public async Task W13_times_never_go_down_under_a_clock_that_wanders()
    {
        const int Seed = 4711;
        Random random = new(Seed);
        ulong last = 0;
        long size = 0;
        for (int i = 0; i < 300; i++)
        {
            _time.Unix += random.Next(-4, 6);
            long next = Math.Min(130, size + random.Next(2));
            Answer answer = await _witness.PostAsync(_log.Request(size, next));
            if (answer.Status == 503) continue;
            ulong timestamp = _witness.CheckCosigned(answer, _log.Text(next));
            Assert.True(timestamp >= last, $"seed {Seed}, request {i}: {timestamp} after {last}");
            (last, size) = (timestamp, next);
        }

        Assert.True(size > 50);
    }
}
