// Which entries are in the log already, so that one that comes again gets its first index (spec/decisions/duplicates.md). Three memories, and an
// entry is in one of them from the moment it has an index:
//
//   group       it is in a frame on its way to the disk, or not in the tree yet: Intake.cs
//   table       it is in the tree, and among the newest: DuplicateTable
//   full index  it is in a sealed segment (duplicate-index full): FullIndex
//
// The two last name candidates only: an index is answered after the leaf hash that the tree has there was compared. That may read a tile from the
// disk, so it is done on the thread of the request, before the entry enters the intake; that asks again only for what came into the tree since, which
// is in memory. Neither is ever in the way of an append: what cannot be read or is forgotten costs a second index, no more.

using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>What the duplicate index has done since the start.</summary>
/// <param name="Answered">Entries that were answered with the index of an equal one in the tree.</param>
/// <param name="Compared">Candidates whose leaf hash was read.</param>
/// <param name="Others">Of these, those that were another entry's.</param>
/// <param name="Unread">Candidates whose leaf hash could not be read: the entry was appended.</param>
/// <param name="Remembered">Entries in the table.</param>
/// <param name="Forgotten">Entries that the table has dropped for newer ones.</param>
/// <param name="Crowded">Look-ups with more candidates than are compared.</param>
/// <param name="TableBytes">Bytes the table uses for them.</param>
internal readonly record struct DuplicateCounters(
    long Answered, long Compared, long Others, long Unread, long Remembered, long Forgotten, long Crowded, long TableBytes);

/// <summary>Finds the entries of the tree that equal new ones. Thread-safe, but for <see cref="Add"/>, which is the sequencer's.</summary>
/// <param name="table">The newest entries; null when duplicates in the tree are not looked for.</param>
/// <param name="full">All sealed entries; null without full history.</param>
/// <param name="tiles">Where the leaf hashes are.</param>
/// <param name="logger">Is told of what cannot be read.</param>
internal sealed class Duplicates(DuplicateTable? table, FullIndex? full, TileReader tiles, ILogger logger)
{
    /// <summary>How far ahead in a batch memory is asked for: a look-up takes 20 ns when it is there, and memory 100.</summary>
    private const int Ahead = 8;

    private long _answered, _compared, _others, _unread;

    public DuplicateCounters Counters => new(
        Volatile.Read(ref _answered), Volatile.Read(ref _compared), Volatile.Read(ref _others), Volatile.Read(ref _unread),
        table?.Count ?? 0, table?.Forgotten ?? 0, table?.Crowded ?? 0, table?.Bytes ?? 0);

    /// <summary>The index of all sealed entries; null without full history.</summary>
    public FullIndex? Full => full;

    /// <summary>Takes an entry that has come into the tree, before the snapshot that covers it is seen by anyone.</summary>
    public void Add(in Hash leaf, long index) => table?.Add(leaf, index);

    /// <summary>Whether duplicates are looked for at all.</summary>
    public bool AreSought => table is not null;

    /// <summary>Counts entries that got the index of an equal one.</summary>
    public void CountAnswered(int entries)
    {
        if (entries > 0) Interlocked.Add(ref _answered, entries);
    }

    /// <summary>The index of each of these entries that is in this tree, -1 for the others; null when none is.</summary>
    public ValueTask<long[]?> LookUpAsync(ReadOnlyMemory<Hash> leaves, TreeSnapshot tree, CancellationToken stop)
    {
        if (table is null) return ValueTask.FromResult<long[]?>(null);

        // Nearly always all entries are new: then there is nothing to wait for.
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
    /// The smallest index from <paramref name="from"/> on, below the tree's size, that has this leaf hash; -1 when none has. For what came into the tree a moment ago, whose
    /// leaf hashes are in memory: it waits for nothing.
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
                    _ = read.AsTask().Exception; // nobody waits for it
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

    /// <summary>The smallest index below the tree's size that is known to have this leaf hash; -1 when none is.</summary>
    public ValueTask<long> FindAsync(in Hash leaf, TreeSnapshot tree, CancellationToken stop) => FindAsync(leaf, tree, null, stop);

    /// <summary>Fills the table from the sealed segments below the given number, newest first, until it has what it is made for.</summary>
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

    /// <summary>The candidates from this index on, the smallest first.</summary>
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
            // Beyond this tree: whoever asks has a later one when it counts.
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

    /// <summary>The tile read last: a batch that is sent again has its entries side by side.</summary>
    private sealed class LastTile
    {
        public long Number { get; set; } = -1;

        public ReadOnlyMemory<byte> Tile { get; set; }
    }
}
