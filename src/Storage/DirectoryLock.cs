using System.Text;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>
/// One process for one data directory: an exclusive flock on its file <c>lock</c>, which also holds the owner's process id, and one on the directory
/// itself, which whoever removes the file to get past it meets. The kernel releases both when the process ends, however it ends. The descriptors are
/// close-on-exec: no child keeps them alive.
/// </summary>
public sealed class DirectoryLock : IDisposable
{
    private readonly SafeFileHandle _file, _directory;
    private readonly string _name; // as the kernel gave it when the lock was taken

    private DirectoryLock(SafeFileHandle file, SafeFileHandle directory)
    {
        _file = file;
        _directory = directory;
        _name = Posix.NameOf(file);
    }

    /// <summary>
    /// Whether the file that is locked still is the one of that name. When it was removed or replaced, another process may hold a lock on
    /// the new one, and whoever holds this lock must stop.
    /// </summary>
    public bool IsHeld => !_file.IsClosed && Posix.NameOf(_file) == _name;

    /// <summary>Throws <see cref="StorageException"/> when the lock is lost: another process may be at work in the directory.</summary>
    public void ThrowIfLost()
    {
        if (!IsHeld) throw new StorageException($"{_name} was removed or replaced: another process may be using this directory");
    }

    /// <summary>Takes the lock. Throws <see cref="DirectoryInUseException"/>, which names the holder's process id, when another process has it.</summary>
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

                // Its name may have gone between opening and locking: then this lock would keep nobody out.
                if (Posix.NameOf(file).EndsWith(" (deleted)", StringComparison.Ordinal))
                {
                    file.Dispose();
                    continue;
                }

                itself = LockItself(directory, path);

                // Of one length, over what is there: on a full disk the file's block must not be given away.
                Posix.Write(file, Encoding.ASCII.GetBytes($"{Environment.ProcessId,-10}\n"), 0, path);
                return new DirectoryLock(file, itself);
            }
            catch
            {
                // Both, or this process would keep out its own next attempt.
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
            // NFS locks only what is open for writing: there the file's lock is all there is.
            return file;
        }

        file.Dispose();
        throw new DirectoryInUseException($"{directory} is in use by another process, which has locked it; its file {path} was removed or replaced");
    }

    /// <summary>
    /// The holder writes its id just behind taking the lock, and until then the file is empty, or names the holder before it, which has ended: it gets
    /// a second for that.
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
