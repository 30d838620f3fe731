using System.Net;
using TransparencyLog.Server;

namespace TransparencyLog.Tests.Server;

public sealed class FullIndexTests
{
    private const int Table = 1024 * 1024; // the smallest for full history: 131,072 slots
    private const int MoreThanTheTable = 140_000;

    [Fact]
    public async Task An_entry_older_than_the_table_has_its_first_index_before_and_after_a_restart()
    {
        await using TestLog log = await TestLog.StartAsync(Full());
        await FillAsync(log, MoreThanTheTable);
        await CompleteAsync(log, MoreThanTheTable);
        Assert.Equal(3, await log.AddAsync(DuplicateTests.Entry(3)));
        await log.RestartAsync(Full());
        await CompleteAsync(log, MoreThanTheTable);
        long[] indexes = await Task.WhenAll(Enumerable.Range(0, 1000).Select(_ => log.AddAsync(DuplicateTests.Entry(5))));
        Assert.Equal([5L], indexes.Distinct());
        Assert.Equal((long[])[100, MoreThanTheTable - 1, MoreThanTheTable], await log.AddBatchAsync([DuplicateTests.Entry(100), DuplicateTests.Entry(MoreThanTheTable - 1), "new"u8.ToArray()]));
        Assert.Equal((HttpStatusCode.OK, "7"), await log.GetAsync(PathOf(7)));
        Assert.Equal(MoreThanTheTable + 1, log.Engine.Size);
        Assert.Equal(0, log.Engine.Duplicates.Full!.Failures);
    }

    [Theory]
    [InlineData("deleted")]
    [InlineData("noise")]
    [InlineData("a file")]
    public async Task I07_what_became_of_it_at_rest_does_not_matter(string what)
    {
        await using TestLog log = await TestLog.StartAsync(Full());
        await FillAsync(log, 1000);
        await CompleteAsync(log, 1000);
        await log.StopAsync();
        string directory = Path.Combine(log.Data, "index");
        if (what != "noise") Directory.Delete(directory, recursive: true);
        if (what == "a file") await File.WriteAllTextAsync(directory, "x");
        if (what == "noise") await File.WriteAllBytesAsync(Path.Combine(directory, "data.0"), AddTests.Bytes(100_000));
        await log.ServeAsync(Full());
        await CompleteAsync(log, 1000);
        Assert.Equal(0, log.Engine.Duplicates.Full!.Failures);
        Assert.Equal(9, await log.AddAsync(DuplicateTests.Entry(9)));
        Assert.Equal((HttpStatusCode.OK, "10"), await log.GetAsync(PathOf(10)));
        await log.CheckLog(1000);
    }

