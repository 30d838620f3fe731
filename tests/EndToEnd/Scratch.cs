namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// A directory of its own for one test, removed afterwards. In memory where the system has /dev/shm: a killed process leaves the same behind
/// there, and a sync costs nothing.
/// </summary>
/// <param name="onDisk">Where temporary files are, in every case.</param>
internal sealed class Scratch(bool onDisk = false) : IDisposable
{
    private readonly string _root = Directory.CreateDirectory(Path.Combine(
        !onDisk && Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"tlog-end-to-end-{Environment.ProcessId}-{Guid.NewGuid():N}")).FullName;

    /// <summary>A path below it; nothing is there yet.</summary>
    public string this[string name] => Path.Combine(_root, name);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    /// <summary>Every file below a directory with its bytes; folders have none. Two of these are equal when nothing was written between them.</summary>
    public static SortedDictionary<string, byte[]> Content(string directory)
    {
        SortedDictionary<string, byte[]> content = new(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFileSystemEntries(directory, "*", SearchOption.AllDirectories))
        {
            content[Path.GetRelativePath(directory, path)] = Directory.Exists(path) ? [] : File.ReadAllBytes(path);
        }

        return content;
    }

    /// <summary>Copies a directory as a backup would.</summary>
    public static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string directory in Directory.EnumerateDirectories(from)) Copy(directory, Path.Combine(to, Path.GetFileName(directory)));
        foreach (string file in Directory.EnumerateFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)), overwrite: true);
    }
}
