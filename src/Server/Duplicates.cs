// Finds entries that are already in the log, so that an entry that is sent again gets its first index (spec/decisions/duplicates.md). From the moment
// an entry has an index, it is in one of three places:
//
//   group       in a frame on its way to the disk, or not in the tree yet: Intake.cs
//   table       in the tree, and among the newest entries: DuplicateTable
//   full index  in a sealed segment (duplicate-index full): FullIndex
//
// The table and the full index only name candidates. An index is answered after the leaf hash that the tree has there was compared. The comparison may
// read a tile from the disk, so it runs on the thread of the request, before the entry enters the intake. The intake then checks only what came into
// the tree since, which is in memory. A failure here never prevents an append: a candidate that cannot be read or is forgotten costs a second index,
// nothing more.

using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Counters of the search for duplicates since the start.</summary>
/// <param name="Answered">Entries that were answered with the index of an equal entry.</param>
/// <param name="Compared">Candidates whose leaf hash was read.</param>
/// <param name="Others">Compared candidates whose leaf hash was a different one.</param>
/// <param name="Unread">Candidates whose leaf hash could not be read. An equal entry may have been appended again.</param>
/// <param name="Remembered">Entries in the table.</param>
/// <param name="Forgotten">Entries that the table has dropped for newer entries, or did not add because they were older than the others.</param>
/// <param name="Crowded">Look-ups with more candidates than are compared.</param>
/// <param name="TableBytes">Bytes that the table uses for its entries.</param>
internal readonly record struct DuplicateCounters(
    long Answered, long Compared, long Others, long Unread, long Remembered, long Forgotten, long Crowded, long TableBytes);

/// <summary>Finds the entries of the tree that equal new entries. Thread-safe, except <see cref="Add"/>, which only the sequencer calls.</summary>
/// <param name="table">The newest entries; null when the log does not look for duplicates.</param>
/// <param name="full">All sealed entries; null without full history.</param>
/// <param name="tiles">Reads the leaf hashes.</param>
/// <param name="logger">Logs the entries that cannot be read.</param>
internal sealed class Duplicates(DuplicateTable? table, FullIndex? full, TileReader tiles, ILogger logger)
{
    /// <summary>
    /// How many entries ahead a batch prefetches memory: a look-up takes 20 ns with its memory in the processor's cache, and fetching the memory takes 100
    /// ns.
    /// </summary>
    private const int Ahead = 8;

    private long _answered, _compared, _others, _unread;

    public DuplicateCounters Counters => new(
        Volatile.Read(ref _answered), Volatile.Read(ref _compared), Volatile.Read(ref _others), Volatile.Read(ref _unread),
        table?.Count ?? 0, table?.Forgotten ?? 0, table?.Crowded ?? 0, table?.Bytes ?? 0);

    /// <summary>The index of all sealed entries; null without full history.</summary>
    public FullIndex? Full => full;

    /// <summary>Adds an entry that has come into the tree. Called before anyone can see the snapshot that covers it.</summary>
    public void Add(in Hash leaf, long index) => table?.Add(leaf, index);

    /// <summary>Whether the log looks for duplicates.</summary>
    public bool AreSought => table is not null;

    /// <summary>Counts entries that were answered with the index of an equal entry.</summary>
    public void CountAnswered(int entries)
    {
        if (entries > 0) Interlocked.Add(ref _answered, entries);
    }

    /// <summary>Returns the index of each of these entries that is in this tree and -1 for the others; null when none is in the tree.</summary>
    public ValueTask<long[]?> LookUpAsync(ReadOnlyMemory<Hash> leaves, TreeSnapshot tree, CancellationToken stop)
    {
        if (table is null) return ValueTask.FromResult<long[]?>(null);

        // Nearly always all entries are new. The method then completes without waiting.
        ReadOnlySpan<Hash> hashes = leaves.Span;
        Span<long> candidates = stackalloc long[DuplicateTable.MaxCandidates + 1];
        for (int i = 0; i < hashes.Length; i++)
        {
            if (i + Ahead < hashes.Length) table.Prefetch(hashes[i + Ahead]);
            if (Name(hashes[i], 0, candidates) > 0) return LookUpFromAsync(leaves, i, tree, stop);
        }

        return ValueTask.FromResult<long[]?>(null);
    }

    /// <summary>
    /// Returns the smallest index from <paramref name="from"/> on, below the tree's size, that has this leaf hash; -1 when none has. Never waits. For entries
    /// that came into the tree a moment ago, whose leaf hashes are in memory.
    /// </summary>
    public long FindNow(in Hash leaf, long from, TreeSnapshot tree)
    {
        if (table is null) return -1;
        Span<long> candidates = stackalloc long[DuplicateTable.MaxCandidates];
        foreach (long index in candidates[..table.Find(leaf, from, candidates)])
        {
            if (index >= tree.Size) continue;
            try
            {
                ValueTask<ReadOnlyMemory<byte>?> read = tiles.GetAsync(LeavesOf(index, tree), tree, CancellationToken.None);
                if (!read.IsCompletedSuccessfully)
                {
                    _ = read.AsTask().Exception; // the read is abandoned
                    Interlocked.Increment(ref _unread);
                    continue;
                }

                Interlocked.Increment(ref _compared);
                if (new Hash(read.Result!.Value.Span.Slice((int)(index % EntryBundle.Width) * Hash.Size, Hash.Size)) == leaf) return index;
                Interlocked.Increment(ref _others);
            }
            catch (StorageException failure)
            {
                Unread(index, failure);
            }
        }

        return -1;
    }

