namespace TransparencyLog.Tests.Core;

public sealed class TileTreeTests
{
    private static readonly byte[] Full = [.. Enumerable.Range(0, 256).SelectMany(i => GrownTree.LeafAt(i).ToArray())];

    [Fact]
    public void Every_complete_subtree_of_every_width_has_its_tree_hash_computed_at_once_or_as_the_tile_grew()
    {
        TileTree? grown = null;
        TileTree jumped = new(Full.AsMemory(0, 32));
        for (int width = 1; width <= 256; width++)
        {
            ReadOnlyMemory<byte> tile = Full.AsMemory(0, width * 32);
            grown = new TileTree(tile, grown);
            if (width % 37 == 0 || width == 256) jumped = new TileTree(tile, jumped);
            foreach (TileTree tree in (TileTree[])[grown, new TileTree(tile), jumped])
            {
                for (int count = 1; count <= 128; count *= 2)
                {
                    for (int first = 0; first + count <= tree.Width; first += count)
                    {
                        if (tree.Subtree(first, count) != Expected(first, count)) Assert.Fail($"[{first}, {first + count}) of {tree.Width}");
                    }
                }
            }

            Assert.Equal(width, grown.Width);
            Assert.True(grown.Tile.Span.SequenceEqual(tile.Span));
        }

        Assert.Equal(256, jumped.Width);
    }

    [Fact]
    public void What_is_no_complete_subtree_of_the_tile_is_misuse()
    {
        TileTree tree = new(Full.AsMemory(0, 100 * 32));
        (int, int)[] wrong = [(-1, 1), (100, 1), (99, 2), (1, 2), (0, 3), (0, 0), (0, -1), (64, 64), (2, 4), (0, 128), (0, 256), (int.MinValue, 1), (0, int.MinValue), (128, 128)];
        foreach ((int first, int count) in wrong) Assert.Throws<ArgumentOutOfRangeException>(() => tree.Subtree(first, count));
        foreach (int length in (int[])[0, 1, 31, 33, 257 * 32]) Assert.Throws<ArgumentException>(() => new TileTree(new byte[length]));
    }

    [Fact]
    public void A_wider_tile_as_the_shorter_one_is_not_believed()
    {
        TileTree wide = new(new byte[256 * 32]);
        TileTree tree = new(Full.AsMemory(0, 100 * 32), wide);
        Assert.Equal(Expected(0, 64), tree.Subtree(0, 64));
    }

    [Fact]
    public void A_hash_is_written_as_a_line_of_45_bytes()
    {
        byte[] line = new byte[46];
        GrownTree.LeafAt(3).WriteLine(line);
        Assert.Equal(GrownTree.LeafAt(3).ToBase64() + "\n\0", System.Text.Encoding.ASCII.GetString(line));
        Assert.Throws<ArgumentException>(() => GrownTree.LeafAt(3).WriteLine(new byte[44]));
    }

    private static Hash Expected(int first, int count)
    {
        Hash[] hashes = new Hash[count];
        for (int i = 0; i < count; i++) hashes[i] = new Hash(Full.AsSpan((first + i) * 32, 32));
        return MerkleHash.Root(hashes);
    }
}
