using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Cli;

/// <summary>What can be rebuilt from what: each damage of the list is planned, repaired into a copy, and compared with what was there before.</summary>
public sealed class RepairTests(WholeDirectory whole) : IClassFixture<WholeDirectory>, IDisposable
{
    /// <summary>What is lost for good, or is evidence: no copy is made of the directory alone.</summary>
    private static readonly string[] Beyond =
    [
        "the journal emptied", "the journal's file gone", "the journal without its last frame", "an open entry in the journal forged",
        "a checkpoint signed by another key", "a head signed at a root that the tree never had", "a head signed at a size that is not there",
        "the identity gone", "the identity cut", "another origin in the identity", "another key in the identity",
    ];

    /// <summary>Of those, what another copy has.</summary>
    private static readonly string[] Elsewhere = ["the journal emptied", "the journal's file gone", "the journal without its last frame", "an open entry in the journal forged"];

    private readonly Scratch _scratch = new();

    public static TheoryData<string> Damages => [.. DamagedDirectories.All.Select(damage => damage.Name)];

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task I12_each_damage_is_repaired_into_a_copy_byte_for_byte_or_refused(string name)
    {
        PlantedDamage planted = DamagedDirectories.All.Single(damage => damage.Name == name);
        string path = _scratch["log"], copy = _scratch["copy"];
        string source = whole.For(planted);
        WholeDirectory.Copy(source, path);
        planted.Plant(new Forger(path));
        string[] before = State(path);

        Tlog apply = await Tlog.RunAsync("fsck", path, "--repair-plan", "--apply", "--to", copy);
        Assert.Equal(before, State(path));
        if (Beyond.Contains(name))
        {
            Tlog plan = await Tlog.RunAsync("fsck", path, "--repair-plan");
            Assert.True(plan.Code is 1 or 3, plan.Out + plan.Error);
            Assert.Equal((plan.Code, plan.Out), (apply.Code, apply.Out));
            Assert.False(Directory.Exists(copy), plan.Out);
            Assert.False(Directory.Exists(copy + ".repairing"));
            if (!Elsewhere.Contains(name)) return;
            apply = await Tlog.RunAsync("fsck", path, "--repair-plan", "--from", source, "--apply", "--to", copy);
        }
        else
        {
            Assert.Contains($"{planted.Kind}: ", apply.Out);
            Assert.Contains("    repair: ", apply.Out);
            Assert.DoesNotContain("repair: none", apply.Out);
        }

        // What was made has passed fsck before it got its name.
        Assert.True(apply.Code == 0, apply.Out + apply.Error);
        await SameAsync(source, copy, heads: planted.Kind is not ("heads" or "commit"));
    }

    [Fact]
    public async Task Many_damages_at_once_are_all_named_and_all_repaired()
    {
        string path = _scratch["log"], copy = _scratch["copy"];
        WholeDirectory.Copy(whole.Quick, path);
        Forger forger = new(path);
        int[] segments = [5, 20, 100, 200, 257];
        foreach (int segment in segments) forger.Flip(forger.Part(segment, 0), 50, crc: false);
        forger.Flip(forger.Record("segments", 30), 100, crc: false);
        forger.Flip(forger.Record("tree", 0), 100, crc: true);
        File.Delete(forger["commit"]);
        File.WriteAllBytes(forger["what.is.this"], [1]);
        Tlog apply = (await Tlog.RunAsync("fsck", path, "--repair-plan", "--apply", "--to", copy)).Succeeds();
        foreach (int segment in segments) Assert.Contains($", segment {segment}: expected CRC-32C", apply.Out);
        Assert.Contains("record 30, segment 30: expected CRC-32C", apply.Out);
        Assert.Contains("tile/1/000", apply.Out);
        Assert.Contains("commit: ", apply.Out);
        await SameAsync(whole.Quick, copy, heads: false);
    }

    [Fact]
    public async Task Entries_that_only_another_copy_has_are_taken_from_there_and_compared()
    {
        // Segment 5 is gone from its parts and from the journal.
        string path = _scratch["log"], copy = _scratch["copy"], other = _scratch["other"];
        WholeDirectory.Copy(whole.Path, path);
        Forger forger = new(path);
        forger.Flip(forger.Part(5, 0), 50, crc: false);
        string journal = forger["journal/000000000001"];
        int at = Forger.Find(journal, "entry 1400"u8.ToArray());
        Forger.FlipByte(journal, at);
        Tlog plan = await Tlog.RunAsync("fsck", path, "--repair-plan");
        Assert.Equal(1, plan.Code);
        Assert.Contains("entry-bundle: ", plan.Out);
        Assert.Contains("segment 5: expected 256 entries whose root is stated", plan.Out);
        Assert.Contains("repair: none", plan.Out);

        // Another log's entries do not fit.
        await LogBuilder.CreateAsync(other, 600, [600]);
        Forger forged = new(other);
        forged.Flip(forged.Part(1, 0), 50, crc: true);
        Assert.Equal(1, (await Tlog.RunAsync("fsck", path, "--repair-plan", "--from", other, "--apply", "--to", copy)).Code);
        Assert.False(Directory.Exists(copy));

        Tlog apply = (await Tlog.RunAsync("fsck", path, "--repair-plan", "--from", other, "--from", whole.Path, "--apply", "--to", copy)).Succeeds();
        Assert.Contains($"repair: entries from {whole.Path}", apply.Out);
        await SameAsync(whole.Path, copy, heads: true);
    }

