namespace TransparencyLog.Server;

/// <summary>
/// The tree at one size, as the sequencer left it. Never changes; shares the append-only buffers of the right edge. Together with the store it has every tile
/// and bundle of every size up to its own.
/// </summary>
/// <param name="Size">The tree size.</param>
/// <param name="Root">The root hash.</param>
/// <param name="PartialTiles">The right edge: the partial tile of each level, which may be empty.</param>
/// <param name="OpenBundle">The entries of the open segment, at most 255.</param>
internal sealed record TreeSnapshot(long Size, Hash Root, IReadOnlyList<ReadOnlyMemory<byte>> PartialTiles, ReadOnlyMemory<byte> OpenBundle)
{
    /// <summary>The empty tree. Every log begins with it.</summary>
    public static readonly TreeSnapshot Empty = new(0, MerkleHash.Empty, [], ReadOnlyMemory<byte>.Empty);
}
