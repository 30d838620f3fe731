// The way of an entry, first half: intake -> journal -> right edge -> segments (spec/life-of-an-entry.md).
// One loop owns the right edge and the open segment; readers get immutable snapshots.

using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Gives entries their index. What it has answered is final.</summary>
internal sealed class Sequencer
{
    private readonly Intake _intake;
    private readonly IJournal _journal;
    private readonly ITileStore _tiles;
    private readonly Action<TreeSnapshot> _grown;
    private readonly Duplicates _duplicates;
    private readonly JournalFrame _frame = new();
    private RightEdge _edge;
    private byte[] _open = new byte[64 * 1024];   // entries of the open segment; append-only, replaced when it grows or is sealed
    private int _openLength;
    private TreeSnapshot _latest;

    private Sequencer(Intake intake, IJournal journal, ITileStore tiles, RightEdge edge, Duplicates duplicates, Action<TreeSnapshot> grown)
    {
        _intake = intake;
        _journal = journal;
        _tiles = tiles;
        _edge = edge;
        _duplicates = duplicates;
        _grown = grown;
        _latest = Snapshot();
    }

    /// <summary>The tree as it is now.</summary>
    public TreeSnapshot Latest => Volatile.Read(ref _latest);

    /// <summary>
    /// The sequencer of what is stored: the right edge from the roots of the last sealed tiles, then the journal's entries behind the last durable
    /// segment through the same method that new entries take. Refuses with <see cref="DamageException"/>, and has written nothing then, when segments and
    /// journal do not lead to what was signed.
    /// </summary>
    /// <param name="intake">Where entries wait.</param>
    /// <param name="journal">The order of entries.</param>
    /// <param name="tiles">The sealed bytes.</param>
    /// <param name="signed">The head in the register; null before the first.</param>
    /// <param name="duplicates">Is told of every entry of the tree from the first that is not sealed on, and answers for duplicates.</param>
    /// <param name="grown">Called by the loop with each new snapshot; returns at once.</param>
    /// <param name="stop">Ends the recovery.</param>
    public static async Task<Sequencer> RecoverAsync(
        Intake intake, IJournal journal, ITileStore tiles, TreeHead? signed, Duplicates duplicates, Action<TreeSnapshot> grown, CancellationToken stop)
    {
        long segments = tiles.SegmentCount;
        List<ReadOnlyMemory<byte>> partial = [ReadOnlyMemory<byte>.Empty];
        for (int level = 1; segments >> (8 * (level - 1)) > 0; level++)
        {
            long full = segments >> (8 * (level - 1));
            long first = full >> 8 << 8;
            byte[] hashes = new byte[(full - first) * Hash.Size];
            for (long i = first; i < full; i++)
            {
                Hash root = await tiles.GetRootAsync(level - 1, i, stop).ConfigureAwait(false);
                root.CopyTo(hashes.AsSpan((int)(i - first) * Hash.Size));
            }

            partial.Add(hashes);
        }

        Sequencer sequencer = new(intake, journal, tiles, RightEdge.Restore(segments * EntryBundle.Width, partial), duplicates, grown);
        if (signed is not null && await sequencer.RootAtAsync(signed.Size, stop).ConfigureAwait(false) is Hash found && found != signed.Root)
        {
            throw new DamageException(new Damage("tree", "segments and journal", null, null, $"root {signed.Root} at the signed size {signed.Size}", $"root {found}"));
        }

        foreach (JournalEntries entries in journal.Read(segments * EntryBundle.Width))
        {
            int skip = (int)Math.Max(0, sequencer._edge.Size - entries.FirstIndex);
            ReadOnlyMemory<byte> rest = entries.Bundle[EntryBundle.PrefixLength(entries.Bundle.Span, skip)..];
            await sequencer.IntegrateAsync(rest, stop).ConfigureAwait(false);
        }

        if (sequencer._edge.Size != journal.NextIndex) throw new StorageException($"the journal gave {sequencer._edge.Size} entries, and says that it holds {journal.NextIndex}");
        sequencer.Publish();
        return sequencer;
    }

