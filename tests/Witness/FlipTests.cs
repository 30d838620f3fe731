// One bit of each byte of each file of a witness, one at a time (see tests/Server/Flips): its memory comes back as it was, or it does not start and says where.
// With a guard, and with the guard given up. What a snapshot of many notes does is in StoreTests; the folder of evidence is for people and never read.

using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

public sealed class FlipTests(ITestOutputHelper output) : IDisposable
{
    private const int FileBytes = 4 * 1024 * 1024;
    private const int Seed = 20_261;
    private const int Sector = 512, Ahead = 64 * 1024;
    private const string JournalFile = "data/journal/000000000001";

    private readonly string _root = Directory.Exists("/dev/shm")
        ? Directory.CreateDirectory($"/dev/shm/tlog-flips-{Guid.NewGuid():N}").FullName
        : Directory.CreateTempSubdirectory("tlog-flips-").FullName;

    private readonly FlipTable _table = new();
    private Dictionary<string, byte[]> _newest = [];
    private string _clock = "";

    private static bool Full => FlippedDirectory.Full;

    private string Data => Path.Combine(_root, "data");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task I02_I05_D14_a_flip_in_the_memory_of_a_witness_is_repaired_or_refused(bool guarded)
    {
        string? guard = guarded ? Path.Combine(_root, "guard") : null;
        WitnessDirectory.Create(Data, "witness.example", journalFileBytes: FileBytes);
        using (WitnessDirectory directory = WitnessDirectory.Open(Data))
        {
            await using WitnessStore store = WitnessStore.Open(directory, guard, FileBytes, null);
            for (int i = 0; i < 6; i++) await store.SaveAsync(NoteOf(i % 3, 5 + i));
            SigningClock.Begin(Data, TimeProvider.System);
            ClockPermission permission = ClockPermission.Of("example.com/stored2", 1_800_000_000, NoteOf(2, 10));
            SigningClock.Open(Data, TimeSpan.FromDays(30), TimeProvider.System).Accept("the clock was compared", [permission]);
        }

        Assert.Equal("no memory yet", await LookAsync(guard));
        Assert.Equal(3, _newest.Count);
        FlippedDirectory files = new(_root, _table, () => Task.FromResult(false));
        int end = (files[JournalFile].Span.LastIndexOfAnyExcept((byte)0) + Sector) / Sector * Sector;
        foreach (string file in files.Names.Where(name => name != JournalFile).ToArray())
        {
            bool quick = file.EndsWith("key.pem", StringComparison.Ordinal) || file.EndsWith("guarded", StringComparison.Ordinal);
            if (file.StartsWith("guard/", StringComparison.Ordinal) && file != files.NewestGuard) continue; // the file before it, and the text for older versions, are not believed
            await FlipAsync(file.StartsWith("guard/", StringComparison.Ordinal) ? "guard" : file[5..], file, FlippedDirectory.Points(0, files[file].Length, !quick || Full, quick && !Full ? 7 : 1));
        }

        await FlipAsync("journal, frames", JournalFile, FlippedDirectory.Points(0, end, Full && !guarded, Full ? 1 : 17));
        await FlipAsync("journal, zeros behind it", JournalFile, Zeros(end, files[JournalFile].Length, guarded)); // what is zeros is judged before the guard is looked at

        output.WriteLine(_table.Write());
        files.AssertWhole();
        Assert.True(_table.Silent.Count == 0, string.Join('\n', _table.Silent.Take(50)));
        foreach (string row in (string[])["witness", "snapshot", "journal, frames", "heartbeat", "clock-accepted", .. guarded ? ["guard"] : Array.Empty<string>()])
        {
            Assert.Equal((row, _table.Total(row)), (row, _table.Count(row, FlipVerdict.Refused)));
        }

        Assert.Equal(0, _table.Count("journal, zeros behind it", FlipVerdict.Harmless));

        async Task FlipAsync(string row, string file, IEnumerable<(long Offset, int Bit)> points)
        {
            foreach ((long offset, int bit) in points) await files.FlipAsync(row, file, offset, bit, () => LookAsync(guard), Data, Path.Combine(_root, file));
        }
    }

    /// <summary>The control: what opening gives is compared, so another memory is told from the one that was.</summary>
    [Fact]
    public async Task Control_a_note_that_is_lost_is_a_difference()
    {
        WitnessDirectory.Create(Data, "witness.example", journalFileBytes: FileBytes);
        await SaveAsync(NoteOf(0, 5));
        Assert.Equal("no memory yet", await LookAsync(null));
        Assert.Null(await LookAsync(null));
        await SaveAsync(NoteOf(0, 6));
        Assert.Equal("another note of example.com/stored0", await LookAsync(null));
        await SaveAsync(NoteOf(1, 6));
        Assert.Equal("2 origins", await LookAsync(null));

        async Task SaveAsync(byte[] note)
        {
            using WitnessDirectory directory = WitnessDirectory.Open(Data);
            await using WitnessStore store = WitnessStore.Open(directory, null, FileBytes, null);
            await store.SaveAsync(note);
        }
    }

    /// <summary>Opens the memory as the program does; what differs from the first look, or null.</summary>
    private async ValueTask<string?> LookAsync(string? guard)
    {
        using WitnessDirectory directory = WitnessDirectory.Open(Data);
        await using WitnessStore store = WitnessStore.Open(directory, guard, FileBytes, null);
        string clock = $"{Heartbeat.Read(Data):O} {string.Join(' ', ClockAcceptances.Read(Data).Select(one => $"{one} {string.Join(' ', one.Permissions)}"))}";
        if (_newest.Count == 0)
        {
            _clock = clock;
            _newest = new Dictionary<string, byte[]>(store.Loaded, StringComparer.Ordinal);
            return "no memory yet";
        }

        if (clock != _clock) return $"another clock: {clock}";
        if (store.Loaded.Count != _newest.Count) return $"{store.Loaded.Count} origins";
        foreach ((string origin, byte[] note) in _newest)
        {
            if (!store.Loaded.TryGetValue(origin, out byte[]? found) || !found.AsSpan().SequenceEqual(note)) return $"another note of {origin}";
        }

        return null;
    }

    private static IEnumerable<(long Offset, int Bit)> Zeros(long from, long size, bool guarded)
    {
        foreach ((long, int) point in FlippedDirectory.Points(from, from + Ahead, allBits: false, Full ? guarded ? 61 : 1 : 2039)) yield return point;
        Random random = new(Seed);
        int every = Full && !guarded ? Sector : Sector * 256;
        for (long sector = from + Ahead; sector + every <= size; sector += every) yield return (sector + random.Next(every), random.Next(8));
    }

    private static byte[] NoteOf(int origin, long size) => new Note(
        Encoding.UTF8.GetBytes($"example.com/stored{origin}\n{size}\n{MerkleHash.Empty.ToBase64()}\n"),
        [new NoteSignature("example.com/signer", 1, new byte[64])]).ToBytes();
}
