// Sealed tiles and bundles that are asked for again and again, in memory, with what was computed of them: a tile's inner hashes, a bundle's gzip.
//
// A tile is kept when it is asked for the second time within some thousands of others: what is asked for once, as by whoever reads the whole log or proves
// at random, costs nobody else a place. To make room, the one that has waited longest goes, unless it was asked for since its last turn (CLOCK).

using System.Collections.Concurrent;
using System.IO.Compression;
using System.Numerics;

namespace TransparencyLog.Server;

/// <summary>A full tile or full bundle, as the store gave it, kept or not. Its bytes never change.</summary>
internal sealed class HotTile(ReadOnlyMemory<byte> bytes)
{
    private TileTree? _tree;
    private byte[]? _gzip;

    public ReadOnlyMemory<byte> Bytes { get; } = bytes;

    /// <summary>The inner hashes, once somebody wanted them while the tile was kept.</summary>
    public TileTree? Tree
    {
        get => Volatile.Read(ref _tree);
        set => Volatile.Write(ref _tree, value);
    }

    /// <summary>The bundle in gzip, likewise; empty when that is not smaller.</summary>
    public byte[]? Gzip
    {
        get => Volatile.Read(ref _gzip);
        set => Volatile.Write(ref _gzip, value);
    }

    /// <summary>1 while somebody compresses it.</summary>
    public int Compressing;

    // The rest belongs to HotTiles: Used is set by anyone, Key and Cost are guarded by its lock; Cost is 0 while the tile is not kept.
    public bool Used;
    public long Key;
    public long Cost;
}

/// <summary>The cache of <see cref="HotTile"/>s: at most so many bytes, whoever asks for what. Looking up takes no lock. Thread-safe.</summary>
internal sealed class HotTiles
{
    /// <summary>
    /// Largest bundle that is compressed, 256 entries of 4 kB: a few milliseconds of one core at most for one request. Larger ones go out as they are.
    /// </summary>
    public const int MaxCompressed = 1024 * 1024;

    /// <summary>Bytes counted for an array beside its content: objects, dictionary node and bucket, queue slot, all rounded up.</summary>
    private const int Overhead = 256;

    private readonly long _most;
    private readonly ConcurrentDictionary<long, HotTile> _tiles = new();
    private readonly Lock _changing = new();
    private readonly Queue<HotTile> _clock = new(); // guarded by _changing, as are the costs
    private long _bytes;
    private int _compressions;

    /// <summary>Keys of what was asked for and not kept, each at the place of its hash. Written without a lock: a lost one costs one more read.</summary>
    private readonly long[] _askedFor;

    /// <param name="most">Most bytes, all counted; 0 keeps nothing.</param>
    public HotTiles(long most)
    {
        // Room to remember twice as many as there is room to keep.
        _askedFor = new long[BitOperations.RoundUpToPowerOf2((ulong)Math.Max(1, most / 4096))];
        _most = Math.Max(0, most - (_askedFor.Length * sizeof(long)));
    }

    /// <summary>Bytes that are kept now.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>How many tiles and bundles are kept now.</summary>
    public int Count => _tiles.Count;

    /// <summary>What is kept of the full tile or bundle to which a path belongs, or null.</summary>
    public HotTile? Find(TilePath path)
    {
        if (!_tiles.TryGetValue(KeyOf(path), out HotTile? tile)) return null;
        if (!tile.Used) tile.Used = true; // not written at each look: the line would travel between the cores
        return tile;
    }

    /// <summary>Takes what the store has just given for a full tile or bundle; it is kept if it is wanted often and fits.</summary>
    public HotTile Offer(TilePath path, ReadOnlyMemory<byte> bytes)
    {
        long key = KeyOf(path), cost = bytes.Length + Overhead;
        if (cost > _most / 8 || !AskedBefore(key)) return new HotTile(bytes);

        // A copy of its own, of exactly its size: what the store gave may be a piece of something larger, which would stay with it uncounted.
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

    /// <summary>The inner hashes of a full tile: computed once while it is kept.</summary>
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

    /// <summary>The gzip of a full bundle, computed once while it is kept; null when it should go out as it is, now or always.</summary>
    public byte[]? GzipOf(HotTile bundle)
    {
        if (bundle.Gzip is byte[] known) return known.Length == 0 ? null : known;
        if (bundle.Bytes.Length > MaxCompressed || Interlocked.Exchange(ref bundle.Compressing, 1) == 1) return null;
        try
        {
            // Half of the cores at most: appends and other readers go first, and nobody waits for a compression.
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

    /// <summary>The gzip of some bytes; empty when that is not smaller.</summary>
    private static byte[] Compress(ReadOnlySpan<byte> bytes)
    {
        using MemoryStream compressed = new(bytes.Length / 2);
        using (GZipStream gzip = new(compressed, CompressionLevel.Optimal, leaveOpen: true)) gzip.Write(bytes);
        return compressed.Length < bytes.Length ? compressed.ToArray() : [];
    }

    private static long KeyOf(TilePath path) => (path.Index << 7) | (long)(path.Level + 2); // never 0; an index in a tree has at most 55 bits

    /// <summary>Whether this was asked for lately. It has been, from now on.</summary>
    private bool AskedBefore(long key)
    {
        ref long place = ref _askedFor[(int)(((ulong)key * 0x9E3779B97F4A7C15) >> 32) & (_askedFor.Length - 1)];
        if (Volatile.Read(ref place) == key) return true;
        Volatile.Write(ref place, key);
        return false;
    }

    /// <summary>Counts more bytes for a tile that is kept; false when it is not kept, or is no longer once there is room.</summary>
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
        // Each is spared once at most, so this ends whatever readers mark meanwhile.
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
