// Rebuilds a damaged data directory from its whole parts. The directory itself is never changed: a plan lists each damage with its remedy, and a copy is made
// in which everything is repaired. If something cannot be repaired, no copy is made.
//
// Only the entries have to be found: seals, tiles, addresses and commit files are a function of them. The entries of a segment are read from every place that
// may have them: its parts, the journal, other copies. Several statements say which root they must have: the tile above, the seal, and the root of each set
// of entries that was found. Each counts as a vote, and the entries whose root has the most votes are used. Whether that was right is decided by the signed
// roots and, before the copy gets its final name, by a check that starts at its entries. If it was wrong, someone has changed entries together with
// everything derived from them: then the entries of the journal are preferred, and if that fails too, those of other copies.

using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>One damage and its remedy.</summary>
/// <param name="Damage">The damage.</param>
/// <param name="Remedy">What it is rebuilt from, in words; null when it cannot be rebuilt.</param>
public sealed record RepairStep(Damage Damage, string? Remedy);

/// <summary>Everything that was found damaged.</summary>
/// <param name="Steps">One step per damage; empty for a directory without damage.</param>
/// <param name="Entries">The number of entries that the copy will have.</param>
/// <param name="Head">The newest signed head; null when nothing was signed, or when it is lost.</param>
public sealed record RepairPlan(IReadOnlyList<RepairStep> Steps, long Entries, TreeHead? Head)
{
    /// <summary>Whether everything can be repaired.</summary>
    public bool CanApply => Steps.All(step => step.Remedy is not null);
}

/// <summary>Options of a repair.</summary>
public sealed record RepairOptions
{
    /// <summary>The layout of the journal; null for the one that the directory's identity states.</summary>
    public JournalOptions? Journal { get; init; }

    /// <summary>Other places that may have entries that are lost here.</summary>
    public IReadOnlyList<IEntrySource> Sources { get; init; } = [];

    /// <summary>The clock for the time in the history.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>Plans repairs and makes repaired copies.</summary>
public static class Repair
{
    /// <summary>Lists every damaged segment and tile, and the first damage of everything else, each with its remedy. Changes nothing.</summary>
    /// <param name="path">The data directory. No other process may have it open.</param>
    /// <param name="verifiers">Returns the verifier for a key in the directory's identity; null when the key is not acceptable.</param>
    /// <param name="options">Options; null for a repair without other copies.</param>
    /// <param name="stop">Cancels the planning.</param>
    /// <exception cref="DamageException">The identity is damaged. Nothing else can be judged without it.</exception>
    /// <exception cref="StorageException">The directory is not a log or is in use, or a call failed.</exception>
    public static async Task<RepairPlan> PlanAsync(string path, Func<VerifierKey, INoteVerifier?> verifiers, RepairOptions? options = null, CancellationToken stop = default)
    {
        using DirectoryLock held = DirectoryLock.Acquire(path);
        options ??= new RepairOptions();
        Original original = await ReadAsync(path, verifiers, options, stop).ConfigureAwait(false);
        return (await FindAsync(original, options, stop).ConfigureAwait(false)).Plan;
    }

    /// <summary>
    /// Makes a copy in which everything that the plan lists is repaired. Its name has the suffix <c>.repairing</c> until all of it has been checked from the
    /// entry bytes up. The copy is halted. Makes nothing when something cannot be repaired.
    /// </summary>
    /// <param name="path">The data directory. No other process may have it open. It is not changed.</param>
    /// <param name="to">The copy: a directory that does not exist or is empty.</param>
    /// <param name="verifiers">Returns the verifier for a key in the directory's identity; null when the key is not acceptable.</param>
    /// <param name="options">Options; null for a repair without other copies.</param>
    /// <param name="stop">Cancels the repair and removes what was created so far.</param>
    /// <returns>The plan, and the report of the check of the copy; the report is null when no copy was made.</returns>
    public static async Task<(RepairPlan Plan, DirectoryReport? Copy)> ApplyAsync(
        string path, string to, Func<VerifierKey, INoteVerifier?> verifiers, RepairOptions? options = null, CancellationToken stop = default)
    {
        options ??= new RepairOptions();
        LogDirectory.RequireOutside(to, path, "the repaired copy");
        LogDirectory.RequireOutsideOfLogs(to, "the repaired copy");
        using StagedDirectory staged = new(to, ".repairing");
        using DirectoryLock held = DirectoryLock.Acquire(path);
        Original original = await ReadAsync(path, verifiers, options, stop).ConfigureAwait(false);
        (RepairPlan plan, First first) = await FindAsync(original, options, stop).ConfigureAwait(false);
        if (!plan.CanApply) return (plan, null);
        string copy = staged.Begin();
        plan = await new Run(original, options, first, stop).PlanAsync(copy).ConfigureAwait(false);
        if (!plan.CanApply) return (plan, null);
        DirectoryReport report = await DirectoryCheck.RunAsync(copy, verifiers, new CheckOptions { Journal = options.Journal }, stop).ConfigureAwait(false);
        staged.Finish();
        return (plan, report);
    }

