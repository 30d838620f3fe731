using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>The bytes to send for a tile or bundle, and the room that they use until it is disposed: null for a small one.</summary>
internal readonly record struct Served(ReadOnlyMemory<byte> Bytes, bool IsGzip, ByteBudget.Share? Room) : IDisposable
{
    public void Dispose() => Room?.Dispose();
}

/// <summary>
/// Reads tiles, bundles and proofs: the right edge from a snapshot, sealed tiles that are requested often from memory, the rest from the store. Thread-safe.
/// </summary>
/// <param name="store">Holds the sealed bytes.</param>
/// <param name="hotBytes">Limit of the memory, in bytes, for tiles and bundles that are requested often; 0 for none.</param>
internal sealed class TileReader(ITileStore store, long hotBytes = 0)
{
    /// <summary>
    /// These limit the reads of bundles from the store to four at a time, one for each remainder of the index: more than a disk or its processors have use for.
    /// Requests for the same bundle wait for the first and share its copy (N-07): four requests that each read a large bundle used 128 MB.
    /// </summary>
    private readonly SemaphoreSlim[] _turns = [new(1), new(1), new(1), new(1)];

    /// <summary>Bytes of the largest bundle: 256 entries of the largest size.</summary>
    public static readonly int LargestBundle = EntryBundle.Width * EntryBundle.EncodedSize(EntryBundle.MaxEntrySize);

    /// <summary>Limit of the large bundles that are remembered while they are being sent. The budget of answers has room for fewer.</summary>
    private const int MostSent = 4096;

    private readonly HotTiles _hot = new(hotBytes);

    /// <summary>Large bundles that are not cached, while something still refers to them. Requests for one of them meanwhile are sent the same bytes.</summary>
    private readonly ConcurrentDictionary<long, SentBundle> _sent = new();

    /// <summary>
    /// [level] is the tree that was last computed for the open tile of that level. A reader with a wider tile extends it; a lost write costs hashing again.
    /// </summary>
    private readonly TileTree?[] _edge = new TileTree?[8];

    private ConcurrentDictionary<TilePath, Damage>? _refused;

    /// <summary>
    /// Blocks all further reads of a damaged tile or segment, from the store and from memory: they throw <see cref="DamageException"/>. Otherwise bytes with
    /// a correct CRC and wrong hashes would pass as good. Damage that names neither a tile nor a segment blocks nothing.
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

    /// <summary>The cache of sealed tiles and bundles.</summary>
    public HotTiles Hot => _hot;

