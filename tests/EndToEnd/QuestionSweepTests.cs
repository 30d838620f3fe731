using System.Globalization;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// The questions that a start asks of its disk (the stat family, access, listings, opens that only read), each of them failing with EIO, EACCES and ELOOP (N-01): of the
/// data directory with its evidence and its kept lists, the guard's folder, the policy, the list of logs. "Cannot be read" is never "does not exist".
/// </summary>
public sealed class QuestionSweepTests(ITestOutputHelper output)
{
    private const string Questions = "stat,access,list,read";

    private static readonly string[] Errors = ["eio", "eacces", "eloop"];

    /// <summary>Of the runs each third one: with three errors, every question has its turn with one of them.</summary>
    private const int Step = 3;

    private static int Parallelism => Environment.ProcessorCount;

    [Fact]
    public async Task N01_a_halted_log_whose_questions_fail_refuses_to_start_and_never_takes_an_entry()
    {
        using Scratch scratch = NewScratch();
        await HaltedLogAsync(scratch["log"]);
        string[] found = await SweepAsync(scratch, "log", Programs.Server, [], LogArguments, TriesToAppendAsync);
        foreach (string file in (string[])["/data/halted", "/data/log", "/data/evidence", "/guard/", "/policy", "/data/key.pem"])
        {
            Assert.Contains(found, line => line.Contains(file, StringComparison.Ordinal));
        }

        Assert.DoesNotContain(found, line => line.Contains("IGNORED", StringComparison.Ordinal) || line.Contains("UNHALTED", StringComparison.Ordinal));
    }