    /// <summary>Which entries of a segment to use when the sources differ.</summary>
    private enum First
    {
        MostVotes,
        Journal,
        Others,
    }

    /// <summary>Everything that is read from the directory once, because the directory does not change and every preference needs the same.</summary>
    /// <param name="Path">The data directory.</param>
    /// <param name="Identity">The identity of the log.</param>
    /// <param name="Keys">The verifiers of its keys.</param>
    /// <param name="Files">The files that state which heads were signed.</param>
    /// <param name="Salvage">The entries, seals and tiles that are still whole.</param>
    /// <param name="FirstDamage">The first damage that fsck reports; null when it reports none.</param>
    private sealed record Original(string Path, LogIdentity Identity, INoteVerifier[] Keys, HeadFiles Files, Salvage Salvage, Damage? FirstDamage);

    private static async Task<Original> ReadAsync(string path, Func<VerifierKey, INoteVerifier?> verifiers, RepairOptions options, CancellationToken stop)
    {
        (LogIdentity identity, INoteVerifier[] keys) = DirectoryCheck.ReadIdentity(path, verifiers);
        HeadFiles files = await HeadFiles.ReadAsync(path, identity.Origin, inUse: false, stop).ConfigureAwait(false);
        Damage? first = null;
        try
        {
            await DirectoryCheck.RunAsync(path, verifiers, new CheckOptions { Journal = options.Journal, InUse = true }, stop).ConfigureAwait(false);
        }
        catch (DamageException failure)
        {
            first = failure.Damage;
        }

        return new Original(path, identity, keys, files, Salvage.Of(path, identity.Origin, stop), first);
    }

    /// <summary>The plan of the first preference with which everything can be repaired. If there is none, the plan of <see cref="First.MostVotes"/>.</summary>
    private static async Task<(RepairPlan Plan, First First)> FindAsync(Original original, RepairOptions options, CancellationToken stop)
    {
        RepairPlan? usual = null;
        foreach (First first in Enum.GetValues<First>())
        {
            RepairPlan plan = await new Run(original, options, first, stop).PlanAsync(null).ConfigureAwait(false);
            if (plan.CanApply) return (plan, first);
            usual ??= plan;
        }

        return (usual!, First.MostVotes);
    }

    private sealed class Run(Original original, RepairOptions options, First prefer, CancellationToken stop)
    {
        private const string LeftOut = "left out: the log publishes its newest head again";

        private readonly List<RepairStep> _steps = [];
        private readonly RightEdge _edge = new();
        private readonly List<FullTile> _completed = [];
        private readonly JournalOptions _journal = options.Journal ?? LogDirectory.OptionsFor(original.Identity);
        private readonly IEntrySource[] _sources = prefer == First.Others ? [.. options.Sources, original.Salvage] : [original.Salvage, .. options.Sources];
        private HeadFiles _files = original.Files;
        private bool _headsAnew;      // they are damaged, and those of the copy begin with _head
        private bool _dropPublished;
        private TreeHead? _head;

