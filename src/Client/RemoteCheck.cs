// fsck over HTTP: rebuilds a tree from the entries that a tile log serves, and compares everything that the log serves at that size.

using System.Globalization;

namespace TransparencyLog.Client;

/// <summary>The result of a check that found no damage.</summary>
/// <param name="Checkpoint">The checkpoint that was checked.</param>
/// <param name="Verified">The same with its signers; null when no policy was given, because then the signatures are not verified.</param>
/// <param name="Tiles">How many tiles and bundles were compared.</param>
public sealed record RemoteReport(Checkpoint Checkpoint, VerifiedCheckpoint? Verified, long Tiles);

/// <summary>Checks a log that is served over HTTP.</summary>
public static class RemoteCheck
{
    /// <summary>
    /// Reads the checkpoint, then every bundle and every tile of every level at its size, partial ones included, and compares them with the tree that the entry
    /// bytes make. Then reads the checkpoint again: it must not be smaller, and a larger one must be consistent.
    /// Memory does not grow with the log: at most 32 segments are in flight at the same time. They are read and hashed on all cores.
    /// </summary>
    /// <param name="log">The log.</param>
    /// <param name="policy">The policy that the checkpoint has to satisfy; null for none.</param>
    /// <param name="progress">Called after each segment, one call at a time, with the number of entries checked and the number of all entries.</param>
    /// <param name="stop">Cancels the check.</param>
    /// <exception cref="LogReaderException">
    /// The first damage (<see cref="LogFailure.Lie"/> or <see cref="LogFailure.Missing"/>, with its <see cref="Damage"/>), or the log cannot be read.
    /// </exception>
    public static async Task<RemoteReport> RunAsync(LogReader log, Policy? policy, Action<long, long>? progress = null, CancellationToken stop = default)
    {
        (Checkpoint checkpoint, VerifiedCheckpoint? verified) = await ReadCheckpointAsync(log, policy, stop).ConfigureAwait(false);
        TreeCheck tree = new([new ClaimedRoot(checkpoint.Size, checkpoint.Root, "checkpoint")]);
        Require(log, tree.CheckBegin());
        long tiles = 0;
        await foreach ((byte[] bundle, byte[] tile, Hash[]? leaves) in ReadSegmentsAsync(log, checkpoint, stop).ConfigureAwait(false))
        {
            long number = tree.Size / EntryBundle.Width;
            int width = TilePath.WidthAt(0, number, checkpoint.Size);
            Require(log, tree.Add(bundle, tile, width, new TilePath(TilePath.EntriesLevel, number, width).ToString(), new TilePath(0, number, width).ToString(), leaves));
            foreach (FullTile full in tree.Completed.Where(full => full.Level > 0))
            {
                await CompareAsync(log, checkpoint, new TilePath(full.Level, full.Index), full.Hashes, stop).ConfigureAwait(false);
                tiles++;
            }

            tiles += 2;
            progress?.Invoke(tree.Size, checkpoint.Size);
        }

        foreach ((TilePath path, ReadOnlyMemory<byte> hashes) in tree.PartialTiles())
        {
            await CompareAsync(log, checkpoint, path, hashes, stop).ConfigureAwait(false);
            tiles++;
        }

        await CheckGrowthAsync(log, policy, checkpoint, verified, stop).ConfigureAwait(false);
        return new RemoteReport(checkpoint, verified, tiles);
    }

    private static async Task<(Checkpoint, VerifiedCheckpoint?)> ReadCheckpointAsync(LogReader log, Policy? policy, CancellationToken stop)
    {
        if (policy is null) return ((await log.ReadUnverifiedCheckpointAsync(stop).ConfigureAwait(false)).Checkpoint, null);
        VerifiedCheckpoint verified = await log.ReadCheckpointAsync(policy, stop).ConfigureAwait(false);
        return (verified.Checkpoint, verified);
    }

