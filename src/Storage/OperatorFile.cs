// A small file that an operator writes and this process reads, now or again and again: a list of logs, say. It may be reached through symbolic links, which are followed each
// time (an orchestrator swaps one of them to update a mounted folder). Whatever stands at the path, reading it ends: a pipe or a device is refused by its type.

using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Reads files of operators.</summary>
public static class OperatorFile
{
    /// <summary>Reads a regular file whole, following links, without waiting for anything but its disk.</summary>
    /// <param name="path">The file.</param>
    /// <param name="limit">Most bytes.</param>
    /// <param name="bytes">Its bytes; none when it does not exist.</param>
    /// <returns>False when nothing is at the path (ENOENT), and only then.</returns>
    /// <exception cref="StorageException">It cannot be read, is no regular file, or is larger than <paramref name="limit"/> bytes.</exception>
    public static bool TryRead(string path, int limit, out byte[] bytes)
    {
        bytes = [];
        if (Posix.Stat(path) is not PathInfo info) return false;
        if (info.Kind != PathKind.File) throw new StorageException($"{path} is {Paths.Describe(info.Kind)}; a regular file is expected");
        if (info.Length > limit) throw TooLarge(path, limit);
        try
        {
            // What stands there may have been replaced since: opening a pipe does not wait, and it cannot be read at an offset.
            using SafeFileHandle file = Posix.Open(path, Posix.ReadOnly);
            byte[] read = new byte[info.Length + 1];
            int got = Posix.Read(file, read, 0, path);
            while (got == read.Length)
            {
                // It has grown.
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
