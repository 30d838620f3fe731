// Copies a data directory while its server runs. Sealed bytes never change, so they are copied once and then only added to. The files that change are small,
// and are copied as of one moment into a separate directory:
//
//   backup                   the manifest (BackupManifest.cs); replaced last, so it always names a complete copy, or none yet
//   segments/ tree/          data.N, addresses: as in the data directory, only ever longer. commit: of the last copy, also an unfinished one
//   state-N/                 log, commit, heads, heads.old, published, guarded, halted, evidence/, journal/, segments.commit, tree.commit; key.pem
//                            and key-ml-dsa.pem if they were asked for
//
// One moment means: the journal's files are opened; then the heads are read, and the committed part of tree and segments is copied; then the journal is read,
// which by now holds every entry that the others rely on. A frame that is being written meanwhile is left out.
//
// Everything new is checked in the copy, from the entry bytes up to the signed root, before the manifest includes it.

using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>Options of a backup.</summary>
public sealed record BackupOptions
{
    /// <summary>The layout of the journal; null for the one that the directory's identity states.</summary>
    public JournalOptions? Journal { get; init; }

    /// <summary>The most bytes to copy per second; 0 for no limit.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>Whether to copy the key files too, where they exist. A backup with the keys can sign.</summary>
    public bool WithKey { get; init; }

    /// <summary>Called with the number of bytes of segments that are copied, and the number that there are.</summary>
    public Action<long, long>? Progress { get; init; }

    /// <summary>The bytes copied between two syncs, each followed by an update of the manifest. An interruption loses at most this much work.</summary>
    internal long Step { get; init; } = 64 * 1024 * 1024;

    /// <summary>The clock for the time in the manifest.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>The content of a backup after a run.</summary>
/// <param name="Identity">The identity of the log.</param>
/// <param name="Head">The newest signed head in it; null when nothing was signed yet.</param>
/// <param name="Entries">The number of entries in it, including those not signed yet.</param>
/// <param name="Segments">The number of sealed segments in it.</param>
/// <param name="Copied">The bytes of segments and tree that this run copied.</param>
/// <param name="CheckedFrom">The first segment that this run checked in the copy.</param>
public sealed record BackupReport(LogIdentity Identity, TreeHead? Head, long Entries, long Segments, long Copied, long CheckedFrom);

/// <summary>Copies data directories.</summary>
public static class Backup
{
    /// <summary>Passes over the sealed bytes are repeated until one copies no more than this. The rest is copied with the state.</summary>
    private const long Little = 8 * 1024 * 1024;

    private const int Attempts = 20;

    /// <summary>
    /// Makes a backup, or brings an existing one up to date. An interrupted backup continues where it stopped. The server keeps running and is not affected.
    /// </summary>
    /// <param name="directory">The data directory.</param>
    /// <param name="to">The backup: a directory that does not exist, is empty, or holds a backup of the same log.</param>
    /// <param name="verifiers">Returns the verifier for a key in the directory's identity; null when the key is not acceptable.</param>
    /// <param name="options">Options; null for a backup without a speed limit and without the keys.</param>
    /// <param name="stop">Cancels the backup; the next call continues it.</param>
    /// <exception cref="DamageException">The copy is damaged. The last complete copy stays in force.</exception>
    /// <exception cref="StorageException"> <paramref name="directory"/> is not a log; <paramref name="to"/> is not a backup of it, is newer than the log, or
    /// is in use; or a call failed.
    /// </exception>
    public static async Task<BackupReport> RunAsync(string directory, string to, Func<VerifierKey, INoteVerifier?> verifiers, BackupOptions? options = null, CancellationToken stop = default)
    {
        options ??= new BackupOptions();
        LogIdentity identity = LogDirectory.ReadIdentity(directory);
        LogDirectory.RequireOutside(to, directory, "a backup");
        BackupManifest? manifest = Paths.DirectoryExists(to) ? BackupManifest.Read(to) : null;
        if (manifest is null)
        {
            // A first run that ended before it wrote its manifest leaves both directories, empty.
            string[] begun = ["segments", "tree", BackupManifest.Name + ".new", "lock"];
            LogDirectory.RequireEmpty(to, begun);
            foreach (string part in begun[..2].Select(name => Path.Combine(to, name)))
            {
                LogDirectory.RequireEmpty(part);
                DurableFile.CreateDirectory(part);
            }

            manifest = new BackupManifest(identity.Origin, identity.VerifierKey, 0, 0, 0, 0, 0, MerkleHash.Empty);
            manifest.Write(to);
        }

        if (manifest.Origin != identity.Origin || manifest.VerifierKey != identity.VerifierKey)
        {
            throw new StorageException($"{to} is a backup of {manifest.VerifierKey}, and {directory} is the log {identity.VerifierKey}");
        }

        using DirectoryLock held = DirectoryLock.Acquire(to);
        return await new Run(directory, to, identity, manifest, options, stop).CopyAsync(verifiers).ConfigureAwait(false);
    }

