namespace TransparencyLog.Tests.Witness;

/// <summary>
/// Run with nothing beside them: memory is measured, or processes are started (between fork and exec a child holds the locks of all the
/// witnesses in this process).
/// </summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

/// <summary>W-08, A-14: strangers leave nothing behind.</summary>
[Collection(nameof(Alone))]
public sealed class FloodTests
{
    [Fact]
    public async Task W08_A14_ten_thousand_unknown_origins_leave_nothing_behind()
    {
        const int Origins = 10_000;
        TestLog log = new("example.com/flooded"), stranger = new("example.com/stranger", 2);
        await using TestWitness witness = await TestWitness.StartAsync(log);
        await witness.CosignAsync(log, 0, 5);
        string template = stranger.Request(0, 1);
        await FloodAsync(0, 3000);
        (long files, long updates, long before) = (Bytes(), witness.Journal.Inner.NextIndex, GC.GetTotalMemory(forceFullCollection: true));
        await FloodAsync(3000, 3000 + Origins);
        long growth = GC.GetTotalMemory(forceFullCollection: true) - before;

        // The origin alone would be 50 bytes each.
        Assert.True(growth < Origins * 40, $"{growth} bytes");
        Assert.Equal((files, updates), (Bytes(), witness.Journal.Inner.NextIndex));
        Assert.Contains("tlog_witness_logs 1\n", (await witness.GetAsync("/metrics")).Text);
        await witness.CosignAsync(log, 5, 6);

        Task FloodAsync(int from, int to) => Parallel.ForAsync(from, to, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (i, stop) =>
            Assert.Equal(404, (await witness.PostAsync(template.Replace(stranger.Origin, $"example.com/stranger{i}"), stop)).Status));

        long Bytes() => Directory.GetFiles(witness.Data, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);
    }
}
