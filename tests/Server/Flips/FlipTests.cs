// One bit of each byte of each file of a log, one at a time: what is served afterwards is what was served before, or an error says where the damage is.
//
//   whole engine    log, key.pem, guarded, published; and a sample of all other files, which has to come out as the part that decides says
//   TreeRegister    heads, commit, guard
//   SigningClock    heartbeat, clock-accepted; and the list of distrusted witnesses
//   Journal         its file, with all entries signed, and with the last frame known to nobody else
//   TileStore       segments and tree: opened with the flip in place, or, for what only reading meets, flipped under an open store
//
// Files are mostly zeros behind what was written. There the next 64 KiB are flipped, and of what follows a sample. `make test` takes every few bytes of
// the long files; with DEVTLOG_FLIPS_FULL=1 (`make flips`) it is every byte, and of the zeros behind those 64 KiB one byte of each sector, at an offset that
// moves. The lock file holds a process id for people and is written at each start: it is left out.

using System.Buffers.Binary;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

public sealed class FlipTests(ITestOutputHelper output)
{
    private const int Seed = 20_260;
    private const int Ahead = 64 * 1024;
    private const int Sector = 512;
    private const string JournalFile = "data/journal/000000000001", SegmentsFile = "data/segments/data.0";

    private static readonly int[] Steps = [300, 530]; // two segments, and 18 entries of the third; the last frame goes over a segment's end

    private static bool Full => FlippedDirectory.Full;

    [Fact]
    public async Task D14_I05_a_flip_in_the_small_files_is_repaired_or_refused()
    {
        using FlippedLog log = await FlippedLog.CreateAsync(Steps);
        string guard = log.Files.NewestGuard;
        int line = log.Files["data/commit"].Span.IndexOf((byte)'\n') + 1, history = EndOf(log, "data/heads"), last = log.Files["data/heads"].Span[..(history - 1)].LastIndexOf((byte)'\n') + 1;

        await log.FlipAsync("commit, the head", "data/commit", FlippedDirectory.Points(0, line, allBits: true), log.LookAtRegister, engineEvery: 199);
        await log.FlipAsync("commit, zeros behind it", "data/commit", FlippedDirectory.Points(line, log.Files["data/commit"].Length, Full, Full ? 1 : 31), log.LookAtRegister, engineEvery: 29);
        await log.FlipAsync("heads, the last line", "data/heads", FlippedDirectory.Points(last, history, allBits: true), log.LookAtRegister, engineEvery: 499);
        await log.FlipAsync("heads, the lines before it", "data/heads", FlippedDirectory.Points(0, last, Full), log.LookAtRegister, engineEvery: 199);
        await log.FlipAsync("heads, zeros behind them", "data/heads", Zeros(history, log.Files["data/heads"].Length, 131), log.LookAtRegister, engineEvery: 199);
        await log.FlipAsync("guard", guard, All(log, guard), log.LookAtRegister, engineEvery: 499);
        await log.FlipAsync("guarded", "data/guarded", FlippedDirectory.Points(0, log.Files["data/guarded"].Length, Full, Full ? 1 : 7), log.LookAtEngineAsync);
        await log.FlipAsync("log", "data/log", All(log, "data/log"), log.LookAtEngineAsync);
        await log.FlipAsync("key.pem", "data/key.pem", FlippedDirectory.Points(0, log.Files["data/key.pem"].Length, Full, Full ? 1 : 3), log.LookAtEngineAsync);
        await log.FlipAsync("segments/commit", "data/segments/commit", All(log, "data/segments/commit"), log.LookAtOpeningAsync, engineEvery: 97);
        await log.FlipAsync("segments/addresses", "data/segments/addresses", All(log, "data/segments/addresses"), log.LookAtOpeningAsync, engineEvery: 7);
        await log.FlipAsync("tree/commit, no tile yet", "data/tree/commit", FlippedDirectory.Points(0, log.Files["data/tree/commit"].Length, Full), log.LookAtOpeningAsync, engineEvery: 97);
        Finish(log);

        AssertAll(log, FlipVerdict.Repaired, "commit, the head", "commit, zeros behind it");
        AssertAll(log, FlipVerdict.Refused, "heads, the last line", "heads, the lines before it", "guard", "segments/commit", "segments/addresses", "tree/commit, no tile yet");
    }

