namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What a restart finds beyond the commit record.</summary>
public sealed class RecoveryTests
{
    private static readonly Dictionary<string, string> PublishesOnce = new() { ["TLOG_PUBLISH_GAP_MS"] = "60000" };

    [Fact]
    public async Task D16_entries_beyond_the_commit_record_are_published_by_the_restart_itself()
    {
        using Scratch scratch = new();
        FullCheck check = new(await Programs.CreateLogAsync(scratch["log"]));
        byte[] entry = [1, 2, 3];
        await using (RunningProgram server = Programs.Serve(scratch["log"], PublishesOnce))
        {
            using LogClient client = new(await server.ListeningAsync());
            Assert.True(await client.WaitPublishedAsync(0));
            Assert.Equal([0L], (await client.AddAsync(entry)).Indexes);
            Assert.Equal(0, await client.PublishedSizeAsync());
            server.Kill();
            await server.EndAsync();
        }

        await using RunningProgram again = Programs.Serve(scratch["log"]);
        using LogClient after = new(await again.ListeningAsync());
        Assert.Equal(1, await check.RunAsync(after, [new(0, entry)]));
    }
}
