// The sealed part of a data directory, from entry bytes up: parts, seals, the chain of seals, and the tree's tiles above them.
// A CRC that was computed again by whoever changed the bytes passes here too; the hashes do not.

namespace TransparencyLog.Storage;

/// <summary>Walks over the segments in order and, whenever they complete a tile of the tree, over the tree's records.</summary>
/// <param name="path">The data directory.</param>
/// <param name="segments">Its segments.</param>
/// <param name="upper">Its tree; opened before the segments, which a server commits first.</param>
/// <param name="tree">What the entries are added to.</param>
/// <param name="pace">Given the bytes of each segment that was checked, waits where they came too fast; null for as fast as it goes.</param>
/// <param name="from">The first segment to check, a multiple of 256; the tree is that of those before.</param>
internal sealed class SegmentsCheck(string path, RecordLog segments, RecordLog upper, TreeCheck tree, Action<long>? pace = null, long from = 0)
{
    /// <summary>
    /// Tiles of level 1 that a crash may leave unwritten: the segments are committed first, and two commits of at most 32 MiB each
    /// (TileStore) hold that many times 256 seals. What is missing beyond that was there once.
    /// </summary>
    private const long MostUnwritten = (2 * 32 * 1024 * 1024 / (256 * Seal.TileSize)) + 1;

    /// <summary>Segments on their way at once: twice the cores keeps them busy, and holds at most 17 MB each, where all entries are of the largest size. With a pace, one.</summary>
    private readonly int _lookAhead = pace is null ? 2 * Environment.ProcessorCount : 1;

    private readonly string _segmentsPath = Path.Combine(path, "segments");
    private readonly string _treePath = Path.Combine(path, "tree");
    private readonly Queue<Task<Loaded>> _ahead = new();
    private Hash _previous = from == 0 ? default : Seal.HashOf(segments.Read(from - 1, Seal.MostSize).Span);
    private long _before = from == 0 ? 0 : segments.AddressOf(from - 1); // of the record before
    private long _nextToLoad = from;
    private long _tiles = TileStore.TilesAbove(from);
    private long _unwritten;

    /// <summary>The segments before this one were checked, or believed.</summary>
    public long Checked { get; private set; } = from;

    /// <summary>Goes on up to the last segment that is committed.</summary>
    /// <param name="progress">Is told how many entries were checked, after each segment.</param>
    /// <param name="stop">Ends the check between two segments.</param>
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
            // After the first damage nobody asks for what is still on its way; it must not outlive the files it reads.
            Task.WhenAll(_ahead.Cast<Task>()).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing).GetAwaiter().GetResult();
        }
    }

    /// <summary>Behind the last segment: the tree has no more than they have.</summary>
    /// <param name="notes">Gets what is no damage and worth knowing.</param>
    public void Finish(List<string> notes)
    {
        if (upper.Count > _tiles) throw DirectoryCheck.Damaged("tile", _treePath, $"{_tiles} tiles, as {segments.Count} segments have", $"{upper.Count} tiles: the segments are an older copy");
        if (_unwritten > 0) notes.Add($"{_treePath}: the last {_unwritten} tiles of level 1 are not written; the next start makes them from the segments");
    }

    /// <summary>Returns the hash of the seal, which the next seal holds.</summary>
    private Hash CheckSegment(long number, Hash previous)
    {
        string place = $"{_segmentsPath}, record {number}";
        (ReadOnlyMemory<byte> payload, long link, Seal seal, ReadOnlyMemory<byte> bundle, Hash[]? leaves) = Next();

        // Entries first: what is derived from them is judged by them.
        DirectoryCheck.Require(tree.Add(bundle.Span, seal.Tile.Span, EntryBundle.Width, $"{_segmentsPath}, parts of record {number}", place, leaves));
        Hash root = tree.Completed[0].Root;
        if (seal.Root != root) throw Bad("seal", place, number, $"root {root}, from the entries", $"root {seal.Root}");
        if (seal.Previous != previous) throw Bad("seal", place, number, $"{previous}, the hash of the seal before", $"{seal.Previous}");

        // The address of the record before, from which the address file could be made again.
        long address = segments.AddressOf(number);
        if (link != _before) throw Bad("address", place, number, $"{_before}, the address of the record before", $"{link}");
        _before = address;
        pace?.Invoke(bundle.Length + payload.Length);
        return Seal.HashOf(payload.Span);
    }

    /// <summary>
    /// The next segment, read and with its leaf hashes, which is most of the work and needs nothing of those before it: a few are on their way on other
    /// threads. What one of them finds wrong is told when its turn comes, so the first damage stays the first.
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

    /// <summary>What is wrong with a tile that is stored; null when it is as the entries make it.</summary>
    /// <param name="upper">The tree.</param>
    /// <param name="tile">What the entries make.</param>
    /// <param name="place">Names its record.</param>
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
            // What the store finds knows no path.
            return failure.Damage with { Place = failure.Damage.Kind == "tile" ? place : failure.Damage.Place, Segment = segment, Tile = name };
        }
    }

    /// <summary>What the record log finds by itself knows its record; the segment is added here. A root covers all entries before it.</summary>
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
