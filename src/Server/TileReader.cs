using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>What is sent for a tile or bundle, and the room that it takes until it is disposed: none for a small one.</summary>
internal readonly record struct Served(ReadOnlyMemory<byte> Bytes, bool IsGzip, ByteBudget.Share? Room) : IDisposable
{
    public void Dispose() => Room?.Dispose();
}

/// <summary>
/// Reads tiles, bundles and proofs: the right edge from a snapshot, sealed ones that are asked for often from memory, the rest from the store. Thread-safe.
/// </summary>
/// <param name="store">Where sealed bytes are.</param>
/// <param name="hotBytes">Most bytes of memory for what is asked for often; 0 for none.</param>
internal sealed class TileReader(ITileStore store, long hotBytes = 0)
{
    /// <summary>
    /// Bundles that are being read from the store: one in each of these turns, by its index. That is more at once than a disk or its processors have use for, and requests for the
    /// same bundle wait for the first of them, which they then share (N-07): four copies of a large one would be 128 MB.
    /// </summary>
    private readonly SemaphoreSlim[] _turns = [new(1), new(1), new(1), new(1)];

    /// <summary>Bytes of the largest bundle: 256 entries of the largest size.</summary>
    public static readonly int LargestBundle = EntryBundle.Width * EntryBundle.EncodedSize(EntryBundle.MaxEntrySize);

    /// <summary>Large bundles that are remembered while they are being sent: as many as the budget of answers has room for, and more.</summary>
    private const int MostSent = 4096;

    private readonly HotTiles _hot = new(hotBytes);

