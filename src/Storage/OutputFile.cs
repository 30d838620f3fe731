// Writes files at paths that a user names: proofs, checkpoints, evidence. Such a path may name anything, and most of it must survive:
//
//     nothing                  a new file, with mode 0666 minus the umask
//     a regular file           replaced as a whole: a crash leaves the old content or the new; mode, owner and group stay
//     a symbolic link          followed, over as many links as the kernel would; the link stays, and its target is handled by another row
//     /dev/stdout, /dev/fd/N   written to the open descriptor N, at its current position
//     a FIFO, a device         written to
//     a directory, a socket    refused
//
// DurableFile.Replace is for our own directories only: its temporary name is fixed so that a start finds it, and here it could overwrite a file of another
// program.

using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Output could not be written. The message names the path and the cause.</summary>
public sealed class OutputFileException : StorageException
{
    internal OutputFileException(string path, string cause, int errno) : base($"{path} cannot be written: {cause}", errno)
    {
    }
}

/// <summary>Writes output to a path that a user names.</summary>
public static class OutputFile
{
    /// <summary>How many characters of the name are repeated in the temporary name. A file name has at most 255 bytes, and a character up to 4.</summary>
    private const int NameInTemporary = 50;

    private const int ErrnoNotPermitted = 1, ErrnoNoEntry = 2, ErrnoNoDevice = 6, ErrnoAccess = 13, ErrnoBusy = 16, ErrnoReadOnlySystem = 30, ErrnoLoop = 40;

    /// <summary>Writes all bytes. When this returns, a regular file is on disk, and so is its name.</summary>
    /// <param name="path">The path that the user named.</param>
    /// <param name="bytes">The whole content.</param>
    /// <exception cref="OutputFileException">The path could not be written. A FIFO or a device may have received some of the bytes. A regular file is
    /// unchanged, unless only the sync of its folder failed.</exception>
    public static void Write(string path, ReadOnlySpan<byte> bytes)
    {
        ArgumentNullException.ThrowIfNull(path);
        try
        {
            (string target, int? descriptor) = InheritedDescriptor.Follow(path) ?? throw new OutputFileException(path, "there are too many symbolic links in it", ErrnoLoop);
            if (descriptor is int open) WriteTo(open, path, bytes);
            else Write(path, target, Posix.Stat(target, follow: false), bytes);
        }
        catch (StorageException failure) when (failure is not OutputFileException)
        {
            throw new OutputFileException(path, failure.Message, failure.Errno);
        }
    }

    /// <summary>
    /// Refuses a path such as /dev/fd/3 when the process was not started with that descriptor: the number may belong to another file by now.
    /// </summary>
    /// <param name="path">The path that the user named.</param>
    /// <exception cref="OutputFileException">The path stands for a descriptor that was not inherited or is not open for writing, or it cannot be
    /// resolved.</exception>
    public static void RequireOpen(string path)
    {
        try
        {
            if (InheritedDescriptor.Of(path) is int descriptor && !InheritedDescriptor.IsWritable(descriptor)) throw new OutputFileException(path, "it is closed or read-only; redirect it, or name a file", 0);
        }
        catch (StorageException failure) when (failure is not OutputFileException)
        {
            throw new OutputFileException(path, failure.Message, failure.Errno);
        }
    }

    private static void Write(string path, string target, PathInfo? old, ReadOnlySpan<byte> bytes)
    {
        switch (old?.Kind)
        {
            case PathKind.Directory:
                throw new OutputFileException(path, "it is a directory", 0);
            case null or PathKind.File:
                if (Path.EndsInDirectorySeparator(target) || target.Length == 0) throw new OutputFileException(path, "it is not the name of a file", 0);
                Replace(path, target, old, bytes);
                break;
            default:
                using (SafeFileHandle stream = OpenStream(path, target))
                {
                    Posix.WriteStream(stream, bytes, path);
                }

                break;
        }
    }

    private static SafeFileHandle OpenStream(string path, string target)
    {
        try
        {
            return Posix.OpenStream(target);
        }
        catch (StorageException failure) when (failure.Errno == ErrnoNoDevice)
        {
            throw new OutputFileException(path, "it is a socket, or a device that is absent", failure.Errno);
        }
    }

