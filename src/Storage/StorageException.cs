namespace TransparencyLog.Storage;

/// <summary>
/// A storage call failed, or what is stored cannot be used. It ends the engine that meets it: nothing is retried on the same
/// file, readers may stay, a restart decides. The message names the file and is written for an operator.
/// </summary>
public class StorageException : IOException
{
    /// <summary>A refusal in words.</summary>
    public StorageException(string message) : base(message)
    {
    }

    /// <summary>A failed system call.</summary>
    /// <param name="call">Its name, as <c>fdatasync</c>.</param>
    /// <param name="path">The file it was about.</param>
    /// <param name="errno">The error number of Linux.</param>
    public StorageException(string call, string path, int errno) : base($"{call} of {path} failed: {Posix.Describe(errno)} (errno {errno})") =>
        Errno = errno;

    /// <summary>A refusal in words that a failed system call led to.</summary>
    internal StorageException(string message, int errno) : base(message) => Errno = errno;

    /// <summary>The error number of the system call; 0 when there was none.</summary>
    public int Errno { get; }

    /// <summary>Whether the disk, or this user's quota of it, has no bytes or no inodes left.</summary>
    internal bool IsFull => this is not GuardUnavailableException && Errno is 28 /* ENOSPC */ or 122 /* EDQUOT */;

    /// <summary>Whether a later start may fare better: the disk or its quota was full, it failed or could not be written to, or descriptors or memory were short.</summary>
    public bool MayPass => Errno is 5 /* EIO */ or 12 /* ENOMEM */ or 23 /* ENFILE */ or 24 /* EMFILE */ or 28 /* ENOSPC */ or 30 /* EROFS */ or 122 /* EDQUOT */;
}

/// <summary>The bytes on disk are not what was written: refuse, and name the place. Never repaired in silence.</summary>
public sealed class DamageException(Damage damage) : StorageException(damage.ToString())
{
    /// <summary>What is damaged, and where.</summary>
    public Damage Damage { get; } = damage;
}

/// <summary>The directory is held by another process.</summary>
public sealed class DirectoryInUseException(string message) : StorageException(message);