        /// <summary>Goes through the whole directory and lists the damage. Also writes the repaired copy when <paramref name="copy"/> is not null.</summary>
        public async Task<RepairPlan> PlanAsync(string? copy)
        {
            IReadOnlyList<ClaimedRoot> claims = ReadHeads();
            string published = Path.Combine(original.Path, "published");
            TreeCheck tree = new(claims.Where(claim => claim.Place != published)), shown = new(claims.Where(claim => claim.Place == published));
            bool anyShown = claims.Any(claim => claim.Place == published) && (shown.CheckBegin() is not Damage ofNothing || NotShown(ofNothing));
            bool right = tree.CheckBegin() is null;
            long signed = _head?.Size ?? 0;
            TileStore? store = null;
            if (copy is not null)
            {
                TileStore.Create(copy);
                store = await TileStore.OpenAsync(copy).ConfigureAwait(false);
            }

            long entries;
            List<byte[]> tail = [];
            try
            {
                using RecordLog? segments = Open("segments"), upper = Open("tree");
                long count = Math.Max(Math.Max(original.Salvage.Segments, signed / EntryBundle.Width), original.Salvage.JournalEnd / EntryBundle.Width);
                long segment = 0;
                for (; segment < count; segment++)
                {
                    stop.ThrowIfCancellationRequested();
                    if (await DecideAsync(segment).ConfigureAwait(false) is not { } truth)
                    {
                        string place = Path.Combine(original.Path, "segments");
                        AddStep(new Damage("entry-bundle", place, segment, null, "256 entries whose root is stated", "none, neither in its parts nor in the journal nor elsewhere"), null);
                        right = false;
                        break;
                    }

                    foreach (Hash leaf in truth.Leaves) Add(leaf);
                    Compare(segment, truth, segments, upper);
                    if (store is null) continue;
                    await store.PutSegmentAsync(new SealedSegment(segment, truth.Bundle, _completed[0].Hashes, _completed[0].Root), stop).ConfigureAwait(false);
                    foreach (FullTile tile in _completed.Skip(1)) await store.PutUpperTileAsync(tile, stop).ConfigureAwait(false);
                }

                if (segment == count) await ReadTailAsync(count * EntryBundle.Width, signed, tail).ConfigureAwait(false);
                foreach (byte[] entry in tail) Add(MerkleHash.Leaf(entry));
                entries = tree.Size;
                if (right && tree.Finish(Path.Combine(original.Path, "journal")) is Damage missing) AddStep(missing, null);
            }
            finally
            {
                if (store is not null)
                {
                    if (right) await store.FlushAsync(stop).ConfigureAwait(false);
                    await store.DisposeAsync().ConfigureAwait(false);
                }
            }

            if (original.FirstDamage is Damage first) AddFirst(first);
            RepairPlan plan = new(_steps, entries, _head);
            if (copy is not null && plan.CanApply) await WriteRestAsync(copy, entries, tail).ConfigureAwait(false);
            return plan;

            void Add(Hash leaf)
            {
                if (tree.AddLeaf(leaf) is Damage wrong)
                {
                    AddStep(wrong, null);
                    right = false;
                }

                if (anyShown) anyShown = shown.AddLeaf(leaf) is not Damage other || NotShown(other);
            }

            bool NotShown(Damage other)
            {
                AddStep(other, LeftOut);
                _dropPublished = true;
                return false;
            }
        }

        private void AddStep(Damage damage, string? remedy)
        {
            if (!_steps.Exists(step => step.Damage.Kind == damage.Kind && step.Damage.Place == damage.Place && step.Damage.Index == damage.Index)) _steps.Add(new RepairStep(damage, remedy));
        }

        /// <summary>
        /// Makes sure that the first damage that fsck reports is among the steps, whatever it is: a file that does not belong, the journal, a commit file.
        /// </summary>
        private void AddFirst(Damage damage)
        {
            bool known = _steps.Exists(step => step.Damage.Segment == damage.Segment && damage.Segment is not null) || (_headsAnew && damage.Kind is "heads" or "commit" or "checkpoint" or "signature");
            if (known || _steps.Exists(step => step.Damage == damage)) return;
            bool holds = _steps.TrueForAll(step => step.Remedy is not null);
            AddStep(damage, !holds ? null : damage.Kind switch
            {
                "stray-file" => "left behind: nothing that does not belong is copied",
                "journal" or "size" => "the journal is written anew, with the entries behind the last segment",
                _ => "written anew from the entries",
            });
        }

