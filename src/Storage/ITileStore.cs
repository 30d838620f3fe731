namespace TransparencyLog.Storage;

/// <summary>
/// Stores sealed bytes: full entry bundles and full tiles of every level. The bytes at every path are a function of the journal. So storing the same bytes
/// again is always allowed, and other bytes at the same path are evidence against this log. One writer, many readers. Nothing is deleted except by pruning.
/// </summary>
public interface ITileStore : IAsyncDisposable
{
    /// <summary>The number of segments stored, without a gap from 0. Their tiles can be read.</summary>
    long SegmentCount { get; }

    /// <summary>The number of segments that would survive a power loss now, with every tile above them. The journal may drop their entries.</summary>
    long DurableSegmentCount { get; }

    /// <summary>
    /// Stores the next segment, or an earlier one again. It can be read when this returns, and is durable when <see cref="DurableSegmentCount"/> covers it.
    /// Throws <see cref="ConflictException"/> when other bytes are stored for it.
    /// </summary>
    ValueTask PutSegmentAsync(SealedSegment segment, CancellationToken stop);

    /// <summary>
    /// Stores a full tile of level 1 or above, in the order in which tiles become full. The same tile again is allowed; other bytes throw
    /// <see cref="ConflictException"/>.
    /// </summary>
    ValueTask PutUpperTileAsync(FullTile tile, CancellationToken stop);

    /// <summary>Throws when background work has failed. Nothing is stored after that, so no more entries may be promised: they could not be sealed.</summary>
    void ThrowIfFailed();

    /// <summary>Makes everything stored so far durable.</summary>
    ValueTask FlushAsync(CancellationToken stop);

    /// <summary>
    /// The bytes at a path: the stored bytes for a full tile or bundle, a prefix of the stored full one for a partial one. Null when the full one is not
    /// stored, because it belongs to the open segment or the right edge. Throws <see cref="DamageException"/> when the stored bytes are not those that were
    /// put.
    /// </summary>
    ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, CancellationToken stop);

    /// <summary>
    /// The size in bytes of a full bundle, from its seal: the bundle itself is not read. Null when it is not stored. Throws <see cref="DamageException"/>
    /// when the seal is not the one that was put.
    /// </summary>
    ValueTask<long?> GetBundleSizeAsync(long number, CancellationToken stop);

    /// <summary>The Merkle root of a full tile. The tile must be stored.</summary>
    ValueTask<Hash> GetRootAsync(int level, long index, CancellationToken stop);
}

/// <summary>
/// 256 entries that will not change any more. The store keeps a reference to this memory until the segment is durable, so nobody may change it.
/// </summary>
/// <param name="Number">The number of the segment: its first entry has index <paramref name="Number"/> * 256.</param>
/// <param name="Bundle">The 256 entries with u16 length prefixes; at most 256 * 65,537 bytes.</param>
/// <param name="Tile">Their leaf hashes: 8,192 bytes, the full tile of level 0.</param>
/// <param name="Root">The Merkle tree hash over them.</param>
public sealed record SealedSegment(long Number, ReadOnlyMemory<byte> Bundle, ReadOnlyMemory<byte> Tile, Hash Root);

/// <summary>Two different contents for one place: the log would contradict itself. The server halts and stays halted after a restart.</summary>
/// <param name="message">What was found, for the operator.</param>
/// <param name="evidence">The part of it that proves the contradiction to others; null when nothing does. Its signatures are not verified yet: the catcher
/// does that.</param>
public sealed class ConflictException(string message, TlogEvidence? evidence = null) : StorageException(message)
{
    /// <summary>
    /// The part of it that proves the contradiction to others; null when nothing does. Its signatures are not verified yet: the catcher does that.
    /// </summary>
    public TlogEvidence? Evidence { get; } = evidence;
}
