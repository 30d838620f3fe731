namespace TransparencyLog.Tests.EndToEnd;

/// <summary>A halted log, its operator and its guard.</summary>
public sealed class ResumeTests
{
    [Fact]
    public async Task G07_a_log_with_a_guard_is_resumed_with_its_guard()
    {
        using Scratch scratch = new();
        string data = scratch["log"], guard = scratch["guard"];
        FullCheck check = new(await Programs.CreateLogAsync(data, "--journal-file-bytes", "4194304"));
        await using (RunningProgram server = Programs.Serve(data, environment: null, "--guard", guard))
        {
            using LogClient client = new(await server.ListeningAsync());
            await client.AddAsync([1]);
            Assert.Equal(1, await check.RunAsync(client, [new(0, [1])]));
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        // As a halt leaves it (spec/storage.md).
        await File.WriteAllTextAsync(Path.Combine(data, "halted"), "2026-11-21T00:00:00Z\na fence\n");
        Ended without = await Programs.RunAsync(Programs.Server, "resume", "--data", data, "--reason", "looked into it");
        Assert.Equal(3, without.ExitCode);
        Assert.Contains("--guard", without.Errors);
        Ended resumed = await Programs.RunAsync(Programs.Server, "resume", "--data", data, "--guard", guard, "--reason", "looked into it");
        Assert.True(resumed.ExitCode == 0, resumed.ToString());
        Assert.Contains("a fence", resumed.Errors);

        await using RunningProgram again = Programs.Serve(data, environment: null, "--guard", guard);
        using LogClient after = new(await again.ListeningAsync());
        Assert.True((await after.AddAsync([2])).IsAcknowledged);
        Assert.Equal(2, await check.RunAsync(after, [new(0, [1]), new(1, [2])]));
    }
}
