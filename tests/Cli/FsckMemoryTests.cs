using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Cli;

/// <summary>Runs while nothing else does: it measures the heap of the process.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public sealed class Alone;

/// <summary>The memory that fsck of a directory takes.</summary>
[Collection("alone")]
public sealed class FsckMemoryTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly JournalOptions _small = LogDirectory.OptionsFor(LogBuilder.Origin) with { FileBytes = 4 * 1024 * 1024 };

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Memory_does_not_grow_with_the_segments()
    {
        await LogBuilder.CreateAsync(_scratch["small"], 30 * 256, [30 * 256], _small);
        await LogBuilder.CreateAsync(_scratch["large"], 300 * 256, [300 * 256], _small);
        await CheckAsync(_scratch["small"]);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        long allocated = GC.GetTotalAllocatedBytes(precise: true);
        DirectoryReport report = await CheckAsync(_scratch["large"]);
        allocated = GC.GetTotalAllocatedBytes(precise: true) - allocated;
        Assert.Equal(300, report.Segments);

        // Nothing is kept; on the way a few copies of each segment, the journal's file and the history with its zeros.
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 1_000_000);
        Assert.InRange(allocated, 0, (3 * 4 * 1024 * 1024) + (1024 * 1024) + (300 * 100_000));
    }

    private Task<DirectoryReport> CheckAsync(string path) => DirectoryCheck.RunAsync(path, Verifiers.TryCreate, new CheckOptions { Journal = _small });
}
