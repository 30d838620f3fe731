// The embedded tile store: two record logs in FASTER.
//
//   segments/   one record per segment, its seal (Seal.cs), after the parts of its entry bundle (at most 1 MiB each)
//   tree/       one record per full tile of level 1 and above, in the order in which they become full:
//               level u8 | index i64 | Merkle root 32 | 256 hashes, 8,192 bytes
//
// The record number of a tile follows from its level and index. Appended records are committed to both logs in the background, 4 MiB at a time. Until then they
// are served from memory, and the journal still holds their entries.

using System.Buffers.Binary;
using System.Collections.Concurrent;

namespace TransparencyLog.Storage;

/// <summary>Segments and upper tiles in two FASTER logs below one directory. See <see cref="ITileStore"/> for the contract.</summary>
public sealed class TileStore : ITileStore
{
    /// <summary>
    /// The number of appended bytes at which a commit starts in the background. A commit of one log costs four syncs, so at 4 MiB there is about one sync per
    /// MiB. It limits what a restart replays from the journal and, with <see cref="MaxUncommitted"/>, what is held in memory.
    /// </summary>
    private const int CommitAt = 4 * 1024 * 1024;

    /// <summary>The number of appended and uncommitted bytes at which a put waits for the commit in flight.</summary>
    internal const int MaxUncommitted = 32 * 1024 * 1024;

    /// <summary>
    /// The most bytes of a segment to read in one call, including seal, parts and FASTER's gaps between them: two parts of the largest size. A larger segment
    /// is read part by part, so that no reader holds it twice.
    /// </summary>
    private const int MostAtOnce = 2 * 1024 * 1024;

    private const int TileRecordSize = 1 + 8 + Hash.Size + Seal.TileSize;

    private readonly RecordLog _segments;
    private readonly RecordLog _tree;
    private readonly DirectoryLock? _held;
    private readonly ConcurrentDictionary<long, SealedSegment> _uncommittedSegments = new();
    private readonly ConcurrentDictionary<long, FullTile> _uncommittedTiles = new();
    private Hash _lastSeal;
    private long _segmentCount;
    private long _durableSegmentCount;
    private long _uncommitted;
    private Task _commit = Task.CompletedTask;

    private TileStore(RecordLog segments, RecordLog tree, DirectoryLock? held)
    {
        _held = held;
        _segments = segments;
        _tree = tree;
        _segmentCount = segments.Count;
        _lastSeal = segments.Count == 0 ? default : Seal.HashOf(segments.Read(segments.Count - 1).Span);
    }

    /// <inheritdoc/>
    public long SegmentCount => Volatile.Read(ref _segmentCount);

    /// <inheritdoc/>
    public long DurableSegmentCount => Volatile.Read(ref _durableSegmentCount);

    /// <summary>The files that this process relies on.</summary>
    internal IEnumerable<WatchedFile> FilesInUse() => [.. _segments.FilesInUse(), .. _tree.FilesInUse()];

    /// <summary>Creates an empty store in two new directories below <paramref name="directory"/>.</summary>
    public static void Create(string directory)
    {
        RecordLog.Create(Path.Combine(directory, "segments"));
        RecordLog.Create(Path.Combine(directory, "tree"));
    }

