using System.Numerics;
using System.Text;
using System.Text.Json;

namespace TransparencyLog.Tests.Core;

public sealed class TilePathTests
{
    private const int Seed = 20260802;

    [Fact]
    public void Path_vectors_9_valid_are_read_and_written()
    {
        int cases = 0;
        foreach (JsonElement c in Vectors.Json("tiles/paths.json").GetProperty("valid").EnumerateArray())
        {
            string path = c.GetProperty("path").GetString()!;
            int width = c.GetProperty("width").GetInt32();
            TilePath expected = new(c.GetProperty("level").GetInt32(), c.GetProperty("index").GetInt64(), width == 0 ? 256 : width);
            Assert.True(TryParse(path, out TilePath tile), path);
            Assert.Equal(expected, tile);
            Assert.Equal(path, expected.ToString());
            Assert.Equal(width != 0, tile.IsPartial);
            Assert.False(tile.IsEntries);
            cases++;
        }

        Assert.Equal(9, cases);
    }

    [Fact]
    public void Path_vectors_26_invalid_are_refused()
    {
        int cases = 0;
        foreach (JsonElement path in Vectors.Json("tiles/paths.json").GetProperty("invalid").EnumerateArray())
        {
            Assert.False(TryParse(path.GetString()!, out TilePath tile), path.GetString());
            Assert.Equal(default, tile);
            cases++;
        }

        Assert.Equal(26, cases);
    }

    [Fact]
    public void TT08_level_is_0_to_63_without_leading_zeros()
    {
        for (int level = 0; level <= 999; level++) Assert.Equal(level <= 63, TryParse($"tile/{level}/000", out _));
        for (int level = 0; level <= 99; level++) Assert.False(TryParse($"tile/0{level}/000", out _));
        foreach (string level in new[] { "", "-1", "+1", " 1", "1 ", "0x1", "1e0", "18446744073709551616", "Entries", "entrie", "entriess" })
        {
            Assert.False(TryParse($"tile/{level}/000", out _), level);
        }
    }

    [Fact]
    public void TT09_index_is_groups_of_three_digits_all_but_the_last_behind_an_x()
    {
        Assert.Equal("tile/0/x001/x234/067", new TilePath(0, 1234067).ToString());
        Assert.Equal("tile/entries/x001/x234/067.p/9", new TilePath(TilePath.EntriesLevel, 1234067, 9).ToString());
        Assert.Equal("tile/63/x009/x223/x372/x036/x854/x775/807", new TilePath(63, long.MaxValue).ToString());
        Assert.Equal(
            "tile/entries/x009/x223/x372/x036/x854/x775/807.p/255",
            new TilePath(TilePath.EntriesLevel, long.MaxValue, 255).ToString());
        long[] indexes = [0, 1, 999, 1000, 1001, 999_999, 1_000_000, 999_999_999_999_999_999, 1_000_000_000_000_000_000, long.MaxValue];
        foreach (long index in indexes)
        {
            string path = new TilePath(3, index).ToString();
            Assert.True(TryParse(path, out TilePath tile), path);
            Assert.Equal(index, tile.Index);
        }

        Assert.False(TryParse("tile/0/x009/x223/x372/x036/x854/x775/808", out _));
        Assert.False(TryParse("tile/0/x018/x446/x744/x073/x709/x551/616", out _));
    }

    [Theory]
    [InlineData("")]
    [InlineData("tile")]
    [InlineData("tile/")]
    [InlineData("/tile/0/000")]
    [InlineData("Tile/0/000")]
    [InlineData("tile/0/000/")]
    [InlineData("tile/0/000\n")]
    [InlineData("tile/0/000\0")]
    [InlineData("tile/0//000")]
    [InlineData("tile/0/x000/001")]
    [InlineData("tile/0/x000/x001/001")]
    [InlineData("tile/0/X001/001")]
    [InlineData("tile/0/x01/001")]
    [InlineData("tile/0/x0001/001")]
    [InlineData("tile/0/x001/x001")]
    [InlineData("tile/0/001/001")]
    [InlineData("tile/0/1")]
    [InlineData("tile/0/0x1")]
    [InlineData("tile/0/001p/1")]
    [InlineData("tile/0/001.P/1")]
    [InlineData("tile/0/001.p/1/")]
    [InlineData("tile/0/001.p/1.p/1")]
    [InlineData("tile/0/x001.p/1/001")]
    [InlineData("tile/0/001.p/-1")]
    [InlineData("tile/0/001.p/00")]
    [InlineData("tile/entries/")]
    [InlineData("tile/entries/0")]
    [InlineData("tile/entries/001.p/256")]
    [InlineData("tile/data/001")]
    [InlineData("tile/0/٠٠١")]
    [InlineData("tile/0/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/001")]
    public void TT10_only_the_canonical_path_is_read(string path) => Assert.False(TryParse(path, out _));

    [Fact]
    public void TT11_width_is_1_to_255()
    {
        foreach (string level in new[] { "0", "entries" })
        {
            for (int width = 0; width <= 999; width++)
            {
                Assert.Equal(width is >= 1 and <= 255, TryParse($"tile/{level}/000.p/{width}", out TilePath tile));
                if (width is >= 1 and <= 255) Assert.Equal((width, true), (tile.Width, tile.IsPartial));
                if (width < 100) Assert.False(TryParse($"tile/{level}/000.p/0{width}", out _));
            }

            Assert.True(TryParse($"tile/{level}/000", out TilePath full));
            Assert.Equal((256, false), (full.Width, full.IsPartial));
        }
    }

