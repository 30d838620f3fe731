using System.Text.RegularExpressions;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Cli;

/// <summary>fsck of a data directory: whole ones pass, each planted damage is named.</summary>
public sealed class FsckDirectoryTests(WholeDirectory whole) : IClassFixture<WholeDirectory>, IDisposable
{
    private readonly Scratch _scratch = new();

    public static TheoryData<string> Damages => [.. DamagedDirectories.All.Select(damage => damage.Name)];

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_whole_directory_passes_and_is_summed_up()
    {
        Tlog run = (await Tlog.RunAsync("fsck", whole.Path)).Succeeds();
        Assert.Equal("", run.Error);
        Assert.Equal($"entries {WholeDirectory.Size}", run.Lines[0]);
        Assert.Equal("segments 258", run.Lines[1]);
        Assert.Equal($"size {WholeDirectory.Size}", run.Lines[2]);
        Hash root = MerkleHash.Root([.. Enumerable.Range(0, (int)WholeDirectory.Size).Select(i => MerkleHash.Leaf(LogBuilder.EntryAt(i)))]);
        Assert.Equal($"root {root}", run.Lines[3]);
        Assert.Equal($"signed by {LogBuilder.Signer.Key}", run.Lines[4]);
        Assert.Equal("heads 5", run.Lines[5]);
        Assert.Matches("^seconds [0-9]+\\.[0-9]$", run.Lines[6]);
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task I12_each_planted_damage_is_named(string name)
    {
        PlantedDamage planted = DamagedDirectories.All.Single(damage => damage.Name == name);
        string path = _scratch["log"];
        WholeDirectory.Copy(whole.For(planted), path);
        planted.Plant(new Forger(path));
        Tlog run = await Tlog.RunAsync("fsck", path);
        Assert.True(run.Code == 1, $"{name}: exit {run.Code}: {run.Out}{run.Error}");
        string line = Assert.Single(run.Lines);
        Match match = Regex.Match(line, "^([a-z-]+): (.*?)(?:, segment ([0-9]+))?(?:, index ([0-9]+))?: expected (.*), found (.*)$", RegexOptions.CultureInvariant);
        Assert.True(match.Success, line);
        Assert.Equal(
            (planted.Kind, planted.Segment?.ToString(), planted.Index?.ToString()),
            (match.Groups[1].Value, Value(match.Groups[3]), Value(match.Groups[4])));
        Assert.Contains(planted.Place, match.Groups[2].Value);
        Assert.Contains(planted.Expected, match.Groups[5].Value);
        Assert.Contains(planted.Found, match.Groups[6].Value);
        Assert.Contains("is damaged", run.Error);

        // The check beside a running server, which takes no lock and reads other files of the journal, says the same.
        DamageException inUse = await Assert.ThrowsAsync<DamageException>(() => DirectoryCheck.RunAsync(path, Verifiers.TryCreate, new CheckOptions { InUse = true }));
        Assert.Equal(line, inUse.Damage.ToString());

        static string? Value(Group group) => group.Success ? group.Value : null;
    }

    [Fact]
    public void I12_the_list_has_at_least_thirty_damages() => Assert.InRange(DamagedDirectories.All.Length, 30, 1000);

    [Fact]
    public async Task I07_the_duplicate_index_is_a_cache_that_no_check_looks_into()
    {
        string path = Copy();
        Directory.CreateDirectory(Path.Combine(path, "index"));
        await File.WriteAllTextAsync(Path.Combine(path, "index", "data.0"), "anything");
        Assert.Equal("", (await Tlog.RunAsync("fsck", path)).Succeeds().Error);
    }

    [Fact]
    public async Task What_a_crash_leaves_is_information_and_no_damage()
    {
        string path = Copy();
        Forger forger = new(path);
        Forger.Write(forger["heads"], DamagedDirectories.Text(forger["heads"]).Length, "tlog-head v1 17"u8.ToArray());
        File.WriteAllBytes(forger["commit.new"], [1, 2, 3]);
        File.WriteAllBytes(forger["segments/commit.new"], [1, 2, 3]);
        File.WriteAllBytes(forger["journal/000000000002.new"], [0, 0]);
        File.Delete(forger["key.pem"]);
        File.WriteAllText(forger["halted"], "evidence\n");
        int last = Forger.Find(forger["journal/000000000001"], "entry 66084"u8.ToArray());
        Forger.Write(forger["journal/000000000001"], ((last / 512) + 1) * 512, "TLJRNL01"u8.ToArray());
        Tlog run = (await Tlog.RunAsync("fsck", path)).Succeeds();
        foreach (string note in (string[])["a torn last line", "commit.new", "segments/commit.new", "key.pem", "halted", "next start"]) Assert.Contains(note, run.Error);

        // Nothing of it was touched.
        Assert.True(File.Exists(forger["commit.new"]));
        Assert.EndsWith("tlog-head v1 17", File.ReadAllText(forger["heads"]).TrimEnd('\0'));
    }

    [Fact]
    public async Task A_commit_record_one_head_behind_is_what_a_crash_leaves()
    {
        string path = Copy();
        string[] lines = File.ReadAllText(Path.Combine(path, "heads")).TrimEnd('\0', '\n').Split('\n');
        File.WriteAllText(Path.Combine(path, "commit"), lines[^2] + "\n");
        Tlog run = (await Tlog.RunAsync("fsck", path)).Succeeds();
        Assert.Contains("one head behind", run.Error);
        Assert.Contains($"size {WholeDirectory.Size}", run.Lines);
    }

    [Fact]
    public async Task A_commit_record_torn_between_the_two_newest_heads_is_what_a_crash_leaves()
    {
        string path = Copy(), commit = Path.Combine(path, "commit");

        // Longer than a sector, as with a longer checkpoint or reason: the first sector is new, the second is not.
        byte[][] heads = [.. DamagedDirectories.Lines(Path.Combine(path, "heads")).Select((line, i) => DamagedDirectories.WithReason(line, new string((char)('a' + i), 400)))];
        File.WriteAllBytes(Path.Combine(path, "heads"), [.. heads.SelectMany(line => line)]);
        byte[] torn = new byte[4096];
        heads[^2].CopyTo(torn, 0);
        heads[^1].AsSpan(0, 512).CopyTo(torn);
        File.WriteAllBytes(commit, torn);
        Tlog run = (await Tlog.RunAsync("fsck", path)).Succeeds();
        Assert.Contains($"{commit} is torn between the two newest heads", run.Error);

        // D-03: a write may stop at any byte, not only where a sector ends.
        foreach (int written in new[] { 1, 100, 511, 513, heads[^1].Length - 1 })
        {
            byte[] stopped = new byte[4096];
            heads[^2].CopyTo(stopped, 0);
            heads[^1].AsSpan(0, written).CopyTo(stopped);
            File.WriteAllBytes(commit, stopped);
            (await Tlog.RunAsync("fsck", path)).Succeeds();
        }

        torn[600] ^= 1;
        File.WriteAllBytes(commit, torn);
        run = await Tlog.RunAsync("fsck", path);
        Assert.Equal(1, run.Code);
        Assert.StartsWith($"commit: {commit}: expected a head record", run.Out);
    }

    [Fact]
    public async Task A_guard_that_has_seen_more_shows_an_older_copy()
    {
        string path = Copy();
        Directory.CreateDirectory(_scratch["guard"]);
        File.WriteAllText(Path.Combine(path, "guarded"), _scratch["guard"] + "\n");
        Assert.Contains("not compared", (await Tlog.RunAsync("fsck", path)).Succeeds().Error);
        string guard = Path.Combine(_scratch["guard"], $"{Checkpoint.HashOrigin(LogBuilder.Origin).ToHex()}.00000000000000000001.head");
        File.Copy(Path.Combine(path, "commit"), guard);
        (await Tlog.RunAsync("fsck", path)).Succeeds();
        string[] lines = File.ReadAllText(Path.Combine(path, "heads")).TrimEnd('\0', '\n').Split('\n');
        File.WriteAllText(Path.Combine(path, "heads"), string.Join('\n', lines[..^1]) + "\n");
        File.WriteAllText(Path.Combine(path, "commit"), lines[^2] + "\n");
        Tlog run = await Tlog.RunAsync("fsck", path);
        Assert.Equal(1, run.Code);
        Assert.StartsWith($"guard: {guard}: expected size 66048", run.Out);
    }

    [Fact]
    public async Task N21_an_emptied_guarded_is_named()
    {
        string path = Copy();
        File.WriteAllText(Path.Combine(path, "guarded"), "");
        Tlog run = await Tlog.RunAsync("fsck", path);
        Assert.Equal(1, run.Code);
        Assert.StartsWith($"guarded: {Path.Combine(path, "guarded")}: expected the absolute path of the guard's folder, and a newline", run.Out);
    }

    [Fact]
    public async Task A_policy_or_vkey_of_another_log_is_not_satisfied()
    {
        string policy = _scratch.Write("policy", $"log {LogBuilder.Signer.Key}\nquorum none\n");
        (await Tlog.RunAsync("fsck", whole.Path, "--policy", policy)).Succeeds();
        (await Tlog.RunAsync("fsck", whole.Path, "--vkey", LogBuilder.Signer.Key.ToString())).Succeeds();
        using MemoryLog other = new(1, origin: "example.com/other");
        Tlog run = await Tlog.RunAsync("fsck", whole.Path, "--vkey", other.Signer.Key.ToString());
        Assert.Equal(1, run.Code);
        Assert.StartsWith("checkpoint: ", run.Out);
        (await Tlog.RunAsync("fsck", whole.Path, "--vkey", "nonsense")).Fails(2, "--vkey");
        (await Tlog.RunAsync("fsck", whole.Path, "--vkey", LogBuilder.Signer.Key.ToString(), "--policy", policy)).Fails(2, "exclude");
    }

    [Fact]
    public async Task A_quorum_is_judged_on_the_published_checkpoint_alone()
    {
        string path = Copy();
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(new byte[32]);
        Cosigner witness = new("witness.example", key);
        string policy = _scratch.Write("policy", $"log {LogBuilder.Signer.Key}\nwitness w {witness.Key}\nquorum w\n");
        Assert.Contains("not judged", (await Tlog.RunAsync("fsck", path, "--policy", policy)).Succeeds().Error);
        byte[] text = new Checkpoint(LogBuilder.Origin, 600, MerkleHash.Root([.. Enumerable.Range(0, 600).Select(i => MerkleHash.Leaf(LogBuilder.EntryAt(i)))])).ToText();
        NoteSignature own = LogBuilder.Signer.Sign(text);
        File.WriteAllBytes(Path.Combine(path, "published"), new Note(text, [own]).ToBytes());
        Assert.Contains("quorum", (await Tlog.RunAsync("fsck", path, "--policy", policy)).Out);
        File.WriteAllBytes(Path.Combine(path, "published"), new Note(text, [own, witness.Cosign(text, 1)]).ToBytes());
        Assert.Equal("", (await Tlog.RunAsync("fsck", path, "--policy", policy)).Succeeds().Error);
    }

    [Fact]
    public async Task A_directory_in_use_is_checked_beside_its_server_and_nothing_in_it_changes()
    {
        string path = Copy();
        using DirectoryLock held = DirectoryLock.Acquire(path);
        string[] alone = (await Tlog.RunAsync("fsck", whole.Path)).Lines, files = State();
        Tlog run = (await Tlog.RunAsync("fsck", path)).Succeeds();
        Assert.Equal(alone[..^1], run.Lines[..^1]);
        Assert.Contains($"is in use by process {Environment.ProcessId}: checked beside it", run.Error);
        Assert.Equal(files, State());

        string[] State() => [.. Directory.GetFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(file => $"{file} {new FileInfo(file).Length} {File.GetLastWriteTimeUtc(file):O}")];
    }

    [Fact]
    public async Task A_directory_that_is_no_log_is_exit_code_3()
    {
        (await Tlog.RunAsync("fsck", _scratch.Root)).Fails(3, "is not a log");
        (await Tlog.RunAsync("fsck", _scratch["nowhere"])).Fails(3, "does not exist");
    }

    [Fact]
    public async Task A_log_that_has_signed_nothing_passes()
    {
        await LogBuilder.CreateAsync(_scratch["new"], 0, []);
        Tlog run = (await Tlog.RunAsync("fsck", _scratch["new"])).Succeeds();
        Assert.Contains("nothing is signed yet", run.Error);
        Assert.Contains("signed by nobody", run.Lines);
        await LogBuilder.CreateAsync(_scratch["unsigned"], 300, [200]);
        run = (await Tlog.RunAsync("fsck", _scratch["unsigned"])).Succeeds();
        Assert.Contains("100 entries are durable and not signed yet", run.Error);
    }

    private string Copy()
    {
        WholeDirectory.Copy(whole.Path, _scratch["log"]);
        return _scratch["log"];
    }
}
