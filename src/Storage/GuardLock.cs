// The lock of a guard, `<name>.lock` in the guard's folder. The process holds an exclusive flock on it for its whole life. No program renames or removes it.
// Its text has a fixed length and names the holder:
//
//     tlog-guard-lock v1
//     pid <decimal>
//     host <name>
//     data <data directory>
//     token <32 hex digits, new for each holder>
//
// padded with blanks to 1,024 bytes. A lock can be lost: an operator removes the file, or a network file system forgets the lock. So the holder checks
// repeatedly that the path names the inode it has locked, and that the text is the one it wrote.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Holds the lock of a guard.</summary>
internal sealed class GuardLock : IDisposable
{
    private const string Header = "tlog-guard-lock v1";
    private const int Size = 1024;

    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly (ulong Device, ulong Inode) _identity;
    private readonly byte[] _text;

    private GuardLock(string path, SafeFileHandle file, (ulong Device, ulong Inode) identity, byte[] text) => (_path, _file, _identity, _text) = (path, file, identity, text);

    /// <summary>Acquires the lock.</summary>
    /// <param name="path">The lock file; created if it does not exist.</param>
    /// <param name="dataDirectory">The data directory of the holder, written into the file for other processes.</param>
    /// <param name="ignoresOthers">For tests: continues when another process holds the lock, as on a file system that has lost it.</param>
    /// <exception cref="DirectoryInUseException">Another process holds the lock; the message names that process.</exception>
    public static GuardLock Acquire(string path, string dataDirectory, bool ignoresOthers = false)
    {
        while (true)
        {
            SafeFileHandle file = Posix.TryOpenFile(path, Posix.ReadWrite | Posix.Create)!; // O_CREAT: it is never absent
            try
            {
                if (!Posix.TryLock(file, path) && !ignoresOthers) throw new DirectoryInUseException($"the guard {Path.GetDirectoryName(path)} is in use by {Holder(file, path)} ({path})");

                // Between open and flock the file may have been removed: a lock on it would keep nobody out.
                (ulong Device, ulong Inode) identity = IdentityOf(Posix.Stat(file, path));
                if (Posix.Stat(path, follow: false) is not PathInfo named || IdentityOf(named) != identity)
                {
                    file.Dispose();
                    continue;
                }

                byte[] text = Text(dataDirectory);
                Posix.Write(file, text, 0, path);
                return new GuardLock(path, file, identity, text);
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
    }

    /// <summary>Describes how the lock was lost; null while it is held. Opens the file by its name, which makes a network file system ask its server.</summary>
    public string? WhyLost()
    {
        using SafeFileHandle? named = Posix.TryOpenFile(_path, Posix.ReadOnly);
        if (named is null) return $"its lock {_path} was removed";
        byte[] found = new byte[Size + 1];
        int length = Posix.Read(named, found, 0, _path);
        string by = Parse(found.AsSpan(0, length)) is string holder ? $" by {holder}" : "";
        if (IdentityOf(Posix.Stat(named, _path)) != _identity) return $"its lock {_path} was replaced{by}";
        return found.AsSpan(0, length).SequenceEqual(_text) ? null : $"its lock {_path} was taken{by}";
    }

    /// <summary>Releases the lock. The file stays.</summary>
    public void Dispose() => _file.Dispose();

    private static (ulong Device, ulong Inode) IdentityOf(PathInfo info) => (info.Device, info.Inode);

    private static byte[] Text(string dataDirectory)
    {
        string token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        byte[] data = Encoding.UTF8.GetBytes(dataDirectory.ReplaceLineEndings("?"));
        string cut = Encoding.UTF8.GetString(data.AsSpan(0, Math.Min(data.Length, 700)));
        byte[] head = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Header}\npid {Environment.ProcessId}\nhost {Environment.MachineName}\ndata {cut}\ntoken {token}\n"));
        byte[] text = new byte[Size];
        text.AsSpan().Fill((byte)' ');
        head.CopyTo(text, 0);
        text[^1] = (byte)'\n';
        return text;
    }

    private static string? Parse(ReadOnlySpan<byte> text)
    {
        string[] lines = Encoding.UTF8.GetString(text).Split('\n');
        return lines.Length >= 5 && lines[0] == Header && lines[1].StartsWith("pid ", StringComparison.Ordinal) && lines[2].StartsWith("host ", StringComparison.Ordinal) && lines[3].StartsWith("data ", StringComparison.Ordinal)
            ? $"process {lines[1][4..]} on {lines[2][5..]}, for {lines[3][5..]}"
            : null;
    }

    /// <summary>
    /// Names the holder of the lock, after up to a second. The holder writes its text right after it has the lock; until then the file is empty or names the
    /// previous holder.
    /// </summary>
    private static string Holder(SafeFileHandle file, string path)
    {
        byte[] text = new byte[Size];
        string? holder = null;
        SpinWait.SpinUntil(
            () =>
            {
                holder = Parse(text.AsSpan(0, Posix.Read(file, text, 0, path)));
                if (holder is null) return false;
                string process = holder[8..holder.IndexOf(" on ", StringComparison.Ordinal)], host = holder[(8 + process.Length + 4)..holder.IndexOf(", for ", StringComparison.Ordinal)];
                return host != Environment.MachineName || Posix.Stat($"/proc/{process}") is not null;
            },
            TimeSpan.FromSeconds(1));
        return holder ?? "another process";
    }
}