    /// <summary>Runs until the intake is closed and empty. Throws when storage fails: then nothing more is answered with success.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        List<(Append Append, long[] Indexes)> taken = [];
        PendingEntries pending = new();
        while (await _intake.WaitAsync(stop).ConfigureAwait(false))
        {
            taken.Clear();
            pending.Open();
            _frame.Clear();
            try
            {
                await FillAsync(taken, pending, stop).ConfigureAwait(false);
                if (_frame.Count > 0)
                {
                    // 1. One frame for all that waited, written and synced. A crash before this: nobody was answered, the frame is cut or taken in
                    //    whole. A crash after this: the entries are in the log, answered or not.
                    long first = await _journal.AppendAsync(_frame, stop).ConfigureAwait(false);
                    if (first != _edge.Size) throw new StorageException($"the journal gave index {first} to what is entry {_edge.Size} of the tree");
                }

                // 2. Now the index is a promise. Duplicates waited for the same frame and share its fate.
                foreach ((Append append, long[] indexes) in taken) append.Complete(indexes);
            }
            catch (Exception failure)
            {
                foreach ((Append append, _) in taken) append.Fail(failure);
                throw;
            }

            if (_frame.Count == 0)
            {
                pending.Settle();
                continue;
            }

            // 3, 4. The tree grows; full segments are sealed. A crash here is repaired by the journal: recovery comes through the same method.
            await IntegrateAsync(_frame.Entries, stop).ConfigureAwait(false);
            Publish();
            pending.Settle();

            // The journal forgets what is sealed for good.
            await _journal.TrimAsync(_tiles.DurableSegmentCount * EntryBundle.Width, stop).ConfigureAwait(false);
        }
    }

    /// <summary>Moves appends from the intake into the frame as long as they fit, each with the index of each of its entries.</summary>
    private async ValueTask FillAsync(List<(Append Append, long[] Indexes)> taken, PendingEntries pending, CancellationToken stop)
    {
        while (_intake.TryPeek(out Append? append))
        {
            if (_frame.EntryBytes + append!.Bundle.Length > JournalFrame.MaxEntryBytes && taken.Count > 0) return;

            // Again, for what came into the tree since it was looked up: from here on it is either there or pending.
            await _duplicates.LookUpAsync(append, _latest, stop).ConfigureAwait(false);
            long[] indexes = new long[append.LeafHashes.Length];
            int i = 0;
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(append.Bundle))
            {
                Hash leaf = append.LeafHashes[i];
                if (append.Known is long[] known && known[i] >= 0)
                {
                    indexes[i] = known[i];
                }
                else if (!pending.TryFind(leaf, out indexes[i]))
                {
                    indexes[i] = _edge.Size + _frame.Count;
                    pending.Add(leaf, indexes[i]);
                    if (!_frame.TryAdd(entry)) throw new System.Diagnostics.UnreachableException("an append is larger than a frame");
                }

                i++;
            }

            taken.Add((append, indexes));
            _intake.Take();
        }
    }

    /// <summary>Adds entries to the tree, from the bytes that were journalled, and seals every segment that becomes full.</summary>
    private async ValueTask IntegrateAsync(ReadOnlyMemory<byte> entries, CancellationToken stop)
    {
        List<FullTile> completed = [];
        int offset = 0;
        while (offset < entries.Length)
        {
            completed.Clear();
            offset += AppendUntilSealed(entries.Span[offset..], completed);
            if (completed.Count == 0) continue;
            FullTile leaves = completed[0];
            SealedSegment segment = new(leaves.Index, _open.AsMemory(0, _openLength), leaves.Hashes, leaves.Root);
            _open = new byte[Math.Max(64 * 1024, _openLength)];
            _openLength = 0;
            await _tiles.PutSegmentAsync(segment, stop).ConfigureAwait(false);
            for (int i = 1; i < completed.Count; i++) await _tiles.PutUpperTileAsync(completed[i], stop).ConfigureAwait(false);
        }
    }

    private int AppendUntilSealed(ReadOnlySpan<byte> entries, List<FullTile> completed)
    {
        int taken = 0;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(entries))
        {
            Hash leaf = MerkleHash.Leaf(entry);
            _duplicates.Add(leaf, _edge.Size);
            int size = EntryBundle.EncodedSize(entry.Length);
            if (_openLength + size > _open.Length)
            {
                // Snapshots keep the old array: what they point to never changes.
                byte[] larger = new byte[Math.Max(_open.Length * 2, _openLength + size)];
                _open.AsSpan(0, _openLength).CopyTo(larger);
                _open = larger;
            }

            EntryBundle.Write(entry, _open.AsSpan(_openLength));
            _openLength += size;
            taken += size;
            _edge.Append(leaf, completed);
            if (completed.Count > 0) break;
        }

        return taken;
    }

    /// <summary>
    /// Called between the segments and the journal: the root at a size, of stored tiles alone, or with the journal's entries behind them. It only reads: what
    /// is sealed from a journal that belongs to another tree would stay in the segments.
    /// </summary>
    private async ValueTask<Hash> RootAtAsync(long size, CancellationToken stop)
    {
        if (size <= _edge.Size) return (await new TileReader(_tiles).BuildAsync(ProofPlan.Root(size), _latest, stop).ConfigureAwait(false))[0];
        RightEdge edge = RightEdge.Restore(_edge.Size, _latest.PartialTiles);
        foreach (JournalEntries entries in _journal.Read(edge.Size))
        {
            int skip = (int)Math.Max(0, edge.Size - entries.FirstIndex);
            ReadOnlyMemory<byte> rest = entries.Bundle[EntryBundle.PrefixLength(entries.Bundle.Span, skip)..];
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(rest.Span))
            {
                edge.Append(MerkleHash.Leaf(entry), null);
                if (edge.Size == size) return edge.Root();
            }
        }

        throw new StorageException($"the journal ends at {edge.Size} entries, but size {size} is signed: entries are missing");
    }

    private void Publish()
    {
        Volatile.Write(ref _latest, Snapshot());
        _grown(_latest);
    }

    private TreeSnapshot Snapshot() => new(
        _edge.Size,
        _edge.Root(),
        [.. Enumerable.Range(0, _edge.Levels).Select(_edge.PartialTile)],
        _open.AsMemory(0, _openLength));
}
