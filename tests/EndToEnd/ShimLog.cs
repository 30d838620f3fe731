using System.Globalization;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What a storage call is, as the shim sorts them (tests/shim/fault.c).</summary>
[Flags]
internal enum CallKinds
{
    None = 0, Open = 1, OpenDirectory = 2, Write = 4, Sync = 8, Truncate = 16, Allocate = 32, Rename = 64, Unlink = 128, MakeDirectory = 256, Link = 512, All = 1023,

    /// <summary>Changes nothing; counted only where it is asked for.</summary>
    Question = 1024,
}

/// <summary>One counted storage call, as the shim wrote it down.</summary>
/// <param name="Number">From 1, over all threads.</param>
/// <param name="Name">As <c>pwrite</c>; <c>opendir</c> for an open of a directory.</param>
/// <param name="Path">Below the swept folder, which is a dot; two with a &gt; between them for a rename.</param>
/// <param name="Bytes">Asked for; 0 where there is no length.</param>
/// <param name="Result">The number returned, or the name of the error, or ! and the action where the shim decided.</param>
internal sealed record ShimCall(int Number, string Name, string Path, long Bytes, string Result)
{
    /// <summary>Whether it was done as asked.</summary>
    public bool WentWell => char.IsAsciiDigit(Result[0]);

    public CallKinds Kind => Name switch
    {
        "open" or "openat" or "creat" => CallKinds.Open,
        "opendir" => CallKinds.OpenDirectory,
        "write" or "pwrite" or "writev" or "pwritev" or "pwritev2" or "sendfile" or "copy_file_range" => CallKinds.Write,
        "fsync" or "fdatasync" or "syncfs" or "sync_file_range" => CallKinds.Sync,
        "ftruncate" or "truncate" => CallKinds.Truncate,
        "fallocate" or "posix_fallocate" => CallKinds.Allocate,
        "rename" or "renameat" or "renameat2" => CallKinds.Rename,
        "unlink" or "unlinkat" or "rmdir" => CallKinds.Unlink,
        "mkdir" or "mkdirat" => CallKinds.MakeDirectory,
        "link" or "linkat" or "symlink" => CallKinds.Link,
        "stat" or "lstat" or "fstat" or "statx" or "access" or "faccessat" or "opendir(3)" or "readdir" or "openread" => CallKinds.Question,
        _ => throw new ArgumentException($"the shim knows no call {Name}"),
    };

    public override string ToString() => $"{Name} {Path}";
}

/// <summary>What the shim wrote during one run.</summary>
/// <param name="path">Its file.</param>
/// <param name="folder">The folder whose calls it counts.</param>
internal sealed class ShimLog(string path, string folder)
{
    public string Path => path;

    /// <summary>The call that went wrong, once it has; null when none did.</summary>
    public ShimCall? Hit() => Calls().Find(call => call.Result.StartsWith('!'));

    /// <summary>In the order of their numbers; lines of two threads may change places.</summary>
    public List<ShimCall> Calls()
    {
        if (!File.Exists(path)) return [];
        List<ShimCall> calls = [];
        foreach (string line in File.ReadAllText(path).Split('\n')[..^1])
        {
            string[] words = line.Split(' ');
            calls.Add(new ShimCall(
                int.Parse(words[0], CultureInfo.InvariantCulture), words[1], words[2].Replace(folder, ".", StringComparison.Ordinal),
                long.Parse(words[3], CultureInfo.InvariantCulture), words[4]));
        }

        calls.Sort((one, other) => one.Number.CompareTo(other.Number));
        return calls;
    }
}
