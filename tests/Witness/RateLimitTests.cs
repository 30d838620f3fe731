using System.Globalization;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>W-13 and spec/conformance.md, section 8, point 5: how often a log may ask, and that strangers use nothing of it up.</summary>
public sealed class RateLimitTests
{
    /// <summary>A monotonic clock that stands where the test puts it.</summary>
    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; set; } = TimeSpan.FromDays(3);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }

    private readonly TestLog _log = new("example.com/often"), _other = new("example.com/seldom");

    private static async Task<TestWitness> StartAsync(int perDay, int burst, params TestLog[] logs)
    {
        TestWitness witness = TestWitness.Create(logs);
        witness.Configure = settings => settings with { RatePerDay = perDay, RateBurst = burst };
        await witness.StartAsync();
        return witness;
    }

    private static int RetryAfter(Answer answer)
    {
        TestWitness.CheckProblem(answer, 429, "too-often");
        return int.Parse(Assert.Single(answer.Headers.GetValues("Retry-After")), CultureInfo.InvariantCulture);
    }

    [Fact]
    public void After_a_pause_the_burst_is_served_at_once_and_then_one_every_so_often()
    {
        Clock clock = new();
        RateLimit limit = new(clock, 86_400, 60);
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 60; i++) Assert.True(limit.TryTake(out _), $"{i} of round {round}");
            for (int i = 0; i < 10; i++)
            {
                Assert.False(limit.TryTake(out TimeSpan wait));
                Assert.Equal(TimeSpan.FromSeconds(1), wait);
                clock.Now += TimeSpan.FromMilliseconds(400);
                Assert.False(limit.TryTake(out wait));
                Assert.Equal(TimeSpan.FromMilliseconds(600), wait);
                clock.Now += wait;
                Assert.True(limit.TryTake(out _));
            }

            clock.Now += TimeSpan.FromHours(5);
        }
    }

    [Theory]
    [InlineData(1, 60)]
    [InlineData(24, 60)]
    [InlineData(86_400, 60)]
    [InlineData(86_400, 1)]
    [InlineData(1_000_000, 1_000_000)]
    public void In_no_day_more_is_served_than_a_day_and_a_burst(int perDay, int burst)
    {
        Clock clock = new();
        RateLimit limit = new(clock, perDay, burst);
        int served = 0;
        for (TimeSpan end = clock.Now + TimeSpan.FromDays(1); clock.Now < end;)
        {
            if (limit.TryTake(out TimeSpan wait)) served++;
            else clock.Now += wait;
        }

        // The ticks that an interval is rounded down by can give one more.
        Assert.InRange(served, perDay, perDay + Math.Min(burst, perDay) + 1);
    }

    [Fact]
    public void The_largest_numbers_overflow_nothing()
    {
        foreach (int perDay in new[] { 1, 2, int.MaxValue })
        {
            foreach (int burst in new[] { 1, 1_000_000, int.MaxValue })
            {
                Clock clock = new();
                RateLimit limit = new(clock, perDay, burst);
                for (int i = 0; i < Math.Min(1000, Math.Min(perDay, burst)); i++) Assert.True(limit.TryTake(out _));
                RateLimit system = new(TimeProvider.System, perDay, burst);
                Assert.True(system.TryTake(out TimeSpan wait));
                Assert.Equal(TimeSpan.Zero, wait);
            }
        }
    }

    [Fact]
    public async Task A_log_that_asks_too_often_gets_429_with_Retry_After_and_nothing_is_changed()
    {
        await using TestWitness witness = await StartAsync(24, 3, _log, _other);
        for (int size = 1; size <= 3; size++) await witness.CosignAsync(_log, size - 1, size);
        int wait = RetryAfter(await witness.PostAsync(_log.Request(3, 4)));
        Assert.InRange(wait, 3500, 3600);
        await witness.CheckStateAsync(_log, 3);

        // Another log has a limit of its own.
        await witness.CosignAsync(_other, 0, 3);
        string metrics = (await witness.GetAsync("/metrics")).Text;
        Assert.Contains("tlog_witness_add_checkpoint_total{status=\"429\"} 1\n", metrics);
        Assert.Contains($"tlog_witness_refusals_total{{origin=\"{_log.Origin}\",status=\"429\"}} 1\n", metrics);
        Assert.Contains("<td>1 too often</td>", (await witness.GetAsync("/")).Text);
    }

    [Fact]
    public async Task A_log_may_ask_again_when_Retry_After_has_passed()
    {
        // One each half second.
        await using TestWitness witness = await StartAsync(2 * 86_400, 1, _log);
        await witness.CosignAsync(_log, 0, 1);
        Answer refused = await witness.PostAsync(_log.Request(1, 2));
        if (refused.Status == 429)
        {
            int wait = RetryAfter(refused);
            Assert.Equal(1, wait);
            await Task.Delay(TimeSpan.FromSeconds(wait));
            await witness.CosignAsync(_log, 1, 2);
        }

        await witness.CheckStateAsync(_log, 2);
    }

    [Fact]
    public async Task W13_refreshes_of_the_same_checkpoint_are_limited_and_take_nothing_from_larger_ones()
    {
        await using TestWitness witness = await StartAsync(24, 3, _log);
        await witness.CosignAsync(_log, 0, 5);
        for (int i = 0; i < 3; i++) await witness.CosignAsync(_log, 5, 5);
        for (int i = 0; i < 5; i++) RetryAfter(await witness.PostAsync(_log.Request(5, 5)));
        await witness.CosignAsync(_log, 5, 6);
        await witness.CosignAsync(_log, 6, 7);
        RetryAfter(await witness.PostAsync(_log.Request(7, 8)));
        await witness.CheckStateAsync(_log, 7);
    }

    [Fact]
    public async Task What_strangers_can_send_takes_nothing_from_what_a_log_may_ask()
    {
        await using TestWitness witness = await StartAsync(24, 3, _log);
        await witness.CosignAsync(_log, 0, 5);
        TestLog stranger = _log.WithKey(99), fork = _log.Fork(2);
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(403, (await witness.PostAsync(stranger.Request(5, 7))).Status);
            Assert.Equal(400, (await witness.PostAsync($"old 5\n\n{_log.Origin}\nnonsense\n")).Status);
            // What the log has signed and everybody can read, with another old size, and with a wrong proof.
            TestWitness.CheckConflict(await witness.PostAsync(_log.Request(0, 5)), 5);
            Assert.Equal(422, (await witness.PostAsync(TestLog.Body(5, fork.Proof(5, 7), _log.Checkpoint(7)))).Status);
        }

        await witness.CosignAsync(_log, 5, 6);
        await witness.CosignAsync(_log, 6, 7);
        // The control: a limit there is.
        RetryAfter(await witness.PostAsync(_log.Request(7, 8)));
    }

    [Fact]
    public async Task The_rate_that_a_list_grants_holds_instead_of_the_default()
    {
        await using TestWitness witness = TestWitness.Create();
        witness.Configure = settings => settings with { RatePerDay = 24, RateBurst = 5 };
        await File.WriteAllTextAsync(witness.LogsFile, $"logs/v0\nvkey {_log.NoteSigner.Key}\nqpd 2\ncontact c\nvkey {_other.NoteSigner.Key}\nqpd 8640\ncontact c\n");
        await witness.StartAsync();
        // A day has two, so two at once are the most.
        await witness.CosignAsync(_log, 0, 1);
        await witness.CosignAsync(_log, 1, 2);
        Assert.InRange(RetryAfter(await witness.PostAsync(_log.Request(2, 3))), 43_100, 43_200);
        for (int size = 1; size <= 5; size++) await witness.CosignAsync(_other, size - 1, size);
        Assert.InRange(RetryAfter(await witness.PostAsync(_other.Request(5, 6))), 1, 10);
    }
}