    /// <summary>Returns the smallest index below the tree's size that is known to have this leaf hash; -1 when none is known.</summary>
    public ValueTask<long> FindAsync(in Hash leaf, TreeSnapshot tree, CancellationToken stop) => FindAsync(leaf, tree, null, stop);

    /// <summary>Fills the table from the sealed segments below the given number, newest first, up to the table's capacity.</summary>
    public async Task RebuildAsync(ITileStore store, long segments, CancellationToken stop)
    {
        if (table is null) return;
        long least = Math.Max(0, segments - (table.Capacity / EntryBundle.Width));
        try
        {
            for (long number = segments - 1; number >= least; number--)
            {
                stop.ThrowIfCancellationRequested();
                ReadOnlyMemory<byte> tile = (await store.GetAsync(new TilePath(0, number), stop).ConfigureAwait(false))!.Value;
                for (int i = 0; i < EntryBundle.Width; i++) table.Add(new Hash(tile.Span.Slice(i * Hash.Size, Hash.Size)), (number * EntryBundle.Width) + i);
            }
        }
        catch (StorageException failure)
        {
            logger.DuplicateIndex($"what was sealed before the start is not all in the table: {failure.Message}");
        }
    }

    private async ValueTask<long[]?> LookUpFromAsync(ReadOnlyMemory<Hash> leaves, int first, TreeSnapshot tree, CancellationToken stop)
    {
        long[] known = new long[leaves.Length];
        known.AsSpan().Fill(-1);
        LastTile last = new();
        bool any = false;
        for (int i = first; i < known.Length; i++)
        {
            known[i] = await FindAsync(leaves.Span[i], tree, last, stop).ConfigureAwait(false);
            any |= known[i] >= 0;
        }

        return any ? known : null;
    }

    private ValueTask<long> FindAsync(in Hash leaf, TreeSnapshot tree, LastTile? last, CancellationToken stop)
    {
        Span<long> candidates = stackalloc long[DuplicateTable.MaxCandidates + 1];
        int count = Name(leaf, 0, candidates);
        return count == 0 ? new ValueTask<long>(-1) : CompareAsync(leaf, candidates[..count].ToArray(), tree, last ?? new LastTile(), stop);
    }

    /// <summary>Writes the candidates from this index on, in ascending order. Returns how many.</summary>
    private int Name(in Hash leaf, long from, Span<long> candidates)
    {
        int count = table?.Find(leaf, from, candidates[..^1]) ?? 0;
        if (full is null || !full.TryFind(leaf, out long index) || index < from || candidates[..count].Contains(index)) return count;
        candidates[count++] = index;
        candidates[..count].Sort();
        return count;
    }

    private async ValueTask<long> CompareAsync(Hash leaf, long[] candidates, TreeSnapshot tree, LastTile last, CancellationToken stop)
    {
        foreach (long index in candidates)
        {
            // Not covered by this tree. For an append, the intake searches again with a newer tree.
            if (index < 0 || index >= tree.Size) continue;
            long number = index / EntryBundle.Width;
            try
            {
                if (last.Number != number || last.Tile.Length <= (int)(index % EntryBundle.Width) * Hash.Size)
                {
                    last.Tile = (await tiles.GetAsync(LeavesOf(index, tree), tree, stop).ConfigureAwait(false))!.Value;
                    last.Number = number;
                }
            }
            catch (StorageException failure)
            {
                Unread(index, failure);
                continue;
            }

            Interlocked.Increment(ref _compared);
            if (new Hash(last.Tile.Span.Slice((int)(index % EntryBundle.Width) * Hash.Size, Hash.Size)) == leaf) return index;
            Interlocked.Increment(ref _others);
        }

        return -1;
    }

    private void Unread(long index, StorageException failure)
    {
        Interlocked.Increment(ref _unread);
        logger.DuplicateIndex($"entry {index} could not be compared, and an entry that may equal it was appended: {failure.Message}");
    }

    private static TilePath LeavesOf(long index, TreeSnapshot tree)
    {
        long number = index / EntryBundle.Width;
        return new TilePath(0, number, TilePath.WidthAt(0, number, tree.Size));
    }

    /// <summary>The tile that was read last. When a batch is sent again, its entries are next to each other.</summary>
    private sealed class LastTile
    {
        public long Number { get; set; } = -1;

        public ReadOnlyMemory<byte> Tile { get; set; }
    }
}
