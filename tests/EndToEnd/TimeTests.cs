// Time as processes meet it: other zones and cultures, and a stall of everything.

using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

public sealed class TimeTests
{
    /// <summary>One host in a zone of 14 hours and Farsi, one with a summer time of half an hour, leap seconds, and Turkish. The stamps are those of UTC.</summary>
    [Theory]
    [InlineData("Pacific/Kiritimati", "fa_IR.UTF-8")]
    [InlineData("right/Australia/Lord_Howe", "tr_TR.UTF-8")]
    public async Task T04_O11_zone_and_language_of_the_host_change_no_stamp_and_no_byte(string zone, string language)
    {
        using Scratch scratch = new();
        Dictionary<string, string> host = new() { ["TZ"] = zone, ["LANG"] = language, ["LC_ALL"] = language };
        long before = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        await using RunningProgram create = RunningProgram.Start(Programs.Server, ["create", "--data", scratch["log"], "--origin", Programs.Origin, "--journal-file-bytes", "4194304"], host);
        Ended created = await create.EndAsync();
        Assert.True(created.ExitCode == 0, created.ToString());
        await using RunningProgram server = Programs.Serve(scratch["log"], host);
        using LogClient client = new(await server.ListeningAsync());
        Observed observed = new();
        Assert.True(await observed.AddAsync(client, [.. Enumerable.Range(0, 1300).Select(i => Encoding.UTF8.GetBytes($"entry {i} İıفارسی"))]));
        Assert.Equal(1300, await new FullCheck(created.Output.TrimEnd('\n')).RunAsync(client, observed.Acknowledged));
        Assert.Equal(0, (await server.StopAsync()).ExitCode);
        long after = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

        byte[] heads = await File.ReadAllBytesAsync(Path.Combine(scratch["log"], "heads"));
        string[] lines = Encoding.ASCII.GetString(heads).TrimEnd('\0').TrimEnd('\n').Split('\n');
        Assert.InRange(lines.Length, 2, 100);
        Assert.All(lines, line => Assert.InRange(long.Parse(line.Split(' ')[2], NumberStyles.None, CultureInfo.InvariantCulture), before, after));
        Assert.All(server.Errors.TrimEnd('\n').Split('\n'), line => Assert.Matches("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z ", line));
        Assert.StartsWith(DateTimeOffset.FromUnixTimeMilliseconds(after).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)[..7], server.Errors, StringComparison.Ordinal);
    }

    /// <summary>As spec/storage.md has it, bit by bit.</summary>
    private static uint Crc32C(byte[] bytes)
    {
        uint crc = ~0u;
        foreach (byte one in bytes)
        {
            crc ^= one;
            for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
        }

        return ~crc;
    }

    [Fact]
    public async Task N03_an_operator_accepts_the_clock_of_a_log_that_was_off_for_40_days()
    {
        using Scratch scratch = new();
        await Programs.CreateLogAsync(scratch["log"], "--ml-dsa", "--journal-file-bytes", "4194304");
        string heartbeat = Path.Combine(scratch["log"], "heartbeat");
        string line = string.Create(CultureInfo.InvariantCulture, $"tlog-heartbeat v1 {DateTimeOffset.UtcNow.AddDays(-40).ToUnixTimeSeconds()} ");
        await File.WriteAllTextAsync(heartbeat, $"{line}{Crc32C(Encoding.ASCII.GetBytes(line)):x8}\n");
        await using (RunningProgram server = Programs.Serve(scratch["log"]))
        {
            Uri url = await server.ListeningAsync();
            using LogClient client = new(url);
            Assert.True((await client.AddAsync("held"u8.ToArray())).IsAcknowledged);
            using HttpClient http = new();
            Assert.Equal(System.Net.HttpStatusCode.ServiceUnavailable, (await http.GetAsync(new Uri(url, "/readyz"))).StatusCode);
            Assert.Equal(System.Net.HttpStatusCode.ServiceUnavailable, (await http.GetAsync(new Uri(url, "/checkpoint"))).StatusCode);
            Assert.Equal(3, (await Programs.RunAsync(Programs.Server, "clock", "accept", "--data", scratch["log"], "--reason", "it runs")).ExitCode);
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
            await server.SaysAsync($"tlog-server clock accept --data {scratch["log"]} --reason TEXT");
        }

        Ended accepted = await Programs.RunAsync(Programs.Server, "clock", "accept", "--data", scratch["log"], "--reason", "it was in a box");
        Assert.True(accepted.ExitCode == 0, accepted.ToString());
        await using RunningProgram again = Programs.Serve(scratch["log"]);
        using LogClient reader = new(await again.ListeningAsync());
        Assert.True(await reader.WaitPublishedAsync(1));
        Assert.Equal(0, (await again.StopAsync()).ExitCode);
        Assert.Equal(0, (await Programs.RunAsync(Programs.Tool, "fsck", scratch["log"])).ExitCode);
    }

    [Fact]
    public async Task T05_a_stall_of_seconds_is_followed_by_the_next_append_and_by_no_storm()
    {
        using Scratch scratch = new();
        await using Network network = await Network.CreateAsync(scratch, 1, 1, new Dictionary<string, string> { ["TLOG_RENEW_INTERVAL_S"] = "1" });
        await network.StartLogAsync();
        await network.ReadyAsync();
        using LogClient client = new(network.LogUrl);
        Observed observed = new();
        Assert.True(await observed.AddAsync(client, "before"u8.ToArray()));
        Assert.True(await client.WaitPublishedAsync(1));
        int heads = Heads();

        await Network.SuspendAsync(network.Log);
        await Network.SuspendAsync(network.Witness(0));
        Task<AddAnswer> late = client.AddAsync("during"u8.ToArray());
        await Task.Delay(TimeSpan.FromSeconds(4)); // that long is the stall: four renewals are due in it
        Assert.False(late.IsCompleted);
        Network.Signal(network.Witness(0), Network.SigCont);
        Network.Signal(network.Log, Network.SigCont);

        Assert.True((await late).IsAcknowledged);
        Assert.True(await observed.AddAsync(client, "after"u8.ToArray()));
        Assert.True(await client.WaitPublishedAsync(3));

        // One head for each of the two entries at most, and one cosigned checkpoint that is public.
        Assert.InRange(Heads() - heads, 1, 2);
        await new FullCheck(network.VerifierKey).RunAsync(client, observed.Acknowledged);
        Assert.Contains("\n3\n", await network.CosignedByAsync(0), StringComparison.Ordinal);

        int Heads() => File.ReadAllBytes(Path.Combine(network.LogData, "heads")).Count(one => one == (byte)'\n');
    }
}
