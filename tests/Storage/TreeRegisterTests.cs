using System.Globalization;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>The commit point of the tree: what was signed stays signed, through reopening, damage and older copies.</summary>
public sealed class TreeRegisterTests : IDisposable
{
    private const string Origin = "example.com/log";

    private readonly Scratch _scratch = new();

    public TreeRegisterTests()
    {
        Directory.CreateDirectory(Folder);
        TreeRegister.Create(Folder, TimeProvider.System);
    }

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["data"];

    private string Guard => _scratch["guard"];

    private string Commit => Path.Combine(Folder, "commit");

    private string Heads => Path.Combine(Folder, "heads");

    /// <summary>What a file holds before the zeros at its end.</summary>
    private static async Task<byte[]> TextAsync(string path)
    {
        byte[] bytes = await File.ReadAllBytesAsync(path);
        return bytes[..(bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 1)];
    }

    private static TreeHead Head(long size, string note = "") =>
        new(size, MerkleHash.Leaf(BitConverter.GetBytes(size)), Encoding.UTF8.GetBytes($"{Origin}\n{size}\n{note}"));

    private TreeRegister Open(bool guard = false, long limit = TreeRegister.HistoryLimit) =>
        TreeRegister.Open(Folder, guard ? Guard : null, Origin, TimeProvider.System, null, limit);

    private static async Task SwapAsync(TreeRegister register, TreeHead next) =>
        Assert.True(await register.SwapAsync(register.Current, next, "test", CancellationToken.None));

    /// <summary>Swaps these sizes one after the other, each through a reopening.</summary>
    private async Task SignAsync(bool guard, params long[] sizes)
    {
        foreach (long size in sizes)
        {
            using TreeRegister register = Open(guard);
            await SwapAsync(register, Head(size));
        }
    }

    private void Holds(TreeHead? head, string? mended = null, bool guard = false)
    {
        using TreeRegister register = Open(guard);
        Assert.Equal(head, register.Current);
        if (mended is null) Assert.Null(register.Mended);
        else Assert.Contains(mended, register.Mended, StringComparison.Ordinal);
    }

    /// <summary>All files, but for the guard's lock: it names the last one that tried.</summary>
    private KeyValuePair<string, string>[] Content() => [.. Scratch.Content(_scratch.Root).Where(file => !file.Key.EndsWith(".lock", StringComparison.Ordinal))];

    /// <summary>The newest file of the guard.</summary>
    private string NewestGuard() => Row.PathOf(Row.List()[^1]);

    private GuardRow Row => TreeRegister.GuardOf(Guard, Origin);

    private StorageException Refused(bool guard = false)
    {
        KeyValuePair<string, string>[] before = Content();
        StorageException refusal = Assert.ThrowsAny<StorageException>(() => Open(guard));
        Assert.Equal(before, Content());
        Assert.Empty(RecordLogTests.OpenBelow(Folder));
        return refusal;
    }

    [Fact]
    public async Task A_new_register_has_signed_nothing_and_a_swap_survives_reopening()
    {
        Holds(null);
        TreeHead? last = null;
        foreach (TreeHead next in (TreeHead[])[Head(0), Head(1), Head(1, "again"), Head(700)])
        {
            using (TreeRegister register = Open())
            {
                Assert.Equal(last, register.Current);
                await SwapAsync(register, next);
                Assert.Equal(next, register.Current);
            }

            last = next;
            Holds(last);
        }
    }

    [Fact]
    public async Task A_swap_goes_on_from_the_expected_head_only()
    {
        using TreeRegister register = Open();
        Assert.False(await register.SwapAsync(Head(3), Head(5), "test", CancellationToken.None));
        await SwapAsync(register, Head(5));
        Assert.False(await register.SwapAsync(null, Head(6), "test", CancellationToken.None));
        Assert.False(await register.SwapAsync(Head(5, "other bytes"), Head(6), "test", CancellationToken.None));
        Assert.Equal(Head(5), register.Current);
    }

    [Fact]
    public async Task D06_the_history_is_synced_before_the_guard_and_the_guard_before_the_commit_record()
    {
        using TreeRegister register = Open(guard: true);
        List<string> calls = [];
        using (FaultScope.Watch(_scratch.Root, (call, path) => calls.Add($"{call} {Path.GetFileName(path)}"))) await SwapAsync(register, Head(1));
        string guard = calls[2]["pwrite ".Length..];
        Assert.StartsWith(Path.GetFileName(Row.PathOf(2))[..^".head".Length], guard, StringComparison.Ordinal);
        Assert.Equal(
            [
                "pwrite heads", "fdatasync heads",
                $"pwrite {guard}", $"fsync {guard}", $"link {guard}", $"unlink {guard}", "fsync guard",
                "pwrite commit", "fdatasync commit",
            ],
            calls);
    }

