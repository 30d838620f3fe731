// The file `guarded` in the data directory of a log or a witness: the absolute path of the guard's folder and a newline. It records that a guard is in use,
// so that a missing guard is noticed.

using System.Text;

namespace TransparencyLog.Storage;

/// <summary>Reads and writes <c>guarded</c>.</summary>
public static class GuardedFile
{
    internal const int MaxSize = 4096 + 1;
    internal const string Form = "the absolute path of the guard's folder, and a newline";

    private const string Name = "guarded";

    /// <summary>The path of the file.</summary>
    public static string PathOf(string dataDirectory) => Path.Combine(dataDirectory, Name);

    /// <summary>The folder of the guard; null when no guard is in use.</summary>
    /// <param name="dataDirectory">The data directory.</param>
    /// <param name="program">The program whose command repairs the file, for the message.</param>
    /// <exception cref="StorageException">The file is damaged, so the location of the guard is unknown.</exception>
    public static string? Read(string dataDirectory, string program)
    {
        string path = PathOf(dataDirectory);
        if (Posix.Stat(path) is null) return null;
        if (!DurableFile.TryRead(path, MaxSize, out byte[] bytes)) return null;
        return Parse(bytes) ?? throw new StorageException(
            $"{path} is damaged: it holds {Describe(bytes)}, and not {Form}. The guard of this directory is still needed: write its path there again, or begin a new guard with {program} guard replace --data {dataDirectory} --guard DIR --reason TEXT");
    }

    /// <summary>Describes the content of the file, for the record of a change.</summary>
    public static string Describe(string dataDirectory)
    {
        if (Posix.Stat(PathOf(dataDirectory)) is null) return "there was none";
        return DurableFile.TryRead(PathOf(dataDirectory), MaxSize, out byte[] bytes) && Parse(bytes) is string folder ? $"it was in {folder}" : "guarded was damaged";
    }

    /// <summary>Records the folder of the guard, durably.</summary>
    public static void Write(string dataDirectory, string guardDirectory) => DurableFile.Replace(PathOf(dataDirectory), Encoding.UTF8.GetBytes(Path.GetFullPath(guardDirectory) + "\n"));

    /// <summary>Removes the record that a guard is in use, durably.</summary>
    public static void Remove(string dataDirectory)
    {
        if (Posix.Stat(PathOf(dataDirectory), follow: false) is null) return;
        Posix.Unlink(PathOf(dataDirectory));
        Posix.SyncDirectory(dataDirectory);
    }

    /// <summary>The folder that the bytes of the file name; null when they are damaged.</summary>
    internal static string? Parse(ReadOnlySpan<byte> bytes) =>
        bytes.Length >= 2 && bytes[0] == (byte)'/' && bytes.IndexOf((byte)'\n') == bytes.Length - 1 && !bytes.Contains((byte)0) && Strict.IsUtf8(bytes)
            ? Encoding.UTF8.GetString(bytes[..^1])
            : null;

    internal static string Describe(ReadOnlySpan<byte> bytes) => bytes.Length == 0 ? "nothing" : $"{bytes.Length} other bytes";
}
