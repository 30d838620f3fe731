// The way of an entry, first half: intake -> journal -> right edge -> segments (spec/life-of-an-entry.md).
// One loop, on a thread of its own because the journal's writes and syncs block it, owns the right edge and the open segment; readers get
// immutable snapshots.

using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Gives entries their index. What it has answered is final.</summary>
internal sealed class Sequencer
{
    private readonly Intake _intake;
    private readonly IJournal _journal;
    private readonly ITileStore _tiles;
    private readonly Action<TreeSnapshot> _grown;
    private readonly StoredTree _readBack;
    private readonly Duplicates _duplicates;
    private readonly Action<int> _beforeAnswer;
    private Hash[] _leaves = new Hash[1024]; // of the frame at hand
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

    /// <summary>The tree as it is now.</summary>
    public TreeSnapshot Latest => Volatile.Read(ref _latest);

    /// <summary>
    /// The sequencer of what is stored: the right edge from the roots of the last sealed tiles, then the journal's entries behind the last durable
    /// segment through the same method that new entries take. Refuses with <see cref="DamageException"/>, and has written nothing then, when segments and
    /// journal do not lead to what was signed.
    /// </summary>
    /// <param name="intake">Where entries wait; opened once all is recovered.</param>
    /// <param name="journal">The order of entries.</param>
    /// <param name="tiles">The sealed bytes.</param>
    /// <param name="signed">The head in the register; null before the first.</param>
    /// <param name="readBack">What was read back: the journal keeps what was not. It has checked the signed root in the stored entries.</param>
    /// <param name="duplicates">Is told of every entry of the tree from the first that is not sealed on.</param>
    /// <param name="grown">Called by the loop with each new snapshot; returns at once.</param>
    /// <param name="beforeAnswer">Called with the bytes of each durable frame before it is acknowledged; may block, or throw to end it.</param>
    /// <param name="stop">Ends the recovery.</param>
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

    /// <summary>Runs on the calling thread until the intake is closed and empty. Throws when storage fails: then nothing more is answered with success.</summary>
    /// <param name="stop">Ends it.</param>
    /// <param name="closing">Ends a wait for room on the disk: what waits for it is not stored.</param>
    public void Run(CancellationToken stop, CancellationToken closing)
    {
        while (_intake.Take() is Group group)
        {
            stop.ThrowIfCancellationRequested();

            try
            {
                // 1. One frame for all that waited, hashed, written and synced. A crash before this: nobody was answered, the frame is cut or taken
                //    in whole. A crash after this: the entries are in the log, answered or not.
                _tiles.ThrowIfFailed();
                Check(group);
                long first = Wait(_journal.AppendAsync(group.Frame, closing));
                if (first != group.FirstIndex) throw new StorageException($"the journal gave index {first} to what was to be entry {group.FirstIndex}");

                //    And this copy of the log is the one that goes on, as far as its guard knew a second ago.
                _beforeAnswer(group.Frame.EntryBytes);
            }
            catch (Exception failure)
            {
                _intake.Fail(failure);
                throw;
            }

            // 2. Now the index is a promise. Duplicates waited for the same frame and share its fate.
            _intake.Complete(group);

            // 3, 4. The tree grows; full segments are sealed. A crash here is repaired by the journal: recovery comes through the same method.
            Wait(IntegrateAsync(group.Frame.Entries, stop));
            Publish();
            _intake.Return(group, _latest);

            // The journal forgets what is sealed for good and was read back for a signature.
            Wait(_journal.TrimAsync(Math.Min(_tiles.DurableSegmentCount * EntryBundle.Width, _readBack.Size), stop));
        }
    }

    /// <summary>The leaf hashes from the frame, which the tree is grown from, have to be those from the buffers in which the entries came.</summary>
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

    /// <summary>Blocks: the sequencer has a thread of its own.</summary>
    private static void Wait(ValueTask task)
    {
        if (task.IsCompletedSuccessfully) return;
        task.AsTask().GetAwaiter().GetResult();
    }

    private static long Wait(ValueTask<long> task) => task.IsCompletedSuccessfully ? task.Result : task.AsTask().GetAwaiter().GetResult();

    /// <summary>Adds entries to the tree, from the bytes that were journalled and their hashes at hand, and seals every segment that becomes full.</summary>
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
                // Snapshots keep the old array: what they point to never changes.
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

    /// <summary>The signed root out of stored tiles alone: it only reads, before anything is sealed behind them.</summary>
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
