// A log and its witnesses under steady load for a long time, with everything that happens to them in years: the log and two of three witnesses are
// killed at random, one witness outside the quorum hangs and one lies, the disk fills up and has room again. For the last third of the time
// the log is left alone, so that what grows with time is seen; one witness lives from the beginning to the end.

using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using TransparencyLog.Client;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>How long and how wild.</summary>
internal sealed record SoakPlan
{
    /// <summary>Time under load.</summary>
    public required TimeSpan Load { get; init; }

    /// <summary>Longest time between two kills; the shortest is a quarter of it.</summary>
    public required TimeSpan KillEvery { get; init; }

    /// <summary>Time between two full disks.</summary>
    public required TimeSpan FillEvery { get; init; }

    /// <summary>How long a disk stays full.</summary>
    public required TimeSpan Full { get; init; }

    /// <summary>Time between two lines.</summary>
    public required TimeSpan Line { get; init; }
}

internal sealed class Soak(Network network, SmallDisk? disk, SoakPlan plan, int seed, Action<string> say)
{
    /// <summary>Together some 300 entries a second: half a million in half an hour, which one machine can check in a minute.</summary>
    private const int Producers = 4, BatchEntries = 60;

    private static readonly TimeSpan Single = TimeSpan.FromMilliseconds(20), Batch = TimeSpan.FromMilliseconds(600);

    /// <summary>Below the reserve that a log keeps free, so that it stops taking entries; above what it needs to go on with the rest.</summary>
    private const long AlmostFull = 40L * 1024 * 1024;

    private readonly Random _random = new(seed);
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<long, byte[]> _acknowledged = new();
    private readonly long _start = TimeProvider.System.GetTimestamp();
    private int _logKills, _witnessKills, _refused;

    public IReadOnlyDictionary<long, byte[]> Acknowledged => _acknowledged;

    public CheckpointMonitor Monitor { get; } = new(network.VerifierKey);

    public ProcessWatch Watch { get; } = new();

    public int Kills => _logKills + _witnessKills;

    /// <summary>How long it runs.</summary>
    public TimeSpan Load => plan.Load;

    public int Fills { get; private set; }

    private TimeSpan Elapsed => TimeProvider.System.GetElapsedTime(_start);

    /// <summary>Runs for the time of the plan. Fails with the first thing that went wrong.</summary>
    public async Task RunAsync()
    {
        List<Task> work =
        [
            .. Enumerable.Range(0, Producers).Select(producer => ProduceAsync($"single {producer}", 1, Single)),
            ProduceAsync("batch", BatchEntries, Batch),
            MonitorAsync(),
            SampleAsync(),
        ];
        Task misfortune = MisfortuneAsync();
        await Task.WhenAny([misfortune, .. work.Select(task => task.ContinueWith(ended => ended.IsFaulted ? ended : Task.Delay(Timeout.InfiniteTimeSpan), TaskScheduler.Default).Unwrap())]);
        await _stop.CancelAsync();
        await Task.WhenAll([misfortune, .. work]);
        _stop.Dispose();
    }

    /// <summary>Sends each batch until it is acknowledged: an answer that was lost in a kill is asked for again.</summary>
    private async Task ProduceAsync(string name, int entries, TimeSpan pause)
    {
        using LogClient client = new(network.LogUrl);
        for (int i = 0; !_stop.IsCancellationRequested; i++)
        {
            byte[][] batch = [.. Enumerable.Range(0, entries).Select(entry => Encoding.ASCII.GetBytes($"{name} {i} {entry} ".PadRight(40 + (i % 160), '.')))];
            AddAnswer answer = await SendAsync(client, batch);
            while (!answer.IsAcknowledged && !_stop.IsCancellationRequested)
            {
                if (answer.Status is not (null or HttpStatusCode.ServiceUnavailable)) throw new CheckFailedException($"WRONG answer to an append: {answer}");
                Interlocked.Increment(ref _refused);
                await Task.Delay(Single, CancellationToken.None);
                answer = await SendAsync(client, batch);
            }

            for (int entry = 0; entry < answer.Indexes.Count; entry++)
            {
                Remember(answer.Indexes[entry], batch[entry]);
            }

            await Task.Delay(pause, CancellationToken.None);
        }
    }

    private void Remember(long index, byte[] entry)
    {
        if (!_acknowledged.TryAdd(index, entry)) throw new CheckFailedException($"LOST index {index}: it was given to two entries");
    }

    private static Task<AddAnswer> SendAsync(LogClient client, byte[][] batch) => batch.Length == 1 ? client.AddAsync(batch[0]) : client.AddBatchAsync(batch);

    /// <summary>Takes in whatever log and witnesses show, and joins it.</summary>
    private async Task MonitorAsync()
    {
        using LogClient client = new(network.LogUrl);
        using LogReader reader = new(network.LogUrl.ToString());
        for (int look = 0; !_stop.IsCancellationRequested; look++)
        {
            long before = Monitor.Largest;
            (HttpStatusCode? status, byte[] note) = await client.TryGetAsync("checkpoint");
            if (status == HttpStatusCode.OK && Monitor.Saw(note) is long size && size < before) throw new CheckFailedException($"SHRUNK from size {before} to {size}");
            if (status == HttpStatusCode.OK) await Monitor.JoinAsync(reader, CancellationToken.None);
            await Task.Delay(Single, CancellationToken.None);
        }
    }