    [Fact]
    public async Task I05_N03_N04_a_flip_in_the_heartbeat_or_in_what_operators_decided_is_refused()
    {
        using FlippedLog log = await FlippedLog.CreateAsync(Steps);
        string[] files = ["heartbeat", "clock-accepted", "distrusted"];
        foreach (string file in files) await log.FlipAsync(file, $"data/{file}", All(log, $"data/{file}"), log.LookAtDecisions, engineEvery: 97);
        Finish(log);
        AssertAll(log, FlipVerdict.Refused, files);
    }

    [Fact]
    public async Task I02_D14_a_flip_in_the_journal_is_repaired_or_refused()
    {
        using FlippedLog log = await FlippedLog.CreateAsync(Steps);
        ReadOnlySpan<byte> bytes = log.Files[JournalFile].Span;
        long size = bytes.Length, end = (EndOf(log, JournalFile) + Sector - 1) / Sector * Sector, last = bytes.LastIndexOf("TLJRNL01"u8);
        await log.FlipAsync("journal, frames, all signed", JournalFile, FlippedDirectory.Points(0, end, allBits: false, Full ? 1 : 9), () => log.LookAtJournalAsync(530), engineEvery: 97);
        await log.FlipAsync("journal, last frame, not signed", JournalFile, FlippedDirectory.Points(last, end, Full, Full ? 1 : 9), () => log.LookAtJournalAsync(300));
        await log.FlipAsync("journal, zeros behind it, all signed", JournalFile, Zeros(end, size, 509), () => log.LookAtJournalAsync(530), engineEvery: 97);
        await log.FlipAsync("journal, zeros behind it, last frame not signed", JournalFile, Zeros(end, size, 1021), () => log.LookAtJournalAsync(300));
        Finish(log);
        AssertAll(log, FlipVerdict.Refused, "journal, frames, all signed", "journal, last frame, not signed");
    }

    [Fact]
    public async Task I02_I04_a_flip_in_the_segments_is_refused_to_whoever_reads_it()
    {
        using FlippedLog log = await FlippedLog.CreateAsync(Steps);
        TileStore store = await TileStore.OpenAsync(log.Data);
        await using (store.ConfigureAwait(false))
        {
            long size = log.Files[SegmentsFile].Length;
            await log.FlipAsync("segments/data, read", SegmentsFile, FlippedDirectory.Points(0, size, Full, Full ? 1 : 9), () => log.LookAtTilesAsync(store, _ => true));
            await log.FlipAsync("segments/addresses, read", "data/segments/addresses", All(log, "data/segments/addresses"), () => log.LookAtTilesAsync(store, _ => true));
        }

        await log.FlipAsync("segments/data, started", SegmentsFile, FlippedDirectory.Points(0, log.Files[SegmentsFile].Length, allBits: false, Full ? 13 : 701), log.LookAtEngineAsync);
        Finish(log);
        AssertAll(log, FlipVerdict.Refused, "segments/addresses, read");

        // What is harmless lies before FASTER's first address, between records, and behind the last one up to the sector's end.
        Assert.InRange(log.Table.Count("segments/data, read", FlipVerdict.Harmless) * (Full ? 1 : 72), 64, 8 * (64 + Sector + 16));
    }

    [Fact]
    public async Task I04_a_flip_in_the_tree_is_refused_to_whoever_reads_it()
    {
        using FlippedLog log = await FlippedLog.CreateAsync([70_000]);
        const string File = "data/tree/data.0";
        TileStore store = await TileStore.OpenAsync(log.Data);
        await using (store.ConfigureAwait(false))
        {
            await log.FlipAsync("tree/data, read", File, FlippedDirectory.Points(0, log.Files[File].Length, allBits: false, Full ? 1 : 7), () => log.LookAtTilesAsync(store, path => path.Level > 0));
        }

        await log.FlipAsync("tree/addresses", "data/tree/addresses", All(log, "data/tree/addresses"), log.LookAtOpeningAsync);
        await log.FlipAsync("tree/commit", "data/tree/commit", FlippedDirectory.Points(0, log.Files["data/tree/commit"].Length, Full), log.LookAtOpeningAsync);
        await log.FlipAsync("tree/data, started", File, FlippedDirectory.Points(0, log.Files[File].Length, allBits: false, Full ? 61 : 1201), log.LookAtEngineAsync);
        Finish(log);
        AssertAll(log, FlipVerdict.Refused, "tree/addresses", "tree/commit");
    }

