// Files whose bytes and names survive a power loss. The order is always: write the bytes, sync, set the name, sync the directory.

using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Replaces small files as a whole, copies large ones, and creates directories, all of it durably.</summary>
public static class DurableFile
{
    /// <summary>
    /// Replaces <paramref name="path"/> with <paramref name="bytes"/>: temporary file, fsync, read back, rename, fsync of the directory.
    /// A crash leaves the old content or the new, never a mixture and never nothing.
    /// </summary>
    public static void Replace(string path, ReadOnlySpan<byte> bytes)
    {
        string temporary = path + ".new";
        using (SafeFileHandle file = Begin(temporary))
        {
            Posix.Write(file, bytes, 0, temporary);
            Posix.Sync(file, temporary);
            Posix.Verify(file, bytes, 0, temporary);
        }

        Take(temporary, path);
    }

    /// <summary>As above, with the first <paramref name="length"/> bytes of an open file. They are copied in chunks to limit the memory used.</summary>
    internal static void Replace(string path, SafeFileHandle from, long length, string fromPath)
    {
        string temporary = path + ".new";
        byte[] piece = new byte[64 * 1024];
        using (SafeFileHandle file = Begin(temporary))
        {
            for (long offset = 0; offset < length; offset += piece.Length)
            {
                Span<byte> part = piece.AsSpan(0, (int)Math.Min(piece.Length, length - offset));
                if (Posix.Read(from, part, offset, fromPath) != part.Length) throw new StorageException($"{fromPath} could not be read whole");
                Posix.Write(file, part, offset, temporary);
                Posix.Verify(file, part, offset, temporary);
            }

            Posix.Sync(file, temporary);
        }

        Take(temporary, path);
    }

    /// <summary>Copies a range of a file to the same offsets in another file, which is created if needed, and syncs that file.</summary>
    /// <param name="from">The file to copy from.</param>
    /// <param name="to">The file to copy to.</param>
    /// <param name="begin">The first offset.</param>
    /// <param name="end">The offset after the last byte.</param>
    /// <param name="kind">The kind of damage to report when the file ends before <paramref name="end"/>.</param>
    /// <param name="next">Called with the length of each chunk before it is copied. May block to throttle, or throw to cancel.</param>
    internal static void CopyRange(string from, string to, long begin, long end, string kind, Action<int> next)
    {
        using SafeFileHandle input = Posix.Open(from, Posix.ReadOnly | Posix.NoFollow);
        using SafeFileHandle output = Posix.Open(to, Posix.ReadWrite | Posix.Create | Posix.NoFollow);
        byte[] buffer = new byte[1024 * 1024];
        for (long offset = begin; offset < end; offset += buffer.Length)
        {
            Span<byte> piece = buffer.AsSpan(0, (int)Math.Min(buffer.Length, end - offset));
            next(piece.Length);
            int read = Posix.Read(input, piece, offset, from);
            if (read != piece.Length) throw DirectoryCheck.Damaged(kind, from, $"{end} bytes", $"{offset + read}");
            Posix.Write(output, piece, offset, to);
        }

        Posix.Sync(output, to);
    }

    /// <summary>
    /// Reads a whole small file. Returns false only when nothing has that name (ENOENT). Throws <see cref="StorageException"/> when it cannot be opened or
    /// read, is not a regular file, is a symbolic link whose target is missing, or is larger than <paramref name="limit"/> bytes.
    /// </summary>
    public static bool TryRead(string path, int limit, out byte[] bytes)
    {
        bytes = [];
        if (TryOpen(path) is not SafeFileHandle opened) return false;
        using SafeFileHandle file = opened;
        long length = Posix.LengthOf(file, path);
        if (length > limit) throw new StorageException($"{path} has {length} bytes; at most {limit} are read");
        byte[] read = new byte[length];
        int got = Posix.Read(file, read, 0, path);
        bytes = got == read.Length ? read : read[..got];
        return true;
    }

    /// <summary>Reads a whole small file that must exist; otherwise as <see cref="TryRead"/>.</summary>
    internal static byte[] Read(string path, int limit) => TryRead(path, limit, out byte[] bytes) ? bytes : throw new StorageException($"no such file: {path}");

    /// <summary>Opens a file for reading; null only when nothing has that name.</summary>
    internal static SafeFileHandle? TryOpen(string path)
    {
        try
        {
            return Posix.Open(path, Posix.ReadOnly);
        }
        catch (StorageException failure) when (failure.Errno == Posix.ErrnoNoEntry)
        {
            // ENOENT is also the answer for a symbolic link whose target is missing. That name exists, so Stat throws.
            return Posix.Stat(path) is null ? null : Posix.Open(path, Posix.ReadOnly);
        }
    }

    /// <summary>Makes a file that was written by other code durable: fsync of the file and of its directory.</summary>
    public static void Sync(string path)
    {
        using (SafeFileHandle file = Posix.Open(path, Posix.ReadOnly))
        {
            Posix.Sync(file, path);
        }

        Posix.SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Creates a directory (mode 0700) with all its parents, and makes each new name durable.</summary>
    public static void CreateDirectory(string path)
    {
        string full = Path.GetFullPath(path);
        if (Paths.DirectoryExists(full)) return;
        string parent = Path.GetDirectoryName(full)!;
        CreateDirectory(parent);
        Posix.MakeDirectory(full);
        Posix.SyncDirectory(parent);
    }

    private static SafeFileHandle Begin(string temporary) => Posix.Open(temporary, Posix.ReadWrite | Posix.Create | Posix.Truncate | Posix.NoFollow);

    private static void Take(string temporary, string path)
    {
        Posix.Rename(temporary, path);
        Posix.SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }
}
