namespace TransparencyLog.Storage;

/// <summary>The type of file that a path names.</summary>
internal enum PathKind
{
    /// <summary>A regular file.</summary>
    File,

    /// <summary>A directory.</summary>
    Directory,

    /// <summary>A symbolic link that was not followed.</summary>
    SymbolicLink,

    /// <summary>A named pipe. Opening it may wait for ever.</summary>
    Fifo,

    /// <summary>A socket or a device.</summary>
    Other,
}

/// <summary>The result of stat(2) for a path.</summary>
/// <param name="Kind">The type of file.</param>
/// <param name="Mode">The permission bits with set-user-ID, set-group-ID and sticky: 12 bits.</param>
/// <param name="Length">Size in bytes.</param>
/// <param name="Links">The number of names (hard links) of the file.</param>
/// <param name="UserId">The owner.</param>
/// <param name="GroupId">The group.</param>
/// <param name="Device">The device; with <paramref name="Inode"/> it identifies the file.</param>
/// <param name="Inode">The inode number.</param>
/// <param name="Modified">When it was last written, in nanoseconds since 1970.</param>
internal sealed record PathInfo(PathKind Kind, int Mode, long Length, uint Links, uint UserId, uint GroupId, ulong Device, ulong Inode, long Modified);