    [Fact]
    public async Task A_smaller_size_and_another_root_for_the_same_size_are_a_conflict()
    {
        using TreeRegister register = Open();
        await SwapAsync(register, Head(5));
        await Assert.ThrowsAsync<ConflictException>(async () => await register.SwapAsync(Head(5), Head(4), "test", CancellationToken.None));
        await Assert.ThrowsAsync<ConflictException>(async () => await register.SwapAsync(Head(5), Head(5) with { Root = default }, "test", CancellationToken.None));
        Assert.Equal(Head(5), register.Current);
        await SwapAsync(register, Head(6));
    }

    [Fact]
    public async Task A_checkpoint_above_the_limit_is_misuse_and_the_largest_one_survives()
    {
        TreeHead largest = Head(9) with { Checkpoint = new byte[TreeHead.MaxCheckpoint] };
        using (TreeRegister register = Open())
        {
            await Assert.ThrowsAsync<ArgumentException>(async () => await register.SwapAsync(null, Head(9) with { Checkpoint = new byte[TreeHead.MaxCheckpoint + 1] }, "test", CancellationToken.None));
            Assert.True(await register.SwapAsync(null, largest, new string('\uffff', 100_000), CancellationToken.None));
        }

        Holds(largest);
    }

    [Fact]
    public async Task C02_a_register_that_another_process_has_moved_is_fenced()
    {
        using TreeRegister register = Open();
        await SwapAsync(register, Head(5));
        using (TreeRegister other = Open()) await SwapAsync(other, Head(6));
        Assert.False(await register.SwapAsync(Head(5), Head(7), "test", CancellationToken.None));
        Holds(Head(6));
    }

    [Fact]
    public async Task C03_a_register_whose_lock_file_is_gone_is_fenced()
    {
        using DirectoryLock held = DirectoryLock.Acquire(Folder);
        using TreeRegister register = TreeRegister.Open(Folder, null, Origin, TimeProvider.System, held);
        await SwapAsync(register, Head(5));
        File.Delete(Path.Combine(Folder, "lock"));
        Assert.False(await register.SwapAsync(Head(5), Head(6), "test", CancellationToken.None));
        File.WriteAllText(Path.Combine(Folder, "lock"), "");
        Assert.False(held.IsHeld);
        Assert.False(await register.SwapAsync(Head(5), Head(6), "test", CancellationToken.None));
    }

