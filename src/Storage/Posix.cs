// The calls of libc that Storage needs and .NET does not give truthfully: .NET 10 on Linux hides the errors of fsync,
// and cannot sync a directory. The one native file of Storage.
// Every failure is a StorageException that names the call, the file and errno.

using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

internal static partial class Posix
{
    public const int ReadOnly = 0, WriteOnly = 1, ReadWrite = 2;
    public const int Create = 0x40, Truncate = 0x200, CloseOnExec = 0x80000;
    public const int ErrnoIntr = 4, ErrnoIo = 5, ErrnoWouldBlock = 11;

    // These two are the only ones that differ between the processors we run on (asm/fcntl.h of x86 and of arm).
    public static readonly int Directory = IsArm ? 0x4000 : 0x10000;
    public static readonly int NoFollow = IsArm ? 0x8000 : 0x20000;

    private const int LockExclusive = 2, LockNonBlocking = 4;

    /// <summary>
    /// For tests only: is told the name of each call and its file, before it is made (false) and after it went well (true), and answers
    /// the errno it is to fail with, or 0. With "after", the call has done its work and reports failure all the same.
    /// </summary>
    internal static Func<string, string, bool, int>? Fault { get; set; }

    private static long _dataSyncs, _syncs, _bytesWritten; // by Interlocked: whoever syncs, each on a thread of its own

    public static DiskUse Use => new(Interlocked.Read(ref _dataSyncs), Interlocked.Read(ref _syncs), Interlocked.Read(ref _bytesWritten));

    private static bool IsArm => RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64;

    public static SafeFileHandle Open(string path, int flags, int mode = 0b110_000_000 /* 0600 */)
    {
        Inject("open", path, done: false);
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
        Inject("pwrite", path, done: false);
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

        Interlocked.Add(ref _bytesWritten, bytes.Length);
        Inject("pwrite", path, done: true);
    }

    /// <summary>Reads until <paramref name="bytes"/> is full or the file ends; returns how many bytes were read.</summary>
    public static unsafe int Read(SafeFileHandle file, Span<byte> bytes, long offset, string path)
    {
        Inject("pread", path, done: false);
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
        Inject("fdatasync", path, done: false);
        while (fdatasync(file) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw new StorageException("fdatasync", path, errno);
        }

        Interlocked.Increment(ref _dataSyncs);
        Inject("fdatasync", path, done: true);
    }

    public static void Sync(SafeFileHandle file, string path)
    {
        Inject("fsync", path, done: false);
        while (fsync(file) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw new StorageException("fsync", path, errno);
        }

        Interlocked.Increment(ref _syncs);
        Inject("fsync", path, done: true);
    }

    /// <summary>Makes the names in a directory durable: after every create, rename and unlink.</summary>
    public static void SyncDirectory(string path)
    {
        using SafeFileHandle directory = Open(path, ReadOnly | Directory);
        Sync(directory, path);
    }

    public static void Rename(string from, string to)
    {
        Inject("rename", from, done: false);
        if (rename(from, to) != 0) throw new StorageException("rename", from, Marshal.GetLastPInvokeError());
        Inject("rename", from, done: true);
    }

    public static void Unlink(string path)
    {
        Inject("unlink", path, done: false);
        if (unlink(path) != 0) throw new StorageException("unlink", path, Marshal.GetLastPInvokeError());
        Inject("unlink", path, done: true);
    }

    public static void SetLength(SafeFileHandle file, long length, string path)
    {
        Inject("ftruncate", path, done: false);
        while (ftruncate(file, length) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw new StorageException("ftruncate", path, errno);
        }

        Inject("ftruncate", path, done: true);
    }

    /// <summary>Takes an exclusive flock; false when another open file has one. It never waits.</summary>
    public static bool TryLock(SafeFileHandle file, string path)
    {
        while (flock(file, LockExclusive | LockNonBlocking) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno == ErrnoWouldBlock) return false;
            if (errno != ErrnoIntr) throw new StorageException("flock", path, errno);
        }

        return true;
    }

    /// <summary>The path under which the kernel knows an open file now; " (deleted)" is behind it when its name is gone.</summary>
    public static string NameOf(SafeFileHandle file) => new FileInfo($"/proc/self/fd/{file.DangerousGetHandle()}").LinkTarget ?? "";

    public static string Describe(int errno) => Marshal.GetPInvokeErrorMessage(errno);

    private static void Inject(string call, string path, bool done)
    {
        if (Fault is { } fault && fault(call, path, done) is int errno and > 0) throw new StorageException(call, path, errno);
    }

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
