using System.Buffers;
using System.Net;
using TransparencyLog.Server;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

public sealed class IntakeTests
{
    [Theory]
    [InlineData(4, 4, 2 * 1024 * 1024)]
    [InlineData(60_000, 1000, 2 * 1024 * 1024)]
    public async Task A02_a_full_intake_answers_503_with_Retry_After_and_what_it_took_is_stored(int size, int count, int bytes)
    {
        (TestLog log, FaultyJournal journal) = await StartAsync(settings => settings with { IntakeCount = count, IntakeBytes = bytes });
        await using TestLog disposed = log;
        journal.Hold();
        Task<long> first = log.AddAsync(Entry(size, 0));
        await Eventually.TrueAsync(() => journal.Appends == 1, "the first frame is on its way");

        int fits = Math.Min(count, bytes / (size + 2));
        const int More = 20;
        Task<HttpResponseMessage>[] posts = [.. Enumerable.Range(1, fits + More).Select(i => log.Http.PostAsync("/add", new ByteArrayContent(Entry(size, i))))];
        await Eventually.TrueAsync(() => posts.Count(post => post.IsCompleted) == More, $"{More} are refused while {fits} wait");
        foreach (Task<HttpResponseMessage> post in posts.Where(post => post.IsCompleted))
        {
            HttpResponseMessage answer = await post;
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.Equal("1", answer.Headers.GetValues("Retry-After").Single());
            Assert.Contains("the intake is full", await answer.Content.ReadAsStringAsync());
        }

        journal.Release();
        Assert.Equal(0, await first);
        HttpResponseMessage[] answers = await Task.WhenAll(posts);
        Assert.Equal(fits, answers.Count(answer => answer.StatusCode == HttpStatusCode.OK));
        await log.CheckLog(1 + fits);
        await log.AddAsync("there is room again");
        await log.CheckLog(2 + fits);
    }

    [Fact]
    public async Task What_waits_while_a_frame_is_written_goes_into_one_frame()
    {
        (TestLog log, FaultyJournal journal) = await StartAsync(settings => settings);
        await using TestLog disposed = log;
        journal.Hold();
        Task<long> first = log.AddAsync("first");
        await Eventually.TrueAsync(() => journal.Appends == 1, "the first frame is on its way");
        Task<long>[] others = [.. Enumerable.Range(0, 100).Select(i => log.AddAsync(Entry(4, i)))];
        await Eventually.TrueAsync(() => log.Engine.Waiting == 100, "a hundred wait");
        journal.Release();
        await Task.WhenAll([first, .. others]);
        Assert.Equal((2, 100), (journal.Appends, journal.MostEntriesInAFrame));
        await log.CheckLog(101);
    }

    [Fact]
    public async Task A_frame_after_a_crowded_one_waits_for_more_callers_but_not_for_those_that_do_not_come()
    {
        (TestLog log, FaultyJournal journal) = await StartAsync(settings => settings);
        await using TestLog disposed = log;
        long size = 0;
        foreach (int crowd in (int[])[23, 24, 200])
        {
            int before = journal.Appends;
            journal.Hold();
            Task<long> first = log.AddAsync(Entry(4, (int)size++));
            await Eventually.TrueAsync(() => journal.Appends == before + 1, "the first frame is on its way");
            Task<long>[] others = [.. Enumerable.Range(0, crowd).Select(_ => log.AddAsync(Entry(4, (int)size++)))];
            await Eventually.TrueAsync(() => log.Engine.Waiting == crowd, "a crowd waits");
            journal.Release();
            await Task.WhenAll([first, .. others]);

            // Now one alone.
            Assert.Equal(size, await log.AddAsync(Entry(4, (int)size++)));
        }

        await log.CheckLog(size);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task D13_C08_an_entry_whose_frame_failed_is_unknown_then_all_is_503_and_a_restart_decides(bool stored)
    {
        (TestLog log, FaultyJournal journal) = await StartAsync(settings => settings);
        await using TestLog disposed = log;
        await log.AddAsync("before");
        await log.CheckLog(1);

        // A twin of the entry that fails waits for the same frame and shares its fate; another entry, and its twin, wait behind it.
        journal.Hold();
        Task<(HttpStatusCode Status, string Text)> failing = log.PostAsync("/add", "fails"u8.ToArray());
        await Eventually.TrueAsync(() => journal.Appends == 2, "its frame is on its way");
        Task<(HttpStatusCode Status, string Text)> behind = log.PostAsync("/add", "behind"u8.ToArray());
        Task<(HttpStatusCode Status, string Text)> twin = log.PostAsync("/add", "fails"u8.ToArray());
        Task<(HttpStatusCode Status, string Text)> twinBehind = log.PostAsync("/add", "behind"u8.ToArray());
        await Eventually.TrueAsync(() => log.Engine.Waiting == 2 && log.Engine.Duplicates.Counters.Answered == 2, "both twins have come");
        StorageException failure = new("fdatasync", "/somewhere/journal", 5);
        if (stored) journal.FailAfter = failure;
        else journal.FailBefore = failure;
        journal.Release();

        foreach ((HttpStatusCode Status, string Text) answer in ((HttpStatusCode, string)[])[await failing, await twin])
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.Status);
            Assert.Contains("unknown", answer.Text);
            Assert.DoesNotContain("somewhere", answer.Text);
        }