    private sealed class Run(string directory, string to, LogIdentity identity, BackupManifest before, BackupOptions options, CancellationToken stop)
    {
        private readonly Pace? _pace = options.BytesPerSecond > 0 ? new Pace(options.BytesPerSecond, stop) : null;
        private readonly JournalOptions _journal = options.Journal ?? LogDirectory.OptionsFor(identity);
        private readonly BackupManifest _before = before;
        private BackupManifest _manifest = before;
        private long _copied;

        public async Task<BackupReport> CopyAsync(Func<VerifierKey, INoteVerifier?> verifiers)
        {
            // The records of the last complete copy were checked when it was made.
            long knownSegments = 0, knownTiles = 0;
            if (_before.IsComplete)
            {
                knownSegments = RecordLog.Commit.Read(Path.Combine(to, _before.StateDirectory, "segments.commit")).Count;
                knownTiles = RecordLog.Commit.Read(Path.Combine(to, _before.StateDirectory, "tree.commit")).Count;
            }

            while (CopySealed("tree") + CopySealed("segments") > Little)
            {
            }

            long state = _before.State + 1;
            string stateDirectory = Path.Combine(to, string.Create(CultureInfo.InvariantCulture, $"state-{state}"));
            HeadFiles heads = await TakeAsync(stateDirectory).ConfigureAwait(false);
            (HeadsCheck signed, long entries, long segments, long from) = await CheckAsync(stateDirectory, heads, verifiers, knownSegments, knownTiles).ConfigureAwait(false);
            if (_before.IsComplete && (signed.Newest?.Size ?? 0) < _before.Size)
            {
                throw new StorageException($"{directory} has signed size {signed.Newest?.Size ?? 0}, the backup holds {_before.Size}: the directory is an older copy; nothing was replaced");
            }

            _manifest = _manifest with
            {
                State = state,
                Taken = options.Time.GetUtcNow().ToUnixTimeMilliseconds(),
                Size = signed.Newest?.Size ?? 0,
                Root = signed.Newest?.Root ?? MerkleHash.Empty,
            };
            _manifest.Write(to);
            foreach (string other in Posix.List(to).Where(name => name.StartsWith("state-", StringComparison.Ordinal)).Select(name => Path.Combine(to, name)))
            {
                if (other != stateDirectory) Directory.Delete(other, recursive: true);
            }

            return new BackupReport(identity, signed.Newest, entries, segments, _copied, from);
        }

        /// <summary>Copies the committed bytes of segments or tree that are not copied yet. Returns the number of bytes.</summary>
        private long CopySealed(string name)
        {
            string source = Path.Combine(directory, name), target = Path.Combine(to, name);
            RecordLog.Commit commit = RecordLog.Commit.Read(Path.Combine(source, "commit"));
            long done = name == "tree" ? _manifest.Tree : _manifest.Segments, began = done, until = commit.Until;
            if (until < done) throw new StorageException($"{source} ends at {until}, the backup holds {done}: the directory is an older copy");
            while (done < until)
            {
                long end = Math.Min(until, done + options.Step);
                foreach ((int number, long begin, long fileEnd) in RecordLog.FilesOf(done, end))
                {
                    DurableFile.CopyRange(RecordLog.DataPath(source, number), RecordLog.DataPath(target, number), begin, fileEnd, "storage", Count);
                }

                Posix.SyncDirectory(target);
                done = end;
                _manifest = name == "tree" ? _manifest with { Tree = done } : _manifest with { Segments = done };
                _manifest.Write(to);
                if (name == "segments") options.Progress?.Invoke(done, until);
            }

            // Copy the whole address file each time: it has only 8 bytes per record, and this way its progress need not be recorded.
            DurableFile.CopyRange(Path.Combine(source, "addresses"), Path.Combine(target, "addresses"), 0, commit.Count * 8, "address", _ => stop.ThrowIfCancellationRequested());
            DurableFile.Replace(Path.Combine(target, "commit"), commit.ToBytes());
            return done - began;

            void Count(int bytes)
            {
                stop.ThrowIfCancellationRequested();
                _copied += bytes;
                _pace?.Count(bytes);
            }
        }

