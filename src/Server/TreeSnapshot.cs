using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>
/// The tree at one size, as the sequencer left it: never changes, shares the append-only buffers of the right edge. With the store it can give
/// every tile and bundle of every size up to its own.
/// </summary>
/// <param name="Size">The tree size.</param>
/// <param name="Root">The root hash.</param>
/// <param name="PartialTiles">The right edge: the partial tile of each level, perhaps empty.</param>
/// <param name="OpenBundle">The entries of the open segment, at most 255.</param>
internal sealed record TreeSnapshot(long Size, Hash Root, IReadOnlyList<ReadOnlyMemory<byte>> PartialTiles, ReadOnlyMemory<byte> OpenBundle);

/// <summary>Reads tiles and bundles: the right edge from a snapshot, everything sealed from the store. Thread-safe.</summary>
internal sealed class TileReader(ITileStore store)
{
    /// <summary>The bytes at a path that the snapshot's size covers; the caller has checked that. Null only for a path that it does not cover.</summary>
    public async ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, TreeSnapshot tree, CancellationToken stop)
    {
        if (!path.IsCoveredBy(tree.Size)) return null;
        int level = Math.Max(path.Level, 0);
        bool edge = path.Index == tree.Size >> (8 * (level + 1));
        if (!edge) return await store.GetAsync(path, stop).ConfigureAwait(false);
        return path.IsEntries
            ? tree.OpenBundle[..EntryBundle.PrefixLength(tree.OpenBundle.Span, path.Width)]
            : tree.PartialTiles[level][..(path.Width * Hash.Size)];
    }

    /// <summary>Reads what a plan needs and builds its proof, within a tree that the snapshot covers.</summary>
    public async ValueTask<Hash[]> BuildAsync(ProofPlan plan, TreeSnapshot tree, CancellationToken stop)
    {
        Dictionary<TilePath, ReadOnlyMemory<byte>> tiles = new(plan.Tiles.Count);
        foreach (TilePath path in plan.Tiles)
        {
            tiles[path] = await GetAsync(path, tree, stop).ConfigureAwait(false)
                ?? throw new DamageException(new Damage("tile", path.ToString(), null, null, "a stored tile", "nothing"));
        }

        return plan.TryBuild(path => tiles[path], out Hash[] proof)
            ? proof
            : throw new DamageException(new Damage("tile", "one of a proof's tiles", null, null, "a tile of the planned width", "another length"));
    }
}
