// What can be rebuilt from what. A damaged directory is never changed: a plan names each damage and what mends it, and a copy is made in which all is mended, or none.
//
// Entries are what counts: seals, tiles, addresses and commit files are a function of them. Those of a segment are looked for where they may be: in its parts, in the journal,
// in other copies. Which of them are right its root says, of which there are statements too: in the tile above it, in its seal. The one with the most votes is taken; whether all
// of that was right is decided by the roots that were signed, and, before the copy gets its name, by the check that begins at its entries. Where it was not, someone has changed
// entries together with all that was made of them: then those of the journal come first, and after that those of other copies.

using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>A damage and what mends it.</summary>
/// <param name="Damage">What is damaged.</param>
/// <param name="Remedy">What it is rebuilt from, in words; null when nothing here can.</param>
public sealed record RepairStep(Damage Damage, string? Remedy);

/// <summary>All that was found damaged.</summary>
/// <param name="Steps">Each damage; none for a whole directory.</param>
/// <param name="Entries">Entries that the copy will have.</param>
/// <param name="Head">The newest signed head; null when nothing was signed, or when it is lost.</param>
public sealed record RepairPlan(IReadOnlyList<RepairStep> Steps, long Entries, TreeHead? Head)
{
    /// <summary>Whether everything can be mended.</summary>
    public bool CanApply => Steps.All(step => step.Remedy is not null);
}

/// <summary>How a directory is repaired.</summary>
public sealed record RepairOptions
{
    /// <summary>The journal's layout, when it is not the usual one.</summary>
    public JournalOptions? Journal { get; init; }

    /// <summary>Other places that may have entries which are lost here.</summary>
    public IReadOnlyList<IEntrySource> Sources { get; init; } = [];

    /// <summary>The clock, for the history.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>Plans repairs, and makes repaired copies.</summary>
public static class Repair
{
    /// <summary>Names every damaged segment and tile, and the first damage of everything else, with what mends it. Changes nothing.</summary>
    /// <param name="path">The data directory; no process has it.</param>
    /// <param name="verifiers">Gives the verifiers of the keys in the directory's identity.</param>
    /// <param name="options">How; null for without other copies.</param>
    /// <param name="stop">Ends it.</param>
    /// <exception cref="DamageException">The identity is damaged, without which nothing else can be judged.</exception>
    /// <exception cref="StorageException">Not a log, in use, or a failed call.</exception>
    public static async Task<RepairPlan> PlanAsync(string path, Func<VerifierKey, INoteVerifier?> verifiers, RepairOptions? options = null, CancellationToken stop = default)
    {
        using DirectoryLock held = DirectoryLock.Acquire(path);
        options ??= new RepairOptions();
        Original original = await ReadAsync(path, verifiers, options, stop).ConfigureAwait(false);
        return (await FindAsync(original, options, stop).ConfigureAwait(false)).Plan;
    }

    /// <summary>
    /// Makes a copy in which everything that the plan names is mended: under the name with <c>.repairing</c> behind it until all of it is checked from entry bytes up. It is
    /// halted. Makes nothing when something cannot be mended.
    /// </summary>
    /// <param name="path">The data directory; no process has it. It is not changed.</param>
    /// <param name="to">The copy: a directory that does not exist, or is empty.</param>
    /// <param name="verifiers">Gives the verifiers of the keys in the directory's identity.</param>
    /// <param name="options">How; null for without other copies.</param>
    /// <param name="stop">Ends it; what was made so far is removed.</param>
    /// <returns>The plan, and the report of the check; null when nothing was made.</returns>
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

    /// <summary>Whose entries are taken where there are different ones.</summary>
    private enum First
    {
        MostVotes,
        Journal,
        Others,
    }

    /// <summary>What is read once, since the directory does not change, and is the same whichever way is tried.</summary>
    /// <param name="Path">The data directory.</param>
    /// <param name="Identity">Whose log it is.</param>
    /// <param name="Keys">Of its keys.</param>
    /// <param name="Files">What tells which heads were signed.</param>
    /// <param name="Salvage">What is still whole of entries, seals and tiles.</param>
    /// <param name="FirstDamage">What fsck names first.</param>
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

    /// <summary>The first way in which everything can be mended; what the usual one gives where none can.</summary>
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
        private bool _headsAnew;      // they are damaged, and the copy's begin with _head
        private bool _dropPublished;
        private TreeHead? _head;

        /// <summary>Goes over everything; puts it into a copy as well, when there is one to be made.</summary>
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

        /// <summary>What fsck names first is among the steps, whatever it is: files that do not belong, the journal, commit files.</summary>
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

        /// <summary>What was signed. Where its files are damaged, the newest head that one of them still names, if it is sure that there was none behind it.</summary>
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
                // Only the last line can say that it was the last.
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

        /// <summary>The entries of a segment that the most statements agree on.</summary>
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

            // Others are asked only where they are needed: they may be far away.
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

        /// <summary>Compares what is stored of a segment, and of the tiles that it completes, with what it has to be.</summary>
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

        /// <summary>Journal, heads, key, identity: the last makes it a log.</summary>
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

        /// <summary>A journal that begins behind the last segment; or with the last entry, where nothing is behind it: a journal that has forgotten something has a frame.</summary>
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

        /// <param name="Bundle">256 entries.</param>
        /// <param name="Leaves">Their leaf hashes.</param>
        /// <param name="Root">The root over them.</param>
        /// <param name="From">Where they were found.</param>
        private sealed record Truth(ReadOnlyMemory<byte> Bundle, Hash[] Leaves, Hash Root, string From);
    }
}
