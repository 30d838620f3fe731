using System.Text;
using Microsoft.Extensions.Logging;
using TransparencyLog.Hosting;

namespace TransparencyLog.Tests.Server;

/// <summary>N-18: logging never blocks. The queue between a log and a stream that nobody reads, or that cannot be written.</summary>
public sealed class LineQueueTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    [Fact]
    public void N18_lines_arrive_whole_and_in_order()
    {
        GatedStream stream = new();
        stream.Open();
        LineQueue queue = new(stream.Write);
        Assert.True(queue.Flush(TimeSpan.Zero));
        for (int i = 0; i < 1000; i++) queue.Write($"line {i}");
        Assert.True(queue.Flush(Patience));
        Assert.Equal(Enumerable.Range(0, 1000).Select(i => $"line {i}"), stream.Lines);
        Assert.Equal(0, queue.Dropped);
    }

    [Fact]
    public void N18_a_stream_that_nobody_reads_costs_lines_and_never_time_and_says_so_when_it_is_read_again()
    {
        GatedStream stream = new();
        LineQueue queue = new(stream.Write, lines => $"{lines} dropped");
        queue.Write("the first"); // its writer waits from now on
        Assert.True(SpinWait.SpinUntil(() => stream.Waits, Patience));
        for (int i = 0; i < LineQueue.MaxLines + 7; i++) queue.Write($"line {i}");
        Assert.Equal(7, queue.Dropped);
        Assert.False(queue.Flush(TimeSpan.FromMilliseconds(1)));
        stream.Open();
        Assert.True(queue.Flush(Patience));
        Assert.Equal(["the first", "7 dropped", "line 0"], stream.Lines.Take(3));
        Assert.Equal(LineQueue.MaxLines + 2, stream.Lines.Length);
        queue.Write("the last");
        Assert.True(queue.Flush(Patience));
        Assert.Equal("the last", stream.Lines[^1]);
        Assert.Equal(7, queue.Dropped);
    }

    [Fact]
    public void N18_characters_are_bounded_too()
    {
        GatedStream stream = new();
        LineQueue queue = new(stream.Write);
        string line = new('x', LineQueue.MaxCharacters / 4);
        queue.Write("the first");
        Assert.True(SpinWait.SpinUntil(() => stream.Waits, Patience));
        for (int i = 0; i < 6; i++) queue.Write(line);
        Assert.Equal(2, queue.Dropped);
        stream.Open();
        Assert.True(queue.Flush(Patience));
        Assert.Equal(5, stream.Lines.Length);
    }

    [Fact]
    public void N18_a_stream_that_cannot_be_written_costs_lines()
    {
        GatedStream stream = new() { Fails = true };
        stream.Open();
        LineQueue queue = new(stream.Write, lines => $"{lines} dropped");
        queue.Write("lost");
        Assert.True(queue.Flush(Patience));
        Assert.Equal(1, queue.Dropped);
        stream.Fails = false;
        queue.Write("again");
        Assert.True(queue.Flush(Patience));
        Assert.Equal(["again"], stream.Lines);
    }

    [Fact]
    public void N08_one_event_is_one_line_of_printable_ASCII_with_time_level_source_and_number()
    {
        GatedStream stream = new();
        stream.Open();
        LineQueue queue = new(stream.Write);
        FakeTime time = new();
        using ConsoleLog log = new(queue, time);
        ILogger logger = log.CreateLogger("tlog-\u202eserver");
        logger.Log(LogLevel.Warning, new EventId(7), "origin \u009b2J\u202e\u0085\u007f\nsecond", new InvalidOperationException("wrong\u001b[0m"), (state, _) => state);
        Assert.True(queue.Flush(Patience));
        string line = Assert.Single(stream.Lines);
        Assert.False(line.AsSpan().ContainsAnyExceptInRange(' ', '~'), line);
        Assert.StartsWith($"{time.GetUtcNow().UtcDateTime:yyyy-MM-ddTHH:mm:ss.fff}Z warn: tlog-\\u202eserver[7] origin \\u009b2J\\u202e\\u0085\\u007f\\nsecond System.InvalidOperationException: wrong\\u001b[0m", line, StringComparison.Ordinal);
    }

    /// <summary>A pipe whose reader reads once it is opened.</summary>
    private sealed class GatedStream
    {
        private readonly ManualResetEventSlim _gate = new();
        private readonly StringBuilder _text = new(); // guarded by itself

        public bool Waits { get; private set; }

        public bool Fails { get; set; }

        public string[] Lines
        {
            get
            {
                lock (_text) return _text.ToString().TrimEnd('\n').Split('\n');
            }
        }

        public void Open() => _gate.Set();

        public void Write(ReadOnlySpan<byte> buffer)
        {
            Waits = true;
            _gate.Wait();
            if (Fails) throw new IOException("no space left on device");
            lock (_text) _text.Append(Encoding.UTF8.GetString(buffer));
        }
    }
}
