using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>D-08: a halt can always be written, and a log starts on a disk that is full.</summary>
public sealed class HaltReserveTests : IDisposable
{
    private const string Origin = "log.example/reserve";
    private readonly Scratch _scratch = new();

    private string Folder => _scratch["log"];

    private string Reserve => Path.Combine(Folder, "reserve");

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task D08_a_halt_is_recorded_on_a_full_disk()
    {
        Create();
        await using (LogDirectory log = await OpenAsync())
        {
            Assert.Equal(4 * 1024 * 1024, new FileInfo(Reserve).Length);
            using FaultScope full = Full();
            await log.Register.HaltAsync("a second log", CancellationToken.None);
            Assert.False(File.Exists(Reserve));
        }

        await using LogDirectory again = await OpenAsync();
        Assert.Contains("a second log", again.Register.Halted, StringComparison.Ordinal);
        Assert.True(File.Exists(Reserve));
    }

    [Fact]
    public async Task D08_a_log_opens_on_a_full_disk_and_without_the_reserve_it_says_what_is_missing()
    {
        Create();
        await using (LogDirectory log = await OpenAsync())
        {
            Assert.True(await log.Register.SwapAsync(null, new TreeHead(0, MerkleHash.Empty, new byte[] { 1 }), "test", CancellationToken.None));
        }

        using FaultScope full = Full();
        await using (LogDirectory log = await OpenAsync())
        {
            Assert.Equal(0, log.Register.Current!.Size);
            Assert.False(File.Exists(Reserve)); // used, and no room for another
        }

        full.Dispose();
        using FaultScope always = FaultScope.On(_scratch.Root, (call, path) => NoRoom(call == "pwrite" && path.EndsWith("commit.new", StringComparison.Ordinal)));
        StorageException refusal = await Assert.ThrowsAsync<StorageException>(() => OpenAsync());
        Assert.True(refusal.MayPass);
        Assert.Contains("commit.new", refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>No new file can be written while the reserve is there; as much as it had can be when it is not, but not another one.</summary>
    private FaultScope Full() => FaultScope.On(_scratch.Root, (call, path) =>
        NoRoom(call == "pwrite" && (path == Reserve || (File.Exists(Reserve) && path.EndsWith(".new", StringComparison.Ordinal)))));

    private static FaultAct NoRoom(bool here) => here ? new FaultAct(FaultKind.Fail, FaultScope.NoSpace) : default;

    private void Create() => LogDirectory.Create(Folder, new LogIdentity(Origin, "vkey", "key.pem"), TimeProvider.System, Options);

    private Task<LogDirectory> OpenAsync() => LogDirectory.OpenAsync(Folder, null, TimeProvider.System, Options);

    private static JournalOptions Options => LogDirectory.OptionsFor(Origin) with { FileBytes = JournalOptions.MinFileBytes };
}
