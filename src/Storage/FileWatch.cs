// Detects that files of this process were removed or replaced. The kernel lets the process continue: its descriptors then refer to files without a name, and
// everything it acknowledges is lost when it ends. So device and inode of the files in use are compared with those that their names lead to.

using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>A file that a process relies on.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Handle">Its descriptor, if it is open. The path must then lead to the same file.</param>
/// <param name="IsReplaced">Whether this process itself replaces the file as a whole. The path must then lead to any regular file. Without this flag and
/// without a handle, it must lead to the file that was there at the first look.</param>
internal readonly record struct WatchedFile(string Path, SafeFileHandle? Handle = null, bool IsReplaced = false);

/// <summary>
/// Periodically compares the files that a process uses with their names. A file must differ in two looks in a row to be reported, because this process may be
/// replacing it during a look.
/// </summary>
public sealed class FileWatch
{
    /// <summary>The time between two looks. A missing file is reported at the second look that misses it, within a minute.</summary>
    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(20);

    private readonly Func<IEnumerable<WatchedFile>> _files;
    private readonly List<string> _keys;
    private readonly Action<string> _keyGone;
    private readonly TimeProvider _time;
    private readonly Dictionary<string, (ulong Device, ulong Inode)> _first = new(StringComparer.Ordinal); // of files without a handle, at the first look
    private HashSet<string> _suspects = new(StringComparer.Ordinal);

    internal FileWatch(Func<IEnumerable<WatchedFile>> files, IEnumerable<string> keys, Action<string> keyGone, TimeProvider time)
    {
        _files = files;
        _keys = [.. keys];
        _keyGone = keyGone;
        _time = time;

        // Nothing is being replaced at the start, so one difference is enough.
        foreach (WatchedFile file in files())
        {
            if (Differs(file) is string how) throw new StorageException($"{file.Path} {how}");
        }

        _keys.RemoveAll(IsGone);
    }

    /// <summary>Watches the files of an open log. Call it before the log is used.</summary>
    /// <param name="log">The log.</param>
    /// <param name="keyGone">Called once for each key file that can no longer be read. The key is in memory; only the next start needs the file.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="StorageException">A file is not the one that was opened, or cannot be examined.</exception>
    public static FileWatch Of(LogDirectory log, Action<string> keyGone, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(log);
        return new FileWatch(log.FilesInUse, log.Identity.Keys.Select(key => Path.Combine(log.Root, key.KeyPath)), keyGone, time);
    }

    /// <summary>Watches the files of an open journal and other files.</summary>
    /// <param name="journal">The journal.</param>
    /// <param name="stays">Files that are never replaced.</param>
    /// <param name="replaced">Files that this process replaces as a whole.</param>
    /// <param name="keys">Key files.</param>
    /// <param name="keyGone">Called once for each key file that can no longer be read.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="StorageException">A file is not the one that was opened, or cannot be examined.</exception>
    public static FileWatch Of(Journal journal, IEnumerable<string> stays, IEnumerable<string> replaced, IEnumerable<string> keys, Action<string> keyGone, TimeProvider time)
    {
        WatchedFile[] named = [.. stays.Select(path => new WatchedFile(path)), .. replaced.Select(path => new WatchedFile(path, IsReplaced: true))];
        return new FileWatch(() => [.. named, .. journal.FilesInUse()], keys, keyGone, time);
    }

    /// <summary>Looks periodically until it is cancelled.</summary>
    /// <exception cref="StorageException">A file was removed or replaced, or its name cannot be examined. If the file is open, the message names the path
    /// under which its content can still be read.</exception>
    public async Task RunAsync(CancellationToken stop)
    {
        while (true)
        {
            await Task.Delay(Interval, _time, stop).ConfigureAwait(false);
            if (Look() is string trouble) throw new StorageException(trouble);
        }
    }

    /// <summary>Makes one look. Returns a message for a file that differs for the second time, or null.</summary>
    internal string? Look()
    {
        HashSet<string> suspects = new(StringComparer.Ordinal);
        string? trouble = null;
        foreach (WatchedFile file in _files())
        {
            if (Differs(file) is not string how) continue;
            suspects.Add(file.Path);
            if (_suspects.Contains(file.Path)) trouble ??= $"{file.Path} {how}{Reachable(file)}";
        }

        _suspects = suspects;
        _keys.RemoveAll(IsGone);
        return trouble;
    }

    private string? Differs(WatchedFile file)
    {
        try
        {
            if (Posix.Stat(file.Path, follow: false) is not PathInfo named) return "was removed while this process uses it";
            if (file.IsReplaced) return named.Kind == PathKind.File ? null : $"was replaced by {Paths.Describe(named.Kind)}";
            (ulong, ulong) expected = file.Handle is SafeFileHandle handle ? IdentityOf(Posix.Stat(handle, file.Path)) : _first.TryGetValue(file.Path, out (ulong, ulong) first) ? first : _first[file.Path] = IdentityOf(named);
            return IdentityOf(named) == expected ? null : "was replaced by another file while this process uses it";
        }
        catch (ObjectDisposedException)
        {
            // It was closed after the list was made, and is no longer used.
            return null;
        }
        catch (StorageException failure)
        {
            return $"cannot be examined ({failure.Message})";
        }
    }

    private static (ulong Device, ulong Inode) IdentityOf(PathInfo info) => (info.Device, info.Inode);

    private static string Reachable(WatchedFile file)
    {
        if (file.Handle is not SafeFileHandle { IsClosed: false } handle) return ": nothing more is taken; restore it before the next start";
        string descriptor = string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{handle.DangerousGetHandle()}");
        return $": nothing more is taken; until this process ends its content is still reachable as {descriptor}: copy it from there first";
    }

    private bool IsGone(string key)
    {
        try
        {
            if (Posix.Stat(key) is not null) return false;
            _keyGone($"{key}, the key, is not there any more: this process goes on with it, the next start needs it");
        }
        catch (StorageException failure)
        {
            _keyGone($"{failure.Message}: this process goes on with the key, the next start needs it");
        }

        return true;
    }
}
