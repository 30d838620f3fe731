namespace TransparencyLog.Tests.EndToEnd;

/// <summary>The whole of it once, when nothing goes wrong.</summary>
public sealed class PlainRunTests
{
    [Fact]
    public async Task Entries_stand_at_their_indexes_over_two_restarts_one_of_them_a_kill()
    {
        using Scratch scratch = new();
        string directory = scratch["log"];
        FullCheck check = new(await Programs.CreateLogAsync(directory));
        Dictionary<long, byte[]> acknowledged = [];
        for (int run = 0; run < 3; run++)
        {
            await using RunningProgram server = Programs.Serve(directory);
            using LogClient client = new(await server.ListeningAsync());
            Assert.Equal(acknowledged.Count, await check.RunAsync(client, acknowledged));
            byte[][] entries = [.. Enumerable.Range(0, 200).Select(i => System.Text.Encoding.ASCII.GetBytes($"entry {i} of run {run}"))];
            AddAnswer answer = await client.AddBatchAsync(entries);
            Assert.True(answer.IsAcknowledged, answer.ToString());
            for (int i = 0; i < entries.Length; i++) acknowledged.Add(answer.Indexes[i], entries[i]);
            await check.RunAsync(client, acknowledged);
            if (run == 1)
            {
                server.Kill();
                Assert.Equal(Ended.Killed, (await server.EndAsync()).ExitCode);
            }
            else
            {
                Ended ended = await server.StopAsync();
                Assert.True(ended.ExitCode == 0, ended.ToString());
            }
        }
    }
}
