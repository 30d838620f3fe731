using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Bench;

/// <summary>
/// What bad witnesses cost appends: logs side by side, one without witnesses, one whose witnesses are all good, one with a hanging one in its quorum group and a
/// byzantine, a limiting and a dead one beside it; the last two with our limit of requests as it is by default, and without. Measured in turn, over and over in the same run.
/// </summary>
internal sealed class Feeds(string work, int rounds, double seconds) : IDisposable
{
    private const double DurableRate = 200, WitnessedRate = 10;

    /// <summary>Each head of a busy log goes to every witness that answers.</summary>
    private static readonly IReadOnlyDictionary<string, string> LimitOff = new Dictionary<string, string>(StringComparer.Ordinal) { ["TLOG_WITNESS_REQUESTS_PER_DAY"] = "86400000" };

    private readonly Bed _bed = new(work);
    private readonly Figures _figures = new();

    public void Dispose() => _bed.Dispose();

    public async Task RunAsync()
    {
        using BadWitness hanging = new("hanging", (_, stop) => Task.Delay(Timeout.InfiniteTimeSpan, stop));
        using BadWitness byzantine = new("byzantine", (context, _) => AnswerAsync(context, 200, "\u2014 witness.example/byzantine AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"));
        using BadWitness limiting = new("limiting", (context, _) =>
        {
            context.Response.Headers["Retry-After"] = "1";
            return AnswerAsync(context, 429, "");
        });
        BadWitness dead = new("dead", (_, _) => Task.CompletedTask);
        dead.Dispose();

        string list = _bed.PathOf("logs");
        StringBuilder known = new();
        foreach (string name in (string[])["good", "bad", "good-fast", "bad-fast"]) known.Append($"log {await Tool.CreateLogAsync(_bed.PathOf(name), $"bench.example/{name}")}\n");
        await File.WriteAllTextAsync(list, known.ToString());
        List<string> lines = [];
        for (int i = 1; i <= 4; i++)
        {
            string name = Report.Text($"w{i}"), directory = _bed.PathOf(name);
            string keys = await Tool.RunAsync(_bed.Witness, "create", "--data", directory, "--name", $"witness.example/{name}");
            Served witness = await _bed.WitnessAsync(name, null, list);
            lines.Add($"witness {name} {keys.Split('\n')[0]} {witness.Url}\n");
        }

        string good = string.Concat(lines) + "group g 2 w1 w2 w3\nquorum g\n";
        string bad = $"{lines[0]}{lines[1]}{lines[3]}{hanging.PolicyLine}{byzantine.PolicyLine}{limiting.PolicyLine}{dead.PolicyLine}group g 2 w1 w2 hanging\nquorum g\n";
        (string Name, Served Log)[] logs =
        [
            ("none", await _bed.LogAsync("alone", null)),
            ("good", await ServeAsync("good", good, null)),
            ("bad", await ServeAsync("bad", bad, null)),
            ("good-fast", await ServeAsync("good-fast", good, LimitOff)),
            ("bad-fast", await ServeAsync("bad-fast", bad, LimitOff)),
        ];
        foreach ((_, Served log) in logs) await MeasureAsync(log, DurableRate, "");
        for (int round = 0; round < rounds; round++)
        {
            Progress.Say($"round {round + 1} of {rounds}");
            for (int i = 0; i < logs.Length; i++)
            {
                (string name, Served log) = logs[(i + round) % logs.Length];
                Add($"{name} durable", await MeasureAsync(log, DurableRate, ""));
                if (name.EndsWith("-fast", StringComparison.Ordinal)) Add($"{name} witnessed", await MeasureAsync(log, WitnessedRate, "?wait=witnessed"));
            }
        }

        Console.WriteLine("| witnesses | limit of requests | durable p50, p99 ms | to the same with good ones | witnessed p50, p99 ms | to the same with good ones |\n|---|---|---|---|---|---|");
        Row("none", "none", "", "none");
        Row("2 of 3, and an optional one, all good", "1 a second", "", "good");
        Row("2 of 3, of which one hangs; optional: one good, one byzantine, one that answers 429, one dead", "1 a second", "good", "bad");
        Row("all good", "none", "", "good-fast");
        Row("the bad ones", "none", "good-fast", "bad-fast");
        Console.WriteLine(Report.Text($"\nrequests to the bad ones: hanging {hanging.Requests}, byzantine {byzantine.Requests}, limiting {limiting.Requests}"));
    }

