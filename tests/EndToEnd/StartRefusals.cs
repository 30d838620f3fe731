using System.Net;
using System.Net.Sockets;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// Every exit code of tlog-server serve, with the real program: a refusal is one line on standard error, no stack trace, nothing on standard
/// output, and a directory in which nothing has changed.
/// </summary>
public sealed class StartRefusals
{
    private const int Usage = 2, Refused = 3, Trouble = 4;

    // ---- 2: usage and configuration

    [Theory]
    [InlineData("", "required command")]
    [InlineData("frobnicate", "frobnicate")]
    [InlineData("serve", "--data DIR")]
    [InlineData("serve --data", "--data")]
    [InlineData("serve --data d --polcy p", "unknown option --polcy; the nearest is --policy")]
    [InlineData("serve --data d --listn=x", "unknown option --listn; the nearest is --listen")]
    [InlineData("serve --data --policy p", "--data lacks its value: --policy is an option")]
    [InlineData("serve --data --colour", "data: '--colour' looks like an option")]
    [InlineData("serve --data d --publish-gap-ms 012", "publish-gap-ms: '012' is not a whole number from 0 to 60000")]
    [InlineData("serve --policy --data", "--data")]
    [InlineData("resume --reason --data d", "--reason lacks its value: --data is an option")]
    [InlineData("serve --data d @listen", "@listen")]
    [InlineData("serve --data d --listen 127.0.0.1:2025", "listen: '127.0.0.1:2025'")]
    [InlineData("serve --data d --listen https://127.0.0.1:2025", "listen:")]
    [InlineData("serve --data d --config absent.json", "config: no such file: absent.json")]
    [InlineData("create --data d", "--origin")]
    [InlineData("create --origin example.com/log", "--data DIR")]
    [InlineData("create --data d --origin two+words", "origin: 'two+words'")]
    [InlineData("resume --data d", "--reason")]
    public async Task Usage_is_2_and_names_what_is_wrong(string arguments, string named)
    {
        Ended ended = await Programs.RunAsync(Programs.Server, arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        AssertRefusal(ended, Usage, named);
    }

    [Theory]
    [InlineData("TLOG_PUBLISH_GAP_MS", "60001", "publish-gap-ms: '60001' is not a whole number from 0 to 60000")]
    [InlineData("TLOG_PUBLISH_GAP_MS", "5ms", "publish-gap-ms: '5ms'")]
    [InlineData("TLOG_POLCY", "p", "environment: TLOG_POLCY is not a setting of tlog-server; the nearest is TLOG_POLICY")]
    [InlineData("TLOG_POLICY", "", "policy: is empty")]
    [InlineData("TLOG_MAX_CONNECTIONS", "0", "max-connections: '0'")]
    [InlineData("TLOG_INTAKE_BYTES", "-1", "intake-bytes: '-1'")]
    public async Task A_value_out_of_range_is_2_and_is_named_with_its_range(string name, string value, string named)
    {
        using Scratch scratch = new();
        await RefusesAsync(await LogAsync(scratch), Usage, named, new Dictionary<string, string> { [name] = value });
    }

    [Fact]
    public async Task A_policy_that_is_missing_or_wrong_is_2()
    {
        using Scratch scratch = new();
        string directory = await LogAsync(scratch);
        await RefusesAsync(directory, Usage, "does not exist", null, "--policy", scratch["absent"]);
        await File.WriteAllTextAsync(scratch["policy"], "quorum everybody\n");
        await RefusesAsync(directory, Usage, "everybody", null, "--policy", scratch["policy"]);
    }

    // ---- 3: will not start

    [Fact]
    public async Task D17_an_empty_or_absent_directory_is_no_log_and_stays_as_it_is()
    {
        using Scratch scratch = new();
        Directory.CreateDirectory(scratch["empty"]);
        await RefusesAsync(scratch["empty"], Refused, "is not a log");
        Assert.Empty(Directory.EnumerateFileSystemEntries(scratch["empty"]));

        await using RunningProgram absent = Programs.Serve(scratch["absent"]);
        AssertRefusal(await absent.EndAsync(), Refused, "does not exist");
        Assert.False(Directory.Exists(scratch["absent"]));

        Directory.CreateDirectory(scratch["other"]);
        await File.WriteAllTextAsync(Path.Combine(scratch["other"], "notes.txt"), "not a log");
        await RefusesAsync(scratch["other"], Refused, "is not a log");
        AssertRefusal(await Programs.RunAsync(Programs.Server, "create", "--data", scratch["other"], "--origin", Programs.Origin), Refused, "notes.txt");
    }

    [Fact]
    public async Task O01_another_key_is_refused_and_K12_one_that_others_may_read()
    {
        using Scratch scratch = new();
        string directory = await LogAsync(scratch), key = Path.Combine(directory, "key.pem");
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
        await RefusesAsync(directory, Refused, "0644");

        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await Programs.CreateLogAsync(scratch["second"], "--journal-file-bytes", "4194304");
        await File.WriteAllBytesAsync(key, await File.ReadAllBytesAsync(Path.Combine(scratch["second"], "key.pem")));
        await RefusesAsync(directory, Refused, "another key");

        File.Delete(key);
        await RefusesAsync(directory, Refused, "key.pem");
    }

    [Fact]
    public async Task C01_of_twenty_started_at_once_exactly_one_lives_and_the_others_name_it()
    {
        using Scratch scratch = new();
        string directory = await LogAsync(scratch);
        RunningProgram[] all = [.. Enumerable.Range(0, 20).Select(_ => Programs.Serve(directory))];
        try
        {
            Uri?[] urls = await Task.WhenAll(all.Select(program => program.ListensAsync()));
            RunningProgram winner = Assert.Single(all, program => !program.HasEnded);
            Assert.NotNull(urls[Array.IndexOf(all, winner)]);
            foreach (RunningProgram loser in all.Where(program => program != winner))
            {
                AssertRefusal(await loser.EndAsync(), Refused, $"in use by process {winner.ProcessId}");
            }
        }
        finally
        {
            foreach (RunningProgram program in all) await program.DisposeAsync();
        }
    }

    [Fact]
    public async Task D14_a_commit_record_that_is_lost_is_taken_from_the_history_and_without_both_the_log_is_refused()
    {
        using Scratch scratch = new();
        Dictionary<long, byte[]> promised = [];
        string vkey = await FilledAsync(scratch["log"], promised);
        byte[] commit = await File.ReadAllBytesAsync(Path.Combine(scratch["log"], "commit"));
        int text = commit.AsSpan().LastIndexOfAnyExcept((byte)0) + 1; // zeros behind it
        byte[][] others = [[], commit[..(text - 1)], Flipped(commit, 0), Flipped(commit, text / 2), Flipped(commit, text - 1), Flipped(commit, commit.Length - 1)];
        for (int i = 0; i <= others.Length; i++)
        {
            string copy = scratch[$"copy-{i}"], path = Path.Combine(copy, "commit");
            Scratch.Copy(scratch["log"], copy);
            if (i == others.Length) File.Delete(path);
            else await File.WriteAllBytesAsync(path, others[i]);
            await using RunningProgram server = Programs.Serve(copy);
            using LogClient client = new(await server.ListeningAsync());
            Assert.Equal(promised.Count, await new FullCheck(vkey).RunAsync(client, promised));
            server.Kill();
            Assert.Contains("taken from the", (await server.EndAsync()).Errors, StringComparison.Ordinal);
            Assert.Equal(commit, await File.ReadAllBytesAsync(path));
        }

        string both = scratch["both"];
        Scratch.Copy(scratch["log"], both);
        await File.WriteAllBytesAsync(Path.Combine(both, "commit"), []);
        string heads = Path.Combine(both, "heads");
        await File.WriteAllBytesAsync(heads, Flipped(await File.ReadAllBytesAsync(heads), 20));
        await RefusesAsync(both, Refused, "heads");
    }

    [Fact]
    public async Task D15_a_bad_frame_with_durable_ones_behind_it_is_refused_by_file_and_offset_and_so_is_a_lost_file()
    {
        using Scratch scratch = new();
        await FilledAsync(scratch["log"], []);
        string journal = Path.Combine(scratch["log"], "journal/000000000001");
        byte[] bytes = await File.ReadAllBytesAsync(journal);
        Scratch.Copy(scratch["log"], scratch["damaged"]);
        await File.WriteAllBytesAsync(Path.Combine(scratch["damaged"], "journal/000000000001"), Flipped(bytes, 512 + 70));
        await RefusesAsync(scratch["damaged"], Refused, $"{scratch["damaged"]}/journal/000000000001, offset 512");

        File.Delete(journal);
        await RefusesAsync(scratch["log"], Refused, $"{scratch["log"]}/journal");
        Directory.Delete(Path.Combine(scratch["log"], "journal"));
        await RefusesAsync(scratch["log"], Refused, $"{scratch["log"]}/journal");
    }

    [Fact]
    public async Task I09_the_journal_of_another_log_with_the_same_origin_is_refused_and_nothing_is_sealed_from_it()
    {
        using Scratch scratch = new();
        string directory = scratch["log"];
        await FilledAsync(directory, [], "one");
        await FilledAsync(scratch["other"], [], "another");
        File.Copy(Path.Combine(scratch["other"], "journal/000000000001"), Path.Combine(directory, "journal/000000000001"), overwrite: true);
        await RefusesAsync(directory, Refused, "root");
    }

    [Fact]
    public async Task R01_an_older_copy_is_refused_by_the_guard_and_so_is_a_log_whose_guard_is_gone()
    {
        using Scratch scratch = new();
        string directory = await LogAsync(scratch);
        string[] guard = ["--guard", scratch["guard"]];
        for (int run = 0; run < 2; run++)
        {
            await using RunningProgram server = Programs.Serve(directory, null, guard);
            using LogClient client = new(await server.ListeningAsync());
            Assert.True((await client.AddAsync([1, (byte)run])).IsAcknowledged);
            Assert.True(await client.WaitPublishedAsync(run + 1));
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
            if (run == 0) Scratch.Copy(directory, scratch["older"]);
        }

        await RefusesAsync(scratch["older"], Refused, "older copy", null, guard);
        await RefusesAsync(directory, Refused, "start with --guard");
        Directory.Delete(scratch["guard"], recursive: true);
        await RefusesAsync(directory, Refused, "is missing", null, guard);
    }

    // ---- 4: trouble that a restart may cure

    [Fact]
    public async Task A_port_that_is_taken_is_4()
    {
        using Scratch scratch = new();
        string directory = await LogAsync(scratch);
        using TcpListener taken = new(IPAddress.Loopback, 0);
        taken.Start();
        await using RunningProgram server = RunningProgram.Start(Programs.Server, ["serve", "--data", directory, "--listen", $"http://{taken.LocalEndpoint}"]);
        Ended ended = await server.EndAsync();
        Assert.Equal(Trouble, ended.ExitCode);
        Assert.Contains($"cannot listen on http://{taken.LocalEndpoint}", ended.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", ended.Errors, StringComparison.Ordinal);
        Assert.Empty(ended.Output);
    }

    // ---- 0

    [Fact]
    public async Task O10_D20_a_request_to_end_under_load_is_0_within_ten_seconds_and_every_answer_holds()
    {
        using Scratch scratch = new();
        string directory = scratch["log"];
        FullCheck check = new(await Programs.CreateLogAsync(directory, "--journal-file-bytes", "4194304"));
        Observed observed = new() { EndsInOrder = true };
        await using (RunningProgram server = Programs.Serve(directory))
        {
            using LogClient client = new(await server.ListeningAsync());
            Task[] clients = [.. Enumerable.Range(0, 8).Select(number => Task.Run(async () =>
            {
                for (int i = 0; await observed.AddAsync(client, Encoding.ASCII.GetBytes($"client {number}, entry {i}")); i++)
                {
                    if (i % 10 == 0) await observed.LookAsync(client);
                }
            }))];
            Assert.True(await Until.TrueAsync(() => Task.FromResult(observed.Acknowledged.Count > 500), Until.Patience));
            server.Terminate();
            Ended ended = await server.EndAsync(TimeSpan.FromSeconds(10));
            Assert.True(ended.ExitCode == 0, ended.ToString());
            await Task.WhenAll(clients);
        }

        await using RunningProgram again = Programs.Serve(directory);
        using LogClient after = new(await again.ListeningAsync());
        foreach (byte[] checkpoint in observed.Checkpoints) check.Saw(checkpoint);
        await check.RunAsync(after, observed.Acknowledged);
        Assert.Equal(0, (await again.StopAsync()).ExitCode);
    }

    [Theory]
    [InlineData("--help", "Usage")]
    [InlineData("serve --help", "--policy")]
    [InlineData("--version", "0.")]
    public async Task Help_and_version_are_0_on_standard_output(string arguments, string said)
    {
        Ended ended = await Programs.RunAsync(Programs.Server, arguments.Split(' '));
        Assert.Equal(0, ended.ExitCode);
        Assert.Contains(said, ended.Output, StringComparison.Ordinal);
        Assert.Empty(ended.Errors);
    }

    // ---- what they share

    private static async Task<string> LogAsync(Scratch scratch)
    {
        await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        return scratch["log"];
    }

    /// <summary>A log of three frames, 302 entries, all published, ended in order.</summary>
    private static async Task<string> FilledAsync(string directory, Dictionary<long, byte[]> promised, string name = "entry")
    {
        string vkey = await Programs.CreateLogAsync(directory, "--journal-file-bytes", "4194304");
        await using RunningProgram server = Programs.Serve(directory);
        using LogClient client = new(await server.ListeningAsync());
        Observed observed = new();
        Assert.True(await observed.AddAsync(client, Encoding.ASCII.GetBytes($"{name} first")));
        Assert.True(await observed.AddAsync(client, [.. Enumerable.Range(0, 300).Select(i => Encoding.ASCII.GetBytes($"{name} {i}"))]));
        Assert.True(await observed.AddAsync(client, Encoding.ASCII.GetBytes($"{name} last")));
        Assert.True(await client.WaitPublishedAsync(302));
        server.Kill();
        await server.EndAsync();
        foreach ((long index, byte[] entry) in observed.Acknowledged) promised[index] = entry;
        return vkey;
    }

    private static byte[] Flipped(byte[] bytes, int at)
    {
        byte[] flipped = [.. bytes];
        flipped[at] ^= 1;
        return flipped;
    }

    private static async Task RefusesAsync(string directory, int code, string named, Dictionary<string, string>? settings = null, params string[] more)
    {
        SortedDictionary<string, byte[]> before = Content(directory);
        await using RunningProgram server = Programs.Serve(directory, settings, more);
        AssertRefusal(await server.EndAsync(), code, named);
        Assert.Equal(before, Content(directory));
    }

    /// <summary>The lock file holds the process id of the last one that had it, and nothing of the log.</summary>
    private static SortedDictionary<string, byte[]> Content(string directory)
    {
        SortedDictionary<string, byte[]> content = Scratch.Content(directory);
        content.Remove("lock");
        return content;
    }

    private static void AssertRefusal(Ended ended, int code, string named)
    {
        Assert.True(ended.ExitCode == code, ended.ToString());
        Assert.Empty(ended.Output);
        Assert.StartsWith("tlog-server: ", ended.Errors, StringComparison.Ordinal);
        Assert.Contains(named, ended.Errors, StringComparison.OrdinalIgnoreCase);
        Assert.Single(ended.Errors.TrimEnd('\n').Split('\n'));
        Assert.DoesNotContain("   at ", ended.Errors, StringComparison.Ordinal);
    }
}