    [Fact]
    public async Task N01_a_witness_whose_questions_fail_refuses_to_start()
    {
        using Scratch scratch = NewScratch();
        await WitnessAsync(scratch["witness"]);
        string[] found = await SweepAsync(scratch, "witness", Programs.Witness, [], WitnessArguments, _ => Task.FromResult(""));
        foreach (string file in (string[])["/data/witness", "/data/snapshot", "/data/lists", "/data/evidence", "/guard/", "/logs", "/data/key.pem"])
        {
            Assert.Contains(found, line => line.Contains(file, StringComparison.Ordinal));
        }

        Assert.DoesNotContain(found, line => line.Contains("IGNORED", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Control_N01_a_log_that_asks_File_Exists_whether_it_is_halted_is_found()
    {
        using Scratch scratch = NewScratch();
        await HaltedLogAsync(scratch["planted"]);
        string[] found = await SweepAsync(scratch, "planted", Programs.Planted, ["exists"], LogArguments, TriesToAppendAsync, path => path == "/data/halted");
        Assert.Contains(found, line => line.Contains("UNHALTED", StringComparison.Ordinal));
    }

    private static string[] LogArguments(string folder) => ["--guard", Path.Combine(folder, "guard"), "--policy", Path.Combine(folder, "policy")];

    private static string[] WitnessArguments(string folder) => ["--guard", Path.Combine(folder, "guard"), "--logs", Path.Combine(folder, "logs"), "--logs", "http://127.0.0.1:9/list"];

    private static Scratch NewScratch()
    {
        if (Programs.Shim is null) Assert.Skip("bin/fault.so is not there: it needs a C compiler (make deps)");
        return new Scratch();
    }

    /// <summary>A log with an entry, a guard, a policy and a file of evidence, halted.</summary>
    private static async Task HaltedLogAsync(string folder)
    {
        string data = Path.Combine(folder, "data");
        string vkeys = await Programs.CreateLogAsync(data, "--journal-file-bytes", "4194304");
        await File.WriteAllTextAsync(Path.Combine(folder, "policy"), $"log {vkeys.Split('\n')[0]}\nquorum none\n");
        await using (RunningProgram server = Programs.Serve(data, null, LogArguments(folder)))
        {
            using LogClient client = new(await server.ListeningAsync());
            Assert.True((await client.AddAsync("one"u8.ToArray())).IsAcknowledged);
            Assert.True(await client.WaitPublishedAsync(1));
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        await File.WriteAllTextAsync(Path.Combine(data, "halted"), "2026-01-01T00:00:00Z\nevidence against itself\n");
        Directory.CreateDirectory(Path.Combine(data, "evidence"));
        await File.WriteAllTextAsync(Path.Combine(data, "evidence", $"{new string('0', 64)}-fork-{new string('0', 16)}.tlog-evidence"), "");
    }

    /// <summary>A witness with a guard, its list of logs, and what was kept of a list that is fetched.</summary>
    private static async Task WitnessAsync(string folder)
    {
        WitnessScenario fed;
        using (Scratch made = new())
        {
            fed = await WitnessScenarios.CosignAsync(made, "made");
            Scratch.Copy(fed.Template, folder);
        }

        string data = Path.Combine(folder, "data");
        if (File.Exists(Path.Combine(data, "guarded"))) await File.WriteAllTextAsync(Path.Combine(data, "guarded"), Path.Combine(folder, "guard") + "\n");
        Directory.CreateDirectory(Path.Combine(data, "evidence"));
        Directory.CreateDirectory(Path.Combine(data, "lists"));
    }

    /// <summary>Whether a temporary name of the guard was still there once its file had its own name: one that stays is removed at the next start, and says nothing about the guard.</summary>
    private static bool IsTidying(ShimCall call) => call.Name == "statx" && call.Path.StartsWith("./guard/", StringComparison.Ordinal) && call.Path.EndsWith(".new", StringComparison.Ordinal);

    /// <summary>Empty when nothing was taken.</summary>
    private static async Task<string> TriesToAppendAsync(Uri url)
    {
        using LogClient client = new(url);
        return (await client.AddAsync("two"u8.ToArray())).IsAcknowledged ? "UNHALTED" : "";
    }

    /// <summary>Counts the questions of a start, then lets them fail; one line a run.</summary>
    private async Task<string[]> SweepAsync(
        Scratch scratch, string name, string program, string[] before, Func<string, string[]> arguments, Func<Uri, Task<string>> tryAsync, Predicate<string>? only = null)
    {
        // What is asked after the socket is open is none of the start.
        List<ShimCall> calls = [];
        string counted = await RunAsync("count", 0, list => calls = list);
        Assert.StartsWith("STARTED", counted, StringComparison.Ordinal);
        Assert.True(calls.Count > (only is null ? 30 : 1), string.Join('\n', calls));
        (string Error, ShimCall Call)[] runs = [.. from call in calls from error in Errors where error != "eloop" || call.Name is not ("readdir" or "opendir(3)") select (error, call)];
        runs = [.. runs.Where((run, i) => only is null ? i % Step == (i / Step) % Step || run.Call.Path.EndsWith("/halted", StringComparison.Ordinal) : only(run.Call.Path[1..]))];
        string[] lines = new string[runs.Length];
        await Parallel.ForEachAsync(Enumerable.Range(0, runs.Length), new ParallelOptions { MaxDegreeOfParallelism = Parallelism }, async (i, _) =>
            lines[i] = $"{runs[i].Error} {runs[i].Call.Number} {runs[i].Call}: {await RunAsync(runs[i].Error, runs[i].Call.Number, null)}");
        output.WriteLine(string.Join('\n', lines));
        Assert.True(lines.Count(line => line.Contains("injected", StringComparison.Ordinal)) >= lines.Length * 7 / 10, string.Join('\n', lines));
        return lines;

        async Task<string> RunAsync(string action, int at, Action<List<ShimCall>>? seen)
        {
            string folder = scratch[$"{name}-{action}-{at}"], data = Path.Combine(folder, "data"), guarded = Path.Combine(data, "guarded");
            Scratch.Copy(scratch[name], folder);
            if (File.Exists(guarded)) await File.WriteAllTextAsync(guarded, Path.Combine(folder, "guard") + "\n");
            ShimLog log = new(folder + ".log", folder);
            Dictionary<string, string> environment = new(StringComparer.Ordinal)
            {
                ["LD_PRELOAD"] = Programs.Shim!,
                ["DEVTLOG_FAULT_PREFIX"] = folder,
                ["DEVTLOG_FAULT_ONLY"] = Questions,
                ["DEVTLOG_FAULT_ACTION"] = action,
                ["DEVTLOG_FAULT_AT"] = at.ToString(CultureInfo.InvariantCulture),
                ["DEVTLOG_FAULT_LOG"] = log.Path,
                ["TLOG_SCRUB_MB_S"] = "0",
            };
            string verdict = "", injected = "";
            await using (RunningProgram running = RunningProgram.Start(program, [.. before, "serve", "--data", data, "--listen", "http://127.0.0.1:0", .. arguments(folder)], environment))
            {
                Uri? url = await running.ListensAsync();
                seen?.Invoke(log.Calls());
                injected = log.Hit() is null ? "" : " injected";
                if (url is not null) verdict = await tryAsync(url);
                if (url is not null) running.Terminate();
                Ended ended = await running.EndAsync();
                bool said = ended.Errors.Contains("failed", StringComparison.Ordinal) || ended.Errors.Contains("cannot be", StringComparison.Ordinal);
                if (verdict.Length == 0)
                {
                    verdict = url is null
                        ? (ended.ExitCode is 2 or 3 or 4 && ended.Errors.Contains(folder, StringComparison.Ordinal) && !ended.Errors.Contains(" create ", StringComparison.Ordinal) ? "REFUSED" : $"IGNORED its name: {ended}")
                        : injected.Length == 0 || said || IsTidying(log.Hit()!) ? "STARTED" : $"IGNORED: {ended}";
                }
            }

            Directory.Delete(folder, recursive: true);
            return verdict + injected;
        }
    }
}
