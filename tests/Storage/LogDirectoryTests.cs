using System.Diagnostics;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>Creating and opening a log's directory: what does not belong together does not start (D-17, C-01, R-03).</summary>
public sealed class LogDirectoryTests : IDisposable
{
    private static readonly LogIdentity Identity = new("example.com/log", "example.com/log+00000000+AAAA", "key.pem", JournalAssert.Options.FileBytes);

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["data"];

    private static JournalOptions Options => LogDirectory.OptionsFor(Identity);

    private void Create(params string[] allowed) => LogDirectory.Create(Folder, Identity, TimeProvider.System, Options, allowed);

    private Task<LogDirectory> OpenAsync(string? guard = null) => LogDirectory.OpenAsync(Folder, guard, TimeProvider.System, Options);

    [Fact]
    public async Task C05_a_child_of_the_process_gets_none_of_its_descriptors_and_keeps_no_lock_alive()
    {
        Create();
        Process child;
        await using (LogDirectory log = await OpenAsync())
        {
            child = Process.Start(new ProcessStartInfo("sleep", ["60"]) { UseShellExecute = false })!;
            string[] open = [.. new DirectoryInfo($"/proc/{child.Id}/fd").EnumerateFileSystemInfos().Select(file => file.LinkTarget ?? "")];
            Assert.InRange(open.Length, 3, 1000); // standard input, output, error: so the list is one of descriptors
            Assert.DoesNotContain(open, file => file.StartsWith(Folder, StringComparison.Ordinal));
            Assert.Contains(new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos(), file => file.LinkTarget == Path.Combine(Folder, "lock"));
        }

        using (child)
        {
            // The parent has let go, and the child lives.
            await (await OpenAsync()).DisposeAsync();
            Assert.False(child.HasExited);
            child.Kill();
            await child.WaitForExitAsync();
        }
    }

    private async Task<StorageException> RefusedAsync()
    {
        SortedDictionary<string, string> before = Scratch.Content(_scratch.Root);
        StorageException refusal = await Assert.ThrowsAnyAsync<StorageException>(() => OpenAsync());
        Assert.Equal(before, Scratch.Content(_scratch.Root));
        return refusal;
    }

