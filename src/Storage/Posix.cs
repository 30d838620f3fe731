// The calls of libc that Storage needs and .NET does not give truthfully: .NET 10 on Linux hides the errors of fsync,
// and cannot sync a directory. The one native file of Storage.
// Every failure is a StorageException that names the call, the file and errno.

using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

internal static partial class Posix
{
    public const int ReadOnly = 0, WriteOnly = 1, ReadWrite = 2;
    public const int Create = 0x40, Exclusive = 0x80, Truncate = 0x200, Directory = 0x10000, NoFollow = 0x20000, CloseOnExec = 0x80000;
    public const int ErrnoIntr = 4, ErrnoIo = 5, ErrnoWouldBlock = 11, ErrnoExists = 17, ErrnoNoSpace = 28;

    private const int LockExclusive = 2, LockShared = 1, LockNonBlocking = 4;

    public static SafeFileHandle Open(string path, int flags, int mode = 0b110_000_000 /* 0600 */)
    {
        while (true)
        {
            int descriptor = open(path, flags | CloseOnExec, mode);
            if (descriptor >= 0) return new SafeFileHandle((nint)descriptor, ownsHandle: true);
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw new StorageException("open", path, errno);
        }
    }

    /// <summary>Writes all of <paramref name="bytes"/> at <paramref name="offset"/>: loops over EINTR and short writes.</summary>
    public static unsafe void Write(SafeFileHandle file, ReadOnlySpan<byte> bytes, long offset, string path)
    {
        fixed (byte* start = bytes)
        {
            int done = 0;
            while (done < bytes.Length)
            {
                nint written = pwrite(file, start + done, bytes.Length - done, offset + done);
                if (written > 0)
                {
                    done += (int)written;
                    continue;
                }

                int errno = written == 0 ? ErrnoIo : Marshal.GetLastPInvokeError();
                if (errno != ErrnoIntr) throw new StorageException("pwrite", path, errno);
            }
        }
    }

    /// <summary>Reads until <paramref name="bytes"/> is full or the file ends; returns how many bytes were read.</summary>
    public static unsafe int Read(SafeFileHandle file, Span<byte> bytes, long offset, string path)
    {
        fixed (byte* start = bytes)
        {
            int done = 0;
            while (done < bytes.Length)
            {
                nint read = pread(file, start + done, bytes.Length - done, offset + done);
                if (read == 0) break;
                if (read > 0)
                {
                    done += (int)read;
                    continue;
                }

                int errno = Marshal.GetLastPInvokeError();
                if (errno != ErrnoIntr) throw new StorageException("pread", path, errno);
            }

            return done;
        }
    }

    /// <summary>The file's data is on disk once this returns. A failure is final: the page cache may now hold what the disk does not.</summary>
    public static void SyncData(SafeFileHandle file, string path)
    {
        while (fdatasync(file) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw new StorageException("fdatasync", path, errno);
        }
    }

    public static void Sync(SafeFileHandle file, string path)
    {
        while (fsync(file) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw new StorageException("fsync", path, errno);
        }
    }

    /// <summary>Makes the names in a directory durable: after every create, rename and unlink.</summary>
    public static void SyncDirectory(string path)
    {
        using SafeFileHandle directory = Open(path, ReadOnly | Directory);
        Sync(directory, path);
    }

    public static void Rename(string from, string to)
    {
        if (rename(from, to) != 0) throw new StorageException("rename", from, Marshal.GetLastPInvokeError());
    }

    public static void Unlink(string path)
    {
        if (unlink(path) != 0) throw new StorageException("unlink", path, Marshal.GetLastPInvokeError());
    }

    public static void SetLength(SafeFileHandle file, long length, string path)
    {
        if (ftruncate(file, length) != 0) throw new StorageException("ftruncate", path, Marshal.GetLastPInvokeError());
    }

    public static bool TryLock(SafeFileHandle file, bool exclusive) => flock(file, (exclusive ? LockExclusive : LockShared) | LockNonBlocking) == 0;

    public static string Describe(int errno) => Marshal.GetPInvokeErrorMessage(errno);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint pwrite(SafeFileHandle file, byte* bytes, nint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint pread(SafeFileHandle file, byte* bytes, nint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rename(string from, string to);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unlink(string path);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ftruncate(SafeFileHandle file, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(SafeFileHandle file, int operation);
}
