namespace TransparencyLog.Store;

/// <summary>
/// Where the bytes of the tree are kept: entry bundles and tiles, under their C2SP tlog-tiles paths. The bytes at every path are a function
/// of the journal. So storing the same bytes again is always fine, and other bytes at a path are evidence against the log itself. One
/// caller puts, one caller publishes, any number read, all at the same time. Nothing is deleted except by pruning.
/// </summary>
public interface ITileStore
{
    /// <summary>How many segments were stored, from 0 without a gap. Their tiles and bundles can be read.</summary>
    long SegmentCount { get; }

    /// <summary>How many of them would survive a loss of power now. The journal may forget their entries.</summary>
    long DurableSegmentCount { get; }

    /// <summary>
    /// Stores the next segment with the upper tiles that it completes, or one again. All of it can be read when the call returns; it is
    /// durable once <see cref="DurableSegmentCount"/> covers it. A crash before that may lose it, together with all that were stored after
    /// it, but never loses a part of it.
    /// </summary>
    /// <exception cref="StoreConflictException">Other bytes are stored for this segment or for one of its tiles.</exception>
    /// <exception cref="ArgumentException">Segments before it are missing, or it has not the form that its type describes.</exception>
    ValueTask PutSegmentAsync(SealedSegment segment, CancellationToken stop);

    /// <summary>
    /// Makes a head readable: first the partial tiles and the partial bundle of its size, then its checkpoint. Never backwards: a head that
    /// is smaller than the published one changes nothing. A head of the same size replaces the checkpoint, which may have gained
    /// cosignatures. A store may keep what is published in memory only: a later opening then begins with nothing published.
    /// </summary>
    /// <param name="head">Size and signed checkpoint.</param>
    /// <param name="edge">What lies beyond the last full tiles, at a size no smaller than the head's.</param>
    /// <param name="stop">Ends the call; whether the head is readable is unknown then.</param>
    /// <exception cref="ArgumentException">
    /// The edge is smaller than the head or has the wrong lengths, or a full segment of the edge's size was not stored before.
    /// </exception>
    ValueTask PublishAsync(PublishedHead head, OpenEdge edge, CancellationToken stop);

    /// <summary>The newest published head; null before the first.</summary>
    ValueTask<PublishedHead?> ReadPublishedAsync(CancellationToken stop);

    /// <summary>
    /// The newest published head, if there is one, and then each that is published later, on any node. Of heads that follow each other
    /// quickly only the newest. Ends only by cancellation, or when the store is disposed.
    /// </summary>
    IAsyncEnumerable<PublishedHead> WatchAsync(CancellationToken stop);

    /// <summary>
    /// The bytes at a path in the tree of a published size: as many hashes or entries as the width of the path. Null where the size does
    /// not cover the path, or is larger than the newest published size.
    /// </summary>
    /// <exception cref="DamageException">What is stored is not what was put.</exception>
    ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, long publishedSize, CancellationToken stop);

    /// <summary>
    /// The full tile or bundle at a path, or the prefix of it that a partial path names; null where the full one is not stored. For the
    /// writer, who reads beyond what is published.
    /// </summary>
    /// <exception cref="DamageException">What is stored is not what was put.</exception>
    ValueTask<ReadOnlyMemory<byte>?> GetSealedAsync(TilePath path, CancellationToken stop);

    /// <summary>The length of a stored bundle in bytes, without reading the bundle; null where it is not stored.</summary>
    /// <param name="number">The segment's number.</param>
    /// <param name="stop">Ends the call.</param>
    /// <exception cref="DamageException">What is stored is not what was put.</exception>
    ValueTask<long?> GetBundleSizeAsync(long number, CancellationToken stop);

    /// <summary>The Merkle root of a full tile. The caller knows that it is stored.</summary>
    /// <exception cref="DamageException">The tile is not stored, or what is stored is not what was put.</exception>
    ValueTask<Hash> GetRootAsync(int level, long index, CancellationToken stop);

    /// <summary>
    /// Throws the failure of a write in the background, after which nothing is stored any more. Asked before entries are acknowledged that
    /// could not be sealed.
    /// </summary>
    /// <exception cref="StoreException">A write failed.</exception>
    void ThrowIfFailed();

    /// <summary>Makes everything stored so far durable.</summary>
    ValueTask FlushAsync(CancellationToken stop);
}

