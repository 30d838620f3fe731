using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>The promises of <see cref="IJournal"/> about entries; those about conditions are in <see cref="ConditionContract{T}"/>.</summary>
public abstract class JournalContract<T> : ContractTests<T> where T : StoreUnderTest, new()
{
    private readonly List<byte[]> _entries = [];

    [Fact]
    public async Task A_new_journal_is_empty_and_starts_at_index_0()
    {
        Assert.Equal((0, 0, false), (Journal.FirstIndex, Journal.NextIndex, Journal.IsFull));
        await Journal.HoldsAsync([]);
    }

    [Fact]
    public async Task Indexes_follow_each_other_without_a_gap_and_entries_come_back_byte_for_byte()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        for (int life = 0; life < 6; life++)
        {
            for (int i = 0; i < 25; i++) await AppendAsync(random.Next(4) == 0 ? random.Next(1, 600) : random.Next(1, 5), random);
            await Journal.HoldsAsync(_entries, because: $"seed {seed}");
            for (int i = 0; i < 10; i++) await Journal.HoldsAsync(_entries, random.Next(_entries.Count + 1), $"seed {seed}");
            await (life % 2 == 0 ? ReopenAsync() : KillAndReopenAsync());
            await Journal.HoldsAsync(_entries, because: $"after life {life}, seed {seed}");
        }
    }

    [Fact]
    public async Task The_shortest_and_the_longest_entries_and_the_largest_batch_fit()
    {
        JournalBatch batch = Acts.Batch();
        byte[] longest = new byte[EntryBundle.MaxEntrySize];
        Random.Shared.NextBytes(longest);
        while (batch.TryAdd(longest)) _entries.Add(longest);
        byte[] rest = new byte[JournalBatch.MaxEntryBytes - batch.EntryBytes - 2];
        Assert.True(batch.TryAdd(rest));
        _entries.Add(rest);
        Assert.Equal(JournalBatch.MaxEntryBytes, batch.EntryBytes);
        Assert.False(batch.TryAdd([]));
        Assert.Equal(0, await Journal.AppendAsync(batch));

        JournalBatch empty = Acts.Batch();
        for (int i = 0; i < 100_000; i++) Assert.True(empty.TryAdd([]));
        _entries.AddRange(Enumerable.Repeat<byte[]>([], 100_000));
        await Journal.AppendAsync(empty);
        await Journal.HoldsAsync(_entries);
        await KillAndReopenAsync();
        await Journal.HoldsAsync(_entries);
    }

    [Fact]
    public async Task A_batch_may_be_changed_as_soon_as_it_was_appended()
    {
        JournalBatch batch = new();
        for (int i = 0; i < 20; i++)
        {
            batch.Begin(Guid.NewGuid());
            Assert.True(batch.TryAdd([(byte)i, 7]));
            _entries.Add([(byte)i, 7]);
            Assert.Equal(i, await Journal.AppendAsync(batch));
            batch.Begin(Guid.NewGuid());
            Assert.True(batch.TryAdd([255, 255]));
        }

        await Journal.HoldsAsync(_entries);
    }

    [Fact]
    public async Task A_batch_without_an_entry_or_an_id_is_misuse()
    {
        await Assert.ThrowsAsync<ArgumentException>(async () => await Journal.AppendAsync(Acts.Batch(), CancellationToken.None));
        JournalBatch nameless = new();
        Assert.True(nameless.TryAdd([1]));
        await Assert.ThrowsAsync<ArgumentException>(async () => await Journal.AppendAsync(nameless, CancellationToken.None));
        await AppendAsync([1]);
        await Journal.HoldsAsync(_entries);
    }

    [Fact]
    public async Task A_second_append_before_the_first_has_returned_is_misuse()
    {
        using CancellationTokenSource stop = new();
        Task<AppendAnswer> first;
        using (Under.TakeRoom())
        {
            first = await WaitingAppendAsync(stop.Token, [1]);
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await Journal.AppendAsync(Acts.Batch([2]), stop.Token));
            Assert.False(first.IsCompleted);
        }

        _entries.Add([1]);
        Assert.Equal(0, (await first.WaitAsync(Acts.Limit)).FirstIndex);
        await AppendAsync([3]);
        await Journal.HoldsAsync(_entries);
    }

    [Fact]
    public async Task The_same_id_again_returns_the_first_answer_and_stores_nothing()
    {
        await AppendAsync([0]);
        JournalBatch batch = Acts.Batch([1], [2]);
        _entries.AddRange([[1], [2]]);
        Assert.Equal(1, await Journal.AppendAsync(batch));
        for (int i = 0; i < 3; i++) Assert.Equal(1, await Journal.AppendAsync(batch));
        await Journal.HoldsAsync(_entries);

        // The newest append is known however long ago it was.
        Under.Clock.Advance(TimeSpan.FromDays(3));
        Assert.Equal(1, await Journal.AppendAsync(batch));
        await Journal.TrimAsync(3, CancellationToken.None);
        Assert.Equal(1, await Journal.AppendAsync(batch));
        Assert.Equal(3, Journal.NextIndex);
    }

    [Fact]
    public async Task A_store_that_knows_older_ids_answers_them_for_60_seconds_in_later_openings_too()
    {
        if (!Under.KnowsIdsOfEarlierOpenings) return;
        JournalBatch[] batches = [.. Enumerable.Range(0, 20).Select(i => Acts.Batch([(byte)i]))];
        foreach (JournalBatch batch in batches)
        {
            await Journal.AppendAsync(batch);
            _entries.Add([(byte)_entries.Count]);
        }

        Under.Clock.Advance(IJournal.IdLifetime - TimeSpan.FromSeconds(1));
        for (int life = 0; life < 3; life++)
        {
            for (int i = 0; i < 20; i++) Assert.Equal(i, await Journal.AppendAsync(batches[i]));
            await Journal.HoldsAsync(_entries, 10);
            await Journal.TrimAsync(10, CancellationToken.None);
            await (life == 0 ? ReopenAsync() : KillAndReopenAsync());
        }
    }

    [Fact]
    public async Task The_same_id_with_other_entries_is_misuse()
    {
        JournalBatch batch = Acts.Batch([1], [2]);
        Guid id = batch.Id;
        await Journal.AppendAsync(batch);
        foreach (byte[][] entries in (byte[][][])[[[1]], [[1], [2], [3]], [[1], [2, 2]]])
        {
            batch.Begin(id);
            foreach (byte[] entry in entries) Assert.True(batch.TryAdd(entry));
            await Assert.ThrowsAsync<ArgumentException>(async () => await Journal.AppendAsync(batch, CancellationToken.None));
        }

        await Journal.HoldsAsync([[1], [2]]);
    }

    [Fact]
    public async Task A_reader_begins_inside_a_batch_and_reads_what_is_appended_later()
    {
        await AppendAsync([1], [2], [3]);
        await using IJournalReader reader = Journal.Read(2);
        Assert.Equal(3, Acts.Check((await reader.ReadAsync(CancellationToken.None)).GetValueOrDefault(), _entries));
        Assert.Null(await reader.ReadAsync(CancellationToken.None));
        await AppendAsync([4]);
        await AppendAsync([5], [6]);
        Assert.Equal(4, Acts.Check((await reader.ReadAsync(CancellationToken.None)).GetValueOrDefault(), _entries));
        Assert.Equal(6, Acts.Check((await reader.ReadAsync(CancellationToken.None)).GetValueOrDefault(), _entries));
        Assert.Null(await reader.ReadAsync(CancellationToken.None));
        await using IJournalReader atEnd = Journal.Read(6);
        Assert.Null(await atEnd.ReadAsync(CancellationToken.None));
    }

    [Fact]
    public async Task Reading_begins_where_entries_are_held()
    {
        await AppendAsync([1], [2], [3]);
        foreach (long from in (long[])[-1, 4, long.MaxValue])
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => Journal.Read(from));
            Assert.Throws<ArgumentOutOfRangeException>(() => Journal.Follow(from));
        }
    }

    [Fact]
    public async Task Followers_see_every_entry_once_and_in_order_while_appends_go_on()
    {
        const int Batches = 300;
        int seed = Random.Shared.Next();
        Random random = new(seed);
        byte[][][] batches = [.. Enumerable.Range(0, Batches).Select(_ => Some(random, random.Next(1, 20)))];
        _entries.AddRange(batches.SelectMany(batch => batch));
        await Journal.AppendAsync(batches[0]);
        long[] starts = [0, batches[0].Length / 2, batches[0].Length];
        Task<long>[] followers = [.. starts.Select(from => Task.Run(() => FollowAsync(from, $"seed {seed}")))];
        foreach (byte[][] batch in batches.Skip(1)) await Journal.AppendAsync(batch);
        foreach (long read in await Task.WhenAll(followers).WaitAsync(Acts.Limit)) Assert.Equal(_entries.Count, read);
    }

    [Fact]
    public async Task A_follower_waits_for_more_and_its_wait_can_be_cancelled()
    {
        await AppendAsync([1]);
        await using IJournalFollower follower = Journal.Follow(0);
        await follower.WaitAsync(CancellationToken.None).AsTask().WaitAsync(Acts.Limit);
        Assert.NotNull(await follower.ReadAsync(CancellationToken.None));
        Assert.Null(await follower.ReadAsync(CancellationToken.None));
        using CancellationTokenSource stop = new();
        Task waits = follower.WaitAsync(stop.Token).AsTask();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waits.WaitAsync(Acts.Limit));

        Task next = WaitForMoreAsync(follower);
        await AppendAsync([2], [3]);
        await next.WaitAsync(Acts.Limit);
    }

    [Fact]
    public async Task Trimming_keeps_what_is_needed_and_the_next_index_for_ever()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        for (int i = 0; i < 30; i++) await AppendAsync(random.Next(1, 100), random);
        for (long below = 0; below < _entries.Count; below += random.Next(1, 90))
        {
            await Journal.TrimAsync(below, CancellationToken.None);
            await Journal.TrimAsync(below / 2, CancellationToken.None);
            Assert.InRange(Journal.FirstIndex, 0, below);
            await Journal.HoldsAsync(_entries, below, $"seed {seed}");
        }

        await KillAndReopenAsync();
        await Journal.HoldsAsync(_entries, _entries.Count - 1, $"seed {seed}");
        await Journal.TrimAsync(_entries.Count, CancellationToken.None);
        Assert.InRange(Journal.FirstIndex, 0, _entries.Count);
        for (int life = 0; life < 3; life++)
        {
            await (life == 0 ? ReopenAsync() : KillAndReopenAsync());
            Assert.Equal(_entries.Count, Journal.NextIndex);
            await AppendAsync([(byte)life]);
            await Journal.HoldsAsync(_entries, _entries.Count - 1);
        }
    }

    [Fact]
    public async Task Trimming_beyond_the_end_is_misuse()
    {
        await AppendAsync([1], [2]);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await Journal.TrimAsync(3, CancellationToken.None));
        await Journal.HoldsAsync(_entries);
    }

    [Fact]
    public async Task A_reader_that_lags_behind_a_trim_is_told_so_and_reads_no_other_entry()
    {
        await using IJournalFollower lagging = Journal.Follow(0);
        for (int i = 0; i < 40; i++) await AppendAsync(100, new Random(i));
        Assert.Equal(100, Acts.Check((await lagging.ReadAsync(CancellationToken.None)).GetValueOrDefault(), _entries));
        await Journal.TrimAsync(_entries.Count, CancellationToken.None);
        if (Journal.FirstIndex <= 100)
        {
            // It keeps what it may forget. Then reading goes on.
            Assert.Equal(200, Acts.Check((await lagging.ReadAsync(CancellationToken.None)).GetValueOrDefault(), _entries));
            return;
        }

        await Assert.ThrowsAsync<EntriesTrimmedException>(async () => await lagging.ReadAsync(CancellationToken.None));
        Assert.Throws<ArgumentOutOfRangeException>(() => Journal.Read(100));
    }

    [Fact]
    public async Task Entries_are_trimmed_while_appends_and_readers_go_on()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        byte[][][] batches = [.. Enumerable.Range(0, 200).Select(_ => Some(random, random.Next(1, 60)))];
        _entries.AddRange(batches.SelectMany(batch => batch));
        Task follower = Task.Run(async () =>
        {
            await using IJournalFollower reader = Journal.Follow(0);
            for (long next = 0; next < _entries.Count;)
            {
                if (await reader.ReadAsync(CancellationToken.None) is not JournalEntries read)
                {
                    await reader.WaitAsync(CancellationToken.None);
                    continue;
                }

                Assert.Equal(next, read.FirstIndex);
                next = Acts.Check(read, _entries, $"seed {seed}");
                await Journal.TrimAsync(next, CancellationToken.None);
            }
        });
        foreach (byte[][] batch in batches) await Journal.AppendAsync(batch);
        await follower.WaitAsync(Acts.Limit);
        Assert.Equal(_entries.Count, Journal.NextIndex);
    }

    [Fact]
    public async Task Without_room_an_append_waits_and_says_so_and_nothing_is_lost()
    {
        await AppendAsync([1]);
        using CancellationTokenSource stop = new();
        Task<AppendAnswer> waiting;
        using (Under.TakeRoom())
        {
            waiting = await WaitingAppendAsync(stop.Token, [2], [3]);
            Assert.Equal(1, Journal.NextIndex);
            await Journal.HoldsAsync(_entries);
        }

        Assert.Equal(1, (await waiting.WaitAsync(Acts.Limit)).FirstIndex);
        Assert.False(Journal.IsFull);
        _entries.AddRange([[2], [3]]);
        await Journal.HoldsAsync(_entries);
        await KillAndReopenAsync();
        await Journal.HoldsAsync(_entries);
    }

    [Fact]
    public async Task A_wait_for_room_can_be_cancelled_and_the_journal_goes_on()
    {
        await AppendAsync([1]);
        using (Under.TakeRoom())
        {
            using CancellationTokenSource stop = new();
            Task<AppendAnswer> waiting = await WaitingAppendAsync(stop.Token, [9]);
            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Acts.Limit));
            Assert.False(Journal.IsFull);

            // One who cannot be stopped does not wait.
            await Assert.ThrowsAnyAsync<StoreException>(async () => await Journal.AppendAsync(Acts.Batch([9]), CancellationToken.None));
            Assert.False(Journal.IsFull);
        }

        await AppendAsync([2]);
        await Journal.HoldsAsync(_entries);
        await KillAndReopenAsync();
        await Journal.HoldsAsync(_entries);
    }

    private static byte[][] Some(Random random, int count)
    {
        byte[][] entries = [.. Enumerable.Range(0, count).Select(_ => new byte[random.Next(10) == 0 ? random.Next(3000) : random.Next(60)])];
        foreach (byte[] entry in entries) random.NextBytes(entry);
        return entries;
    }

    private Task AppendAsync(int count, Random random) => AppendAsync(Some(random, count));

    private async Task AppendAsync(params byte[][] entries)
    {
        Assert.Equal(_entries.Count, await Journal.AppendAsync(Acts.Batch(entries)));
        _entries.AddRange(entries);
    }

    /// <summary>An append that has begun to wait for room. It may block its thread.</summary>
    private async Task<Task<AppendAnswer>> WaitingAppendAsync(CancellationToken stop, params byte[][] entries)
    {
        JournalBatch batch = Acts.Batch(entries);
        IJournal journal = Journal;
        Task<AppendAnswer> append = Task.Run(async () => await journal.AppendAsync(batch, stop), CancellationToken.None);
        await Acts.UntilAsync(() => journal.IsFull || append.IsCompleted, "an append that waits for room");
        Assert.False(append.IsCompleted);
        return append;
    }

    private async Task<long> FollowAsync(long from, string because)
    {
        await using IJournalFollower follower = Journal.Follow(from);
        long next = -1;
        while (next < _entries.Count)
        {
            if (await follower.ReadAsync(CancellationToken.None) is not JournalEntries read)
            {
                await follower.WaitAsync(CancellationToken.None);
                continue;
            }

            if (next >= 0) Assert.Equal(next, read.FirstIndex);
            else Assert.True(read.FirstIndex <= from, because);
            next = Acts.Check(read, _entries, because);
        }

        return next;
    }

    private async Task WaitForMoreAsync(IJournalFollower follower)
    {
        while (await follower.ReadAsync(CancellationToken.None) is null) await follower.WaitAsync(CancellationToken.None);
    }
}
