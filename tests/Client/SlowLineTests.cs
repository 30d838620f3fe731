using TransparencyLog.Client;
using TransparencyLog.Outbound;

namespace TransparencyLog.Tests.Client;

/// <summary>Slow lines and answers that stall: N-19. An answer that keeps coming is not cut, and one that stalls is.</summary>
public sealed class SlowLineTests
{
    private const int Bundle = 16 * 1024 * 1024;

    private static readonly AnswerLimits Limits = new(TimeSpan.FromSeconds(30), AnswerLimits.DefaultBytesPerSecond);

    [Fact]
    public void N19_a_bundle_of_16_MiB_over_a_slow_line_is_not_cut()
    {
        foreach (int rate in (int[])[400_000, 60_000, 17_000])
        {
            TestClock time = new();
            using AnswerClock clock = new(Limits, 0, time, CancellationToken.None);
            clock.BeginBody(Bundle);
            while (clock.Received < Bundle)
            {
                time.Advance(TimeSpan.FromSeconds(1));
                clock.Count(rate);
                Assert.False(clock.Token.IsCancellationRequested);
            }
        }
    }

    [Fact]
    public void N19_an_answer_that_does_not_begin_stalls_or_drips_is_cut_with_a_reason()
    {
        TestClock time = new();
        using (AnswerClock silent = new(Limits, 0, time, CancellationToken.None))
        {
            time.Advance(TimeSpan.FromSeconds(29.9));
            Assert.False(silent.IsOver);
            time.Advance(TimeSpan.FromSeconds(0.1));
            Assert.True(silent.IsOver && silent.Token.IsCancellationRequested);
            Assert.Equal("gave no answer within 30 s", silent.Describe());
        }

        // However much has come before it.
        using (AnswerClock stalled = new(Limits, 0, time, CancellationToken.None))
        {
            stalled.BeginBody(Bundle);
            stalled.Count(Bundle - 1);
            time.Advance(TimeSpan.FromSeconds(29.9));
            Assert.False(stalled.IsOver);
            time.Advance(TimeSpan.FromSeconds(0.1));
            Assert.True(stalled.IsOver);
            Assert.Equal($"stopped in the middle of its answer: nothing came for 30 s after {Bundle - 1} of {Bundle} bytes", stalled.Describe());
        }

        using AnswerClock dripping = new(Limits, 0, time, CancellationToken.None);
        dripping.BeginBody(null);
        for (int second = 0; !dripping.IsOver; second++)
        {
            Assert.InRange(second, 0, 33);
            time.Advance(TimeSpan.FromSeconds(1));
            dripping.Count(1000);
        }

        Assert.StartsWith("answers too slowly: 3", dripping.Describe());
        Assert.EndsWith("000 bytes in 32 s", dripping.Describe());
    }

    [Fact]
    public void N19_an_upload_has_time_in_proportion_to_its_size()
    {
        TestClock time = new();
        using AnswerClock clock = new(Limits, 512 * 1024, time, CancellationToken.None);
        time.Advance(TimeSpan.FromSeconds(61.9));
        Assert.False(clock.IsOver);
        time.Advance(TimeSpan.FromSeconds(0.1));
        Assert.True(clock.IsOver);
    }

    [Fact]
    public void N19_the_end_that_a_caller_asks_for_is_no_limit()
    {
        using CancellationTokenSource stop = new();
        using AnswerClock clock = new(Limits, 0, new TestClock(), stop.Token);
        stop.Cancel();
        Assert.True(clock.Token.IsCancellationRequested);
        Assert.False(clock.IsOver);
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "stopped in the middle of its answer: nothing came for 0.2", "after 4 of 10 bytes")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "stopped in the middle of its answer: nothing came for 0.2", "after 4 bytes")]
    [InlineData("HTTP/1.1 200 OK\r\n", "gave no answer within 0.2 s", "")]
    public async Task N19_an_answer_that_stalls_ends_after_one_repetition(string answer, string says, string ends)
    {
        await using RawServer server = new(async (connection, stop) =>
        {
            await connection.ReadRequestAsync(stop);
            await connection.WriteAsync(answer, stop);
            await Task.Delay(Timeout.InfiniteTimeSpan, stop);
        });
        string message = await FailAsync(server.Url, new LogReaderOptions { AttemptTimeout = TimeSpan.FromMilliseconds(200), RetryDelay = TimeSpan.FromMilliseconds(1) });
        Assert.StartsWith($"{server.Url}/checkpoint {says}", message);
        Assert.EndsWith(ends, message);
        Assert.Equal(2, server.Connections);
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "stopped in the middle of its answer: the connection was closed before the answer was complete after 4 of 10 bytes")]
    [InlineData("nonsense\r\n\r\n", "cannot be reached: what was received is not HTTP")]
    [InlineData("", "cannot be reached: the connection was closed before the answer was complete")]
    public async Task N19_an_answer_that_breaks_off_says_how_far_it_came(string answer, string says)
    {
        await using RawServer server = new(async (connection, stop) =>
        {
            await connection.ReadRequestAsync(stop);
            await connection.WriteAsync(answer, stop);
        });
        Assert.Equal($"{server.Url}/checkpoint {says}", await FailAsync(server.Url, new LogReaderOptions { RetryDelay = TimeSpan.FromMilliseconds(1) }));
    }

    [Fact]
    public async Task N19_a_name_that_cannot_be_resolved_is_said()
    {
        string message = await FailAsync("http://log.invalid", new LogReaderOptions { RetryDelay = TimeSpan.FromMilliseconds(1) });
        Assert.StartsWith("http://log.invalid/checkpoint cannot be reached: its name cannot be resolved", message);
    }

    private static async Task<string> FailAsync(string url, LogReaderOptions options)
    {
        using LogReader reader = new(url, options);
        LogReaderException failure = await Assert.ThrowsAsync<LogReaderException>(() => reader.ReadCheckpointBytesAsync(default));
        Assert.Equal(LogFailure.Trouble, failure.Kind);
        return failure.Message;
    }
}
