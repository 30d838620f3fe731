// A cache of sealed tiles and bundles that are requested often, together with values computed from them: a tile's inner hashes, a bundle's gzip.
//
// A tile is cached when it is requested for the second time within several thousand requests for other tiles. A tile that is requested once, as by a
// client that reads the whole log or asks for proofs at random, displaces nothing. To make room, the cache drops the tile that has waited longest,
// unless it was requested since its last turn (CLOCK).

using System.Collections.Concurrent;
using System.IO.Compression;
using System.Numerics;

namespace TransparencyLog.Server;

/// <summary>A full tile or full bundle as the store returned it, cached or not. Its bytes never change.</summary>
internal sealed class HotTile(ReadOnlyMemory<byte> bytes)
{
    private TileTree? _tree;
    private byte[]? _gzip;

    public ReadOnlyMemory<byte> Bytes { get; } = bytes;

    /// <summary>The inner hashes; null until they are computed while the tile is cached.</summary>
    public TileTree? Tree
    {
        get => Volatile.Read(ref _tree);
        set => Volatile.Write(ref _tree, value);
    }

    /// <summary>The bundle in gzip; null until it is compressed while the bundle is cached, empty when gzip is not smaller.</summary>
    public byte[]? Gzip
    {
        get => Volatile.Read(ref _gzip);
        set => Volatile.Write(ref _gzip, value);
    }

    /// <summary>1 while a thread compresses it.</summary>
    public int Compressing;

    // The rest belongs to HotTiles. Any thread sets Used; the lock of HotTiles guards Key and Cost. Cost is 0 while the tile is not cached.
    public bool Used;
    public long Key;
    public long Cost;
}

/// <summary>The cache of <see cref="HotTile"/>s. Its size in bytes is bounded, whatever clients request. Look-ups use no lock. Thread-safe.</summary>
internal sealed class HotTiles
{
    /// <summary>
    /// Bytes of the largest bundle that is compressed: 256 entries of 4 kB, which cost at most a few milliseconds of one core for one request. Larger bundles
    /// are sent uncompressed.
    /// </summary>
    public const int MaxCompressed = 1024 * 1024;

    /// <summary>Bytes counted for an array in addition to its content: objects, dictionary node and bucket, queue slot, all rounded up.</summary>
    private const int Overhead = 256;

    private readonly long _most;
    private readonly ConcurrentDictionary<long, HotTile> _tiles = new();
    private readonly Lock _changing = new();
    private readonly Queue<HotTile> _clock = new(); // guarded by _changing, as are the costs
    private long _bytes;
    private int _compressions;

    /// <summary>Keys that were requested and not cached, each in the slot of its hash. Written without a lock: a lost write costs one more read.</summary>
    private readonly long[] _askedFor;

    /// <param name="most">Limit of the cache in bytes, everything counted; 0 caches nothing.</param>
    public HotTiles(long most)
    {
        // About twice as many keys are remembered as tiles fit into the cache.
        _askedFor = new long[BitOperations.RoundUpToPowerOf2((ulong)Math.Max(1, most / 4096))];
        _most = Math.Max(0, most - (_askedFor.Length * sizeof(long)));
    }

    /// <summary>Bytes in the cache now.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>How many tiles and bundles are in the cache now.</summary>
    public int Count => _tiles.Count;

    /// <summary>Returns the cached full tile or bundle to which a path belongs; null when it is not cached.</summary>
    public HotTile? Find(TilePath path)
    {
        if (!_tiles.TryGetValue(KeyOf(path), out HotTile? tile)) return null;
        if (!tile.Used) tile.Used = true; // not written on every look-up: the cache line would move between the cores
        return tile;
    }

