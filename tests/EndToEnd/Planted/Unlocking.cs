using System.Runtime.InteropServices;

namespace TransparencyLog.Tests.EndToEnd.Planted;

/// <summary>Releases both flocks of a directory and leaves the file where it is, so that nothing looks different to the program that thinks it has it.</summary>
internal static partial class Unlocking
{
    private const int Unlock = 8;

    public static void GiveBack(string data)
    {
        string directory = Path.GetFullPath(data), file = Path.Combine(directory, "lock");
        int released = 0;
        foreach (FileSystemInfo descriptor in new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos())
        {
            bool held = descriptor.LinkTarget == file || descriptor.LinkTarget == directory;
            if (held && flock(int.Parse(descriptor.Name, System.Globalization.CultureInfo.InvariantCulture), Unlock) == 0) released++;
        }

        if (released != 2) throw new InvalidOperationException($"{released} locks of {directory} were released");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(int descriptor, int operation);
}
