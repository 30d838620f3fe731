using System.Buffers.Binary;
using System.Net;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>Backups of logs that run, and what becomes of them.</summary>
public sealed class BackupTests
{
    private static readonly CheckOptions Small = new() { Journal = TestLog.Journal };

    [Fact]
    public async Task O06_backups_under_load_hold_what_was_answered_before_and_restore_to_the_same_bytes()
    {
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Settings = settings => settings with { PublishGap = TimeSpan.FromMilliseconds(5) } });
        using CancellationTokenSource enough = new();
        Task load = LoadAsync(log, enough.Token);
        string to = Path.Combine(log.Root, "backup");
        long copied = 0, checkedFrom = 0;
        for (int run = 0; run < 4; run++)
        {
            long segments = log.Engine.Size / 256;
            await Eventually.TrueAsync(() => log.Engine.Size / 256 > segments + 150, "150 more segments");
            long answered = log.Engine.Size;
            BackupReport report = await BackUpAsync(log, to);
            Assert.True(report.Entries >= answered, $"{report.Entries} of {answered} entries");
            Assert.True(report.Head!.Size <= report.Entries);
            copied += report.Copied;
            Assert.True(report.CheckedFrom >= checkedFrom);
            checkedFrom = report.CheckedFrom;
            Assert.Equal(["addresses", "commit", "data.0"], Names(Path.Combine(to, "segments")));
            Assert.Equal(["backup", "lock", "segments", $"state-{run + 1}", "tree"], Names(to));

            string restored = Path.Combine(log.Root, $"restored-{run}");
            DirectoryReport whole = await Restore.RunAsync(to, restored, Verifiers.TryCreate, File.ReadAllBytes(Path.Combine(log.Data, "key.pem")), Small);
            Assert.Equal((report.Entries, report.Segments, report.Head), (whole.Entries, whole.Segments, whole.Head));
        }

        await enough.CancelAsync();
        await load;
        Assert.True(checkedFrom >= 256, "only what is new is checked again");
        Assert.Equal(copied, Directory.GetFiles(to, "data.*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length)); // each byte once
        await log.CheckLog(log.Engine.Size);

        // The last one is served, byte for byte, and signs nothing until its operator says so.
        await LoseAsync(log);
        Directory.Move(Path.Combine(log.Root, "restored-3"), log.Data);
        await log.ServeAsync(new LogSetup());
        Assert.Equal(EngineState.Halted, log.Engine.State);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", [1])).Status);
        await log.CheckLog(log.Engine.Publisher.SignedSize);
        await log.StopAsync();
        await ResumeAsync(log);
        await log.ServeAsync(new LogSetup());
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current?.Size == log.Engine.Size, "all of it is public");
        await log.CheckLog(log.Engine.Size);
    }

    [Fact]
    public async Task O06_a_backup_that_was_interrupted_goes_on_and_the_one_before_can_be_restored_meanwhile()
    {
        await using TestLog log = await TestLog.StartAsync();
        string to = Path.Combine(log.Root, "backup");
        await FillAsync(log, 20);
        await BackUpAsync(log, to);
        long first = log.Engine.Publisher.SignedSize;
        await FillAsync(log, 300);

        long total = 0;
        for (int interruptions = 0; ; interruptions++)
        {
            using CancellationTokenSource stop = new();
            long done = 0, all = 0;
            BackupOptions options = new() { Journal = TestLog.Journal, Step = 256 * 1024, Progress = (copied, of) => { (done, all) = (copied, of); stop.Cancel(); } };
            try
            {
                BackupReport report = await Backup.RunAsync(log.Data, to, Verifiers.TryCreate, options, stop.Token);
                total += report.Copied;
                Assert.InRange(interruptions, 3, 1000);
                Assert.Equal(log.Engine.Size, report.Entries);
                break;
            }
            catch (OperationCanceledException)
            {
                Assert.InRange(done, 1, all);
                if (interruptions % 5 != 0) continue;
                string old = Path.Combine(log.Root, $"old-{interruptions}");
                DirectoryReport before = await RestoreAsync(to, old);
                Assert.Equal(first, before.Head!.Size);
            }
        }

        string restored = Path.Combine(log.Root, "restored");
        Assert.Equal(log.Engine.Size, (await RestoreAsync(to, restored)).Entries);
    }

    [Fact]
    public async Task Evidence_comes_back_from_a_backup_and_goes_into_a_repaired_copy()
    {
        await using TestLog log = await TestLog.StartAsync();
        await FillAsync(log, 3);
        Note one = new(new Checkpoint(TestLog.Origin, 9, MerkleHash.Leaf([1])).ToText(), [new NoteSignature(TestLog.Origin, 7, new byte[64])]);
        Note other = new(new Checkpoint(TestLog.Origin, 9, MerkleHash.Leaf([2])).ToText(), [new NoteSignature(TestLog.Origin, 7, new byte[64])]);
        TlogEvidence evidence = TlogEvidence.Of(one, other, [])!;
        EvidenceFolder folder = new(log.Data);
        Assert.True(folder.Keep(evidence));
        folder.MarkSent(evidence.FileName, "https://example.com/", DateTimeOffset.UnixEpoch);
        string to = Path.Combine(log.Root, "backup"), restored = Path.Combine(log.Root, "restored"), repaired = Path.Combine(log.Root, "repaired");
        await BackUpAsync(log, to);
        await RestoreAsync(to, restored);
        await log.StopAsync();
        await Repair.ApplyAsync(log.Data, repaired, Verifiers.TryCreate, new RepairOptions { Journal = TestLog.Journal });
        foreach (string copy in new[] { restored, repaired })
        {
            Assert.Equal([evidence.FileName], Names(Path.Combine(copy, EvidenceFolder.Name)));
            Assert.Equal(evidence.ToBytes(), File.ReadAllBytes(Path.Combine(copy, EvidenceFolder.Name, evidence.FileName)));
        }
    }

    [Fact]
    public async Task R01_a_restored_copy_does_not_start_against_its_guard_nor_without_it()
    {
        await using TestLog log = TestLog.Create();
        await log.ServeAsync(new LogSetup { Guard = true });
        await log.AddAsync("one", "published");
        string to = Path.Combine(log.Root, "backup");
        await BackUpAsync(log, to, withKey: true);
        await log.AddAsync("two", "published");
        await LoseAsync(log);
        Assert.Contains("older copy", (await Assert.ThrowsAsync<DamageException>(() => RestoreAsync(to, log.Data, withKey: true))).Message);
        Assert.False(Directory.Exists(log.Data));

        // Where the guard cannot be reached the copy is made; the start does not do without it, halted or resumed.
        string away = log.GuardDirectory + ".away";
        Directory.Move(log.GuardDirectory, away);
        await RestoreAsync(to, log.Data, withKey: true);
        await Assert.ThrowsAnyAsync<StorageException>(() => log.ServeAsync(new LogSetup()));
        await Assert.ThrowsAnyAsync<StorageException>(() => log.ServeAsync(new LogSetup { Guard = true }));
        Directory.Move(away, log.GuardDirectory);
        Assert.Contains("older copy", (await Assert.ThrowsAnyAsync<StorageException>(() => log.ServeAsync(new LogSetup { Guard = true }))).Message);
    }

    [Fact]
    public async Task R01_a_restored_copy_that_was_resumed_waits_for_a_witness_that_says_more_and_halts_when_it_shows_more()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        TestLog log = witnessed.Log;
        await witnessed.ServeAsync("quorum a\n");
        await witnessed.ReadyAsync();
        await log.AddAsync("one", "published");
        string to = Path.Combine(log.Root, "backup");
        await BackUpAsync(log, to, withKey: true);
        await log.AddAsync("two", "published");
        byte[] newest = log.Engine.Publisher.Current!.Checkpoint.ToArray();
        Assert.Equal(2, log.Engine.Publisher.Current.Size);
        await LoseAsync(log);
        await RestoreAsync(to, log.Data, withKey: true);
        await ResumeAsync(log);

        // The word of the witness alone holds everything, and halts nothing (N-04).
        await witnessed.RestartAsync();
        await Eventually.TrueAsync(() => log.Engine.Publisher.Held is { What: Hold.Signing }, "the log waits");
        Assert.Equal((EngineState.Starting, 1L), (log.Engine.State, log.Engine.Publisher.SignedSize));
        Assert.False(File.Exists(Path.Combine(log.Data, "halted")));

        // What it shows is signed by this log, and larger than all that this copy has signed.
        witnessed[0].Shows = newest;
        await witnessed.RestartAsync();
        Assert.Contains("size 2", await log.HaltedAsync(), StringComparison.Ordinal);
        Assert.Equal(1, log.Engine.Publisher.SignedSize);
        Assert.Equal(2, witnessed[0].Honest.Size);
    }

    [Fact]
    public async Task What_is_damaged_is_not_taken_into_a_backup_and_the_one_before_stays()
    {
        await using TestLog log = await TestLog.StartAsync();
        string to = Path.Combine(log.Root, "backup");
        await FillAsync(log, 5);
        await BackUpAsync(log, to);
        long first = log.Engine.Publisher.SignedSize;
        await FillAsync(log, 200);
        await log.StopAsync();
        string data = Path.Combine(log.Data, "segments", "data.0");
        byte[] bytes = await File.ReadAllBytesAsync(data);
        bytes[100_000] ^= 1;
        await File.WriteAllBytesAsync(data, bytes);
        Damage damage = (await Assert.ThrowsAsync<DamageException>(() => BackUpAsync(log, to))).Damage;
        Assert.Equal("storage", damage.Kind);
        Assert.NotNull(damage.Segment);
        Assert.Equal(first, (await RestoreAsync(to, Path.Combine(log.Root, "restored"))).Head!.Size);
    }

    [Fact]
    public async Task O06_a_restore_finds_any_damage_of_the_backup_and_leaves_nothing()
    {
        await using TestLog log = await TestLog.StartAsync();
        string to = Path.Combine(log.Root, "backup"), restored = Path.Combine(log.Root, "restored");
        await FillAsync(log, 300);
        await BackUpAsync(log, to);
        int found = 0;
        foreach (string file in Directory.GetFiles(to, "*", SearchOption.AllDirectories).Where(file => Path.GetFileName(file) != "lock" && !file.EndsWith("segments/commit", StringComparison.Ordinal) && !file.EndsWith("tree/commit", StringComparison.Ordinal)))
        {
            byte[] bytes = await File.ReadAllBytesAsync(file);
            int length = bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
            if (file.EndsWith("/data.0", StringComparison.Ordinal) && new FileInfo(Path.Combine(Path.GetDirectoryName(file)!, "addresses")).Length > 0)
            {
                // The bytes of a commit may end with parts of the record that came next: nothing reads them.
                int last = (int)BinaryPrimitives.ReadInt64BigEndian((await File.ReadAllBytesAsync(Path.Combine(Path.GetDirectoryName(file)!, "addresses"))).AsSpan()[^8..]);
                length = Math.Min(length, last + 4 + BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(last)));
            }

            if (length == 0) continue; // the addresses of a tree without a tile
            foreach (int at in (int[])[0, length / 3, (length / 2) - (length / 100), length - (length / 100) - 1])
            {
                if (file.Contains("/data.", StringComparison.Ordinal) && at < 64) continue; // before FASTER's first address
                Damage();
                await File.WriteAllBytesAsync(file, bytes);
                StorageException failure = await Assert.ThrowsAnyAsync<StorageException>(async () =>
                {
                    DirectoryReport report = await RestoreAsync(to, restored);
                    Assert.Fail($"{file}, offset {at}: {string.Join("; ", report.Notes)}");
                });
                Assert.False(Directory.Exists(restored), failure.Message);
                Assert.False(Directory.Exists(restored + ".restoring"), failure.Message);
                Damage();
                await File.WriteAllBytesAsync(file, bytes);
                found++;

                // Four bytes: of up to three, with which FASTER rounds a record up, nothing depends.
                void Damage()
                {
                    foreach (ref byte damaged in bytes.AsSpan(at, Math.Min(4, length - at))) damaged ^= 4;
                }
            }
        }

        Assert.InRange(found, 30, 100);
        await RestoreAsync(to, restored);
    }

    [Fact]
    public async Task N12_what_a_killed_restore_or_a_first_backup_leaves_is_removed_by_the_next_one()
    {
        await using TestLog log = await TestLog.StartAsync();
        string to = Path.Combine(log.Root, "backup"), restored = Path.Combine(log.Root, "restored"), stage = restored + ".restoring";
        await FillAsync(log, 3);

        // Killed before its manifest was written.
        foreach (string part in (string[])["segments", "tree"]) Directory.CreateDirectory(Path.Combine(to, part));
        await File.WriteAllTextAsync(Path.Combine(to, "backup.new"), "tlog-b");
        await BackUpAsync(log, to);

        // Killed at every point of a restore: its stage is what is copied here while it is at work.
        foreach (bool marked in (bool[])[false, true])
        {
            Directory.CreateDirectory(stage);
            if (marked)
            {
                await File.WriteAllTextAsync(Path.Combine(stage, "stage"), "tlog-st");
                StartTests.CopyDirectory(Path.Combine(to, "segments"), Path.Combine(stage, "data/segments"));
            }

            Assert.Equal(3 * 256, (await RestoreAsync(to, restored)).Entries);
            Assert.False(Directory.Exists(stage));
            Directory.Delete(restored, recursive: true);
        }

        // One that is still at work is not disturbed.
        Directory.CreateDirectory(stage);
        using (Microsoft.Win32.SafeHandles.SafeFileHandle held = Posix.Open(Path.Combine(stage, "stage"), Posix.ReadWrite | Posix.Create))
        {
            Assert.True(Posix.TryLock(held, stage));
            Assert.Contains("another process", (await Assert.ThrowsAsync<StorageException>(() => RestoreAsync(to, restored))).Message);
        }

        Assert.Equal(3 * 256, (await RestoreAsync(to, restored)).Entries);
    }

    [Fact]
    public async Task N21_a_backup_or_a_restored_copy_inside_of_a_log_or_backup_is_refused_with_both_names()
    {
        await using TestLog log = await TestLog.StartAsync();
        string to = Path.Combine(log.Root, "backup"), link = Path.Combine(log.Root, "link");
        await FillAsync(log, 2);
        Directory.CreateSymbolicLink(link, log.Data);
        string before = string.Join('\n', Names(log.Data));
        foreach (string inside in (string[])[log.Data, Path.Combine(log.Data, "backup"), Path.Combine(log.Data, "evidence/a/b"), Path.Combine(link, "backup"), Path.Combine(log.Data, "../data/segments/b")])
        {
            StorageException refused = await Assert.ThrowsAsync<StorageException>(() => BackUpAsync(log, inside));
            Assert.Contains(inside, refused.Message);
            Assert.Contains($"inside of {log.Data}", refused.Message);
        }

        await BackUpAsync(log, to);
        foreach (string inside in (string[])[Path.Combine(to, "copy"), Path.Combine(log.Data, "copy"), Path.Combine(link, "copy")])
        {
            Assert.Contains("inside of", (await Assert.ThrowsAsync<StorageException>(() => RestoreAsync(to, inside))).Message);
        }

        Assert.Equal(before, string.Join('\n', Names(log.Data)));
        await log.StopAsync();
        Assert.Contains("inside of", (await Assert.ThrowsAsync<StorageException>(() => Repair.ApplyAsync(log.Data, Path.Combine(link, "copy"), Verifiers.TryCreate, new RepairOptions { Journal = TestLog.Journal }))).Message);
    }

    [Fact]
    public async Task N21_what_a_file_system_keeps_in_its_root_is_no_damage()
    {
        await using TestLog log = await TestLog.StartAsync();
        await FillAsync(log, 2);
        await log.StopAsync();
        foreach (string part in (string[])["", "segments", "tree", "journal"])
        {
            Directory.CreateDirectory(Path.Combine(log.Data, part, "lost+found"));
            Directory.CreateDirectory(Path.Combine(log.Data, part, ".snapshot"));
            await File.WriteAllTextAsync(Path.Combine(log.Data, part, ".nfs00000000000a1b2c0000002d"), "");
        }

        DirectoryReport report = await DirectoryCheck.RunAsync(log.Data, Verifiers.TryCreate, Small);
        Assert.Equal(2 * 256, report.Entries);
        await log.ServeAsync(new LogSetup());
        Assert.Equal(2 * 256, await log.AddAsync("one more"));
        await BackUpAsync(log, Path.Combine(log.Root, "backup"));
    }

    [Fact]
    public async Task Refusals_name_what_is_wrong_and_change_nothing()
    {
        await using TestLog log = await TestLog.StartAsync(), other = await TestLog.StartAsync();
        string to = Path.Combine(log.Root, "backup"), restored = Path.Combine(log.Root, "restored");
        await Refused("is not a backup", () => Restore.RunAsync(log.Data, restored, Verifiers.TryCreate));
        await BackUpAsync(log, to);
        await Refused("without the key key.pem", () => Restore.RunAsync(to, restored, Verifiers.TryCreate));
        await Refused("is a backup of", () => BackUpAsync(other, to));
        await Refused("is not empty", () => BackUpAsync(log, other.Data));
        await Refused("inside of", () => RestoreAsync(to, other.Data));
        using (DirectoryLock held = DirectoryLock.Acquire(to)) await Refused("is in use by process", () => BackUpAsync(log, to));
        Directory.CreateDirectory(restored + ".restoring/segments");
        await Refused("remove it", () => RestoreAsync(to, restored));

        // An older copy of the log does not take the place of what is newer.
        string older = Path.Combine(log.Root, "older");
        await log.AddAsync("one", "published");
        await log.StopAsync();
        StartTests.CopyDirectory(log.Data, older);
        await log.ServeAsync(new LogSetup());
        await log.AddAsync("two", "published");
        await BackUpAsync(log, to);
        await Refused("older copy", () => Backup.RunAsync(older, to, Verifiers.TryCreate, new BackupOptions { Journal = TestLog.Journal }));

        // A version that is not known is refused, of the backup and of the directory.
        string manifest = Path.Combine(to, "backup"), identity = Path.Combine(older, "log");
        await File.WriteAllTextAsync(manifest, (await File.ReadAllTextAsync(manifest)).Replace("tlog-backup v1", "tlog-backup v2", StringComparison.Ordinal));
        await Refused("is of version v2, which this program does not know", () => BackUpAsync(log, to));
        await File.WriteAllTextAsync(identity, (await File.ReadAllTextAsync(identity)).Replace("tlog-directory v1", "tlog-directory v3", StringComparison.Ordinal));
        await Refused("is of version v3, which this program does not know", () => LogDirectory.OpenAsync(older, null, TimeProvider.System));

        static async Task Refused(string because, Func<Task> act) => Assert.Contains(because, (await Assert.ThrowsAnyAsync<StorageException>(act)).Message);
    }

    private static Task<BackupReport> BackUpAsync(TestLog log, string to, bool withKey = false) =>
        Backup.RunAsync(log.Data, to, Verifiers.TryCreate, new BackupOptions { Journal = TestLog.Journal, WithKey = withKey });

    /// <summary>A backup without the key gets a file that is none: nothing here signs with it.</summary>
    private static Task<DirectoryReport> RestoreAsync(string from, string to, bool withKey = false) => Restore.RunAsync(from, to, Verifiers.TryCreate, withKey ? null : [1], Small);

    private static async Task LoseAsync(TestLog log)
    {
        await log.StopAsync();
        Directory.Delete(log.Data, recursive: true);
    }

    private static async Task ResumeAsync(TestLog log)
    {
        await using LogDirectory directory = await LogDirectory.OpenAsync(log.Data, null, TimeProvider.System, TestLog.Journal);
        await directory.Register.ResumeAsync("it was the newest copy", CancellationToken.None);
    }

    private static string[] Names(string directory) => [.. Directory.EnumerateFileSystemEntries(directory).Select(Path.GetFileName).Order(StringComparer.Ordinal)!];

    private static async Task FillAsync(TestLog log, int segments)
    {
        for (int i = 0; i < segments; i++)
        {
            // The answer comes before the tree grows, and what makes the next batch another one is the size of the tree.
            long first = log.Engine.Size;
            long[] indexes = await log.AddBatchAsync([.. Enumerable.Range(0, 256).Select(k => (byte[])[.. BitConverter.GetBytes(first + k), .. new byte[k]])]);
            await Eventually.TrueAsync(() => log.Engine.Size > indexes[^1], "the tree has grown");
        }

        await Eventually.TrueAsync(() => log.Engine.Publisher.SignedSize == log.Engine.Size, "all of it is signed");
    }

    private static async Task LoadAsync(TestLog log, CancellationToken enough)
    {
        for (long i = 0; !enough.IsCancellationRequested; i++)
        {
            await log.AddBatchAsync([.. Enumerable.Range(0, 100).Select(k => (byte[])[.. BitConverter.GetBytes((i * 100) + k), .. new byte[200]])]);
            if (i % 10 == 0) await log.AddAsync(BitConverter.GetBytes(-1 - i));
        }
    }
}
