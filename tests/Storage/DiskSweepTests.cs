using System.Text;
using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>Every storage call of journal, tile store and register, going wrong in every way that a disk knows.</summary>
public sealed class DiskSweepTests(ITestOutputHelper output)
{
    private const string Origin = "example.com/log";

    /// <summary>Three frames fill a file of the smallest size; seven need a third one.</summary>
    private const int Frames = 7, FrameEntries = 20, EntrySize = 62_000;

    private static readonly byte[][] Entries = [.. Enumerable.Range(0, (Frames + 1) * FrameEntries).Select(i => Entry(new Random(i), EntrySize))];

    private static readonly SampleTree Tree = SampleTree.Create(260, SampleTree.Tiny);

    private static byte[][] FrameOf(int number) => Entries[(number * FrameEntries)..((number + 1) * FrameEntries)];

    [Fact]
    public Task D05_D06_D12_D13_D18_D19_D22_journal_append_switch_trim_reopen() => HoldsAsync(JournalWork(AppendAsync));

    [Fact]
    public async Task Control_a_journal_whose_failures_are_ignored_is_found()
    {
        // What a caller might do who believes that an append can only succeed.
        SweptWork blind = JournalWork(async (journal, entries) =>
        {
            try
            {
                return await AppendAsync(journal, entries);
            }
            catch (StorageException)
            {
                return 0;
            }
        });
        using DiskSweep sweep = new(blind);
        SweptVerdict[] verdicts = await sweep.RunAsync("eio", "persistfail", "lie", "flip");
        output.WriteLine(DiskSweep.Table(verdicts));
        SweptVerdict[] wrong = sweep.Wrong(verdicts);
        foreach (string action in (string[])["eio", "persistfail", "lie"]) Assert.Contains(wrong, verdict => verdict.Action == action && verdict.Word == "LOST");
        Assert.Contains(wrong, verdict => verdict is { Action: "flip", Word: "LATE" });
    }

    [Fact]
    public Task D05_D06_D12_D13_D18_D19_D22_tile_store_put_commit_reopen() => HoldsAsync(new SweptWork(
        Prepare: async root =>
        {
            TileStore.Create(Path.Combine(root, "store"));
            await using TileStore store = await TileStore.OpenAsync(Path.Combine(root, "store"));
            await Tree.PutAsync(store, 0, 250);
            await store.FlushAsync(CancellationToken.None);
        },
        Run: async (root, story) =>
        {
            TileStore? store = null;
            if (!await story.OpenAsync(() => store = TileStore.OpenAsync(Path.Combine(root, "store")).GetAwaiter().GetResult())) return;
            await using (store)
            {
                // 256 segments complete a tile of level 1: the second commit is one of both logs.
                for (int commit = 0; commit < 3; commit++)
                {
                    await story.DoAsync(async () =>
                    {
                        await Tree.PutAsync(store!, (int)store!.SegmentCount, (int)store.SegmentCount + 3);
                        await store!.FlushAsync(CancellationToken.None);
                    });
                }

                // Readers stay, whatever became of it.
                Assert.True((await store!.GetAsync(new TilePath(0, 249), CancellationToken.None))!.Value.Span.SequenceEqual(Tree.Segments[249].Tile.Span));
                if (story.Acknowledged * 3 != store.DurableSegmentCount - 250) throw new SweptException("LOST", $"{store.DurableSegmentCount} segments are called durable after {story.Acknowledged} commits");
            }
        },
        Check: async (root, story) =>
        {
            await using TileStore again = await TileStore.OpenAsync(Path.Combine(root, "store"));
            Assert.True(again.SegmentCount == 250 + (3 * story.Acknowledged) || (again.SegmentCount > 250 + (3 * story.Acknowledged) && again.SegmentCount <= 250 + (3 * story.Tried)), $"{again.SegmentCount} segments");
            await Tree.PutAsync(again, 248, 260); // the same bytes again, then the rest
            await again.FlushAsync(CancellationToken.None);
            await Tree.HoldsAsync(again, 260, from: 247);
        }));

