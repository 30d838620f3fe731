using System.Globalization;
using System.Text.RegularExpressions;
using TransparencyLog.Cli;

namespace TransparencyLog.Tests.Cli;

/// <summary>What fsck tells while it works. That a short one tells nothing is in <see cref="FsckDirectoryTests"/>.</summary>
public sealed class FsckProgressTests(WholeDirectory whole) : IClassFixture<WholeDirectory>
{
    [Fact]
    public async Task A_long_check_tells_every_five_seconds_how_far_it_is_how_fast_and_how_long_it_will_take()
    {
        // A segment a second, and a second at the start: 258 segments in all.
        Tlog run = (await Tlog.RunAsync([], ["fsck", whole.Path], new SteppingTime())).Succeeds();
        string[] lines = run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string total = WholeDirectory.Size.ToString("N0", CultureInfo.InvariantCulture);
        Assert.InRange(lines.Length, 50, 53);
        Assert.All(lines, line => Assert.Matches($"^tlog: [0-9,]+ of {total} entries, [0-9]+ %, [0-9,]+ entries/s, .* left$", line));
        Assert.Equal($"tlog: 2,560 of {total} entries, 4 %, 256 entries/s, 4 min 8 s left", lines[1]);
        long[] done = [.. lines.Select(line => long.Parse(Regex.Match(line, "[0-9,]+").Value, NumberStyles.AllowThousands, CultureInfo.InvariantCulture))];
        Assert.Equal(done.Order(), done);
        Assert.Equal(5 * 256, done[1] - done[0]);
    }

    [Fact]
    public async Task On_a_terminal_one_line_is_written_anew_and_gone_at_the_end()
    {
        using StringWriter error = new();
        FsckProgress progress = new(new Surroundings(Stream.Null, Stream.Null, error, new SteppingTime()) { ErrorIsTerminal = true });
        progress.Tell(100, 1000);
        progress.Tell(200, 1000);
        progress.Tell(200, 1000);
        await Assert.ThrowsAsync<IOException>(() => progress.EndAsync(Task.FromException<int>(new IOException())));
        Assert.Equal(
            "\r\e[Ktlog: 100 of 1,000 entries, 10 %, 100 entries/s, 9 s left\r\e[Ktlog: 200 of 1,000 entries, 20 %, 100 entries/s, 8 s left"
            + "\r\e[Ktlog: 200 of 1,000 entries, 20 %, 0 entries/s, no end in sight\r\e[K",
            error.ToString());
    }

    [Theory]
    [InlineData(1_000, "10 s left")]
    [InlineData(6_100, "1 min 1 s left")]
    [InlineData(1_000_000, "2 h 46 min left")]
    [InlineData(long.MaxValue, "8760 h 0 min left")]
    public void The_time_left_is_in_units_for_people(long left, string said)
    {
        using StringWriter error = new();
        FsckProgress progress = new(new Surroundings(Stream.Null, Stream.Null, error, new SteppingTime()) { ErrorIsTerminal = true });
        progress.Tell(100, left == long.MaxValue ? left : 100 + left);
        Assert.EndsWith(said, error.ToString());
    }

    [Fact]
    public async Task A_check_that_was_too_short_to_tell_anything_leaves_a_terminal_as_it_is()
    {
        using StringWriter error = new();
        FsckProgress progress = new(new Surroundings(Stream.Null, Stream.Null, error, TimeProvider.System) { ErrorIsTerminal = true });
        progress.Tell(1, 2);
        await progress.EndAsync(Task.FromResult(1));
        Assert.Equal("", error.ToString());
    }

    /// <summary>A second later at each look.</summary>
    private sealed class SteppingTime : TimeProvider
    {
        private long _now;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => ++_now;
    }
}
