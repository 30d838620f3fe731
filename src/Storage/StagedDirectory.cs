// A directory that gets its final name only once it is complete. Until then:
//
//   <target><suffix>/stage    states that it is a stage, and carries the flock of the process that fills it
//   <target><suffix>/data/    becomes the directory
//
// A killed process leaves both. Its lock is gone then, and the next run removes both and starts over.

using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>
/// Fills a directory under a temporary name next to its final place, and renames it once it was checked. An unfinished one is removed by
/// <see cref="Dispose"/>, or after a crash by the next run.
/// </summary>
internal sealed class StagedDirectory : IDisposable
{
    private const string MarkerName = "stage";

    private static readonly byte[] Marker = "tlog-stage v1: an unfinished directory; the next run of the same command removes it\n"u8.ToArray();

    private readonly string _target, _stage;
    private SafeFileHandle? _lock;

    /// <summary>
    /// Refuses a target that cannot be replaced, and a stage that another process is filling. Removes the stage of a killed process. Creates nothing yet.
    /// </summary>
    /// <param name="target">The directory to create. It must not exist, or be empty.</param>
    /// <param name="suffix">Appended to its name until it is complete.</param>
    /// <exception cref="StorageException">The target is not empty or is a mount point, another process is filling the stage, or the stage has files but no
    /// marker.</exception>
    public StagedDirectory(string target, string suffix)
    {
        LogDirectory.RequireEmpty(target);
        _target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        _stage = _target + suffix;
        if (Posix.Stat(_target) is PathInfo there)
        {
            // The rename that replaces it may come hours later, so refuse now whatever would make it fail.
            string? above = Path.GetDirectoryName(_target);
            bool isMount = above is null || Posix.Stat(above)?.Device != there.Device;
            if (isMount || Posix.List(_target).Count > 0) throw new StorageException($"{_target} is {(isMount ? "a mount point" : "in use by its file system")} and cannot be replaced: choose a folder in it");
        }

        if (Paths.DirectoryExists(_stage)) RemoveLeftover();
    }

    /// <summary>Creates an empty stage, and returns the directory to fill.</summary>
    public string Begin()
    {
        string marker = Path.Combine(_stage, MarkerName), data = Path.Combine(_stage, "data");
        DurableFile.CreateDirectory(_stage);
        _lock = Posix.Open(marker, Posix.ReadWrite | Posix.Create | Posix.NoFollow);
        if (!Posix.TryLock(_lock, marker)) throw Busy();
        Posix.Write(_lock, Marker, 0, marker);
        Posix.Sync(_lock, marker);
        DurableFile.CreateDirectory(data);
        return data;
    }

    /// <summary>
    /// Renames the directory to its final name. A crash before the rename leaves a stage. A crash after it leaves the directory, and a stage without data.
    /// </summary>
    public void Finish()
    {
        if (Paths.DirectoryExists(_target)) Directory.Delete(_target);
        Posix.Rename(Path.Combine(_stage, "data"), _target);
        Posix.SyncDirectory(Path.GetDirectoryName(_target)!);
    }

    public void Dispose()
    {
        if (_lock is null) return;
        if (Paths.DirectoryExists(_stage)) Remove();
        _lock.Dispose();
    }

    private void RemoveLeftover()
    {
        List<string> names = Posix.List(_stage);
        if (names.Count > 0)
        {
            string path = Path.Combine(_stage, MarkerName);
            if (!names.Contains(MarkerName)) throw new StorageException($"{_stage} holds {names[0]} and was not made by this version: remove it, and run the command again");
            using SafeFileHandle marker = Posix.Open(path, Posix.ReadWrite | Posix.NoFollow);
            if (!Posix.TryLock(marker, path)) throw Busy();
            Remove();
            return;
        }

        Directory.Delete(_stage);
    }

    /// <summary>Removes the data first and the marker last, so that the next run can continue an interrupted removal.</summary>
    private void Remove()
    {
        string data = Path.Combine(_stage, "data");
        if (Paths.DirectoryExists(data)) Directory.Delete(data, recursive: true);
        Directory.Delete(_stage, recursive: true);
    }

    private StorageException Busy() => new($"{_stage} is the work of another process that has not ended: wait for it");
}
