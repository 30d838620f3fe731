// The calls of libc that measuring needs: syncs that tell their errors, pages that are not in memory, many sockets on one thread, and a timer that wakes in time.

using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Bench;

internal static unsafe partial class Native
{
    public const int Terminate = 15, Kill = 9;
    public const int ErrnoInterrupted = 4, ErrnoWouldBlock = 11;

    private const int AddDescriptor = 1;
    private const uint Readable = 1;
    private const int DontNeed = 4;
    private const int SetTimerSlack = 29;

    // struct epoll_event: events u32, data u64; packed on x86 alone.
    private static readonly int EventSize = IsX86 ? 12 : 16, DataOffset = IsX86 ? 4 : 8;
    private static bool _coarse;

    private static bool IsX86 => RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.X86;

    public static void SyncData(SafeFileHandle file)
    {
        if (fdatasync(file) != 0) throw new IOException($"fdatasync: errno {Marshal.GetLastPInvokeError()}");
    }

    /// <summary>Asks the kernel to forget the file's pages, which are on disk: the next read comes from there.</summary>
    public static void Evict(SafeFileHandle file)
    {
        SyncData(file);
        int errno = posix_fadvise(file, 0, 0, DontNeed);
        if (errno != 0) throw new IOException($"posix_fadvise: errno {errno}");
    }

    /// <summary>Sends a signal to a process that we started.</summary>
    public static void Signal(int process, int signal) => _ = kill(process, signal);

    /// <summary>Timers of the calling thread wake within a microsecond instead of fifty.</summary>
    public static void WakeInTime() => _ = prctl(SetTimerSlack, 1, 0, 0, 0);

    public static int CreatePoll()
    {
        int poll = epoll_create1(0);
        return poll >= 0 ? poll : throw new IOException($"epoll_create1: errno {Marshal.GetLastPInvokeError()}");
    }

    /// <summary>Reports <paramref name="data"/> whenever the descriptor can be read.</summary>
    public static void Watch(int poll, int descriptor, ulong data)
    {
        byte* one = stackalloc byte[16];
        Marshal.WriteInt32((nint)one, (int)Readable);
        Marshal.WriteInt64((nint)(one + DataOffset), (long)data);
        if (epoll_ctl(poll, AddDescriptor, descriptor, one) != 0) throw new IOException($"epoll_ctl: errno {Marshal.GetLastPInvokeError()}");
    }

    /// <summary>Waits until a watched descriptor can be read; fills <paramref name="ready"/> with their data and returns how many.</summary>
    public static int Poll(int poll, Span<ulong> ready, long nanoseconds)
    {
        byte* events = stackalloc byte[16 * ready.Length];
        int count = Wait(poll, events, ready.Length, Math.Max(0, nanoseconds));
        for (int i = 0; i < count; i++) ready[i] = (ulong)Marshal.ReadInt64((nint)(events + (i * EventSize) + DataOffset));
        return count;
    }

    /// <summary>Bytes sent or received; -1 when it would block. Any other error is thrown.</summary>
    public static int Send(int descriptor, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* start = bytes) return Checked((int)send(descriptor, start, bytes.Length, 0x4000 /* MSG_NOSIGNAL */), "send");
    }

    public static int Receive(int descriptor, Span<byte> bytes)
    {
        fixed (byte* start = bytes) return Checked((int)recv(descriptor, start, bytes.Length, 0), "recv");
    }

    public static void Close(int descriptor) => _ = close(descriptor);

    private static int Checked(int result, string call)
    {
        if (result >= 0) return result;
        int errno = Marshal.GetLastPInvokeError();
        return errno is ErrnoWouldBlock or ErrnoInterrupted ? -1 : throw new IOException($"{call}: errno {errno}");
    }

    private static int Wait(int poll, byte* events, int most, long nanoseconds)
    {
        int count = -1;
        if (!_coarse)
        {
            long* time = stackalloc long[2];
            (time[0], time[1]) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
            try
            {
                count = epoll_pwait2(poll, events, most, time, null);
                _coarse = count < 0 && Marshal.GetLastPInvokeError() == 38; // ENOSYS
            }
            catch (EntryPointNotFoundException)
            {
                _coarse = true;
            }
        }

        if (_coarse) count = epoll_wait(poll, events, most, (int)(nanoseconds / 1_000_000));
        if (count >= 0) return count;
        return Marshal.GetLastPInvokeError() == ErrnoInterrupted ? 0 : throw new IOException($"epoll_wait: errno {Marshal.GetLastPInvokeError()}");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(SafeFileHandle file);

    [LibraryImport("libc")]
    private static partial int posix_fadvise(SafeFileHandle file, long offset, long length, int advice);

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);

    [LibraryImport("libc")]
    private static partial int prctl(int option, nint a, nint b, nint c, nint d);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int poll, int operation, int descriptor, byte* one);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_wait(int poll, byte* events, int most, int milliseconds);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_pwait2(int poll, byte* events, int most, long* time, void* mask);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint send(int descriptor, byte* bytes, nint count, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recv(int descriptor, byte* bytes, nint count, int flags);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);
}
