using System.Text;
using System.Text.Json;

namespace TransparencyLog.Tests.Core;

/// <summary>A log that another implementation wrote, rebuilt from its entries: the same bytes at every path and every size.</summary>
public sealed class TesseraLogTests
{
    [Fact]
    public void TT16_TT19_tiles_of_every_size_0_to_15_are_the_same_bytes()
    {
        RightEdge edge = new();
        Assert.True(edge.PartialTile(0).IsEmpty);
        foreach (byte[] entry in Entries())
        {
            edge.Append(MerkleHash.Leaf(entry), null);
            TilePath tile = new(0, 0, (int)edge.Size);
            Assert.Equal(Vectors.Bytes($"log-tessera/{tile}"), edge.PartialTile(0).ToArray());
        }

        Assert.Equal(15, edge.Size);
    }

    [Fact]
    public void TT23_TT24_bundles_of_every_size_1_to_15_are_the_same_bytes()
    {
        byte[][] entries = Entries();
        byte[] bundle = new byte[entries.Sum(entry => EntryBundle.EncodedSize(entry.Length))];
        int length = 0;
        for (int size = 1; size <= entries.Length; size++)
        {
            length += EntryBundle.Write(entries[size - 1], bundle.AsSpan(length));
            TilePath path = new(TilePath.EntriesLevel, 0, size);
            Assert.Equal(Vectors.Bytes($"log-tessera/{path}"), bundle[..length]);
            Assert.Equal(length, EntryBundle.PrefixLength(bundle, size));
        }
    }

    [Fact]
    public void TT25_each_entry_of_a_bundle_hashes_to_its_hash_in_the_tile()
    {
        for (int size = 1; size <= 15; size++)
        {
            byte[] bundle = Vectors.Bytes($"log-tessera/tile/entries/000.p/{size}");
            byte[] tile = Vectors.Bytes($"log-tessera/tile/0/000.p/{size}");
            Assert.True(EntryBundle.TryCount(bundle, out int count));
            Assert.Equal(size, count);
            List<byte> hashes = [];
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle)) hashes.AddRange(MerkleHash.Leaf(entry).ToArray());
            Assert.Equal(tile, hashes);
        }
    }

    [Fact]
    public void Every_file_of_the_log_was_compared()
    {
        string tiles = Path.Combine(Vectors.Folder, "log-tessera", "tile");
        string[] found = [.. Directory.EnumerateFiles(tiles, "*", SearchOption.AllDirectories)];
        Assert.Equal(30, found.Length);
        foreach (string file in found)
        {
            Assert.True(TilePath.TryParse(Encoding.ASCII.GetBytes("tile/" + Path.GetRelativePath(tiles, file)), out _), file);
        }
    }

    private static byte[][] Entries()
    {
        JsonElement list = Vectors.Json("log-tessera/about.json").GetProperty("entries");
        byte[][] entries = [.. list.EnumerateArray().Select(entry => Encoding.UTF8.GetBytes(entry.GetString()!))];
        Assert.Equal(15, entries.Length);
        return entries;
    }
}
