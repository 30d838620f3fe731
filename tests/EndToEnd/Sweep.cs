// The sweep (spec/failures, rows D-01 to D-06, D-10, D-16, D-18): a program runs under the fault shim (tests/shim), which counts its
// storage calls; then once for each call and each action, in a fresh copy of its directory, with that call going wrong. After each run the
// real server starts without the shim, and FullCheck rebuilds everything from entry bytes.
//
//   TLOG_SWEEP_ACTIONS=kill,eio      which actions of the shim; these two are the default
//   TLOG_SWEEP_PARALLEL=2            runs at a time; one for each processor is the default

using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What is swept: a directory to begin with, what its log has promised so far, and what clients do then.</summary>
/// <param name="Template">The directory; copied for each run.</param>
/// <param name="Vkey">The log's key.</param>
/// <param name="Promised">What was seen before the runs begin.</param>
/// <param name="Work">The clients of one run: until they have done all, or the server has gone.</param>
internal sealed record Scenario(string Template, string Vkey, Observed Promised, Func<RunningProgram, Observed, ShimLog, Task> Work)
{
    /// <summary>The program that is swept. What starts afterwards, for the check, is always the real one.</summary>
    public string Server { get; init; } = Programs.Server;

    /// <summary>Whether a run that has done its work ends by SIGTERM; otherwise by SIGKILL.</summary>
    public bool EndsInOrder { get; init; } = true;

    /// <summary>TLOG_ variables of the runs.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>Calls whose failure may go on without consequence, with the reason.</summary>
    public IReadOnlyList<(Func<ShimCall, bool> IsIt, string Reason)> Harmless { get; init; } = [];
}

/// <summary>What became of one run. OK, or the first word of a <see cref="CheckFailedException"/>, REFUSED (does not start again), IGNORED (an error without consequence) or HUNG.</summary>
internal sealed record Verdict(string Action, int At, ShimCall? Hit, string Word, string Text)
{
    public override string ToString() => $"{Action} {At} ({Hit?.ToString() ?? "no such call"}): {Text}";
}

internal sealed class Sweep(Scenario scenario, Scratch scratch)
{
    /// <summary>Above the largest number of calls; the shim does nothing then but count.</summary>
    private const int None = 0;

    public static string[] Actions => Environment.GetEnvironmentVariable("TLOG_SWEEP_ACTIONS")?.Split(',') ?? ["kill", "eio"];

    private static int Parallelism =>
        int.TryParse(Environment.GetEnvironmentVariable("TLOG_SWEEP_PARALLEL"), NumberStyles.None, CultureInfo.InvariantCulture, out int runs) ? runs : Environment.ProcessorCount;

    /// <summary>One run in which nothing goes wrong: the calls it makes.</summary>
    public async Task<List<ShimCall>> CountAsync()
    {
        Verdict verdict = await RunAsync("count", None);
        Assert.True(verdict.Word == "OK", verdict.ToString());
        return new ShimLog(scratch["count-0.log"], scratch["count-0"]).Calls();
    }

    /// <summary>
    /// Each of these calls, by its number, with every action. An error at the opening of a directory is left out: the fsync that it is for comes next,
    /// and fails in the same place.
    /// </summary>
    public async Task<Verdict[]> RunAllAsync(IEnumerable<ShimCall> calls, params IEnumerable<string> actions)
    {
        ConcurrentBag<Verdict> verdicts = [];
        await Parallel.ForEachAsync(
            from action in actions
            from call in calls
            where action.StartsWith("kill", StringComparison.Ordinal) || call.Name != "opendir"
            select (action, at: call.Number),
            new ParallelOptions { MaxDegreeOfParallelism = Parallelism },
            async (run, _) => verdicts.Add(await RunAsync(run.action, run.at)));
        return [.. verdicts.OrderBy(verdict => verdict.Action, StringComparer.Ordinal).ThenBy(verdict => verdict.At)];
    }

    /// <summary>How many runs ended how, a line for each action.</summary>
    public static string Table(IEnumerable<Verdict> verdicts)
    {
        StringBuilder table = new();
        foreach (IGrouping<string, Verdict> action in verdicts.GroupBy(verdict => verdict.Action))
        {
            IEnumerable<string> words = action.GroupBy(verdict => verdict.Word).Select(word => $"{word.Key} {word.Count()}");
            table.Append(CultureInfo.InvariantCulture, $"{action.Key}: {action.Count()} runs, {action.Count(verdict => verdict.Hit is not null)} injected; {string.Join(", ", words)}\n");
        }

        return table.ToString();
    }

    private async Task<Verdict> RunAsync(string action, int at)
    {
        string directory = scratch[$"{action}-{at}"];
        Scratch.Copy(scenario.Template, directory);
        ShimLog log = new(directory + ".log", directory);
        Observed observed = new(scenario.Promised);
        string word = "OK", text = "";
        try
        {
            await MisuseAsync(directory, action, at, log, observed);
            await CheckAsync(directory, observed);
        }
        catch (CheckFailedException failure)
        {
            (word, text) = (failure.Message.Split(' ', ':')[0], failure.Message);
        }
        catch (TimeoutException failure)
        {
            (word, text) = ("HUNG", $"HUNG {failure}");
        }

        Verdict verdict = new(action, at, log.Hit(), word, text);
        Directory.Delete(directory, recursive: true);
        return verdict;
    }