    private async Task MisfortuneAsync()
    {
        TimeSpan killed = TimeSpan.Zero, filled = TimeSpan.Zero;
        while (Elapsed < plan.Load && !_stop.IsCancellationRequested)
        {
            TimeSpan pause = plan.KillEvery * (0.25 + (0.75 * _random.NextDouble()));
            bool quiet = Elapsed > plan.Load * 2 / 3;
            if (!quiet && disk is not null && Elapsed - filled > plan.FillEvery)
            {
                await FillAsync(disk);
                filled = Elapsed;
            }
            else if (Elapsed - killed > pause)
            {
                await KillAsync(logToo: !quiet);
                killed = Elapsed;
            }

            await Task.Delay(Single, CancellationToken.None);
        }
    }

    private async Task KillAsync(bool logToo)
    {
        if (logToo && _random.Next(2) == 0)
        {
            await network.KillLogAsync();
            await network.StartLogAsync();
            _logKills++;
            return;
        }

        int victim = _random.Next(network.Witnesses - 1); // the last one lives
        await network.KillWitnessAsync(victim);
        await network.StartWitnessAsync(victim);
        _witnessKills++;
    }

    /// <summary>Full, nothing is taken and everything is read; with room again the log goes on, after a restart if it says that it has failed.</summary>
    private async Task FillAsync(SmallDisk small)
    {
        using LogClient client = new(network.LogUrl);
        await network.ReadyAsync();
        await small.FillAsync(AlmostFull);
        await Task.Delay(plan.Full / 2, CancellationToken.None);
        await small.FillAsync(leave: 0);
        await RequireAsync(async () => (await client.AddAsync(Encoding.ASCII.GetBytes($"no room {Fills}"))).Status == HttpStatusCode.ServiceUnavailable, "appends go on to a full disk");
        await Task.Delay(plan.Full / 2, CancellationToken.None);
        foreach (string path in (string[])["checkpoint", "entry/0", "tile/0/000", "tile/entries/000"]) await client.GetAsync(path);

        small.Empty();
        Fills++;
        bool failed = false;
        byte[] room = Encoding.ASCII.GetBytes($"room again {Fills}");
        await RequireAsync(
            async () =>
            {
                AddAnswer answer = await client.AddAsync(room);
                if (answer.IsAcknowledged)
                {
                    Remember(answer.Indexes[0], room);
                    return true;
                }

                (HttpStatusCode? health, byte[] text) = await client.TryGetAsync("healthz");
                if (health != HttpStatusCode.ServiceUnavailable || failed || !Encoding.UTF8.GetString(text).Contains("failed", StringComparison.Ordinal)) return false;
                failed = true;
                await network.KillLogAsync();
                await network.StartLogAsync();
                return false;
            },
            "nothing is taken although there is room again");
        say(string.Create(CultureInfo.InvariantCulture, $"{Elapsed.TotalMinutes,5:F1} min  the disk was full and is not any more; {(failed ? "a write had failed, and the log was started again" : "the log went on by itself")}"));
    }

    private async Task RequireAsync(Func<Task<bool>> condition, string otherwise)
    {
        if (!await Until.TrueAsync(condition, TimeSpan.FromSeconds(30))) throw new CheckFailedException($"IGNORED: {otherwise}\n{network.Log.Errors}");
    }

    private async Task SampleAsync()
    {
        TimeSpan told = TimeSpan.Zero;
        while (!_stop.IsCancellationRequested)
        {
            List<string> looks = [];
            foreach ((string name, Func<RunningProgram> program) in Programs())
            {
                if (Watch.Look(name, program().ProcessId) is Sample sample) looks.Add(string.Create(CultureInfo.InvariantCulture, $"{name} {sample.Megabytes:F0} MB {sample.Descriptors} fd"));
            }

            if (Elapsed - told >= plan.Line)
            {
                told = Elapsed;
                say(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{Elapsed.TotalMinutes,5:F1} min  {_acknowledged.Count,7} entries  size {Monitor.Largest,7}  {Monitor.Count,6} checkpoints  kills {_logKills} log {_witnessKills} witness  {_refused} retries  {string.Join("  ", looks)}"));
            }

            await Until.TrueAsync(() => Task.FromResult(_stop.IsCancellationRequested), TimeSpan.FromSeconds(1));
        }
    }

    private IEnumerable<(string Name, Func<RunningProgram> Program)> Programs()
    {
        yield return ("log", () => network.Log);
        for (int i = 0; i < network.Witnesses; i++)
        {
            int witness = i;
            yield return (string.Create(CultureInfo.InvariantCulture, $"w{witness}"), () => network.Witness(witness));
        }
    }
}
