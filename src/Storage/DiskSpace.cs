using System.Globalization;

namespace TransparencyLog.Storage;

/// <summary>
/// Watches whether the file system of a directory still has a reserve of free bytes and inodes. Below the reserve nothing new is accepted, so that work under
/// way, and the record of signed heads, can be completed. Asks the kernel at most 20 times a second. Does not see quotas. Thread-safe.
/// </summary>
/// <param name="directory">Any directory of the file system.</param>
/// <param name="reserve">The number of bytes that must stay free.</param>
public sealed class DiskSpace(string directory, long reserve)
{
    /// <summary>
    /// The number of inodes that must stay free. A journal file, two data files of 1 GiB, and a temporary file for each of the dozen files that are replaced
    /// as a whole need fewer than 20 at the same time; the rest is for evidence, and for other processes that create files between two looks.
    /// </summary>
    internal const long InodeReserve = 64;

    /// <summary>
    /// The time between two looks. The fastest writer writes about ten megabytes in it, for which the reserve must have room in addition to the rest.
    /// </summary>
    private const int LookEveryMilliseconds = 50;

    private long _nextLook = Environment.TickCount64;
    private long _free = long.MaxValue, _inodes = long.MaxValue;

    /// <summary>The number of bytes that must stay free.</summary>
    public long Reserve => reserve;

    /// <summary>The bytes free for an unprivileged process as of the last look; 0 when the kernel could not say.</summary>
    public long Free
    {
        get
        {
            Look();
            return Volatile.Read(ref _free);
        }
    }

    /// <summary>
    /// The number of files that can still be created, as of the last look; <see cref="long.MaxValue"/> on a file system that does not count them.
    /// </summary>
    public long FreeInodes
    {
        get
        {
            Look();
            return Volatile.Read(ref _inodes);
        }
    }

    /// <summary>Whether fewer bytes or inodes are free than the reserve.</summary>
    public bool IsLow => Free < reserve || FreeInodes < InodeReserve;

    /// <summary>Describes the free space and the reserve, for an operator.</summary>
    public string Describe() => FreeInodes < InodeReserve
        ? string.Create(CultureInfo.InvariantCulture, $"{FreeInodes} inodes (files that can be created) are free, {InodeReserve} are kept for what is under way")
        : string.Create(CultureInfo.InvariantCulture, $"{Free} bytes are free, {reserve} are kept for what is under way");

    private void Look()
    {
        long now = Environment.TickCount64, next = Volatile.Read(ref _nextLook);
        if (now < next || Interlocked.CompareExchange(ref _nextLook, now + LookEveryMilliseconds, next) != next) return;
        try
        {
            (long bytes, long inodes) = Posix.FreeOf(directory);
            Volatile.Write(ref _free, bytes);
            Volatile.Write(ref _inodes, inodes);
        }
        catch (StorageException)
        {
            // Unknown space counts as no space. A disk that has failed altogether makes the next write fail.
            Volatile.Write(ref _free, 0);
        }
    }
}
