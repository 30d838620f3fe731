namespace TransparencyLog.Storage;

/// <summary>Which file a path names, and in which state: equal values mean that nothing has changed.</summary>
/// <param name="Device">The device.</param>
/// <param name="Inode">The inode on it.</param>
/// <param name="Length">Bytes in the file.</param>
/// <param name="Modified">When the file was written to last, in nanoseconds since 1970.</param>
public readonly record struct FileVersion(ulong Device, ulong Inode, long Length, long Modified);

/// <summary>
/// Answers whether a path exists, truthfully: false only when the kernel says that nothing has that name (ENOENT). Whatever else keeps the answer from being known, a refusal
/// (EACCES), a failing disk (EIO), a loop of symbolic links (ELOOP), a link whose target is missing, is a <see cref="StorageException"/> that names the path, its mode and the user.
/// </summary>
public static class Paths
{
    /// <summary>Whether a path names something, of whatever type.</summary>
    /// <exception cref="StorageException">It is not known.</exception>
    public static bool Exists(string path) => Posix.Stat(path, follow: false) is not null;

    /// <summary>Whether a path names a regular file; a symbolic link is followed.</summary>
    /// <exception cref="StorageException">It is not known, or the path names something else.</exception>
    public static bool FileExists(string path) => Is(path, PathKind.File);

    /// <summary>Whether a path names a directory; a symbolic link is followed.</summary>
    /// <exception cref="StorageException">It is not known, or the path names something else.</exception>
    public static bool DirectoryExists(string path) => Is(path, PathKind.Directory);

    /// <summary>Whether a path names a directory rather than nothing or something else; a symbolic link is followed.</summary>
    /// <exception cref="StorageException">It is not known.</exception>
    public static bool IsDirectory(string path) => Posix.Stat(path)?.Kind == PathKind.Directory;

    /// <summary>The names in a directory, in ordinal order.</summary>
    /// <exception cref="StorageException">The directory does not exist, or cannot be read to its end.</exception>
    public static IReadOnlyList<string> NamesIn(string directory) => Posix.List(directory);

    /// <summary>The first name in a directory that neither is <paramref name="allowed"/> nor belongs to its file system; null when there is none.</summary>
    /// <exception cref="StorageException">The directory does not exist, or cannot be read to its end.</exception>
    public static string? FirstIn(string directory, params string[] allowed) =>
        Posix.List(directory).Find(name => !IsOfFileSystem(name) && !allowed.Contains(name, StringComparer.Ordinal));

    /// <summary>What changes when a file is replaced or written to; null when there is no such file.</summary>
    /// <exception cref="StorageException">It is not known.</exception>
    public static FileVersion? VersionOf(string path) =>
        Posix.Stat(path) is PathInfo info ? new FileVersion(info.Device, info.Inode, info.Length, info.Modified) : null;

    /// <summary>Whether a path, which need not exist yet, is a directory or lies below it, however symbolic links and mounts lead there.</summary>
    internal static bool IsWithin(string path, string directory)
    {
        return Posix.Stat(directory) is PathInfo outer
            && RealFolders(path).Any(folder => Posix.Stat(folder) is PathInfo info && info.Device == outer.Device && info.Inode == outer.Inode);
    }

    /// <summary>What exists of a path, without symbolic links: from its last part upwards to the root.</summary>
    internal static IEnumerable<string> RealFolders(string path)
    {
        string? there = Path.GetFullPath(path);
        while (there is not null && Posix.Stat(there) is null) there = Path.GetDirectoryName(there);
        for (there = there is null ? null : Posix.RealPath(there); there is not null; there = Path.GetDirectoryName(there)) yield return there;
    }

    /// <summary>
    /// Whether a name belongs to the file system or its server, which put it there: <c>lost+found</c> of ext4, the snapshots of a filer, what NFS keeps of a removed
    /// file that is open. An empty directory may hold such names, and they are no damage anywhere.
    /// </summary>
    internal static bool IsOfFileSystem(string name) => name is "lost+found" or ".snapshot" or ".snapshots" or ".zfs" || name.StartsWith(".nfs", StringComparison.Ordinal);

    /// <summary>What a path names, in words for a message.</summary>
    internal static string Describe(PathKind kind) => kind switch
    {
        PathKind.File => "a file",
        PathKind.Directory => "a directory",
        PathKind.SymbolicLink => "a symbolic link",
        PathKind.Fifo => "a named pipe",
        _ => "a device or a socket",
    };

    private static bool Is(string path, PathKind kind)
    {
        if (Posix.Stat(path) is not PathInfo info) return false;
        return info.Kind == kind ? true : throw new StorageException($"{path} is {Describe(info.Kind)}, not {Describe(kind)}");
    }
}