    [Fact]
    public void TT23_entries_is_a_level_of_its_own()
    {
        Assert.True(TryParse("tile/entries/x001/x234/067.p/89", out TilePath tile));
        Assert.Equal(new TilePath(TilePath.EntriesLevel, 1234067, 89), tile);
        Assert.True(tile.IsEntries);
        Assert.NotEqual(new TilePath(0, 1234067, 89), tile);
    }

    [Fact]
    public void A_tile_outside_the_range_cannot_be_named()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new TilePath(-2, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TilePath(64, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TilePath(0, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TilePath(0, 0, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TilePath(0, 0, 257));
        Assert.Throws<ArgumentOutOfRangeException>(() => TilePath.WidthAt(-2, 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => TilePath.WidthAt(64, 0, 1));
        Assert.Equal(new TilePath(0, 0, 256), default);
        Assert.Equal("tile/0/000", default(TilePath).ToString());
    }

    [Fact]
    public void What_is_written_is_read_back_the_same()
    {
        Random random = new(Seed);
        for (int i = 0; i < 20_000; i++)
        {
            TilePath tile = RandomTile(random);
            Assert.True(TryParse(tile.ToString(), out TilePath again), $"seed {Seed}, case {i}: {tile}");
            Assert.Equal(tile, again);
        }
    }

    [Fact]
    public void What_is_read_from_a_damaged_path_is_written_back_the_same()
    {
        Random random = new(Seed);
        ReadOnlySpan<byte> alphabet = "0123456789xp./tilenrs-+ \n\0é"u8;
        int read = 0;
        for (int i = 0; i < 100_000; i++)
        {
            List<byte> path = [.. Encoding.ASCII.GetBytes(RandomTile(random).ToString())];
            for (int edits = random.Next(1, 4); edits > 0; edits--)
            {
                int at = random.Next(path.Count);
                byte letter = alphabet[random.Next(alphabet.Length)];
                switch (random.Next(3))
                {
                    case 0: path[at] = letter; break;
                    case 1: path.Insert(at, letter); break;
                    default: path.RemoveAt(at); break;
                }
            }

            byte[] bytes = [.. path];
            if (!TilePath.TryParse(bytes, out TilePath tile)) continue;
            Assert.True(bytes.AsSpan().SequenceEqual(Encoding.ASCII.GetBytes(tile.ToString())), $"seed {Seed}, case {i}: {tile}");
            read++;
        }

        Assert.InRange(read, 1, 99_999);
    }

    [Fact]
    public void TT16_width_in_a_tree_is_right_for_any_level_index_and_size()
    {
        Random random = new(Seed);
        long[] edges = [long.MinValue, -1, 0, 1, 255, 256, 257, 65535, 65536, 70_000, long.MaxValue / 256, long.MaxValue - 1, long.MaxValue];
        for (int i = 0; i < 50_000; i++)
        {
            int level = random.Next(-1, 64);
            long size = random.Next(4) == 0 ? edges[random.Next(edges.Length)] : RandomLong(random);
            long last = (long)((BigInteger)Math.Max(size, 0) >> (8 * (Math.Max(level, 0) + 1)));
            long index = random.Next(4) switch
            {
                0 => edges[random.Next(edges.Length)],
                1 => RandomLong(random),
                _ => Math.Max(last - 1, 0) + random.Next(3),
            };

            BigInteger hashes = (BigInteger)size >> (8 * Math.Max(level, 0));
            int expected = size < 0 || index < 0 ? 0 : (int)BigInteger.Max(0, BigInteger.Min(256, hashes - ((BigInteger)index * 256)));
            int width = TilePath.WidthAt(level, index, size);
            Assert.True(expected == width, $"seed {Seed}, case {i}: level {level}, index {index}, size {size}: {width}, not {expected}");
            if (index < 0) continue;
            for (int w = Math.Max(1, width - 1); w <= Math.Min(256, width + 1); w++)
            {
                Assert.Equal(w <= width, new TilePath(level, index, w).IsCoveredBy(size));
            }
        }
    }

    [Fact]
    public void TT18_a_tree_of_70000_has_the_tiles_of_the_specification()
    {
        Assert.Equal((256, 112, 0), (TilePath.WidthAt(0, 272, 70_000), TilePath.WidthAt(0, 273, 70_000), TilePath.WidthAt(0, 274, 70_000)));
        Assert.Equal((256, 112, 0), (TilePath.WidthAt(-1, 272, 70_000), TilePath.WidthAt(-1, 273, 70_000), TilePath.WidthAt(-1, 274, 70_000)));
        Assert.Equal((256, 17, 0), (TilePath.WidthAt(1, 0, 70_000), TilePath.WidthAt(1, 1, 70_000), TilePath.WidthAt(1, 2, 70_000)));
        Assert.Equal((1, 0, 0), (TilePath.WidthAt(2, 0, 70_000), TilePath.WidthAt(2, 1, 70_000), TilePath.WidthAt(3, 0, 70_000)));
        Assert.Equal((256, 1, 0), (TilePath.WidthAt(0, 0, 256), TilePath.WidthAt(1, 0, 256), TilePath.WidthAt(0, 1, 256)));
    }

    private static TilePath RandomTile(Random random) =>
        new(random.Next(-1, 64), RandomLong(random), random.Next(2) == 0 ? 256 : random.Next(1, 257));

    /// <summary>Every bit length is as likely as any other.</summary>
    private static long RandomLong(Random random) => random.NextInt64() >> random.Next(63);

    private static bool TryParse(string path, out TilePath tile) => TilePath.TryParse(Encoding.UTF8.GetBytes(path), out tile);
}
