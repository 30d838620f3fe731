// What tells which heads were signed, as bytes of one moment: also of a directory whose server signs a hundred heads a second meanwhile.

using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>
/// The small files of a data directory that change with each signed head. <see cref="ReadAsync"/> changes nothing. Null is a file that is not there.
/// </summary>
internal sealed record HeadFiles
{
    /// <summary>How often a moment is looked for between two heads: a swap is over in a few milliseconds.</summary>
    private const int Attempts = 40;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(25);

    private const int HistoryLimit = (int)TreeRegister.HistoryLimit + (2 * 1024 * 1024);

    /// <summary>The data directory.</summary>
    public required string Root { get; init; }

    /// <summary><c>heads.old</c>, the lines before those of <see cref="History"/>.</summary>
    public byte[]? Old { get; init; }

    /// <summary><c>heads</c>, zeros behind the last line. In a directory in use, up to the head of <see cref="Commit"/>.</summary>
    public byte[]? History { get; init; }

    /// <summary><c>commit</c>.</summary>
    public byte[]? Commit { get; init; }

    /// <summary><c>published</c>: no newer than <see cref="Commit"/>.</summary>
    public byte[]? Published { get; init; }

    /// <summary><c>halted</c>.</summary>
    public byte[]? Halted { get; init; }

    /// <summary><c>guarded</c>.</summary>
    public byte[]? Guarded { get; init; }

    /// <summary>Where the guard's newest file is, by what <c>guarded</c> says, or the guard's folder where it has none; null when no guard was used.</summary>
    public string? GuardPath { get; init; }

    /// <summary>The guard's newest file: no newer than <see cref="Commit"/>.</summary>
    public byte[]? Guard { get; init; }

    public string PathOf(string name) => Path.Combine(Root, name);

    /// <summary>Reads them.</summary>
    /// <param name="root">The data directory.</param>
    /// <param name="origin">The log's origin, by which the guard's files are named.</param>
    /// <param name="inUse">
    /// Whether a server may be at work in it. Then the history ends at the head that <c>commit</c> had, and what came behind it while the files were being read is left away; but
    /// not when <c>commit</c> stays as it is: nobody is at work then, and the files are what they are.
    /// </param>
    /// <param name="stop">Ends the looking for a moment between two heads.</param>
    public static async Task<HeadFiles> ReadAsync(string root, string origin, bool inUse, CancellationToken stop)
    {
        byte[]? before = null;
        for (int attempt = 1; ; attempt++)
        {
            // In this order nothing is newer than what is read behind it.
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
                if (last) return files; // they do not fit: whoever checks them says how
                before = files.Commit;
            }
            catch (DamageException) when (!last)
            {
                // A line that is being written.
            }

            await Task.Delay(Pause, stop).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// The same with the history up to the head of <c>commit</c>, and whether that was all of it; null when that head is not in it, or when <c>heads</c> was begun anew meanwhile.
    /// </summary>
    private (HeadFiles? Fitting, bool Whole) UpToCommit()
    {
        if (History is null || Commit is null || !TreeRegister.TryParseHead(Commit, out HeadRecord? commit)) return (null, false);

        // The guard gets a head before `commit` does.
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

    /// <summary>The newest file of the guard, or the one that a version before left.</summary>
    private static (string Path, byte[]? Bytes) ReadGuard(GuardRow row, string folder)
    {
        if (Posix.Stat(folder) is null) return (folder, null);
        if (row.ReadNewest() is GuardFile newest) return (newest.Path, newest.Bytes);
        return row.ReadOld() is byte[] old ? (row.OldPath, old) : (folder, null);
    }

    private static byte[]? Small(string root, string name, int limit) => DurableFile.TryRead(Path.Combine(root, name), limit, out byte[] bytes) ? bytes : null;
}
