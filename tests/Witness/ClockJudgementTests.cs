using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Witness;

/// <summary>N-03: the judgement of a clock, over every combination of times around each of its borders, and the two files that it rests on.</summary>
public sealed class ClockJudgementTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("tlog-clock").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static DateTimeOffset At(long unix) => DateTimeOffset.FromUnixTimeSeconds(unix);

    private static readonly long Earliest = ClockJudgement.Earliest.ToUnixTimeSeconds();

    /// <summary>Seconds around a border.</summary>
    private static IEnumerable<long> Around(long border) => [border - 86_401, border - 86_400, border - 3, border - 2, border - 1, border, border + 1, border + 2, border + 3, border + 86_400, border + 86_401];

    [Fact]
    public void N03_the_clock_is_right_exactly_where_none_of_the_three_rules_is_broken()
    {
        int judged = 0;
        HashSet<ClockState> seen = [];
        foreach (int days in (int[])[1, 30, 3650])
        {
            long limit = days * 86_400L, middle = Earliest + 400_000_000;
            long?[] lasts = [null, Earliest, middle];
            long?[] expecteds = [null, Earliest, middle];
            foreach (long? last in lasts)
            {
                foreach (long? expected in expecteds)
                {
                    HashSet<long> nows = [0, 1, DateTimeOffset.MaxValue.ToUnixTimeSeconds(), .. Around(Earliest)];
                    if (last is long l) nows.UnionWith([.. Around(l), .. Around(l + limit)]);
                    if (expected is long e) nows.UnionWith(Around(e));
                    foreach (long now in nows)
                    {
                        // The rules as spec/operations.md has them, in whole seconds.
                        ClockState right = now < Earliest ? ClockState.Early
                            : last is not null && now - last > limit ? ClockState.Ahead
                            : expected is not null && Math.Abs(now - expected.Value) > 86_400 ? ClockState.Jumped : ClockState.Right;
                        ClockState state = ClockJudgement.Judge(At(now), last is null ? null : At(last.Value), TimeSpan.FromDays(days), expected is null ? null : At(expected.Value));
                        Assert.True(right == state, $"now {now}, last {last}, expected {expected}, {days} days: {state} instead of {right}");
                        seen.Add(state);
                        judged++;
                    }
                }
            }
        }

        Assert.Equal([ClockState.Right, ClockState.Early, ClockState.Ahead, ClockState.Jumped], seen.Order());
        Assert.InRange(judged, 500, 10_000);
    }

    [Fact]
    public void N03_a_stamp_waits_exactly_where_it_is_more_than_two_seconds_away_and_not_accepted()
    {
        long now = Earliest + 400_000_000;
        foreach (ulong released in new[] { 0ul, 1ul, ulong.MaxValue, (ulong)long.MaxValue }.Concat(Around(now).Select(one => (ulong)one)))
        {
            foreach (ulong? accepted in new ulong?[] { null }.Concat(Around(now).Select(one => (ulong?)one)))
            {
                ulong floor = ClockJudgement.Floor(released, accepted);
                Assert.Equal(accepted is ulong at && at < released ? at : released, floor);
                Assert.Equal(floor > (ulong)now + 2, ClockJudgement.IsBehind(At(now), floor));
                // Fractions of a second count.
                Assert.Equal(floor > (ulong)now + 2, ClockJudgement.IsBehind(At(now).AddMilliseconds(1), floor));
                if (floor == (ulong)now + 2) Assert.True(ClockJudgement.IsBehind(At(now).AddMilliseconds(-1), floor));
            }
        }
    }

    [Fact]
    public void N03_a_heartbeat_reads_as_it_was_written_and_with_any_bit_flipped_not_at_all()
    {
        Assert.Null(Heartbeat.Read(_root));
        foreach (long unix in (long[])[0, Earliest, 1_800_000_000, DateTimeOffset.MaxValue.ToUnixTimeSeconds()])
        {
            Heartbeat.Write(_root, At(unix));
            Assert.Equal(At(unix), Heartbeat.Read(_root));
        }

        byte[] bytes = Heartbeat.ToBytes(At(1_800_000_000));
        Assert.True(Heartbeat.TryParse(bytes, out _));
        for (int bit = 0; bit < 8 * bytes.Length; bit++)
        {
            byte[] flipped = [.. bytes];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(Heartbeat.TryParse(flipped, out _));
        }

        for (int length = 0; length < bytes.Length; length++) Assert.False(Heartbeat.TryParse(bytes.AsSpan(0, length), out _));
        File.WriteAllBytes(Path.Combine(_root, Heartbeat.Name), bytes[..^1]);
        Assert.Contains(Path.Combine(_root, Heartbeat.Name), Assert.Throws<DamageException>(() => Heartbeat.Read(_root)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void N03_acceptances_read_as_they_were_written_and_with_any_bit_flipped_not_at_all()
    {
        Assert.Empty(ClockAcceptances.Read(_root));
        ClockPermission one = ClockPermission.Of("example.com/log", 1_800_000_000, "a note"u8), other = ClockPermission.Of("example.com/other", ulong.MaxValue, "another"u8);
        ClockAcceptance[] all = [new(Earliest, null, "the battery", []), new(1_800_000_000, 1_700_000_000, "İı \n — |", [one, other])];
        foreach (ClockAcceptance acceptance in all) ClockAcceptances.Add(_root, acceptance);
        IReadOnlyList<ClockAcceptance> read = ClockAcceptances.Read(_root);
        Assert.Equal(all.Select(acceptance => (acceptance.Seconds, acceptance.Heartbeat, acceptance.Reason)), read.Select(acceptance => (acceptance.Seconds, acceptance.Heartbeat, acceptance.Reason)));
        Assert.Equal([one, other], read[1].Permissions);
        Assert.Empty(read[0].Permissions);

        string path = Path.Combine(_root, ClockAcceptances.Name);
        byte[] bytes = File.ReadAllBytes(path);
        for (int bit = 0; bit < 8 * bytes.Length; bit++)
        {
            byte[] flipped = [.. bytes];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            File.WriteAllBytes(path, flipped);
            Assert.Contains(path, Assert.Throws<DamageException>(() => ClockAcceptances.Read(_root)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void N03_the_oldest_acceptances_go_when_the_file_is_full()
    {
        ClockPermission[] many = [.. Enumerable.Range(0, 4096).Select(i => ClockPermission.Of($"example.com/{i}", (ulong)i, Encoding.UTF8.GetBytes($"{i}")))];
        for (int i = 0; i < 10; i++) ClockAcceptances.Add(_root, new ClockAcceptance(i, null, "full", many));
        IReadOnlyList<ClockAcceptance> read = ClockAcceptances.Read(_root);
        Assert.InRange(read.Count, 5, 9);
        Assert.Equal(9, read[^1].Seconds);
        Assert.Equal(4096, read[^1].Permissions.Count);
    }
}
