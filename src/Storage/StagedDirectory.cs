// A directory that gets its name only once it is whole. Until then:
//
//   <target><suffix>/stage    says whose it is, and carries the flock of the process at work
//   <target><suffix>/data/    what becomes the directory
//
// A process that is killed leaves both. Nothing holds the lock then, and the next run removes them and begins again.

using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Makes a directory next to its place and gives it its name when all of it was checked. What was begun and not finished is removed, at once or by the next run.</summary>
internal sealed class StagedDirectory : IDisposable
{
    private const string MarkerName = "stage";

    private static readonly byte[] Marker = "tlog-stage v1: an unfinished directory; the next run of the same command removes it\n"u8.ToArray();

    private readonly string _target, _stage;
    private SafeFileHandle? _lock;

    /// <summary>Refuses a target that cannot be replaced, and a stage that another process works at; makes nothing yet.</summary>
    /// <param name="target">The directory to be: it does not exist, or is empty.</param>
    /// <param name="suffix">What follows its name until then.</param>
    /// <exception cref="StorageException">The target holds something or is a mount point, another process is at work, or what lies there is not ours.</exception>
    public StagedDirectory(string target, string suffix)
    {
        LogDirectory.RequireEmpty(target);
        _target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        _stage = _target + suffix;
        if (Posix.Stat(_target) is PathInfo there)
        {
            // It is replaced by a rename, hours later perhaps: what would keep it from that is said now.
            string? above = Path.GetDirectoryName(_target);
            bool isMount = above is null || Posix.Stat(above)?.Device != there.Device;
            if (isMount || Posix.List(_target).Count > 0) throw new StorageException($"{_target} is {(isMount ? "a mount point" : "in use by its file system")} and cannot be replaced: choose a folder in it");
        }

        if (Paths.DirectoryExists(_stage)) RemoveLeftover();
    }

    /// <summary>Makes the stage, empty, and returns the directory to fill.</summary>
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

    /// <summary>Gives it its name. A crash before the rename leaves a stage; one after it leaves the directory, and a stage without data.</summary>
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

    /// <summary>The marker last: a removal that is interrupted can be gone on with.</summary>
    private void Remove()
    {
        string data = Path.Combine(_stage, "data");
        if (Paths.DirectoryExists(data)) Directory.Delete(data, recursive: true);
        Directory.Delete(_stage, recursive: true);
    }

    private StorageException Busy() => new($"{_stage} is the work of another process that has not ended: wait for it");
}