/// <summary>
/// 256 entries that will not change any more, and the tiles that they make full. A store keeps the memory; the caller never changes it.
/// </summary>
/// <param name="Number">The segment's number: it holds the entries from <paramref name="Number"/> * 256 on.</param>
/// <param name="Bundle">The 256 entries with u16 length prefixes; at most 256 * 65,537 bytes.</param>
/// <param name="Tile">Their leaf hashes: 8,192 bytes, the full tile of level 0.</param>
/// <param name="Root">The Merkle tree hash over them.</param>
/// <param name="Upper">
/// The full tiles of level 1 and above that it completes, the lowest first, 8,192 bytes each. Most segments complete none; a tile of level
/// l is completed by the last of every 256^l segments.
/// </param>
public sealed record SealedSegment(
    long Number, ReadOnlyMemory<byte> Bundle, ReadOnlyMemory<byte> Tile, Hash Root, IReadOnlyList<FullTile> Upper)
{
    private const int TileBytes = TilePath.FullWidth * Hash.Size;

    /// <summary>Throws where it has not the form that its parameters describe. A store calls it before it stores anything.</summary>
    /// <exception cref="ArgumentException">A number is negative, a length is wrong, or tiles are missing or too many.</exception>
    public void ThrowUnlessWhole()
    {
        if (Number is < 0 or > long.MaxValue / EntryBundle.Width - 1) throw new ArgumentException($"there is no segment {Number}");
        if (!EntryBundle.TryCount(Bundle.Span, out int entries) || entries != EntryBundle.Width)
        {
            throw new ArgumentException($"the bundle of segment {Number} does not hold {EntryBundle.Width} entries");
        }

        if (Tile.Length != TileBytes) throw new ArgumentException($"the tile of segment {Number} has {TileBytes} bytes, not {Tile.Length}");
        int level = 0;
        for (long below = Number + 1; below % TilePath.FullWidth == 0; level++)
        {
            below /= TilePath.FullWidth;
            if (level >= Upper.Count || Upper[level].Level != level + 1 || Upper[level].Index != below - 1)
            {
                throw new ArgumentException($"segment {Number} completes tile {below - 1} of level {level + 1}, which is missing");
            }

            if (Upper[level].Hashes.Length == TileBytes) continue;
            throw new ArgumentException($"tile {below - 1} of level {level + 1} has {TileBytes} bytes, not {Upper[level].Hashes.Length}");
        }

        if (Upper.Count > level) throw new ArgumentException($"segment {Number} completes {level} upper tiles, not {Upper.Count}");
    }
}

/// <summary>The newest state of the log that readers see.</summary>
/// <param name="Size">The tree size.</param>
/// <param name="Checkpoint">The signed note with the log's signature lines and cosignatures. It is never changed.</param>
public sealed record PublishedHead(long Size, ReadOnlyMemory<byte> Checkpoint);

/// <summary>The part of the tree beyond its full tiles. A store keeps the memory; it is never changed.</summary>
/// <param name="Size">The tree size that it belongs to.</param>
/// <param name="PartialTiles">
/// [l] is the partial tile of level l: <c>floor(Size / 256^l) mod 256</c> hashes of 32 bytes, perhaps none. Levels beyond the end of the
/// list are empty.
/// </param>
/// <param name="OpenBundle">The entries of the open segment with u16 length prefixes: <c>Size mod 256</c>, at most 255.</param>
public sealed record OpenEdge(long Size, IReadOnlyList<ReadOnlyMemory<byte>> PartialTiles, ReadOnlyMemory<byte> OpenBundle)
{
    /// <summary>Tile levels of a tree of less than 2^63 leaves.</summary>
    private const int MaxLevels = 8;

