using System.Globalization;

namespace TransparencyLog.Storage;

/// <summary>
/// Whether the file system of a directory still has more than a reserve of bytes and of inodes: below it nothing new is taken, so that what is under way, and the record
/// of what was signed, can be written to the end. Asked of the system 20 times a second at most. Quotas are not seen. Thread-safe.
/// </summary>
/// <param name="directory">Any directory of the file system.</param>
/// <param name="reserve">Bytes that are to stay free.</param>
public sealed class DiskSpace(string directory, long reserve)
{
    /// <summary>
    /// Inodes that are to stay free: a journal file, two data files of 1 GiB, and a second file for each of the dozen that are replaced as a whole come to less than 20 at
    /// once; the rest is for evidence and for the other processes that create files between two looks.
    /// </summary>
    internal const long InodeReserve = 64;

    /// <summary>In this time the fastest writer writes some ten megabytes, which a reserve has to have room for beside the rest.</summary>
    private const int LookEveryMilliseconds = 50;

    private long _nextLook = Environment.TickCount64;
    private long _free = long.MaxValue, _inodes = long.MaxValue;

    /// <summary>The bytes that are to stay free.</summary>
    public long Reserve => reserve;

    /// <summary>Bytes free for a process like this one, as of the last look.</summary>
    public long Free
    {
        get
        {
            Look();
            return Volatile.Read(ref _free);
        }
    }

    /// <summary>Files that can still be created, as of the last look; <see cref="long.MaxValue"/> on a file system that does not count them.</summary>
    public long FreeInodes
    {
        get
        {
            Look();
            return Volatile.Read(ref _inodes);
        }
    }

    /// <summary>Whether less is free.</summary>
    public bool IsLow => Free < reserve || FreeInodes < InodeReserve;

    /// <summary>What is free and what is kept, in words for an operator.</summary>
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
            // What cannot be known is not taken for room; a disk that fails altogether is met by the next write.
            Volatile.Write(ref _free, 0);
        }
    }
}
