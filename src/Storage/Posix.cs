// The calls of libc that Storage needs and .NET does not give truthfully: .NET 10 on Linux hides the errors of fsync,
// and cannot sync a directory. The one native file of Storage.
// Every failure is a StorageException that names the call, the file and errno.

using System.Buffers;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

internal static partial class Posix
{
    public const int ReadOnly = 0, WriteOnly = 1, ReadWrite = 2, AccessMode = 3;
    public const int Create = 0x40, Exclusive = 0x80, NoTerminal = 0x100, Truncate = 0x200, NonBlocking = 0x800, CloseOnExec = 0x80000;
    public const int ErrnoNoEntry = 2, ErrnoIntr = 4, ErrnoIo = 5, ErrnoBadDescriptor = 9, ErrnoWouldBlock = 11, ErrnoAccess = 13, ErrnoExists = 17;
    private const int ErrnoNoneInSystem = 23, ErrnoNoneInProcess = 24; // ENFILE, EMFILE

    // These two are the only ones that differ between the processors we run on (asm/fcntl.h of x86 and of arm).
    public static readonly int Directory = IsArm ? 0x4000 : 0x10000;
    public static readonly int NoFollow = IsArm ? 0x8000 : 0x20000;

    private const int LockExclusive = 2, LockNonBlocking = 4;
    private const int AdviceDontNeed = 4;
    private const int MaySearch = 1, MaxPath = 4096, ErrnoLoop = 40, BootClock = 7;

    // statx(2): the one form of stat whose structure is the same on every processor. 256 bytes; its first 0x7ff bits of fields are those of stat.
    private const int StatxBytes = 256, AtWorkingDirectory = -100, NoFollowLink = 0x100, EmptyPath = 0x1000, StatxBasic = 0x7ff;

    /// <summary>For tests only: what becomes of each call (DiskFault.cs).</summary>
    internal static DiskFault? Fault { get; set; }

    private static long _dataSyncs, _syncs, _bytesWritten; // by Interlocked: whoever syncs, each on a thread of its own

    public static DiskUse Use => new(Interlocked.Read(ref _dataSyncs), Interlocked.Read(ref _syncs), Interlocked.Read(ref _bytesWritten));

    private static bool IsArm => RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64;

    /// <summary>
    /// How long opening waits for a descriptor. The web server has accepted a connection before it refuses one too many, so strangers in a hurry can take
    /// the last descriptors for moments. Nothing was touched then: to open again is no repetition of a write.
    /// </summary>
    private static readonly TimeSpan DescriptorWait = TimeSpan.FromSeconds(2);

