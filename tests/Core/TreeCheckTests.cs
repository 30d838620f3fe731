namespace TransparencyLog.Tests.Core;

/// <summary>The check that every verifier of whole logs is made of: what it accepts, and the words for each damage.</summary>
public sealed class TreeCheckTests
{
    private static readonly byte[][] Entries = [.. Enumerable.Range(0, 70_000).Select(BitConverter.GetBytes)];
    private static readonly Hash[] Leaves = [.. Entries.Select(entry => MerkleHash.Leaf(entry))];

    private static byte[] Bundle(int from, int count) => [.. Entries.Skip(from).Take(count).SelectMany(entry => (byte[])[0, (byte)entry.Length, .. entry])];

    private static byte[] Tile(int from, int count) => [.. Leaves.Skip(from).Take(count).SelectMany(leaf => leaf.ToArray())];

    private static Hash Root(int size) => MerkleHash.Root(Leaves.AsSpan(0, size));

    private static Damage? Add(TreeCheck check, int count) => check.Add(Bundle((int)check.Size, count), Tile((int)check.Size, count), count, "bundle", "tile");

    /// <summary>A tree of 512, in which the next bundle is expected.</summary>
    private static TreeCheck Begun(params ClaimedRoot[] claims)
    {
        TreeCheck check = new(claims);
        Assert.Null(check.CheckBegin());
        Assert.Null(Add(check, 256));
        Assert.Null(Add(check, 256));
        return check;
    }

    private static void Is(string expected, Damage? damage) => Assert.Equal(expected, damage?.ToString());

    [Fact]
    public void A_whole_log_is_accepted_and_every_claim_on_the_way_compared()
    {
        TreeCheck check = new([new(0, MerkleHash.Empty, "a"), new(1, Root(1), "b"), new(256, Root(256), "c"), new(256, Root(256), "d"), new(600, Root(600), "e")]);
        Assert.Null(check.CheckBegin());
        Assert.Null(Add(check, 256));
        FullTile tile = Assert.Single(check.Completed);
        Assert.Equal((0, 0L, Root(256)), (tile.Level, tile.Index, tile.Root));
        Assert.Equal(Tile(0, 256), tile.Hashes.ToArray());
        Assert.Null(Add(check, 256));
        Assert.Equal(1, Assert.Single(check.Completed).Index);
        Assert.Null(check.Add(Bundle(512, 88), Tile(512, 88), 88, "bundle", "tile", Leaves[512..600]));
        Assert.Empty(check.Completed);
        Assert.Equal((600L, Root(600)), (check.Size, check.Root()));
        Assert.Null(check.Finish("log"));
        Assert.Null(check.AddEntry(Entries[600]));
        Assert.Null(check.AddLeaf(Leaves[601]));
        Assert.Equal(Root(602), check.Root());
    }

    [Fact]
    public void What_is_full_is_told_once()
    {
        TreeCheck check = Begun();
        for (int i = 512; i < 767; i++)
        {
            Assert.Null(check.AddEntry(Entries[i]));
            Assert.Empty(check.Completed);
        }

        Assert.Null(check.AddEntry(Entries[767]));
        Assert.Equal(2, Assert.Single(check.Completed).Index);
        Assert.Null(check.AddEntry(Entries[768]));
        Assert.Empty(check.Completed);
    }

    [Fact]
    public void The_partial_tiles_above_the_entries_are_those_of_the_size()
    {
        TreeCheck check = new([]);
        Assert.Empty(check.PartialTiles());
        while (check.Size < 69_888)
        {
            Assert.Null(Add(check, 256));
            foreach ((TilePath path, ReadOnlyMemory<byte> hashes) in check.PartialTiles())
            {
                Assert.Equal(TilePath.WidthAt(path.Level, path.Index, check.Size), path.Width);
                Assert.Equal(path.Width * 32, hashes.Length);
            }
        }

        // 273 = 256 + 17 tiles of leaves.
        Assert.Equal([new TilePath(1, 1, 17), new TilePath(2, 0, 1)], check.PartialTiles().Select(tile => tile.Path));
        Assert.Equal(MerkleHash.Root(Leaves.AsSpan(65_536, 256)).ToArray(), check.PartialTiles().First().Hashes[..32].ToArray());
        Assert.Equal(Root(65_536).ToArray(), check.PartialTiles().Last().Hashes.ToArray());
    }

