// Reads the files that state which heads were signed, as of one moment, even while a server signs a hundred heads a second in the directory.

using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>
/// The small files of a data directory that change with each signed head. Null stands for a file that does not exist. <see cref="ReadAsync"/> changes nothing.
/// </summary>
internal sealed record HeadFiles
{
    /// <summary>The number of attempts to read all files between two swaps. A swap takes a few milliseconds.</summary>
    private const int Attempts = 40;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(25);

    private const int HistoryLimit = (int)TreeRegister.HistoryLimit + (2 * 1024 * 1024);

    /// <summary>The data directory.</summary>
    public required string Root { get; init; }

    /// <summary><c>heads.old</c>, the lines before those of <see cref="History"/>.</summary>
    public byte[]? Old { get; init; }

    /// <summary><c>heads</c>, with zeros after the last line. In a directory in use, only the lines up to the head of <see cref="Commit"/>.</summary>
    public byte[]? History { get; init; }

    /// <summary><c>commit</c>.</summary>
    public byte[]? Commit { get; init; }

    /// <summary><c>published</c>: no newer than <see cref="Commit"/>.</summary>
    public byte[]? Published { get; init; }

    /// <summary><c>halted</c>.</summary>
    public byte[]? Halted { get; init; }

    /// <summary><c>guarded</c>.</summary>
    public byte[]? Guarded { get; init; }

    /// <summary>
    /// The path of the guard's newest file, in the folder that <c>guarded</c> names; the folder itself when it has none. Null when no guard was used.
    /// </summary>
    public string? GuardPath { get; init; }

    /// <summary>The guard's newest file: no newer than <see cref="Commit"/>.</summary>
    public byte[]? Guard { get; init; }

    public string PathOf(string name) => Path.Combine(Root, name);

    /// <summary>Reads the files.</summary>
    /// <param name="root">The data directory.</param>
    /// <param name="origin">The log's origin, which determines the names of the guard's files.</param>
    /// <param name="inUse">
    /// Whether a server may be using the directory. If so, the history is cut after the head in <c>commit</c>, because later lines may have been written while
    /// the files were being read. But if <c>commit</c> does not change between the attempts, no server is at work, and the files are returned uncut.
    /// </param>
    /// <param name="stop">Cancels the retries.</param>
    public static async Task<HeadFiles> ReadAsync(string root, string origin, bool inUse, CancellationToken stop)
    {
        byte[]? before = null;
        for (int attempt = 1; ; attempt++)
        {
            // The order matters: no file holds anything newer than the files that are read after it.
            byte[]? guarded = Small(root, "guarded", GuardedFile.MaxSize);
            string? folder = guarded is null ? null : GuardedFile.Parse(guarded);
            (string Path, byte[]? Bytes)? guard = folder is null ? null : ReadGuard(TreeRegister.GuardOf(folder, origin), folder);
            HeadFiles files = new()
            {
                Root = root,
                Guarded = guarded,
                GuardPath = guard?.Path,
                Guard = guard?.Bytes,
                Halted = Small(root, "halted", TreeRegister.HaltedLimit),
                Published = Small(root, "published", Note.MaxSize),
                Commit = Small(root, "commit", HeadRecord.MaxSize),
                History = Small(root, "heads", HistoryLimit),
                Old = Small(root, "heads.old", HistoryLimit),
            };
            if (!inUse) return files;
            bool last = attempt == Attempts;
            try
            {
                (HeadFiles? fitting, bool whole) = files.UpToCommit();
                if (fitting is not null && (whole || (before is not null && !before.AsSpan().SequenceEqual(files.Commit)))) return fitting;
                if (last) return files; // they do not fit together, and the caller's check will report how
                before = files.Commit;
            }
            catch (DamageException) when (!last)
            {
                // A line is being written.
            }

            await Task.Delay(Pause, stop).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// These files with the history cut after the head in <c>commit</c>, and whether nothing had to be cut. Null when that head is not in the history, when
    /// the guard is ahead of <c>commit</c>, or when a new <c>heads</c> was started meanwhile.
    /// </summary>
    private (HeadFiles? Fitting, bool Whole) UpToCommit()
    {
        if (History is null || Commit is null || !TreeRegister.TryParseHead(Commit, out HeadRecord? commit)) return (null, false);

        // A swap writes the guard before `commit`.
        if (Guard is not null && TreeRegister.TryParseHead(Guard, out HeadRecord? guard) && guard.Head is TreeHead seen && seen.Size >= (commit.Head?.Size ?? 0) && !Equals(seen, commit.Head)) return (null, false);
        byte[] now = new byte[Math.Min(History.Length, 512)];
        string path = PathOf("heads");
        using (SafeFileHandle file = Posix.Open(path, Posix.ReadOnly | Posix.NoFollow))
        {
            if (Posix.Read(file, now, 0, path) != now.Length || !now.AsSpan().SequenceEqual(History.AsSpan(0, now.Length))) return (null, false);
        }

        int end = 0, behind = 0;
        (_, int torn) = HeadHistory.Read(path, History, (_, line, record) =>
        {
            behind += line.Length;
            if (Equals(record.Head, commit.Head)) end = behind;
        });
        if (end == 0) return (null, false);
        if (end == behind && torn == 0) return (this, true);
        byte[] history = new byte[History.Length];
        History.AsSpan(0, end).CopyTo(history);
        return (this with { History = history }, false);
    }

    /// <summary>The newest file of the guard, or the one that an older version left.</summary>
    private static (string Path, byte[]? Bytes) ReadGuard(GuardRow row, string folder)
    {
        if (Posix.Stat(folder) is null) return (folder, null);
        if (row.ReadNewest() is GuardFile newest) return (newest.Path, newest.Bytes);
        return row.ReadOld() is byte[] old ? (row.OldPath, old) : (folder, null);
    }

    private static byte[]? Small(string root, string name, int limit) => DurableFile.TryRead(Path.Combine(root, name), limit, out byte[] bytes) ? bytes : null;
}
