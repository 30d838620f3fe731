// A copy of a data directory while its server goes on. What is sealed never changes, so it is copied once and then only added to; what changes is small
// and is copied as of one moment, into a directory of its own:
//
//   backup                   the manifest (BackupManifest.cs); replaced last, so it always names a whole copy, or none yet
//   segments/ tree/          data.N, addresses: as in the data directory, only ever longer. commit: of the last copy, also one that was not finished
//   state-N/                 log, commit, heads, heads.old, published, guarded, halted, evidence/, journal/, segments.commit, tree.commit; key.pem
//                            and key-ml-dsa.pem if they were asked for
//
// The moment: the journal's files are opened; then heads, tree and segments are asked how far they are; then the journal is read, which by now holds all that the others
// promise. A frame that is being written meanwhile is left away.
//
// Whatever is new is checked in the copy, from entry bytes up to the signed root, before the manifest says that it is there.

using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>How a backup is made.</summary>
public sealed record BackupOptions
{
    /// <summary>The journal's layout, when it is not the usual one.</summary>
    public JournalOptions? Journal { get; init; }

    /// <summary>Most bytes that are copied in a second; 0 for as fast as it goes.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>Whether the keys are copied too, where there are files of them. A backup with the keys can sign.</summary>
    public bool WithKey { get; init; }

    /// <summary>Is told how many bytes of sealed entries are copied, and how many there are.</summary>
    public Action<long, long>? Progress { get; init; }

    /// <summary>After so many bytes what was copied is synced and counted: what an interruption costs.</summary>
    internal long Step { get; init; } = 64 * 1024 * 1024;

    /// <summary>The clock, for the time in the manifest.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>What a backup holds now.</summary>
/// <param name="Identity">Whose log it is.</param>
/// <param name="Head">The newest signed head in it; null when nothing was signed yet.</param>
/// <param name="Entries">Its entries, those not signed yet included.</param>
/// <param name="Segments">Its sealed segments.</param>
/// <param name="Copied">Bytes of segments and tree that this run has copied.</param>
/// <param name="CheckedFrom">The first segment that this run has checked, in the copy.</param>
public sealed record BackupReport(LogIdentity Identity, TreeHead? Head, long Entries, long Segments, long Copied, long CheckedFrom);

/// <summary>Copies data directories.</summary>
public static class Backup
{
    /// <summary>What may be left for the moment itself.</summary>
    private const long Little = 8 * 1024 * 1024;

    private const int Attempts = 20;

    /// <summary>
    /// Makes a backup, or brings the one that is there up to date; one that was interrupted goes on where it was. The server need not stop and does not notice.
    /// </summary>
    /// <param name="directory">The data directory.</param>
    /// <param name="to">The backup: a directory that does not exist, is empty, or holds a backup of the same log.</param>
    /// <param name="verifiers">Gives the verifiers of the keys in the directory's identity.</param>
    /// <param name="options">How; null for as fast as it goes, without the key.</param>
    /// <param name="stop">Ends it; the next call goes on.</param>
    /// <exception cref="DamageException">The copy is not whole: what was there before stays as it was.</exception>
    /// <exception cref="StorageException">Not a log, not a backup of it, newer than the log, in use, or a failed call.</exception>
    public static async Task<BackupReport> RunAsync(string directory, string to, Func<VerifierKey, INoteVerifier?> verifiers, BackupOptions? options = null, CancellationToken stop = default)
    {
        options ??= new BackupOptions();
        LogIdentity identity = LogDirectory.ReadIdentity(directory);
        LogDirectory.RequireOutside(to, directory, "a backup");
        BackupManifest? manifest = Paths.DirectoryExists(to) ? BackupManifest.Read(to) : null;
        if (manifest is null)
        {
            // Both directories, empty, are what a first run leaves that ends before it has written its manifest.
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
            // What the last whole copy covers was checked then.
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

        /// <summary>Copies what is committed of one of the two logs and not copied yet; how many bytes that was.</summary>
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

            // All of it each time: 8 bytes for 256 entries, and no second number to keep.
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

        /// <summary>Copies all that changes, as of one moment.</summary>
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
                    // A frame that was being written, or a file of the journal that was begun meanwhile.
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

        /// <summary>Up to the end of the last whole frame, zeros behind it.</summary>
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

        /// <summary>The new part of the copy, from its entries up to the root that was signed, which covers the part before as well.</summary>
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
