using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using TransparencyLog.Storage;
using TransparencyLog.Tests.Storage;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>Every storage call of the witness's store, going wrong in every way that a disk knows: what is saved is saved, and nothing after a failure.</summary>
public sealed class StoreSweepTests(ITestOutputHelper output)
{
    private const int FileBytes = 4 * 1024 * 1024;

    /// <summary>Notes of 53 KB, ten at once: four groups are more than half a file, which makes a snapshot, and seven need another file.</summary>
    private const int Groups = 8, Origins = 10, Lines = 95;

    [Fact]
    public async Task D05_D06_D12_D13_D18_D19_D22_witness_store_save_snapshot_trim_reopen()
    {
        using DiskSweep sweep = new(new SweptWork(
            Prepare: async root =>
            {
                WitnessDirectory.Create(Data(root), "witness.example", journalFileBytes: FileBytes);
                await using Opened opened = new(root);
                await SaveAsync(opened.Store, 0);
            },
            Run: async (root, story) =>
            {
                Opened? opened = null;
                if (!await story.OpenAsync(() => opened = new Opened(root))) return;
                await using (opened)
                {
                    for (int group = 1; group <= Groups; group++)
                    {
                        int size = group;
                        await story.DoAsync(() => SaveAsync(opened!.Store, size));
                    }

                    // What failed behind an answer, a snapshot or a trim, is told to the next.
                    if (story.Failure is not null) Assert.NotNull(opened!.Store.Failure);
                }
            },
            Check: async (root, story) =>
            {
                await using (Opened again = new(root))
                {
                    Assert.Equal(Origins, again.Store.Loaded.Count);
                    foreach ((string origin, byte[] note) in again.Store.Loaded)
                    {
                        int number = int.Parse(origin[StoredPrefix.Length..], CultureInfo.InvariantCulture);
                        int size = int.Parse(Encoding.UTF8.GetString(note).Split('\n')[1], CultureInfo.InvariantCulture);
                        Assert.True(size == story.Acknowledged || size == story.Tried, $"{origin} is at {size}");
                        Assert.True(note.AsSpan().SequenceEqual(NoteOf(number, size)), origin);
                    }

                    await SaveAsync(again.Store, 50);
                }

                await using Opened last = new(root);
                Assert.All(last.Store.Loaded, note => Assert.StartsWith($"{note.Key}\n50\n", Encoding.UTF8.GetString(note.Value), StringComparison.Ordinal));
            })
        {
            // A guard that fails decides nothing (N-02): the step that needs it waits and asks again.
            IsMadeAgain = call => IsGuard(call) && call.Step > 0,

            // The next journal file is prepared in the background, and the switch tries once more. A file of the guard that an opening cannot remove is in nobody's way.
            MayFail = call => (IsGuard(call) && IsRemoved(call)) || (call.Path.EndsWith(".new", StringComparison.Ordinal) && call.Path.StartsWith("/data/journal/", StringComparison.Ordinal)) || (call.Path == "/data/journal" && call.Name is "open" or "fsync"),

            // Zeros; and what the lock's file says for people.
            IsFiller = call => call.Path == "/data/lock"
                || (call.Name == "pwrite" && call.Path.StartsWith("/data/journal/", StringComparison.Ordinal) && (call.Path.EndsWith(".new", StringComparison.Ordinal) || call.Step == 0)),
        });
        SweptVerdict[] verdicts = await sweep.RunAsync();
        output.WriteLine(DiskSweep.Table(verdicts));
        SweptVerdict[] wrong = sweep.Wrong(verdicts);
        Assert.True(wrong.Length == 0, $"{DiskSweep.Table(verdicts)}{string.Join('\n', wrong.Take(40))}");
    }

    private const string StoredPrefix = "example.com/stored";

    private static readonly ConcurrentDictionary<(int Origin, long Size), byte[]> Notes = new(); // the same in every run

    private static bool IsGuard(SweptCall call) => call.Path == "/guard" || call.Path.StartsWith("/guard/", StringComparison.Ordinal);

    /// <summary>A call that removes a file of the guard's row: it is looked at and unlinked.</summary>
    private static bool IsRemoved(SweptCall call) => call.Name == "unlink" || (call.Name == "statx" && Path.GetFileName(call.Path).Count('.') > 1);

    private static string Data(string root) => Path.Combine(root, "data");

    private static byte[] NoteOf(int origin, long size) => Notes.GetOrAdd((origin, size), MakeNote);

    private static byte[] MakeNote((int Origin, long Size) of) => new Note(
        Encoding.UTF8.GetBytes($"{StoredPrefix}{of.Origin}\n{of.Size}\n{MerkleHash.Empty.ToBase64()}\n"),
        [.. Enumerable.Range(0, Lines).Select(i => new NoteSignature("example.com/signer", (uint)i, new byte[400]))]).ToBytes();

    /// <summary>One frame with a new note of every origin.</summary>
    private static async Task SaveAsync(WitnessStore store, int size)
    {
        byte[][] notes = [.. Enumerable.Range(0, Origins).Select(origin => NoteOf(origin, size))]; // a frame waits 8 ms, not for these to be made
        IDisposable[] announced = [.. Enumerable.Range(0, Origins).Select(_ => store.Announce())];
        await Task.WhenAll(announced.Select((one, origin) => store.SaveAsync(notes[origin], one)));
    }

    private sealed class Opened : IAsyncDisposable
    {
        private readonly WitnessDirectory _directory;

        public Opened(string root)
        {
            _directory = WitnessDirectory.Open(Data(root));
            try
            {
                Store = WitnessStore.Open(_directory, Path.Combine(root, "guard"), FileBytes, null, guardRetry: TimeSpan.FromMilliseconds(1)); // hundreds of runs wait for it
            }
            catch
            {
                _directory.Dispose();
                throw;
            }
        }

        public WitnessStore Store { get; }

        public async ValueTask DisposeAsync()
        {
            await Store.DisposeAsync();
            _directory.Dispose();
        }
    }
}
