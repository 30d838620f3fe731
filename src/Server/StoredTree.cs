using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>
/// The tree that the stored bytes produce. Entries are read back from the journal, hashed a second time and added to a right edge that shares nothing with
/// the sequencer's. The roots, tiles and bundles of a tree must agree with it before the tree is signed. So bad memory that changes an entry, a leaf hash or
/// a node on the way never leads to a signature over, or an answer with, bytes other than the stored bytes. One thread at a time.
/// </summary>
internal sealed class StoredTree : IDisposable
{
    private readonly ITileStore _tiles;
    private readonly IJournalReader _reader;
    private readonly long _journalBegin; // the reader returns entries from this index on; a multiple of 256 where it is not 0
    private readonly RightEdge _edge;
    private readonly List<FullTile> _completed = [];
    private ReadOnlyMemory<byte> _frame; // the rest of the current frame
    private byte[] _open = new byte[64 * 1024];
    private int _openLength; // of the entries after the last whole segment
    private long _size;

    private StoredTree(ITileStore tiles, IJournal journal, RightEdge edge)
    {
        _tiles = tiles;
        _edge = edge;
        _size = edge.Size;
        _journalBegin = Math.Max(edge.Size, (journal.FirstIndex + EntryBundle.Width - 1) / EntryBundle.Width * EntryBundle.Width);
        _reader = journal.Follow(_journalBegin);
    }

    /// <summary>How many entries were read back. The journal must keep those after them.</summary>
    public long Size => Volatile.Read(ref _size);

    /// <summary>
    /// Reads back the entries from the last whole sealed segment below the signed head to that head, and changes nothing. Throws
    /// <see cref="DamageException"/> when the stored bytes do not produce the signed root. Later checks begin at that segment again.
    /// </summary>
    public static async Task<StoredTree> RestoreAsync(ITileStore tiles, IJournal journal, TreeHead? signed, CancellationToken stop)
    {
        long segments = Math.Min((signed?.Size ?? 0) / EntryBundle.Width, tiles.SegmentCount);
        if (signed is not null)
        {
            using StoredTree tree = new(tiles, journal, await RestoreEdgeAsync(tiles, segments, stop).ConfigureAwait(false));
            Hash found = await tree.RootAtAsync(signed.Size, stop).ConfigureAwait(false);
            if (found != signed.Root) throw Damaged("tree", "segments and journal", $"root {signed.Root} at the signed size {signed.Size}", $"root {found} of the stored entries");
        }

        return new StoredTree(tiles, journal, await RestoreEdgeAsync(tiles, segments, stop).ConfigureAwait(false));
    }

    /// <summary>Rebuilds the right edge of the first <paramref name="segments"/> segments from the roots of their tiles.</summary>
    public static Task<RightEdge> RestoreEdgeAsync(ITileStore tiles, long segments, CancellationToken stop) =>
        TileStore.RestoreEdgeAsync(segments, (level, index) => tiles.GetRootAsync(level, index, stop));

    /// <summary>
    /// Throws <see cref="DamageException"/> unless the stored entries produce this tree: its root, its partial tiles, its open bundle, and the segments
    /// sealed since the last call. The tree must not be smaller than the one before.
    /// </summary>
    public async ValueTask CheckAsync(TreeSnapshot tree, CancellationToken stop)
    {
        Hash root = await RootAtAsync(tree.Size, stop).ConfigureAwait(false);
        if (root != tree.Root) throw Damaged("memory", "the tree", $"root {root} of the stored entries at size {tree.Size}", $"root {tree.Root} as they came");
        for (int level = 0; level < tree.PartialTiles.Count; level++)
        {
            if (!_edge.PartialTile(level).Span.SequenceEqual(tree.PartialTiles[level].Span)) throw Damaged("memory", $"the partial tile of level {level}", $"the hashes of the stored entries at size {tree.Size}", "others");
        }

        if (!_open.AsSpan(0, _openLength).SequenceEqual(tree.OpenBundle.Span)) throw Damaged("memory", "the open segment", $"the stored entries at size {tree.Size}", "others");
    }

