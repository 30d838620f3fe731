using System.Net;

namespace TransparencyLog.Tests.Server;

public sealed class AddBatchTests
{
    private const int Limit = 2 * 1024 * 1024;

    [Fact]
    public async Task Indexes_come_one_a_line_in_the_order_of_the_entries()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.AddAsync("before");
        Assert.Equal((long[])[1, 2, 3], await log.AddBatchAsync([[1], [2], AddTests.Bytes(65_535)]));
        Assert.Equal("4\n5\n", (await log.PostAsync("/add-batch", [0, 1, 77, 0, 1, 78])).Text);
        await log.CheckLog(6);
    }

    [Fact]
    public async Task Duplicates_within_a_batch_and_of_recent_entries_get_the_first_index()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.AddAsync("old");
        byte[] old = "old"u8.ToArray(), a = [1], b = [2];
        Assert.Equal((long[])[1, 0, 1, 2, 2, 0], await log.AddBatchAsync([a, old, a, b, b, old]));
        Assert.Equal((long[])[0, 0], await log.AddBatchAsync([old, old]));
        await log.CheckLog(3);
    }

    [Fact]
    public async Task A_batch_has_at_most_2_MiB()
    {
        await using TestLog log = await TestLog.StartAsync();
        List<byte[]> entries = [];
        int left = Limit;
        for (int i = 0; left > 0; i++)
        {
            byte[] entry = AddTests.Bytes(Math.Min(60_000, left - 2));
            entry[0] = (byte)i;
            entries.Add(entry);
            left -= 2 + entry.Length;
        }

        byte[] bundle = TestLog.Bundle(entries);
        Assert.Equal(Limit, bundle.Length);
        (HttpStatusCode status, string text) = await log.PostAsync("/add-batch", [.. bundle, 0]);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, status);
        Assert.Contains("2097152 bytes", text);
        await log.CheckLog(0);
        await log.AddBatchAsync(entries);
        await log.CheckLog(entries.Count);
    }

    [Fact]
    public async Task A_broken_prefix_is_400_names_its_offset_and_appends_nothing()
    {
        await using TestLog log = await TestLog.StartAsync();
        foreach ((byte[] body, int offset) in ((byte[], int)[])
        [
            ([0], 0),
            ([0, 2, 1], 0),
            ([0, 1, 9, 0], 3),
            ([0, 1, 9, 0, 3, 1, 1], 3),
            ([0, 1, 9, 0, 1, 9, 255, 255, 0], 6),
        ])
        {
            (HttpStatusCode status, string text) = await log.PostAsync("/add-batch", body);
            Assert.Equal(HttpStatusCode.BadRequest, status);
            Assert.Contains($"at byte {offset} ", text);
            Assert.Contains("nothing was appended", text);
        }

        await log.CheckLog(0);
    }

    [Fact]
    public async Task An_empty_entry_is_400_names_its_offset_and_appends_nothing()
    {
        await using TestLog log = await TestLog.StartAsync();
        foreach ((byte[] body, int offset) in ((byte[], int)[])[([0, 0], 0), ([0, 1, 9, 0, 0], 3), ([0, 1, 9, 0, 0, 0, 1, 8], 3)])
        {
            (HttpStatusCode status, string text) = await log.PostAsync("/add-batch", body);
            Assert.Equal(HttpStatusCode.BadRequest, status);
            Assert.Contains($"at byte {offset} is empty", text);
        }

        Assert.Equal(HttpStatusCode.BadRequest, (await log.PostAsync("/add-batch", [])).Status);
        await log.CheckLog(0);
    }

    [Fact]
    public async Task Batches_in_parallel_are_each_contiguous_and_all_there()
    {
        await using TestLog log = await TestLog.StartAsync();
        long[][] answers = await Task.WhenAll(Enumerable.Range(0, 40).Select(batch =>
            log.AddBatchAsync([.. Enumerable.Range(0, 50).Select(i => BitConverter.GetBytes((batch * 50) + i))])));
        foreach (long[] indexes in answers) Assert.Equal(Enumerable.Range(0, 50).Select(i => indexes[0] + i), indexes);
        Assert.Equal(2000, answers.SelectMany(indexes => indexes).Distinct().Count());
        await log.CheckLog(2000);
    }
}
