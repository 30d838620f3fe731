using System.Globalization;
using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>
/// All seams together, against a model of a few lists: a random sequence of calls, closes and kills. Every answer has to be the model's. The
/// tree of the tiles is that of a sample log and not of the journal's entries: a store does not compare the two.
/// </summary>
public abstract class ModelContract<T> : ContractTests<T> where T : StoreUnderTest, new()
{
    private static readonly SampleLog Log = SampleLog.Tiny;

    private readonly List<byte[]> _entries = [];
    private readonly List<(JournalBatch Batch, long First, DateTimeOffset Time)> _ids = [];
    private readonly Dictionary<string, StreamHead> _heads = [];
    private readonly Dictionary<string, (KeyedAnswer Answer, DateTimeOffset Time)> _keys = [];
    private readonly List<(string Reason, SignedHead? Head)> _history = [("created", null)];
    private Random _random = new(0);
    private long _trimmed;
    private SignedHead? _signed;
    private string? _halted;
    private int _segments;
    private long? _published;

    [Fact]
    public async Task Every_answer_is_that_of_the_model_over_random_calls_closes_and_kills()
    {
        int seed = Random.Shared.Next();
        if (int.TryParse(Environment.GetEnvironmentVariable("DEVTLOG_SEED"), NumberStyles.None, CultureInfo.InvariantCulture, out int asked)) seed = asked;
        _random = new Random(seed);
        (int Weight, string Name, Func<Task> Act)[] acts =
        [
            (30, "append", AppendAsync), (4, "append again", AppendAgainAsync), (6, "find", FindAsync), (4, "read", ReadAsync), (3, "trim", TrimAsync),
            (8, "swap", SwapAsync), (1, "halt or resume", HaltOrResumeAsync), (1, "record", RecordAsync), (2, "history", HistoryAsync),
            (10, "put", PutAsync), (1, "flush", async () => await Tiles.FlushAsync(CancellationToken.None)), (8, "publish", PublishAsync), (8, "get", GetAsync),
            (2, "time", () => Task.Run(() => Under.Clock.Advance(TimeSpan.FromMinutes(_random.NextDouble() * 90)))), (2, "close", () => RestartAsync(ReopenAsync, kill: false)),
            (2, "kill", () => RestartAsync(KillAndReopenAsync, kill: true)),
        ];
        string[] names = [.. acts.SelectMany(act => Enumerable.Repeat(act.Name, act.Weight))];
        Dictionary<string, Func<Task>> byName = acts.ToDictionary(act => act.Name, act => act.Act);
        Queue<string> last = new();
        for (int step = 0; step < Under.StepsOfModel; step++)
        {
            string name = names[_random.Next(names.Length)];
            last.Enqueue(name);
            if (last.Count > 12) last.Dequeue();
            try
            {
                await byName[name]();
                Assert.Equal((_entries.Count, _segments), (Journal.NextIndex, (int)Tiles.SegmentCount));
            }
            catch (Exception failure)
            {
                Assert.Fail($"DEVTLOG_SEED={seed}, step {step}, after {string.Join(", ", last)}:\n{failure}");
            }
        }

        await FindAsync();
        await HistoryAsync();
        await Log.HoldsAsync(Tiles, _segments);
    }