    [Theory]
    [InlineData("deleted")]
    [InlineData("noise")]
    [InlineData("cut")]
    public async Task I07_what_becomes_of_it_while_it_runs_costs_at_most_a_second_index_and_it_is_made_anew(string what)
    {
        // Enough that its oldest entries are on disk only.
        const int Entries = 800_000;
        FakeTime time = new();
        await using TestLog log = await TestLog.StartAsync(Full() with { Time = time });
        await FillAsync(log, Entries);
        await CompleteAsync(log, Entries);
        string directory = Path.Combine(log.Data, "index"), data = Path.Combine(directory, "data.0");
        long length = new FileInfo(data).Length;
        Assert.True(length > 0);
        if (what == "deleted")
        {
            // Its file is open, and stays what it was until the end.
            Directory.Delete(directory, recursive: true);
            Assert.Equal(3, await log.AddAsync(DuplicateTests.Entry(3)));
            await log.RestartAsync(Full());
            await CompleteAsync(log, Entries);
            Assert.Equal(3, await log.AddAsync(DuplicateTests.Entry(3)));
            Assert.Equal(Entries, log.Engine.Size);
            return;
        }

        await using (FileStream file = new(data, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            if (what == "noise") await file.WriteAsync(AddTests.Bytes((int)length));
            else file.SetLength(0);
        }

        Assert.Equal(Entries, await log.AddAsync(DuplicateTests.Entry(3)));
        await Eventually.TrueAsync(() => log.Engine.Duplicates.Full!.Failures == 1, "the failure is seen");
        await log.Logged.WaitAsync(9, "made anew");
        Assert.Equal(EngineState.Ready, log.Engine.State);
        Assert.Equal(Entries + 1, await log.AddAsync("new"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.GetAsync(PathOf(3 + 100_000))).Status);
        await Eventually.TrueAsync(
            () =>
            {
                time.Advance(FullIndex.Pause);
                return log.Engine.Duplicates.Full!.IsComplete;
            },
            "it is made anew");
        Assert.Equal(3, await log.AddAsync(DuplicateTests.Entry(3)));
        Assert.Equal(1, log.Logged.Count(9));
        Assert.Equal(Entries + 2, log.Engine.Size);
    }

    [Fact]
    public async Task Where_it_cannot_be_made_entries_are_taken_all_the_same()
    {
        await using TestLog log = TestLog.Create();
        string directory = Path.Combine(log.Data, "index");
        Directory.CreateDirectory(directory);
        await File.WriteAllTextAsync(Path.Combine(directory, "kept"), "");
        File.SetUnixFileMode(directory, UnixFileMode.None);
        bool isRoot = Environment.UserName == "root"; // who may do everything
        await log.ServeAsync(Full());
        Assert.Equal(0, await log.AddAsync("one"));
        Assert.Equal(0, await log.AddAsync("one"));
        if (!isRoot) await Eventually.TrueAsync(() => log.Engine.Duplicates.Full!.Failures == 1, "the failure is seen");
        await log.CheckLog(1);
        if (Directory.Exists(directory)) File.SetUnixFileMode(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    [Fact]
    public async Task The_index_of_a_leaf_hash_is_given_once_it_is_published()
    {
        await using TestLog log = await TestLog.StartAsync(Full());
        await FillAsync(log, 300);
        await CompleteAsync(log, 300);
        await log.CheckLog(300);
        foreach (int entry in (int[])[0, 255, 256, 299])
        {
            using HttpResponseMessage answer = await log.Http.GetAsync(PathOf(entry));
            Assert.Equal($"{entry}", await answer.Content.ReadAsStringAsync());
            Assert.Equal(("text/plain; charset=utf-8", "public, max-age=31536000, immutable"), (answer.Content.Headers.ContentType!.ToString(), answer.Headers.CacheControl!.ToString()));
            Assert.Equal(200, (await RawHttp.SendAsync(log.Url, "HEAD", PathOf(entry))).Status);
        }

        using (HttpResponseMessage answer = await log.Http.GetAsync(PathOf(300)))
        {
            Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
            Assert.Contains("size 300", await answer.Content.ReadAsStringAsync());
            Assert.True(answer.Headers.CacheControl!.NoStore);
        }

        Assert.Equal(405, (await RawHttp.SendAsync(log.Url, "POST", PathOf(0), "Content-Length: 0\r\n")).Status);
    }

    [Fact]
    public async Task An_entry_that_is_durable_and_not_published_has_no_index_for_readers()
    {
        await using TestLog log = await TestLog.StartAsync(Full(settings => settings with { PublishGap = TimeSpan.FromMinutes(10) }));
        await log.CheckLog(0);
        await log.AddAsync(DuplicateTests.Entry(1));
        await log.AddAsync(DuplicateTests.Entry(2));
        await CompleteAsync(log, 2);
        (HttpStatusCode status, string text) = await log.GetAsync(PathOf(2));
        Assert.Equal(0, log.Engine.Publisher.Current!.Size);
        Assert.Equal(1, await log.AddAsync(DuplicateTests.Entry(2)));
        Assert.Equal(HttpStatusCode.NotFound, status);
        Assert.Contains("published tree", text);
    }

    [Theory]
    [InlineData("/index/")]
    [InlineData("/index")]
    [InlineData("/index/0")]
    [InlineData("/index/96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc")]
    [InlineData("/index/96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7a")]
    [InlineData("/index/96A296D224F285C67BEE93C30F8A309157F0DAA35DC5B87E410B78630A09CFC7")]
    [InlineData("/index/g6a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7")]
    [InlineData("/index/96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7/")]
    [InlineData("/index/96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7/?x")]
    [InlineData("/index/%39%36a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7")]
    [InlineData("//index/96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7")]
    [InlineData("/Index/96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7")]
    [InlineData("/index/96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7")]
    public async Task Without_full_history_and_for_anything_else_it_is_404(string target)
    {
        TestLog log = await SharedLog.GetAsync();
        (int status, string answer) = await RawHttp.SendAsync(log.Url, "GET", target);
        Assert.Equal(404, status);
        Assert.Contains("urn:transparency-log:problem:not-found", answer);
        if (target.EndsWith("/96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", StringComparison.Ordinal) && target.StartsWith("/index", StringComparison.Ordinal)) Assert.Contains("duplicate-index full", answer);
    }

    [Fact]
    public async Task While_it_is_made_what_is_not_found_is_503_and_what_is_found_is_answered()
    {
        await using TestLog log = await TestLog.StartAsync();
        await FillAsync(log, 1024);
        await log.CheckLog(1024);
        TaskCompletionSource open = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await log.RestartAsync(DuplicateTests.Hooked(hooked => hooked.Before = number => number == 2 ? open.Task : Task.CompletedTask) with { Settings = Full().Settings });
        await Eventually.TrueAsync(() => log.Engine.Duplicates.Full!.Covered == 512, "two segments are in it");
        Assert.Equal((HttpStatusCode.OK, "3"), await log.GetAsync(PathOf(3)));
        (HttpStatusCode status, string text) = await log.GetAsync(PathOf(5000));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Contains("being made", text);
        open.SetResult();
        await CompleteAsync(log, 1024);
        Assert.Equal(HttpStatusCode.NotFound, (await log.GetAsync(PathOf(5000))).Status);
        Assert.Equal((HttpStatusCode.OK, "600"), await log.GetAsync(PathOf(600)));
    }

    private static LogSetup Full(Func<Settings, Settings>? more = null) =>
        DuplicateTests.With(settings => (more?.Invoke(settings) ?? settings) with { DuplicateIndex = DuplicateHistory.Full, DuplicateTableBytes = Table });

    private static string PathOf(int entry) => $"/index/{MerkleHash.Leaf(DuplicateTests.Entry(entry)).ToHex()}";

    private static async Task FillAsync(TestLog log, int entries)
    {
        const int Batch = 100_000;
        for (int from = 0; from < entries; from += Batch)
        {
            (HttpStatusCode status, string text) = await log.PostAsync("/add-batch", TestLog.Bundle(DuplicateTests.Entries(from, Math.Min(entries, from + Batch))));
            Assert.True(status == HttpStatusCode.OK, text);
        }
    }

    private static Task CompleteAsync(TestLog log, long entries) =>
        Eventually.TrueAsync(() => log.Engine.Duplicates.Full! is { IsComplete: true } full && full.Covered == entries / 256 * 256, $"all sealed segments of {entries} entries are in the index");
}