    /// <summary>
    /// Returns the bytes at a path that the snapshot's size covers, which the caller has checked. Null when the size does not cover it, or the store does not
    /// have it.
    /// </summary>
    public async ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, TreeSnapshot tree, CancellationToken stop) =>
        await ServeAsync(path, tree, gzip: false, new ByteBudget(long.MaxValue), stop).ConfigureAwait(false) is Served served ? served.Bytes : default(ReadOnlyMemory<byte>?);

    /// <summary>
    /// Returns the same for a client that may read slowly. The memory that the answer keeps alive is counted before it is read or copied (N-07). Readers of
    /// the same bundle share one copy and its count.
    /// </summary>
    /// <param name="path">A tile or bundle.</param>
    /// <param name="tree">What is covered.</param>
    /// <param name="gzip">
    /// Whether a full bundle may be returned in gzip. It is not when gzip is not smaller, when the bundle is larger than
    /// <see cref="HotTiles.MaxCompressed"/>, or while others are being compressed. Nothing else is compressed: hashes cannot be made smaller, and most
    /// partial bundles are of the open segment and gone with the next checkpoint.
    /// </param>
    /// <param name="budget">Bounds the memory that all clients keep alive.</param>
    /// <param name="stop">Cancels the wait for reads of other bundles.</param>
    /// <exception cref="NoRoomException">The budget has no room for the answer now.</exception>
    public async ValueTask<Served?> ServeAsync(TilePath path, TreeSnapshot tree, bool gzip, ByteBudget budget, CancellationToken stop)
    {
        if (!path.IsCoveredBy(tree.Size)) return null;
        if (!path.IsEntries) return await FullAsync(path, tree, stop).ConfigureAwait(false) is ReadOnlyMemory<byte> hashes ? new Served(hashes[..(path.Width * Hash.Size)], IsGzip: false, null) : null;
        if (IsEdge(path, tree)) return Serve(tree.OpenBundle, path, budget);
        (HotTile? bundle, ByteBudget.Share? reading) = await BundleAsync(path, budget, stop).ConfigureAwait(false);
        using (reading)
        {
            if (bundle is null) return null;
            return gzip && !path.IsPartial && _hot.GzipOf(bundle) is byte[] compressed
                ? new Served(compressed, IsGzip: true, LargeAnswers.Hold(compressed, budget))
                : Serve(bundle.Bytes, path, budget);
        }
    }

    /// <summary>Returns the first entries of a bundle, or the whole bundle.</summary>
    private static Served Serve(ReadOnlyMemory<byte> bundle, TilePath path, ByteBudget budget)
    {
        if (!path.IsPartial) return new Served(bundle, IsGzip: false, LargeAnswers.Hold(bundle, budget));
        ReadOnlyMemory<byte> first = bundle[..EntryBundle.PrefixLength(bundle.Span, path.Width)];

        // A small part is copied, so that a slow reader does not keep the whole bundle alive. A large part is not: the readers of a bundle share its memory,
        // whatever part of it each is sent.
        return first.Length <= LargeAnswers.Least ? new Served(first.ToArray(), IsGzip: false, null) : new Served(first, IsGzip: false, LargeAnswers.Hold(first, budget));
    }

    /// <summary>Returns a copy of the bytes of one entry that the snapshot's size covers.</summary>
    public async ValueTask<byte[]> GetEntryAsync(long index, TreeSnapshot tree, CancellationToken stop)
    {
        long number = index / EntryBundle.Width;
        ReadOnlyMemory<byte>? full = await FullAsync(new TilePath(TilePath.EntriesLevel, number), tree, stop).ConfigureAwait(false);
        ReadOnlySpan<byte> bundle = (full ?? throw new DamageException(new Damage("entry-bundle", "segments", number, index, "a stored bundle", "nothing"))).Span;
        int start = EntryBundle.PrefixLength(bundle, (int)(index % EntryBundle.Width));
        return bundle.Slice(start + 2, BinaryPrimitives.ReadUInt16BigEndian(bundle[start..])).ToArray();
    }

    /// <summary>Returns the full tile or bundle to which a path belongs; at the right edge, the part that exists.</summary>
    private async ValueTask<ReadOnlyMemory<byte>?> FullAsync(TilePath path, TreeSnapshot tree, CancellationToken stop)
    {
        if (IsEdge(path, tree)) return path.IsEntries ? tree.OpenBundle : tree.PartialTiles[path.Level];
        if (!path.IsEntries) return (await TileAsync(path, stop).ConfigureAwait(false))?.Bytes;
        return (await BundleAsync(path, null, stop).ConfigureAwait(false)).Bundle?.Bytes;
    }

    /// <summary>Reads the tiles that a plan needs and builds its proof, within a tree that the snapshot covers.</summary>
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
            if (await TileAsync(path, stop).ConfigureAwait(false) is HotTile full) return _hot.TreeOf(full);
        }

        throw new DamageException(new Damage("tile", path.ToString(), null, null, "a stored tile", "nothing"));
    }

    /// <summary>Returns the open tile of a level with its inner hashes. An open tile only grows at its end, in the same array until it is full.</summary>
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

    /// <summary>Returns the full tile to which a path belongs; null when the store has none.</summary>
    private async ValueTask<HotTile?> TileAsync(TilePath path, CancellationToken stop)
    {
        TilePath full = new(path.Level, path.Index);
        CheckNotRefused(full);
        if (_hot.Find(full) is HotTile hot) return hot;

        // The store checks what it reads: damage throws here, and is never cached.
        return await store.GetAsync(full, stop).ConfigureAwait(false) is ReadOnlyMemory<byte> bytes ? _hot.Offer(full, bytes) : null;
    }

    /// <summary>
    /// Returns the full bundle to which a path belongs, null when the store has none. When it was read from the store, also returns the room that was
    /// reserved for it.
    /// </summary>
    private async ValueTask<(HotTile? Bundle, ByteBudget.Share? Room)> BundleAsync(TilePath path, ByteBudget? budget, CancellationToken stop)
    {
        TilePath full = new(path.Level, path.Index);
        CheckNotRefused(full);
        if (_hot.Find(full) is HotTile hot) return (hot, null);
        if (BeingSent(full) is HotTile shared) return (shared, null);

        // Reads are limited: a bundle may have 16 MiB, and thousands of requests may each need one.
        SemaphoreSlim turn = _turns[(int)(full.Index % _turns.Length)];
        await turn.WaitAsync(stop).ConfigureAwait(false);
        ByteBudget.Share? room = null;
        try
        {
            if ((_hot.Find(full) ?? BeingSent(full)) is HotTile meanwhile) return (meanwhile, null);
            if (budget is not null) room = await RoomForAsync(full, budget, stop).ConfigureAwait(false);

            // The store checks what it reads, as for tiles.
            if (await store.GetAsync(full, stop).ConfigureAwait(false) is not ReadOnlyMemory<byte> bytes)
            {
                room?.Dispose();
                return (null, null);
            }

            HotTile bundle = _hot.Offer(full, bytes);
            if (MemoryMarshal.TryGetArray(bundle.Bytes, out ArraySegment<byte> memory) && bundle.Bytes.Length > LargeAnswers.Least)
            {
                room?.Become(memory.Array!);
                if (bundle.Cost == 0) Share(full, memory);
            }

            return (bundle, room);
        }
        catch
        {
            room?.Dispose();
            throw;
        }
        finally
        {
            turn.Release();
        }
    }

    /// <summary>Reserves room for a bundle that is not read yet. Asks the store for its size only when the largest bundle would not fit.</summary>
    private async ValueTask<ByteBudget.Share?> RoomForAsync(TilePath full, ByteBudget budget, CancellationToken stop)
    {
        if (budget.TryTake(LargestBundle) is ByteBudget.Share room) return room;
        return await store.GetBundleSizeAsync(full.Index, stop).ConfigureAwait(false) is long size ? LargeAnswers.Reserve(size, budget) : null;
    }

    private void CheckNotRefused(TilePath full)
    {
        if (Volatile.Read(ref _refused) is { } refused && refused.TryGetValue(full, out Damage? damage)) throw new DamageException(damage);
    }

    /// <summary>Returns a bundle that a client still holds, or that was not collected yet; otherwise null.</summary>
    private HotTile? BeingSent(TilePath full) =>
        _sent.TryGetValue(full.Index, out SentBundle sent) && sent.Array.TryGetTarget(out byte[]? array) ? new HotTile(array.AsMemory(sent.Offset, sent.Length)) : null;

    private void Share(TilePath full, ArraySegment<byte> memory)
    {
        if (_sent.Count >= MostSent)
        {
            foreach ((long number, SentBundle sent) in _sent)
            {
                if (!sent.Array.TryGetTarget(out _)) _sent.TryRemove(number, out _);
            }
        }

        if (_sent.Count < MostSent) _sent[full.Index] = new SentBundle(new WeakReference<byte[]>(memory.Array!), memory.Offset, memory.Count);
    }

    /// <summary>The place of a bundle's bytes while they are in use.</summary>
    private readonly record struct SentBundle(WeakReference<byte[]> Array, int Offset, int Length);
}
