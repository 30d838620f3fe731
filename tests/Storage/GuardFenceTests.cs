using System.Diagnostics;
using System.Globalization;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>N-02, N-12, N-21: what a log's guard refuses, what it survives, and how it is replaced.</summary>
public sealed class GuardFenceTests : IDisposable
{
    private const string Origin = "example.com/log";

    private readonly Scratch _scratch = new(inMemory: true);

    public GuardFenceTests()
    {
        Directory.CreateDirectory(Data);
        TreeRegister.Create(Data, TimeProvider.System);
    }

    public void Dispose() => _scratch.Dispose();

    private string Data => _scratch["data"];

    private string Guard => _scratch["guard"];

    private GuardRow Row => TreeRegister.GuardOf(Guard, Origin);

    private static TreeHead Head(long size, string branch = "") => new(size, MerkleHash.Leaf(Encoding.UTF8.GetBytes($"{size} {branch}")), Encoding.UTF8.GetBytes($"{Origin}\n{size}\n{branch}\n"));

    private TreeRegister Open(string? data = null, TimeSpan? limit = null) =>
        TreeRegister.Open(data ?? Data, Guard, Origin, TimeProvider.System, null, TreeRegister.HistoryLimit, new GuardSeams { Limit = limit ?? TimeSpan.FromMinutes(1) });

    private static async Task SwapAsync(TreeRegister register, params TreeHead[] heads)
    {
        foreach (TreeHead head in heads) Assert.True(await register.SwapAsync(register.Current, head, "test", CancellationToken.None));
    }

    private async Task SignAsync(params long[] sizes)
    {
        using TreeRegister register = Open();
        await SwapAsync(register, [.. sizes.Select(size => Head(size))]);
    }

    private string Refused(string? data = null) => Assert.ThrowsAny<StorageException>(() => Open(data).Dispose()).Message;

    [Fact]
    public async Task N02_a_second_copy_is_refused_and_names_the_holder()
    {
        await SignAsync(1, 2);
        Scratch.Copy(Data, _scratch["copy"]);
        using TreeRegister first = Open();
        for (int start = 0; start < 20; start++)
        {
            string refusal = Assert.Throws<DirectoryInUseException>(() => Open(_scratch["copy"])).Message;
            Assert.Contains($"is in use by process {Environment.ProcessId} on {Environment.MachineName}, for {Data}", refusal, StringComparison.Ordinal);
        }

        await SwapAsync(first, Head(3));
    }

