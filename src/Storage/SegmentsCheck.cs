// Checks the sealed part of a data directory, from the entry bytes up: parts, seals, the chain of seals, and the tree's tiles above them.
// If someone changed bytes and computed their CRC again, the CRC passes here too; the hashes do not.

namespace TransparencyLog.Storage;

/// <summary>Goes through the segments in order and, whenever they complete a tile of the tree, through the tree's records.</summary>
/// <param name="path">The data directory.</param>
/// <param name="segments">Its segments.</param>
/// <param name="upper">Its tree. It was opened before the segments, because a server commits the segments first.</param>
/// <param name="tree">Receives the entries.</param>
/// <param name="pace">Called with the number of bytes of each segment that was checked; may block to limit the speed. Null for no limit.</param>
/// <param name="from">The first segment to check, a multiple of 256. <paramref name="tree"/> already has the segments before it.</param>
internal sealed class SegmentsCheck(string path, RecordLog segments, RecordLog upper, TreeCheck tree, Action<long>? pace = null, long from = 0)
{
    /// <summary>
    /// The most level-1 tiles that a crash can leave unwritten. The segments are committed first, and two commits of at most 32 MiB each (TileStore) hold the
    /// seals below that many tiles. If more are missing, stored tiles were lost.
    /// </summary>
    private const long MostUnwritten = (2 * 32 * 1024 * 1024 / (256 * Seal.TileSize)) + 1;

    /// <summary>
    /// The number of segments that are loaded at the same time. Twice the number of cores keeps all cores busy. Each segment needs at most 17 MB, when all
    /// entries have the largest size. One when a pace is set.
    /// </summary>
    private readonly int _lookAhead = pace is null ? 2 * Environment.ProcessorCount : 1;

    private readonly string _segmentsPath = Path.Combine(path, "segments");
    private readonly string _treePath = Path.Combine(path, "tree");
    private readonly Queue<Task<Loaded>> _ahead = new();
    private Hash _previous = from == 0 ? default : Seal.HashOf(segments.Read(from - 1, Seal.MostSize).Span);
    private long _before = from == 0 ? 0 : segments.AddressOf(from - 1); // the address of the record before
    private long _nextToLoad = from;
    private long _tiles = TileStore.TilesAbove(from);
    private long _unwritten;

    /// <summary>The segments before this one were checked by this run, or by an earlier one.</summary>
    public long Checked { get; private set; } = from;

