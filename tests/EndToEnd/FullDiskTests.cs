using System.Net;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>D-08: a disk that is filled while the log runs, to the reserve and to the last byte.</summary>
public sealed class FullDiskTests
{
    private const int Megabytes = 128;

    /// <summary>With these the reserve is 2 * 2 + 4 + 32 + 16 = 56 MiB.</summary>
    private static readonly Dictionary<string, string> Small = new() { ["TLOG_INTAKE_BYTES"] = "2097152" };

    [Fact]
    public async Task D08_appends_are_refused_before_a_write_fails_and_go_on_when_there_is_room_and_a_full_disk_stops_no_start()
    {
        using Scratch scratch = new();
        (SmallDisk? made, string whyNot) = await SmallDisk.TryCreateAsync(scratch["disk"], Megabytes);
        if (made is null) Privileges.Skip(whyNot);
        await using SmallDisk disk = made!;
        string directory = Path.Combine(disk.Root, "log");
        FullCheck check = new(await Programs.CreateLogAsync(directory, "--journal-file-bytes", "4194304"));
        Observed observed = new();
        await using (RunningProgram server = Programs.Serve(directory, Small))
        {
            using LogClient client = new(await server.ListeningAsync());
            Assert.True(await observed.AddAsync(client, "before"u8.ToArray()));
            await disk.FillAsync(40 * 1024 * 1024);
            AddAnswer refused = await RefusedAsync(client);
            Assert.Contains("nearly full", refused.Body, StringComparison.Ordinal);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.TryGetAsync("healthz")).Status);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.TryGetAsync("readyz")).Status);
            Assert.True(await client.WaitPublishedAsync(1));
            Assert.Equal("before"u8.ToArray(), await client.GetAsync("entry/0"));
            await server.SaysAsync("the disk is nearly full");

            disk.Empty();
            Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync("healthz")).Status == HttpStatusCode.OK, Until.Patience));
            Assert.True(await observed.AddAsync(client, "between"u8.ToArray()));
            Assert.True(await client.WaitPublishedAsync(2));

            // To the last byte: nothing of ours needs room to go on reading.
            await disk.FillAsync(0);
            await RefusedAsync(client);
            Assert.Equal("between"u8.ToArray(), await client.GetAsync("entry/1"));
            server.Kill();
            await server.EndAsync();
        }

        await using (RunningProgram again = Programs.Serve(directory, Small))
        {
            using LogClient client = new(await again.ListeningAsync());
            await RefusedAsync(client);
            Assert.True(await client.WaitPublishedAsync(2));
            Assert.Equal(2, await check.RunAsync(client, observed.Acknowledged));
            disk.Empty();
            Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync("readyz")).Status == HttpStatusCode.OK, Until.Patience));
            Assert.True(await observed.AddAsync(client, "after"u8.ToArray()));
            Assert.Equal(3, await check.RunAsync(client, observed.Acknowledged));
            Ended ended = await again.StopAsync();
            Assert.True(ended.ExitCode == 0, ended.ToString());
        }

        Ended fsck = await Programs.RunAsync(Programs.Tool, "fsck", directory);
        Assert.True(fsck.ExitCode == 0, fsck.ToString());
    }

    [Fact]
    public async Task N10_without_inodes_appends_are_refused_and_come_back_without_a_restart()
    {
        using Scratch scratch = new();
        (SmallDisk? made, string whyNot) = await SmallDisk.TryCreateAsync(scratch["disk"], Megabytes, inodes: 1000);
        if (made is null) Privileges.Skip(whyNot);
        await using SmallDisk disk = made!;
        string directory = Path.Combine(disk.Root, "log");
        FullCheck check = new(await Programs.CreateLogAsync(directory, "--journal-file-bytes", "4194304"));
        Observed observed = new();
        await using RunningProgram server = Programs.Serve(directory, Small);
        using LogClient client = new(await server.ListeningAsync());

        // More than one journal file in all, so that its next file is due while there are no inodes.
        for (int round = 0; round < 3; round++)
        {
            Random random = new(round);
            byte[][] batch = [.. Enumerable.Range(0, 30).Select(_ => new byte[60_000])];
            foreach (byte[] entry in batch) random.NextBytes(entry);
            Assert.True(await observed.AddAsync(client, batch));
            disk.TakeInodes();
            AddAnswer refused = await RefusedAsync(client);
            Assert.Contains("nearly full", refused.Body, StringComparison.Ordinal);
            Assert.True(await Until.TrueAsync(() => Task.FromResult(server.Errors.Contains("inodes", StringComparison.Ordinal)), Until.Patience), server.Errors);
            disk.GiveInodes();
            Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync("readyz")).Status == HttpStatusCode.OK, Until.Patience));
        }

        Assert.Equal(observed.Acknowledged.Count, await check.RunAsync(client, observed.Acknowledged));
        Assert.Equal(0, (await server.StopAsync()).ExitCode);
    }

    /// <summary>An append that is refused. The log looks 20 times a second how much room there is: until it has, one may still be taken.</summary>
    private static async Task<AddAnswer> RefusedAsync(LogClient client)
    {
        Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync("healthz")).Status == HttpStatusCode.ServiceUnavailable, Until.Patience));
        AddAnswer answer = await client.AddAsync("no room"u8.ToArray());
        Assert.True(answer.Status == HttpStatusCode.ServiceUnavailable, $"{answer.Status} {answer.Body}");
        return answer;
    }
}