    [Fact]
    public async Task D14_a_commit_record_that_is_missing_or_damaged_in_any_bit_is_taken_from_the_history()
    {
        await SignAsync(guard: false, 3, 8, 21);
        byte[] padded = await File.ReadAllBytesAsync(Commit), bytes = await TextAsync(Commit);
        Assert.Equal(4096, padded.Length);
        File.Delete(Commit);
        Holds(Head(21), "missing");
        Assert.Equal(padded, await File.ReadAllBytesAsync(Commit));
        Holds(Head(21));
        foreach (byte[] other in (byte[][])[[], bytes[..^1], [.. bytes, 10], [.. padded, 10], bytes[1..], new byte[padded.Length]])
        {
            await File.WriteAllBytesAsync(Commit, other);
            Holds(Head(21), "damaged");
        }

        // The zeros at the end may be fewer.
        await File.WriteAllBytesAsync(Commit, bytes);
        Holds(Head(21));

        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            byte[] flipped = [.. bytes];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            await File.WriteAllBytesAsync(Commit, flipped);
            Assert.False(TreeRegister.TryReadHead(Commit, out _));
            if (bit % 29 == 0) Holds(Head(21), "damaged");
        }
    }

    [Fact]
    public async Task D03_a_torn_last_line_of_the_history_is_cut()
    {
        await SignAsync(guard: false, 3, 8);
        byte[] before = await File.ReadAllBytesAsync(Heads), commit = await File.ReadAllBytesAsync(Commit);
        int start = (await TextAsync(Heads)).Length;
        TreeHead long21 = Head(21, new string('x', 2000));
        using (TreeRegister register = Open()) await SwapAsync(register, long21);
        byte[] after = await File.ReadAllBytesAsync(Heads);
        int end = (await TextAsync(Heads)).Length;

        // The line came before the commit record was written. Written up to some byte; then with any of its sectors missing.
        for (int length = start + 1; length < end; length += 3)
        {
            await CutAsync([.. after[..length], .. before[length..]]);
            await CutAsync(after[..length]);
        }

        int first = start / 512, sectors = ((end - 1) / 512) - first + 1;
        for (int missing = 1; missing < 1 << sectors; missing++)
        {
            byte[] torn = [.. after];
            for (int i = 0; i < sectors; i++)
            {
                if ((missing >> i & 1) != 0) before.AsSpan((first + i) * 512, 512).CopyTo(torn.AsSpan((first + i) * 512));
            }

            if (missing == (1 << sectors) - 1) continue; // nothing of it is there: no torn line
            await CutAsync(torn);
        }

        await SignAsync(guard: false, 9);
        Holds(Head(9));

        async Task CutAsync(byte[] torn)
        {
            await File.WriteAllBytesAsync(Heads, torn);
            await File.WriteAllBytesAsync(Commit, commit);
            Holds(Head(8), "torn last line was cut");
            Assert.Equal(before[..start], await TextAsync(Heads));
        }
    }

    [Fact]
    public async Task I05_a_last_line_that_is_whole_but_for_some_bits_is_not_torn()
    {
        await SignAsync(guard: false, 3, 8);
        byte[] before = await File.ReadAllBytesAsync(Heads), commit = await File.ReadAllBytesAsync(Commit);
        int start = (await TextAsync(Heads)).Length;
        await SignAsync(guard: false, 21);
        byte[] after = await File.ReadAllBytesAsync(Heads);
        await File.WriteAllBytesAsync(Commit, commit);
        foreach (int length in (int[])[1, 8, 40])
        {
            byte[] holed = [.. after];
            holed.AsSpan(start + 20, length).Clear();
            await File.WriteAllBytesAsync(Heads, holed);
            Assert.Contains($"{Heads}, offset {start}", Refused().Message, StringComparison.Ordinal);
        }

        // Far behind the last line there is nothing that an append could have left.
        before[^1] = 1;
        await File.WriteAllBytesAsync(Heads, before);
        Assert.Contains($"{Heads}, offset {start}", Refused().Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task D03_a_torn_commit_record_is_taken_from_the_history()
    {
        TreeHead old = Head(8, new string('o', 3000)), next = Head(21, new string('n', 3000));
        using (TreeRegister register = Open()) await SwapAsync(register, old);
        byte[] before = await File.ReadAllBytesAsync(Commit);
        using (TreeRegister register = Open()) await SwapAsync(register, next);
        byte[] after = await File.ReadAllBytesAsync(Commit);
        Assert.Equal(before.Length, after.Length);
        int sectors = (await TextAsync(Commit)).Length / 512;
        for (int i = 0; i < sectors; i++)
        {
            foreach (bool rest in (bool[])[false, true])
            {
                byte[] torn = rest ? [.. after] : [.. before];
                (rest ? before : after).AsSpan(i * 512, 512).CopyTo(torn.AsSpan(i * 512));
                if (torn.AsSpan().SequenceEqual(before) || torn.AsSpan().SequenceEqual(after)) continue;
                await File.WriteAllBytesAsync(Commit, torn);
                Holds(next, "damaged");
                Assert.Equal(after, await File.ReadAllBytesAsync(Commit));
            }
        }
    }

    [Fact]
    public async Task The_history_is_filled_ahead_with_zeros_and_a_head_then_changes_no_length()
    {
        using TreeRegister register = Open();
        long length = new FileInfo(Heads).Length;
        Assert.Equal(1024 * 1024, length);
        int size = 0, grown = 0;
        List<string> calls = [];
        using FaultScope watch = FaultScope.Watch(_scratch.Root, (call, path) => calls.Add($"{call} {Path.GetFileName(path)}"));
        while (grown < 2)
        {
            calls.Clear();
            await SwapAsync(register, Head(++size, new string('x', 30_000)));
            long now = new FileInfo(Heads).Length;
            string filling = now == length ? "" : "(pwrite heads, )+fsync heads, ";
            Assert.Matches($"^{filling}pwrite heads, fdatasync heads, pwrite commit, fdatasync commit$", string.Join(", ", calls));
            if (now != length) grown++;
            length = now;
        }

        Holds(Head(size, new string('x', 30_000)));
    }

    [Fact]
    public async Task D15_a_torn_history_with_a_newer_commit_record_is_refused()
    {
        await SignAsync(guard: false, 3, 8);
        byte[] before = await TextAsync(Heads);
        await SignAsync(guard: false, 21);
        byte[] after = await TextAsync(Heads);
        foreach (int length in (int[])[before.Length, before.Length + 20, after.Length - 1])
        {
            await File.WriteAllBytesAsync(Heads, [.. after[..length], .. new byte[5000]]);
            StorageException refusal = Refused();
            Assert.Contains("size 21", refusal.Message, StringComparison.Ordinal);
            Assert.Contains("size 8", refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task I05_a_history_damaged_in_the_middle_or_lost_is_refused()
    {
        await SignAsync(guard: false, 3, 8, 21);
        byte[] bytes = await TextAsync(Heads);
        Random random = new(50);
        for (int i = 0; i < 200; i++)
        {
            byte[] flipped = [.. bytes];
            int offset = random.Next(bytes.Length - 1);
            flipped[offset] ^= (byte)(1 << random.Next(8));
            await File.WriteAllBytesAsync(Heads, flipped);
            Assert.Contains(Heads, Refused().Message, StringComparison.Ordinal);
        }

        await File.WriteAllBytesAsync(Heads, []);
        Refused();
        await File.WriteAllBytesAsync(Heads, new byte[4096]);
        Refused();
        File.Delete(Heads);
        Refused();
    }

    [Fact]
    public async Task D10_a_commit_record_one_head_behind_is_a_crash_and_is_mended()
    {
        await SignAsync(guard: false, 3, 8);
        byte[] before = await File.ReadAllBytesAsync(Commit);
        await SignAsync(guard: false, 21);
        await File.WriteAllBytesAsync(Commit, before);

        // The line that is ahead may be in the page cache only (D-07): it is written anew, and synced before the commit record is.
        List<string> calls = [];
        byte[] history = await File.ReadAllBytesAsync(Heads);
        using (FaultScope.Watch(Folder, (call, path) => calls.Add($"{call} {Path.GetFileName(path)}"))) Holds(Head(21), "one head behind");
        Assert.Equal(["pwrite heads", "fdatasync heads", "pwrite commit.new", "fsync commit.new", "rename commit.new", "fsync data"], calls);
        Assert.Equal(history, await File.ReadAllBytesAsync(Heads));
        Holds(Head(21));
    }

    [Fact]
    public async Task D10_a_start_makes_history_and_commit_record_durable_before_the_guard_learns_of_them()
    {
        string[] register = ["pwrite heads", "fdatasync heads", "pwrite commit.new", "fsync commit.new", "rename commit.new", "fsync data"];
        await SignAsync(guard: true, 3, 8);
        string newest = Path.GetFileName(NewestGuard()), next = newest[..^".head".Length];

        // What a killed process left may be in the page cache only.
        Assert.Equal([.. register, $"fsync {newest}", "fsync guard"], Calls());
        File.Delete(NewestGuard());
        Assert.Equal([.. register, $"pwrite {next}", $"fsync {next}", $"link {next}", $"unlink {next}", "fsync guard"], Calls());

        // The first guard of a log, too.
        Directory.Delete(Guard, recursive: true);
        File.Delete(Path.Combine(Folder, "guarded"));
        string first = Path.GetFileName(Row.PathOf(1))[..^".head".Length], old = Path.GetFileName(Row.OldPath);
        Assert.Equal(
            [
                "mkdir guard", "fsync scratch", .. register,
                $"pwrite {first}", $"fsync {first}", $"link {first}", $"unlink {first}", "fsync guard",
                $"pwrite {old}.new", $"fsync {old}.new", $"rename {old}.new", "fsync guard",
                "pwrite guarded.new", "fsync guarded.new", "rename guarded.new", "fsync data",
            ],
            Calls());

        List<string> Calls()
        {
            List<string> calls = [];
            using FaultScope watch = FaultScope.Watch(_scratch.Root, (call, path) => calls.Add($"{call} {(path == _scratch.Root ? "scratch" : Path.GetFileName(path))}"));
            Open(guard: true).Dispose();

            // Without the chance in the names of temporary files, and without the lock.
            return [.. calls.Where(call => !call.EndsWith(".lock", StringComparison.Ordinal)).Select(call => System.Text.RegularExpressions.Regex.Replace(call, "\\.[0-9a-f]{16}\\.new$", ""))];
        }
    }

    [Fact]
    public async Task R03_an_older_commit_record_is_refused_by_both_names()
    {
        await SignAsync(guard: false, 3);
        byte[] before = await File.ReadAllBytesAsync(Commit);
        await SignAsync(guard: false, 8, 21);
        await File.WriteAllBytesAsync(Commit, before);
        StorageException refusal = Refused();
        foreach (string part in (string[])[Commit, Heads, "size 3", "size 21", Head(3).Root.ToBase64(), Head(21).Root.ToBase64()]) Assert.Contains(part, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_first_guard_is_written_and_agrees_from_then_on()
    {
        await SignAsync(guard: false, 3);
        using (TreeRegister register = Open(guard: true)) Assert.False(register.GuardAgrees);
        using (TreeRegister register = Open(guard: true))
        {
            Assert.True(register.GuardAgrees);
            await SwapAsync(register, Head(8));
        }

        Assert.Equal(await TextAsync(Commit), await File.ReadAllBytesAsync(NewestGuard()));
        using TreeRegister again = Open(guard: true);
        Assert.True(again.GuardAgrees);
    }

    [Fact]
    public async Task R01_an_older_copy_of_the_directory_is_refused_by_the_guard()
    {
        await SignAsync(guard: true, 3, 8);
        Scratch.Copy(Folder, _scratch["backup"]);
        await SignAsync(guard: true, 21);
        Directory.Delete(Folder, recursive: true);
        Scratch.Copy(_scratch["backup"], Folder);
        StorageException refusal = Refused(guard: true);
        Assert.Contains("size 21", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("size 8", refusal.Message, StringComparison.Ordinal);

        // And it does not start without the guard either.
        Assert.Contains("--guard", Refused().Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task R01_a_guard_that_is_missing_after_use_or_damaged_is_refused()
    {
        await SignAsync(guard: true, 3, 8);
        string file = NewestGuard();
        byte[] bytes = await File.ReadAllBytesAsync(file);
        for (int bit = 0; bit < bytes.Length * 8; bit += 7)
        {
            byte[] flipped = [.. bytes];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            await File.WriteAllBytesAsync(file, flipped);
            Assert.Contains(file, Refused(guard: true).Message, StringComparison.Ordinal);
        }

        foreach (long sequence in Row.List()) File.Delete(Row.PathOf(sequence));
        Assert.Contains("is missing", Refused(guard: true).Message, StringComparison.Ordinal);
        Directory.Delete(Guard, recursive: true);
        Assert.Contains(Guard, Refused(guard: true).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guard_behind_is_mended_and_one_with_another_root_is_refused()
    {
        await SignAsync(guard: true, 3, 8);
        byte[] newest = await File.ReadAllBytesAsync(NewestGuard());
        File.Delete(NewestGuard());
        using (TreeRegister register = Open(guard: true)) Assert.True(register.GuardAgrees);
        Assert.True(HeadRecord.TryParse(await File.ReadAllBytesAsync(NewestGuard()), out HeadRecord? brought) && brought.Head == Head(8));

        Assert.True(HeadRecord.TryParse(newest, out HeadRecord? record));
        await File.WriteAllBytesAsync(Row.PathOf(Row.List()[^1] + 1), (record with { Head = Head(8) with { Root = Head(3).Root } }).ToBytes());
        Assert.Contains("two roots", Refused(guard: true).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_halt_survives_reopening_and_a_resume_ends_it_and_both_are_in_the_history()
    {
        await SignAsync(guard: false, 3);
        using (TreeRegister register = Open())
        {
            await Assert.ThrowsAsync<StorageException>(async () => await register.ResumeAsync("nothing to resume", CancellationToken.None));
            await register.HaltAsync("a witness is ahead", CancellationToken.None);
            await register.HaltAsync("the second is not recorded", CancellationToken.None);
            Assert.False(await register.SwapAsync(Head(3), Head(4), "test", CancellationToken.None));
        }

        using (TreeRegister register = Open())
        {
            Assert.Contains("a witness is ahead", register.Halted, StringComparison.Ordinal);
            Assert.Equal(Head(3), register.Current);
            Assert.False(await register.SwapAsync(Head(3), Head(4), "test", CancellationToken.None));
            await register.ResumeAsync("looked into it", CancellationToken.None);
            Assert.Null(register.Halted);
            await SwapAsync(register, Head(4));
        }

        Holds(Head(4));
        string[] reasons = [.. File.ReadAllText(Heads).TrimEnd('\0', '\n').Split('\n').Select(line =>
        {
            Assert.True(HeadRecord.TryParse(Encoding.ASCII.GetBytes(line + "\n"), out HeadRecord? record));
            return record.Reason;
        })];
        Assert.Equal(["created", "test", "halted: a witness is ahead", "resumed: looked into it", "test"], reasons);
    }

    [Theory]
    [InlineData("th-TH")]
    [InlineData("fa-IR")]
    [InlineData("fi-FI")]
    [InlineData("tr-TR")]
    public async Task O11_a_halt_is_dated_alike_in_every_culture(string culture)
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo(culture);
            using TreeRegister register = Open();
            await SwapAsync(register, Head(1234567));
            await register.HaltAsync("evidence", CancellationToken.None);
            Assert.Matches("^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z\nevidence\n$", await File.ReadAllTextAsync(Path.Combine(Folder, "halted")));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        Holds(Head(1234567));
    }

    [Fact]
    public async Task Evidence_of_any_length_can_be_read_again()
    {
        using (TreeRegister register = Open()) await register.HaltAsync(new string('\uffff', 2_000_000), CancellationToken.None);
        using (TreeRegister register = Open())
        {
            Assert.NotNull(register.Halted);
            await register.ResumeAsync(new string('\uffff', 2_000_000), CancellationToken.None);
            await SwapAsync(register, Head(1) with { Checkpoint = new byte[TreeHead.MaxCheckpoint] });
            await register.HaltAsync(new string('x', 2_000_000), CancellationToken.None);
        }

        using TreeRegister again = Open();
        Assert.Equal(1, again.Current!.Size);
    }

    [Fact]
    public async Task The_history_starts_anew_at_its_limit_and_keeps_the_old_file_beside_it()
    {
        TreeHead? last = null;
        for (int size = 0; size < 60; size++)
        {
            using TreeRegister register = Open(limit: 3000);
            Assert.Equal(last, register.Current);
            Assert.Null(register.Mended);
            last = Head(size);
            await SwapAsync(register, last);
            Assert.InRange((await TextAsync(Heads)).Length, 1, 3000);
        }

        Assert.InRange(new FileInfo(Heads + ".old").Length, 2000, 3000);
        Holds(last);
        File.Delete(Commit);
        Holds(last, "missing");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task D05_whichever_storage_call_of_a_swap_fails_nothing_goes_on_and_reopening_finds_the_old_head_or_the_new(bool after)
    {
        bool old = false, taken = false;
        for (int n = 1; ; n++)
        {
            Directory.Delete(Folder, recursive: true);
            if (Directory.Exists(Guard)) Directory.Delete(Guard, recursive: true);
            Directory.CreateDirectory(Folder);
            TreeRegister.Create(Folder, TimeProvider.System);
            await SignAsync(guard: true, 1, 2, 3, 4, 5);
            StorageException? failure = null;
            using (TreeRegister register = Open(guard: true, limit: (await TextAsync(Heads)).Length + 10))
            using (FaultScope.Nth(_scratch.Root, n, FaultScope.Io, after))
            {
                try
                {
                    await SwapAsync(register, Head(6));
                }
                catch (StorageException thrown)
                {
                    failure = thrown;
                    Assert.Equal(Head(5), register.Current);

                    // A guard that could not be asked has decided nothing, and the same swap goes through; any other failure is the last.
                    if (thrown is GuardUnavailableException) await SwapAsync(register, Head(6));
                    else await Assert.ThrowsAnyAsync<StorageException>(async () => await register.SwapAsync(Head(5), Head(6), "test", CancellationToken.None));
                }
            }

            using (TreeRegister again = Open(guard: true))
            {
                Assert.True(again.GuardAgrees);
                if (failure is null)
                {
                    Assert.Equal(Head(6), again.Current);
                    Assert.True(old && taken);
                    Assert.InRange(n, 15, 40);
                    return;
                }

                Assert.True(again.Current == Head(5) || again.Current == Head(6), $"call {n}: {again.Current}");
                if (again.Current == Head(5)) old = true;
                else taken = true;
                await SwapAsync(again, Head(7));
            }

            Holds(Head(7), guard: true);
        }
    }
}
