namespace TransparencyLog.Storage;

/// <summary>Identifies the file that a path names, and its state. Two equal values mean that the file was not replaced or written to.</summary>
/// <param name="Device">The device.</param>
/// <param name="Inode">The inode on it.</param>
/// <param name="Length">Bytes in the file.</param>
/// <param name="Modified">When the file was last written, in nanoseconds since 1970.</param>
public readonly record struct FileVersion(ulong Device, ulong Inode, long Length, long Modified);

/// <summary>
/// Answers truthfully whether a path exists: false only when the kernel says that nothing has that name (ENOENT). Any other failure is a
/// <see cref="StorageException"/> that names the path (for EACCES also the user and the mode): no permission (EACCES), a failing disk (EIO), a loop of
/// symbolic links (ELOOP), a link whose target is missing.
/// </summary>
public static class Paths
{
    /// <summary>Whether a path names something, of any type. A symbolic link is not followed.</summary>
    /// <exception cref="StorageException">The answer cannot be determined.</exception>
    public static bool Exists(string path) => Posix.Stat(path, follow: false) is not null;

    /// <summary>Whether a path names a regular file. A symbolic link is followed.</summary>
    /// <exception cref="StorageException">The answer cannot be determined, or the path names something else.</exception>
    public static bool FileExists(string path) => Is(path, PathKind.File);

    /// <summary>Whether a path names a directory. A symbolic link is followed.</summary>
    /// <exception cref="StorageException">The answer cannot be determined, or the path names something else.</exception>
    public static bool DirectoryExists(string path) => Is(path, PathKind.Directory);

    /// <summary>Whether a path names a directory; false also when it names something else. A symbolic link is followed.</summary>
    /// <exception cref="StorageException">The answer cannot be determined.</exception>
    public static bool IsDirectory(string path) => Posix.Stat(path)?.Kind == PathKind.Directory;

    /// <summary>The names in a directory, in ordinal order.</summary>
    /// <exception cref="StorageException">The directory does not exist, or cannot be read to its end.</exception>
    public static IReadOnlyList<string> NamesIn(string directory) => Posix.List(directory);

    /// <summary>
    /// The first name in a directory that is neither among <paramref name="allowed"/> nor put there by its file system; null when every name is one of these.
    /// </summary>
    /// <exception cref="StorageException">The directory does not exist, or cannot be read to its end.</exception>
    public static string? FirstIn(string directory, params string[] allowed) =>
        Posix.List(directory).Find(name => !IsOfFileSystem(name) && !allowed.Contains(name, StringComparer.Ordinal));

    /// <summary>The identity and state of a file, which change when it is replaced or written to. Null when the file does not exist.</summary>
    /// <exception cref="StorageException">The answer cannot be determined.</exception>
    public static FileVersion? VersionOf(string path) =>
        Posix.Stat(path) is PathInfo info ? new FileVersion(info.Device, info.Inode, info.Length, info.Modified) : null;

    /// <summary>Whether a path is a directory or lies below it, after symbolic links and mounts are resolved. The path need not exist yet.</summary>
    internal static bool IsWithin(string path, string directory)
    {
        return Posix.Stat(directory) is PathInfo outer
            && RealFolders(path).Any(folder => Posix.Stat(folder) is PathInfo info && info.Device == outer.Device && info.Inode == outer.Inode);
    }

    /// <summary>The existing part of a path with symbolic links resolved, then each folder above it up to the root.</summary>
    internal static IEnumerable<string> RealFolders(string path)
    {
        string? there = Path.GetFullPath(path);
        while (there is not null && Posix.Stat(there) is null) there = Path.GetDirectoryName(there);
        for (there = there is null ? null : Posix.RealPath(there); there is not null; there = Path.GetDirectoryName(there)) yield return there;
    }

    /// <summary>
    /// Whether a name was put there by the file system or its server: <c>lost+found</c> of ext4, the snapshots of a filer, the names that NFS keeps for files
    /// that were removed while open. A directory with only such names counts as empty, and such a name is never reported as damage.
    /// </summary>
    internal static bool IsOfFileSystem(string name) => name is "lost+found" or ".snapshot" or ".snapshots" or ".zfs" || name.StartsWith(".nfs", StringComparison.Ordinal);

    /// <summary>The type of a file in words, for a message.</summary>
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
