using System.Diagnostics;

namespace TransparencyLog.Bench;

/// <summary>A directory for data, and the servers that run on it; they end with it.</summary>
/// <param name="work">The directory.</param>
/// <param name="programs">Where the programs are.</param>
internal sealed class Bed(string work, string programs = "bin") : IDisposable
{
    /// <summary>The setting that turns the answering of duplicates with their first index off.</summary>
    public static readonly IReadOnlyDictionary<string, string> DuplicatesOff = new Dictionary<string, string>(StringComparer.Ordinal) { ["TLOG_DUPLICATE_TABLE_BYTES"] = "0" };

    /// <summary>The settings of a witness that takes all that a log can ask.</summary>
    public static readonly IReadOnlyDictionary<string, string> WitnessUnlimited =
        new Dictionary<string, string>(StringComparer.Ordinal) { ["TLOG_WITNESS_RATE_PER_DAY"] = "2147483647", ["TLOG_WITNESS_RATE_BURST"] = "1000000" };

    private readonly List<Served> _servers = [];

    /// <summary>The programs of the witness and of the log.</summary>
    public string Witness => Path.Combine(programs, "tlog-witness");

    private string Log => Path.Combine(programs, "tlog-server");

    public string PathOf(string name) => Path.Combine(work, name);

    /// <summary>Serves the log of this name, which is made first when there is none.</summary>
    public async Task<Served> LogAsync(string name, IReadOnlyDictionary<string, string>? environment, params string[] arguments)
    {
        if (!TransparencyLog.Storage.Paths.DirectoryExists(PathOf(name))) await Tool.CreateLogAsync(PathOf(name), $"bench.example/{name}", Log);
        return await ServeAsync(name, environment, Log, ["serve", "--data", PathOf(name), "--listen", "http://127.0.0.1:0", .. arguments]);
    }

    /// <summary>A log with a guard beside it: on the same disk, which syncs as slowly for both.</summary>
    public Task<Served> GuardedLogAsync(string name)
    {
        string guard = PathOf(name + ".guard");
        Directory.CreateDirectory(guard);
        return LogAsync(name, null, "--guard", guard);
    }

    /// <summary>Serves the witness of this name, which was made before.</summary>
    public Task<Served> WitnessAsync(string name, IReadOnlyDictionary<string, string>? environment, string logs) =>
        ServeAsync(name, environment, Witness, "serve", "--data", PathOf(name), "--listen", "http://127.0.0.1:0", "--logs", logs);

    public async Task<Served> ServeAsync(string name, IReadOnlyDictionary<string, string>? environment, string program, params string[] arguments)
    {
        Served server = await Served.StartAsync(PathOf(name + ".err"), environment, program, arguments);
        _servers.Add(server);
        return server;
    }

    /// <summary>
    /// Kills the server of a log without warning and serves it again, some times. Medians: seconds from the start of the process until a checkpoint of the size is public, and its memory then.
    /// </summary>
    public async Task<(Served Server, double Seconds, double Bytes)> ReopenAsync(Served server, string name, long size, int times)
    {
        List<double> seconds = [], bytes = [];
        for (int i = 0; i < times; i++)
        {
            await server.EndAsync(kill: true);
            long start = Stopwatch.GetTimestamp();
            server = await LogAsync(name, DuplicatesOff);
            await server.PublishedAsync(size);
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            bytes.Add(await server.ResidentBytesAsync());
        }

        return (server, Percentile.Median(seconds), Percentile.Median(bytes));
    }

    public void Dispose()
    {
        foreach (Served server in _servers) server.Dispose();
    }
}
