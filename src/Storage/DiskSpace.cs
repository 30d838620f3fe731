namespace TransparencyLog.Storage;

/// <summary>
/// Whether the file system of a directory still has more than a reserve: below it nothing new is taken, so that what is under way, and the record of what was signed,
/// can be written to the end. Asked of the system 20 times a second at most. Quotas are not seen. Thread-safe.
/// </summary>
/// <param name="directory">Any directory of the file system.</param>
/// <param name="reserve">Bytes that are to stay free.</param>
public sealed class DiskSpace(string directory, long reserve)
{
    /// <summary>In this time the fastest writer writes some ten megabytes, which a reserve has to have room for beside the rest.</summary>
    private const int LookEveryMilliseconds = 50;

    private readonly DriveInfo _drive = new(directory);
    private long _nextLook = Environment.TickCount64;
    private long _free = long.MaxValue;

    /// <summary>The bytes that are to stay free.</summary>
    public long Reserve => reserve;

    /// <summary>Bytes free for a process like this one, as of the last look.</summary>
    public long Free
    {
        get
        {
            long now = Environment.TickCount64, next = Volatile.Read(ref _nextLook);
            if (now >= next && Interlocked.CompareExchange(ref _nextLook, now + LookEveryMilliseconds, next) == next) Volatile.Write(ref _free, _drive.AvailableFreeSpace);
            return Volatile.Read(ref _free);
        }
    }

    /// <summary>Whether less is free.</summary>
    public bool IsLow => Free < reserve;
}
