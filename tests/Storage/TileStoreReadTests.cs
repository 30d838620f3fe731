using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>What a read of sealed bytes costs: one read of the file of addresses, which stays in the page cache, and one of the data.</summary>
public sealed class TileStoreReadTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["store"];

    [Theory]
    [InlineData(100)]
    [InlineData(4000)]
    public async Task A_tile_and_a_bundle_of_any_width_are_one_read_of_the_data(int entrySize)
    {
        // 300 segments complete a tile of level 1, and fill more than one page of FASTER's.
        SampleTree tree = SampleTree.Create(300, i => Entry(new Random(i), i < 3000 || entrySize < 1000 ? entrySize : 3));
        await CreateAsync(tree);
        await using TileStore store = await TileStore.OpenAsync(Folder);
        int reads = 0, extra = 0;
        using FaultScope scope = FaultScope.On(Folder, (call, path) =>
        {
            if (call == "pread" && Path.GetFileName(path).StartsWith("data.", StringComparison.Ordinal)) reads++;
            return FaultScope.None;
        });
        for (int number = 0; number < 300; number++)
        {
            foreach (TilePath path in (TilePath[])[new(0, number), new(0, number, 77), new(TilePath.EntriesLevel, number), new(TilePath.EntriesLevel, number, 200)])
            {
                reads = 0;
                ReadOnlyMemory<byte>? found = await store.GetAsync(path, CancellationToken.None);
                ReadOnlyMemory<byte> full = path.IsEntries ? tree.Segments[number].Bundle : tree.Segments[number].Tile;
                Assert.True(found!.Value.Span.SequenceEqual(full.Span[..(path.IsEntries ? EntryBundle.PrefixLength(full.Span, path.Width) : path.Width * Hash.Size)]), $"{path}");
                Assert.True(reads is 1 or 2, $"{path}: {reads} reads");
                extra += reads - 1;
            }
        }

        Assert.Equal(0, extra);
        reads = 0;
        Assert.True((await store.GetAsync(new TilePath(1, 0), CancellationToken.None))!.Value.Span.SequenceEqual(tree.Upper[0].Hashes.Span));
        Assert.Equal(1, reads);
    }

    [Fact]
    public async Task Segments_of_several_parts_are_read_part_by_part_when_they_are_large()
    {
        SampleTree tree = SampleTree.Create(6, i => Entry(new Random(i), (i / 256) switch { 0 => 4500, 1 => 7000, 2 => 30_000, 3 => EntryBundle.MaxEntrySize, 4 => 1, _ => 6000 }));
        await CreateAsync(tree);
        await using TileStore store = await TileStore.OpenAsync(Folder);
        await tree.HoldsAsync(store, 6);
    }

    private async Task CreateAsync(SampleTree tree)
    {
        TileStore.Create(Folder);
        await using TileStore store = await TileStore.OpenAsync(Folder);
        await tree.PutAsync(store, 0, tree.Segments.Count);
        await store.FlushAsync(CancellationToken.None);
    }
}