    [Fact]
    public Task D05_D06_D12_D13_D18_D19_D22_register_swap_turn_over_halt_resume_reopen()
    {
        TreeHead Head(long size) => new(size, MerkleHash.Leaf(BitConverter.GetBytes(size)), Encoding.UTF8.GetBytes($"{Origin}\n{size}\n"));
        TreeRegister Open(string root) => TreeRegister.Open(Path.Combine(root, "data"), Path.Combine(root, "guard"), Origin, TimeProvider.System, null, historyLimit: 900);
        (TreeHead?, bool)[] states = [(Head(1), false), (Head(2), false), (Head(3), false), (Head(4), false), (Head(4), true), (Head(4), false), (Head(5), false)];
        return HoldsAsync(new SweptWork(
            Prepare: async root =>
            {
                Directory.CreateDirectory(Path.Combine(root, "data"));
                TreeRegister.Create(Path.Combine(root, "data"), TimeProvider.System);
                using TreeRegister register = Open(root);
                Assert.True(await register.SwapAsync(null, Head(1), "test", CancellationToken.None));
            },
            Run: async (root, story) =>
            {
                TreeRegister? register = null;
                if (!await story.OpenAsync(() => register = Open(root))) return;
                using (register)
                {
                    async Task SwapAsync(long size)
                    {
                        try
                        {
                            await RequireAsync(register!.SwapAsync(register.Current, Head(size), "test", CancellationToken.None));
                        }
                        catch (GuardUnavailableException)
                        {
                            // Nothing was decided: the same swap may be tried again.
                            await RequireAsync(register!.SwapAsync(register.Current, Head(size), "test", CancellationToken.None));
                        }
                    }

                    for (long size = 2; size <= 4; size++) await story.DoAsync(() => SwapAsync(size));
                    if (story.Failure is not null) return;
                    await story.DoAsync(() => register!.HaltAsync("evidence", CancellationToken.None).AsTask());
                    Assert.NotNull(register!.Halted); // in memory, whatever became of the note
                    await RefusesAsync(register, Head(9));
                    if (story.Failure is not null) return;
                    await story.DoAsync(() => register.ResumeAsync("a test", CancellationToken.None).AsTask());
                    await story.DoAsync(() => SwapAsync(5));
                }
            },
            Check: async (root, story) =>
            {
                using (TreeRegister again = Open(root))
                {
                    (TreeHead?, bool) found = (again.Current, again.Halted is not null);
                    Assert.True(found == states[story.Acknowledged] || found == states[story.Tried], $"{found}");
                    Assert.True(again.GuardAgrees);
                    if (again.Halted is not null) await again.ResumeAsync("the check", CancellationToken.None);
                    Assert.True(await again.SwapAsync(again.Current, Head(7), "test", CancellationToken.None));
                }

                using TreeRegister last = Open(root);
                Assert.Equal((Head(7), (string?)null), (last.Current!, last.Halted));
            })
        {
            // A guard whose call fails once is asked again, and a file of it that cannot be removed is in nobody's way.
            MayFail = call => call.Path.StartsWith("/guard", StringComparison.Ordinal),

            // An opening writes the newest line again as it is.
            IsFiller = call => call is { Name: "pwrite", Path: "/data/heads", Step: 0 },
        });
    }

    [Fact]
    public async Task N01_a_halted_register_never_opens_without_its_halt()
    {
        SweptWork work = new(
            Prepare: async root =>
            {
                TreeRegister.Create(Directory.CreateDirectory(Path.Combine(root, "data")).FullName, TimeProvider.System);
                using TreeRegister register = TreeRegister.Open(Path.Combine(root, "data"), null, Origin, TimeProvider.System);
                await register.HaltAsync("evidence", CancellationToken.None);
            },
            Run: async (root, story) => await story.OpenAsync(() =>
            {
                using TreeRegister register = TreeRegister.Open(Path.Combine(root, "data"), null, Origin, TimeProvider.System);
                if (register.Halted is null) throw new SweptException("LOST", "it opened without its halt");
            }),
            Check: (root, _) =>
            {
                using TreeRegister register = TreeRegister.Open(Path.Combine(root, "data"), null, Origin, TimeProvider.System);
                Assert.NotNull(register.Halted);
                return Task.CompletedTask;
            });
        using DiskSweep sweep = new(work);
        SweptVerdict[] verdicts = await sweep.RunAsync("eio", "eacces", "eloop", "persistfail");
        output.WriteLine(DiskSweep.Table(verdicts));
        Assert.Contains(verdicts, verdict => verdict is { Hit: { Name: "open", Path: "/data/halted" }, Word: "FAILED" });
        Assert.True(sweep.Wrong(verdicts).Length == 0, string.Join('\n', sweep.Wrong(verdicts).Take(40)));
    }

