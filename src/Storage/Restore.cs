// A data directory from a backup (Backup.cs): made beside its place, checked there from entry bytes up like any log, and only then given its name.
//
// An older copy of a log that has signed more since would sign a second history: whoever restores cannot know whether there is one. So what is restored is halted until an
// operator says that there is not, and its guard and its witnesses are asked at the start as always.

namespace TransparencyLog.Storage;

/// <summary>Makes a data directory out of a backup.</summary>
public static class Restore
{
    /// <summary>
    /// Copies the last whole copy of a backup to a new directory and checks all of it. The log is halted: it starts for readers, and signs once its operator has resumed it.
    /// </summary>
    /// <param name="from">The backup.</param>
    /// <param name="directory">The data directory to be: it does not exist, or is empty. Until all is checked it is made in the folder of this name with <c>.restoring</c> appended.</param>
    /// <param name="verifiers">Gives the verifiers of the keys in the backup's identity.</param>
    /// <param name="key">The bytes of the key's file; null to take that of the backup, or the one that the identity names by an absolute path.</param>
    /// <param name="options">The journal's layout and the progress of the check.</param>
    /// <param name="mlDsa44Key">The same for the ML-DSA-44 key of a log that has one.</param>
    /// <param name="stop">Ends it; what was made so far is removed. What a killed process leaves, the next call removes.</param>
    /// <exception cref="DamageException">The backup is not whole.</exception>
    /// <exception cref="StorageException">Not a backup, none that is complete, no key, or a directory that is there.</exception>
    public static async Task<DirectoryReport> RunAsync(
        string from, string directory, Func<VerifierKey, INoteVerifier?> verifiers, byte[]? key = null, CheckOptions? options = null, byte[]? mlDsa44Key = null,
        CancellationToken stop = default)
    {
        (BackupManifest manifest, string state, LogIdentity identity) = Read(from);
        LogDirectory.RequireOutside(directory, from, "what is restored");
        LogDirectory.RequireOutsideOfLogs(directory, "what is restored");
        using StagedDirectory staged = new(directory, ".restoring");
        using DirectoryLock held = DirectoryLock.Acquire(from);
        List<(string Path, byte[] Bytes)> keys = [];
        foreach (((LogKey own, string name), byte[]? given) in identity.Keys.Zip(LogDirectory.KeyNames).Zip([key, mlDsa44Key]))
        {
            string kept = Path.Combine(state, name);
            byte[]? bytes = given ?? (DurableFile.TryRead(kept, LogDirectory.MaxKeyFile, out byte[] copied) ? copied : null);
            if (Path.IsPathRooted(own.KeyPath)) continue;
            keys.Add((own.KeyPath, bytes ?? throw new StorageException($"{from} is a backup without the key {own.KeyPath}: the key's file is needed beside it")));
        }

        string made = staged.Begin();
        foreach (string name in (string[])["segments", "tree"]) CopyLog(from, state, made, name, stop);
        DurableFile.CreateDirectory(Path.Combine(made, "journal"));
        foreach (string file in Posix.List(Path.Combine(state, "journal")).Where(name => !Paths.IsOfFileSystem(name)))
        {
            CopyFile(Path.Combine(state, "journal", file), Path.Combine(made, "journal", file), null, stop);
        }

        Posix.SyncDirectory(Path.Combine(made, "journal"));
        foreach (string name in (string[])["heads.old", "heads", "commit", "published", "guarded"])
        {
            if (Paths.FileExists(Path.Combine(state, name))) CopyFile(Path.Combine(state, name), Path.Combine(made, name), null, stop);
        }

        EvidenceFolder.Copy(state, made);
        foreach ((string path, byte[] bytes) in keys) DurableFile.Replace(Path.Combine(made, path), bytes);
        DurableFile.Replace(Path.Combine(made, "halted"), TreeRegister.HaltedBytes(DateTimeOffset.FromUnixTimeMilliseconds(manifest.Taken), Reason(manifest)));
        DurableFile.Replace(Path.Combine(made, "log"), DurableFile.Read(Path.Combine(state, "log"), LogIdentity.MaxSize));
        DirectoryReport report = await DirectoryCheck.RunAsync(made, verifiers, options, stop).ConfigureAwait(false);
        if (report.Head is TreeHead head && (head.Size != manifest.Size || head.Root != manifest.Root))
        {
            throw DirectoryCheck.Damaged("backup", Path.Combine(from, BackupManifest.Name), $"size {head.Size}, root {head.Root}, the newest head in {state}", $"size {manifest.Size}, root {manifest.Root}");
        }

        staged.Finish();
        return report;
    }

    /// <summary>Whose log a backup is of.</summary>
    /// <exception cref="StorageException">Not a backup, or none that is complete.</exception>
    public static LogIdentity ReadIdentity(string from) => Read(from).Identity;

    private static (BackupManifest Manifest, string State, LogIdentity Identity) Read(string from)
    {
        BackupManifest manifest = BackupManifest.Read(from) ?? throw new StorageException($"{from} is not a backup: it has no file named {BackupManifest.Name}");
        if (!manifest.IsComplete) throw new StorageException($"{from} holds no copy that is complete: tlog backup goes on with it");
        string state = Path.Combine(from, manifest.StateDirectory);
        return (manifest, state, LogDirectory.ReadIdentity(state));
    }

    private static string Reason(BackupManifest manifest) =>
        $"restored from a backup of that time, of size {manifest.Size}, root {manifest.Root}: what was taken and signed later is not here. "
        + "Resume only when no newer copy exists, and nobody has seen a larger checkpoint of this log";

    /// <summary>The records up to the commit of the state; what an interrupted backup has added behind it stays away.</summary>
    private static void CopyLog(string from, string state, string made, string name, CancellationToken stop)
    {
        RecordLog.Commit commit = RecordLog.Commit.Read(Path.Combine(state, name + ".commit"));
        string source = Path.Combine(from, name), target = Path.Combine(made, name);
        DurableFile.CreateDirectory(target);
        foreach ((int number, _, long length) in RecordLog.FilesOf(0, commit.Until)) CopyFile(RecordLog.DataPath(source, number), RecordLog.DataPath(target, number), length, stop);
        CopyFile(Path.Combine(source, "addresses"), Path.Combine(target, "addresses"), commit.Count * 8, stop);
        DurableFile.Replace(Path.Combine(target, "commit"), commit.ToBytes());
    }

    /// <summary>Copies the first bytes of a file, or all of it without a <paramref name="length"/>.</summary>
    private static void CopyFile(string from, string to, long? length, CancellationToken stop)
    {
        PathInfo info = Posix.Stat(from) ?? throw DirectoryCheck.Damaged("backup", from, length is long bytes ? $"{bytes} bytes" : "a file", "no such file");
        DurableFile.CopyRange(from, to, 0, length ?? info.Length, "backup", _ => stop.ThrowIfCancellationRequested());
    }
}
