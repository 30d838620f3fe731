// A log and its witness as busy as their clients can make them, while readers that take a byte a second hold every large answer of both.

using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using TransparencyLog.Client;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>How long and how many.</summary>
internal sealed record LoadPlan
{
    /// <summary>Time under load.</summary>
    public required TimeSpan Time { get; init; }

    /// <summary>Slow readers of one answer of the log, and as many of one of the witness at the same time.</summary>
    public required int Readers { get; init; }

    /// <summary>How long they hold an answer before they go to the next.</summary>
    public required TimeSpan Hold { get; init; }

    /// <summary>Time between two lines.</summary>
    public required TimeSpan Line { get; init; }

    /// <summary>Chooses the order of the answers.</summary>
    public required int Seed { get; init; }
}

/// <summary>Memory of a process under load, in megabytes.</summary>
internal sealed record LoadMemory(double Before, double Peak, double After)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Before:F0} MB before, {Peak:F0} at most, {After:F0} after");
}

internal sealed class Load(Network network, LoadPlan plan, Action<string> say)
{
    private const string Slow = "127.0.0.2", OpenBundle = "the open bundle";

    /// <summary>Writers that send one request after the other, as fast as they are answered.</summary>
    private const int BatchWriters = 3, SingleWriters = 8, BatchEntries = 200, HeavyEntries = 24;

    private static readonly TimeSpan Backoff = TimeSpan.FromMilliseconds(20), Look = TimeSpan.FromMilliseconds(100);

    /// <summary>The writer of the largest entries pauses: without a bound it would fill the disk.</summary>
    private static readonly TimeSpan HeavyPause = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<string, int> _readers = new();
    private readonly ProcessWatch _watch = new();
    private readonly long _start = TimeProvider.System.GetTimestamp();
    private long _refused, _unanswered;

    public LoadEntries Acknowledged { get; } = new();

    public CheckpointMonitor Monitor { get; } = new(network.VerifierKey);

    /// <summary>Longest time for which the public checkpoint did not grow.</summary>
    public TimeSpan LargestGap { get; private set; }

    public LoadMemory OfLog { get; private set; } = new(0, 0, 0);

    public LoadMemory OfWitness { get; private set; } = new(0, 0, 0);

    /// <summary>Times that an append was answered with 503, and sent again.</summary>
    public long Refused => Volatile.Read(ref _refused);

    /// <summary>Times that the connection of an append ended without an answer, and the same was sent again.</summary>
    public long Unanswered => Volatile.Read(ref _unanswered);

    /// <summary>What became of the slow readers: the server and the path, the outcome, how many.</summary>
    public IReadOnlyDictionary<string, int> Readers => _readers;

    /// <summary>The answers that slow readers hold.</summary>
    public static IReadOnlyList<(string Server, string Path)> Answers { get; } =
    [
        ("log", "/tile/entries/000"), ("log", "/tile/entries/000.p/255"), ("log", "/tile/entries/000.p/20"), ("log", OpenBundle), ("log", "/openapi/v1.json"), ("log", "/status"), ("log", "/metrics"),
        ("witness", "/status?limit=4096"), ("witness", "/?limit=4096"), ("witness", "/status"), ("witness", "/metrics"),
    ];

    private TimeSpan Elapsed => TimeProvider.System.GetElapsedTime(_start);

    /// <summary>The first bundle is one of the largest entries: 16 MiB.</summary>
    public async Task FillAsync()
    {
        using LogClient client = new(network.LogUrl);
        for (int turn = 0; turn < 256; turn += 32)
        {
            await AppendAsync(client, LoadEntries.Heavy, turn, 16);
            await AppendAsync(client, LoadEntries.Heavy, turn + 16, 16);
        }

        Assert.True(await client.WaitPublishedAsync(256), "the first entries are not published");
    }

    /// <summary>Runs for the time of the plan. Fails with the first thing that went wrong.</summary>
    public async Task RunAsync()
    {
        List<Task> work =
        [
            HeavyAsync(),
            .. Enumerable.Range(1, BatchWriters).Select(writer => WriteAsync(writer, BatchEntries)),
            .. Enumerable.Range(1 + BatchWriters, SingleWriters).Select(writer => WriteAsync(writer, 1)),
            MonitorAsync(),
            ReadAsync("log", network.LogUrl, network.Log),
            ReadAsync("witness", network.WitnessUrl(0), network.Witness(0)),
        ];
        Task sampling = SampleAsync(), time = Task.Delay(plan.Time);
        await Task.WhenAny([time, .. work]); // none of the work ends but with a failure
        await _stop.CancelAsync();
        await Task.WhenAll(work);
        await sampling;
    }

    private async Task HeavyAsync()
    {
        using LogClient client = new(network.LogUrl);
        for (long turn = 256; !_stop.IsCancellationRequested; turn += HeavyEntries)
        {
            await AppendAsync(client, LoadEntries.Heavy, turn, HeavyEntries);
            await Task.WhenAny(Task.Delay(HeavyPause, _stop.Token));
        }
    }

    private async Task WriteAsync(int writer, int entries)
    {
        using LogClient client = new(network.LogUrl);
        for (long turn = 0; !_stop.IsCancellationRequested; turn += entries) await AppendAsync(client, writer, turn, entries);
    }