        /// <summary>
        /// The signed heads. When their files are damaged, the newest head that commit, the guard or the last line of heads still states. There is none when
        /// two of them state different roots for the same size, or when the guard is what is damaged.
        /// </summary>
        private IReadOnlyList<ClaimedRoot> ReadHeads()
        {
            List<string> notes = [];
            try
            {
                HeadsCheck heads = HeadsCheck.Read(_files, original.Identity, original.Keys, notes);
                _head = heads.Newest;
                return heads.Claims;
            }
            catch (DamageException failure) when (failure.Damage.Place.StartsWith(_files.PathOf("published"), StringComparison.Ordinal))
            {
                AddStep(failure.Damage, LeftOut);
                _dropPublished = true;
                _files = _files with { Published = null };
                return ReadHeads();
            }
            catch (DamageException failure)
            {
                (string from, TreeHead head)? newest = failure.Damage.Kind is "guard" or "guarded" ? null : FindNewest();
                _headsAnew = true;
                _head = newest?.head;
                AddStep(failure.Damage, newest is null ? null : $"the history begins anew with size {newest.Value.head.Size}, root {newest.Value.head.Root}, from {newest.Value.from}, and commit with it; the lines before stay here");
                return newest is null ? [] : [new ClaimedRoot(newest.Value.head.Size, newest.Value.head.Root, newest.Value.from)];
            }
        }

        private (string From, TreeHead Head)? FindNewest()
        {
            List<(string From, TreeHead Head)> found = [];
            Offer("commit", _files.Commit);
            Offer("the guard", _files.Guard);
            if (_files.History is byte[] history)
            {
                // Use only the last line: no other line can show that it holds the newest head.
                int end = history.AsSpan().LastIndexOfAnyExcept((byte)0) + 1, start = end < 2 ? 0 : history.AsSpan(0, end - 1).LastIndexOf((byte)'\n') + 1;
                Offer("the last line of heads", history[start..end]);
            }

            if (found.Count == 0) return null;
            (string From, TreeHead Head) newest = found.MaxBy(one => one.Head.Size);
            return found.Exists(one => one.Head.Size == newest.Head.Size && one.Head.Root != newest.Head.Root) ? null : newest;

            void Offer(string from, byte[]? bytes)
            {
                if (bytes is null || !TreeRegister.TryParseHead(bytes, out HeadRecord? record) || record.Head is not TreeHead head) return;
                if (!Note.TryParse(head.Checkpoint.Span, out Note? note) || !Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)) return;
                if (checkpoint.Origin == original.Identity.Origin && checkpoint.Size == head.Size && checkpoint.Root == head.Root && HeadsCheck.MissingIn(note, original.Keys) is null) found.Add((from, head));
            }
        }

        private RecordLog? Open(string name)
        {
            try
            {
                return RecordLog.OpenReadOnly(DirectoryCheck.RequireRecordLog(original.Path, name));
            }
            catch (DamageException failure)
            {
                AddStep(failure.Damage, name == "tree" ? "the tree is made of the entries" : "the segments are written anew from their records, wherever these lie");
                return null;
            }
        }

