using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>Damage under a tile store: every read gives the right bytes or refuses, never others (D-14, I-02 to I-06).</summary>
public sealed class TileStoreDamageTests : IDisposable
{
    private const int Segments = 260;

    private readonly Scratch _scratch = new();

    // Entries of a few hundred bytes in the first segments, tiny ones behind: parts, seals and one upper tile.
    private readonly SampleTree _tree = SampleTree.Create(Segments, i => i < 2048 ? Entry(new Random(i), i % 700) : SampleTree.Tiny(i));

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["store"];

    private async Task CreateAsync(int committed = Segments)
    {
        TileStore.Create(Folder);
        await using TileStore store = await TileStore.OpenAsync(Folder);
        await _tree.PutAsync(store, 0, committed);
        await store.FlushAsync(CancellationToken.None);
    }

    /// <summary>Reads everything that can be read; every answer is right or a refusal. Returns how many were refused.</summary>
    private async Task<int> ReadAllAsync(string because)
    {
        int refused = 0;
        TileStore store;
        try
        {
            store = await TileStore.OpenAsync(Folder);
        }
        catch (StorageException)
        {
            return 1;
        }

        await using (store)
        {
            for (int number = 0; number < store.SegmentCount; number++)
            {
                await CheckAsync(new TilePath(TilePath.EntriesLevel, number), _tree.Segments[number].Bundle);
                await CheckAsync(new TilePath(0, number), _tree.Segments[number].Tile);
            }

            if (store.SegmentCount >= 256) await CheckAsync(new TilePath(1, 0), _tree.Upper[0].Hashes);
        }

        return refused;

        async Task CheckAsync(TilePath path, ReadOnlyMemory<byte> expected)
        {
            try
            {
                ReadOnlyMemory<byte>? found = await store.GetAsync(path, CancellationToken.None);
                Assert.True(found is { } bytes && bytes.Span.SequenceEqual(expected.Span), $"{path}: other bytes, {because}");
            }
            catch (DamageException)
            {
                refused++;
            }
        }
    }

    [Fact]
    public async Task I02_a_flip_anywhere_in_the_data_gives_the_right_bytes_or_a_refusal()
    {
        await CreateAsync();
        Random random = new(40);
        int noticed = 0, places = 0;
        foreach ((string log, int count) in ((string, int)[])[("segments", 250), ("tree", 60)])
        {
            string file = Path.Combine(Folder, log, "data.0");
            byte[] bytes = await File.ReadAllBytesAsync(file);

            // Each byte of the envelopes of the first records (FASTER's length, magic, number, link, CRC), then anywhere.
            int first = bytes.AsSpan().IndexOf("TLP1"u8);
            int seal = bytes.AsSpan().IndexOf("TLR1"u8);
            List<int> offsets = [.. Enumerable.Range(seal - 8, 32)];
            if (first >= 0) offsets.AddRange(Enumerable.Range(first - 4, 28));
            while (offsets.Count < count) offsets.Add(random.Next(64, bytes.Length));
            foreach (int offset in offsets)
            {
                byte flipped = (byte)(bytes[offset] ^ (1 << random.Next(8)));
                Scratch.Overwrite(file, offset, flipped);
                places++;
                if (await ReadAllAsync($"seed 40, {log}, byte {offset}") > 0) noticed++;
                Scratch.Overwrite(file, offset, bytes[offset]);
            }
        }

        // What is not noticed lies in nobody's bytes: alignment and what was never committed.
        Assert.InRange(noticed, places * 9 / 10, places);
        Assert.Equal(0, await ReadAllAsync("put back"));
    }

    [Fact]
    public async Task I06_swapped_pages_zeroed_pages_and_records_of_another_segment_are_noticed()
    {
        await CreateAsync();
        string file = Path.Combine(Folder, "segments", "data.0");
        byte[] bytes = await File.ReadAllBytesAsync(file);
        Random random = new(41);
        for (int i = 0; i < 20; i++)
        {
            byte[] damaged = [.. bytes];
            int a = random.Next(bytes.Length / 4096) * 4096, b = random.Next(bytes.Length / 4096) * 4096;
            if (a == b) continue;
            switch (i % 3)
            {
                case 0:
                    damaged.AsSpan(a, 4096).Clear();
                    break;
                case 1:
                    bytes.AsSpan(a, 4096).CopyTo(damaged.AsSpan(b));
                    bytes.AsSpan(b, 4096).CopyTo(damaged.AsSpan(a));
                    break;
                default:
                    int flip = random.Next(64, bytes.Length - 16);
                    damaged[flip] ^= 8;
                    damaged[flip + 8] ^= 8;
                    break;
            }

            await File.WriteAllBytesAsync(file, damaged);
            Assert.True(await ReadAllAsync($"case {i}") > 0);
        }

        // A whole seal in the place of another.
        int first = bytes.AsSpan().IndexOf("TLR1"u8) - 4, second = first + 4 + bytes.AsSpan(first + 4).IndexOf("TLP1"u8) - 4;
        byte[] seal = bytes[first..second];
        int later = bytes.AsSpan(second).IndexOf("TLR1"u8) + second - 4;
        byte[] replaced = [.. bytes];
        seal.CopyTo(replaced, later);
        await File.WriteAllBytesAsync(file, replaced);
        Assert.True(await ReadAllAsync("a seal twice") > 0);
    }

