// The path of an entry, first half: intake -> journal -> right edge -> segments (spec/life-of-an-entry.md).
// One loop owns the right edge and the open segment. It has a dedicated thread, because the journal's writes and syncs block it. Readers get immutable
// snapshots.

using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Assigns each entry its index. An index is final once it was answered.</summary>
internal sealed class Sequencer
{
    private readonly Intake _intake;
    private readonly IJournal _journal;
    private readonly ITileStore _tiles;
    private readonly Action<TreeSnapshot> _grown;
    private readonly StoredTree _readBack;
    private readonly Duplicates _duplicates;
    private readonly Action<int> _beforeAnswer;
    private Hash[] _leaves = new Hash[1024]; // leaf hashes of the current frame
    private RightEdge _edge;
    private byte[] _open = new byte[64 * 1024];   // entries of the open segment; append-only, replaced when it grows or is sealed
    private int _openLength;
    private TreeSnapshot _latest;

    private Sequencer(Intake intake, IJournal journal, ITileStore tiles, RightEdge edge, StoredTree readBack, Duplicates duplicates, Action<TreeSnapshot> grown, Action<int> beforeAnswer)
    {
        _beforeAnswer = beforeAnswer;
        _intake = intake;
        _journal = journal;
        _tiles = tiles;
        _edge = edge;
        _readBack = readBack;
        _duplicates = duplicates;
        _grown = grown;
        _latest = Snapshot();
    }

    /// <summary>The newest snapshot of the tree.</summary>
    public TreeSnapshot Latest => Volatile.Read(ref _latest);

    /// <summary>
    /// Rebuilds the sequencer from the stored bytes. The right edge comes from the roots of the last sealed tiles. The journal's entries after the last
    /// durable segment then go through the same method as new entries. Throws <see cref="DamageException"/>, before anything is written, when segments and
    /// journal do not lead to the signed head.
    /// </summary>
    /// <param name="intake">Where entries wait for a frame. Opened when recovery is complete.</param>
    /// <param name="journal">The entries, in order.</param>
    /// <param name="tiles">The sealed bytes.</param>
    /// <param name="signed">The head in the register; null before the first head is signed.</param>
    /// <param name="readBack">
    /// Says how many entries were read back; the journal keeps the others. It has already checked the signed root against the stored entries.
    /// </param>
    /// <param name="duplicates">Receives every entry of the tree from the first unsealed entry on.</param>
    /// <param name="grown">Called by the loop with each new snapshot. Must not block.</param>
    /// <param name="beforeAnswer">
    /// Called with the number of entry bytes of each durable frame before the frame is acknowledged. May block, or throw to stop the sequencer.
    /// </param>
    /// <param name="stop">Cancels the recovery.</param>
    public static async Task<Sequencer> RecoverAsync(
        Intake intake, IJournal journal, ITileStore tiles, TreeHead? signed, StoredTree readBack, Duplicates duplicates, Action<TreeSnapshot> grown, Action<int> beforeAnswer, CancellationToken stop)
    {
        long segments = tiles.SegmentCount;
        RightEdge edge = await StoredTree.RestoreEdgeAsync(tiles, segments, stop).ConfigureAwait(false);
        Sequencer sequencer = new(intake, journal, tiles, edge, readBack, duplicates, grown, beforeAnswer);
        if (signed is not null && signed.Size <= edge.Size) await sequencer.CheckSealedAsync(signed, stop).ConfigureAwait(false);
        foreach (JournalEntries entries in journal.Read(segments * EntryBundle.Width))
        {
            int skip = (int)Math.Max(0, sequencer._edge.Size - entries.FirstIndex);
            ReadOnlyMemory<byte> rest = entries.Bundle[EntryBundle.PrefixLength(entries.Bundle.Span, skip)..];
            sequencer.HashLeaves(rest.Span);
            await sequencer.IntegrateAsync(rest, stop).ConfigureAwait(false);
        }

        if (sequencer._edge.Size != journal.NextIndex) throw new StorageException($"the journal gave {sequencer._edge.Size} entries, and says that it holds {journal.NextIndex}");
        sequencer.Publish();
        intake.Open(sequencer._latest);
        return sequencer;
    }