    /// <summary>Accepts a full tile or bundle that the store has just returned. Caches it if it is requested often and fits.</summary>
    public HotTile Offer(TilePath path, ReadOnlyMemory<byte> bytes)
    {
        long key = KeyOf(path), cost = bytes.Length + Overhead;
        if (cost > _most / 8 || !AskedBefore(key)) return new HotTile(bytes);

        // Copied into an array of exactly its size: the store's array may be part of a larger one, which the cache would keep alive without counting it.
        HotTile tile = new(bytes.ToArray()) { Key = key };
        lock (_changing)
        {
            if (_tiles.TryGetValue(key, out HotTile? known)) return known;
            MakeRoom_NeedsLock(cost);
            tile.Cost = cost;
            _bytes += cost;
            _tiles[key] = tile;
            _clock.Enqueue(tile);
        }

        return tile;
    }

    /// <summary>Returns the inner hashes of a full tile. They are computed once while the tile is cached.</summary>
    public TileTree TreeOf(HotTile tile)
    {
        if (tile.Tree is TileTree known) return known;
        TileTree tree = new(tile.Bytes);
        lock (_changing)
        {
            if (tile.Tree is null && Grow_NeedsLock(tile, TileTree.InnerBytes + Overhead)) tile.Tree = tree;
        }

        return tree;
    }

    /// <summary>
    /// Returns the gzip of a full bundle, computed once while the bundle is cached; null when the bundle is to be sent uncompressed, this time or always.
    /// </summary>
    public byte[]? GzipOf(HotTile bundle)
    {
        if (bundle.Gzip is byte[] known) return known.Length == 0 ? null : known;
        if (bundle.Bytes.Length > MaxCompressed || Interlocked.Exchange(ref bundle.Compressing, 1) == 1) return null;
        try
        {
            // At most half of the cores compress: appends and other readers come first, and no request waits for another request's compression.
            if (Interlocked.Increment(ref _compressions) > Math.Max(1, Environment.ProcessorCount / 2)) return null;
            if (bundle.Gzip is byte[] meanwhile) return meanwhile.Length == 0 ? null : meanwhile;
            byte[] gzip = Compress(bundle.Bytes.Span);
            lock (_changing)
            {
                if (Grow_NeedsLock(bundle, gzip.Length + Overhead)) bundle.Gzip = gzip;
            }

            return gzip.Length == 0 ? null : gzip;
        }
        finally
        {
            Interlocked.Decrement(ref _compressions);
            Volatile.Write(ref bundle.Compressing, 0);
        }
    }

    /// <summary>Returns the gzip of the bytes; empty when it is not smaller.</summary>
    private static byte[] Compress(ReadOnlySpan<byte> bytes)
    {
        using MemoryStream compressed = new(bytes.Length / 2);
        using (GZipStream gzip = new(compressed, CompressionLevel.Optimal, leaveOpen: true)) gzip.Write(bytes);
        return compressed.Length < bytes.Length ? compressed.ToArray() : [];
    }

    private static long KeyOf(TilePath path) => (path.Index << 7) | (long)(path.Level + 2); // never 0; an index in a tree has at most 55 bits

    /// <summary>Whether this key was requested recently. Records the request.</summary>
    private bool AskedBefore(long key)
    {
        ref long place = ref _askedFor[(int)(((ulong)key * 0x9E3779B97F4A7C15) >> 32) & (_askedFor.Length - 1)];
        if (Volatile.Read(ref place) == key) return true;
        Volatile.Write(ref place, key);
        return false;
    }

    /// <summary>Counts more bytes for a cached tile. False when the tile is not cached, or was dropped to make room.</summary>
    private bool Grow_NeedsLock(HotTile tile, long bytes)
    {
        if (tile.Cost == 0) return false;
        MakeRoom_NeedsLock(bytes);
        if (tile.Cost == 0) return false;
        tile.Cost += bytes;
        _bytes += bytes;
        return true;
    }

    private void MakeRoom_NeedsLock(long bytes)
    {
        // Each tile is spared at most once, so the loop ends even while readers mark tiles as used.
        for (int spare = _clock.Count; _bytes + bytes > _most; spare--)
        {
            HotTile tile = _clock.Dequeue();
            if (tile.Used && spare > 0)
            {
                tile.Used = false;
                _clock.Enqueue(tile);
                continue;
            }

            _tiles.TryRemove(tile.Key, out _);
            _bytes -= tile.Cost;
            tile.Cost = 0;
        }
    }
}
