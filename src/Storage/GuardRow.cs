// The row of files that makes up a guard:
//
//     <name>.<sequence, 20 decimal digits><extension>     one state each, written once, never changed; the newest two are kept
//     <name>.<sequence>.<16 hex digits>.new               a file that is being written
//     <name><extension>                                   the whole guard in older versions. Now it holds a text that they refuse as damaged
//
// A name in the row is created with link(2), which fails when it exists. A number becomes free again only when its file is removed, and the file of the
// number before it is removed first. So a process that has just created a file, still finds the one before it, and finds none after it, knows that no other
// process was ahead.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>One file of the row.</summary>
internal sealed record GuardFile(long Sequence, string Path, byte[] Bytes);

/// <summary>Reads and writes the files of one guard. Every call may block for as long as the file system of the folder blocks.</summary>
internal sealed class GuardRow(string directory, string name, string extension)
{
    private const int Digits = 20;

    private long _oldest;      // all files before this number were removed
    private PathInfo? _marker; // of the text for older versions, once it is written

    private static readonly byte[] Marker = Encoding.ASCII.GetBytes("tlog-guard v2: this guard is a row of numbered files. A program that reads this one is of an older version and must not go on: it could not see what newer programs have written.\n");

    public string LockPath => Path.Combine(directory, $"{name}.lock");

    /// <summary>The file in which older versions kept the guard.</summary>
    public string OldPath => Path.Combine(directory, name + extension);

    public string PathOf(long sequence) => Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{name}.{sequence:D20}{extension}"));

    /// <summary>The numbers whose file exists, in order.</summary>
    public List<long> List()
    {
        List<long> found = [];
        foreach (string file in Names())
        {
            if (file.Length != name.Length + 1 + Digits + extension.Length || !file.StartsWith(name + ".", StringComparison.Ordinal) || !file.EndsWith(extension, StringComparison.Ordinal)) continue;
            string digits = file.Substring(name.Length + 1, Digits);
            if (digits.All(char.IsAsciiDigit) && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long sequence) && sequence > 0) found.Add(sequence);
        }

