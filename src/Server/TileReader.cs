using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>What goes out for a tile or bundle.</summary>
internal readonly record struct Served(ReadOnlyMemory<byte> Bytes, bool IsGzip);

/// <summary>
/// Reads tiles, bundles and proofs: the right edge from a snapshot, sealed ones that are asked for often from memory, the rest from the store. Thread-safe.
/// </summary>
/// <param name="store">Where sealed bytes are.</param>
/// <param name="hotBytes">Most bytes of memory for what is asked for often; 0 for none.</param>
internal sealed class TileReader(ITileStore store, long hotBytes = 0)
{
    /// <summary>Bundles that are being read from the store: more at once than a disk or its processors have use for.</summary>
    private static readonly SemaphoreSlim Bundles = new(4);

    private static readonly long LargestBundle = EntryBundle.Width * (long)EntryBundle.EncodedSize(EntryBundle.MaxEntrySize);

    private readonly HotTiles _hot = new(hotBytes);

    /// <summary>[level] is what was last computed of the open tile there. Whoever comes later with a wider one goes on from it; a lost write costs hashing again.</summary>
    private readonly TileTree?[] _edge = new TileTree?[8];

    private ConcurrentDictionary<TilePath, Damage>? _refused;

    /// <summary>
    /// From now on what is damaged is not read any more, from the store or from memory: <see cref="DamageException"/>. Bytes whose CRC holds and whose hashes do not
    /// would pass as good otherwise.
    /// </summary>
    public void Refuse(Damage damage)
    {
        ConcurrentDictionary<TilePath, Damage> refused = _refused ?? new();
        if (damage.Tile is TilePath tile)
        {
            refused[tile] = damage;
        }
        else if (damage.Segment is long segment)
        {
            refused[new TilePath(0, segment)] = damage;
            refused[new TilePath(TilePath.EntriesLevel, segment)] = damage;
        }

        Volatile.Write(ref _refused, refused);
    }

    /// <summary>What is kept of sealed tiles and bundles.</summary>
    public HotTiles Hot => _hot;

