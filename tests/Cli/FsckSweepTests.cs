using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Cli;

/// <summary>fsck of a small directory by many single flips.</summary>
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
                "heads" => (0, DamagedDirectories.Text(forger[file]).Length + 64), // and some of the zeros behind
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

    private Task<DirectoryReport> CheckAsync(string path) => DirectoryCheck.RunAsync(path, Verifiers.TryCreate, new CheckOptions { Journal = _small });

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
