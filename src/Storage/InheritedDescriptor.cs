// The descriptors with which this process was started: standard input, output and error, and those that paths such as /dev/fd/3 name.

using System.Globalization;

namespace TransparencyLog.Storage;

/// <summary>
/// Distinguishes inherited descriptors from later ones. The kernel assigns the lowest free number, so the number of a standard stream that was closed at the
/// start soon belongs to a file of the runtime or of the store. A read from it may then wait for ever, and messages to people would be written into that
/// file. An inherited descriptor never has the close-on-exec flag; a descriptor that the runtime or this code opens always has it.
/// </summary>
public static class InheritedDescriptor
{
    /// <summary>The numbers of the standard streams.</summary>
    public const int Input = 0, Output = 1, Error = 2;

    /// <summary>The message for standard output that cannot be written, with what to do.</summary>
    public const string NoOutput = "standard output is closed or read-only: it carries the lines that programs read. Redirect it, to /dev/null if nothing reads it";

    /// <summary>The number of symbolic links that Linux follows at most.</summary>
    internal const int MaxLinks = 40;

    /// <summary>Whether the process was started with this descriptor, open for reading.</summary>
    /// <param name="descriptor">Its number.</param>
    /// <returns>True also when it is unknown, because /proc is missing.</returns>
    public static bool IsReadable(int descriptor) => Has(descriptor, Posix.ReadOnly);

    /// <summary>Whether the process was started with this descriptor, open for writing.</summary>
    /// <param name="descriptor">Its number.</param>
    /// <returns>True also when it is unknown, because /proc is missing.</returns>
    public static bool IsWritable(int descriptor) => Has(descriptor, Posix.WriteOnly);

    /// <summary>The descriptor that a path stands for, through symbolic links: 0 for /dev/stdin. Null for any other path.</summary>
    /// <param name="path">The path that the user named.</param>
    /// <exception cref="StorageException">The path cannot be resolved.</exception>
    public static int? Of(string path) => Follow(path)?.Descriptor;

    /// <summary>
    /// Follows all symbolic links of a path. Returns the final path, which need not exist, and the descriptor when the path stands for one. Null when there
    /// are more links than Linux follows.
    /// </summary>
    internal static (string Target, int? Descriptor)? Follow(string path)
    {
        string at = path;
        for (int links = 0; links <= MaxLinks; links++)
        {
            if (NumberIn(at) is int descriptor) return (at, descriptor);
            if (at.Length == 0 || Posix.Stat(at, follow: false)?.Kind != PathKind.SymbolicLink) return (at, null);
            at = Path.Combine(Path.GetDirectoryName(at) ?? "", Posix.ReadLink(at));
        }

        return null;
    }

    /// <summary>
    /// The number in /dev/fd/N and in /proc/self/fd/N, to which /dev/stdout leads. Opening such a path would restart a regular file at offset 0: bytes written
    /// before, or written later by others, would be lost.
    /// </summary>
    private static int? NumberIn(string path)
    {
        string[] folders = ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/", string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/")];
        foreach (string folder in folders)
        {
            if (path.StartsWith(folder, StringComparison.Ordinal) && int.TryParse(path.AsSpan(folder.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int number)) return number;
        }

        return null;
    }

    private static bool Has(int descriptor, int access)
    {
        const string Field = "flags:";
        try
        {
            string? line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fdinfo/{descriptor}")).FirstOrDefault(line => line.StartsWith(Field, StringComparison.Ordinal));
            if (line is null) return true;
            int flags = Convert.ToInt32(line[Field.Length..].Trim(), 8);
            return (flags & Posix.CloseOnExec) == 0 && ((flags & Posix.AccessMode) == access || (flags & Posix.AccessMode) == Posix.ReadWrite);
        }
        catch (FileNotFoundException)
        {
            return false;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return true; // no /proc: it is unknown
        }
    }
}
