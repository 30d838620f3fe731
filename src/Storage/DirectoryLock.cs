using System.Text;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>
/// Lets one process use a data directory: an exclusive flock on its file <c>lock</c>, which also holds the owner's process id, and one on the directory
/// itself, which still keeps a second process out when someone removes the file. The kernel releases both when the process ends in any way. The descriptors
/// are close-on-exec, so no child process keeps the locks.
/// </summary>
public sealed class DirectoryLock : IDisposable
{
    private readonly SafeFileHandle _file, _directory;
    private readonly string _name; // the kernel's path of the file when it was locked

    private DirectoryLock(SafeFileHandle file, SafeFileHandle directory)
    {
        _file = file;
        _directory = directory;
        _name = Posix.NameOf(file);
    }

    /// <summary>
    /// Whether the locked file still has its name. If it was removed or replaced, another process may hold a lock on the new file, and the holder of this
    /// lock must stop.
    /// </summary>
    public bool IsHeld => !_file.IsClosed && Posix.NameOf(_file) == _name;

    /// <summary>Throws <see cref="StorageException"/> when the lock is lost: another process may be using the directory.</summary>
    public void ThrowIfLost()
    {
        if (!IsHeld) throw new StorageException($"{_name} was removed or replaced: another process may be using this directory");
    }

    /// <summary>Acquires the lock. Throws <see cref="DirectoryInUseException"/>, which names the holder's process id, when another process holds it.</summary>
    public static DirectoryLock Acquire(string directory)
    {
        string path = Path.Combine(directory, "lock");
        while (true)
        {
            SafeFileHandle file = Posix.Open(path, Posix.ReadWrite | Posix.Create | Posix.NoFollow);
            SafeFileHandle? itself = null;
            try
            {
                if (!Posix.TryLock(file, path))
                {
                    throw new DirectoryInUseException($"{directory} is in use by process {ReadHolder(file, path)}");
                }

                // Between open and flock the file may have been removed: a lock on it would keep nobody out.
                if (Posix.NameOf(file).EndsWith(" (deleted)", StringComparison.Ordinal))
                {
                    file.Dispose();
                    continue;
                }

                itself = LockItself(directory, path);

                // Overwrite in place with a fixed length. Truncating would free the file's block, and on a full disk it could not be allocated again.
                Posix.Write(file, Encoding.ASCII.GetBytes($"{Environment.ProcessId,-10}\n"), 0, path);
                return new DirectoryLock(file, itself);
            }
            catch
            {
                // Release both: otherwise this process would block its own next attempt.
                itself?.Dispose();
                file.Dispose();
                throw;
            }
        }
    }

    private static SafeFileHandle LockItself(string directory, string path)
    {
        SafeFileHandle file = Posix.Open(directory, Posix.ReadOnly | Posix.Directory);
        try
        {
            if (Posix.TryLock(file, directory)) return file;
        }
        catch (StorageException failure) when (failure.Errno == Posix.ErrnoBadDescriptor)
        {
            // NFS locks only files that are open for writing, so the lock on the file has to suffice there.
            return file;
        }

        file.Dispose();
        throw new DirectoryInUseException($"{directory} is in use by another process, which has locked it; its file {path} was removed or replaced");
    }

    /// <summary>
    /// Reads the holder's process id, for up to a second. The holder writes it right after it has the lock; until then the file is empty, or names the
    /// previous holder, which has ended.
    /// </summary>
    private static string ReadHolder(SafeFileHandle file, string path)
    {
        byte[] holder = new byte[32];
        string id = "";
        SpinWait.SpinUntil(
            () =>
            {
                id = Encoding.ASCII.GetString(holder, 0, Posix.Read(file, holder, 0, path)).Trim();
                return id.Length > 0 && Paths.Exists($"/proc/{id}");
            },
            TimeSpan.FromSeconds(1));
        return id;
    }

    /// <summary>Releases the lock.</summary>
    public void Dispose()
    {
        _directory.Dispose();
        _file.Dispose();
    }
}