    private async Task AppendAsync()
    {
        JournalBatch batch = Acts.Batch([.. Enumerable.Range(0, _random.Next(1, _random.Next(8) == 0 ? 300 : 6)).Select(_ => SampleLog.Entry(_random.Next(10_000)))]);
        Dictionary<string, StreamHead> heads = new(_heads);
        Dictionary<string, (KeyedAnswer Answer, DateTimeOffset Time)> keys = new(_keys);
        DateTimeOffset now = Under.Clock.GetUtcNow();
        List<int> failed = [];
        int conditions = _random.Next(2) == 0 ? 0 : _random.Next(1, 6);
        for (int i = 0; i < conditions; i++)
        {
            if (!(_random.Next(2) == 0 ? RequireHead(batch, heads) : RequireKey(batch, keys, now))) failed.Add(i);
        }

        if (_halted is not null)
        {
            await Assert.ThrowsAsync<StoreHaltedException>(async () => await Journal.AppendAsync(batch, CancellationToken.None));
            return;
        }

        AppendAnswer answer = await Journal.AppendAsync(batch, CancellationToken.None);
        Assert.Equal(failed, answer.Failed);
        if (failed.Count > 0)
        {
            Assert.Equal(-1, answer.FirstIndex);
            return;
        }

        Assert.Equal(_entries.Count, answer.FirstIndex);
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(batch.Entries.Span)) _entries.Add(entry.ToArray());
        foreach ((string stream, StreamHead head) in heads) _heads[stream] = head;
        foreach ((string key, (KeyedAnswer Answer, DateTimeOffset Time) used) in keys) _keys[key] = used;
        _ids.Add((batch, answer.FirstIndex, now));
    }

    private bool RequireHead(JournalBatch batch, Dictionary<string, StreamHead> heads)
    {
        string stream = $"stream {_random.Next(5)}";
        int entry = _random.Next(batch.Count);
        bool exists = heads.TryGetValue(stream, out StreamHead head);
        long sequence = exists ? head.Sequence : 0;
        Hash expected = exists ? head.Hash : default;
        DateTimeOffset time = (exists ? head.Time : DateTimeOffset.UnixEpoch).AddMilliseconds(_random.Next(3));
        bool holds = true;
        if (_random.Next(5) == 0)
        {
            holds = false;
            int wrong = _random.Next(3);
            if (wrong == 0) (sequence, expected) = (sequence + 1, exists ? expected : Acts.HashOf("none"));
            else if (wrong == 1) (sequence, expected) = (Math.Max(sequence, 1), Acts.HashOf("wrong"));
            else if (exists && head.Time > DateTimeOffset.UnixEpoch) time = head.Time.AddMilliseconds(-1);
            else holds = true;
        }

        Hash next = Acts.HashOf($"event {_random.Next()}");
        batch.Require(new JournalCondition.Head(stream, sequence, expected, next, time, entry));
        if (holds) heads[stream] = new StreamHead(sequence + 1, next, time, _entries.Count + entry);
        return holds;
    }

    private bool RequireKey(JournalBatch batch, Dictionary<string, (KeyedAnswer Answer, DateTimeOffset Time)> keys, DateTimeOffset now)
    {
        // One that may be forgotten or not is of no use here.
        string key = $"key {now.Day} {_random.Next(40)}";
        int entry = _random.Next(batch.Count), count = _random.Next(1, batch.Count - entry + 1);
        if (keys.TryGetValue(key, out (KeyedAnswer Answer, DateTimeOffset Time) used) && now - used.Time >= IJournal.KeyLifetime) key = $"key {_random.Next()}";
        Hash request = Acts.HashOf($"request {_random.Next(3)}");
        batch.Require(new JournalCondition.Once(key, request, entry, count));
        if (keys.ContainsKey(key)) return false;
        keys[key] = (new KeyedAnswer(request, _entries.Count + entry, count), now);
        return true;
    }

    private async Task AppendAgainAsync()
    {
        if (_ids.Count == 0) return;
        (JournalBatch batch, long first, DateTimeOffset time) = Under.KnowsIdsOfEarlierOpenings && _random.Next(2) == 0 ? _ids[_random.Next(_ids.Count)] : _ids[^1];
        bool isNewest = batch == _ids[^1].Batch;
        if (!isNewest && Under.Clock.GetUtcNow() - time >= IJournal.IdLifetime) return;
        Assert.Equal(first, (await Journal.AppendAsync(batch, CancellationToken.None)).FirstIndex);
    }

    private async Task FindAsync()
    {
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(_heads.TryGetValue($"stream {i}", out StreamHead head) ? head : default(StreamHead?), await Journal.FindHeadAsync($"stream {i}", CancellationToken.None));
        }

        foreach ((string key, (KeyedAnswer answer, DateTimeOffset time)) in _keys.Where(_ => _random.Next(_keys.Count) < 5))
        {
            KeyedAnswer? found = await Journal.FindKeyAsync(key, CancellationToken.None);
            if (found is null && Under.Clock.GetUtcNow() - time >= IJournal.KeyLifetime) continue;
            Assert.Equal(answer, found);
        }

        Assert.Null(await Journal.FindKeyAsync($"unknown {_random.Next()}", CancellationToken.None));
    }

    private Task ReadAsync() => Journal.HoldsAsync(_entries, _random.NextInt64(_trimmed, _entries.Count + 1));

    private async Task TrimAsync()
    {
        _trimmed = _random.NextInt64(_trimmed, _entries.Count + 1);
        await Journal.TrimAsync(_trimmed, CancellationToken.None);
        Assert.InRange(Journal.FirstIndex, 0, _trimmed);
    }

    private async Task SwapAsync()
    {
        IHeadLease lease = (await Register.AcquireAsync(CancellationToken.None))!;
        SignedHead next = Acts.Head((_signed?.Size ?? 0) + _random.Next(3), variant: (byte)_random.Next(2));
        switch (_random.Next(4))
        {
            case 0 when _signed is not null && _halted is null:
                await Assert.ThrowsAsync<StoreConflictException>(async () =>
                    await Register.SwapAsync(lease, _signed, Acts.Head(_signed.Size, "other"), "signed", CancellationToken.None));
                return;
            case 1:
                SignedHead wrong = Acts.Head(77, "wrong");
                Assert.False(await Register.SwapAsync(lease, wrong, Acts.Head((_signed?.Size ?? 0) + 1, variant: 9), "signed", CancellationToken.None));
                return;
        }

        bool swapped = await Register.SwapAsync(lease, _signed, next, "signed", CancellationToken.None);
        Assert.Equal(_halted is null, swapped);
        if (swapped && !next.Equals(_signed)) _history.Add(("signed", _signed = next));
        Assert.Equal(new RegisterValue(_signed, _halted), await Register.ReadAsync(CancellationToken.None));
    }

    private async Task HaltOrResumeAsync()
    {
        if (_halted is null)
        {
            _halted = $"evidence {_random.Next()}";
            await Register.HaltAsync(_halted, CancellationToken.None);
            _history.Add(($"halted: {_halted}", _signed));
        }
        else
        {
            await Register.ResumeAsync("model", CancellationToken.None);
            _halted = null;
            _history.Add(("resumed: model", _signed));
        }
    }

    private async Task RecordAsync()
    {
        string decision = $"decision {_random.Next()}";
        await Register.RecordAsync(decision, CancellationToken.None);
        _history.Add((decision, _signed));
    }

    private async Task HistoryAsync()
    {
        (string, SignedHead?)[] found = [.. (await Register.ReadHistoryAsync()).Select(line => (line.Reason, line.Head))];
        Assert.InRange(found.Length, Math.Min(_history.Count, IHeadRegister.MinHistory), _history.Count);
        Assert.Equal(_history.TakeLast(found.Length), found);
    }

    private async Task PutAsync()
    {
        int number = _random.Next(4) == 0 ? _random.Next(_segments + 1) : _segments;
        if (number >= Log.Segments.Count) return;
        if (_random.Next(10) == 0)
        {
            SealedSegment other = Log.Segments[number] with { Root = Acts.HashOf("other") };
            if (number < _segments) await Assert.ThrowsAsync<StoreConflictException>(async () => await Tiles.PutSegmentAsync(other, CancellationToken.None));
            return;
        }

        await Log.PutAsync(Tiles, number, number + 1);
        _segments = Math.Max(_segments, number + 1);
    }

    private async Task PublishAsync()
    {
        long most = Math.Min(66_047, (_segments * 256) + 255), edge = _random.NextInt64(most + 1);
        long size = _random.Next(3) == 0 ? _random.NextInt64(edge + 1) : edge;
        await Tiles.PublishAsync(new PublishedHead(size, BitConverter.GetBytes(size)), Log.EdgeAt(edge), CancellationToken.None);
        _published = Math.Max(size, _published ?? 0);
    }

    private async Task GetAsync()
    {
        PublishedHead? head = await Tiles.ReadPublishedAsync(CancellationToken.None);
        Assert.Equal(_published, head?.Size);
        if (_published is not long published) return;
        Assert.True(BitConverter.GetBytes(published).AsSpan().SequenceEqual(head!.Checkpoint.Span));
        long size = _random.Next(2) == 0 ? published : _random.NextInt64(published + 1);
        for (int i = 0; i < 8; i++)
        {
            int level = _random.Next(-1, 3);
            long index = _random.NextInt64((size >> (8 * (Math.Max(level, 0) + 1))) + 2);
            TilePath path = new(level, index, _random.Next(3) == 0 ? 256 : _random.Next(1, 256));
            ReadOnlyMemory<byte>? found = await Tiles.GetAsync(path, size, CancellationToken.None);
            Assert.Equal(path.IsCoveredBy(size) ? Convert.ToHexString(Log.At(path).Span) : null, found is null ? null : Convert.ToHexString(found.Value.Span));
        }
    }

    private async Task RestartAsync(Func<Task> restart, bool kill)
    {
        long durable = Tiles.DurableSegmentCount;
        await restart();
        if (kill)
        {
            Assert.InRange(Tiles.SegmentCount, durable, _segments);
            _segments = (int)Tiles.SegmentCount;
        }

        if (!Under.KeepsWhatWasPublished && await Tiles.ReadPublishedAsync(CancellationToken.None) is null) _published = null;
        if (!Under.KnowsIdsOfEarlierOpenings) _ids.Clear();
        Assert.Equal(new RegisterValue(_signed, _halted), await Register.ReadAsync(CancellationToken.None));
    }
}