    private static void WriteTo(int descriptor, string path, ReadOnlySpan<byte> bytes)
    {
        using SafeFileHandle file = new(descriptor, ownsHandle: false);
        Posix.WriteStream(file, bytes, path);
    }

    /// <summary>
    /// Writes a temporary file, copies the attributes, syncs, renames, and syncs the folder. A crash leaves the old file or the new one, and at worst a
    /// temporary file next to it.
    /// </summary>
    private static void Replace(string path, string target, PathInfo? old, ReadOnlySpan<byte> bytes)
    {
        string folder = Path.GetDirectoryName(target) is { Length: > 0 } parent ? parent : ".";
        (string temporary, SafeFileHandle file) = CreateTemporary(path, folder, Path.GetFileName(target), old);
        try
        {
            using (file)
            {
                Posix.Write(file, bytes, 0, temporary);
                if (old is not null) CopyAttributes(file, temporary, old);
                Posix.Sync(file, temporary);
                Posix.Verify(file, bytes, 0, temporary);
            }

            Posix.Rename(temporary, target);
        }
        catch (StorageException failure)
        {
            Remove(temporary);
            if (failure.Errno == ErrnoBusy) throw new OutputFileException(path, "another file system is mounted on it, so it cannot be replaced", failure.Errno);
            throw;
        }

        Posix.SyncDirectory(folder);
    }

    private static (string Path, SafeFileHandle File) CreateTemporary(string path, string folder, string name, PathInfo? old)
    {
        string stem = name.Length <= NameInTemporary ? name : name[..NameInTemporary];

        // While it is being written, a file that replaces another is private to its owner. A new file has its final mode, which the umask decides, from the
        // start.
        int mode = old is null ? 0b110_110_110 : 0b110_000_000;
        try
        {
            while (true)
            {
                string temporary = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $".{stem}.{RandomNumberGenerator.GetHexString(16, lowercase: true)}.tmp"));
                if (Posix.TryCreate(temporary, mode) is SafeFileHandle file) return (temporary, file);
            }
        }
        catch (StorageException failure) when (failure.Errno == ErrnoNoEntry)
        {
            throw new OutputFileException(path, $"no such folder: {folder}", failure.Errno);
        }
        catch (StorageException failure) when (failure.Errno is ErrnoAccess or ErrnoNotPermitted)
        {
            throw new OutputFileException(path, $"this user may not create files in the folder {folder}", failure.Errno);
        }
        catch (StorageException failure) when (failure.Errno == ErrnoReadOnlySystem)
        {
            throw new OutputFileException(path, $"the file system of {folder} is read-only", failure.Errno);
        }
    }

    /// <summary>
    /// Copies mode, owner and group of the replaced file, as far as this user may set them. If the group cannot be kept, the new group gets only the rights
    /// that others had: nobody may read the new file who could not read the old one.
    /// </summary>
    private static void CopyAttributes(SafeFileHandle file, string temporary, PathInfo old)
    {
        PathInfo made = Posix.Stat(temporary, follow: false) ?? throw new StorageException($"{temporary} was removed by another process");
        if ((made.UserId, made.GroupId) != (old.UserId, old.GroupId) && !Posix.TryChangeOwner(file, old.UserId, old.GroupId)) _ = Posix.TryChangeOwner(file, uint.MaxValue, old.GroupId);
        made = Posix.Stat(temporary, follow: false) ?? throw new StorageException($"{temporary} was removed by another process");
        bool same = (made.UserId, made.GroupId) == (old.UserId, old.GroupId);
        int mode = same ? old.Mode : old.Mode & 0b111_111_111;
        if (made.GroupId != old.GroupId) mode = (mode & ~0b111_000) | ((mode & 0b111) << 3);
        _ = Posix.TryChangeMode(file, mode);
    }

    private static void Remove(string temporary)
    {
        try
        {
            Posix.Unlink(temporary);
        }
        catch (StorageException)
        {
            // The first failure is the one to report.
        }
    }
}