    /// <summary>Runs on the calling thread until the intake is closed and empty. Throws when storage fails; no append succeeds after that.</summary>
    /// <param name="stop">Stops the loop.</param>
    /// <param name="closing">Ends a wait for room on the disk. The entries that wait for it are not stored.</param>
    public void Run(CancellationToken stop, CancellationToken closing)
    {
        while (_intake.Take() is Group group)
        {
            stop.ThrowIfCancellationRequested();

            try
            {
                // 1. One frame holds everything that waited. It is hashed, written and synced. A crash before the sync: nobody was answered, and
                //    recovery cuts the frame or accepts it whole. A crash after the sync: the entries are in the log, answered or not.
                _tiles.ThrowIfFailed();
                Check(group);
                long first = Wait(_journal.AppendAsync(group.Frame, closing));
                if (first != group.FirstIndex) throw new StorageException($"the journal gave index {first} to what was to be entry {group.FirstIndex}");

                //    With a guard: a look at it, at most a second old, must show that no other copy has taken over (exception: GuardWatch.cs).
                _beforeAnswer(group.Frame.EntryBytes);
            }
            catch (Exception failure)
            {
                _intake.Fail(failure);
                throw;
            }

            // 2. The index is final from here on. Callers that sent duplicates of these entries wait for the same frame and get the same result.
            _intake.Complete(group);

            // 3, 4. The tree grows and full segments are sealed. After a crash here, recovery feeds the journal's entries through the same method.
            Wait(IntegrateAsync(group.Frame.Entries, stop));
            Publish();
            _intake.Return(group, _latest);

            // The journal may forget entries whose segments are durable and that were read back before a head was signed.
            Wait(_journal.TrimAsync(Math.Min(_tiles.DurableSegmentCount * EntryBundle.Width, _readBack.Size), stop));
        }
    }

    /// <summary>Throws unless the leaf hashes of the frame, from which the tree grows, equal those of the buffers in which the entries arrived.</summary>
    private void Check(Group group)
    {
        int count = HashLeaves(group.Frame.Entries.Span);
        ulong leaves = 0;
        for (int i = 0; i < count; i++) leaves = Group.Fold(leaves, _leaves[i]);
        if (leaves != group.Leaves)
        {
            throw new DamageException(new Damage("memory", "the frame to be written", null, group.FirstIndex, "entries with the leaf hashes that they were received with", "others: memory has changed since"));
        }
    }

    private int HashLeaves(ReadOnlySpan<byte> entries)
    {
        int count = 0;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(entries))
        {
            if (count == _leaves.Length) Array.Resize(ref _leaves, 2 * count);
            _leaves[count++] = MerkleHash.Leaf(entry);
        }

        return count;
    }

    /// <summary>Blocks the calling thread, which only the sequencer uses.</summary>
    private static void Wait(ValueTask task)
    {
        if (task.IsCompletedSuccessfully) return;
        task.AsTask().GetAwaiter().GetResult();
    }

    private static long Wait(ValueTask<long> task) => task.IsCompletedSuccessfully ? task.Result : task.AsTask().GetAwaiter().GetResult();

    /// <summary>
    /// Adds entries to the tree, from their journalled bytes and the leaf hashes of the current frame. Seals every segment that becomes full.
    /// </summary>
    private async ValueTask IntegrateAsync(ReadOnlyMemory<byte> entries, CancellationToken stop)
    {
        List<FullTile> completed = [];
        int offset = 0, leaf = 0;
        while (offset < entries.Length)
        {
            completed.Clear();
            offset += AppendUntilSealed(entries.Span[offset..], ref leaf, completed);
            if (completed.Count == 0) continue;
            FullTile leaves = completed[0];
            SealedSegment segment = new(leaves.Index, _open.AsMemory(0, _openLength), leaves.Hashes, leaves.Root);
            _open = GC.AllocateUninitializedArray<byte>(Math.Max(64 * 1024, _openLength));
            _openLength = 0;
            await _tiles.PutSegmentAsync(segment, stop).ConfigureAwait(false);
            for (int i = 1; i < completed.Count; i++) await _tiles.PutUpperTileAsync(completed[i], stop).ConfigureAwait(false);
        }
    }

    private int AppendUntilSealed(ReadOnlySpan<byte> entries, ref int leaf, List<FullTile> completed)
    {
        int taken = 0;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(entries))
        {
            int size = EntryBundle.EncodedSize(entry.Length);
            if (_openLength + size > _open.Length)
            {
                // Snapshots keep the old array, so the bytes that they refer to never change.
                byte[] larger = GC.AllocateUninitializedArray<byte>(StoredTree.Grown(_open.Length, _openLength + size));
                _open.AsSpan(0, _openLength).CopyTo(larger);
                _open = larger;
            }

            EntryBundle.Write(entry, _open.AsSpan(_openLength));
            _openLength += size;
            taken += size;
            _duplicates.Add(_leaves[leaf], _edge.Size);
            _edge.Append(_leaves[leaf++], completed);
            if (completed.Count > 0) break;
        }

        return taken;
    }

    /// <summary>Compares the signed root with the root of the stored tiles. Only reads, and runs before any further segment is sealed.</summary>
    private async ValueTask CheckSealedAsync(TreeHead signed, CancellationToken stop)
    {
        Hash found = (await new TileReader(_tiles).BuildAsync(ProofPlan.Root(signed.Size), _latest, stop).ConfigureAwait(false))[0];
        if (found != signed.Root) throw new DamageException(new Damage("tree", "segments", null, null, $"root {signed.Root} at the signed size {signed.Size}", $"root {found}"));
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