    /// <summary>The bundle and tile of every segment, in order. A few segments are read ahead.</summary>
    private static async IAsyncEnumerable<Segment> ReadSegmentsAsync(
        LogReader log, Checkpoint checkpoint, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken stop)
    {
        long segments = (checkpoint.Size / EntryBundle.Width) + (checkpoint.Size % EntryBundle.Width == 0 ? 0 : 1);
        using CancellationTokenSource rest = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Queue<Task<Segment>> reading = new();
        ReadAhead ahead = new(log.Time);
        long next = 0;
        try
        {
            while (next < segments || reading.Count > 0)
            {
                while (next < segments && reading.Count < ahead.Segments) reading.Enqueue(ReadSegmentAsync(log, next++, checkpoint, rest.Token));
                Segment segment = await reading.Peek().ConfigureAwait(false);
                ahead.Count(segment.Bundle.Length);
                yield return segment;
                _ = reading.Dequeue();
            }
        }
        finally
        {
            // Cancel the reads still in flight and wait for them, so that none outlives this method. Their results and failures no longer matter.
            await rest.CancelAsync().ConfigureAwait(false);
            await Task.WhenAll(reading).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Reads the bundle and the tile at the same time. The leaf hashes are most of the work of a check, so the thread that completes the read computes them.
    /// </summary>
    private static async Task<Segment> ReadSegmentAsync(LogReader log, long number, Checkpoint checkpoint, CancellationToken stop)
    {
        Task<byte[]> bundle = log.ReadBundleAsync(number, checkpoint, stop), tile = log.ReadTileAsync(0, number, checkpoint, stop);

        // Wait for both. If both fail, the failure of the bundle is thrown, because the tile is derived from the bundle.
        await Task.WhenAll(bundle, tile).ConfigureAwait(false);
        byte[] entries = await bundle.ConfigureAwait(false);
        return new Segment(entries, await tile.ConfigureAwait(false), TreeCheck.Leaves(entries));
    }

    private static async Task CompareAsync(LogReader log, Checkpoint checkpoint, TilePath path, ReadOnlyMemory<byte> expected, CancellationToken stop)
    {
        byte[] found = await log.ReadTileAsync(path.Level, path.Index, checkpoint, stop).ConfigureAwait(false);
        Require(log, TreeCheck.Compare(path, expected.Span, found, path.ToString()));
    }

    private static async Task CheckGrowthAsync(LogReader log, Policy? policy, Checkpoint before, VerifiedCheckpoint? verified, CancellationToken stop)
    {
        (Checkpoint now, VerifiedCheckpoint? verifiedNow) = await ReadCheckpointAsync(log, policy, stop).ConfigureAwait(false);
        string sizeBefore = before.Size.ToString(CultureInfo.InvariantCulture);
        if (now.Origin != before.Origin) Require(log, new Damage("checkpoint", "checkpoint", null, null, "the origin of a moment ago", "another one"));
        if (now.Size < before.Size) Require(log, new Damage("checkpoint", "checkpoint", null, null, $"size {sizeBefore} or more, which was served before", $"size {now.Size}"));
        Hash[] proof = now.Size > before.Size && before.Size > 0 ? await log.BuildAsync(ProofPlan.Consistency(before.Size, now.Size), now, stop).ConfigureAwait(false) : [];
        if (!MerkleProof.VerifyConsistency(before.Size, now.Size, before.Root, now.Root, proof))
        {
            // SPEC CP-14: whoever follows a log keeps what it contradicts itself with.
            TlogEvidence? evidence = verified is not null && verifiedNow is not null ? await log.CompareAsync(verified.LogNote(), verifiedNow.LogNote(), stop).ConfigureAwait(false) : null;
            Require(log, new Damage("checkpoint", "checkpoint", null, null, $"a tree that begins with that of size {sizeBefore}, root {before.Root}", $"size {now.Size}, root {now.Root}, which does not"), evidence);
        }
    }

    private static void Require(LogReader log, Damage? damage, TlogEvidence? evidence = null)
    {
        if (damage is not null) throw new LogReaderException(LogFailure.Lie, $"{log.Url}: {damage}", damage, evidence);
    }

    private sealed record Segment(byte[] Bundle, byte[] Tile, Hash[]? Leaves);
}
