namespace TransparencyLog.Storage;

/// <summary>
/// Counts the disk writes and syncs of this process since it started, over everything it stores. For operators and benchmarks. A call counts once it has
/// returned without an error.
/// </summary>
/// <param name="DataSyncs">Calls of fdatasync: one per journal frame, and one per write of segments, tree or history.</param>
/// <param name="Syncs">Calls of fsync, on files that are replaced as a whole and on directories.</param>
/// <param name="BytesWritten">Bytes passed to pwrite, including the zeros of new journal files.</param>
public readonly record struct DiskUse(long DataSyncs, long Syncs, long BytesWritten)
{
    /// <summary>The current counters. Each is exact, but they are not read at the same moment.</summary>
    public static DiskUse OfProcess => Posix.Use;
}
