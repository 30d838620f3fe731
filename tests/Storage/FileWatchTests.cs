using System.Text;
using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>Files that are removed or replaced under an open log (N-11): named after two looks, never while the log itself replaces them.</summary>
public sealed class FileWatchTests : IDisposable
{
    private const string Origin = "example.com/log";

    private static readonly SampleTree Tree = SampleTree.Create(3, SampleTree.Tiny);

    private readonly Scratch _scratch = new();
    private readonly List<string> _keys = [];

    public void Dispose() => _scratch.Dispose();

    private string Data => _scratch["data"];

    [Theory]
    [InlineData("log", false)]
    [InlineData("commit", false)]
    [InlineData("heads", true)]
    [InlineData("journal/000000000001", true)]
    [InlineData("segments/addresses", true)]
    [InlineData("segments/data.0", true)]
    [InlineData("segments/commit", false)]
    [InlineData("tree/addresses", true)]
    [InlineData("tree/commit", false)]
    public async Task N11_a_file_that_is_removed_or_replaced_is_named_with_the_way_to_its_content(string name, bool isOpen)
    {
        foreach (string how in (string[])["removed", "replaced", "folder"])
        {
            await using LogDirectory log = await OpenAsync(how);
            string path = Path.Combine(log.Root, name);
            byte[] content = await File.ReadAllBytesAsync(path);
            FileWatch watch = FileWatch.Of(log, _keys.Add, TimeProvider.System);
            Assert.Null(watch.Look());
            Assert.Null(watch.Look());
            if (how == "replaced") File.Copy(path, path + ".copy");
            if (how == "folder") Directory.Move(log.Root, log.Root + ".moved");
            else File.Delete(path);
            if (how == "replaced") File.Move(path + ".copy", path);
            Assert.Null(watch.Look());

            // What the log replaces as a whole may be another file at any time.
            string? trouble = watch.Look();
            if (how == "replaced" && name.EndsWith("/commit", StringComparison.Ordinal))
            {
                Assert.Null(trouble);
                continue;
            }

            Assert.NotNull(trouble);
            Assert.Contains(how == "folder" ? log.Root : path, trouble, StringComparison.Ordinal);
            Assert.Contains(how == "replaced" ? "was replaced by another file" : "was removed", trouble, StringComparison.Ordinal);
            if (how == "folder") continue;
            Assert.Equal(isOpen, trouble.Contains("/proc/", StringComparison.Ordinal));
            if (isOpen) Assert.Equal(content, await File.ReadAllBytesAsync(trouble[trouble.IndexOf("/proc/", StringComparison.Ordinal)..trouble.LastIndexOf(':')]));
        }
    }

    [Fact]
    public async Task N11_what_the_log_itself_replaces_removes_and_adds_is_no_trouble()
    {
        string data = _scratch["turning"];
        LogDirectory.Create(data, new LogIdentity(Origin, "vkey", "key.pem"), TimeProvider.System, Options);
        using TreeRegister register = TreeRegister.Open(data, null, Origin, TimeProvider.System, null, historyLimit: 900);
        await using Journal journal = Journal.Open(Path.Combine(data, "journal"), Options, 0);
        FileWatch watch = new(() => [.. register.FilesInUse(), .. journal.FilesInUse()], [], _keys.Add, TimeProvider.System);
        byte[] entry = Entry(new Random(1), 60_000);
        for (long size = 1; size < 300; size++)
        {
            await AppendAsync(journal, entry);
            if (size % 70 == 0) await journal.TrimAsync(size, CancellationToken.None);
            if (size <= 20) Assert.True(await register.SwapAsync(register.Current, new TreeHead(size, MerkleHash.Leaf([1]), Encoding.UTF8.GetBytes($"{Origin}\n{size}\n")), "test", CancellationToken.None));
            Assert.Null(watch.Look());
        }

        Assert.True(File.Exists(Path.Combine(data, "heads.old")));
        Assert.True(journal.FirstIndex > 0);
    }

    [Fact]
    public async Task N11_a_name_that_cannot_be_examined_is_named_and_a_moment_is_forgiven()
    {
        await using LogDirectory log = await OpenAsync("open");
        FileWatch watch = FileWatch.Of(log, _keys.Add, TimeProvider.System);
        string heads = Path.Combine(log.Root, "heads");
        for (int again = 0; again < 3; again++)
        {
            using (FaultScope.On(heads, (call, _) => call == "statx" ? FaultScope.Fail(FaultScope.Io) : FaultScope.None)) Assert.Null(watch.Look());
            Assert.Null(watch.Look());
        }

        using FaultScope scope = FaultScope.On(heads, (call, _) => call == "statx" ? FaultScope.Fail(FaultScope.Io) : FaultScope.None);
        Assert.Null(watch.Look());
        Assert.Contains($"{heads} cannot be examined", watch.Look(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task N11_a_key_file_that_is_withdrawn_is_said_once_and_ends_nothing()
    {
        await using LogDirectory log = await OpenAsync("open");
        File.WriteAllText(Path.Combine(log.Root, "key.pem"), "a key");
        FileWatch watch = FileWatch.Of(log, _keys.Add, TimeProvider.System);
        Assert.Empty(_keys);
        File.Delete(Path.Combine(log.Root, "key.pem"));
        for (int look = 0; look < 3; look++) Assert.Null(watch.Look());
        Assert.Contains("key.pem", Assert.Single(_keys), StringComparison.Ordinal);
    }

    private async Task<LogDirectory> OpenAsync(string name)
    {
        string data = _scratch[$"{name}-{Guid.NewGuid():N}"];
        LogDirectory.Create(data, new LogIdentity(Origin, "vkey", "key.pem"), TimeProvider.System, Options);
        await using (LogDirectory first = await LogDirectory.OpenAsync(data, null, TimeProvider.System, Options))
        {
            await first.Journal.AppendAsync(FrameOf([.. Enumerable.Range(0, 3 * 256).Select(_ => new byte[] { 1 })]), CancellationToken.None);
            await Tree.PutAsync(first.Tiles, 0, 3);
            await first.Tiles.FlushAsync(CancellationToken.None);
        }

        return await LogDirectory.OpenAsync(data, null, TimeProvider.System, Options);
    }

    private static JournalFrame FrameOf(byte[][] entries)
    {
        JournalFrame frame = new();
        foreach (byte[] entry in entries) Assert.True(frame.TryAdd(entry));
        return frame;
    }
}