    /// <summary>
    /// Throws where it is not an edge for a head, with its full segments among the first <paramref name="segments"/>. A store calls it
    /// before it publishes.
    /// </summary>
    /// <exception cref="ArgumentException">As <see cref="ITileStore.PublishAsync"/> says.</exception>
    public void ThrowUnlessFits(PublishedHead head, long segments)
    {
        if (head.Size < 0 || Size < head.Size)
        {
            throw new ArgumentException($"an edge of size {Size} does not cover a head of size {head.Size}");
        }

        if (Size / EntryBundle.Width > segments)
        {
            throw new ArgumentException($"size {Size} has {Size / EntryBundle.Width} full segments, of which {segments} are stored");
        }

        for (int level = 0; level < Math.Max(MaxLevels, PartialTiles.Count); level++)
        {
            int width = level < MaxLevels ? (int)(Size >> (8 * level) & (TilePath.FullWidth - 1)) : 0;
            int length = level < PartialTiles.Count ? PartialTiles[level].Length : 0;
            if (length != width * Hash.Size)
            {
                throw new ArgumentException($"the partial tile of level {level} at size {Size} has {width} hashes, not {length} bytes");
            }
        }

        if (!EntryBundle.TryCount(OpenBundle.Span, out int entries) || entries != Size % EntryBundle.Width)
        {
            throw new ArgumentException($"the open bundle of size {Size} does not hold {Size % EntryBundle.Width} entries");
        }
    }

    /// <summary>
    /// The bytes at a path that the size covers, where they are part of the edge; null where they are in a full tile or bundle.
    /// </summary>
    public ReadOnlyMemory<byte>? Find(TilePath path)
    {
        int shift = 8 * (Math.Max(path.Level, 0) + 1);
        if (path.Index != (shift < 64 ? Size >> shift : 0)) return null;
        return path.IsEntries
            ? OpenBundle[..EntryBundle.PrefixLength(OpenBundle.Span, path.Width)]
            : PartialTiles[path.Level][..(path.Width * Hash.Size)];
    }
}

/// <summary>The tree in the tiles of a store.</summary>
public static class TileReading
{
    /// <summary>
    /// The right edge of the first <paramref name="segments"/> segments, from the roots of their tiles. The roots are believed: compare the
    /// root of the edge with one that was signed.
    /// </summary>
    public static async Task<RightEdge> RestoreEdgeAsync(this ITileStore tiles, long segments, CancellationToken stop)
    {
        Dictionary<(int, long), Hash> roots = [];
        foreach ((int level, long index) in RootsOf(segments))
        {
            roots[(level, index)] = await tiles.GetRootAsync(level, index, stop).ConfigureAwait(false);
        }

        return RestoreEdge(segments, (level, index) => roots[(level, index)]);
    }

    /// <summary>The same, for a store that reads its own roots.</summary>
    internal static RightEdge RestoreEdge(long segments, Func<int, long, Hash> rootOf)
    {
        List<byte[]> partial = [[]];
        foreach (IGrouping<int, (int Level, long Index)> tile in RootsOf(segments).GroupBy(root => root.Level))
        {
            while (partial.Count <= tile.Key) partial.Add([]);
            partial.Add([.. tile.SelectMany(root => rootOf(root.Level, root.Index).ToArray())]);
        }

        return RightEdge.Restore(segments * EntryBundle.Width, [.. partial.Select(tile => new ReadOnlyMemory<byte>(tile))]);
    }

    /// <summary>
    /// The full tiles whose roots are the hashes of the edge's partial tiles, the lowest level first: at most 255 of a level.
    /// </summary>
    private static IEnumerable<(int Level, long Index)> RootsOf(long segments)
    {
        int level = 0;
        for (long full = segments; full > 0; full /= TilePath.FullWidth, level++)
        {
            for (long index = full / TilePath.FullWidth * TilePath.FullWidth; index < full; index++) yield return (level, index);
        }
    }

    /// <summary>The prefix of a full tile or bundle that a path names; all of it for a full path.</summary>
    public static ReadOnlyMemory<byte> PrefixOf(ReadOnlyMemory<byte> full, TilePath path)
    {
        if (!path.IsPartial) return full;
        return full[..(path.IsEntries ? EntryBundle.PrefixLength(full.Span, path.Width) : path.Width * Hash.Size)];
    }
}
