using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using TransparencyLog.Hosting;

namespace TransparencyLog.Tests.Server;

/// <summary>What both servers count before they use it (N-06, N-07), and how long a body may take (N-19). With sockets: tests/EndToEnd/Hostile.</summary>
public sealed class LargeAnswerTests
{
    [Fact]
    public void N07_bytes_are_counted_up_to_the_limit_and_returned_once()
    {
        ByteBudget budget = new(100);
        ByteBudget.Share first = budget.TryTake(60)!;
        Assert.Null(budget.TryTake(41));
        Assert.Null(budget.TryHold(new byte[41]));
        ByteBudget.Share second = budget.TryTake(40)!;
        Assert.Equal(0, budget.Left);
        first.Dispose();
        first.Dispose();
        Assert.Equal(60, budget.Left);
        second.Dispose();
        Assert.Equal(100, budget.Left);
    }

    [Fact]
    public void N06_an_array_that_many_hold_counts_once_until_the_last_of_them_ends()
    {
        ByteBudget budget = new(100);
        byte[] array = new byte[60];
        ByteBudget.Share[] holders = [.. Enumerable.Range(0, 1500).Select(_ => budget.TryHold(array)!)];
        Assert.Equal(40, budget.Left);

        // Another array of the same content is another one.
        Assert.Null(budget.TryHold(new byte[60]));
        foreach (ByteBudget.Share holder in holders[1..]) holder.Dispose();
        Assert.Equal(40, budget.Left);
        holders[0].Dispose();
        holders[0].Dispose();
        Assert.Equal(100, budget.Left);

        // What was reserved for it becomes the count of the array.
        using ByteBudget.Share reserved = budget.TryTake(90)!;
        reserved.Become(array);
        Assert.Equal(40, budget.Left);
        ByteBudget.Share other = budget.TryHold(array)!;
        reserved.Dispose();
        Assert.Equal(40, budget.Left);
        other.Dispose();
        Assert.Equal(100, budget.Left);
    }

    [Fact]
    public void N06_a_large_answer_is_made_at_most_once_a_second_and_a_small_one_for_each_request()
    {
        FakeTime time = new();
        int made = 0, length = LargeAnswers.Least;
        SharedAnswer<byte[]> answer = new(() =>
        {
            made++;
            return new byte[length];
        }, bytes => bytes.Length, time);
        for (int i = 1; i <= 3; i++)
        {
            answer.Get();
            Assert.Equal(i, made);
        }

        // It grows: made again once, and then shared.
        length++;
        byte[] large = answer.Get();
        int before = made;
        for (int i = 0; i < 1000; i++) Assert.Same(large, answer.Get());
        time.Advance(TimeSpan.FromMilliseconds(999));
        Assert.Same(large, answer.Get());
        Assert.Equal(before, made);
        time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.NotSame(large, answer.Get());
        Assert.Equal(before + 1, made);

        // And shrinks.
        length = 1;
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Single(answer.Get());
        Assert.NotSame(answer.Get(), answer.Get());
    }

    /// <summary>A batch of 2 MiB over 60 kB/s takes 35 s, and over 20 kB/s 105 s; the fixed part of the time is 15 s.</summary>
    [Theory]
    [InlineData(60_000)]
    [InlineData(20_000)]
    public async Task N19_a_large_body_over_a_slow_line_has_time_in_proportion_to_what_has_come(int bytesPerSecond)
    {
        const int Length = 2 * 1024 * 1024;
        FakeTime time = new();
        SlowBody slow = new(Length);
        Task<System.Buffers.ReadOnlySequence<byte>?> reading = RequestBody.ReadAsync(slow.Context, Length, TimeSpan.FromSeconds(15), time).AsTask();
        for (int sent = 0; sent < Length;)
        {
            await slow.WaitingAsync(sent);
            time.Advance(TimeSpan.FromSeconds(1));
            int next = Math.Min(bytesPerSecond, Length - sent);
            await slow.SendAsync(next);
            sent += next;
        }

        await slow.EndAsync();
        Assert.Equal(Length, (await reading)!.Value.Length);
        Assert.Equal(0, time.Waiting);
    }

    [Fact]
    public async Task N19_H02_a_body_that_drips_or_stalls_still_ends()
    {
        FakeTime time = new();
        SlowBody drips = new(60_000), stalls = new(1_000_000);
        Task dripping = RequestBody.ReadAsync(drips.Context, 65_535, TimeSpan.FromSeconds(15), time).AsTask();
        Task stalling = RequestBody.ReadAsync(stalls.Context, 2_000_000, TimeSpan.FromSeconds(15), time).AsTask();
        await stalls.SendAsync(10 * BodyDeadline.LeastBytesPerSecond);
        await stalls.WaitingAsync(10 * BodyDeadline.LeastBytesPerSecond);
        int seconds = 0;
        for (; !dripping.IsCompleted && seconds < 60; seconds++)
        {
            await drips.WaitingAsync(250 * seconds);
            await drips.SendAsync(250);
            await drips.WaitingAsync(250 * (seconds + 1));
            time.Advance(TimeSpan.FromSeconds(1));
            if (seconds >= 14) await Task.WhenAny(dripping, Task.Delay(100));
        }

        Assert.InRange(seconds, 15, 16);
        Assert.Equal(408, (await Assert.ThrowsAsync<BadHttpRequestException>(() => dripping)).StatusCode);

        // 15 s and 10 for what it has sent.
        Assert.False(stalling.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(25 - seconds));
        Assert.Equal(408, (await Assert.ThrowsAsync<BadHttpRequestException>(() => stalling)).StatusCode);
    }

    /// <summary>A request whose body comes when the test sends it.</summary>
    private sealed class SlowBody : IRequestBodyPipeFeature
    {
        private readonly Pipe _pipe = new(new PipeOptions(pauseWriterThreshold: 0));
        private readonly WatchedReader _reader;

        public SlowBody(int length)
        {
            _reader = new WatchedReader(_pipe.Reader);
            DefaultHttpContext context = new();
            context.Features.Set<IRequestBodyPipeFeature>(this);
            context.Request.ContentLength = length;
            Context = context;
        }

        public HttpContext Context { get; }

        public PipeReader Reader => _reader;

        public async Task SendAsync(int bytes) => await _pipe.Writer.WriteAsync(new byte[bytes]);

        public async Task EndAsync() => await _pipe.Writer.CompleteAsync();

        /// <summary>Until the body is waited for, with so much of it seen.</summary>
        public Task WaitingAsync(long seen) => Eventually.TrueAsync(() => _reader.Seen >= seen && _reader.IsWaiting, $"{seen} bytes are read");
    }

    /// <summary>Says what its reader has seen, and whether it waits for more.</summary>
    private sealed class WatchedReader(PipeReader inner) : PipeReader
    {
        private long _seen;
        private bool _isWaiting;

        public long Seen => Volatile.Read(ref _seen);

        public bool IsWaiting => Volatile.Read(ref _isWaiting);

        public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            Volatile.Write(ref _isWaiting, true);
            ReadResult result = await inner.ReadAsync(cancellationToken);
            Volatile.Write(ref _isWaiting, false);
            Volatile.Write(ref _seen, result.Buffer.Length);
            return result;
        }

        public override bool TryRead(out ReadResult result)
        {
            if (!inner.TryRead(out result)) return false;
            Volatile.Write(ref _seen, result.Buffer.Length);
            return true;
        }

        public override void AdvanceTo(SequencePosition consumed) => inner.AdvanceTo(consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => inner.AdvanceTo(consumed, examined);

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);
    }
}