        /// <summary>The entries of a segment whose root has the most votes, or those that come first in the preferred order.</summary>
        private async Task<Truth?> DecideAsync(long segment)
        {
            List<(string From, ReadOnlyMemory<byte> Bundle, Hash[] Leaves, Hash Root)> candidates = [];
            Dictionary<Hash, int> votes = [];
            Seal? seal = original.Salvage.SealOf(segment);
            if (seal is not null)
            {
                Vote(seal.Root);
                Vote(MerkleHash.Root(MemoryMarshal.Cast<byte, Hash>(seal.Tile.Span)));
            }

            if (original.Salvage.TileOf(1, segment >> 8) is FullTile above) Vote(new Hash(above.Hashes.Span.Slice((int)(segment & 255) * Hash.Size, Hash.Size)));
            if (prefer != First.Journal) Offer("its own parts", original.Salvage.FromParts(segment));
            Offer("the journal", original.Salvage.FromJournal(segment * EntryBundle.Width, EntryBundle.Width));
            if (prefer == First.Journal && candidates.Count == 0) Offer("its own parts", original.Salvage.FromParts(segment));

            // Ask other copies only when they are needed: they may be far away.
            if (candidates.Count == 0 || votes.Count > 1 || prefer == First.Others)
            {
                foreach (IEntrySource source in options.Sources) Offer(source.Name, await source.ReadAsync(segment, EntryBundle.Width, stop).ConfigureAwait(false));
            }

            if (votes.Count == 0) return null;
            if (prefer == First.Others) candidates.Reverse();
            int most = votes.Values.Max();
            if (prefer != First.MostVotes && candidates.Count > 0) return new Truth(candidates[0].Bundle, candidates[0].Leaves, candidates[0].Root, candidates[0].From);
            foreach ((string from, ReadOnlyMemory<byte> bundle, Hash[] leaves, Hash root) in candidates)
            {
                if (votes[root] == most) return new Truth(bundle, leaves, root, from);
            }

            return null;

            void Vote(Hash root) => CollectionsMarshal.GetValueRefOrAddDefault(votes, root, out _)++;

            void Offer(string from, ReadOnlyMemory<byte>? bundle)
            {
                if (bundle is not { } bytes || TreeCheck.Leaves(bytes.Span) is not { Length: EntryBundle.Width } leaves) return;
                Hash root = MerkleHash.Root(leaves);
                Vote(root);
                candidates.Add((from, bytes, leaves, root));
            }
        }