    [Fact]
    public async Task N01_evidence_that_cannot_be_listed_is_not_forgotten()
    {
        const string Name = "0000000000000000000000000000000000000000000000000000000000000000-fork-0123456789abcdef.tlog-evidence";
        SweptWork work = new(
            Prepare: root =>
            {
                File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(root, "evidence")).FullName, Name), "");
                return Task.CompletedTask;
            },
            Run: async (root, story) => await story.OpenAsync(() =>
            {
                EvidenceFolder folder = new(root);
                if (folder.Names.Count == 0 || folder.NotSentTo("http://a").Count == 0) throw new SweptException("LOST", "the folder looks empty");
            }),
            Check: (root, _) =>
            {
                Assert.Equal([Name], new EvidenceFolder(root).Names);
                return Task.CompletedTask;
            });
        using DiskSweep sweep = new(work);
        SweptVerdict[] verdicts = await sweep.RunAsync("eio", "eacces", "eloop");
        output.WriteLine(DiskSweep.Table(verdicts));
        Assert.Contains(verdicts, verdict => verdict.Hit?.Name == "readdir");
        Assert.True(sweep.Wrong(verdicts).Length == 0, string.Join('\n', sweep.Wrong(verdicts).Take(40)));
    }

    [Fact]
    public void A_fault_of_one_directory_is_none_of_another_whose_name_goes_on()
    {
        using Scratch scratch = new();
        string[] folders = [.. new[] { "run-1", "run-10" }.Select(name => Directory.CreateDirectory(Path.Combine(scratch.Root, name)).FullName)];
        using FaultScope scope = FaultScope.On(folders[0], (_, _) => FaultScope.Fail(FaultScope.Io));
        Assert.Throws<StorageException>(() => DurableFile.Replace(Path.Combine(folders[0], "file"), [1]));
        DurableFile.Replace(Path.Combine(folders[1], "file"), [1]);
    }

    private async Task HoldsAsync(SweptWork work)
    {
        using DiskSweep sweep = new(work);
        SweptVerdict[] verdicts = await sweep.RunAsync();
        output.WriteLine(DiskSweep.Table(verdicts));
        SweptVerdict[] wrong = sweep.Wrong(verdicts);
        Assert.True(wrong.Length == 0, $"{DiskSweep.Table(verdicts)}{string.Join('\n', wrong.Take(40))}");
    }

    private static async Task RequireAsync(ValueTask<bool> swap)
    {
        // Refused is no acknowledgement; here it means that the file is not what this process wrote.
        if (!await swap) throw new StorageException("the swap was refused");
    }

    private static async Task RefusesAsync(TreeRegister register, TreeHead next)
    {
        try
        {
            Assert.False(await register.SwapAsync(register.Current, next, "test", CancellationToken.None));
        }
        catch (StorageException)
        {
            // After a failure even the question is refused.
        }
    }

    private static SweptWork JournalWork(Func<Journal, byte[][], Task<long>> append) => new(
        Prepare: root =>
        {
            Directory.CreateDirectory(root);
            Journal.Create(Path.Combine(root, "journal"), Options);
            return Task.CompletedTask;
        },
        Run: async (root, story) =>
        {
            Journal? journal = null;
            if (!await story.OpenAsync(() => journal = Journal.Open(Path.Combine(root, "journal"), Options, 0))) return;
            await using (journal)
            {
                for (int frame = 0; frame < Frames; frame++)
                {
                    await story.DoAsync(() => append(journal!, FrameOf(frame)));
                    if (frame == Frames - 2 && journal!.NextIndex >= 5 * FrameEntries) await story.TryAsync(() => journal!.TrimAsync(5 * FrameEntries, CancellationToken.None).AsTask());
                }
            }
        },
        Check: async (root, story) =>
        {
            await using (Journal again = Journal.Open(Path.Combine(root, "journal"), Options, 0))
            {
                int frames = (int)again.NextIndex / FrameEntries;
                Assert.True(again.NextIndex % FrameEntries == 0 && (frames == story.Acknowledged || frames == story.Tried), $"{again.NextIndex} entries");
                Assert.InRange(again.FirstIndex, 0, 5 * FrameEntries);
                Holds(again, Entries[..(int)again.NextIndex], again.FirstIndex);
                Assert.Equal(again.NextIndex, await AppendAsync(again, FrameOf(frames)));
            }

            await using Journal last = Journal.Open(Path.Combine(root, "journal"), Options, 0);
            Holds(last, Entries[..(int)last.NextIndex], last.FirstIndex);
        })
    {
        // The next file is prepared in the background, and the switch tries once more. A file that trimming could not remove is in nobody's way.
        MayFail = call => call.Path.EndsWith(".new", StringComparison.Ordinal) || (call.Path == "/journal" && call.Name is "open" or "fsync") || call.Name == "unlink" || (call.Name == "statx" && call.Step > 0),

        // Of the next file; and at an opening, behind the last frame.
        IsFiller = call => call.Name == "pwrite" && (call.Path.EndsWith(".new", StringComparison.Ordinal) || call.Step == 0),
    };
}
