namespace TransparencyLog.Storage;

/// <summary>
/// What this process has asked of the disk since it started, over everything that is stored: counters for operators and benchmarks. A call counts once it
/// has returned without an error.
/// </summary>
/// <param name="DataSyncs">Calls of fdatasync: one a journal frame, and one a write of segments, tree or history.</param>
/// <param name="Syncs">Calls of fsync, of files that are replaced as a whole and of directories.</param>
/// <param name="BytesWritten">Bytes handed to pwrite, the zeros of new journal files included.</param>
public readonly record struct DiskUse(long DataSyncs, long Syncs, long BytesWritten)
{
    /// <summary>The counters now. Each is exact; they are not read at one moment.</summary>
    public static DiskUse OfProcess => Posix.Use;
}