    /// <summary>The size to which a buffer of the open segment grows: twice its length, but no more than the largest bundle, unless more is needed.</summary>
    public static int Grown(int length, int needed) => Math.Max(Math.Min(2 * length, TileReader.LargestBundle), needed);

    public void Dispose() => _reader.Dispose();

    private static DamageException Damaged(string kind, string place, string expected, string found) => new(new Damage(kind, place, null, null, expected, found));

    private async ValueTask<Hash> RootAtAsync(long size, CancellationToken stop)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, _edge.Size);
        while (_edge.Size < size)
        {
            if (_frame.IsEmpty) await ReadAsync(size, stop).ConfigureAwait(false);
            AppendUntilSealed(size);
            if (_completed.Count > 0) await CompareAsync(stop).ConfigureAwait(false);
        }

        Volatile.Write(ref _size, size);
        return _edge.Root();
    }

    /// <summary>Reads the next frame; or the next sealed bundle, when the journal no longer has its entries.</summary>
    private async ValueTask ReadAsync(long size, CancellationToken stop)
    {
        if (_edge.Size < _journalBegin)
        {
            ReadOnlyMemory<byte>? bundle = await _tiles.GetAsync(new TilePath(TilePath.EntriesLevel, _edge.Size / EntryBundle.Width), stop).ConfigureAwait(false);
            _frame = bundle ?? throw new StorageException($"the journal begins at entry {_journalBegin}, but the segments end at {_edge.Size}: entries are missing");
            return;
        }

        if (!_reader.TryRead(out JournalEntries entries)) throw Damaged("journal", "the journal", $"entries up to size {size}", $"an end at {_edge.Size} entries");
        int skip = (int)Math.Max(0, _edge.Size - entries.FirstIndex);
        _frame = entries.Bundle[EntryBundle.PrefixLength(entries.Bundle.Span, skip)..];
    }

    private void AppendUntilSealed(long size)
    {
        _completed.Clear();
        int taken = 0;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(_frame.Span))
        {
            if (_edge.Size == size || _completed.Count > 0) break;
            taken += EntryBundle.EncodedSize(entry.Length);
            _edge.Append(MerkleHash.Leaf(entry), _completed);
        }

        if (_openLength + taken > _open.Length) Array.Resize(ref _open, Grown(_open.Length, _openLength + taken));
        _frame.Span[..taken].CopyTo(_open.AsSpan(_openLength));
        _openLength += taken;
        _frame = _frame[taken..];
    }

    /// <summary>
    /// Compares the sealed tiles and bundle with the entries that were read back. At a start, the journal may hold segments that are only sealed later.
    /// </summary>
    private async ValueTask CompareAsync(CancellationToken stop)
    {
        long segment = _completed[0].Index;
        if (segment < _tiles.SegmentCount)
        {
            foreach (FullTile tile in _completed)
            {
                ReadOnlyMemory<byte>? stored = await _tiles.GetAsync(new TilePath(tile.Level, tile.Index), stop).ConfigureAwait(false);
                if (stored is not { } hashes || !hashes.Span.SequenceEqual(tile.Hashes.Span)) throw Damaged("tile", $"tile {tile.Index} of level {tile.Level}", "the hashes of the stored entries", "others");
            }

            ReadOnlyMemory<byte>? bundle = await _tiles.GetAsync(new TilePath(TilePath.EntriesLevel, segment), stop).ConfigureAwait(false);
            if (bundle is not { } bytes || !bytes.Span.SequenceEqual(_open.AsSpan(0, _openLength))) throw new DamageException(new Damage("seal", "segments", segment, null, "the entries of the journal", "others"));
        }

        _openLength = 0;
    }
}