    /// <summary>The bytes at a path that the snapshot's size covers; the caller has checked that. Null only for a path that it does not cover.</summary>
    /// <param name="path">A tile or bundle.</param>
    /// <param name="tree">What is covered.</param>
    /// <param name="stop">Ends the wait for other bundles to be read.</param>
    /// <param name="hasRoom">Whether there is room for an answer of so many bytes: asked before a bundle is read. Without it there always is.</param>
    /// <exception cref="UnavailableException">There is none.</exception>
    public async ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, TreeSnapshot tree, CancellationToken stop, Func<long, bool>? hasRoom = null)
    {
        if (!path.IsCoveredBy(tree.Size)) return null;
        if (await FullAsync(path, tree, hasRoom, stop).ConfigureAwait(false) is not ReadOnlyMemory<byte> full) return null;
        if (!path.IsEntries) return full[..(path.Width * Hash.Size)];

        // The first entries in memory of their own: a slow reader keeps alive what it is sent, and not all of a bundle.
        return path.IsPartial ? full[..EntryBundle.PrefixLength(full.Span, path.Width)].ToArray() : full;
    }

    /// <summary>The bytes of one entry that the snapshot's size covers, in memory of their own.</summary>
    public async ValueTask<byte[]> GetEntryAsync(long index, TreeSnapshot tree, CancellationToken stop)
    {
        long number = index / EntryBundle.Width;
        ReadOnlyMemory<byte>? full = await FullAsync(new TilePath(TilePath.EntriesLevel, number), tree, null, stop).ConfigureAwait(false);
        ReadOnlySpan<byte> bundle = (full ?? throw new DamageException(new Damage("entry-bundle", "segments", number, index, "a stored bundle", "nothing"))).Span;
        int start = EntryBundle.PrefixLength(bundle, (int)(index % EntryBundle.Width));
        return bundle.Slice(start + 2, BinaryPrimitives.ReadUInt16BigEndian(bundle[start..])).ToArray();
    }

    /// <summary>All that there is of the tile or bundle to which a path belongs.</summary>
    private async ValueTask<ReadOnlyMemory<byte>?> FullAsync(TilePath path, TreeSnapshot tree, Func<long, bool>? hasRoom, CancellationToken stop)
    {
        if (IsEdge(path, tree)) return path.IsEntries ? tree.OpenBundle : tree.PartialTiles[path.Level];
        return (await SealedAsync(path, stop, hasRoom).ConfigureAwait(false))?.Bytes;
    }

    /// <summary>
    /// The same, and a full bundle in gzip if that can be had now: not where it would not be smaller, where the bundle is larger than
    /// <see cref="HotTiles.MaxCompressed"/>, or while others are being compressed. Then it goes out as it is, as all the rest does: hashes cannot be made
    /// smaller, and most partial bundles are of the open segment, gone with the next checkpoint.
    /// </summary>
    public async ValueTask<Served?> GetGzipAsync(TilePath path, TreeSnapshot tree, CancellationToken stop, Func<long, bool>? hasRoom = null)
    {
        if (path is { IsEntries: true, IsPartial: false } && path.IsCoveredBy(tree.Size) && await SealedAsync(path, stop, hasRoom).ConfigureAwait(false) is HotTile full)
        {
            return _hot.GzipOf(full) is byte[] gzip ? new Served(gzip, IsGzip: true) : new Served(full.Bytes, IsGzip: false);
        }

        return await GetAsync(path, tree, stop, hasRoom).ConfigureAwait(false) is ReadOnlyMemory<byte> bytes ? new Served(bytes, IsGzip: false) : null;
    }

    /// <summary>Reads what a plan needs and builds its proof, within a tree that the snapshot covers.</summary>
    public async ValueTask<Hash[]> BuildAsync(ProofPlan plan, TreeSnapshot tree, CancellationToken stop)
    {
        TileTree[] tiles = new TileTree[plan.Tiles.Count];
        for (int i = 0; i < tiles.Length; i++) tiles[i] = await TreeOfAsync(plan.Tiles[i], tree, stop).ConfigureAwait(false);
        return plan.TryBuild(tiles, out Hash[] proof)
            ? proof
            : throw new DamageException(new Damage("tile", "one of a proof's tiles", null, null, "a tile of the planned width", "another length"));
    }

    private static bool IsEdge(TilePath path, TreeSnapshot tree) => path.Index == tree.Size >> (8 * (Math.Max(path.Level, 0) + 1));

    private async ValueTask<TileTree> TreeOfAsync(TilePath path, TreeSnapshot tree, CancellationToken stop)
    {
        if (path.IsCoveredBy(tree.Size))
        {
            if (IsEdge(path, tree)) return EdgeTree(path.Level, tree.PartialTiles[path.Level]);
            if (await SealedAsync(path, stop).ConfigureAwait(false) is HotTile full) return _hot.TreeOf(full);
        }

        throw new DamageException(new Damage("tile", path.ToString(), null, null, "a stored tile", "nothing"));
    }

    /// <summary>The open tile of a level with its inner hashes. An open tile only grows at its end, in the same array until it is full.</summary>
    private TileTree EdgeTree(int level, ReadOnlyMemory<byte> tile)
    {
        TileTree? known = Volatile.Read(ref _edge[level]);
        if (known is not null && !IsSame(known.Tile, tile)) known = null;
        if (known is not null && known.Tile.Length >= tile.Length) return known;
        TileTree grown = new(tile, known);
        Volatile.Write(ref _edge[level], grown);
        return grown;
    }

    private static bool IsSame(ReadOnlyMemory<byte> one, ReadOnlyMemory<byte> other) =>
        MemoryMarshal.TryGetArray(one, out ArraySegment<byte> a) && MemoryMarshal.TryGetArray(other, out ArraySegment<byte> b) && a.Array == b.Array && a.Offset == b.Offset;

    /// <summary>The full tile or bundle to which a path belongs; null when the store has none.</summary>
    private async ValueTask<HotTile?> SealedAsync(TilePath path, CancellationToken stop, Func<long, bool>? hasRoom = null)
    {
        TilePath full = new(path.Level, path.Index);
        if (Volatile.Read(ref _refused) is { } refused && refused.TryGetValue(full, out Damage? damage)) throw new DamageException(damage);
        if (_hot.Find(path) is HotTile hot) return hot;

        // A tile is 8 KiB; a bundle may be 16 MiB, and there may be thousands of requests.
        if (full.IsEntries) await Bundles.WaitAsync(stop).ConfigureAwait(false);
        try
        {
            // Where the largest would not fit any more, it is asked how large this one is: thousands who are to be refused do not get 16 MiB each read for them.
            if (full.IsEntries && hasRoom is not null && !hasRoom(LargestBundle)
                && await store.GetBundleSizeAsync(full.Index, stop).ConfigureAwait(false) is long size && !hasRoom(size)) throw UnavailableException.NoRoomForAnswers();

            // Checked by the store: what is damaged throws here, and is never kept.
            return await store.GetAsync(full, stop).ConfigureAwait(false) is ReadOnlyMemory<byte> bytes ? _hot.Offer(full, bytes) : null;
        }
        finally
        {
            if (full.IsEntries) Bundles.Release();
        }
    }
}
