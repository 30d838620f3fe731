using System.Globalization;
using System.Net;
using TransparencyLog.Server;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

public sealed class DuplicateTests
{
    private const int Smallest = 128; // bytes: two buckets of eight entries

    [Fact]
    public async Task C07_a_thousand_equal_entries_at_once_get_the_index_of_one_sealed_before_the_start()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.AddBatchAsync(Entries(0, 700));
        await log.CheckLog(700);
        await log.RestartAsync();
        await RebuiltAsync(log, 700);
        long[] indexes = await Task.WhenAll(Enumerable.Range(0, 1000).Select(_ => log.AddAsync(Entry(3))));
        Assert.Equal([3L], indexes.Distinct());
        Assert.Equal(1000, log.Engine.Duplicates.Counters.Answered);
        await log.CheckLog(700);
    }

    [Fact]
    public async Task Duplicates_of_entries_in_flight_wait_for_their_frame_and_get_their_index()
    {
        (TestLog log, FaultyJournal journal) = await IntakeTests.StartAsync(settings => settings);
        await using TestLog disposed = log;
        journal.Hold();

        // The first frame fills more than a segment, so that what follows finds its entries in the open segment and in a sealed one.
        Task<long[]> first = log.AddBatchAsync(Entries(0, 300));
        await Eventually.TrueAsync(() => journal.Appends == 1, "the first frame is on its way");
        Task<long>[] twins = [.. Enumerable.Range(0, 100).Select(i => log.AddAsync(Entry(i % 2 == 0 ? 7 : 299)))];
        Task<long[]> mixed = log.AddBatchAsync([Entry(1000), Entry(255), Entry(1000), Entry(256), Entry(1001)]);
        await Eventually.TrueAsync(() => log.Engine.Waiting == 1 && log.Engine.Duplicates.Counters.Answered == 103, "the new ones wait for a frame, and the twins for that of theirs");
        Assert.All(twins, twin => Assert.False(twin.IsCompleted));
        journal.Release();
        Assert.Equal(Enumerable.Range(0, 300).Select(i => (long)i), await first);
        Assert.Equal([7L, 299L], (await Task.WhenAll(twins)).Distinct().Order());
        Assert.Equal((long[])[300, 255, 300, 256, 301], await mixed);
        await log.CheckLog(302);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task C08_duplicates_of_a_frame_that_failed_fail_with_it_and_nothing_is_answered_from_it(bool stored)
    {
        (TestLog log, FaultyJournal journal) = await IntakeTests.StartAsync(settings => settings);
        await using TestLog disposed = log;
        await log.AddAsync("before");
        await log.CheckLog(1);
        journal.Hold();
        Task<(HttpStatusCode Status, string Text)>[] twins = [.. Enumerable.Range(0, 1000).Select(_ => log.PostAsync("/add", "fails"u8.ToArray()))];
        await Eventually.TrueAsync(() => journal.Appends == 2, "a frame is on its way");
        StorageException failure = new("fdatasync", "/somewhere/journal", 5);
        if (stored) journal.FailAfter = failure;
        else journal.FailBefore = failure;
        journal.Release();
        foreach ((HttpStatusCode status, string text) in await Task.WhenAll(twins)) Assert.True(status == HttpStatusCode.ServiceUnavailable, text);
        foreach (string entry in (string[])["fails", "before"]) Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", System.Text.Encoding.UTF8.GetBytes(entry))).Status);

        await log.RestartAsync();
        Assert.Equal(stored ? 2 : 1, await log.AddAsync("other"));
        Assert.Equal(stored ? 1 : 2, await log.AddAsync("fails"));
        Assert.Equal(0, await log.AddAsync("before"));
        await log.CheckLog(3);
    }

    [Fact]
    public async Task What_the_table_has_forgotten_gets_a_second_index_and_that_is_counted()
    {
        await using TestLog log = await TestLog.StartAsync(With(settings => settings with { DuplicateTableBytes = Smallest }));
        await log.AddBatchAsync(Entries(0, 40));
        Assert.Equal(39, await log.AddAsync(Entry(39)));
        Assert.Equal(32, await log.AddAsync(Entry(32)));
        Assert.Equal(40, await log.AddAsync(Entry(0)));
        Assert.Equal(40, await log.AddAsync(Entry(0)));
        DuplicateCounters counters = log.Engine.Duplicates.Counters;
        Assert.Equal((41L, Smallest), (counters.Remembered + counters.Forgotten, (int)counters.TableBytes));
        Assert.InRange(counters.Remembered, 8, 16);
        await log.CheckLog(41);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(Smallest - 1)]
    public async Task Without_a_table_no_duplicate_is_looked_for(int bytes)
    {
        await using TestLog log = await TestLog.StartAsync(With(settings => settings with { DuplicateTableBytes = bytes }));
        Assert.Equal((long[])[0, 1, 2], await log.AddBatchAsync([Entry(1), Entry(2), Entry(1)]));
        Assert.Equal(3, await log.AddAsync(Entry(1)));
        Assert.Equal(default, log.Engine.Duplicates.Counters);
        await log.CheckLog(4);
    }

    [Fact]
    public async Task I07_a_candidate_that_is_another_entry_is_never_the_answer()
    {
        HookedTiles? tiles = null;
        await using TestLog log = await TestLog.StartAsync(Hooked(hooked => tiles = hooked));
        await log.AddBatchAsync(Entries(0, 256));
        await log.CheckLog(256);

        // As if what the table names were the place of something else.
        byte[] other = new byte[8192];
        tiles!.Give = (_, _) => other;
        Assert.Equal(256, await log.AddAsync(Entry(5)));
        tiles.Give = (_, tile) => tile;
        Assert.Equal((1L, 1L), (log.Engine.Duplicates.Counters.Compared, log.Engine.Duplicates.Counters.Others));

        // Of two indexes the first is the answer.
        Assert.Equal(5, await log.AddAsync(Entry(5)));
        await log.CheckLog(257);
    }

    [Fact]
    public async Task A_tile_that_cannot_be_read_is_in_the_way_of_no_append_and_is_named_to_the_operator()
    {
        HookedTiles? tiles = null;
        await using TestLog log = await TestLog.StartAsync(Hooked(hooked => tiles = hooked));
        await log.AddBatchAsync(Entries(0, 300));
        await log.CheckLog(300);
        tiles!.Before = number => number == 0 ? throw new DamageException(new Damage("storage", "segments", 0, null, "a CRC", "another")) : Task.CompletedTask;
        Assert.Equal(300, await log.AddAsync(Entry(5)));
        Assert.Equal(299, await log.AddAsync(Entry(299)));
        Assert.Equal(1, log.Engine.Duplicates.Counters.Unread);
        await log.Logged.WaitAsync(9, "segments");
        tiles.Before = _ => Task.CompletedTask;
        await log.CheckLog(301);
    }

    [Fact]
    public async Task A_start_waits_for_no_rebuilding_and_new_entries_read_no_tile()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.AddBatchAsync(Entries(0, 1024));
        await log.CheckLog(1024);
        TaskCompletionSource open = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await log.RestartAsync(Hooked(hooked => hooked.Before = number => number < 3 ? open.Task : Task.CompletedTask));
        await Eventually.TrueAsync(() => log.Engine.Duplicates.Counters.Remembered == 256, "the newest segment comes first");
        Assert.Equal(1000, await log.AddAsync(Entry(1000)));
        Assert.Equal(1024, await log.AddAsync(Entry(5)));
        Assert.Equal(1024, await log.AddAsync(Entry(5)));
        open.SetResult();
        await RebuiltAsync(log, 1025);
        Assert.Equal(5, await log.AddAsync(Entry(5)));

        long compared = log.Engine.Duplicates.Counters.Compared;
        for (int i = 0; i < 20; i++) await log.AddBatchAsync(Entries(2000 + (i * 100), 2000 + (i * 100) + 100));
        Assert.Equal(compared, log.Engine.Duplicates.Counters.Compared);
        await log.CheckLog(3025);
    }

    [Fact]
    public async Task A_start_takes_as_much_into_the_table_as_it_is_made_for_and_ends_cleanly_in_the_middle()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.AddBatchAsync(Entries(0, 5120));
        await log.CheckLog(5120);
        LogSetup small = With(settings => settings with { DuplicateTableBytes = 8192 * 8 / 5 }); // for four segments
        await log.RestartAsync(small);
        await Eventually.TrueAsync(() => log.Engine.Duplicates.Counters is { Remembered: var there, Forgotten: var gone } && there + gone == 1024 - 256 + (5120 % 256), "three whole segments and a part");
        Assert.Equal(5000, await log.AddAsync(Entry(5000)));
        Assert.Equal(5120, await log.AddAsync(Entry(0)));

        TaskCompletionSource never = new();
        await log.RestartAsync(Hooked(hooked => hooked.Before = _ => never.Task));
        await log.StopAsync();
    }

    internal static byte[] Entry(int number) => BitConverter.GetBytes(number);

    internal static byte[][] Entries(int from, int to) => [.. Enumerable.Range(from, to - from).Select(Entry)];

    internal static LogSetup With(Func<Settings, Settings> settings) => new() { Settings = settings };

    internal static LogSetup Hooked(Action<HookedTiles> take) => new()
    {
        // What the hook gives is asked for every time.
        Settings = settings => settings with { ReadCacheBytes = 0 },
        Replace = parts =>
        {
            HookedTiles hooked = new(parts.Tiles);
            take(hooked);
            return parts with { Tiles = hooked };
        },
    };

    internal static Task RebuiltAsync(TestLog log, long entries) =>
        Eventually.TrueAsync(() => log.Engine.Duplicates.Counters.Remembered == entries, string.Create(CultureInfo.InvariantCulture, $"{entries} entries are remembered"));
}
