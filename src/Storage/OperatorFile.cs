// Reads a small file that an operator writes, such as a list of logs, once or repeatedly. Symbolic links on the way are followed at every read, because an
// orchestrator updates a mounted folder by swapping a link. A read never blocks on the file type: a pipe or a device is refused.

using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Reads files that operators write.</summary>
public static class OperatorFile
{
    /// <summary>Reads a whole regular file. Follows links, and waits for nothing but the disk.</summary>
    /// <param name="path">The file.</param>
    /// <param name="limit">The largest accepted size in bytes.</param>
    /// <param name="bytes">The content; empty when the file does not exist.</param>
    /// <returns>False only when nothing is at the path (ENOENT).</returns>
    /// <exception cref="StorageException">The file cannot be read, is not a regular file, or is larger than <paramref name="limit"/> bytes.</exception>
    public static bool TryRead(string path, int limit, out byte[] bytes)
    {
        bytes = [];
        if (Posix.Stat(path) is not PathInfo info) return false;
        if (info.Kind != PathKind.File) throw new StorageException($"{path} is {Paths.Describe(info.Kind)}; a regular file is expected");
        if (info.Length > limit) throw TooLarge(path, limit);
        try
        {
            // The file may have been replaced since. Opening a pipe does not wait, and reading it at an offset fails.
            using SafeFileHandle file = Posix.Open(path, Posix.ReadOnly);
            byte[] read = new byte[info.Length + 1];
            int got = Posix.Read(file, read, 0, path);
            while (got == read.Length)
            {
                // The file has grown since.
                if (got > limit) throw TooLarge(path, limit);
                Array.Resize(ref read, Math.Min(2 * read.Length, limit + 1));
                got += Posix.Read(file, read.AsSpan(got), got, path);
            }

            bytes = read[..got];
            return true;
        }
        catch (StorageException gone) when (gone.Errno == Posix.ErrnoNoEntry)
        {
            return false;
        }
    }

    private static StorageException TooLarge(string path, int limit) => new($"{path} has more than {limit} bytes");
}
