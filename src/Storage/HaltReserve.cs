using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>
/// The file <c>reserve</c>: room on the disk that only a halt, or a start on a full disk, may use, by removing it. The next start with room makes it again.
/// </summary>
internal static class HaltReserve
{
    /// <summary>The evidence of a halt, at most 1 MiB, its line in a history that has to grow by another, and a start's commit record.</summary>
    public const int Bytes = 4 * 1024 * 1024;

    private const string Name = "reserve";

    /// <summary>Makes the file unless it is there. Without room for it there is none, and a start goes on.</summary>
    public static void Ensure(string directory)
    {
        string path = Path.Combine(directory, Name);
        if (Posix.Stat(path) is PathInfo { Kind: PathKind.File, Length: Bytes }) return;
        try
        {
            using SafeFileHandle file = Posix.Open(path, Posix.WriteOnly | Posix.Create | Posix.Truncate | Posix.NoFollow);
            byte[] zeros = new byte[Bytes];
            Posix.Write(file, zeros, 0, path);
            Posix.Sync(file, path);
            Posix.SyncDirectory(directory);
        }
        catch (StorageException failure) when (failure.IsFull)
        {
            Release(directory);
        }
    }

    /// <summary>Does what needs room; when there is none, gives up the reserve and does it once more.</summary>
    public static T Use<T>(string directory, Func<T> write)
    {
        try
        {
            return write();
        }
        catch (StorageException failure) when (failure.IsFull && Release(directory))
        {
            return write();
        }
    }

    private static bool Release(string directory)
    {
        string path = Path.Combine(directory, Name);
        if (Posix.Stat(path, follow: false) is null) return false;
        Posix.Unlink(path);
        return true;
    }
}
