using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>The promises of <see cref="IJournal"/> about stream heads and idempotency keys.</summary>
public abstract class ConditionContract<T> : ContractTests<T> where T : StoreUnderTest, new()
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 30, 12, 0, 0, TimeSpan.Zero);

    private readonly List<byte[]> _entries = [];

    [Fact]
    public async Task A_stream_without_an_event_has_no_head_and_an_unknown_key_no_answer()
    {
        Assert.Null(await HeadAsync("orders"));
        Assert.Null(await KeyAsync("k"));
        foreach (string bad in (string[])["", new string('x', 129), new string('\u00e9', 65), "\ud800"])
        {
            await Assert.ThrowsAsync<ArgumentException>(async () => await HeadAsync(bad));
            await Assert.ThrowsAsync<ArgumentException>(async () => await KeyAsync(bad));
        }
    }

    [Fact]
    public async Task A_head_moves_with_the_entry_that_is_its_event()
    {
        await StoreAsync([Entry(0)]);
        await StoreAsync([Entry(1), Entry(2)], Event("orders", 1, at: 1));
        Assert.Equal(new StreamHead(1, HashOf("orders", 1), Noon, 2), await HeadAsync("orders"));
        await StoreAsync([Entry(3)], Event("orders", 2));
        await StoreAsync([Entry(4)], Event("payments", 1));
        await KillAndReopenAsync();
        Assert.Equal(new StreamHead(2, HashOf("orders", 2), Noon, 3), await HeadAsync("orders"));
        Assert.Equal(new StreamHead(1, HashOf("payments", 1), Noon, 4), await HeadAsync("payments"));
        Assert.Null(await HeadAsync("Orders"));
    }

    [Fact]
    public async Task A_head_that_is_not_the_expected_one_refuses_the_whole_batch()
    {
        await StoreAsync([Entry(0)], Event("orders", 1));
        StreamHead? head = await HeadAsync("orders");
        JournalCondition.Head good = Event("orders", 2);
        JournalCondition.Head[] bad =
        [
            Event("orders", 1), Event("orders", 3), Event("other", 2),
            good with { ExpectedHash = HashOf("orders", 9) }, good with { Time = Noon - TimeSpan.FromMilliseconds(1) },
        ];
        foreach (JournalCondition.Head condition in bad)
        {
            await RefuseAsync([Entry(1), Entry(2)], [0], condition);
            Assert.Equal(head, await HeadAsync("orders"));
            Assert.Null(await HeadAsync("other"));
        }

        await StoreAsync([Entry(1)], good);
        await Journal.HoldsAsync(_entries);
    }

    [Fact]
    public async Task A_time_is_kept_in_milliseconds_of_UTC_and_the_same_one_again_is_not_earlier()
    {
        DateTimeOffset precise = Noon.AddTicks(12_345_678);
        await StoreAsync([Entry(0)], Event("orders", 1) with { Time = precise.ToOffset(TimeSpan.FromHours(3)) });
        StreamHead? head = await HeadAsync("orders");
        Assert.Equal(Noon.AddMilliseconds(1234), head?.Time);
        Assert.Equal(TimeSpan.Zero, head?.Time.Offset);
        await StoreAsync([Entry(1)], Event("orders", 2) with { Time = Noon.AddMilliseconds(1234) });
    }

    [Fact]
    public async Task Several_events_of_one_stream_in_one_batch_follow_each_other()
    {
        await StoreAsync([Entry(0), Entry(1), Entry(2)], Event("a", 1), Event("b", 1, at: 1), Event("a", 2, at: 2));
        Assert.Equal(new StreamHead(2, HashOf("a", 2), Noon, 2), await HeadAsync("a"));
        Assert.Equal(new StreamHead(1, HashOf("b", 1), Noon, 1), await HeadAsync("b"));

        // The second expects what the first does not set; a third that follows the first would hold.
        await RefuseAsync([Entry(3), Entry(4)], [1], Event("a", 3), Event("a", 3, at: 1), Event("a", 4, at: 1));
        Assert.Equal(2, (await HeadAsync("a"))?.Sequence);
        await StoreAsync([Entry(3), Entry(4)], Event("a", 3), Event("a", 4, at: 1));
        Assert.Equal(new StreamHead(4, HashOf("a", 4), Noon, 4), await HeadAsync("a"));
    }

    [Fact]
    public async Task Every_condition_that_fails_is_reported_and_nothing_is_stored()
    {
        await StoreAsync([Entry(0)], Event("a", 1), Event("b", 1), Key("used"));
        await RefuseAsync(
            [Entry(1), Entry(2)], [1, 3, 4, 6],
            Event("a", 2), Event("b", 3), Event("c", 1), Key("used"), Event("d", 2), Key("fresh"), Event("a", 4));
        Assert.Equal((1, 1), ((await HeadAsync("a"))?.Sequence, (await HeadAsync("b"))?.Sequence));
        Assert.Null(await HeadAsync("c"));
        Assert.Null(await KeyAsync("fresh"));

        // What is left of it can be appended.
        await StoreAsync([Entry(1), Entry(2)], Event("a", 2), Event("c", 1), Key("fresh"));
        await KillAndReopenAsync();
        await Journal.HoldsAsync(_entries);
        Assert.Equal(2, (await HeadAsync("a"))?.Sequence);
        Assert.NotNull(await KeyAsync("fresh"));
    }

    [Fact]
    public async Task A_key_is_used_once_whatever_the_request_and_its_answer_is_found()
    {
        await StoreAsync([Entry(0), Entry(1), Entry(2)], Key("k", "request", at: 1, count: 2));
        KeyedAnswer expected = new(Acts.HashOf("request"), 1, 2);
        Assert.Equal(expected, await KeyAsync("k"));
        await RefuseAsync([Entry(3)], [0], Key("k", "request"));
        await RefuseAsync([Entry(3)], [0], Key("k", "another request"));
        await RefuseAsync([Entry(3)], [1], Key("twice"), Key("twice"));
        Assert.Null(await KeyAsync("twice"));
        await ReopenAsync();
        Assert.Equal(expected, await KeyAsync("k"));
        await RefuseAsync([Entry(3)], [0], Key("k", "request"));
        await StoreAsync([Entry(3)], Key("K", "request"));
        await KillAndReopenAsync();
        Assert.Equal(expected, await KeyAsync("k"));
        Assert.Equal(new KeyedAnswer(Acts.HashOf("request"), 3, 1), await KeyAsync("K"));
    }

    [Fact]
    public async Task A_key_is_remembered_for_24_hours_and_may_be_used_again_once_it_is_forgotten()
    {
        await StoreAsync([Entry(0)], Key("k"));
        Under.Clock.Advance(IJournal.KeyLifetime - TimeSpan.FromSeconds(1));
        await StoreAsync([Entry(1)], Key("later"));
        await RefuseAsync([Entry(2)], [0], Key("k"));
        await KillAndReopenAsync();
        Assert.NotNull(await KeyAsync("k"));
        await RefuseAsync([Entry(2)], [0], Key("k"));

        Under.Clock.Advance(TimeSpan.FromDays(40));
        await StoreAsync([Entry(2)]);
        if (await KeyAsync("k") is null)
        {
            await StoreAsync([Entry(3)], Key("k", "again"));
            Assert.Equal(new KeyedAnswer(Acts.HashOf("again"), 3, 1), await KeyAsync("k"));
        }
    }

    [Fact]
    public async Task Names_are_equal_when_their_bytes_are()
    {
        string[] names = ["i", "I", "\u0130", "\u0131", "e\u0301", "\u00e9", "a\0b", "a", "a ", " a", "\uffff", new string('n', 128), "\ud83d\ude00", "'; drop table batch; --"];
        for (int i = 0; i < names.Length; i++) await StoreAsync([Entry(i)], Event(names[i], 1), Key(names[i], $"request {i}"));
        await KillAndReopenAsync();
        for (int i = 0; i < names.Length; i++)
        {
            Assert.Equal(new StreamHead(1, HashOf(names[i], 1), Noon, i), await HeadAsync(names[i]));
            Assert.Equal(new KeyedAnswer(Acts.HashOf($"request {i}"), i, 1), await KeyAsync(names[i]));
        }
    }

    [Fact]
    public async Task Heads_and_keys_outlive_the_entries_in_the_journal()
    {
        for (int i = 0; i < 600; i++) await StoreAsync([Entry(i)], Event($"stream {i % 7}", 1 + (i / 7)), Key($"key {i}"));
        await Journal.TrimAsync(600, CancellationToken.None);
        await KillAndReopenAsync();
        for (int stream = 0; stream < 7; stream++)
        {
            int last = 599 - ((599 - stream) % 7);
            Assert.Equal(new StreamHead(1 + (last / 7), HashOf($"stream {stream}", 1 + (last / 7)), Noon, last), await HeadAsync($"stream {stream}"));
        }

        for (int i = 0; i < 600; i += 50) Assert.Equal(i, (await KeyAsync($"key {i}"))?.FirstIndex);
        await RefuseAsync([Entry(600)], [0], Event("stream 3", 2));
    }

    [Fact]
    public async Task The_id_of_a_batch_that_was_refused_remains_unused()
    {
        await StoreAsync([Entry(0)], Event("a", 1));
        JournalBatch batch = Batch([Entry(1)], [Event("a", 1)]);
        Guid id = batch.Id;
        Assert.Equal([0], (await Journal.AppendAsync(batch, CancellationToken.None)).Failed);
        Assert.Equal([0], (await Journal.AppendAsync(batch, CancellationToken.None)).Failed);
        batch.Begin(id);
        Assert.True(batch.TryAdd(Entry(1)));
        Assert.True(batch.TryAdd(Entry(2)));
        batch.Require(Event("a", 2));
        Assert.Equal(1, await Journal.AppendAsync(batch));

        // Now its condition would fail, but the append is the one that succeeded.
        Assert.Equal(1, await Journal.AppendAsync(batch));
        _entries.AddRange([Entry(1), Entry(2)]);
        await Journal.HoldsAsync(_entries);
        Assert.Equal(2, (await HeadAsync("a"))?.Sequence);
    }

    [Fact]
    public async Task Of_appenders_that_race_for_one_stream_one_wins_each_step_and_the_chain_has_no_gap()
    {
        const int Appenders = 6, Steps = 120;
        SemaphoreSlim oneAtATime = new(1);
        int refused = 0;
        await Task.WhenAll(Enumerable.Range(0, Appenders).Select(appender => Task.Run(async () =>
        {
            while (true)
            {
                // The head is read before the turn comes: it is often an old one by then.
                StreamHead? head = await HeadAsync("race");
                long sequence = head?.Sequence ?? 0;
                if (sequence == Steps) return;
                JournalCondition.Head next = new(
                    "race", sequence, head?.Hash ?? default, Acts.HashOf($"{sequence + 1} by {appender}"), Noon, 0);
                JournalBatch batch = Batch([[(byte)appender, (byte)(sequence + 1)]], [next]);
                await oneAtATime.WaitAsync();
                try
                {
                    if (!(await Journal.AppendAsync(batch, CancellationToken.None)).IsStored) Interlocked.Increment(ref refused);
                }
                finally
                {
                    oneAtATime.Release();
                }
            }
        }))).WaitAsync(Acts.Limit);

        Assert.Equal(Steps, Journal.NextIndex);
        int sequence = 0;
        byte[] entry = [];
        await foreach (JournalEntries batch in Journal.ReadAllAsync(0, CancellationToken.None))
        {
            Assert.Equal(1, batch.Count);
            entry = batch.Bundle[2..].ToArray();
            Assert.Equal(++sequence, entry[1]);
        }

        Assert.Equal(new StreamHead(Steps, Acts.HashOf($"{Steps} by {entry[0]}"), Noon, Steps - 1), await HeadAsync("race"));
    }

    [Fact]
    public async Task The_largest_number_of_conditions_fits()
    {
        JournalBatch batch = Acts.Batch();
        for (int i = 0; i < JournalBatch.MaxConditions / 2; i++)
        {
            Assert.True(batch.TryAdd(Entry(i)));
            batch.Require(Event(Name(i), 1, at: i));
            batch.Require(Key(Name(i), at: i));
        }

        Assert.Throws<ArgumentException>(() => batch.Require(Event("one more", 1)));
        await Journal.AppendAsync(batch);
        await KillAndReopenAsync();
        for (int i = 0; i < JournalBatch.MaxConditions / 2; i++)
        {
            Assert.Equal(i, (await HeadAsync(Name(i)))?.Index);
            Assert.Equal(i, (await KeyAsync(Name(i)))?.FirstIndex);
        }

        static string Name(int i) => $"{i} ".PadRight(JournalCondition.MaxName, 'n');
    }

    private static byte[] Entry(int i) => BitConverter.GetBytes(i);

    private static Hash HashOf(string stream, long sequence) => sequence == 0 ? default : Acts.HashOf($"{stream} {sequence}");

    /// <summary>The event of a sequence, whose predecessor is the event of this method with the sequence before.</summary>
    private static JournalCondition.Head Event(string stream, long sequence, int at = 0) =>
        new(stream, sequence - 1, HashOf(stream, sequence - 1), HashOf(stream, sequence), Noon, at);

    private static JournalCondition.Once Key(string key, string request = "request", int at = 0, int count = 1) => new(key, Acts.HashOf(request), at, count);

    private static JournalBatch Batch(byte[][] entries, JournalCondition[] conditions)
    {
        JournalBatch batch = Acts.Batch(entries);
        foreach (JournalCondition condition in conditions) batch.Require(condition);
        return batch;
    }

    private async Task<StreamHead?> HeadAsync(string stream) => await Journal.FindHeadAsync(stream, CancellationToken.None);

    private async Task<KeyedAnswer?> KeyAsync(string key) => await Journal.FindKeyAsync(key, CancellationToken.None);

    private async Task StoreAsync(byte[][] entries, params JournalCondition[] conditions)
    {
        Assert.Equal(_entries.Count, await Journal.AppendAsync(Batch(entries, conditions)));
        _entries.AddRange(entries);
        Assert.Equal(_entries.Count, Journal.NextIndex);
    }

    private async Task RefuseAsync(byte[][] entries, int[] failed, params JournalCondition[] conditions)
    {
        AppendAnswer answer = await Journal.AppendAsync(Batch(entries, conditions), CancellationToken.None);
        Assert.False(answer.IsStored);
        Assert.Equal(-1, answer.FirstIndex);
        Assert.Equal(failed, answer.Failed);
        Assert.Equal(_entries.Count, Journal.NextIndex);
    }
}
