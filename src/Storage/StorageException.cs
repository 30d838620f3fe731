namespace TransparencyLog.Storage;

/// <summary>
/// A storage call failed, or stored bytes cannot be used. The engine that gets it stops: nothing is retried on the same file, readers may continue, and a
/// restart decides. The message names the file and is written for an operator.
/// </summary>
public class StorageException : IOException
{
    /// <summary>Creates a refusal with a message.</summary>
    public StorageException(string message) : base(message)
    {
    }

    /// <summary>Creates the exception for a failed system call.</summary>
    /// <param name="call">The name of the call, such as <c>fdatasync</c>.</param>
    /// <param name="path">The file that the call was made on.</param>
    /// <param name="errno">The Linux error number.</param>
    public StorageException(string call, string path, int errno) : base($"{call} of {path} failed: {Posix.Describe(errno)} (errno {errno})") =>
        Errno = errno;

    /// <summary>Creates a refusal with a message, caused by a failed system call.</summary>
    internal StorageException(string message, int errno) : base(message) => Errno = errno;

    /// <summary>The error number of the system call; 0 when no call failed.</summary>
    public int Errno { get; }

    /// <summary>Whether the disk, or this user's quota on it, has no bytes or no inodes left.</summary>
    internal bool IsFull => this is not GuardUnavailableException && Errno is 28 /* ENOSPC */ or 122 /* EDQUOT */;

    /// <summary>
    /// Whether a later start may succeed: the disk or the quota was full, the disk failed or was read-only, or descriptors or memory had run out.
    /// </summary>
    public bool MayPass => Errno is 5 /* EIO */ or 12 /* ENOMEM */ or 23 /* ENFILE */ or 24 /* EMFILE */ or 28 /* ENOSPC */ or 30 /* EROFS */ or 122 /* EDQUOT */;
}

/// <summary>The bytes on disk are not the bytes that were written. The caller refuses and names the place. Damage is never repaired silently.</summary>
public sealed class DamageException(Damage damage) : StorageException(damage.ToString())
{
    /// <summary>The kind and place of the damage.</summary>
    public Damage Damage { get; } = damage;
}

/// <summary>Another process has the directory open.</summary>
public sealed class DirectoryInUseException(string message) : StorageException(message);