    /// <summary>
    /// Opens the store. After a crash the tree may lack the tiles of the last commits: missing tiles are computed again from the roots below them.
    /// </summary>
    /// <param name="directory">The data directory.</param>
    /// <param name="held">The lock of the directory: nothing is committed after it is lost. Null when the caller checks the lock.</param>
    public static async Task<TileStore> OpenAsync(string directory, DirectoryLock? held = null)
    {
        RecordLog segments = RecordLog.Open(Path.Combine(directory, "segments"));
        RecordLog? tree = null;
        TileStore? store = null;
        try
        {
            tree = RecordLog.Open(Path.Combine(directory, "tree"));
            // A file name that was just read may be in the page cache only. Make it durable, because the journal is trimmed up to what these files hold.
            Posix.SyncDirectory(Path.Combine(directory, "segments"));
            Posix.SyncDirectory(Path.Combine(directory, "tree"));
            store = new TileStore(segments, tree, held);
            await store.CompleteTreeAsync().ConfigureAwait(false);
            return store;
        }
        catch
        {
            if (store is not null)
            {
                await store.DisposeAsync().ConfigureAwait(false);
            }
            else
            {
                await segments.DisposeAsync().ConfigureAwait(false);
                if (tree is not null) await tree.DisposeAsync().ConfigureAwait(false);
            }

            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask PutSegmentAsync(SealedSegment segment, CancellationToken stop)
    {
        if (segment.Tile.Length != Seal.TileSize) throw new ArgumentException($"a full tile has {Seal.TileSize} bytes, not {segment.Tile.Length}", nameof(segment));
        ThrowIfFailed();
        if (segment.Number < _segmentCount)
        {
            ReadOnlyMemory<byte>? bundle = await GetAsync(new TilePath(TilePath.EntriesLevel, segment.Number), stop).ConfigureAwait(false);
            ReadOnlyMemory<byte>? tile = await GetAsync(new TilePath(0, segment.Number), stop).ConfigureAwait(false);
            if (!bundle!.Value.Span.SequenceEqual(segment.Bundle.Span) || !tile!.Value.Span.SequenceEqual(segment.Tile.Span))
            {
                throw new ConflictException($"segment {segment.Number} is stored with other bytes");
            }

            return;
        }

        if (segment.Number > _segmentCount) throw new ArgumentException($"segment {_segmentCount} comes next", nameof(segment));
        List<(long, int)> parts = [];
        for (int offset = 0; offset < segment.Bundle.Length; offset += RecordLog.MaxPayload)
        {
            ReadOnlyMemory<byte> part = segment.Bundle[offset..Math.Min(segment.Bundle.Length, offset + RecordLog.MaxPayload)];
            parts.Add((_segments.AppendPart(parts.Count, part.Span), part.Length));
        }

        byte[] seal = new Seal(segment.Number * EntryBundle.Width, segment.Tile, segment.Root, _lastSeal, parts).ToPayload();
        _uncommittedSegments[segment.Number] = segment;
        _segments.Append(seal);
        _lastSeal = Seal.HashOf(seal);
        Volatile.Write(ref _segmentCount, segment.Number + 1);
        await CountAsync(segment.Bundle.Length + seal.Length).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask PutUpperTileAsync(FullTile tile, CancellationToken stop)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tile.Level, 1);
        if (tile.Hashes.Length != Seal.TileSize) throw new ArgumentException($"a full tile has {Seal.TileSize} bytes, not {tile.Hashes.Length}", nameof(tile));
        ThrowIfFailed();
        long number = RecordNumber(tile.Level, tile.Index);
        if (number < _tree.Count)
        {
            if (!ReadTile(tile.Level, tile.Index).Hashes.Span.SequenceEqual(tile.Hashes.Span)) throw new ConflictException($"tile {tile.Index} of level {tile.Level} is stored with other bytes");
            return;
        }

        if (number > _tree.Count) throw new ArgumentException($"tile {number} of the tree comes after {_tree.Count}", nameof(tile));
        byte[] payload = new byte[TileRecordSize];
        payload[0] = (byte)tile.Level;
        BinaryPrimitives.WriteInt64BigEndian(payload.AsSpan(1), tile.Index);
        tile.Root.CopyTo(payload.AsSpan(9));
        tile.Hashes.Span.CopyTo(payload.AsSpan(9 + Hash.Size));
        _uncommittedTiles[number] = tile;
        _tree.Append(payload);
        await CountAsync(payload.Length).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void ThrowIfFailed()
    {
        // Any commit or append of the two logs may have failed. Only a restart decides.
        if (_commit.IsFaulted) _commit.GetAwaiter().GetResult();
        _segments.ThrowIfFailed();
        _tree.ThrowIfFailed();
    }

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken stop)
    {
        await _commit.ConfigureAwait(false);
        ThrowIfFailed();
        _uncommitted = 0;
        _commit = CommitAsync();
        await _commit.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, CancellationToken stop)
    {
        if (path.Level >= 1)
        {
            // Return no tile above missing segments: the segments may be an older copy than the tree. Tiles that come again from the journal are compared
            // with the stored ones first.
            long number = RecordNumber(path.Level, path.Index);
            if (number >= _tree.Count || path.Index >= SegmentCount >> (8 * path.Level)) return ValueTask.FromResult<ReadOnlyMemory<byte>?>(null);
            return ValueTask.FromResult<ReadOnlyMemory<byte>?>(ReadTile(path.Level, path.Index).Hashes[..(path.Width * Hash.Size)]);
        }

        if (path.Index >= SegmentCount) return ValueTask.FromResult<ReadOnlyMemory<byte>?>(null);
        if (_uncommittedSegments.TryGetValue(path.Index, out SealedSegment? segment))
        {
            return ValueTask.FromResult<ReadOnlyMemory<byte>?>(Prefix(path, path.IsEntries ? segment.Bundle : segment.Tile));
        }

        return ValueTask.FromResult<ReadOnlyMemory<byte>?>(Prefix(path, path.IsEntries ? ReadSegment(_segments, path.Index).Bundle : ReadSeal(_segments, path.Index).Tile));
    }

    /// <inheritdoc/>
    public ValueTask<long?> GetBundleSizeAsync(long number, CancellationToken stop)
    {
        if (number >= SegmentCount) return ValueTask.FromResult<long?>(null);
        return ValueTask.FromResult<long?>(
            _uncommittedSegments.TryGetValue(number, out SealedSegment? segment) ? segment.Bundle.Length : ReadSeal(_segments, number).Parts.Sum(part => (long)part.Length));
    }

    /// <inheritdoc/>
    public ValueTask<Hash> GetRootAsync(int level, long index, CancellationToken stop)
    {
        if (level > 0) return ValueTask.FromResult(ReadTile(level, index).Root);
        return ValueTask.FromResult(_uncommittedSegments.TryGetValue(index, out SealedSegment? segment) ? segment.Root : ReadSeal(_segments, index).Root);
    }

    /// <summary>
    /// Builds the right edge of the first segments from the roots of their tiles. The roots are trusted until the result is compared with a signed root.
    /// </summary>
    /// <param name="segments">The number of segments.</param>
    /// <param name="rootOf">Returns the root of a full tile, by its level and index.</param>
    public static async Task<RightEdge> RestoreEdgeAsync(long segments, Func<int, long, ValueTask<Hash>> rootOf)
    {
        List<ReadOnlyMemory<byte>> partial = [ReadOnlyMemory<byte>.Empty];
        for (int level = 1; segments >> (8 * (level - 1)) > 0; level++)
        {
            long full = segments >> (8 * (level - 1)), first = full >> 8 << 8;
            byte[] hashes = new byte[(full - first) * Hash.Size];
            for (long i = first; i < full; i++) (await rootOf(level - 1, i).ConfigureAwait(false)).CopyTo(hashes.AsSpan((int)(i - first) * Hash.Size));
            partial.Add(hashes);
        }

        return RightEdge.Restore(segments * EntryBundle.Width, partial);
    }

    /// <summary>Waits for the commit in flight and closes. The journal still holds what is not committed.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await _commit.ConfigureAwait(false);
        }
        catch (StorageException)
        {
            // What this commit would have covered does not count as durable. The journal still has it, and the next opening reads it from there.
        }
        finally
        {
            await _segments.DisposeAsync().ConfigureAwait(false);
            await _tree.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>
    /// The record number of a full tile in the tree's log. After m full tiles of level 1, level j has m / 256^(j-1) full ones. A level-1 tile may complete a
    /// tile of each level above it; these follow it in the order of their levels.
    /// </summary>
    internal static long RecordNumber(int level, long index)
    {
        int shift = 8 * (level - 1);
        if (level > 8 || index >= (long.MaxValue >> (shift + 1)) - 1) return long.MaxValue; // no tree has such a tile, and the sum below cannot overflow
        long m = (index + 1) << shift;
        long number = -1;
        for (int j = 1; 8 * (j - 1) < 63; j++) number += (j <= level ? m : m - 1) >> (8 * (j - 1));
        return number;
    }

    /// <summary>The number of full tiles of level 1 and above over the first <paramref name="segments"/> segments.</summary>
    internal static long TilesAbove(long segments)
    {
        long tiles = 0;
        for (long full = segments >> 8; full > 0; full >>= 8) tiles += full;
        return tiles;
    }

    internal static Seal ReadSeal(RecordLog segments, long number) => ParseSeal(segments.Read(number, Seal.MostSize), number);

    /// <summary>
    /// Reads a segment. Needs one read of the file when seal and parts lie within <see cref="MostAtOnce"/>, as for entries of up to some kilobytes each.
    /// </summary>
    private static (Seal Seal, ReadOnlyMemory<byte> Bundle) ReadSegment(RecordLog segments, long number)
    {
        if (segments.ReadWithParts(number, Seal.LeastSize, Seal.MostSize, MostAtOnce) is RecordLog.RecordWithParts read)
        {
            Seal seal = ParseSeal(read.Read(), number);
            return (seal, Join(number, seal, read.ReadPart));
        }

        Seal alone = ReadSeal(segments, number);
        return (alone, ReadBundle(segments, number, alone));
    }

    internal static ReadOnlyMemory<byte> ReadBundle(RecordLog segments, long number, Seal seal) =>
        Join(number, seal, (address, i) => segments.ReadPart(address, number, i, seal.Parts[i].Length));

    private static Seal ParseSeal(ReadOnlyMemory<byte> payload, long number) =>
        Seal.TryParse(payload, out Seal? seal) && seal.FirstIndex == number * EntryBundle.Width
            ? seal
            : throw new DamageException(new Damage("seal", "segments", number, null, $"the seal of segment {number}", "something else"));

    /// <summary>Joins the parts of a bundle. Copies nothing when there is only one part, as in most bundles.</summary>
    private static ReadOnlyMemory<byte> Join(long number, Seal seal, Func<long, int, ReadOnlyMemory<byte>> read)
    {
        if (seal.Parts.Count == 1) return Part(0);
        byte[] bundle = GC.AllocateUninitializedArray<byte>(seal.Parts.Sum(part => part.Length));
        int offset = 0;
        for (int i = 0; i < seal.Parts.Count; i++)
        {
            Part(i).CopyTo(bundle.AsMemory(offset));
            offset += seal.Parts[i].Length;
        }

        return bundle;

        ReadOnlyMemory<byte> Part(int i)
        {
            ReadOnlyMemory<byte> part = read(seal.Parts[i].Address, i);
            return part.Length == seal.Parts[i].Length
                ? part
                : throw new DamageException(new Damage("seal", "segments", number, null, $"part {i} of {seal.Parts[i].Length} bytes", $"{part.Length} bytes"));
        }
    }

    internal static FullTile ReadTile(RecordLog tree, int level, long index) =>
        TryParseTile(tree.Read(RecordNumber(level, index), TileRecordSize), level, index, out FullTile tile)
            ? tile
            : throw new DamageException(new Damage("tile", "tree", null, null, $"tile {index} of level {level}", "something else"));

    /// <summary>Parses the payload of a tile's record.</summary>
    internal static bool TryParseTile(ReadOnlyMemory<byte> payload, int level, long index, out FullTile tile)
    {
        ReadOnlySpan<byte> bytes = payload.Span;
        bool right = bytes.Length == TileRecordSize && bytes[0] == level && BinaryPrimitives.ReadInt64BigEndian(bytes[1..]) == index;
        tile = right ? new FullTile(level, index, payload[(9 + Hash.Size)..], new Hash(bytes.Slice(9, Hash.Size))) : default;
        return right;
    }

    private FullTile ReadTile(int level, long index)
    {
        return _uncommittedTiles.TryGetValue(RecordNumber(level, index), out FullTile tile) ? tile : ReadTile(_tree, level, index);
    }

    private static ReadOnlyMemory<byte> Prefix(TilePath path, ReadOnlyMemory<byte> full)
    {
        if (!path.IsPartial) return full;
        return full[..(path.IsEntries ? EntryBundle.PrefixLength(full.Span, path.Width) : path.Width * Hash.Size)];
    }

    private async ValueTask CountAsync(long bytes)
    {
        _uncommitted += bytes;
        if (_uncommitted < CommitAt) return;
        if (!_commit.IsCompleted)
        {
            if (_uncommitted < MaxUncommitted) return;
        }

        await _commit.ConfigureAwait(false);
        _uncommitted = 0;
        _commit = CommitAsync();
    }

    private Task CommitAsync()
    {
        // Take both ends before the first commit starts. A tile that is put meanwhile may lie above segments that this commit does not cover, and the tree on
        // disk must never be ahead of the segments.
        (long Count, long LastAddress) tiles = _tree.End, segments = _segments.End;
        return Task.Run(async () =>
        {
            _held?.ThrowIfLost();
            await _segments.CommitAsync(segments).ConfigureAwait(false);
            _held?.ThrowIfLost();
            await _tree.CommitAsync(tiles).ConfigureAwait(false);

            // Read back before the copy in memory is dropped and the journal may be trimmed: a device may report a write as done that it has not made.
            foreach ((long number, SealedSegment segment) in _uncommittedSegments)
            {
                if (number >= segments.Count) continue;
                (Seal seal, ReadOnlyMemory<byte> bundle) = ReadSegment(_segments, number);
                if (!bundle.Span.SequenceEqual(segment.Bundle.Span) || !seal.Tile.Span.SequenceEqual(segment.Tile.Span))
                {
                    throw new DamageException(new Damage("storage", "segments", number, null, "the bytes just committed", "others"));
                }

                _uncommittedSegments.TryRemove(number, out _);
            }

            foreach ((long number, FullTile tile) in _uncommittedTiles)
            {
                if (number >= tiles.Count) continue;
                if (!ReadTile(_tree, tile.Level, tile.Index).Hashes.Span.SequenceEqual(tile.Hashes.Span))
                {
                    throw new DamageException(new Damage("storage", "tree", null, null, "the bytes just committed", "others"));
                }

                _uncommittedTiles.TryRemove(number, out _);
            }

            Volatile.Write(ref _durableSegmentCount, segments.Count);
        });
    }

    private async Task CompleteTreeAsync()
    {
        // Segment 256 (i + 1) - 1 completes tile i of level 1, and may complete tiles above it.
        for (long i = Math.Max(0, LevelOneCount(_tree.Count) - 1); (i + 1) * 256 <= _segmentCount; i++)
        {
            for (int level = 1; level <= 8; level++)
            {
                long index = ((i + 1) >> (8 * (level - 1))) - 1;
                if (((i + 1) & ((1L << (8 * (level - 1))) - 1)) != 0) break;
                if (RecordNumber(level, index) < _tree.Count) continue;
                byte[] hashes = new byte[Seal.TileSize];
                RightEdge edge = new();
                for (int k = 0; k < 256; k++)
                {
                    Hash root = await GetRootAsync(level - 1, (index * 256) + k, CancellationToken.None).ConfigureAwait(false);
                    root.CopyTo(hashes.AsSpan(k * Hash.Size));
                    edge.Append(root, null);
                }

                await PutUpperTileAsync(new FullTile(level, index, hashes, edge.Root()), CancellationToken.None).ConfigureAwait(false);
            }
        }

        await FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>The number of full tiles of level 1 among the first <paramref name="records"/> records of the tree.</summary>
    internal static long LevelOneCount(long records)
    {
        long low = 0, high = records;
        while (low < high)
        {
            long middle = low + ((high - low + 1) / 2);
            if (RecordNumber(1, middle - 1) < records) low = middle;
            else high = middle - 1;
        }

        return low;
    }
}
