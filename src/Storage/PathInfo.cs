namespace TransparencyLog.Storage;

/// <summary>What a path can name.</summary>
internal enum PathKind
{
    /// <summary>A regular file.</summary>
    File,

    /// <summary>A directory.</summary>
    Directory,

    /// <summary>A symbolic link that was not followed.</summary>
    SymbolicLink,

    /// <summary>A named pipe: opening it may wait for ever.</summary>
    Fifo,

    /// <summary>A socket or a device.</summary>
    Other,
}

/// <summary>What stat(2) says of a path.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Mode">Permission bits, with set-user-ID, set-group-ID and sticky: 12 bits.</param>
/// <param name="Length">Size in bytes.</param>
/// <param name="Links">How many names the file has.</param>
/// <param name="UserId">The owner.</param>
/// <param name="GroupId">The group.</param>
/// <param name="Device">The device; with <paramref name="Inode"/> it identifies the file.</param>
/// <param name="Inode">The inode number.</param>
/// <param name="Modified">When it was written to last, in nanoseconds since 1970.</param>
internal sealed record PathInfo(PathKind Kind, int Mode, long Length, uint Links, uint UserId, uint GroupId, ulong Device, ulong Inode, long Modified);