    /// <summary>Until it is acknowledged.</summary>
    private async Task AppendAsync(LogClient client, int writer, long turn, int count)
    {
        byte[][] entries = [.. Enumerable.Range(0, count).Select(i => LoadEntries.Make(writer, turn + i))];
        while (true)
        {
            AddAnswer answer = await (count == 1 ? client.AddAsync(entries[0]) : client.AddBatchAsync(entries));
            if (answer.IsAcknowledged)
            {
                if (answer.Indexes.Count != count) throw new CheckFailedException($"WRONG answer to an append of {count} entries: {answer}");
                for (int i = 0; i < count; i++) Acknowledged.Add(answer.Indexes[i], writer, turn + i);
                return;
            }

            // A connection may end on a machine that is busy for a minute; to send the entries again is safe then.
            if (answer.Status is null) Interlocked.Increment(ref _unanswered);
            else if (answer.Status != HttpStatusCode.ServiceUnavailable) throw new CheckFailedException($"WRONG answer to an append: {answer}");
            else Interlocked.Increment(ref _refused);
            await Task.Delay(Backoff);
        }
    }

    /// <summary>Takes in what the log shows, and joins it by proofs.</summary>
    private async Task MonitorAsync()
    {
        using LogClient client = new(network.LogUrl);
        using LogReader reader = new(network.LogUrl.ToString());
        long grew = TimeProvider.System.GetTimestamp();
        while (!_stop.IsCancellationRequested)
        {
            long before = Monitor.Largest, size = Monitor.Saw(await client.GetAsync("checkpoint"));
            if (size < before) throw new CheckFailedException($"SHRUNK from size {before} to {size}");
            TimeSpan gap = TimeProvider.System.GetElapsedTime(grew);
            if (gap > LargestGap) LargestGap = gap;
            if (size > before) grew = TimeProvider.System.GetTimestamp();
            await Monitor.JoinAsync(reader, CancellationToken.None);
            await Task.WhenAny(Task.Delay(Look, _stop.Token));
        }
    }

    /// <summary>All large answers of a server, one after the other, in another order each time, each of them once at least.</summary>
    private async Task ReadAsync(string server, Uri url, RunningProgram program)
    {
        Random random = new(plan.Seed);
        Flood flood = new(new HostileTarget(server, url, program, new RequestWords("/checkpoint", "/add", "", [])), Slow);
        string[] paths = [.. Answers.Where(answer => answer.Server == server).Select(answer => answer.Path)];
        for (int round = 0; !_stop.IsCancellationRequested; round++)
        {
            random.Shuffle(paths);
            foreach (string path in paths)
            {
                if (_stop.IsCancellationRequested && round > 0) return;
                FloodOutcome outcome = await flood.SlowReadersAsync(plan.Readers, path == OpenBundle ? PathOfOpenBundle() : path, TimeSpan.FromMinutes(2), Task.Delay(plan.Hold));
                foreach ((string end, int count) in outcome.Ends) _readers.AddOrUpdate($"{server} {path}: {end}", count, (_, sum) => sum + count);
            }
        }
    }

    private string PathOfOpenBundle()
    {
        long size = Monitor.Largest;
        return $"/tile/entries/{(size % 256 == 0 ? FullCheck.PathOf((size / 256) - 1, 256) : FullCheck.PathOf(size / 256, (int)(size % 256)))}";
    }

    private async Task SampleAsync()
    {
        (Sample log, Sample witness) = (LookAt("log", network.Log), LookAt("witness", network.Witness(0)));
        (OfLog, OfWitness) = (new LoadMemory(log.Megabytes, log.Megabytes, 0), new LoadMemory(witness.Megabytes, witness.Megabytes, 0));
        TimeSpan told = TimeSpan.Zero;
        while (!_stop.IsCancellationRequested)
        {
            (log, witness) = (LookAt("log", network.Log), LookAt("witness", network.Witness(0)));
            OfLog = OfLog with { Peak = Math.Max(OfLog.Peak, log.Megabytes), After = log.Megabytes };
            OfWitness = OfWitness with { Peak = Math.Max(OfWitness.Peak, witness.Megabytes), After = witness.Megabytes };
            if (Elapsed - told >= plan.Line)
            {
                told = Elapsed;
                say(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{Elapsed.TotalMinutes,5:F1} min  {Acknowledged.Count,8} entries  size {Monitor.Largest,8}  {Monitor.Count,5} checkpoints  {Refused} retries  log {log.Megabytes:F0} MB {log.Descriptors} fd  witness {witness.Megabytes:F0} MB {witness.Descriptors} fd"));
            }

            await Task.WhenAny(Task.Delay(Look, _stop.Token));
        }
    }

    /// <summary>The memory of both now that the load is over.</summary>
    public void Settle()
    {
        OfLog = OfLog with { After = LookAt("log", network.Log).Megabytes };
        OfWitness = OfWitness with { After = LookAt("witness", network.Witness(0)).Megabytes };
    }

    private Sample LookAt(string name, RunningProgram program) => _watch.Look(name, program.ProcessId) ?? throw new CheckFailedException($"the {name} has ended: {program.Output}");
}