    [Fact]
    public async Task A_whole_directory_has_no_plan_and_wrong_usage_is_refused()
    {
        Tlog plan = (await Tlog.RunAsync("fsck", whole.Path, "--repair-plan")).Succeeds();
        Assert.Equal(["damages 0, of which 0 can be repaired"], plan.Lines);
        string damaged = _scratch["damaged"];
        WholeDirectory.Copy(whole.Quick, damaged);
        Forger.FlipByte(Path.Combine(damaged, "segments", "commit"), 24);
        plan = await Tlog.RunAsync("fsck", damaged, "--repair-plan");
        Assert.Equal((1, "damages 1, of which 1 can be repaired"), (plan.Code, plan.Lines[^1]));
        Assert.Equal("    repair: the segments are written anew from their records, wherever these lie", plan.Lines[1]);
        (await Tlog.RunAsync("fsck", whole.Path, "--repair-plan", "--apply")).Fails(2, "--apply and --to DIR belong together");
        (await Tlog.RunAsync("fsck", whole.Path, "--apply", "--to", _scratch["copy"])).Fails(2, "belong to --repair-plan");
        (await Tlog.RunAsync("fsck", "http://127.0.0.1:1", "--repair-plan")).Fails(2, "is for a data directory");

        // The copy belongs into a directory outside of every log, with nothing in it.
        string used = _scratch["used"], below = Path.Combine(whole.Quick, "copy");
        (await Tlog.RunAsync("fsck", whole.Path, "--repair-plan", "--apply", "--to", whole.Path)).Fails(3, $"{whole.Path} is inside of {whole.Path}: choose a folder outside of it for the repaired copy");
        (await Tlog.RunAsync("fsck", whole.Path, "--repair-plan", "--apply", "--to", below)).Fails(3, $"{below} is inside of {whole.Quick}, the directory of a log: choose a folder outside of it for the repaired copy");
        Directory.CreateDirectory(used);
        await File.WriteAllTextAsync(Path.Combine(used, "notes"), "");
        (await Tlog.RunAsync("fsck", whole.Path, "--repair-plan", "--apply", "--to", used)).Fails(3, $"{used} is not empty: it holds notes");
        Assert.Equal(["notes"], Directory.EnumerateFileSystemEntries(used).Select(Path.GetFileName));
        Assert.False(Directory.Exists(below));

        string path = _scratch["log"];
        WholeDirectory.Copy(whole.Path, path);
        using DirectoryLock held = DirectoryLock.Acquire(path);
        (await Tlog.RunAsync("fsck", path, "--repair-plan")).Fails(3, "is in use by process");
    }

    /// <summary>Every sealed byte, the newest head, and every entry behind the last segment.</summary>
    private async Task SameAsync(string source, string copy, bool heads)
    {
        await using LogDirectory one = await OpenAsync(source), other = await OpenAsync(copy);
        Assert.Equal(one.Register.Current, other.Register.Current);
        Assert.NotNull(other.Register.Halted);
        Assert.Equal((one.Tiles.SegmentCount, one.Journal.NextIndex), (other.Tiles.SegmentCount, other.Journal.NextIndex));
        for (long segment = 0; segment < one.Tiles.SegmentCount; segment++)
        {
            foreach (TilePath path in (TilePath[])[new(0, segment), new(TilePath.EntriesLevel, segment)]) Assert.Equal(await BytesAsync(one, path), await BytesAsync(other, path));
        }

        Assert.Equal(await BytesAsync(one, new TilePath(1, 0)), await BytesAsync(other, new TilePath(1, 0)));
        Assert.Equal(Tail(one), Tail(other));
        if (!heads) return;
        foreach (string file in (string[])["heads", "commit", "log", "key.pem"]) Assert.Equal(File.ReadAllBytes(Path.Combine(source, file)), File.ReadAllBytes(Path.Combine(copy, file)));

        static async Task<byte[]> BytesAsync(LogDirectory log, TilePath path) => (await log.Tiles.GetAsync(path, default))!.Value.ToArray();

        static byte[] Tail(LogDirectory log)
        {
            List<byte> tail = [];
            foreach (JournalEntries entries in log.Journal.Read(log.Tiles.SegmentCount * 256))
            {
                int skip = (int)Math.Max(0, (log.Tiles.SegmentCount * 256) - entries.FirstIndex);
                tail.AddRange(entries.Bundle.Span[EntryBundle.PrefixLength(entries.Bundle.Span, skip)..]);
            }

            return [.. tail];
        }
    }

    /// <summary>Of a copy of its own: opening writes.</summary>
    private async Task<LogDirectory> OpenAsync(string path)
    {
        string opened = _scratch[$"opened-{Guid.NewGuid():N}"];
        WholeDirectory.Copy(path, opened);
        return await LogDirectory.OpenAsync(opened, null, TimeProvider.System);
    }

    private static string[] State(string path) =>
        [.. Directory.GetFiles(path, "*", SearchOption.AllDirectories).Where(file => Path.GetFileName(file) != "lock").Order(StringComparer.Ordinal).Select(file => $"{file} {new FileInfo(file).Length} {File.GetLastWriteTimeUtc(file):O}")];
}
