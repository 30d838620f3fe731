namespace TransparencyLog.Storage;

/// <summary>
/// Where sealed bytes live: full entry bundles and full tiles of every level. The bytes at every path are a function of the journal, so putting the
/// same bytes again is always fine, and other bytes at a path are evidence against ourselves. One writer, many readers.
/// Nothing is ever deleted but by pruning.
/// </summary>
public interface ITileStore : IAsyncDisposable
{
    /// <summary>How many segments were put, without a gap from 0; their tiles can be read.</summary>
    long SegmentCount { get; }

    /// <summary>How many of them would survive a power loss now, with every tile above them. What the journal may forget.</summary>
    long DurableSegmentCount { get; }

    /// <summary>
    /// Puts the next segment, or one again. Readable when it returns; durable when <see cref="DurableSegmentCount"/> says so.
    /// Throws <see cref="ConflictException"/> when other bytes are stored for it.
    /// </summary>
    ValueTask PutSegmentAsync(SealedSegment segment, CancellationToken stop);

    /// <summary>Puts a full tile of level 1 or above, in the order in which they become full. Again is fine; other bytes throw <see cref="ConflictException"/>.</summary>
    ValueTask PutUpperTileAsync(FullTile tile, CancellationToken stop);

    /// <summary>Throws when something has failed in the background, after which nothing is put any more: so that no more entries are promised that could not be sealed.</summary>
    void ThrowIfFailed();

    /// <summary>Makes everything put so far durable.</summary>
    ValueTask FlushAsync(CancellationToken stop);

    /// <summary>
    /// The bytes at a path: for a full tile or bundle the stored bytes, for a partial one the prefix of the stored full one. Null when the full one is not
    /// stored: it belongs to the open segment or the right edge. Throws <see cref="DamageException"/> when what is stored is not what was put.
    /// </summary>
    ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, CancellationToken stop);

    /// <summary>
    /// Bytes of a full bundle, told by its seal: nothing of the bundle is read. Null when it is not stored. Throws <see cref="DamageException"/> when the seal is not what was put.
    /// </summary>
    ValueTask<long?> GetBundleSizeAsync(long number, CancellationToken stop);

    /// <summary>The Merkle root of a stored full tile. The caller knows that it is stored.</summary>
    ValueTask<Hash> GetRootAsync(int level, long index, CancellationToken stop);
}

/// <summary>256 entries that will not change any more. The store keeps the memory until it is durable: it is never changed either.</summary>
/// <param name="Number">Its number: it holds the entries from <paramref name="Number"/> * 256 on.</param>
/// <param name="Bundle">The 256 entries with u16 length prefixes; at most 256 * 65,537 bytes.</param>
/// <param name="Tile">Their leaf hashes: 8,192 bytes, the full tile of level 0.</param>
/// <param name="Root">The Merkle tree hash over them.</param>
public sealed record SealedSegment(long Number, ReadOnlyMemory<byte> Bundle, ReadOnlyMemory<byte> Tile, Hash Root);

/// <summary>Two different contents for one place: the log would contradict itself. The server halts, and says so after a restart too.</summary>
/// <param name="message">What was found, for the operator.</param>
/// <param name="evidence">What of it convinces others too; null when that is nothing. Its signatures are for the catcher to verify.</param>
public sealed class ConflictException(string message, TlogEvidence? evidence = null) : StorageException(message)
{
    /// <summary>What of it convinces others too; null when that is nothing. Its signatures are for the catcher to verify.</summary>
    public TlogEvidence? Evidence { get; } = evidence;
}
