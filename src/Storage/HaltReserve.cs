using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>
/// The file <c>reserve</c> occupies disk space that only the record of a halt, or a start on a full disk, may use, by removing the file. The next start with
/// enough space creates it again.
/// </summary>
internal static class HaltReserve
{
    /// <summary>
    /// Room for the evidence of a halt, at most 1 MiB, for its line in a history that has to grow by as much, and for the commit record of a start.
    /// </summary>
    public const int Bytes = 4 * 1024 * 1024;

    private const string Name = "reserve";

    /// <summary>Creates the file unless it exists. On a full disk it is not created, and the start continues without it.</summary>
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

    /// <summary>Runs a write that needs disk space. When the disk is full, removes the reserve and runs it once more.</summary>
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