        foreach ((HttpStatusCode Status, string Text) answer in ((HttpStatusCode, string)[])[await behind, await twinBehind, await log.PostAsync("/add", [1]), await log.PostAsync("/add", "fails"u8.ToArray())])
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.Status);
            Assert.DoesNotContain("unknown", answer.Text);
            Assert.DoesNotContain("somewhere", answer.Text);
        }

        Assert.Equal(EngineState.Failed, log.Engine.State);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.GetAsync("/readyz")).Status);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.GetAsync("/healthz")).Status);
        await log.CheckLog(1);

        await log.RestartAsync();
        await log.CheckLog(stored ? 2 : 1);
        Assert.Equal(1, await log.AddAsync("fails"));
        Assert.Equal(2, await log.AddAsync("behind"));
        await log.CheckLog(3);
    }

    [Fact]
    public async Task D19_a_disk_that_never_answers_is_503_unknown_after_the_limit()
    {
        (TestLog log, FaultyJournal journal) = await StartAsync(settings => settings with { WaitLimit = TimeSpan.FromSeconds(1) });
        await using TestLog disposed = log;
        journal.Hold();
        Task<(HttpStatusCode Status, string Text)>[] posts = [log.PostAsync("/add", [1]), log.PostAsync("/add-batch", [0, 1, 2])];
        try
        {
            foreach (Task<(HttpStatusCode Status, string Text)> post in posts)
            {
                (HttpStatusCode status, string text) = await post.WaitAsync(TimeSpan.FromSeconds(60));
                Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
                Assert.Contains("unknown", text);
            }
        }
        finally
        {
            journal.Release();
        }

        await Eventually.TrueAsync(() => log.Engine.Size == 2, "both were stored all the same");
        Assert.InRange(await log.AddAsync([1]), 0, 1);
        await log.CheckLog(2);
    }

    [Fact]
    public async Task D20_entries_that_wait_when_the_log_stops_are_stored_or_refused_and_each_caller_hears_which()
    {
        (TestLog log, FaultyJournal journal) = await StartAsync(settings => settings);
        await using TestLog disposed = log;
        journal.Hold();
        Task<long> first = log.AddAsync("first");
        await Eventually.TrueAsync(() => journal.Appends == 1, "the first frame is on its way");
        Append waiting = await AddAsync("waiting");
        Task disposing = log.Engine.DisposeAsync().AsTask();
        Assert.Equal(EngineState.Stopping, log.Engine.State);
        await Assert.ThrowsAsync<UnavailableException>(async () => await AddAsync("late"));
        journal.Release();
        Assert.Equal(0, await first);
        await disposing;
        await waiting.Durable;
        Assert.Equal(1, waiting.First);

        ValueTask<Append> AddAsync(string entry)
        {
            byte[] bytes = System.Text.Encoding.UTF8.GetBytes(entry);
            return log.Engine.AddAsync(new ReadOnlySequence<byte>(bytes), MerkleHash.Leaf(bytes), CancellationToken.None);
        }
    }

    [Fact]
    public async Task A_duplicate_waits_for_the_frame_of_its_twin_wherever_that_is()
    {
        (TestLog log, FaultyJournal journal) = await StartAsync(settings => settings);
        await using TestLog disposed = log;
        await log.AddAsync("durable");
        journal.Hold();
        byte[][] large = [.. Enumerable.Range(0, 66).Select(i => Entry(60_000, i))]; // two frames of 34 and 32
        List<Append> appends = [await AddAsync("in flight"u8.ToArray())];
        await Eventually.TrueAsync(() => journal.Appends == 2, "the first frame is on its way");
        foreach (byte[] entry in large) appends.Add(await AddAsync(entry));
        Assert.Equal(Enumerable.Range(1, 67).Select(i => (long)i), appends.Select(append => append.First));

        // Twins of what is in flight, in a full frame that waits, and in the frame that is being filled; then batches of all kinds.
        Append durable = await AddAsync("durable"u8.ToArray()), flying = await AddAsync("in flight"u8.ToArray()), full = await AddAsync(large[3]), filling = await AddAsync(large[65]);
        Append batch = await AddBatchAsync("new"u8.ToArray(), "durable"u8.ToArray(), "new"u8.ToArray(), large[3], "newer"u8.ToArray());
        Append known = await AddBatchAsync("durable"u8.ToArray(), "in flight"u8.ToArray(), "durable"u8.ToArray());
        Append last = await AddBatchAsync("newer"u8.ToArray(), "newer"u8.ToArray());
        Assert.Equal((0L, 1L, 5L, 67L), (durable.First, flying.First, full.First, filling.First));
        Assert.Equal([68, 0, 68, 5, 69], batch.Indexes!);
        Assert.Equal([0, 1, 0], known.Indexes!);
        Assert.Equal([69, 69], last.Indexes!);
        Assert.Equal(4 + 3 + 3 + 2, log.Engine.Duplicates.Counters.Answered);

        await durable.Durable;
        Append[] waiting = [flying, full, filling, batch, known, last];
        Task[] answers = [.. waiting.Select(append => append.Durable.AsTask())];
        await Task.Delay(50);
        Assert.DoesNotContain(answers, answer => answer.IsCompleted);
        journal.Release();
        await Task.WhenAll(answers);
        foreach (Append append in appends) await append.Durable;
        await log.CheckLog(70);

        ValueTask<Append> AddAsync(byte[] entry) => log.Engine.AddAsync(new ReadOnlySequence<byte>(entry), MerkleHash.Leaf(entry), CancellationToken.None);

        ValueTask<Append> AddBatchAsync(params byte[][] entries) => log.Engine.AddAsync(TestLog.Bundle(entries), entries.Select(entry => MerkleHash.Leaf(entry)).ToArray(), CancellationToken.None);
    }

    [Fact]
    public async Task I01_an_entry_that_changes_in_memory_after_it_was_received_is_not_stored()
    {
        (TestLog log, FaultyJournal journal) = await StartAsync(settings => settings);
        await using TestLog disposed = log;
        await log.AddAsync("good");
        byte[] checkpoint = await log.CheckLog(1);
        Append changed = await log.Engine.AddAsync(new ReadOnlySequence<byte>([1]), MerkleHash.Leaf([2]), CancellationToken.None);
        await Assert.ThrowsAsync<DamageException>(async () => await changed.Durable);
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Failed, "the engine stops");
        await log.Logged.WaitAsync(7, "memory has changed");
        Assert.Equal(1, journal.Appends);
        Assert.Equal(checkpoint, await log.CheckLog(1));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", [1])).Status);
        await log.RestartAsync();
        Assert.Equal(1, await log.AddAsync([1]));
        await log.CheckLog(2);
    }

    internal static byte[] Entry(int size, int number)
    {
        byte[] entry = new byte[size];
        BitConverter.TryWriteBytes(entry, number);
        return entry;
    }

    internal static async Task<(TestLog Log, FaultyJournal Journal)> StartAsync(Func<Settings, Settings> settings)
    {
        FaultyJournal? journal = null;
        TestLog log = await TestLog.StartAsync(new LogSetup { Settings = settings, Replace = parts => parts with { Journal = journal = new FaultyJournal(parts.Journal) } });
        return (log, journal!);
    }
}
