// A log to flip bits in, and the ways to look at it: the whole engine, as the program opens it, and the parts that make its decisions, a hundred times faster.

using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>A log on a memory disk, closed, with everything that it ever answered.</summary>
internal sealed class FlippedLog : IDisposable
{
    private const string Origin = TestLog.Origin;

    private readonly string _root = Directory.Exists("/dev/shm")
        ? Directory.CreateDirectory($"/dev/shm/tlog-flips-{Guid.NewGuid():N}").FullName
        : Directory.CreateTempSubdirectory("tlog-flips-").FullName;

    private readonly StillTime _time = new();
    private string? _policy;
    private readonly List<byte[]> _entries = [];
    private readonly Dictionary<TilePath, byte[]> _tiles = [];
    private TreeSnapshot _tree = null!; // of the last start; its right edge is in memory
    private List<Hash[]> _proofs = [];
    private byte[] _checkpoint = [];
    private string _decisions = "";

    public FlippedDirectory Files { get; private set; } = null!;

    public FlipTable Table { get; } = new();

    public string Data => Path.Combine(_root, "data");

    public string Guard => Path.Combine(_root, "guard");

    public long Size => _entries.Count;

    /// <summary>What the register held last.</summary>
    public TreeHead Head { get; private set; } = null!;

    private Settings Settings => new() { Data = Data, Guard = Guard, Policy = _policy, PublishGap = TimeSpan.Zero, DuplicateTableBytes = 0, ReadCacheBytes = 0, ScrubMegabytes = 0 };

    /// <summary>A log that grew in these steps; at the end of each one a head was signed.</summary>
    /// <param name="sizes">The steps.</param>
    /// <param name="witness">Makes its one witness, which ends when the log is closed; null for none.</param>
    public static async Task<FlippedLog> CreateAsync(int[] sizes, Func<VerifierKey, Task<StubWitness>>? witness = null)
    {
        FlippedLog log = new();
        Directory.CreateDirectory(log.Data);
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        VerifierKey vkey = new NoteSigner(Origin, key).Key;
        KeyFile.Create(Path.Combine(log.Data, "key.pem"), Origin, VerifierKey.Ed25519, key);
        LogDirectory.Create(log.Data, new LogIdentity(Origin, vkey.ToString(), "key.pem"), TimeProvider.System, TestLog.Journal, "key.pem");
        await using StubWitness? stub = witness is null ? null : await witness(vkey);
        if (stub is not null) await File.WriteAllTextAsync(log._policy = Path.Combine(log._root, "policy"), stub.PolicyLines("a") + "quorum a\n");

        await using (Engine engine = await log.StartAsync())
        {
            await Eventually.TrueAsync(() => engine.State == EngineState.Ready, "entries are taken");
            foreach (int size in sizes)
            {
                while (log._entries.Count < size)
                {
                    byte[][] more = [.. Enumerable.Range(log._entries.Count, Math.Min(20_000, size - log._entries.Count)).Select(i => Encoding.ASCII.GetBytes($"e{i}"))];
                    Append append = await engine.AddAsync(TestLog.Bundle(more), more.Select(entry => MerkleHash.Leaf(entry)).ToArray(), CancellationToken.None);
                    await append.Durable;
                    log._entries.AddRange(more);
                }

                await Eventually.TrueAsync(() => engine.Publisher.Current?.Size == size, $"size {size} is public");
            }
        }

        // What an operator decides is in files of its own, and they are never empty.
        for (int i = 0; i < 2; i++)
        {
            ClockPermission permission = ClockPermission.Of(Origin, 1_800_000_000, Encoding.ASCII.GetBytes($"note {i}"));
            SigningClock.Open(log.Data, TimeSpan.FromDays(30), log._time).Accept($"the clock was compared, {i}", i == 0 ? [] : [permission]);
        }

        DistrustedWitnesses.Write(log.Data, [new DistrustedWitness("w1", log._time.GetUtcNow(), "its machine was rolled back"), new DistrustedWitness("w2", log._time.GetUtcNow(), "its operator is gone")]);
        log._decisions = log.ReadDecisions();

        // Once more: what is served after a start is what every later start is compared with.
        await using (Engine engine = await log.StartAsync())
        {
            await Eventually.TrueAsync(() => engine.Publisher.Current?.Size == log.Size, "public");
            log._checkpoint = engine.Publisher.Current!.Checkpoint.ToArray();
            log._tree = engine.Publisher.Current.Tree;
            foreach (TilePath path in Paths(log.Size)) log._tiles.Add(path, (await engine.Tiles.GetAsync(path, log._tree, default))!.Value.ToArray());
            log._proofs = await log.ProveAsync(engine.Tiles, log._tree);
        }

        LogDirectory opened = await LogDirectory.OpenAsync(log.Data, log.Guard, TimeProvider.System);
        await using (opened.ConfigureAwait(false)) log.Head = opened.Register.Current!;
        log.CheckAgainstEntries();
        log.Files = new FlippedDirectory(log._root, log.Table, log.ReportsAsync);
        return log;
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    /// <summary>The engine, from the start as the program makes it to everything that a reader may ask for.</summary>
    public async ValueTask<string?> LookAtEngineAsync()
    {
        Engine engine = await StartAsync();
        await using (engine.ConfigureAwait(false))
        {
            // With a witness that does not answer, what is public is the stored checkpoint, believed or not.
            if (_policy is null) await Eventually.TrueAsync(() => engine.Publisher.Current is not null || engine.State != EngineState.Ready, "a checkpoint is public");
            if (engine.State != EngineState.Ready) return $"the state is {engine.State}";
            if (engine.Publisher.Current is not Published current) return _policy is null ? "no checkpoint" : null;
            if (!current.Checkpoint.Span.SequenceEqual(_checkpoint)) return "another checkpoint";
            return await LookAsync(engine.Tiles, current.Tree, _ => true);
        }
    }

    /// <summary>The head that opening gives, from `commit`, `heads` and the guard; the checkpoint in it is what is published.</summary>
    public ValueTask<string?> LookAtRegister()
    {
        using TreeRegister register = TreeRegister.Open(Data, Guard, Origin, TimeProvider.System);
        return ValueTask.FromResult(Equals(register.Current, Head) ? null : $"size {register.Current?.Size} is signed");
    }

    /// <summary>The last known time, and what operators decided, as a start reads them.</summary>
    public ValueTask<string?> LookAtDecisions()
    {
        string now = ReadDecisions();
        return ValueTask.FromResult(now == _decisions ? null : now);
    }

    /// <summary>The journal, where entries from <paramref name="signed"/> on are known to nobody else.</summary>
    public async ValueTask<string?> LookAtJournalAsync(long signed)
    {
        Journal journal = Journal.Open(Path.Combine(Data, "journal"), TestLog.Journal, signed);
        await using (journal.ConfigureAwait(false))
        {
            // As LogDirectory: what is signed has to be there.
            if (journal.NextIndex < signed) throw new StorageException($"{Data}/journal ends below what is signed");
            if (journal.NextIndex != Size) return $"{journal.NextIndex} entries";
            int index = 0;
            foreach (JournalEntries entries in journal.Read(0))
            {
                if (entries.FirstIndex != index) return $"a frame of entry {entries.FirstIndex}";
                foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(entries.Bundle.Span))
                {
                    if (!entry.SequenceEqual(_entries[index])) return $"another entry {index}";
                    index++;
                }
            }

            return index == Size ? null : $"{index} entries read";
        }
    }

