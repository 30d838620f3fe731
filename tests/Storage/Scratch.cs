using System.Security.Cryptography;

namespace TransparencyLog.Tests.Storage;

/// <summary>A directory of its own for one test, removed afterwards.</summary>
internal sealed class Scratch : IDisposable
{
    /// <summary>A directory on the disk, or in memory for a test whose thousands of syncs say nothing there either.</summary>
    public Scratch(bool inMemory = false) =>
        Root = inMemory && Directory.Exists("/dev/shm") ? Directory.CreateDirectory($"/dev/shm/tlog-storage-{Guid.NewGuid():N}").FullName : Directory.CreateTempSubdirectory("tlog-storage-").FullName;

    /// <summary>The directory itself.</summary>
    public string Root { get; }

    /// <summary>A path below it; nothing is there yet.</summary>
    public string this[string name] => Path.Combine(Root, name);

    public void Dispose() => Directory.Delete(Root, recursive: true);

    /// <summary>Every file below a directory with a hash of its bytes: two of these are equal when nothing was written between them.</summary>
    public static SortedDictionary<string, string> Content(string directory)
    {
        SortedDictionary<string, string> content = new(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFileSystemEntries(directory, "*", SearchOption.AllDirectories))
        {
            content[Path.GetRelativePath(directory, path)] = Directory.Exists(path) ? "directory" : Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(path)));
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

    /// <summary>Changes bytes of a file in place, behind everyone's back.</summary>
    public static void Overwrite(string path, long offset, params ReadOnlySpan<byte> bytes)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        file.Position = offset;
        file.Write(bytes);
    }
}