        found.Sort();
        return found;
    }

    /// <summary>The file of a number; null when it does not exist.</summary>
    public GuardFile? Read(long sequence) => ReadFile(PathOf(sequence)) is byte[] bytes ? new GuardFile(sequence, PathOf(sequence), bytes) : null;

    /// <summary>The newest file; null when there is none. Another process may be adding and removing files.</summary>
    public GuardFile? ReadNewest()
    {
        for (int attempt = 0; ; attempt++)
        {
            List<long> all = List();
            if (all.Count == 0) return null;
            if (Read(all[^1]) is GuardFile newest) return newest;
            if (attempt == 100) throw new StorageException($"{PathOf(all[^1])} was listed and could not be opened");
        }
    }

    /// <summary>The guard that an older version left; null when there is none, or only the text that keeps older versions out.</summary>
    public byte[]? ReadOld() => ReadFile(OldPath) is byte[] bytes && !bytes.AsSpan().SequenceEqual(Marker) ? bytes : null;

    /// <summary>
    /// Writes the file of a number. Its bytes are durable when this returns; its name is durable after <see cref="Sync"/>. Returns false when the name is
    /// taken; then nothing has changed.
    /// </summary>
    /// <param name="sequence">The number.</param>
    /// <param name="bytes">The content of the file.</param>
    /// <param name="mayLink">Called right before the name is created. When it returns false, an exception ends the call.</param>
    /// <param name="renames">For tests: replaces an existing file of that name, which a guard must never do.</param>
    public bool TryAdd(long sequence, byte[] bytes, Func<bool> mayLink, bool renames = false)
    {
        string target = PathOf(sequence);
        string temporary = Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{name}.{sequence:D20}.{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}.new"));
        using SafeFileHandle file = Posix.Open(temporary, Posix.ReadWrite | Posix.Create | Posix.Exclusive | Posix.NoFollow);
        try
        {
            Posix.Write(file, bytes, 0, temporary);
            Posix.Sync(file, temporary);
            Posix.Verify(file, bytes, 0, temporary);
            if (!mayLink()) throw new StorageException($"{target} was not written: its caller has stopped waiting");
            if (renames)
            {
                Posix.Rename(temporary, target);
                return true;
            }

            // A network file system may lose the reply to link, and the repeated request then finds its own name. So decide by whether both names have one
            // inode, not by errno.
            int errno = Posix.Link(temporary, target);
            bool given;
            using (SafeFileHandle? named = Posix.TryOpenFile(target, Posix.ReadOnly))
            {
                if (named is null) throw NotLinked(target, errno);
                PathInfo one = Posix.Stat(file, temporary), other = Posix.Stat(named, target);
                given = (one.Device, one.Inode) == (other.Device, other.Inode);
            }

            TryRemove(temporary); // if this fails, the next start removes it
            return given;
        }
        catch (StorageException)
        {
            TryRemove(temporary);
            throw;
        }
    }

    /// <summary>
    /// Makes the names in the folder durable, and the bytes of an adopted file, which an earlier process may have left in the page cache only.
    /// </summary>
    public void Sync(long? adopted = null)
    {
        if (adopted is long sequence)
        {
            string path = PathOf(sequence);
            using SafeFileHandle? file = Posix.TryOpenFile(path, Posix.ReadOnly);
            Posix.Sync(file ?? throw new StorageException("open", path, Posix.ErrnoNoEntry), path);
        }

        Posix.SyncDirectory(directory);
    }

    /// <summary>
    /// Removes all files before a number, oldest first: this order lets an overtaken process notice that it was overtaken. A file that cannot be removed
    /// keeps all later ones.
    /// </summary>
    public void RemoveBefore(long sequence)
    {
        while (_oldest < sequence && TryRemove(PathOf(_oldest))) _oldest++;
    }

    /// <summary>At a start: removes all but the newest two files, and the unfinished files that crashes left.</summary>
    public void RemoveLeftovers()
    {
        List<long> all = List();
        _oldest = all[0];
        foreach (long sequence in all.SkipLast(2))
        {
            if (!TryRemove(PathOf(sequence))) break;
            _oldest = sequence + 1;
        }

        foreach (string file in Names().Where(file => file.StartsWith(name + ".", StringComparison.Ordinal) && file.EndsWith(".new", StringComparison.Ordinal))) TryRemove(Path.Combine(directory, file));
    }

    /// <summary>Writes a text into the file in which older versions kept the guard, so that they refuse to start.</summary>
    public void KeepOldVersionsOut()
    {
        if (ReadFile(OldPath) is not byte[] bytes || !bytes.AsSpan().SequenceEqual(Marker)) DurableFile.Replace(OldPath, Marker);
        _marker = Posix.Stat(OldPath, follow: false);
    }

    /// <summary>Whether that file has changed since. If so, a program of an older version is using this guard.</summary>
    public bool HasMarkerChanged() =>
        _marker is PathInfo was && (Posix.Stat(OldPath, follow: false) is not PathInfo now || (now.Device, now.Inode, now.Length) != (was.Device, was.Inode, was.Length));

    private static StorageException NotLinked(string target, int errno) => errno is 1 /* EPERM */ or 38 /* ENOSYS */ or 95 /* EOPNOTSUPP */
        ? new StorageException($"link of {target} failed: {Posix.Describe(errno)} (errno {errno}): a guard needs a file system with hard links", errno)
        : new StorageException("link", target, errno == 0 ? Posix.ErrnoIo : errno);

    private static byte[]? ReadFile(string path)
    {
        using SafeFileHandle? file = Posix.TryOpenFile(path, Posix.ReadOnly);
        if (file is null) return null;
        long length = Posix.Stat(file, path).Length;
        if (length > HeadRecord.MaxSize) throw new StorageException($"{path} has {length} bytes; at most {HeadRecord.MaxSize} are read");
        byte[] bytes = new byte[length];
        int read = Posix.Read(file, bytes, 0, path);
        return read == length ? bytes : bytes[..read];
    }

    private static bool TryRemove(string path)
    {
        try
        {
            if (Posix.Stat(path, follow: false) is not null) Posix.Unlink(path);
            return true;
        }
        catch (StorageException)
        {
            return false;
        }
    }

    private List<string> Names() => Posix.List(directory);
}
