using System.Runtime.CompilerServices;

namespace TransparencyLog.Store;

/// <summary>The tiles of a store in memory. Everything in its state is guarded by the gate of the store.</summary>
internal sealed class MemoryTiles(MemoryStore store, MemoryTiles.State state) : ITileStore
{
    /// <inheritdoc/>
    public long SegmentCount
    {
        get
        {
            lock (store.Gate) return state.Segments.Count;
        }
    }

    /// <inheritdoc/>
    public long DurableSegmentCount
    {
        get
        {
            lock (store.Gate) return state.Durable;
        }
    }

    /// <inheritdoc/>
    public ValueTask PutSegmentAsync(SealedSegment segment, CancellationToken stop)
    {
        segment.ThrowUnlessWhole();
        stop.ThrowIfCancellationRequested();
        lock (store.Gate)
        {
            store.ThrowIfFenced_NeedsLock();
            state.Put(segment);
            return ValueTask.CompletedTask;
        }
    }

    /// <inheritdoc/>
    public ValueTask PublishAsync(PublishedHead head, OpenEdge edge, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        lock (store.Gate)
        {
            store.ThrowIfFenced_NeedsLock();
            edge.ThrowUnlessFits(head, state.Segments.Count);
            if (head.Size < state.Published?.Head.Size) return ValueTask.CompletedTask;
            state.Published = new Published(head, edge);
        }

        state.PublishedChanged.Set();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<PublishedHead?> ReadPublishedAsync(CancellationToken stop) => ValueTask.FromResult(ReadPublished()?.Head);

    /// <inheritdoc/>
    public async IAsyncEnumerable<PublishedHead> WatchAsync([EnumeratorCancellation] CancellationToken stop)
    {
        PublishedHead? seen = null;
        while (true)
        {
            Task changed = state.PublishedChanged.Next, ended = store.Changed.Next;
            PublishedHead? newest = ReadPublished()?.Head;
            if (newest is null || ReferenceEquals(newest, seen))
            {
                await Task.WhenAny(changed, ended).WaitAsync(stop).ConfigureAwait(false);
                continue;
            }

            seen = newest;
            yield return newest;
        }
    }

    /// <inheritdoc/>
    public ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, long publishedSize, CancellationToken stop)
    {
        if (ReadPublished() is not Published published || publishedSize > published.Head.Size || !path.IsCoveredBy(publishedSize))
        {
            return ValueTask.FromResult<ReadOnlyMemory<byte>?>(null);
        }

        ReadOnlyMemory<byte>? open = published.Edge.Find(path);
        return open is null ? GetSealedAsync(path, stop) : ValueTask.FromResult(open);
    }

    /// <inheritdoc/>
    public ValueTask<ReadOnlyMemory<byte>?> GetSealedAsync(TilePath path, CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            ReadOnlyMemory<byte>? full = state.Find(path);
            return ValueTask.FromResult(full is ReadOnlyMemory<byte> bytes ? TileReading.PrefixOf(bytes, path) : full);
        }
    }

    /// <inheritdoc/>
    public ValueTask<long?> GetBundleSizeAsync(long number, CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            bool isStored = number >= 0 && number < state.Segments.Count;
            return ValueTask.FromResult<long?>(isStored ? state.Segments[(int)number].Bundle.Length : null);
        }
    }

    /// <inheritdoc/>
    public ValueTask<Hash> GetRootAsync(int level, long index, CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            return ValueTask.FromResult(
                level == 0 && index >= 0 && index < state.Segments.Count ? state.Segments[(int)index].Root
                : state.Upper.TryGetValue((level, index), out FullTile tile) ? tile.Root
                : throw new DamageException(new Damage("tile", "memory", null, null, $"tile {index} of level {level}", "nothing")));
        }
    }

    /// <inheritdoc/>
    public void ThrowIfFailed()
    {
        lock (store.Gate) store.ThrowIfFenced_NeedsLock();
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfFenced_NeedsLock();
            state.Durable = state.Segments.Count;
            return ValueTask.CompletedTask;
        }
    }

    private Published? ReadPublished()
    {
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            return state.Published;
        }
    }

    /// <summary>A head that readers see, with the part of the tree that no full tile holds.</summary>
    internal sealed record Published(PublishedHead Head, OpenEdge Edge);

    /// <summary>What the store of tiles holds.</summary>
    internal sealed class State
    {
        public List<SealedSegment> Segments { get; } = [];

        public Dictionary<(int Level, long Index), FullTile> Upper { get; } = [];

        public Published? Published { get; set; }

        /// <summary>Set when a head was published.</summary>
        public Signal PublishedChanged { get; } = new();

        public long Durable { get; set; }

        public required int SegmentsPerCommit { get; init; }

        public void Put(SealedSegment segment)
        {
            if (segment.Number < Segments.Count)
            {
                ThrowUnlessSame(segment);
                return;
            }

            if (segment.Number > Segments.Count)
            {
                throw new ArgumentException($"segment {Segments.Count} comes next, not {segment.Number}", nameof(segment));
            }

            Segments.Add(segment);
            foreach (FullTile tile in segment.Upper) Upper.Add((tile.Level, tile.Index), tile);
            if (Segments.Count - Durable >= SegmentsPerCommit) Durable = Segments.Count;
        }

        /// <summary>The full tile or bundle to which a path belongs; null where it is not stored.</summary>
        public ReadOnlyMemory<byte>? Find(TilePath path)
        {
            if (path.Level >= 1 && !Upper.ContainsKey((path.Level, path.Index))) return null;
            if (path.Level >= 1) return Upper[(path.Level, path.Index)].Hashes;
            if (path.Index >= Segments.Count) return null;
            SealedSegment segment = Segments[(int)path.Index];
            return path.IsEntries ? segment.Bundle : segment.Tile;
        }

        /// <summary>Nothing that was published is durable, and of the segments the first <see cref="Durable"/> are.</summary>
        public void LoseWhatIsNotDurable()
        {
            Published = null;
            foreach (FullTile tile in Segments.Skip((int)Durable).SelectMany(segment => segment.Upper))
            {
                Upper.Remove((tile.Level, tile.Index));
            }

            Segments.RemoveRange((int)Durable, Segments.Count - (int)Durable);
        }

        private void ThrowUnlessSame(SealedSegment segment)
        {
            SealedSegment stored = Segments[(int)segment.Number];
            bool same = stored.Root == segment.Root
                && stored.Bundle.Span.SequenceEqual(segment.Bundle.Span)
                && stored.Tile.Span.SequenceEqual(segment.Tile.Span)
                && stored.Upper.Zip(segment.Upper).All(tiles => IsSame(tiles.First, tiles.Second));
            if (!same) throw new StoreConflictException($"segment {segment.Number} is stored with other bytes");
        }

        private static bool IsSame(FullTile one, FullTile other) =>
            one.Root == other.Root && one.Hashes.Span.SequenceEqual(other.Hashes.Span);
    }
}
