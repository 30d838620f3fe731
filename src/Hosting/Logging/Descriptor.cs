// Calls write(2) on standard output and standard error. The streams of System.Console share one lock, so a write to a full pipe on one of them blocks the
// other. A FileStream keeps its own offset into a file, and would overwrite what another process appends to it.

using System.Runtime.InteropServices;

namespace TransparencyLog.Hosting;

/// <summary>A descriptor that this process has inherited.</summary>
internal static partial class Descriptor
{
    public const int Output = 1, Error = 2;

    private const int ErrnoInterrupted = 4, ErrnoWouldBlock = 11;

    private const short Writable = 4; // POLLOUT

    /// <summary>Writes all bytes. Blocks for as long as the reader does not read.</summary>
    /// <exception cref="IOException">The write failed: the other end is closed, or the disk is full.</exception>
    public static unsafe void Write(int descriptor, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* start = bytes)
        {
            for (int written = 0; written < bytes.Length;)
            {
                nint count = write(descriptor, start + written, bytes.Length - written);
                if (count >= 0)
                {
                    written += (int)count;
                    continue;
                }

                int errno = Marshal.GetLastPInvokeError();
                if (errno == ErrnoWouldBlock)
                {
                    // Another process has made the pipe non-blocking for all processes that share it.
                    Waiting one = new() { Descriptor = descriptor, Events = Writable };
                    _ = poll(&one, 1, -1);
                }
                else if (errno != ErrnoInterrupted) throw new IOException($"write to descriptor {descriptor}: {Marshal.GetPInvokeErrorMessage(errno)}");
            }
        }
    }

    [LibraryImport("libc")]
    private static unsafe partial int poll(Waiting* descriptors, nuint count, int milliseconds);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint write(int descriptor, byte* bytes, nint count);

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Waiting
    {
        public int Descriptor;
        public short Events, Returned;
    }
}