    [Fact]
    public void Every_damage_says_where_it_is_and_what_should_be_there()
    {
        TreeCheck check = Begun();
        Is("entry-bundle: bundle, segment 2: expected 2 entries with their lengths, found a length at offset 6 that does not fit", check.Add([.. Bundle(512, 1), 0, 5, 1], Tile(512, 2), 2, "bundle", "tile"));
        Is("entry-bundle: bundle, segment 2, index 514: expected 2 entries, found 3 entries", check.Add(Bundle(512, 3), Tile(512, 2), 2, "bundle", "tile"));
        Is("entry-bundle: bundle, segment 2, index 513: expected 2 entries, found 1 entries", check.Add(Bundle(512, 1), Tile(512, 2), 2, "bundle", "tile"));
        Is("tile: tile, segment 2: expected 2 leaf hashes, 64 bytes, found 32 bytes", check.Add(Bundle(512, 2), Tile(512, 1), 2, "bundle", "tile"));
        Assert.Equal(512, check.Size);
        Is(
            $"leaf-hash: tile, segment 2, index 513: expected {Leaves[513]}, the hash of the entry in bundle, found {Leaves[514]}",
            check.Add(Bundle(512, 2), [.. Tile(512, 1), .. Tile(514, 1)], 2, "bundle", "tile"));
        Is("entry-bundle: bundle, segment 0: expected 1 entries with their lengths, found a length at offset 0 that does not fit", new TreeCheck([]).Add([1], Tile(0, 1), 1, "bundle", "tile"));
    }

    [Fact]
    public void A_full_tile_that_was_told_before_a_damage_is_not_told_with_it()
    {
        TreeCheck check = Begun();
        Assert.Single(check.Completed);
        Assert.NotNull(check.Add([1], Tile(512, 1), 1, "bundle", "tile"));
        Assert.Empty(check.Completed);
    }

    [Fact]
    public void A_root_that_is_not_that_of_the_entries_names_the_last_claim_that_was()
    {
        Is($"root: a: expected root {MerkleHash.Empty} at size 0, from the entries, found root {Root(1)}", new TreeCheck([new(0, Root(1), "a")]).CheckBegin());
        TreeCheck first = new([new(256, Root(255), "a")]);
        Assert.Null(first.CheckBegin());
        Is($"root: a: expected root {Root(256)} at size 256, from the entries, found root {Root(255)}", Add(first, 256));
        TreeCheck later = Begun(new(5, Root(5), "a"), new(300, Root(300), "b"), new(515, Root(515), "c"), new(515, Root(514), "d"));
        Is($"root: d, index 300: expected root {Root(515)} at size 515, from the entries, found root {Root(514)}", Add(later, 10));
        Assert.Equal(515, later.Size);
    }

    [Fact]
    public void Entries_that_a_claim_has_and_the_log_has_not_are_missed_at_the_end()
    {
        Is("size: log, index 512: expected 600 entries, the size in b, found 512 entries", Begun(new(512, Root(512), "a"), new(600, Root(600), "b")).Finish("log"));
        Assert.Null(Begun(new ClaimedRoot(512, Root(512), "a")).Finish("log"));
        Assert.Null(Begun().Finish("log"));
    }

    [Fact]
    public void It_goes_on_from_a_tree_that_is_believed_until_the_next_claim()
    {
        RightEdge edge = new();
        foreach (Hash leaf in Leaves.AsSpan(0, 256)) edge.Append(leaf, []);
        TreeCheck check = new([new(1, Root(2), "below: left out"), new(256, Root(256), "a"), new(300, Root(300), "b")], edge);
        Assert.Equal(256, check.Size);
        Assert.Null(check.CheckBegin());
        Assert.Null(Add(check, 44));
        Assert.Null(check.Finish("log"));

        edge = new RightEdge();
        foreach (Hash leaf in Leaves.AsSpan(1, 256)) edge.Append(leaf, []);
        Is($"root: a: expected root {edge.Root()} at size 256, from the entries, found root {Root(256)}", new TreeCheck([new(256, Root(256), "a")], edge).CheckBegin());
    }

    [Theory]
    [InlineData(1, 0, 0, 0)]
    [InlineData(1, 0, 7, 7)]
    [InlineData(1, 3, 7, 775)]
    [InlineData(2, 0, 2, 512)]
    [InlineData(2, 1, 2, 66_048)]
    public void A_tile_that_differs_names_the_hash_and_the_first_segment_below_it(int level, long index, int at, long segment)
    {
        TilePath path = new(level, index, 8);
        byte[] expected = Tile(0, 8), found = [.. expected];
        Assert.Null(TreeCheck.Compare(path, expected, found, "tree"));
        found[(32 * at) + 31] ^= 1;
        Damage damage = TreeCheck.Compare(path, expected, found, "tree")!;
        Is($"tile: tree, hash {at}, segment {segment}: expected {Leaves[at]}, found {new Hash(found.AsSpan(32 * at, 32))}", damage);
        Assert.Equal(path, damage.Tile);

        damage = TreeCheck.Compare(path, expected, found.AsSpan(0, 224), "tree")!;
        Is($"tile: tree, segment {(index * 256) << (8 * (level - 1))}: expected 8 hashes, 256 bytes, found 224 bytes", damage);
        Assert.Equal(path, damage.Tile);
    }

    [Fact]
    public void Leaves_are_those_of_the_entries_or_none()
    {
        Assert.Equal(Leaves[3..9], TreeCheck.Leaves(Bundle(3, 6)));
        Assert.Empty(TreeCheck.Leaves([])!);
        Assert.Null(TreeCheck.Leaves([0, 1]));
    }
}