        /// <summary>Copies the files that change, as of one moment.</summary>
        private async Task<HeadFiles> TakeAsync(string state)
        {
            for (int attempt = 1; ; attempt++)
            {
                if (Paths.DirectoryExists(state)) Directory.Delete(state, recursive: true);
                DurableFile.CreateDirectory(Path.Combine(state, "journal"));
                using JournalFiles files = JournalFiles.Open(Path.Combine(directory, "journal"));
                HeadFiles heads = await HeadFiles.ReadAsync(directory, identity.Origin, inUse: true, stop).ConfigureAwait(false);
                CopySealed("tree");
                CopySealed("segments");
                foreach (string name in (string[])["tree", "segments"])
                {
                    DurableFile.Replace(Path.Combine(state, name + ".commit"), RecordLog.Commit.Read(Path.Combine(to, name, "commit")).ToBytes());
                }

                try
                {
                    long signed = heads.Commit is not null && TreeRegister.TryParseHead(heads.Commit, out HeadRecord? commit) ? commit.Head?.Size ?? 0 : 0;
                    JournalScan scan = JournalScan.Read(Path.Combine(directory, "journal"), files, _journal, 0, null);
                    long sealedSize = RecordLog.Commit.Read(Path.Combine(to, "segments", "commit")).Count * EntryBundle.Width;
                    if (LogDirectory.Reconcile(scan.Files[0].FirstIndex, scan.NextIndex, sealedSize, signed) is string not) throw new StorageException($"{directory}: {not}");
                    CopyJournal(files, scan, Path.Combine(state, "journal"));
                }
                catch (StorageException) when (attempt < Attempts)
                {
                    // A frame was being written, or a new file of the journal was started meanwhile.
                    await Task.Delay(50, stop).ConfigureAwait(false);
                    continue;
                }

                (string Name, byte[]? Bytes)[] small =
                [
                    ("log", DurableFile.Read(Path.Combine(directory, "log"), LogIdentity.MaxSize)), ("heads", heads.History), ("heads.old", heads.Old), ("commit", heads.Commit),
                    ("published", heads.Published), ("guarded", heads.Guarded), ("halted", heads.Halted),
                ];
                foreach ((string name, byte[]? bytes) in small)
                {
                    if (bytes is not null) DurableFile.Replace(Path.Combine(state, name), bytes);
                }

                EvidenceFolder.Copy(directory, state);
                foreach ((LogKey key, string name) in options.WithKey ? identity.Keys.Zip(LogDirectory.KeyNames) : [])
                {
                    string file = Path.Combine(directory, key.KeyPath);
                    if (DurableFile.TryRead(file, LogDirectory.MaxKeyFile, out byte[] bytes)) DurableFile.Replace(Path.Combine(state, name), bytes);
                }

                return heads with { Root = state };
            }
        }

        /// <summary>Copies the journal up to the end of its last whole frame, followed by zeros.</summary>
        private void CopyJournal(JournalFiles files, JournalScan scan, string target)
        {
            byte[] bytes = new byte[_journal.FileBytes];
            foreach ((long number, _) in scan.Files)
            {
                string path = JournalScan.PathOf(target, number);
                int length = number == scan.Files[^1].Number ? scan.Offset : bytes.Length;
                if (Posix.Read(files[number], bytes.AsSpan(0, length), 0, path) != length) throw new StorageException($"{path}: {length} bytes could not be read");
                using SafeFileHandle file = Posix.Open(path, Posix.ReadWrite | Posix.Create | Posix.Truncate | Posix.NoFollow);
                Posix.Write(file, bytes.AsSpan(0, length), 0, path);
                RandomAccess.SetLength(file, bytes.Length);
                Posix.Sync(file, path);
            }

            Posix.SyncDirectory(target);
        }

        /// <summary>Checks the new part of the copy, from its entries up to the signed root, which covers the earlier part as well.</summary>
        private async Task<(HeadsCheck Heads, long Entries, long Segments, long From)> CheckAsync(string state, HeadFiles files, Func<VerifierKey, INoteVerifier?> verifiers, long knownSegments, long knownTiles)
        {
            List<string> notes = [];
            (_, INoteVerifier[] keys) = DirectoryCheck.ReadIdentity(state, verifiers);
            HeadsCheck heads = HeadsCheck.Read(files, identity, keys, notes);
            using RecordLog upper = RecordLog.OpenReadOnly(Path.Combine(to, "tree"));
            using RecordLog segments = RecordLog.OpenReadOnly(Path.Combine(to, "segments"));
            long from = Math.Min(knownSegments, TileStore.LevelOneCount(knownTiles) * EntryBundle.Width) / EntryBundle.Width * EntryBundle.Width;
            TreeCheck tree = new(heads.Claims, await TileStore.RestoreEdgeAsync(from, (level, index) => ValueTask.FromResult(TileStore.ReadTile(upper, level, index).Root)).ConfigureAwait(false));
            DirectoryCheck.Require(tree.CheckBegin());
            SegmentsCheck check = new(to, segments, upper, tree, from: from);
            check.Run(_ => { }, stop);
            check.Finish(notes);
            string journal = Path.Combine(state, "journal");
            JournalCheck.Run(journal, null, _journal, heads.Newest?.Size ?? 0, segments, tree, notes);
            DirectoryCheck.Require(tree.Finish(journal));
            return (heads, tree.Size, check.Checked, from);
        }
    }
}
