using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Cli;

/// <summary>fsck of small directories by many single flips, and of a larger one by its memory.</summary>
public sealed class FsckSweepTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly JournalOptions _small = LogDirectory.OptionsFor(LogBuilder.Origin) with { FileBytes = 4 * 1024 * 1024 };

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task I02_to_I05_no_flipped_byte_of_any_file_stays_silent()
    {
        string path = _scratch["log"];
        await LogBuilder.CreateAsync(path, 600, [300, 512, 600], _small);
        await CheckAsync(path);
        Forger forger = new(path);
        Span lastSeal = forger.Record("segments", 1);
        int flips = 0;
        foreach (string file in (string[])["log", "commit", "heads", "segments/commit", "segments/addresses", "segments/data.0", "tree/commit", "journal/000000000001"])
        {
            // FASTER begins at 64; what lies behind the last record, or behind the last frame, is nobody's.
            (int from, int to) = file switch
            {
                "segments/data.0" => (64, (int)lastSeal.Offset + lastSeal.Length),
                "journal/000000000001" => (0, 16 * 1024),
                _ => (0, (int)new FileInfo(forger[file]).Length),
            };
            int step = Math.Max(1, (to - from) / 120);
            for (int offset = from; offset < to; offset += step)
            {
                Forger.FlipByte(forger[file], offset);
                Assert.True(await IsNoticedAsync(path), $"{file}, offset {offset}");
                Forger.FlipByte(forger[file], offset);
                flips++;
            }
        }

        await CheckAsync(path);
        Assert.InRange(flips, 500, 2000);
    }

    [Fact]
    public async Task Memory_does_not_grow_with_the_segments()
    {
        await LogBuilder.CreateAsync(_scratch["small"], 30 * 256, [30 * 256], _small);
        await LogBuilder.CreateAsync(_scratch["large"], 300 * 256, [300 * 256], _small);
        await CheckAsync(_scratch["small"]);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        DirectoryReport report = await CheckAsync(_scratch["large"]);
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        Assert.Equal(300, report.Segments);

        // Nothing is kept; on the way a few copies of each segment, and the journal's file.
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 1_000_000);
        Assert.InRange(allocated, 0, (3 * 4 * 1024 * 1024) + (300 * 100_000));
    }

    private Task<DirectoryReport> CheckAsync(string path) => DirectoryCheck.RunAsync(path, Verifiers.TryCreate, _small);

    private async Task<bool> IsNoticedAsync(string path)
    {
        try
        {
            // A flip in the name of the key file is no damage to the log; the missing key is noted.
            return (await CheckAsync(path)).Notes.Count > 0;
        }
        catch (DamageException)
        {
            return true;
        }
        catch (StorageException)
        {
            return true;
        }
    }
}