    /// <summary>Large bundles that are not kept in memory, while something still refers to them: whoever asks for one meanwhile is sent the same bytes.</summary>
    private readonly ConcurrentDictionary<long, SentBundle> _sent = new();

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
    public async ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, TreeSnapshot tree, CancellationToken stop) =>
        await ServeAsync(path, tree, gzip: false, new ByteBudget(long.MaxValue), stop).ConfigureAwait(false) is Served served ? served.Bytes : default(ReadOnlyMemory<byte>?);

    /// <summary>
    /// The same for a client that may be slow to take it. What it keeps alive is counted before it is read or copied (N-07); readers of the same bundle share one copy and its count.
    /// </summary>
    /// <param name="path">A tile or bundle.</param>
    /// <param name="tree">What is covered.</param>
    /// <param name="gzip">
    /// Whether a full bundle may come in gzip. It does not where that would not be smaller, where the bundle is larger than <see cref="HotTiles.MaxCompressed"/>, or while others are
    /// being compressed. Nothing else is compressed: hashes cannot be made smaller, and most partial bundles are of the open segment, gone with the next checkpoint.
    /// </param>
    /// <param name="budget">Bounds what all clients keep alive.</param>
    /// <param name="stop">Ends the wait for other bundles to be read.</param>
    /// <exception cref="NoRoomException">There is no room now; nothing was read.</exception>
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

    /// <summary>The first entries of a bundle, or all of them.</summary>
    private static Served Serve(ReadOnlyMemory<byte> bundle, TilePath path, ByteBudget budget)
    {
        if (!path.IsPartial) return new Served(bundle, IsGzip: false, LargeAnswers.Hold(bundle, budget));
        ReadOnlyMemory<byte> first = bundle[..EntryBundle.PrefixLength(bundle.Span, path.Width)];

        // A few are copied, so that a slow reader does not keep all of the bundle alive. Many are not: the readers of one bundle share it, whatever part of it each is sent.
        return first.Length <= LargeAnswers.Least ? new Served(first.ToArray(), IsGzip: false, null) : new Served(first, IsGzip: false, LargeAnswers.Hold(first, budget));
    }

    /// <summary>The bytes of one entry that the snapshot's size covers, in memory of their own.</summary>
    public async ValueTask<byte[]> GetEntryAsync(long index, TreeSnapshot tree, CancellationToken stop)
    {
        long number = index / EntryBundle.Width;
        ReadOnlyMemory<byte>? full = await FullAsync(new TilePath(TilePath.EntriesLevel, number), tree, stop).ConfigureAwait(false);
        ReadOnlySpan<byte> bundle = (full ?? throw new DamageException(new Damage("entry-bundle", "segments", number, index, "a stored bundle", "nothing"))).Span;
        int start = EntryBundle.PrefixLength(bundle, (int)(index % EntryBundle.Width));
        return bundle.Slice(start + 2, BinaryPrimitives.ReadUInt16BigEndian(bundle[start..])).ToArray();
    }

    /// <summary>All that there is of the tile or bundle to which a path belongs.</summary>
    private async ValueTask<ReadOnlyMemory<byte>?> FullAsync(TilePath path, TreeSnapshot tree, CancellationToken stop)
    {
        if (IsEdge(path, tree)) return path.IsEntries ? tree.OpenBundle : tree.PartialTiles[path.Level];
        if (!path.IsEntries) return (await TileAsync(path, stop).ConfigureAwait(false))?.Bytes;
        return (await BundleAsync(path, null, stop).ConfigureAwait(false)).Bundle?.Bytes;
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
            if (await TileAsync(path, stop).ConfigureAwait(false) is HotTile full) return _hot.TreeOf(full);
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

    /// <summary>The full tile to which a path belongs; null when the store has none.</summary>
    private async ValueTask<HotTile?> TileAsync(TilePath path, CancellationToken stop)
    {
        TilePath full = new(path.Level, path.Index);
        CheckNotRefused(full);
        if (_hot.Find(full) is HotTile hot) return hot;

        // Checked by the store: what is damaged throws here, and is never kept.
        return await store.GetAsync(full, stop).ConfigureAwait(false) is ReadOnlyMemory<byte> bytes ? _hot.Offer(full, bytes) : null;
    }

    /// <summary>The full bundle to which a path belongs, null when the store has none; and where it was read from the store, the room that was reserved for it.</summary>
    private async ValueTask<(HotTile? Bundle, ByteBudget.Share? Room)> BundleAsync(TilePath path, ByteBudget? budget, CancellationToken stop)
    {
        TilePath full = new(path.Level, path.Index);
        CheckNotRefused(full);
        if (_hot.Find(full) is HotTile hot) return (hot, null);
        if (BeingSent(full) is HotTile shared) return (shared, null);

        // A bundle may have 16 MiB, and there may be thousands of requests.
        SemaphoreSlim turn = _turns[(int)(full.Index % _turns.Length)];
        await turn.WaitAsync(stop).ConfigureAwait(false);
        ByteBudget.Share? room = null;
        try
        {
            if ((_hot.Find(full) ?? BeingSent(full)) is HotTile meanwhile) return (meanwhile, null);
            if (budget is not null) room = await RoomForAsync(full, budget, stop).ConfigureAwait(false);

            // Checked by the store, as tiles are.
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

    /// <summary>Room for a bundle that is not read yet. Asks the store for its size only where the largest would not fit.</summary>
    private async ValueTask<ByteBudget.Share?> RoomForAsync(TilePath full, ByteBudget budget, CancellationToken stop)
    {
        if (budget.TryTake(LargestBundle) is ByteBudget.Share room) return room;
        return await store.GetBundleSizeAsync(full.Index, stop).ConfigureAwait(false) is long size ? LargeAnswers.Reserve(size, budget) : null;
    }

    private void CheckNotRefused(TilePath full)
    {
        if (Volatile.Read(ref _refused) is { } refused && refused.TryGetValue(full, out Damage? damage)) throw new DamageException(damage);
    }

    /// <summary>A bundle that some client still holds, or that was not collected yet.</summary>
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

    /// <summary>Where the bytes of a bundle are while they are in use.</summary>
    private readonly record struct SentBundle(WeakReference<byte[]> Array, int Offset, int Length);
}
