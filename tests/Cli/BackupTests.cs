namespace TransparencyLog.Tests.Cli;

/// <summary>tlog backup and tlog restore as commands; what they do is tested beside a running log.</summary>
public sealed class BackupTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_log_is_copied_and_comes_back_halted_and_whole()
    {
        string data = _scratch["log"], to = _scratch["backup"], restored = _scratch["restored"];
        await LogBuilder.CreateAsync(data, 600, [300, 600]);
        Tlog backup = (await Tlog.RunAsync("backup", data, to)).Succeeds();
        string root = MerkleHash.Root([.. Enumerable.Range(0, 600).Select(i => MerkleHash.Leaf(LogBuilder.EntryAt(i)))]).ToString();
        Assert.Equal(["entries 600", "segments 2", "size 600", $"root {root}"], backup.Lines[..4]);
        Assert.Matches("^copied [0-9]{5,}$", backup.Lines[4]);
        Assert.Equal("copied 0", (await Tlog.RunAsync("backup", data, to, "--mb-s", "5")).Succeeds().Lines[4]);

        (await Tlog.RunAsync("restore", to, restored)).Fails(3, "without the key key.pem");
        Tlog restore = (await Tlog.RunAsync("restore", to, restored, "--key", Path.Combine(data, "key.pem"))).Succeeds();
        Assert.Equal(backup.Lines[..4], restore.Lines);
        Assert.Contains("is halted: tlog-server resume", restore.Error);
        Tlog fsck = (await Tlog.RunAsync("fsck", restored)).Succeeds();
        Assert.Contains("restored", fsck.Error);
        foreach (string file in (string[])["log", "key.pem", "commit", "segments/addresses", "tree/addresses", "segments/commit"])
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(data, file)), File.ReadAllBytes(Path.Combine(restored, file)));
        }

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(restored, "key.pem")));
    }

    [Fact]
    public async Task A_backup_with_the_key_needs_none_and_another_key_is_refused()
    {
        string data = _scratch["log"], to = _scratch["backup"];
        await LogBuilder.CreateAsync(data, 10, [10]);
        (await Tlog.RunAsync("backup", data, to, "--with-key")).Succeeds();
        (await Tlog.RunAsync("keygen", "--origin", LogBuilder.Origin, "--out", _scratch["other.pem"])).Succeeds();
        (await Tlog.RunAsync("restore", to, _scratch["restored"], "--key", _scratch["other.pem"])).Fails(2, "is another key");
        (await Tlog.RunAsync("restore", to, _scratch["restored"])).Succeeds();
    }

    [Fact]
    public async Task Damage_is_a_line_on_standard_output_and_exit_code_1()
    {
        string data = _scratch["log"], to = _scratch["backup"];
        await LogBuilder.CreateAsync(data, 600, [600]);
        (await Tlog.RunAsync("backup", data, to, "--with-key")).Succeeds();
        Forger.FlipByte(Path.Combine(to, "segments", "data.0"), 5000);
        Tlog restore = await Tlog.RunAsync("restore", to, _scratch["restored"]);
        Assert.Equal(1, restore.Code);
        Assert.StartsWith("storage: ", Assert.Single(restore.Lines), StringComparison.Ordinal);
        Assert.Contains("was not made", restore.Error);
        Assert.False(Directory.Exists(_scratch["restored"]));
    }

    [Fact]
    public async Task What_is_no_backup_or_no_log_or_no_rate_is_refused()
    {
        await LogBuilder.CreateAsync(_scratch["log"], 1, [1]);
        (await Tlog.RunAsync("restore", _scratch["log"], _scratch["restored"])).Fails(3, "is not a backup");
        (await Tlog.RunAsync("backup", _scratch["nothing"], _scratch["backup"])).Fails(3, "nothing does not exist");
        Directory.CreateDirectory(_scratch["empty"]);
        (await Tlog.RunAsync("backup", _scratch["empty"], _scratch["backup"])).Fails(3, "empty is not a log: it has no file named log");

        // The folder above the log's, when the log's is called log.
        (await Tlog.RunAsync("backup", _scratch.Root, _scratch["backup"])).Fails(3, $"{_scratch.Root} is not a log: {_scratch["log"]} is a directory; name that if it is the log");
        (await Tlog.RunAsync("backup", _scratch["log"], _scratch["backup"], "--mb-s", "0")).Fails(2, "--mb-s is 1 to 10,000");
        Assert.False(Directory.Exists(_scratch["backup"]));
    }
}
