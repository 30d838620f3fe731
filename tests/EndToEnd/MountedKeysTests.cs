namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Keys as container platforms mount them: mode 0440, readable through their group.</summary>
public sealed class MountedKeysTests
{
    private const string Setting = "allow-group-readable-keys";
    private const UnixFileMode Mounted = UnixFileMode.UserRead | UnixFileMode.GroupRead;

    [Fact]
    public async Task N21_keys_of_mode_0440_are_read_with_a_setting_that_says_so()
    {
        using Scratch scratch = new();
        string key = scratch["secret"], log = scratch["log"];
        Assert.Equal(0, (await Programs.RunAsync(Programs.Tool, "keygen", "--origin", Programs.Origin, "--out", key)).ExitCode);
        File.SetUnixFileMode(key, Mounted);
        string[] create = ["create", "--data", log, "--origin", Programs.Origin, "--key", key, "--journal-file-bytes", "4194304"];
        Refuses(await Programs.RunAsync(Programs.Server, create));
        Ended created = await Programs.RunAsync(Programs.Server, [.. create, $"--{Setting}"]);
        Assert.True(created.ExitCode == 0, created.ToString());

        await using (RunningProgram refused = Programs.Serve(log)) Refuses(await refused.EndAsync());
        await using (RunningProgram served = Programs.Serve(log, new Dictionary<string, string> { ["TLOG_ALLOW_GROUP_READABLE_KEYS"] = "true" }))
        {
            await served.ListeningAsync();
            Assert.Equal(0, (await served.StopAsync()).ExitCode);
        }

        // Every user: no setting helps.
        File.SetUnixFileMode(key, Mounted | UnixFileMode.OtherRead);
        await using RunningProgram open = Programs.Serve(log, null, $"--{Setting}");
        Ended ended = await open.EndAsync();
        Assert.Equal(3, ended.ExitCode);
        Assert.Contains("mode is 0444, so every user has access", ended.Errors);
    }

    [Fact]
    public async Task N21_keys_of_a_witness_too()
    {
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await Programs.CreateWitnessAsync(scratch["witness"], "example.com/w");
        await File.WriteAllTextAsync(scratch["logs"], $"log {vkey}\n", TestContext.Current.CancellationToken);
        foreach (string key in Directory.GetFiles(scratch["witness"], "*.pem")) File.SetUnixFileMode(key, Mounted);
        string[] serve = ["serve", "--data", scratch["witness"], "--listen", "http://127.0.0.1:0", "--logs", scratch["logs"]];
        Refuses(await Programs.RunAsync(Programs.Witness, serve));
        await using RunningProgram served = RunningProgram.Start(Programs.Witness, [.. serve, $"--{Setting}"]);
        await served.ListeningAsync();
        Assert.Equal(0, (await served.StopAsync()).ExitCode);
    }

    private static void Refuses(Ended ended)
    {
        Assert.Equal(3, ended.ExitCode);
        Assert.Contains("mode is 0440, so its group has access", ended.Errors);
        Assert.Contains(Setting, ended.Errors);
        Assert.Contains(Environment.UserName, ended.Errors);
    }
}