        private async Task ReadTailAsync(long from, long signed, List<byte[]> tail)
        {
            long end = Math.Max(original.Salvage.JournalEnd, signed);
            for (int width = (int)Math.Max(0, end - from); width > 0; width--)
            {
                foreach (IEntrySource source in _sources)
                {
                    if (await source.ReadAsync(from / EntryBundle.Width, width, stop).ConfigureAwait(false) is not { } bundle) continue;
                    foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle.Span)) tail.Add(entry.ToArray());
                    return;
                }
            }
        }

        /// <summary>Compares the stored segment, and the stored tiles that it completes, with the bytes that they must have.</summary>
        private void Compare(long segment, Truth truth, RecordLog? segments, RecordLog? upper)
        {
            _completed.Clear();
            foreach (Hash leaf in truth.Leaves) _edge.Append(leaf, _completed);
            string place = $"{Path.Combine(original.Path, "segments")}, record {segment}", remedy = $"entries from {truth.From}, seal and tile from them";
            if (segments is not null && segment < segments.Count)
            {
                try
                {
                    Seal seal = TileStore.ReadSeal(segments, segment);
                    ReadOnlyMemory<byte> bundle = TileStore.ReadBundle(segments, segment, seal);
                    TreeCheck one = new([]);
                    Hash[]? leaves = bundle.Span.SequenceEqual(truth.Bundle.Span) ? truth.Leaves : null;
                    if (one.Add(bundle.Span, seal.Tile.Span, EntryBundle.Width, $"{place}, parts", place, leaves) is Damage damage) AddStep(damage with { Segment = segment, Index = damage.Index + (segment * EntryBundle.Width) }, remedy);
                    else if (seal.Root != truth.Root) AddStep(new Damage("seal", place, segment, null, $"root {truth.Root}", $"root {seal.Root}"), remedy);
                    else if (one.Root() != truth.Root) AddStep(new Damage("entry-bundle", place, segment, null, $"entries with the root {truth.Root}", $"others, with {one.Root()}"), remedy);
                }
                catch (DamageException failure)
                {
                    AddStep(failure.Damage with { Segment = segment }, remedy);
                }
            }

            foreach (FullTile tile in _completed.Skip(1))
            {
                if (upper is null || TileStore.RecordNumber(tile.Level, tile.Index) >= upper.Count) continue;
                TilePath name = new(tile.Level, tile.Index);
                string tilePlace = $"{Path.Combine(original.Path, "tree")}, record {TileStore.RecordNumber(tile.Level, tile.Index)}, {name}";
                if (SegmentsCheck.CompareTile(upper, tile, tilePlace, segment) is Damage damage) AddStep(damage, "made of the entries");
            }
        }

        /// <summary>Writes journal, heads, evidence, keys, halt record and, last, the identity, which makes the directory a log.</summary>
        private async Task WriteRestAsync(string copy, long entries, List<byte[]> tail)
        {
            await WriteJournalAsync(Path.Combine(copy, "journal"), entries, tail).ConfigureAwait(false);
            string reason = $"repaired from {original.Path}: {string.Join("; ", _steps.Take(3).Select(step => step.Damage.Kind))}";
            if (_headsAnew)
            {
                byte[] line = new HeadRecord(options.Time.GetUtcNow().ToUnixTimeMilliseconds(), reason, _head).ToBytes();
                HeadHistory.Create(Path.Combine(copy, "heads"), line);
                DurableFile.Replace(Path.Combine(copy, "commit"), TreeRegister.Padded(line, 0));
            }
            else
            {
                Put("heads", _files.History);
                Put("heads.old", _files.Old);
                Put("commit", _files.Commit);
            }

            if (!_dropPublished) Put("published", _files.Published);
            Put("guarded", _files.Guarded);
            EvidenceFolder.Copy(original.Path, copy);
            foreach (string key in original.Identity.Keys.Select(key => key.KeyPath).Where(key => !Path.IsPathRooted(key) && Paths.FileExists(Path.Combine(original.Path, key))))
            {
                Put(key, DurableFile.Read(Path.Combine(original.Path, key), LogDirectory.MaxKeyFile));
            }

            Put("halted", TreeRegister.HaltedBytes(options.Time.GetUtcNow(), $"{reason}. Resume once it is sure that nobody has seen a larger checkpoint than size {_head?.Size ?? 0}"));
            Put("log", DurableFile.Read(Path.Combine(original.Path, "log"), LogIdentity.MaxSize));

            void Put(string name, byte[]? bytes)
            {
                if (bytes is not null) DurableFile.Replace(Path.Combine(copy, name), bytes);
            }
        }

        /// <summary>
        /// Writes a journal that begins after the last segment. When no entry follows it, the journal begins with the last entry: a trimmed journal must have
        /// at least one frame.
        /// </summary>
        private async Task WriteJournalAsync(string directory, long entries, List<byte[]> tail)
        {
            Journal.Create(directory, _journal);
            if (entries == 0) return;
            long first = entries - tail.Count;
            if (tail.Count == 0)
            {
                first = entries - 1;
                ReadOnlyMemory<byte> last = (await DecideAsync(first / EntryBundle.Width).ConfigureAwait(false))!.Bundle;
                tail = [last[(EntryBundle.PrefixLength(last.Span, EntryBundle.Width - 1) + 2)..].ToArray()];
            }

            int next = 0;
            JournalFrame frame = new();
            if (first > 0)
            {
                while (next < tail.Count && frame.TryAdd(tail[next])) next++;
                string begin = JournalScan.PathOf(directory, 2);
                Posix.Rename(JournalScan.PathOf(directory, 1), begin);
                using SafeFileHandle file = Posix.Open(begin, Posix.ReadWrite | Posix.NoFollow);
                Posix.Write(file, frame.Seal(2, first, 1, _journal.Identity).Span, 0, begin);
                Posix.Sync(file, begin);
                Posix.SyncDirectory(directory);
            }

            await using Journal journal = Journal.Open(directory, _journal, 0);
            while (next < tail.Count)
            {
                frame.Clear();
                while (next < tail.Count && frame.TryAdd(tail[next])) next++;
                await journal.AppendAsync(frame, stop).ConfigureAwait(false);
            }
        }

        /// <param name="Bundle">The 256 entries of a segment.</param>
        /// <param name="Leaves">Their leaf hashes.</param>
        /// <param name="Root">The root over them.</param>
        /// <param name="From">Where they were found.</param>
        private sealed record Truth(ReadOnlyMemory<byte> Bundle, Hash[] Leaves, Hash Root, string From);
    }
}