    [Fact]
    public async Task I05_a_flip_in_the_published_checkpoint_is_not_shown()
    {
        StubWitness? witness = null;
        using FlippedLog log = await FlippedLog.CreateAsync([300], async key => witness = await StubWitness.StartAsync(key, "example.com/witness0"));
        await log.FlipAsync("published", "data/published", FlippedDirectory.Points(0, log.Files["data/published"].Length, Full, Full ? 1 : 9), log.LookAtEngineAsync);
        Finish(log);

        // A bad line of the witness is for whoever has the policy: the check of the directory is not told it.
        Assert.Equal(log.Table.Total("published"), log.Table.Count(FlipVerdict.Reported) + log.Table.Count(FlipVerdict.Harmless));
        Assert.InRange(log.Table.Count(FlipVerdict.Reported), log.Table.Count(FlipVerdict.Harmless), int.MaxValue);
    }

    /// <summary>The control: a flip that the CRC beside it agrees with is served as if it were the entry, and is counted as silent.</summary>
    [Fact]
    public async Task Control_a_flip_that_no_sum_shows_is_found_to_be_silent()
    {
        using FlippedLog log = await FlippedLog.CreateAsync(Steps);
        byte[] bytes = log.Files[SegmentsFile].ToArray();
        int part = bytes.AsSpan().IndexOf("TLP1"u8), length = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(part - 4)), entry = bytes.AsSpan().IndexOf("e100"u8);
        bytes[entry] ^= 1;
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(part + length - 4), FlippedLog.Crc(bytes.AsSpan(part, length - 4)));
        bytes[entry] ^= 1;
        await File.WriteAllBytesAsync(Path.Combine(log.Data, "segments/data.0"), bytes);
        TileStore store = await TileStore.OpenAsync(log.Data);
        await using (store.ConfigureAwait(false))
        {
            await log.FlipAsync("planted", SegmentsFile, [(entry, 0), (entry, 1), (entry + 1, 0)], () => log.LookAtTilesAsync(store, _ => true));
        }

        Assert.Equal((1, 2), (log.Table.Count(FlipVerdict.Silent), log.Table.Count(FlipVerdict.Refused)));
        Assert.Contains("tile/entries/000", Assert.Single(log.Table.Silent), StringComparison.Ordinal);
    }

    private void Finish(FlippedLog log)
    {
        output.WriteLine(log.Table.Write());
        log.Files.AssertWhole();
        Assert.True(log.Table.Silent.Count == 0, string.Join('\n', log.Table.Silent.Take(50)));
    }

    private static void AssertAll(FlippedLog log, FlipVerdict verdict, params string[] rows)
    {
        foreach (string row in rows) Assert.Equal((row, log.Table.Total(row)), (row, log.Table.Count(row, verdict)));
    }

    private static IEnumerable<(long Offset, int Bit)> All(FlippedLog log, string file) => FlippedDirectory.Points(0, log.Files[file].Length, allBits: true);

    /// <summary>The zeros from where the written part ends: the next 64 KiB, then a sample to the file's end.</summary>
    private static IEnumerable<(long Offset, int Bit)> Zeros(long from, long size, int step)
    {
        foreach ((long, int) point in FlippedDirectory.Points(from, from + Ahead, allBits: false, Full ? 1 : step)) yield return point;
        Random random = new(Seed);
        int every = Full ? Sector : Sector * 128;
        for (long sector = from + Ahead; sector + every <= size; sector += every) yield return (sector + random.Next(every), random.Next(8));
    }

    private static int EndOf(FlippedLog log, string file) => log.Files[file].Span.LastIndexOfAnyExcept((byte)0) + 1;
}
