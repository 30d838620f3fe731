// The descriptors that this process was started with: standard input, output and error, and those that paths such as /dev/fd/3 name.

using System.Globalization;

namespace TransparencyLog.Storage;

/// <summary>
/// Tells inherited descriptors from later ones. The kernel assigns the lowest free number, so a standard stream that was closed at the start soon names a file of the runtime or of the
/// store: a read from it may wait for ever, and lines for people would be written into that file. An inherited descriptor never has the flag that closes it at exec; what the runtime and
/// we open always has it.
/// </summary>
public static class InheritedDescriptor
{
    /// <summary>The numbers of the standard streams.</summary>
    public const int Input = 0, Output = 1, Error = 2;

    /// <summary>What is wrong when standard output cannot be written, and what to do.</summary>
    public const string NoOutput = "standard output is closed or read-only: it carries the lines that programs read. Redirect it, to /dev/null if nothing reads it";

    /// <summary>As many links as Linux follows.</summary>
    internal const int MaxLinks = 40;

    /// <summary>Whether the process was started with this descriptor, open for reading.</summary>
    /// <param name="descriptor">Its number.</param>
    /// <returns>True also where it is not known: without /proc.</returns>
    public static bool IsReadable(int descriptor) => Has(descriptor, Posix.ReadOnly);

    /// <summary>Whether the process was started with this descriptor, open for writing.</summary>
    /// <param name="descriptor">Its number.</param>
    /// <returns>True also where it is not known: without /proc.</returns>
    public static bool IsWritable(int descriptor) => Has(descriptor, Posix.WriteOnly);

    /// <summary>The descriptor that a path stands for, over symbolic links: 0 for /dev/stdin. Null for a path of another kind.</summary>
    /// <param name="path">What the user named.</param>
    /// <exception cref="StorageException">The path cannot be known.</exception>
    public static int? Of(string path) => Follow(path)?.Descriptor;

    /// <summary>The path after all symbolic links, which may name nothing yet; or the descriptor that a path of the kernel stands for. Null when there are more links than Linux follows.</summary>
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
    /// The number in /dev/fd/N and in /proc/self/fd/N, where /dev/stdout leads. To open such a path would begin a regular file from the start again: what was written to it
    /// before, and what comes after, would be lost.
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
            return true; // no /proc: nothing is known
        }
    }
}
