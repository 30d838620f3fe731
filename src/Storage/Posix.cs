// The libc calls that Storage makes directly, because .NET hides their errors or has no such call: .NET 10 on Linux hides the errors of fsync, and cannot
// sync a directory. This is the only file of Storage with native code. Unless a method says otherwise, a failure is a StorageException that names the call,
// the file and errno.

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

    // The only two constants here that differ between x86 and arm (asm/fcntl.h).
    public static readonly int Directory = IsArm ? 0x4000 : 0x10000;
    public static readonly int NoFollow = IsArm ? 0x8000 : 0x20000;

    private const int LockExclusive = 2, LockNonBlocking = 4;
    private const int AdviceDontNeed = 4;
    private const int MaySearch = 1, MaxPath = 4096, ErrnoLoop = 40, BootClock = 7;

    // statx(2) is the only stat call whose structure (256 bytes) is the same on every processor. The mask 0x7ff asks for the fields that stat has.
    private const int StatxBytes = 256, AtWorkingDirectory = -100, NoFollowLink = 0x100, EmptyPath = 0x1000, StatxBasic = 0x7ff;

    /// <summary>For tests only: decides the fault to inject into each call (DiskFault.cs).</summary>
    internal static DiskFault? Fault { get; set; }

    private static long _dataSyncs, _syncs, _bytesWritten; // through Interlocked: several threads sync

    public static DiskUse Use => new(Interlocked.Read(ref _dataSyncs), Interlocked.Read(ref _syncs), Interlocked.Read(ref _bytesWritten));

    private static bool IsArm => RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64;

    /// <summary>
    /// How long opening waits for a free descriptor. The web server accepts a connection before it refuses one above its limit, so a burst of clients can take
    /// the last descriptors for a moment. A failed open has changed nothing, so trying again repeats no write.
    /// </summary>
    private static readonly TimeSpan DescriptorWait = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Opens a file without waiting for its other end: a FIFO opens immediately (O_NONBLOCK), and its first read or write fails (ESPIPE). Waits at most two
    /// seconds for a free descriptor.
    /// </summary>
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
            // SpinOnce soon sleeps 1 ms per turn.
            if (errno is ErrnoNoneInProcess or ErrnoNoneInSystem && Stopwatch.GetElapsedTime(start) < DescriptorWait) wait.SpinOnce();
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
    /// Reads back what was written and throws <see cref="DamageException"/> when it differs. A write that was reported as done but was not, or wrote other
    /// bytes, must be found while the caller still has the right ones. Without O_DIRECT the page cache answers the read: this finds errors on the way into
    /// the cache. Errors between cache and disk are found at the next start.
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

    /// <summary>
    /// Asks the kernel to drop the cached pages of a range, so that the next read goes to the disk. Pages that are not written to disk yet stay cached.
    /// </summary>
    public static void DropCache(SafeFileHandle file, long offset, long length) => _ = posix_fadvise(file, offset, length, AdviceDontNeed);

    /// <summary>Returns once the file's data is on disk. A failure is final: the page cache may then hold bytes that the disk does not have.</summary>
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

    /// <summary>Makes the names in a directory durable. Call it after every create, rename and unlink.</summary>
    public static void SyncDirectory(string path)
    {
        using SafeFileHandle directory = Open(path, ReadOnly | Directory);
        Sync(directory, path);
    }

    /// <summary>Renames, then checks that the old name is gone: later steps rely on the rename having happened.</summary>
    public static void Rename(string from, string to)
    {
        if ((Fault is null ? rename(from, to) : Faulty("rename", from, (from, to), static call => rename(call.from, call.to))) != 0) throw Failure("rename", from, Marshal.GetLastPInvokeError());
        if (Stat(from, follow: false) is not null) throw new StorageException("rename", from, ErrnoIo);
        Fault?.Done("rename", from);
    }

    /// <summary>Removes a name, then checks that it is gone: the record of a halt that was resumed must not come back.</summary>
    public static void Unlink(string path)
    {
        if ((Fault is null ? unlink(path) : Faulty("unlink", path, path, static path => unlink(path))) != 0) throw Failure("unlink", path, Marshal.GetLastPInvokeError());
        if (Stat(path, follow: false) is not null) throw new StorageException("unlink", path, ErrnoIo);
        Fault?.Done("unlink", path);
    }

    /// <summary>Frees space while another failure is being handled. That failure is the one to report, so the result of this call is ignored.</summary>
    public static void TryUnlink(string path) => _ = unlink(path);

    /// <summary>
    /// Creates a second name for a file; fails when the name is taken. This is the only call that atomically creates a name or fails on NFS too. Returns 0,
    /// or the errno. On a network file system an error does not prove that the name was not created, so the caller compares the inodes of both names.
    /// </summary>
    public static int Link(string from, string to)
    {
        if ((Fault is null ? link(from, to) : Faulty("link", from, (from, to), static call => link(call.from, call.to))) != 0) return Marshal.GetLastPInvokeError();
        Fault?.Done("link", from);
        return 0;
    }

    /// <summary>
    /// Opens a regular file and refuses anything else. A FIFO does not block it, and a symbolic link is not followed. Returns null when nothing has that name
    /// (ENOENT).
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

    /// <summary>The time since the machine booted (CLOCK_BOOTTIME). Time in which the machine was suspended or this process was stopped counts.</summary>
    public static unsafe TimeSpan BootTime()
    {
        long* time = stackalloc long[2]; // struct timespec of the 64-bit processors
        return clock_gettime(BootClock, time) == 0
            ? TimeSpan.FromTicks((time[0] * TimeSpan.TicksPerSecond) + (time[1] / TimeSpan.NanosecondsPerTick))
            : throw new StorageException("clock_gettime", "CLOCK_BOOTTIME", Marshal.GetLastPInvokeError());
    }

    /// <summary>Creates a directory (mode 0700). Succeeds when the name exists already.</summary>
    public static void MakeDirectory(string path)
    {
        int made = Fault is null ? mkdir(path, 0b111_000_000) : Faulty("mkdir", path, path, static path => mkdir(path, 0b111_000_000));
        if (made != 0 && Marshal.GetLastPInvokeError() is var errno and not ErrnoExists) throw Failure("mkdir", path, errno);
        Fault?.Done("mkdir", path);
    }

    /// <summary>
    /// Describes what a path names. Returns null only when the kernel says that nothing has that name (ENOENT). Any other failure is a
    /// <see cref="StorageException"/> that names the path (for EACCES also the user and the mode), and so is a symbolic link whose target is missing: "cannot
    /// be read" is never reported as "does not exist".
    /// </summary>
    /// <param name="path">The path.</param>
    /// <param name="follow">Whether a symbolic link in the last part of the path is followed. Otherwise the link itself is described.</param>
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

    /// <summary>The length in bytes of an open regular file. Throws for any other type of file, and names the type.</summary>
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

    /// <summary>
    /// Lists the names in a directory, in ordinal order. Throws <see cref="StorageException"/> when the directory is missing or cannot be read to its end.
    /// </summary>
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
            // On Linux the runtime stores errno in HResult.
            throw Failure("readdir", path, failure.HResult is > 0 and < 4096 ? failure.HResult : ErrnoIo);
        }
    }

    /// <summary>The exception for a failed call. For EACCES it also names the user, and the mode and owner of the file or folder that refused access.</summary>
    private static StorageException Failure(string call, string path, int errno) =>
        new($"{call} of {path} failed: {Describe(errno)} (errno {errno}){(errno == ErrnoAccess ? WhoMay(path) : "")}", errno);

    /// <summary>Names the user of this process, and the path or the folder above it that refuses access to that user.</summary>
    private static string WhoMay(string path)
    {
        string closed = Path.GetFullPath(path);
        for (string? above = Path.GetDirectoryName(closed); above is not null && access(above, MaySearch) != 0; above = Path.GetDirectoryName(above)) closed = above;
        // When the path does not exist, its folder refused to create it.
        PathInfo? info = TryDescribe(closed) ?? TryDescribe(closed = Path.GetDirectoryName(closed) ?? closed);
        string mode = info is null ? "" : $", and {closed} has mode {Convert.ToString(info.Mode, 8).PadLeft(4, '0')} and belongs to user {info.UserId}";
        return $"; this process runs as user {geteuid()}{mode}";
    }

    /// <summary>For messages only: returns null on any error.</summary>
    private static unsafe PathInfo? TryDescribe(string path)
    {
        byte* bytes = stackalloc byte[StatxBytes];
        return statx(AtWorkingDirectory, path, NoFollowLink, StatxBasic, bytes) == 0 ? InfoOf(new ReadOnlySpan<byte>(bytes, StatxBytes)) : null;
    }

    /// <summary>
    /// The bytes and inodes that an unprivileged user may still use on the file system of a path. Inodes is <see cref="long.MaxValue"/> on a file system that
    /// creates inodes on demand (btrfs) and reports no number.
    /// </summary>
    public static unsafe (long Bytes, long Inodes) FreeOf(string path)
    {
        // struct statfs of 64-bit Linux has 120 bytes. Its first seven fields have 8 bytes each: type, block size, blocks, free, available, files, free files.
        ulong* fields = stackalloc ulong[32];
        while (statfs(path, fields) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != ErrnoIntr) throw Failure("statfs", path, errno);
        }

        return ((long)UInt128.Min(long.MaxValue, (UInt128)fields[1] * fields[4]), fields[5] == 0 ? long.MaxValue : (long)Math.Min((ulong)long.MaxValue, fields[6]));
    }

    /// <summary>The absolute path of an existing file or directory, with symbolic links resolved.</summary>
    public static unsafe string RealPath(string path)
    {
        byte* bytes = stackalloc byte[MaxPath];
        return realpath(path, bytes) != null ? Marshal.PtrToStringUTF8((nint)bytes)! : throw Failure("realpath", path, Marshal.GetLastPInvokeError());
    }

    /// <summary>Acquires an exclusive flock without waiting. Returns false when another open file description holds it.</summary>
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

    /// <summary>The path by which the kernel knows an open file now. It ends in " (deleted)" when that name was removed.</summary>
    public static string NameOf(SafeFileHandle file) => new FileInfo($"/proc/self/fd/{file.DangerousGetHandle()}").LinkTarget ?? "";

    public static string Describe(int errno) => Marshal.GetPInvokeErrorMessage(errno);

    /// <summary>Makes a call with the fault that was decided for it. Returns its result; errno is set when that is -1.</summary>
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

    // For OutputFile.cs: files that a user names, of any type.

    /// <summary>Creates a new file. Returns null when the name is taken, even by a dangling symbolic link.</summary>
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

    /// <summary>Opens a FIFO or a device for writing. Waits until a FIFO has a reader, as a shell does.</summary>
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

    /// <summary>Writes all bytes at the descriptor's current position, also to files that cannot seek. Waits while a pipe is full.</summary>
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

    /// <summary>The target of a symbolic link, as text.</summary>
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