    [Fact]
    public async Task C03_a_log_whose_lock_file_is_gone_gives_no_index_and_commits_no_segment()
    {
        Create();
        await using LogDirectory log = await OpenAsync();
        Assert.Equal(0, await JournalAssert.AppendAsync(log.Journal, [1]));
        string path = Path.Combine(Folder, "lock");
        File.Delete(path);
        SortedDictionary<string, string> before = Scratch.Content(Folder);
        StorageException refusal = await Assert.ThrowsAsync<StorageException>(() => JournalAssert.AppendAsync(log.Journal, [2]));
        Assert.Contains(path, refusal.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<StorageException>(async () => await log.Tiles.FlushAsync(CancellationToken.None));
        Assert.Equal(before, Scratch.Content(Folder));
    }

    [Fact]
    public async Task C03_an_index_given_while_the_lock_file_went_is_not_told()
    {
        Create();
        await using LogDirectory log = await OpenAsync();
        using (FaultScope.Watch(Folder, (call, path) =>
        {
            if (call == "fdatasync" && path.Contains("journal", StringComparison.Ordinal)) File.Delete(Path.Combine(Folder, "lock"));
        }))
        {
            await Assert.ThrowsAsync<StorageException>(() => JournalAssert.AppendAsync(log.Journal, [2]));
        }
    }

    [Fact]
    public async Task A_new_log_is_empty_and_is_the_log_it_was_created_as()
    {
        Create();
        for (int i = 0; i < 2; i++)
        {
            await using LogDirectory log = await OpenAsync();
            Assert.Equal(Identity, log.Identity);
            Assert.Equal(Identity, LogDirectory.ReadIdentity(Folder));
            Assert.Equal(0, log.Journal.NextIndex);
            Assert.Equal(0, log.Tiles.SegmentCount);
            Assert.Null(log.Register.Current);
        }
    }

    [Fact]
    public void D17_a_log_is_created_in_an_empty_directory_only()
    {
        Directory.CreateDirectory(Folder);
        File.WriteAllText(Path.Combine(Folder, "key.pem"), "key");
        StorageException refusal = Assert.Throws<StorageException>(() => Create());
        Assert.Contains("key.pem", refusal.Message, StringComparison.Ordinal);
        Assert.Single(Directory.GetFileSystemEntries(Folder));
        Create("key.pem");
        Assert.Throws<StorageException>(() => Create("key.pem"));
        Assert.Throws<StorageException>(() => Create());
    }

    [Theory]
    [InlineData("absent", true)]
    [InlineData("empty", true)]
    [InlineData("file", false)]
    [InlineData("half", false)]
    public async Task D17_what_is_not_a_log_is_refused_and_nothing_is_written(string what, bool mayBeMade)
    {
        if (what == "empty") Directory.CreateDirectory(Folder);
        if (what == "file") await File.WriteAllTextAsync(Folder, "not a directory");
        if (what == "half")
        {
            // `create` was interrupted before it wrote the identity, which comes last.
            Create();
            File.Delete(Path.Combine(Folder, "log"));
        }

        StorageException refusal = await RefusedAsync();
        Assert.Contains(Folder, refusal.Message, StringComparison.Ordinal);
        Assert.Equal(mayBeMade, refusal.Message.Contains("create", StringComparison.Ordinal));
    }

    [Fact]
    public void An_identity_is_five_lines_or_with_a_second_key_seven_of_version_2()
    {
        LogIdentity one = new("example.com/log", "vkey+1", "key.pem", 4 * 1024 * 1024);
        LogIdentity two = one with { MlDsa44 = new LogKey("vkey+2", "/elsewhere/key.pem") };
        const string first = "origin example.com/log\nvkey vkey+1\nkey key.pem\njournal 4194304\n", second = "ml-dsa-vkey vkey+2\nml-dsa-key /elsewhere/key.pem\n";
        Assert.Equal("tlog-directory v1\n" + first, System.Text.Encoding.UTF8.GetString(one.ToBytes()));
        Assert.Equal("tlog-directory v2\n" + first + second, System.Text.Encoding.UTF8.GetString(two.ToBytes()));
        foreach (LogIdentity identity in new[] { one, two })
        {
            Assert.True(LogIdentity.TryParse(identity.ToBytes(), out LogIdentity? read));
            Assert.Equal(identity, read);
            Assert.Null(LogIdentity.OtherVersion("log", identity.ToBytes(), "tlog-directory v", 2));
        }

        Assert.Equal([new LogKey("vkey+1", "key.pem")], one.Keys);
        Assert.Equal([new LogKey("vkey+1", "key.pem"), new LogKey("vkey+2", "/elsewhere/key.pem")], two.Keys);
        Assert.Contains("version v3", LogIdentity.OtherVersion("log", "tlog-directory v3\n"u8, "tlog-directory v", 2)?.Message);
        foreach (string wrong in (string[])["v1\n" + first + second, "v2\n" + first, "v2\n" + first + second + second, "v2\n" + second + first, "v2\n" + first + second[..^1], "v3\n" + first])
        {
            Assert.False(LogIdentity.TryParse(System.Text.Encoding.UTF8.GetBytes("tlog-directory " + wrong), out _), wrong);
        }
    }

    [Fact]
    public async Task O04_an_identity_of_another_version_or_a_damaged_one_is_refused()
    {
        Create();
        string file = Path.Combine(Folder, "log");
        string text = await File.ReadAllTextAsync(file);
        foreach (string other in (string[])["", text[..^1], text + "more\n", text.Replace("v1", "v2", StringComparison.Ordinal), text.Replace("v1", "v3", StringComparison.Ordinal), text.Replace("origin", "0rigin", StringComparison.Ordinal)])
        {
            await File.WriteAllTextAsync(file, other);
            Assert.Contains(file, (await RefusedAsync()).Message, StringComparison.Ordinal);
        }

        await File.WriteAllBytesAsync(file, [0xff, 0xfe]);
        await RefusedAsync();
    }

    [Fact]
    public async Task D17_any_part_that_is_missing_is_refused_and_not_made_anew()
    {
        Create();
        foreach (string part in (string[])["journal", "segments", "tree", "heads"])
        {
            string path = Path.Combine(Folder, part), aside = _scratch["aside"];
            Directory.Move(path, aside);
            await Assert.ThrowsAnyAsync<StorageException>(() => OpenAsync());
            Assert.False(Path.Exists(path), $"{part} was made anew");
            Directory.Move(aside, path);
        }

        await using LogDirectory log = await OpenAsync();
    }

    [Fact]
    public async Task C01_a_second_opening_is_refused_by_the_process_id_and_the_lock_goes_with_the_first()
    {
        Create();
        await using (LogDirectory log = await OpenAsync())
        {
            DirectoryInUseException refusal = await Assert.ThrowsAsync<DirectoryInUseException>(() => OpenAsync());
            Assert.Contains($"process {Environment.ProcessId}", refusal.Message, StringComparison.Ordinal);
        }

        Assert.Empty(RecordLogTests.OpenBelow(Folder));
        await using LogDirectory again = await OpenAsync();
    }

    [Fact]
    public async Task A_refused_opening_leaves_no_lock_and_no_descriptor()
    {
        Create();
        foreach (string file in (string[])["journal/000000000001", "segments/commit", "tree/commit", "heads"])
        {
            string path = Path.Combine(Folder, file);
            File.Move(path, _scratch["aside"]);
            await Assert.ThrowsAnyAsync<StorageException>(() => OpenAsync());
            Assert.Empty(RecordLogTests.OpenBelow(Folder));
            File.Move(_scratch["aside"], path);
        }

        await using LogDirectory log = await OpenAsync();
    }

    [Fact]
    public async Task C03_a_swap_without_the_lock_s_file_is_fenced()
    {
        Create();
        await using LogDirectory log = await OpenAsync();
        File.Delete(Path.Combine(Folder, "lock"));
        Assert.False(await log.Register.SwapAsync(null, new TreeHead(0, MerkleHash.Empty, new byte[] { 1 }), "test", CancellationToken.None));
    }

    [Fact]
    public async Task D15_a_journal_that_ends_below_the_signed_size_is_refused_by_both_numbers()
    {
        Create();
        Scratch.Copy(Path.Combine(Folder, "journal"), _scratch["older"]);
        await using (LogDirectory log = await OpenAsync())
        {
            await JournalAssert.AppendAsync(log.Journal, [1], [2], [3]);
            Assert.True(await log.Register.SwapAsync(null, new TreeHead(3, MerkleHash.Empty, new byte[] { 1 }), "test", CancellationToken.None));
        }

        Directory.Delete(Path.Combine(Folder, "journal"), recursive: true);
        Scratch.Copy(_scratch["older"], Path.Combine(Folder, "journal"));
        Scratch.Overwrite(Path.Combine(Folder, "journal/000000000001"), 0, "TLJRNL01"u8);
        SortedDictionary<string, string> before = Scratch.Content(Path.Combine(Folder, "journal"));
        string message = (await Assert.ThrowsAnyAsync<StorageException>(() => OpenAsync())).Message;
        Assert.Contains("signed size 3", message, StringComparison.Ordinal);
        Assert.Equal(before, Scratch.Content(Path.Combine(Folder, "journal")));
        Scratch.Overwrite(Path.Combine(Folder, "journal/000000000001"), 0, new byte[8]);
        message = (await Assert.ThrowsAsync<StorageException>(() => OpenAsync())).Message;
        Assert.Contains("0 entries", message, StringComparison.Ordinal);
        Assert.Contains("size 3", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task D15_an_older_copy_of_the_segments_beside_a_trimmed_journal_is_refused_and_the_journal_stays_as_it_is()
    {
        Create();
        Scratch.Copy(Path.Combine(Folder, "segments"), _scratch["older"]);
        SampleTree tree = SampleTree.Create(40, i => new byte[1000]);
        await using (LogDirectory log = await OpenAsync())
        {
            foreach (SealedSegment segment in tree.Segments)
            {
                JournalFrame frame = new();
                Assert.True(frame.TryAddBundle(segment.Bundle.Span, 256));
                await log.Journal.AppendAsync(frame, CancellationToken.None);
            }

            await tree.PutAsync(log.Tiles, 0, 40);
            await log.Tiles.FlushAsync(CancellationToken.None);
            await log.Journal.TrimAsync(40 * 256, CancellationToken.None);
            Assert.True(log.Journal.FirstIndex > 0);
        }

        Directory.Delete(Path.Combine(Folder, "segments"), recursive: true);
        Scratch.Copy(_scratch["older"], Path.Combine(Folder, "segments"));
        string file = Directory.GetFiles(Path.Combine(Folder, "journal")).Order().First();
        byte[] bytes = await File.ReadAllBytesAsync(file);
        int end = (bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 512) / 512 * 512;
        if (end < bytes.Length) Scratch.Overwrite(file, end, "TLJ"u8);
        SortedDictionary<string, string> before = Scratch.Content(Path.Combine(Folder, "journal"));
        StorageException refusal = await Assert.ThrowsAnyAsync<StorageException>(() => OpenAsync());
        Assert.Contains("the segments end at 0", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(before, Scratch.Content(Path.Combine(Folder, "journal")));
    }

    [Theory]

    // Journal from, to; sealed; signed.
    [InlineData(0, 0, 0, 0, null)]
    [InlineData(0, 10, 0, 10, null)]
    [InlineData(0, 10, 0, 4, null)]            // entries beyond the signed size are taken in (D-16)
    [InlineData(0, 600, 512, 300, null)]
    [InlineData(0, 600, 512, 600, null)]
    [InlineData(512, 600, 512, 600, null)]     // trimmed to what is sealed
    [InlineData(600, 600, 768, 600, "768")]    // older journal beside newer segments
    [InlineData(0, 9, 0, 10, "size 10")]       // signed entries are missing (D-15)
    [InlineData(0, 511, 512, 100, "512")]
    [InlineData(513, 600, 512, 600, "512 to 512")]
    [InlineData(1024, 2000, 512, 600, "512 to 1023")] // older segments beside a trimmed journal
    public void Journal_segments_and_commit_record_belong_together_or_are_refused(long first, long next, long sealedSize, long signed, string? names)
    {
        string? refusal = LogDirectory.Reconcile(first, next, sealedSize, signed);
        if (names is null) Assert.Null(refusal);
        else Assert.Contains(names, refusal, StringComparison.Ordinal);
    }
}