    /// <summary>Continues up to the last committed segment.</summary>
    /// <param name="progress">Called with the number of entries checked, after each segment.</param>
    /// <param name="stop">Cancels the check between two segments.</param>
    public void Run(Action<long> progress, CancellationToken stop)
    {
        try
        {
            for (; Checked < segments.Count; Checked++)
            {
                stop.ThrowIfCancellationRequested();
                _previous = InSegment(Checked, _previous, CheckSegment);
                foreach (FullTile tile in tree.Completed)
                {
                    if (tile.Level > 0) InSegment(Checked, tile, CheckTile);
                }

                progress(tree.Size);
            }
        }
        finally
        {
            // After a damage the segments that are still being loaded are not used, but their tasks must end before the files they read are closed.
            Task.WhenAll(_ahead.Cast<Task>()).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing).GetAwaiter().GetResult();
        }
    }

    /// <summary>Called after the last segment: checks that the tree has no more tiles than the segments complete.</summary>
    /// <param name="notes">Receives findings that are not damage.</param>
    public void Finish(List<string> notes)
    {
        if (upper.Count > _tiles) throw DirectoryCheck.Damaged("tile", _treePath, $"{_tiles} tiles, as {segments.Count} segments have", $"{upper.Count} tiles: the segments are an older copy");
        if (_unwritten > 0) notes.Add($"{_treePath}: the last {_unwritten} tiles of level 1 are not written; the next start makes them from the segments");
    }

    /// <summary>Checks one segment and returns the hash of its seal, which the next seal holds.</summary>
    private Hash CheckSegment(long number, Hash previous)
    {
        string place = $"{_segmentsPath}, record {number}";
        (ReadOnlyMemory<byte> payload, long link, Seal seal, ReadOnlyMemory<byte> bundle, Hash[]? leaves) = Next();

        // The entries first: everything derived from them is compared with them.
        DirectoryCheck.Require(tree.Add(bundle.Span, seal.Tile.Span, EntryBundle.Width, $"{_segmentsPath}, parts of record {number}", place, leaves));
        Hash root = tree.Completed[0].Root;
        if (seal.Root != root) throw Bad("seal", place, number, $"root {root}, from the entries", $"root {seal.Root}");
        if (seal.Previous != previous) throw Bad("seal", place, number, $"{previous}, the hash of the seal before", $"{seal.Previous}");

        // Each record holds the address of the record before it, from which the address file could be rebuilt.
        long address = segments.AddressOf(number);
        if (link != _before) throw Bad("address", place, number, $"{_before}, the address of the record before", $"{link}");
        _before = address;
        pace?.Invoke(bundle.Length + payload.Length);
        return Seal.HashOf(payload.Span);
    }

    /// <summary>
    /// Returns the next segment with its leaf hashes. Reading and hashing is most of the work and does not depend on earlier segments, so other threads load
    /// a few of them ahead. A failure of such a thread is reported when its segment is next, so the first damage is reported first.
    /// </summary>
    private Loaded Next()
    {
        while (_ahead.Count < _lookAhead && _nextToLoad < segments.Count)
        {
            long number = _nextToLoad++;
            _ahead.Enqueue(Task.Run(() => Load(number)));
        }

        return _ahead.Dequeue().GetAwaiter().GetResult();
    }

    private Loaded Load(long number)
    {
        string place = $"{_segmentsPath}, record {number}";
        ReadOnlyMemory<byte> payload = segments.Read(number, out long link, Seal.MostSize);
        if (!Seal.TryParse(payload, out Seal? seal)) throw Bad("seal", place, number, "a seal", $"{payload.Length} bytes that are none");
        if (seal.FirstIndex != number * EntryBundle.Width) throw Bad("seal", place, number, $"first index {number * EntryBundle.Width}", $"first index {seal.FirstIndex}");
        ReadOnlyMemory<byte> bundle = TileStore.ReadBundle(segments, number, seal);
        return new Loaded(payload, link, seal, bundle, TreeCheck.Leaves(bundle.Span));
    }

    private Hash CheckTile(long segment, FullTile tile)
    {
        long number = TileStore.RecordNumber(tile.Level, tile.Index);
        TilePath name = new(tile.Level, tile.Index);
        string place = $"{_treePath}, record {number}, {name}";
        if (number >= upper.Count)
        {
            if (tile.Level == 1) _unwritten++;
            if (_unwritten <= MostUnwritten) return tile.Root;
            throw Bad("tile", place, segment, "256 hashes", "no such record", name);
        }

        _tiles = number + 1;
        DirectoryCheck.Require(CompareTile(upper, tile, place, segment));
        return tile.Root;
    }

    /// <summary>Returns the damage of a stored tile; null when it is the tile that the entries produce.</summary>
    /// <param name="upper">The record log of the tree.</param>
    /// <param name="tile">The tile that the entries produce.</param>
    /// <param name="place">The name of its record, for messages.</param>
    /// <param name="segment">The segment that completes it.</param>
    internal static Damage? CompareTile(RecordLog upper, FullTile tile, string place, long segment)
    {
        TilePath name = new(tile.Level, tile.Index);
        try
        {
            FullTile found = TileStore.ReadTile(upper, tile.Level, tile.Index);
            return TreeCheck.Compare(name, tile.Hashes.Span, found.Hashes.Span, place)
                ?? (found.Root == tile.Root ? null : new Damage("tile", place, segment, null, $"root {tile.Root}, from the entries", $"root {found.Root}") { Tile = name });
        }
        catch (DamageException failure)
        {
            // A damage of kind "tile" from the store does not have the path.
            return failure.Damage with { Place = failure.Damage.Kind == "tile" ? place : failure.Damage.Place, Segment = segment, Tile = name };
        }
    }

    /// <summary>
    /// Adds the segment to a damage that the record log found, which names only its record. A wrong root gets none, because a root covers all entries before
    /// it.
    /// </summary>
    private static Hash InSegment<T>(long segment, T argument, Func<long, T, Hash> check)
    {
        try
        {
            return check(segment, argument);
        }
        catch (DamageException failure) when (failure.Damage is { Segment: null, Kind: not "root" })
        {
            throw new DamageException(failure.Damage with { Segment = segment });
        }
    }

    private static DamageException Bad(string kind, string place, long segment, string expected, string found, TilePath? tile = null) =>
        new(new Damage(kind, place, segment, null, expected, found) { Tile = tile });

    private sealed record Loaded(ReadOnlyMemory<byte> Payload, long Link, Seal Seal, ReadOnlyMemory<byte> Bundle, Hash[]? Leaves);
}
