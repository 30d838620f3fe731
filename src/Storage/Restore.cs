// Restores a data directory from a backup (Backup.cs). It is built in a temporary folder next to its final place, checked there from the entry bytes up like
// any log, and only then renamed.
//
// An older copy of a log that has signed more since would sign a second history, and the person who restores it cannot know whether that happened. So a
// restored log is halted until an operator states that it did not. Its guard and its witnesses are asked at the start, as always.

namespace TransparencyLog.Storage;

/// <summary>Restores a data directory from a backup.</summary>
public static class Restore
{
    /// <summary>
    /// Restores the last complete copy of a backup into a new directory and checks all of it. The restored log is halted: it serves readers, and signs only
    /// after its operator has resumed it.
    /// </summary>
    /// <param name="from">The backup.</param>
    /// <param name="directory">The data directory to create. It must not exist, or be empty. Until it is checked it has the suffix <c>.restoring</c>.</param>
    /// <param name="verifiers">Returns the verifier for a key in the backup's identity; null when the key is not acceptable.</param>
    /// <param name="key">The bytes of the Ed25519 key file. Null to use the one in the backup, or the one that the identity names by an absolute path.</param>
    /// <param name="options">The layout of the journal, and the progress callback of the check.</param>
    /// <param name="mlDsa44Key">As <paramref name="key"/>, for the ML-DSA-44 key of a log that has one.</param>
    /// <param name="stop">Cancels the restore and removes what was created so far. The next call removes what a killed process left.</param>
    /// <exception cref="DamageException">The backup is not whole.</exception>
    /// <exception cref="StorageException">It is not a backup, has no complete copy or no key, or the directory exists and is not empty.</exception>
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

    /// <summary>Reads the identity of the log that a backup holds.</summary>
    /// <exception cref="StorageException">It is not a backup, or has no complete copy.</exception>
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

    /// <summary>Copies the records up to the commit in the state directory. Records that an interrupted backup appended after it are left out.</summary>
    private static void CopyLog(string from, string state, string made, string name, CancellationToken stop)
    {
        RecordLog.Commit commit = RecordLog.Commit.Read(Path.Combine(state, name + ".commit"));
        string source = Path.Combine(from, name), target = Path.Combine(made, name);
        DurableFile.CreateDirectory(target);
        foreach ((int number, _, long length) in RecordLog.FilesOf(0, commit.Until)) CopyFile(RecordLog.DataPath(source, number), RecordLog.DataPath(target, number), length, stop);
        CopyFile(Path.Combine(source, "addresses"), Path.Combine(target, "addresses"), commit.Count * 8, stop);
        DurableFile.Replace(Path.Combine(target, "commit"), commit.ToBytes());
    }

    /// <summary>Copies the first <paramref name="length"/> bytes of a file, or the whole file when it is null.</summary>
    private static void CopyFile(string from, string to, long? length, CancellationToken stop)
    {
        PathInfo info = Posix.Stat(from) ?? throw DirectoryCheck.Damaged("backup", from, length is long bytes ? $"{bytes} bytes" : "a file", "no such file");
        DurableFile.CopyRange(from, to, 0, length ?? info.Length, "backup", _ => stop.ThrowIfCancellationRequested());
    }
}
