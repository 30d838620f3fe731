using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

public sealed class HashIndexTests
{
    /// <summary>Enough that most of it is on disk: FASTER keeps 16 MiB, 24 bytes an entry.</summary>
    private const int Tiles = 6000;

    [Fact]
    public void Every_entry_has_its_first_index_also_when_it_is_on_disk()
    {
        using Scratch scratch = new();
        using HashIndex index = new(scratch["index"], Tiles * 256L);
        Fill(index, Tiles);

        // The same entries again, later in the log, do not replace the first.
        index.Add(TileOf(0), (Tiles + 1) * 256L);
        index.Add(TileOf(Tiles - 1), (Tiles + 2) * 256L);
        Assert.True(new FileInfo(Path.Combine(scratch["index"], "data.0")).Length > 16 << 20);
        Random random = new(1);
        for (int i = 0; i < 20_000; i++)
        {
            int entry = i < 512 ? i : random.Next(Tiles * 256);
            Assert.True(index.TryFind(DuplicateTableTests.HashOf(entry), out long found), $"entry {entry}");
            Assert.Equal(entry, found);
            Assert.False(index.TryFind(DuplicateTableTests.HashOf(-1 - entry), out _));
        }

        Assert.Null(index.Failure);
    }

    [Fact]
    public void Many_ask_while_one_adds_and_closing_waits_for_them()
    {
        using Scratch scratch = new();
        HashIndex index = new(scratch["index"], 0);
        int added = 0, wrong = 0;
        bool closing = false;
        Thread[] readers = [.. Enumerable.Range(0, 4).Select(seed => new Thread(() =>
        {
            Random random = new(seed);
            while (Volatile.Read(ref added) < 2000)
            {
                int entry = random.Next(Math.Max(1, Volatile.Read(ref added) * 256));
                if (Volatile.Read(ref added) * 256 <= entry || (index.TryFind(DuplicateTableTests.HashOf(entry), out long found) && found == entry)) continue;
                if (!Volatile.Read(ref closing)) Interlocked.Increment(ref wrong);
            }

            // From here on they may meet it closing: found or not, but never a wrong index.
            for (int i = 0; i < 2000; i++)
            {
                if (index.TryFind(DuplicateTableTests.HashOf(i), out long found) && found != i) Interlocked.Increment(ref wrong);
            }
        }))];
        foreach (Thread reader in readers) reader.Start();
        for (int tile = 0; tile < 2000; tile++)
        {
            index.Add(TileOf(tile), tile * 256L);
            if (tile < 1999) Volatile.Write(ref added, tile + 1);
        }

        Volatile.Write(ref closing, true);
        Volatile.Write(ref added, 2000);
        index.Dispose();
        foreach (Thread reader in readers) reader.Join();
        Assert.Equal(0, wrong);
        Assert.False(index.TryFind(DuplicateTableTests.HashOf(0), out _));
    }

    [Fact]
    public void I07_what_changed_on_disk_is_never_followed_and_is_reported()
    {
        using Scratch scratch = new();
        using HashIndex index = new(scratch["index"], Tiles * 256L);
        Fill(index, Tiles);
        string data = Path.Combine(scratch["index"], "data.0");
        using (FileStream file = File.OpenWrite(data))
        {
            // Every record points at itself or into nowhere.
            byte[] noise = new byte[file.Length];
            new Random(1).NextBytes(noise);
            file.Write(noise);
        }

        for (int entry = 0; entry < 2000; entry++) Assert.False(index.TryFind(DuplicateTableTests.HashOf(entry), out _));
        Assert.Contains("not what was written", index.Failure!.Message);
    }

    [Fact]
    public void I07_a_file_cut_short_is_reported()
    {
        using Scratch scratch = new();
        using HashIndex index = new(scratch["index"], Tiles * 256L);
        Fill(index, Tiles);
        using (FileStream file = File.OpenWrite(Path.Combine(scratch["index"], "data.0"))) file.SetLength(0);
        Assert.False(index.TryFind(DuplicateTableTests.HashOf(0), out _));
        Assert.NotNull(index.Failure);
    }

    [Theory]
    [InlineData("pwrite", FaultScope.NoSpace)]
    [InlineData("pwrite", FaultScope.Io)]
    [InlineData("open", FaultScope.TooManyFiles)]
    [InlineData("pread", FaultScope.Io)]
    public void A_disk_that_fails_stalls_nobody_and_is_reported(string failing, int errno)
    {
        using Scratch scratch = new();
        using FaultScope fault = FaultScope.On(scratch["index"], (call, _) => call == failing ? FaultScope.Fail(errno) : FaultScope.None);
        using HashIndex index = new(scratch["index"], 0);
        Fill(index, Tiles);
        for (int entry = 0; entry < 100; entry++) index.TryFind(DuplicateTableTests.HashOf(entry), out _);
        Assert.IsType<StorageException>(index.Failure);
    }

    [Theory]
    [InlineData("a file")]
    [InlineData("other things")]
    [InlineData("a link")]
    public void Whatever_lies_in_its_place_is_removed(string what)
    {
        using Scratch scratch = new();
        string path = scratch["index"], elsewhere = scratch["elsewhere"];
        Directory.CreateDirectory(elsewhere);
        File.WriteAllText(Path.Combine(elsewhere, "kept"), "");
        if (what == "a file") File.WriteAllText(path, "");
        if (what == "a link") Directory.CreateSymbolicLink(path, elsewhere);
        if (what == "other things")
        {
            Directory.CreateDirectory(Path.Combine(path, "below"));
            File.WriteAllText(Path.Combine(path, "data.0"), "x");
        }

        using HashIndex index = new(path, 0);
        Fill(index, 1);
        Assert.True(index.TryFind(DuplicateTableTests.HashOf(7), out long found));
        Assert.Equal(7, found);
        Assert.True(File.Exists(Path.Combine(elsewhere, "kept")));
        Assert.Null(new DirectoryInfo(path).LinkTarget);
    }

    [Fact]
    public void A_place_that_cannot_be_used_is_a_storage_failure()
    {
        using Scratch scratch = new();
        File.WriteAllText(scratch["file"], "");
        Assert.Throws<StorageException>(() => new HashIndex(Path.Combine(scratch["file"], "index"), 0));
    }

    private static void Fill(HashIndex index, int tiles)
    {
        for (int tile = 0; tile < tiles; tile++) index.Add(TileOf(tile), tile * 256L);
    }

    private static byte[] TileOf(int tile)
    {
        byte[] bytes = new byte[256 * Hash.Size];
        for (int i = 0; i < 256; i++) DuplicateTableTests.HashOf((tile * 256) + i).CopyTo(bytes.AsSpan(i * Hash.Size));
        return bytes;
    }
}
