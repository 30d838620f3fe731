using System.Runtime.InteropServices;

namespace TransparencyLog.Tests.EndToEnd.Planted;

/// <summary>Releases the flock of a directory and leaves its file where it is, so that nothing looks different to the program that thinks it has it.</summary>
internal static partial class Unlocking
{
    private const int Unlock = 8;

    public static void GiveBack(string data)
    {
        string path = Path.Combine(Path.GetFullPath(data), "lock");
        foreach (FileInfo descriptor in new DirectoryInfo("/proc/self/fd").EnumerateFiles())
        {
            if (descriptor.LinkTarget == path && flock(int.Parse(descriptor.Name, System.Globalization.CultureInfo.InvariantCulture), Unlock) == 0) return;
        }

        throw new InvalidOperationException($"{path} is not open");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(int descriptor, int operation);
}