    private void Row(string what, string limit, string compared, string name)
    {
        string Both(string kind) => Report.Text($"{_figures.Median($"{name} {kind} 50"):F2}, {_figures.Median($"{name} {kind} 99"):F2}");
        string Ratio(string kind) => compared.Length == 0 ? "" : Report.Text($"{_figures.Ratio($"{name} {kind} 50", $"{compared} {kind} 50"):F2}, {_figures.Ratio($"{name} {kind} 99", $"{compared} {kind} 99"):F2}");
        bool isFast = name.EndsWith("-fast", StringComparison.Ordinal);
        Console.WriteLine($"| {what} | {limit} | {Both("durable")} | {Ratio("durable")} | {(isFast ? Both("witnessed") : "")} | {(isFast ? Ratio("witnessed") : "")} |");
    }

    private void Add(string name, OpenFigures open)
    {
        _figures.Add($"{name} 50", open.At(50));
        _figures.Add($"{name} 99", open.At(99));
    }

    private Task<OpenFigures> MeasureAsync(Served log, double rate, string query) =>
        Task.Factory.StartNew(() => OpenLoop.Measure(log.Url, rate, TimeSpan.FromSeconds(seconds), query), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private async Task<Served> ServeAsync(string name, string policy, IReadOnlyDictionary<string, string>? environment)
    {
        string path = _bed.PathOf(name + ".policy");
        await File.WriteAllTextAsync(path, policy);
        Served log = await _bed.LogAsync(name, environment, "--policy", path);
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            using HttpResponseMessage ready = await log.PostAsync("add?wait=witnessed", [1]);
            if (ready.IsSuccessStatusCode) return log;
            if (Stopwatch.GetElapsedTime(start) > TimeSpan.FromSeconds(30)) throw new TimeoutException($"the log {name} does not start: {await ready.Content.ReadAsStringAsync()}");
            await Task.Delay(100);
        }
    }

    private static async Task AnswerAsync(HttpListenerContext context, int status, string answer)
    {
        context.Response.StatusCode = status;
        await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(answer));
    }

    /// <summary>A server that answers every request in one wrong way; refuses connections once it is disposed.</summary>
    private sealed class BadWitness : IDisposable
    {
        private readonly HttpListener _listener = new();
        private readonly CancellationTokenSource _stop = new();
        private readonly Func<HttpListenerContext, CancellationToken, Task> _answer;
        private int _requests;

        public BadWitness(string name, Func<HttpListenerContext, CancellationToken, Task> answer)
        {
            _answer = answer;
            using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
            using TcpListener free = new(IPAddress.Loopback, 0);
            free.Start();
            string url = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{((IPEndPoint)free.LocalEndpoint).Port}");
            free.Stop();
            PolicyLine = $"witness {name} {new Cosigner($"witness.example/{name}", key).Key} {url}\n";
            _listener.Prefixes.Add(url + "/");
            _listener.Start();
            _ = ServeAsync();
        }

        public string PolicyLine { get; }

        public int Requests => Volatile.Read(ref _requests);

        public void Dispose()
        {
            _stop.Cancel();
            _listener.Close();
        }

        private async Task ServeAsync()
        {
            while (true)
            {
                try
                {
                    HttpListenerContext context = await _listener.GetContextAsync();
                    Interlocked.Increment(ref _requests);
                    _ = RespondAsync(context);
                }
                catch (Exception closed) when (closed is HttpListenerException or ObjectDisposedException)
                {
                    return;
                }
            }
        }

        private async Task RespondAsync(HttpListenerContext context)
        {
            try
            {
                await _answer(context, _stop.Token);
                context.Response.Close();
            }
            catch (Exception gone) when (gone is OperationCanceledException or HttpListenerException or IOException or ObjectDisposedException or InvalidOperationException)
            {
                // The log has hung up, or the run is over.
            }
        }
    }
}
