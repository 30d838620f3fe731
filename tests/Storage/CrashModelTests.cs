using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>
/// A log's directory under random acts against a plain list: append, seal, flush, sign, trim, and stop without a flush. After every act
/// everything is checked. What a stop may lose is what was never called durable; what the journal has, the list has.
/// </summary>
public sealed class CrashModelTests : IDisposable
{
    private static readonly LogIdentity Identity = new("example.com/model", "vkey", "key.pem");

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(60, 300)]
    [InlineData(61, 300)]
    [InlineData(62, 300)]
    public async Task D01_random_acts_and_stops_lose_nothing_that_was_answered(int seed, int steps)
    {
        Random random = new(seed);
        JournalOptions options = LogDirectory.OptionsFor(Identity.Origin) with { FileBytes = 4 * 1024 * 1024 };
        LogDirectory.Create(_scratch["data"], Identity, TimeProvider.System, options);
        Model model = new();
        LogDirectory log = await OpenAsync();
        try
        {
            for (int step = 0; step < steps; step++)
            {
                string because = $"seed {seed}, step {step}";
                switch (random.Next(20))
                {
                    case < 9:
                        await model.AppendAsync(log, random);
                        break;
                    case < 13:
                        await model.SealAsync(log, random.Next(1, 8));
                        break;
                    case < 15:
                        await log.Tiles.FlushAsync(CancellationToken.None);
                        model.Durable = (int)log.Tiles.SegmentCount;
                        break;
                    case < 17:
                        await model.SignAsync(log);
                        break;
                    case < 18:
                        await log.Journal.TrimAsync(Math.Min(log.Journal.NextIndex, log.Tiles.DurableSegmentCount * 256), CancellationToken.None);
                        break;
                    default:
                        await log.DisposeAsync();
                        bool torn = random.Next(3) == 0 && Tear(random);
                        log = await OpenAsync();
                        Assert.Equal(torn, log.Journal.Cut is not null);
                        await model.RecoverAsync(log, because);
                        break;
                }

                await model.CheckAsync(log, because, everything: step % 25 == 0);
            }
        }
        finally
        {
            await log.DisposeAsync();
        }

        Task<LogDirectory> OpenAsync() => LogDirectory.OpenAsync(_scratch["data"], _scratch["guard"], TimeProvider.System, options);
    }

    /// <summary>The beginning of a frame behind the last one, as an append leaves it that was cut off.</summary>
    private bool Tear(Random random)
    {
        string? file = Directory.GetFiles(_scratch["data/journal"]).Order().LastOrDefault(path => File.ReadAllBytes(path).AsSpan().IndexOfAnyExcept((byte)0) >= 0);
        if (file is null) return false;
        byte[] bytes = File.ReadAllBytes(file);
        int end = (bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 512) / 512 * 512;
        if (end + 4096 > bytes.Length) return false;
        Scratch.Overwrite(file, end, bytes.AsSpan(0, random.Next(1, 63)));
        return true;
    }

    /// <summary>What the directory must hold, in memory.</summary>
    private sealed class Model
    {
        private readonly List<byte[]> _entries = [];
        private readonly SampleTree _tree = new();
        private int _sealed;
        private TreeHead? _signed;

        public int Durable { get; set; }

        public async Task AppendAsync(LogDirectory log, Random random)
        {
            byte[][] entries = [.. Enumerable.Range(0, random.Next(1, 400)).Select(_ => Entry(random, random.Next(random.Next(2, 900))))];
            Assert.Equal(_entries.Count, await JournalAssert.AppendAsync(log.Journal, entries));
            _entries.AddRange(entries);
            while (_tree.Segments.Count < _entries.Count / 256) _tree.AddSegment(_entries.Skip(_tree.Segments.Count * 256).Take(256));
        }

        public async Task SealAsync(LogDirectory log, int count)
        {
            int to = Math.Min(_sealed + count, _tree.Segments.Count);
            await _tree.PutAsync(log.Tiles, _sealed, to);
            _sealed = to;
        }

        public async Task SignAsync(LogDirectory log)
        {
            TreeHead next = new(_entries.Count, MerkleHash.Leaf(BitConverter.GetBytes(_entries.Count)), new byte[] { 1 });
            Assert.True(await log.Register.SwapAsync(_signed, next, "test", CancellationToken.None));
            _signed = next;
        }

        /// <summary>After a stop: at least what was durable, no more than was put; the rest is sealed again from the journal.</summary>
        public async Task RecoverAsync(LogDirectory log, string because)
        {
            Assert.InRange(log.Tiles.SegmentCount, Durable, _sealed);
            Assert.Equal(log.Tiles.SegmentCount, log.Tiles.DurableSegmentCount);
            Assert.True(log.Journal.FirstIndex <= log.Tiles.SegmentCount * 256, because);
            Holds(log.Journal, _entries, log.Tiles.SegmentCount * 256, because);
            _sealed = Durable = (int)log.Tiles.SegmentCount;
        }

        public async Task CheckAsync(LogDirectory log, string because, bool everything)
        {
            Assert.Equal(_signed, log.Register.Current);
            Assert.Equal(_entries.Count, log.Journal.NextIndex);
            Assert.Equal(_sealed, log.Tiles.SegmentCount);
            Assert.InRange(log.Tiles.DurableSegmentCount, Durable, _sealed);
            Assert.True(log.Journal.FirstIndex <= log.Tiles.DurableSegmentCount * 256, because);
            Durable = (int)log.Tiles.DurableSegmentCount;
            if (everything)
            {
                Holds(log.Journal, _entries, log.Journal.FirstIndex, because);
                await _tree.HoldsAsync(log.Tiles, _sealed);
            }
            else if (_sealed > 0)
            {
                SealedSegment last = _tree.Segments[_sealed - 1];
                ReadOnlyMemory<byte>? bundle = await log.Tiles.GetAsync(new TilePath(TilePath.EntriesLevel, last.Number), CancellationToken.None);
                Assert.True(bundle!.Value.Span.SequenceEqual(last.Bundle.Span), because);
            }
        }
    }
}