    [Fact]
    public async Task N02_a_copy_goes_on_once_the_holder_has_ended_and_the_one_it_came_from_does_not_start_again()
    {
        await SignAsync(1, 2);
        Scratch.Copy(Data, _scratch["standby"]);
        using (TreeRegister standby = Open(_scratch["standby"])) await SwapAsync(standby, Head(3, "standby"));
        Assert.Contains("has seen size 3", Refused(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task N02_a_lock_that_was_removed_lets_a_standby_start_and_fences_the_one_that_had_it()
    {
        await SignAsync(1, 2);
        Scratch.Copy(Data, _scratch["standby"]);
        using TreeRegister primary = Open();
        File.Delete(Row.LockPath);
        using TreeRegister standby = Open(_scratch["standby"]);
        await SwapAsync(standby, Head(3, "standby"));
        ConflictException fenced = await Assert.ThrowsAsync<ConflictException>(async () => await primary.SwapAsync(Head(2), Head(3), "test", CancellationToken.None));
        Assert.Contains($"was replaced by process {Environment.ProcessId}", fenced.Message, StringComparison.Ordinal);
        Assert.Contains(_scratch["standby"], fenced.Message, StringComparison.Ordinal);
        Assert.Contains("size 3", fenced.Message, StringComparison.Ordinal);
        Assert.False(primary.Guard!.IsFresh);
        await Assert.ThrowsAsync<ConflictException>(() => primary.Guard.LookAsync());
        await primary.HaltAsync(fenced.Message, CancellationToken.None);
        Assert.Contains("fenced", await File.ReadAllTextAsync(Path.Combine(Data, "halted")), StringComparison.Ordinal);
        await SwapAsync(standby, Head(4, "standby"));
    }

    [Fact]
    public async Task N02_a_lock_that_was_lost_without_a_trace_on_the_file_is_seen_by_the_new_holders_name()
    {
        await SignAsync(1);
        Scratch.Copy(Data, _scratch["standby"]);
        using TreeRegister primary = Open();
        using TreeRegister standby = TreeRegister.Open(_scratch["standby"], Guard, Origin, TimeProvider.System, null, TreeRegister.HistoryLimit, new GuardSeams(LockIsLost: true));
        Assert.Contains("was taken by process", (await Assert.ThrowsAsync<ConflictException>(() => primary.Guard!.LookAsync())).Message, StringComparison.Ordinal);
    }

    /// <summary>The machine of the guard loses power, and with it the removal of a file: then the last file of a copy that was overtaken is there again.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task N02_a_copy_that_was_overtaken_is_fenced_also_where_a_removal_was_undone(bool atStart)
    {
        await SignAsync(1, 2);
        byte[] last = Row.Read(3)!.Bytes;
        Scratch.Copy(Data, _scratch["standby"]);
        GuardSeams lost = new(LockIsLost: true);
        GuardFence Fence(string data) => GuardFence.Open(Guard, Checkpoint.HashOrigin(Origin).ToHex(), ".head", data, mustExist: true, TimeProvider.System, lost);
        using GuardFence overtaken = Fence(Data);
        if (!atStart) overtaken.Begin(last, agrees: true);
        using (TreeRegister standby = TreeRegister.Open(_scratch["standby"], Guard, Origin, TimeProvider.System, null, TreeRegister.HistoryLimit, lost))
        {
            await SwapAsync(standby, Head(3, "standby"), Head(4, "standby"), Head(5, "standby"), Head(6, "standby"));
        }

        Assert.Equal([6, 7], Row.List());
        File.WriteAllBytes(Row.PathOf(3), last);
        byte[] next = new HeadRecord(1, "test", Head(3)).ToBytes();
        ConflictException fenced = atStart
            ? Assert.Throws<ConflictException>(() => overtaken.Begin(next, agrees: false))
            : await Assert.ThrowsAsync<ConflictException>(() => overtaken.AdvanceAsync(next));
        Assert.Contains($"{Row.PathOf(7)} was written by another process", fenced.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task N02_a_row_keeps_its_newest_two_files_and_numbers_every_head()
    {
        await SignAsync(1, 2, 3, 4, 5);
        Assert.Equal([5, 6], Row.List());
        Assert.Equal(Head(5), Parse(Row.Read(6)!));
        Assert.Equal(Head(4), Parse(Row.Read(5)!));
        await SignAsync(6);
        Assert.Equal([6, 7], Row.List());
        string hash = Checkpoint.HashOrigin(Origin).ToHex();
        Assert.Equal(
            [$"{hash}.00000000000000000006.head", $"{hash}.00000000000000000007.head", $"{hash}.head", $"{hash}.lock"],
            Directory.GetFiles(Guard).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal));
        Assert.Equal(1024, new FileInfo(Row.LockPath).Length);
        Assert.StartsWith($"tlog-guard-lock v1\npid {Environment.ProcessId}\nhost {Environment.MachineName}\ndata {Data}\ntoken ", await File.ReadAllTextAsync(Row.LockPath), StringComparison.Ordinal);

        static TreeHead Parse(GuardFile file)
        {
            Assert.True(HeadRecord.TryParse(file.Bytes, out HeadRecord? record));
            return record.Head!;
        }
    }

    [Fact]
    public async Task N02_files_are_removed_oldest_first_and_one_that_cannot_be_keeps_the_later_ones()
    {
        await SignAsync(1, 2);
        using (TreeRegister register = Open())
        {
            string kept = Row.PathOf(2);
            using (FaultScope.On(Guard, (call, path) => call == "unlink" && path == kept ? FaultScope.Fail(FaultScope.Io) : FaultScope.None)) await SwapAsync(register, Head(3), Head(4), Head(5));
            Assert.Equal([2, 3, 4, 5, 6], Row.List());
            await SwapAsync(register, Head(6));
        }

        Assert.Equal([6, 7], Row.List());
    }

    [Theory]
    [InlineData(FaultScope.Io)]
    [InlineData(17)] // EEXIST: a repeated request that met its own name
    public async Task N02_a_link_whose_answer_was_lost_is_a_link(int errno)
    {
        await SignAsync(1);
        using TreeRegister register = Open();
        using (FaultScope.On(Guard, (call, _) => call == "link" ? FaultScope.Fail(errno, after: true) : FaultScope.None)) await SwapAsync(register, Head(2));
        await SwapAsync(register, Head(3));
    }

    [Theory]
    [InlineData("link")]
    [InlineData("fsync")]
    [InlineData("pwrite")]
    [InlineData("open")]
    [InlineData("statx")]
    [InlineData("pread")]
    public async Task N02_a_guard_whose_calls_fail_is_unavailable_and_the_same_swap_goes_through_when_they_do_not(string call)
    {
        await SignAsync(1);
        using TreeRegister register = Open();
        foreach (bool after in new[] { false, true })
        {
            TreeHead next = Head(register.Current!.Size + 1);
            using (FaultScope.On(Guard, (name, path) => name == call && (call != "fsync" || path == Guard) && call != "link" ? FaultScope.Fail(FaultScope.Io, after) : name == call && !after ? FaultScope.Fail(FaultScope.Io) : FaultScope.None))
            {
                if (call == "link" && after) continue;
                await Assert.ThrowsAsync<GuardUnavailableException>(async () => await register.SwapAsync(register.Current, next, "test", CancellationToken.None));
                Assert.NotNull(register.Guard!.Trouble);
                await Assert.ThrowsAsync<GuardUnavailableException>(async () => await register.SwapAsync(register.Current, next, "test", CancellationToken.None));
            }

            await SwapAsync(register, next);
            Assert.Null(register.Guard!.Trouble);
            Assert.True(register.Guard.IsFresh);
        }
    }

    [Fact]
    public async Task N02_a_halt_while_a_head_waits_for_the_guard_leaves_a_directory_that_opens()
    {
        await SignAsync(1);
        using (TreeRegister register = Open())
        {
            using FaultScope dead = FaultScope.On(Guard, (call, _) => call == "link" ? FaultScope.Fail(FaultScope.Io) : FaultScope.None);
            await Assert.ThrowsAsync<GuardUnavailableException>(async () => await register.SwapAsync(Head(1), Head(2), "test", CancellationToken.None));
            await register.HaltAsync("a witness is ahead", CancellationToken.None);
        }

        using TreeRegister again = Open();
        Assert.Equal(Head(2), again.Current);
        await again.ResumeAsync("a test", CancellationToken.None);
        await SwapAsync(again, Head(3));
    }

    [Fact]
    public async Task N02_a_guard_that_hangs_is_unavailable_and_its_late_answer_decides_nothing()
    {
        await SignAsync(1);
        Scratch.Copy(Data, _scratch["standby"]);
        using TreeRegister primary = Open(limit: TimeSpan.FromSeconds(1));
        using ManualResetEventSlim goOn = new();
        int links = 0;
        using (FaultScope.On(Guard, (call, _) =>
        {
            if (call == "link" && Interlocked.Increment(ref links) == 1) goOn.Wait();
            return FaultScope.None;
        }))
        {
            await Assert.ThrowsAsync<GuardUnavailableException>(async () => await primary.SwapAsync(Head(1), Head(2), "test", CancellationToken.None));
            Assert.Contains("no answer", primary.Guard!.Trouble!.Reason, StringComparison.Ordinal);

            // While one call hangs the next does not wait for it.
            await Assert.ThrowsAsync<GuardUnavailableException>(() => primary.Guard.LookAsync().WaitAsync(TimeSpan.FromMilliseconds(900)));

            // An operator lets the standby go on, and only then the primary's call goes on as well.
            File.Delete(Row.LockPath);
            using TreeRegister standby = Open(_scratch["standby"]);
            await SwapAsync(standby, Head(2, "standby"));
            goOn.Set();
            await Eventually(async () =>
            {
                try
                {
                    return !await primary.SwapAsync(Head(1), Head(2), "test", CancellationToken.None);
                }
                catch (GuardUnavailableException)
                {
                    return false;
                }
                catch (ConflictException)
                {
                    return true;
                }
            });
            await SwapAsync(standby, Head(3, "standby"));
        }

        Assert.Equal(Head(1), primary.Current);
    }

    [Fact]
    public async Task N02_a_late_link_of_a_call_that_hung_is_the_step_that_is_tried_again()
    {
        await SignAsync(1);
        using TreeRegister register = Open(limit: TimeSpan.FromSeconds(1));
        using ManualResetEventSlim goOn = new();
        using (FaultScope.On(Guard, (call, _) =>
        {
            if (call == "link") goOn.Wait();
            return FaultScope.None;
        }))
        {
            await Assert.ThrowsAsync<GuardUnavailableException>(async () => await register.SwapAsync(Head(1), Head(2), "test", CancellationToken.None));
            goOn.Set();
            await Eventually(async () =>
            {
                try
                {
                    return await register.SwapAsync(Head(1), Head(2), "test", CancellationToken.None);
                }
                catch (GuardUnavailableException)
                {
                    return false;
                }
            });
        }

        await SwapAsync(register, Head(3));
        Assert.Equal([3, 4], Row.List());
    }

    [Fact]
    public async Task N02_a_folder_that_is_gone_or_another_is_no_fence_and_signing_goes_on_when_it_is_back()
    {
        await SignAsync(1);
        using TreeRegister register = Open();
        Directory.Move(Guard, Guard + ".away");
        await Unavailable("is gone");
        Directory.CreateDirectory(Guard); // as a mount point without its file system
        await Unavailable("mounted");
        Directory.Delete(Guard);
        Directory.Move(Guard + ".away", Guard);
        await SwapAsync(register, Head(2));

        async Task Unavailable(string word) =>
            Assert.Contains(word, (await Assert.ThrowsAsync<GuardUnavailableException>(async () => await register.SwapAsync(Head(1), Head(2), "test", CancellationToken.None))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task N02_a_last_file_that_is_gone_or_changed_is_a_fence()
    {
        foreach (bool changed in new[] { false, true })
        {
            if (Directory.Exists(Guard)) Directory.Delete(Guard, recursive: true);
            Directory.Delete(Data, recursive: true);
            Directory.CreateDirectory(Data);
            TreeRegister.Create(Data, TimeProvider.System);
            using TreeRegister register = Open();
            await SwapAsync(register, Head(1));
            if (changed) await File.WriteAllBytesAsync(Row.PathOf(2), await File.ReadAllBytesAsync(Row.PathOf(1)), TestContext.Current.CancellationToken);
            else File.Delete(Row.PathOf(2));
            await Assert.ThrowsAsync<ConflictException>(async () => await register.SwapAsync(Head(1), Head(2), "test", CancellationToken.None));
        }
    }

    [Fact]
    public async Task N02_a_guard_that_is_neither_the_last_head_nor_the_one_before_it_is_refused()
    {
        await SignAsync(1);
        byte[] old = await File.ReadAllBytesAsync(Row.PathOf(2));
        await SignAsync(2, 3, 4);
        foreach (long sequence in Row.List()) File.Delete(Row.PathOf(sequence));
        await File.WriteAllBytesAsync(Row.PathOf(2), old);
        string refusal = Refused();
        foreach (string part in (string[])[Row.PathOf(2), "size 1", "neither", "size 4", "size 3", "tlog-server guard replace"]) Assert.Contains(part, refusal, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("fifo")]
    [InlineData("directory")]
    [InlineData("link")]
    public async Task N12_a_name_of_the_guard_that_is_no_regular_file_is_refused_by_name_and_nothing_hangs(string kind)
    {
        await SignAsync(1);
        string hash = Checkpoint.HashOrigin(Origin).ToHex();
        foreach (string name in (string[])[$"{hash}.lock", $"{hash}.head", $"{hash}.00000000000000000009.head"])
        {
            string path = Path.Combine(Guard, name), aside = _scratch["aside"];
            bool had = File.Exists(path);
            if (had) File.Move(path, aside);
            if (kind == "fifo") await MakeFifoAsync(path);
            else if (kind == "directory") Directory.CreateDirectory(path);
            else File.CreateSymbolicLink(path, _scratch["elsewhere"]);
            string refusal = Refused();
            Assert.Contains(path, refusal, StringComparison.Ordinal);
            if (kind == "directory") Directory.Delete(path);
            else File.Delete(path);
            if (had) File.Move(aside, path);
        }

        await SignAsync(2);
    }

    [Fact]
    public void N01_a_guard_that_is_a_file_or_cannot_be_looked_at_is_refused_by_name()
    {
        File.WriteAllText(Guard, "");
        Assert.Contains($"{Guard} is not a folder", Refused(), StringComparison.Ordinal);
        File.Delete(Guard);
        foreach (int errno in (int[])[FaultScope.Io, 13 /* EACCES */, 40 /* ELOOP */])
        {
            using FaultScope blind = FaultScope.On(Guard, (call, _) => call == "statx" ? FaultScope.Fail(errno) : FaultScope.None);
            Assert.Contains(Guard, Refused(), StringComparison.Ordinal);
            Assert.False(Directory.Exists(Guard));
        }
    }

    [Theory]
    [InlineData("open", 30)]   // EROFS
    [InlineData("open", 13)]   // EACCES
    [InlineData("pwrite", 28)] // ENOSPC
    [InlineData("link", 1)]    // EPERM: a file system without hard links
    public void N02_a_guard_that_is_read_only_full_or_has_no_links_is_refused_by_name(string call, int errno)
    {
        Directory.CreateDirectory(Guard);
        using FaultScope bad = FaultScope.On(Guard, (name, path) => name == call && path != Guard ? FaultScope.Fail(errno) : FaultScope.None);
        string refusal = Refused();
        Assert.Contains(Guard, refusal, StringComparison.Ordinal);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"errno {errno}"), refusal, StringComparison.Ordinal);
        if (call == "link") Assert.Contains("hard links", refusal, StringComparison.Ordinal);
    }

    [Fact]
    public async Task N01_a_guarded_that_cannot_be_looked_at_refuses_the_start()
    {
        await SignAsync(1);
        string guarded = Path.Combine(Data, "guarded");
        foreach (int errno in (int[])[FaultScope.Io, 13, 40])
        {
            using FaultScope blind = FaultScope.On(Data, (call, path) => call == "statx" && path == guarded ? FaultScope.Fail(errno) : FaultScope.None);
            Assert.Contains(guarded, Assert.ThrowsAny<StorageException>(() => TreeRegister.Open(Data, null, Origin, TimeProvider.System).Dispose()).Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("relative\n")]
    [InlineData("/no/newline")]
    [InlineData("/two\nlines\n")]
    public async Task N21_a_damaged_guarded_says_so_with_and_without_the_guard_and_replace_repairs_it(string content)
    {
        await SignAsync(1);
        string guarded = Path.Combine(Data, "guarded");
        await File.WriteAllTextAsync(guarded, content, TestContext.Current.CancellationToken);
        foreach (Action open in (Action[])[() => Open().Dispose(), () => TreeRegister.Open(Data, null, Origin, TimeProvider.System).Dispose()])
        {
            string refusal = Assert.ThrowsAny<StorageException>(open).Message;
            Assert.StartsWith($"{guarded} is damaged", refusal, StringComparison.Ordinal);
            Assert.Contains("tlog-server guard replace", refusal, StringComparison.Ordinal);
        }

        Assert.Contains("guarded was damaged", TreeRegister.ChangeGuard(Data, Guard, Origin, "a test", TimeProvider.System), StringComparison.Ordinal);
        await SignAsync(2);
    }

    [Fact]
    public async Task N02_a_guard_is_replaced_and_dropped_by_word_and_the_history_records_both()
    {
        await SignAsync(1, 2);
        byte[] stale = await File.ReadAllBytesAsync(Row.PathOf(2));
        await SignAsync(3, 4);
        foreach (long sequence in Row.List()) File.Delete(Row.PathOf(sequence));
        await File.WriteAllBytesAsync(Row.PathOf(7), stale);
        Refused();
        string done = TreeRegister.ChangeGuard(Data, Guard, Origin, "its disk was lost", TimeProvider.System);
        Assert.Contains("held size 1", done, StringComparison.Ordinal);
        await SignAsync(5);
        Assert.Equal([8, 9], Row.List());

        TreeRegister.ChangeGuard(Data, null, Origin, "no disk for it", TimeProvider.System);
        using (TreeRegister without = TreeRegister.Open(Data, null, Origin, TimeProvider.System)) await SwapAsync(without, Head(6), Head(7));
        Assert.Contains("neither", Refused(), StringComparison.Ordinal);
        string history = await File.ReadAllTextAsync(Path.Combine(Data, "heads"), TestContext.Current.CancellationToken);
        string[] reasons = [.. history.TrimEnd('\0', '\n').Split('\n').Select(line => Encoding.UTF8.GetString(Convert.FromBase64String(line.Split(' ')[3])))];
        Assert.Contains(reasons, reason => reason.StartsWith($"guard replaced (it was in {Guard}) by {Guard}", StringComparison.Ordinal) && reason.EndsWith(": its disk was lost", StringComparison.Ordinal));
        Assert.Contains(reasons, reason => reason == $"guard dropped (it was in {Guard}): no disk for it");
    }

    [Fact]
    public async Task N02_a_guard_of_the_version_before_becomes_a_row_and_that_version_is_kept_out()
    {
        using (TreeRegister before = TreeRegister.Open(Data, null, Origin, TimeProvider.System)) await SwapAsync(before, Head(1), Head(2));
        byte[][] lines = [.. (await File.ReadAllTextAsync(Path.Combine(Data, "heads"), TestContext.Current.CancellationToken)).TrimEnd('\0', '\n').Split('\n').Select(line => Encoding.ASCII.GetBytes(line + "\n"))];
        foreach (int behind in new[] { 1, 2, 3 })
        {
            if (Directory.Exists(Guard)) Directory.Delete(Guard, recursive: true);
            Directory.CreateDirectory(Guard);
            await File.WriteAllBytesAsync(Row.OldPath, lines[^behind], TestContext.Current.CancellationToken);
            await File.WriteAllTextAsync(Path.Combine(Data, "guarded"), Guard + "\n", TestContext.Current.CancellationToken);
            if (behind == 3)
            {
                Assert.Contains("neither", Refused(), StringComparison.Ordinal);
                Assert.Equal(lines[^3], await File.ReadAllBytesAsync(Row.OldPath, TestContext.Current.CancellationToken));
                continue;
            }

            using (TreeRegister register = Open())
            {
                Assert.True(register.GuardAgrees);
                Assert.Equal([1], Row.List());
            }

            // Neither version before takes it for a guard: a line with a CRC, of at most 256 bytes for the witness.
            byte[] kept = await File.ReadAllBytesAsync(Row.OldPath, TestContext.Current.CancellationToken);
            Assert.False(HeadRecord.TryParse(kept, out _));
            Assert.InRange(kept.Length, 120, 256);
            using TreeRegister again = Open();
            await SwapAsync(again, Head(3));
            if (behind == 1)
            {
                Directory.Delete(Data, recursive: true);
                Directory.CreateDirectory(Data);
                TreeRegister.Create(Data, TimeProvider.System);
                using TreeRegister fresh = TreeRegister.Open(Data, null, Origin, TimeProvider.System);
                await SwapAsync(fresh, Head(1), Head(2));
                lines = [.. (await File.ReadAllTextAsync(Path.Combine(Data, "heads"), TestContext.Current.CancellationToken)).TrimEnd('\0', '\n').Split('\n').Select(line => Encoding.ASCII.GetBytes(line + "\n"))];
            }
        }
    }

    [Fact]
    public async Task N02_a_program_of_the_version_before_that_writes_its_guard_again_is_seen()
    {
        await SignAsync(1);
        using TreeRegister register = Open();
        DurableFile.Replace(Row.OldPath, await File.ReadAllBytesAsync(Row.PathOf(2), TestContext.Current.CancellationToken));
        Assert.Contains("older version", (await Assert.ThrowsAsync<ConflictException>(async () => await register.SwapAsync(Head(1), Head(2), "test", CancellationToken.None))).Message, StringComparison.Ordinal);
    }

    private static async Task Eventually(Func<Task<bool>> condition)
    {
        long begun = Environment.TickCount64;
        while (!await condition())
        {
            Assert.InRange(Environment.TickCount64 - begun, 0, 60_000);
            await Task.Delay(20);
        }
    }

    private static async Task MakeFifoAsync(string path)
    {
        using Process made = Process.Start("mkfifo", [path]);
        await made.WaitForExitAsync();
        Assert.Equal(0, made.ExitCode);
    }
}