    private async Task MisuseAsync(string directory, string action, int at, ShimLog log, Observed observed)
    {
        Dictionary<string, string> environment = new(StringComparer.Ordinal)
        {
            ["LD_PRELOAD"] = Programs.Shim!,
            ["TLOG_FAULT_PREFIX"] = directory,
            ["TLOG_FAULT_AT"] = at.ToString(CultureInfo.InvariantCulture),
            ["TLOG_FAULT_ACTION"] = action,
            ["TLOG_FAULT_LOG"] = log.Path,
        };
        foreach ((string name, string value) in scenario.Settings) environment[name] = value;
        await using RunningProgram server = RunningProgram.Start(scenario.Server, ["serve", "--data", directory, "--listen", "http://127.0.0.1:0"], environment);
        await scenario.Work(server, observed, log);
        if (scenario.EndsInOrder) server.Terminate();
        else server.Kill();
        Ended ended = await server.EndAsync();
        if (log.Hit() is not ShimCall hit || hit.Result is "!kill" or "!killafter" or "!torn" || scenario.Harmless.Any(harmless => harmless.IsIt(hit))) return;

        // Nobody is there any more who could be refused: then at least the operator is told.
        if (!observed.WasRefused && !ended.Errors.Contains("failed", StringComparison.Ordinal)) throw new CheckFailedException($"IGNORED: nothing was refused and nothing said. {ended}");
        if (ended.Errors.Contains("   at ", StringComparison.Ordinal)) throw new CheckFailedException($"TRACE of a stack on standard error: {ended.Errors}");
    }

    private async Task CheckAsync(string directory, Observed observed)
    {
        await using RunningProgram server = Programs.Serve(directory);
        if (await server.ListensAsync() is not Uri url) throw new CheckFailedException($"REFUSED {await server.EndAsync()}");
        using LogClient client = new(url);
        FullCheck check = new(scenario.Vkey);
        foreach (byte[] checkpoint in observed.Checkpoints) check.Saw(checkpoint);
        await check.RunAsync(client, observed.Acknowledged);

        // And it goes on: the next entry gets an index that nobody has.
        byte[] next = Encoding.ASCII.GetBytes("after the restart");
        AddAnswer answer = await client.AddAsync(next);
        if (!answer.IsAcknowledged) throw new CheckFailedException($"REFUSED an entry after the restart: {answer.Status} {answer.Body}");
        if (observed.Acknowledged.ContainsKey(answer.Indexes[0])) throw new CheckFailedException($"LOST index {answer.Indexes[0]}: it was given away twice");
        server.Kill();
    }
}

/// <summary>What clients of a log have seen: it may never be taken back.</summary>
internal sealed class Observed
{
    private readonly ConcurrentDictionary<long, byte[]> _acknowledged = new();
    private readonly ConcurrentQueue<byte[]> _checkpoints = new();
    private volatile bool _refused;

    public Observed()
    {
    }

    /// <summary>The same, for a process that has refused nothing yet.</summary>
    public Observed(Observed before)
    {
        foreach ((long index, byte[] entry) in before._acknowledged) _acknowledged[index] = entry;
        foreach (byte[] checkpoint in before._checkpoints) _checkpoints.Enqueue(checkpoint);
    }

    public IReadOnlyDictionary<long, byte[]> Acknowledged => _acknowledged;

    public IEnumerable<byte[]> Checkpoints => _checkpoints;

    /// <summary>Whether an append was not acknowledged, or no answer came.</summary>
    public bool WasRefused => _refused;

    /// <summary>The log is asked to end: connections close one after the other, and an append on one may be stored after one on another found no answer.</summary>
    public bool EndsInOrder { get; init; }

    /// <summary>Sends entries as one batch, or as a single one, and remembers what was promised. False when it was refused.</summary>
    public async Task<bool> AddAsync(LogClient client, params byte[][] entries)
    {
        bool before = _refused;
        AddAnswer answer = entries.Length == 1 ? await client.AddAsync(entries[0]) : await client.AddBatchAsync(entries);
        if (!answer.IsAcknowledged)
        {
            _refused = true;
            return false;
        }

        for (int i = 0; i < entries.Length; i++)
        {
            if (!_acknowledged.TryAdd(answer.Indexes[i], entries[i])) throw new CheckFailedException($"LOST index {answer.Indexes[i]}: it was given to two entries");
        }

        // A log that has failed stays so until it is started again.
        if (before && !EndsInOrder) throw new CheckFailedException($"IGNORED: index {answer.Indexes[0]} was given after an append had been refused");
        return true;
    }

    /// <summary>Remembers the checkpoint that is public now.</summary>
    public async Task LookAsync(LogClient client)
    {
        if (await client.TryGetAsync("checkpoint") is (System.Net.HttpStatusCode.OK, byte[] checkpoint)) _checkpoints.Enqueue(checkpoint);
    }
}
