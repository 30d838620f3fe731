using System.Runtime.InteropServices;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>The processor time that this thread has had: what other programs take of a busy machine is not in it.</summary>
internal static partial class ThreadTime
{
    private const int ClockThreadCpuTime = 3; // CLOCK_THREAD_CPUTIME_ID of Linux

    public static TimeSpan Now
    {
        get
        {
            if (GetTime(ClockThreadCpuTime, out Timespec now) != 0) throw new InvalidOperationException("this machine does not tell the time of a thread");
            return TimeSpan.FromSeconds(now.Seconds) + TimeSpan.FromMicroseconds(now.Nanoseconds / 1000.0);
        }
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int GetTime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Timespec
    {
        public readonly nint Seconds;
        public readonly nint Nanoseconds;
    }
}