    [Fact]
    public async Task D14_every_flip_of_a_commit_file_is_refused()
    {
        await CreateAsync(5);
        foreach (string log in (string[])["segments", "tree"])
        {
            string file = Path.Combine(Folder, log, "commit");
            byte[] bytes = await File.ReadAllBytesAsync(file);
            for (int bit = 0; bit < bytes.Length * 8; bit++)
            {
                byte[] flipped = [.. bytes];
                flipped[bit / 8] ^= (byte)(1 << (bit % 8));
                await File.WriteAllBytesAsync(file, flipped);
                DamageException damage = await Assert.ThrowsAsync<DamageException>(() => TileStore.OpenAsync(Folder));
                Assert.Contains(file, damage.Message, StringComparison.Ordinal);
            }

            await File.WriteAllBytesAsync(file, bytes);
        }

        Assert.Empty(RecordLogTests.OpenBelow(Folder));
        Assert.Equal(0, await ReadAllAsync("put back"));
    }

    [Theory]
    [InlineData("segments")]
    [InlineData("tree")]
    public async Task D14_a_missing_empty_or_longer_commit_file_is_refused_never_an_empty_log(string log)
    {
        await CreateAsync(5);
        string file = Path.Combine(Folder, log, "commit");
        byte[] bytes = await File.ReadAllBytesAsync(file);
        File.Delete(file);
        await Assert.ThrowsAsync<DamageException>(() => TileStore.OpenAsync(Folder));
        foreach (byte[] other in (byte[][])[[], bytes[..^1], [.. bytes, 0], new byte[bytes.Length], new byte[5000]])
        {
            await File.WriteAllBytesAsync(file, other);
            await Assert.ThrowsAnyAsync<StorageException>(() => TileStore.OpenAsync(Folder));
        }

        await File.WriteAllBytesAsync(file, bytes);
        Assert.Equal(0, await ReadAllAsync("put back"));
    }

    [Fact]
    public async Task D14_an_older_commit_file_gives_the_older_state_and_the_journal_fills_it_up_again()
    {
        await CreateAsync(100);
        string commit = Path.Combine(Folder, "segments", "commit");
        byte[] older = await File.ReadAllBytesAsync(commit);
        await using (TileStore store = await TileStore.OpenAsync(Folder))
        {
            await _tree.PutAsync(store, 100, Segments);
            await store.FlushAsync(CancellationToken.None);
        }

        await File.WriteAllBytesAsync(commit, older);
        await using (TileStore store = await TileStore.OpenAsync(Folder))
        {
            // A journal that has forgotten what lies between is refused by the directory.
            Assert.Equal(100, store.DurableSegmentCount);
            Assert.Contains("25600", LogDirectory.Reconcile(25_700, 70_000, store.DurableSegmentCount * 256, 70_000), StringComparison.Ordinal);
            Assert.Null(LogDirectory.Reconcile(25_600, 70_000, store.DurableSegmentCount * 256, 70_000));

            await _tree.HoldsAsync(store, 100);
            await _tree.PutAsync(store, 100, Segments);
            await store.FlushAsync(CancellationToken.None);
        }

        await using TileStore again = await TileStore.OpenAsync(Folder);
        await _tree.HoldsAsync(again, Segments);
    }

    [Fact]
    public async Task I02_a_damaged_address_file_is_noticed()
    {
        await CreateAsync();
        string file = Path.Combine(Folder, "segments", "addresses");
        byte[] bytes = await File.ReadAllBytesAsync(file);
        Assert.Equal(Segments * 8, bytes.Length);
        Random random = new(42);
        for (int i = 0; i < 60; i++)
        {
            byte[] damaged = [.. bytes];
            int offset = i < 16 ? (i % 2 * (bytes.Length - 8)) + (i / 2) : random.Next(bytes.Length);
            damaged[offset] ^= (byte)(1 << random.Next(8));
            await File.WriteAllBytesAsync(file, damaged);
            Assert.True(await ReadAllAsync($"address byte {offset}") > 0, $"address byte {offset}");
        }

        foreach (byte[] other in (byte[][])[[], new byte[bytes.Length], bytes[..^1], bytes[8..]])
        {
            await File.WriteAllBytesAsync(file, other);
            Assert.True(await ReadAllAsync($"{other.Length} bytes") > 0);
        }
    }

    [Theory]
    [InlineData("segments", "data.0")]
    [InlineData("segments", "addresses")]
    [InlineData("tree", "data.0")]
    public async Task D15_a_missing_or_shortened_file_is_refused(string log, string name)
    {
        await CreateAsync();
        string file = Path.Combine(Folder, log, name);
        byte[] bytes = await File.ReadAllBytesAsync(file);
        int end = bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        foreach (int size in (int[])[0, 1, 63, 64, 100, end / 2, end - 1])
        {
            await File.WriteAllBytesAsync(file, bytes[..size]);
            await Assert.ThrowsAsync<DamageException>(() => TileStore.OpenAsync(Folder));
        }

        File.Delete(file);
        await Assert.ThrowsAnyAsync<StorageException>(() => TileStore.OpenAsync(Folder));
        Assert.False(File.Exists(file));
    }
}