    /// <summary>Opens a file, and never waits for one: a FIFO opens at once (O_NONBLOCK), and the first read or write refuses it (ESPIPE).</summary>
    public static SafeFileHandle Open(string path, int flags, int mode = 0b110_000_000 /* 0600 */)
    {
        flags |= CloseOnExec | NonBlocking;
        long start = Stopwatch.GetTimestamp();
        SpinWait wait = default;
        while (true)
        {
            int descriptor = Fault is null ? open(path, flags, mode) : Faulty("open", path, (path, flags, mode), static call => open(call.path, call.flags, call.mode));
            if (descriptor >= 0) return new SafeFileHandle((nint)descriptor, ownsHandle: true);
            int errno = Marshal.GetLastPInvokeError();
            if (errno is ErrnoNoneInProcess or ErrnoNoneInSystem && Stopwatch.GetElapsedTime(start) < DescriptorWait) wait.SpinOnce(); // soon a sleep of a millisecond
            else if (errno != ErrnoIntr) throw Failure("open", path, errno);
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
                nint written = Fault is null ? pwrite(file, start + done, bytes.Length - done, offset + done) : FaultyWrite(file, bytes[done..], offset + done, path);
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
        Fault?.Done("pwrite", path);
    }

    /// <summary>Reads until <paramref name="bytes"/> is full or the file ends; returns how many bytes were read.</summary>
    public static unsafe int Read(SafeFileHandle file, Span<byte> bytes, long offset, string path)
    {
        fixed (byte* start = bytes)
        {
            int done = 0;
            while (done < bytes.Length)
            {
                nint read = Fault is null ? pread(file, start + done, bytes.Length - done, offset + done) : FaultyRead(file, bytes[done..], offset + done, path);
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

    /// <summary>
    /// Reads back what was written and throws <see cref="DamageException"/> when it is not there as it was: a write that is said to be done and is not, or not
    /// so, has to be found while somebody still has the bytes. Without O_DIRECT it is the page cache that answers, so it finds what goes wrong on the
    /// way there; what goes wrong behind it the start has to find.
    /// </summary>
    public static void Verify(SafeFileHandle file, ReadOnlySpan<byte> bytes, long offset, string path)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(Math.Min(bytes.Length, 64 * 1024));
        try
        {
            for (int done = 0; done < bytes.Length;)
            {
                Span<byte> piece = buffer.AsSpan(0, Math.Min(buffer.Length, bytes.Length - done));
                int read = Read(file, piece, offset + done, path);
                int same = piece[..read].CommonPrefixLength(bytes.Slice(done, piece.Length));
                if (same < piece.Length)
                {
                    string found = same < read ? "another byte" : "the end of the file";
                    throw new DamageException(new Damage("storage", $"{path}, offset {offset + done + same}", null, null, "the bytes just written", found));
                }

                done += piece.Length;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Asks the system to forget what it has cached of a range, so that the next read is one of the disk. What is not written out yet stays.</summary>
    public static void DropCache(SafeFileHandle file, long offset, long length) => _ = posix_fadvise(file, offset, length, AdviceDontNeed);

    /// <summary>The file's data is on disk once this returns. A failure is final: the page cache may now hold what the disk does not.</summary>
    public static void SyncData(SafeFileHandle file, string path)
    {
        while ((Fault is null ? fdatasync(file) : Faulty("fdatasync", path, file, static file => fdatasync(file))) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw new StorageException("fdatasync", path, errno);
        }

        Interlocked.Increment(ref _dataSyncs);
        Fault?.Done("fdatasync", path);
    }

    public static void Sync(SafeFileHandle file, string path)
    {
        while ((Fault is null ? fsync(file) : Faulty("fsync", path, file, static file => fsync(file))) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw new StorageException("fsync", path, errno);
        }

        Interlocked.Increment(ref _syncs);
        Fault?.Done("fsync", path);
    }

    /// <summary>Makes the names in a directory durable: after every create, rename and unlink.</summary>
    public static void SyncDirectory(string path)
    {
        using SafeFileHandle directory = Open(path, ReadOnly | Directory);
        Sync(directory, path);
    }

    /// <summary>Also asks whether it has happened: everything behind it is built on the new name.</summary>
    public static void Rename(string from, string to)
    {
        if ((Fault is null ? rename(from, to) : Faulty("rename", from, (from, to), static call => rename(call.from, call.to))) != 0) throw Failure("rename", from, Marshal.GetLastPInvokeError());
        if (Stat(from, follow: false) is not null) throw new StorageException("rename", from, ErrnoIo);
        Fault?.Done("rename", from);
    }

    /// <summary>Also asks whether it has happened: a halt that was resumed may not come back.</summary>
    public static void Unlink(string path)
    {
        if ((Fault is null ? unlink(path) : Faulty("unlink", path, path, static path => unlink(path))) != 0) throw Failure("unlink", path, Marshal.GetLastPInvokeError());
        if (Stat(path, follow: false) is not null) throw new StorageException("unlink", path, ErrnoIo);
        Fault?.Done("unlink", path);
    }

    /// <summary>Gives space back on the way out of a failure, which is the one to report: whether that succeeds is not.</summary>
    public static void TryUnlink(string path) => _ = unlink(path);

    /// <summary>
    /// Gives a file a second name, which must be free: the one call that creates a name or fails, on NFS too. Returns 0, or the errno. An error of a network file
    /// system does not say that the name was not given: the caller compares the inodes of both names.
    /// </summary>
    public static int Link(string from, string to)
    {
        if ((Fault is null ? link(from, to) : Faulty("link", from, (from, to), static call => link(call.from, call.to))) != 0) return Marshal.GetLastPInvokeError();
        Fault?.Done("link", from);
        return 0;
    }

    /// <summary>
    /// Opens a regular file, and nothing else: a FIFO does not block it, a symbolic link is not followed. Null where nothing has that name (ENOENT).
    /// </summary>
    public static SafeFileHandle? TryOpenFile(string path, int flags)
    {
        SafeFileHandle file;
        try
        {
            file = Open(path, flags | NoFollow);
        }
        catch (StorageException failure) when (failure.Errno == ErrnoNoEntry)
        {
            return null;
        }
        catch (StorageException failure) when (failure.Errno == ErrnoLoop)
        {
            throw new StorageException($"{path} is a symbolic link; a regular file is expected there", failure.Errno);
        }

        try
        {
            PathKind kind = Stat(file, path).Kind;
            return kind == PathKind.File ? file : throw new StorageException($"{path} is {Paths.Describe(kind)}; a regular file is expected there");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The time since the machine was started, suspension and the time in which this process was stopped included (CLOCK_BOOTTIME).</summary>
    public static unsafe TimeSpan BootTime()
    {
        long* time = stackalloc long[2]; // struct timespec of the 64-bit processors
        return clock_gettime(BootClock, time) == 0
            ? TimeSpan.FromTicks((time[0] * TimeSpan.TicksPerSecond) + (time[1] / TimeSpan.NanosecondsPerTick))
            : throw new StorageException("clock_gettime", "CLOCK_BOOTTIME", Marshal.GetLastPInvokeError());
    }

    /// <summary>Makes a directory (mode 0700); it may be there already.</summary>
    public static void MakeDirectory(string path)
    {
        int made = Fault is null ? mkdir(path, 0b111_000_000) : Faulty("mkdir", path, path, static path => mkdir(path, 0b111_000_000));
        if (made != 0 && Marshal.GetLastPInvokeError() is var errno and not ErrnoExists) throw Failure("mkdir", path, errno);
        Fault?.Done("mkdir", path);
    }

    /// <summary>
    /// Describes what a path names; null only where the kernel says that nothing has that name (ENOENT). Any other failure is a <see cref="StorageException"/> that names the
    /// path, its mode and the user, and so is a symbolic link whose target is missing: "cannot be read" is never "does not exist".
    /// </summary>
    /// <param name="path">The path.</param>
    /// <param name="follow">Whether a symbolic link at its end is followed; otherwise the link itself is described.</param>
    public static unsafe PathInfo? Stat(string path, bool follow = true)
    {
        byte* bytes = stackalloc byte[StatxBytes];
        if (TryStat(AtWorkingDirectory, path, follow ? 0 : NoFollowLink, path, bytes)) return InfoOf(new ReadOnlySpan<byte>(bytes, StatxBytes));
        return follow && Stat(path, follow: false) is not null ? throw new StorageException($"{path} is a symbolic link whose target is missing") : null;
    }

    /// <summary>Describes an open file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="path">Its path, for the message.</param>
    public static unsafe PathInfo Stat(SafeFileHandle file, string path)
    {
        byte* bytes = stackalloc byte[StatxBytes];
        bool added = false;
        try
        {
            file.DangerousAddRef(ref added);
            if (!TryStat((int)file.DangerousGetHandle(), "", EmptyPath, path, bytes)) throw new StorageException("stat", path, ErrnoNoEntry);
        }
        finally
        {
            if (added) file.DangerousRelease();
        }

        return InfoOf(new ReadOnlySpan<byte>(bytes, StatxBytes));
    }

    /// <summary>The length of an open regular file; anything else is refused by its type.</summary>
    public static long LengthOf(SafeFileHandle file, string path)
    {
        PathInfo info = Stat(file, path);
        return info.Kind == PathKind.File ? info.Length : throw new StorageException($"{path} is {Paths.Describe(info.Kind)}, not a file");
    }

    private static unsafe bool TryStat(int directory, string name, int flags, string path, byte* bytes)
    {
        while ((Fault is null ? statx(directory, name, flags, StatxBasic, bytes) : FaultyStat(directory, name, flags, path, bytes)) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno == ErrnoNoEntry) return false;
            if (errno != ErrnoIntr) throw Failure("stat", path, errno);
        }

        return true;
    }

    private static PathInfo InfoOf(ReadOnlySpan<byte> stat)
    {
        int mode = MemoryMarshal.Read<ushort>(stat[28..]);
        PathKind kind = (mode & 0xF000) switch
        {
            0x8000 => PathKind.File,
            0x4000 => PathKind.Directory,
            0xA000 => PathKind.SymbolicLink,
            0x1000 => PathKind.Fifo,
            _ => PathKind.Other,
        };
        return new PathInfo(
            kind, mode & 0xFFF, MemoryMarshal.Read<long>(stat[40..]), MemoryMarshal.Read<uint>(stat[16..]), MemoryMarshal.Read<uint>(stat[20..]), MemoryMarshal.Read<uint>(stat[24..]),
            ((ulong)MemoryMarshal.Read<uint>(stat[136..]) << 32) | MemoryMarshal.Read<uint>(stat[140..]), MemoryMarshal.Read<ulong>(stat[32..]),
            (MemoryMarshal.Read<long>(stat[112..]) * 1_000_000_000) + MemoryMarshal.Read<uint>(stat[120..]));
    }

    private static unsafe int FaultyStat(int directory, string name, int flags, string path, byte* bytes)
    {
        FaultAct act = Fault!.Decide("statx", path);
        return act.Kind is FaultKind.Fail or FaultKind.FailAfter ? Failing(act.Number) : statx(directory, name, flags, StatxBasic, bytes);
    }

    /// <summary>Lists the names in a directory, in ordinal order. A directory that is missing or cannot be read to its end is a <see cref="StorageException"/>.</summary>
    public static List<string> List(string path)
    {
        if (Fault?.Decide("readdir", path) is { Kind: FaultKind.Fail or FaultKind.FailAfter } act) throw Failure("readdir", path, act.Number);
        try
        {
            List<string> names = [.. System.IO.Directory.EnumerateFileSystemEntries(path).Select(entry => Path.GetFileName(entry))];
            names.Sort(StringComparer.Ordinal);
            return names;
        }
        catch (DirectoryNotFoundException)
        {
            throw Failure("opendir", path, ErrnoNoEntry);
        }
        catch (UnauthorizedAccessException)
        {
            throw Failure("opendir", path, ErrnoAccess);
        }
        catch (IOException failure)
        {
            // On Linux the runtime leaves errno here.
            throw Failure("readdir", path, failure.HResult is > 0 and < 4096 ? failure.HResult : ErrnoIo);
        }
    }

    /// <summary>The exception for a call that failed; for EACCES it also names the user, and the mode and owner of what refused that user.</summary>
    private static StorageException Failure(string call, string path, int errno) =>
        new($"{call} of {path} failed: {Describe(errno)} (errno {errno}){(errno == ErrnoAccess ? WhoMay(path) : "")}", errno);

    /// <summary>Says who asked, and which of the path and the folders above it refuses that user.</summary>
    private static string WhoMay(string path)
    {
        string closed = Path.GetFullPath(path);
        for (string? above = Path.GetDirectoryName(closed); above is not null && access(above, MaySearch) != 0; above = Path.GetDirectoryName(above)) closed = above;
        // A file that cannot be made is refused by its folder.
        PathInfo? info = TryDescribe(closed) ?? TryDescribe(closed = Path.GetDirectoryName(closed) ?? closed);
        string mode = info is null ? "" : $", and {closed} has mode {Convert.ToString(info.Mode, 8).PadLeft(4, '0')} and belongs to user {info.UserId}";
        return $"; this process runs as user {geteuid()}{mode}";
    }

    /// <summary>For a message only: null where there is nothing to say, for whatever reason.</summary>
    private static unsafe PathInfo? TryDescribe(string path)
    {
        byte* bytes = stackalloc byte[StatxBytes];
        return statx(AtWorkingDirectory, path, NoFollowLink, StatxBasic, bytes) == 0 ? InfoOf(new ReadOnlySpan<byte>(bytes, StatxBytes)) : null;
    }

    /// <summary>Bytes and inodes that the file system of a path has left for this user. A file system that makes inodes as it needs them (btrfs) has no number of them.</summary>
    public static unsafe (long Bytes, long Inodes) FreeOf(string path)
    {
        // struct statfs of 64-bit Linux, 120 bytes, all fields of 8 up to here: type, block size, blocks, free, available, files, free files.
        ulong* fields = stackalloc ulong[32];
        while (statfs(path, fields) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw Failure("statfs", path, errno);
        }

        return ((long)UInt128.Min(long.MaxValue, (UInt128)fields[1] * fields[4]), fields[5] == 0 ? long.MaxValue : (long)Math.Min((ulong)long.MaxValue, fields[6]));
    }

    /// <summary>The path without symbolic links, of something that exists.</summary>
    public static unsafe string RealPath(string path)
    {
        byte* bytes = stackalloc byte[MaxPath];
        return realpath(path, bytes) != null ? Marshal.PtrToStringUTF8((nint)bytes)! : throw Failure("realpath", path, Marshal.GetLastPInvokeError());
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

    /// <summary>Makes a call as the fault has decided: its result, and errno where that is -1.</summary>
    private static int Faulty<T>(string name, string path, T arguments, Func<T, int> call)
    {
        FaultAct act = Fault!.Decide(name, path);
        if (act.Kind == FaultKind.Lie && name != "open") return 0;
        if (act.Kind == FaultKind.Fail) return Failing(act.Number);
        int result = call(arguments);
        if (act.Kind != FaultKind.FailAfter) return result;
        if (name == "open" && result >= 0) new SafeFileHandle(result, ownsHandle: true).Dispose();
        return Failing(act.Number);
    }

    private static unsafe nint FaultyWrite(SafeFileHandle file, ReadOnlySpan<byte> bytes, long offset, string path)
    {
        FaultAct act = Fault!.Decide("pwrite", path);
        if (act.Kind == FaultKind.Lie) return bytes.Length;
        if (act.Kind == FaultKind.Fail) return Failing(act.Number);
        if (act.Kind == FaultKind.Short) bytes = bytes[..Math.Clamp(act.Number, 1, bytes.Length)];
        if (act.Kind == FaultKind.Flip)
        {
            byte[] flipped = bytes.ToArray();
            flipped[act.Number / 8 % flipped.Length] ^= (byte)(1 << (act.Number % 8));
            bytes = flipped;
        }

        fixed (byte* start = bytes)
        {
            nint written = pwrite(file, start, bytes.Length, offset);
            return act.Kind == FaultKind.FailAfter && written >= 0 ? Failing(act.Number) : written;
        }
    }

    private static unsafe nint FaultyRead(SafeFileHandle file, Span<byte> bytes, long offset, string path)
    {
        FaultAct act = Fault!.Decide("pread", path);
        if (act.Kind is FaultKind.Fail or FaultKind.FailAfter) return Failing(act.Number);
        if (act.Kind == FaultKind.Short) bytes = bytes[..Math.Clamp(act.Number, 1, bytes.Length)];
        fixed (byte* start = bytes) return pread(file, start, bytes.Length, offset);
    }

    private static int Failing(int errno)
    {
        Marshal.SetLastPInvokeError(errno);
        return -1;
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

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int link(string from, string to);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int clock_gettime(int clock, long* time);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkdir(string path, int mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int statx(int directory, string path, int flags, uint mask, byte* stat);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int access(string path, int mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int statfs(string path, ulong* fields);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial byte* realpath(string path, byte* resolved);

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc")]
    private static partial int posix_fadvise(SafeFileHandle file, long offset, long length, int advice);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(SafeFileHandle file, int operation);

    // What OutputFile.cs needs: files that a user names, which may be anything.

    /// <summary>Creates a file that nobody else has; false when the name is taken, even by a link that leads nowhere.</summary>
    public static SafeFileHandle? TryCreate(string path, int mode)
    {
        try
        {
            return Open(path, ReadWrite | Create | Exclusive | NoFollow, mode);
        }
        catch (StorageException taken) when (taken.Errno == ErrnoExists)
        {
            return null;
        }
    }

    /// <summary>Opens a FIFO or a device to write to it. Waits for the reader of a FIFO, as a shell does.</summary>
    public static SafeFileHandle OpenStream(string path)
    {
        while (true)
        {
            int descriptor = open(path, WriteOnly | NoTerminal | CloseOnExec, 0);
            if (descriptor >= 0) return new SafeFileHandle(descriptor, ownsHandle: true);
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw new StorageException("open", path, errno);
        }
    }

    /// <summary>Writes all bytes where the descriptor stands, also to what cannot be positioned; waits where it is full.</summary>
    public static unsafe void WriteStream(SafeFileHandle file, ReadOnlySpan<byte> bytes, string path)
    {
        const short Writable = 4; // POLLOUT
        fixed (byte* start = bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                nint written = write(file, start + done, bytes.Length - done);
                if (written > 0)
                {
                    done += (int)written;
                    continue;
                }

                int errno = written == 0 ? ErrnoIo : Marshal.GetLastPInvokeError();
                if (errno == ErrnoWouldBlock)
                {
                    PollEntry entry = new() { Descriptor = (int)file.DangerousGetHandle(), Events = Writable };
                    _ = poll(&entry, 1, -1);
                }
                else if (errno != ErrnoIntr)
                {
                    throw new StorageException("write", path, errno);
                }
            }
        }
    }

    /// <summary>Changes owner and group; false where that is not permitted.</summary>
    public static bool TryChangeOwner(SafeFileHandle file, uint user, uint group) => fchown(file, user, group) == 0;

    /// <summary>Changes the permission bits; false where that is not permitted.</summary>
    public static bool TryChangeMode(SafeFileHandle file, int mode) => fchmod(file, mode) == 0;

    /// <summary>The text of a symbolic link.</summary>
    public static unsafe string ReadLink(string path)
    {
        const int Longest = 4096; // PATH_MAX
        byte* text = stackalloc byte[Longest];
        nint length = readlink(path, text, Longest);
        return length >= 0 ? System.Text.Encoding.UTF8.GetString(text, (int)length) : throw new StorageException("readlink", path, Marshal.GetLastPInvokeError());
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PollEntry
    {
        public int Descriptor;
        public short Events, Returned;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint write(SafeFileHandle file, byte* bytes, nint count);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int poll(PollEntry* entries, nint count, int milliseconds);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchown(SafeFileHandle file, uint user, uint group);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchmod(SafeFileHandle file, int mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial nint readlink(string path, byte* text, nint size);
}