    /// <summary>Tiles, bundles and proofs out of a store that is open.</summary>
    public async ValueTask<string?> LookAtTilesAsync(ITileStore store, Func<TilePath, bool> which) => await LookAsync(new TileReader(store), _tree, which);

    /// <summary>
    /// Flips at these places of a file, judged by <paramref name="look"/>. Each <paramref name="engineEvery"/>th time the whole engine looks as well, and has to
    /// refuse what was refused and to serve what was served.
    /// </summary>
    public async Task FlipAsync(string row, string file, IEnumerable<(long Offset, int Bit)> points, Func<ValueTask<string?>> look, int engineEvery = 0)
    {
        string name = file.StartsWith("data/", StringComparison.Ordinal) ? file[5..] : file;
        string[] places = name is "log" or "key.pem" ? [$"{Data}/"] : [Path.Combine(_root, file), $"{Data}/{name.Split('/')[0]},", $"{name.Split('/')[0]}, "];
        int done = 0;
        foreach ((long offset, int bit) in points)
        {
            FlipVerdict verdict = await Files.FlipAsync(row, file, offset, bit, look, places);
            if (engineEvery == 0 || ++done % engineEvery != 0) continue;
            FlipVerdict whole = await Files.FlipAsync("(sample, whole engine)", file, offset, bit, LookAtEngineAsync, places);
            Assert.True(verdict == whole, $"{file}, offset {offset}, bit {bit}: {verdict} by the part, {whole} by the engine");
        }
    }

