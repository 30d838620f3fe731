using System.Net;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>A disk that fails once, while the server runs.</summary>
public sealed class SyncFailureTests
{
    [Fact]
    public async Task D06_a_failed_sync_of_the_journal_is_never_a_200_and_stops_the_log_until_a_restart_while_readers_stay()
    {
        if (Programs.Shim is null) Assert.Skip("bin/fault.so is not there: it needs a C compiler (make deps)");
        using Scratch scratch = new();
        string directory = scratch["log"];
        FullCheck check = new(await Programs.CreateLogAsync(directory, "--journal-file-bytes", "4194304"));
        Observed observed = new();
        Dictionary<string, string> secondAppendFails = new()
        {
            ["LD_PRELOAD"] = Programs.Shim,
            ["DEVTLOG_FAULT_PREFIX"] = Path.Combine(directory, "journal"),
            ["DEVTLOG_FAULT_ONLY"] = "sync",
            ["DEVTLOG_FAULT_AT"] = "3", // the first is that of the start
            ["DEVTLOG_FAULT_ACTION"] = "eio",
        };
        await using (RunningProgram server = Programs.Serve(directory, secondAppendFails))
        {
            using LogClient client = new(await server.ListeningAsync());
            Assert.True(await observed.AddAsync(client, [1]));
            Assert.True(await client.WaitPublishedAsync(1));
            byte[] checkpoint = await client.GetAsync("checkpoint");

            // The disk is well again at once: it makes no difference.
            for (byte i = 2; i < 8; i++) Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.AddAsync([i])).Status);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.AddBatchAsync([[8], [9]])).Status);
            Assert.Equal(checkpoint, await client.GetAsync("checkpoint"));
            Assert.Equal([1], await client.GetAsync("entry/0"));
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.TryGetAsync("readyz")).Status);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.TryGetAsync("healthz")).Status);
            check.Saw(checkpoint);
            Ended ended = await server.StopAsync();
            Assert.Contains("fdatasync", ended.Errors, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", ended.Errors, StringComparison.Ordinal);
        }

        // Whether the entry that got no answer is there is open; that the log goes on is not.
        await using RunningProgram again = Programs.Serve(directory);
        using LogClient after = new(await again.ListeningAsync());
        await check.RunAsync(after, observed.Acknowledged);
        Assert.True(await observed.AddAsync(after, [77]));
        await check.RunAsync(after, observed.Acknowledged);
    }
}
