using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>A store that asks the test before it gives a level-0 tile out, and shows it what it gives.</summary>
internal sealed class HookedTiles(ITileStore inner) : ITileStore
{
    /// <summary>Runs before a level-0 tile is read; may wait or throw.</summary>
    public Func<long, Task> Before { get; set; } = _ => Task.CompletedTask;

    /// <summary>What is given for the leaf hashes of a segment.</summary>
    public Func<long, ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Give { get; set; } = (_, tile) => tile;

    /// <summary>What has failed in the background.</summary>
    public StorageException? Failure { get; set; }

    public long SegmentCount => inner.SegmentCount;

    public long DurableSegmentCount => inner.DurableSegmentCount;

    public ValueTask PutSegmentAsync(SealedSegment segment, CancellationToken stop) => inner.PutSegmentAsync(segment, stop);

    public ValueTask PutUpperTileAsync(FullTile tile, CancellationToken stop) => inner.PutUpperTileAsync(tile, stop);

    public void ThrowIfFailed()
    {
        if (Failure is not null) throw Failure;
        inner.ThrowIfFailed();
    }

    public ValueTask FlushAsync(CancellationToken stop) => inner.FlushAsync(stop);

    public async ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, CancellationToken stop)
    {
        if (path.Level != 0) return await inner.GetAsync(path, stop);
        await Before(path.Index).WaitAsync(stop);
        ReadOnlyMemory<byte>? tile = await inner.GetAsync(path, stop);
        return tile is null ? null : Give(path.Index, tile.Value);
    }

    public ValueTask<long?> GetBundleSizeAsync(long number, CancellationToken stop) => inner.GetBundleSizeAsync(number, stop);

    public ValueTask<Hash> GetRootAsync(int level, long index, CancellationToken stop) => inner.GetRootAsync(level, index, stop);

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
