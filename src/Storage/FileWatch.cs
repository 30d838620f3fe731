// Files that are removed or replaced under the process that uses them. The kernel lets it go on: its descriptors lead to files without a name, and what it promises is
// gone when it ends. So device and inode of what it uses are compared with what the names lead to.

using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>A file that a process relies on.</summary>
/// <param name="Path">Its name.</param>
/// <param name="Handle">Its descriptor, where it is held open: the name has to lead to the same file.</param>
/// <param name="IsReplaced">Whether this process itself replaces it as a whole: then the name has to lead to some file. Otherwise, and without a handle, to the one that was there first.</param>
internal readonly record struct WatchedFile(string Path, SafeFileHandle? Handle = null, bool IsReplaced = false);

/// <summary>Compares the files that a process uses with their names, again and again. A file has to differ twice in a row: between two looks it may be replaced as it should be.</summary>
public sealed class FileWatch
{
    /// <summary>Between two looks. A file that is gone is named after the second one that misses it, within a minute.</summary>
    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(20);

    private readonly Func<IEnumerable<WatchedFile>> _files;
    private readonly List<string> _keys;
    private readonly Action<string> _keyGone;
    private readonly TimeProvider _time;
    private readonly Dictionary<string, (ulong Device, ulong Inode)> _first = new(StringComparer.Ordinal); // of files that are not held open
    private HashSet<string> _suspects = new(StringComparer.Ordinal);

    internal FileWatch(Func<IEnumerable<WatchedFile>> files, IEnumerable<string> keys, Action<string> keyGone, TimeProvider time)
    {
        _files = files;
        _keys = [.. keys];
        _keyGone = keyGone;
        _time = time;

        // At a start nothing is replaced, so nothing is forgiven.
        foreach (WatchedFile file in files())
        {
            if (Differs(file) is string how) throw new StorageException($"{file.Path} {how}");
        }

        _keys.RemoveAll(IsGone);
    }

    /// <summary>Watches what an open log uses. To be called before it does anything.</summary>
    /// <param name="log">The log.</param>
    /// <param name="keyGone">Called once for each key file that can no longer be read: the key is in memory, and only the next start needs the file.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="StorageException">A file is not the one that was opened, or that cannot be known.</exception>
    public static FileWatch Of(LogDirectory log, Action<string> keyGone, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(log);
        return new FileWatch(log.FilesInUse, log.Identity.Keys.Select(key => Path.Combine(log.Root, key.KeyPath)), keyGone, time);
    }

    /// <summary>Watches an open journal and files next to it.</summary>
    /// <param name="journal">The journal.</param>
    /// <param name="stays">Files that nobody replaces.</param>
    /// <param name="replaced">Files that this process replaces as a whole.</param>
    /// <param name="keys">Key files.</param>
    /// <param name="keyGone">As above.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="StorageException">As above.</exception>
    public static FileWatch Of(Journal journal, IEnumerable<string> stays, IEnumerable<string> replaced, IEnumerable<string> keys, Action<string> keyGone, TimeProvider time)
    {
        WatchedFile[] named = [.. stays.Select(path => new WatchedFile(path)), .. replaced.Select(path => new WatchedFile(path, IsReplaced: true))];
        return new FileWatch(() => [.. named, .. journal.FilesInUse()], keys, keyGone, time);
    }

    /// <summary>Looks until it is stopped.</summary>
    /// <exception cref="StorageException">A file was removed or replaced, or its name cannot be read. The message says where its content can still be reached.</exception>
    public async Task RunAsync(CancellationToken stop)
    {
        while (true)
        {
            await Task.Delay(Interval, _time, stop).ConfigureAwait(false);
            if (Look() is string trouble) throw new StorageException(trouble);
        }
    }

    /// <summary>One look; what is wrong for the second time, or null.</summary>
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
            // Closed since the list was made, and no longer used.
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