    /// <summary>Only the opening of segments and tree.</summary>
    public async ValueTask<string?> LookAtOpeningAsync()
    {
        TileStore store = await TileStore.OpenAsync(Data);
        await using (store.ConfigureAwait(false))
        {
            long segments = Size / EntryBundle.Width;
            if (store.SegmentCount != segments) return $"{store.SegmentCount} segments";
            for (long i = 0; i < segments; i++)
            {
                ReadOnlyMemory<byte>? bundle = await store.GetAsync(new TilePath(TilePath.EntriesLevel, i), default);
                if (bundle is null || !bundle.Value.Span.SequenceEqual(_tiles[new TilePath(TilePath.EntriesLevel, i)])) return $"another bundle {i}";
            }

            return null;
        }
    }

    /// <summary>CRC-32C bit by bit.</summary>
    public static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte value in bytes)
        {
            crc ^= value;
            for (int i = 0; i < 8; i++) crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78);
        }

        return ~crc;
    }

    /// <summary>Where a file of <see cref="Files"/> is.</summary>
    public string PathOf(string file) => Path.Combine(_root, file);

    private Task<Engine> StartAsync() =>
        Engine.StartAsync(Settings, _time, NullLogger.Instance, CancellationToken.None, new EngineSeams(TestLog.Journal));

    private string ReadDecisions() => string.Join('\n', (string[])
    [
        $"{Heartbeat.Read(Data):O}",
        .. ClockAcceptances.Read(Data).Select(one => $"{one} {string.Join(", ", one.Permissions)}"),
        .. DistrustedWitnesses.Read(Data).Select(one => $"{one}"),
    ]);

    private static IEnumerable<TilePath> Paths(long size)
    {
        for (int level = TilePath.EntriesLevel; level < 8; level++)
        {
            for (long index = 0; ; index++)
            {
                int width = TilePath.WidthAt(level, index, size);
                if (width == 0) break;
                yield return new TilePath(level, index, width);
                if (index % 16 == 0 && width > 1) yield return new TilePath(level, index, width / 2);
            }
        }
    }

    private async ValueTask<string?> LookAsync(TileReader reader, TreeSnapshot tree, Func<TilePath, bool> which)
    {
        foreach ((TilePath path, byte[] bytes) in _tiles)
        {
            if (!which(path)) continue;
            ReadOnlyMemory<byte>? found = await reader.GetAsync(path, tree, default);
            if (found is null) return $"no {path}";
            if (!found.Value.Span.SequenceEqual(bytes)) return $"another {path}";
        }

        List<Hash[]> proofs = await ProveAsync(reader, tree);
        for (int i = 0; i < proofs.Count; i++)
        {
            if (!proofs[i].AsSpan().SequenceEqual(_proofs[i])) return $"another proof {i}";
        }

        return null;
    }

    /// <summary>Roots, consistency and inclusion around each boundary that the tree has.</summary>
    private async Task<List<Hash[]>> ProveAsync(TileReader reader, TreeSnapshot tree)
    {
        List<Hash[]> proofs = [];
        foreach (long at in (long[])[1, 255, 256, 257, Size / 2, Size - 1])
        {
            proofs.Add(await reader.BuildAsync(ProofPlan.Consistency(at, Size), tree, default));
            proofs.Add(await reader.BuildAsync(ProofPlan.Inclusion(at, Size), tree, default));
        }

        return proofs;
    }

    /// <summary>What is remembered as served is right by the entries that were given, not by what the server thinks.</summary>
    private void CheckAgainstEntries()
    {
        Hash root = MerkleHash.Root([.. _entries.Select(entry => MerkleHash.Leaf(entry))]);
        Assert.Contains(root.ToBase64(), Encoding.UTF8.GetString(_checkpoint), StringComparison.Ordinal);
        int index = 0;
        foreach ((TilePath path, byte[] bundle) in _tiles.Where(tile => tile.Key.IsEntries && tile.Key.Width == TilePath.WidthAt(-1, tile.Key.Index, Size)).OrderBy(tile => tile.Key.Index))
        {
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle)) Assert.True(entry.SequenceEqual(_entries[index++]), path.ToString());
        }

        Assert.Equal(Size, index);
    }

    private async Task<bool> ReportsAsync()
    {
        try
        {
            return (await DirectoryCheck.RunAsync(Data, Verifiers.TryCreate, new CheckOptions { Journal = TestLog.Journal })).Notes.Count > 0;
        }
        catch (StorageException)
        {
            return true;
        }
    }

    /// <summary>A clock that stands while timers run: each start writes `heartbeat`, and writes the same bytes.</summary>
    private sealed class StillTime : TimeProvider
    {
        private readonly DateTimeOffset _now = System.GetUtcNow();

        public override DateTimeOffset GetUtcNow() => _now;
    }
}
