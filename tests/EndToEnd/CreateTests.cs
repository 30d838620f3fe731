namespace TransparencyLog.Tests.EndToEnd;

/// <summary>tlog-server create: what it makes, and that a refusal makes nothing.</summary>
public sealed class CreateTests
{
    private const string Smallest = "4194304";

    [Fact]
    public async Task The_size_of_a_journal_file_is_kept_with_the_log()
    {
        using Scratch scratch = new();
        FullCheck check = new(await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", Smallest));
        Assert.Equal("journal " + Smallest, File.ReadAllLines(Path.Combine(scratch["log"], "log"))[4]);
        Assert.Equal(4 * 1024 * 1024, new FileInfo(Path.Combine(scratch["log"], "journal/000000000001")).Length);

        // More than a file takes, and then a start that reads both.
        Dictionary<long, byte[]> acknowledged = [];
        for (int run = 0; run < 2; run++)
        {
            await using RunningProgram server = Programs.Serve(scratch["log"]);
            using LogClient client = new(await server.ListeningAsync());
            for (int batch = 0; batch < 2; batch++)
            {
                byte[][] entries = [.. Enumerable.Range(0, 30).Select(i => Enumerable.Repeat((byte)(1 + i + (60 * run) + (30 * batch)), 60_000).ToArray())];
                AddAnswer answer = await client.AddBatchAsync(entries);
                Assert.True(answer.IsAcknowledged, answer.ToString());
                for (int i = 0; i < entries.Length; i++) acknowledged.Add(answer.Indexes[i], entries[i]);
            }

            await check.RunAsync(client, acknowledged);
            server.Kill();
        }

        Assert.True(Directory.GetFiles(Path.Combine(scratch["log"], "journal")).Length > 1);
    }

    [Fact]
    public async Task CP11_a_log_with_ML_DSA_prints_two_vkeys_and_signs_with_both()
    {
        using Scratch scratch = new();
        string[] vkeys = (await Programs.CreateLogAsync(scratch["log"], "--ml-dsa", "--journal-file-bytes", Smallest)).Split('\n');
        Assert.Equal(2, vkeys.Length);
        Assert.Equal([44, 1752], vkeys.Select(vkey => vkey.Split('+', 3)[2].Length));
        foreach (string key in (string[])["key.pem", "key-ml-dsa.pem"]) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(scratch["log"], key)));

        Dictionary<long, byte[]> acknowledged = [];
        FullCheck[] checks = [.. vkeys.Select(vkey => new FullCheck(vkey))];
        for (int run = 0; run < 2; run++)
        {
            await using RunningProgram server = Programs.Serve(scratch["log"]);
            using LogClient client = new(await server.ListeningAsync());
            AddAnswer answer = await client.AddAsync([(byte)(run + 1), 2, 3]);
            Assert.True(answer.IsAcknowledged, answer.ToString());
            acknowledged.Add(run, [(byte)(run + 1), 2, 3]);
            foreach (FullCheck check in checks) await check.RunAsync(client, acknowledged);
            server.Kill();
        }

        File.WriteAllText(scratch["policy"], $"log {vkeys[1]}\nquorum none\n");
        Ended fsck = await Programs.RunAsync(Programs.Tool, "fsck", scratch["log"], "--policy", scratch["policy"]);
        Assert.True(fsck.ExitCode == 0, fsck.ToString());
        Assert.Contains($"signed by {vkeys[0]}, {vkeys[1]}", fsck.Output, StringComparison.Ordinal);

        // Keys that lie elsewhere stay there; a wrong one is refused before anything is made.
        Ended given = await Programs.RunAsync(
            Programs.Server, "create", "--data", scratch["given"], "--origin", Programs.Origin, "--key", Path.Combine(scratch["log"], "key.pem"), "--ml-dsa-key", Path.Combine(scratch["log"], "key-ml-dsa.pem"));
        Assert.Equal(string.Concat(vkeys.Select(vkey => vkey + "\n")), given.Output);
        Assert.Empty(Directory.GetFiles(scratch["given"], "*.pem"));
        Ended wrong = await Programs.RunAsync(Programs.Server, "create", "--data", scratch["wrong"], "--origin", Programs.Origin, "--ml-dsa-key", Path.Combine(scratch["log"], "key.pem"));
        Assert.Equal(3, wrong.ExitCode);
        Assert.Contains("where an ML-DSA-44 key is needed", wrong.Errors, StringComparison.Ordinal);
        Assert.False(Directory.Exists(scratch["wrong"]));
    }

    [Theory]
    [InlineData("4194303")]
    [InlineData("4194305")]
    [InlineData("1073745920")]
    [InlineData("-1")]
    [InlineData("04194304")]
    [InlineData("4 MiB")]
    [InlineData("99999999999999999999")]
    public async Task A_size_out_of_range_is_refused_with_the_range_and_nothing_is_made(string size)
    {
        using Scratch scratch = new();
        Ended ended = await Programs.RunAsync(Programs.Server, "create", "--data", scratch["log"], "--origin", Programs.Origin, "--journal-file-bytes=" + size);
        Assert.Equal(2, ended.ExitCode);
        Assert.Equal($"tlog-server: journal-file-bytes: '{size}' is not a multiple of 4096 from 4194304 to 1073741824 (--journal-file-bytes)\n", ended.Errors);
        Assert.False(Directory.Exists(scratch["log"]));
    }

    [Fact]
    public async Task A_log_whose_files_are_not_of_the_size_it_says_does_not_start()
    {
        using Scratch scratch = new();
        await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", Smallest);
        string identity = Path.Combine(scratch["log"], "log");
        File.WriteAllText(identity, File.ReadAllText(identity).Replace(Smallest, "8388608", StringComparison.Ordinal));
        await using RunningProgram server = Programs.Serve(scratch["log"]);
        Ended ended = await server.EndAsync();
        Assert.Equal(3, ended.ExitCode);
        Assert.Contains("expected 8388608 bytes", ended.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_help_names_the_option_and_its_range()
    {
        Ended help = await Programs.RunAsync(Programs.Server, "create", "--help");
        Assert.Equal(0, help.ExitCode);
        Assert.Contains("--journal-file-bytes", help.Output, StringComparison.Ordinal);
        Assert.Contains("4,194,304 to 1,073,741,824", string.Join(' ', help.Output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }
}
