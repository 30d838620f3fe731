using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>What is written is read back before anything is built on it: rows D-12 and D-24 as far as the page cache can tell.</summary>
public sealed class VerifyTests : IDisposable
{
    private static readonly JournalOptions Options = new() { FileBytes = JournalOptions.MinFileBytes, Identity = 7 };

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(5000)]
    public async Task D12_a_frame_that_is_not_on_disk_as_it_was_written_is_not_acknowledged(int at)
    {
        string folder = _scratch["journal"], file = Path.Combine(folder, "000000000001");
        Journal.Create(folder, Options);
        await using Journal journal = Journal.Open(folder, Options, 0);
        await AppendAsync(journal, new byte[6000]);
        long start = journal.FrameBytes;
        using (Changing(folder, file, start + at))
        {
            DamageException damage = await Assert.ThrowsAsync<DamageException>(() => AppendAsync(journal, new byte[6000]));
            Assert.Contains($"{file}, offset {start + at}", damage.Message, StringComparison.Ordinal);
        }

        await Assert.ThrowsAsync<StorageException>(() => AppendAsync(journal, [1]));
        Assert.Equal(1, journal.NextIndex);
    }

    [Fact]
    public void D12_a_small_file_that_is_not_on_disk_as_it_was_written_replaces_nothing()
    {
        string path = _scratch["small"];
        DurableFile.Replace(path, "old"u8);
        using (Changing(_scratch.Root, path + ".new", 1)) Assert.Throws<DamageException>(() => DurableFile.Replace(path, "new"u8));
        Assert.Equal("old", File.ReadAllText(path));
    }

    [Fact]
    public async Task D12_a_head_whose_line_or_record_is_not_there_is_not_signed()
    {
        foreach (string file in (string[])["heads", "commit"])
        {
            string folder = _scratch[file];
            Directory.CreateDirectory(folder);
            TreeRegister.Create(folder, TimeProvider.System);
            using TreeRegister register = TreeRegister.Open(folder, null, "log.example", TimeProvider.System);
            long offset = file == "heads" ? File.ReadAllBytes(Path.Combine(folder, file)).AsSpan().LastIndexOfAnyExcept((byte)0) + 20 : 20;
            TreeHead head = new(1, MerkleHash.Empty, "checkpoint"u8.ToArray());
            using (Changing(folder, Path.Combine(folder, file), offset))
            {
                await Assert.ThrowsAsync<DamageException>(async () => await register.SwapAsync(null, head, "signed", CancellationToken.None));
            }

            await Assert.ThrowsAsync<StorageException>(async () => await register.SwapAsync(null, head, "signed", CancellationToken.None));
        }
    }

    /// <summary>Behind each sync of the file one of its bytes is another.</summary>
    private static FaultScope Changing(string below, string file, long at) => FaultScope.Watch(below, (call, path) =>
    {
        if (call is "fdatasync" or "fsync" && path == file) Scratch.Overwrite(file, at, [0xA5]);
    });

    private static async Task<long> AppendAsync(Journal journal, byte[] entry)
    {
        JournalFrame frame = new();
        Assert.True(frame.TryAdd(entry));
        return await journal.AppendAsync(frame, CancellationToken.None);
    }
}
