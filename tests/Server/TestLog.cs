using System.Globalization;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>How a test wants its log.</summary>
internal sealed record LogSetup
{
    public Func<Settings, Settings> Settings { get; init; } = settings => settings;

    /// <summary>The lines of a policy file; null for none.</summary>
    public string? Policy { get; init; }

    public bool Guard { get; init; }

    /// <summary>Whether the log has an ML-DSA-44 key too.</summary>
    public bool MlDsa { get; init; }

    /// <summary>Whether the journal is laid out as the directory says, and not as this test's small one.</summary>
    public bool UsualJournal { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Puts something else in the place of a part of the engine.</summary>
    public Func<EngineParts, EngineParts>? Replace { get; init; }
}

/// <summary>A log of the real engine and host, in this process, on a directory of its own that goes with it. It remembers every answer it gave.</summary>
internal sealed class TestLog : IAsyncDisposable
{
    public const string Origin = "example.com/testlog";
    private readonly Dictionary<long, byte[]> _answered = []; // index -> entry; guarded by itself
    private readonly Ed25519PrivateKey _privateKey;
    private WebApplication? _app;
    private LogCheck? _check;

    private TestLog(string root, Ed25519PrivateKey key, string origin = Origin)
    {
        Root = root;
        _privateKey = key;
        Key = new NoteSigner(origin, key).Key;
    }

    public string Root { get; }

    public string Data => Path.Combine(Root, "data");

    public string GuardDirectory => Path.Combine(Root, "guard");

    /// <summary>The newest file of the guard.</summary>
    public string NewestGuard => Directory.GetFiles(GuardDirectory, "*.????????????????????.head").Max(StringComparer.Ordinal)!;

    public VerifierKey Key { get; }

    /// <summary>The second key of a log that has one.</summary>
    public VerifierKey? MlDsaKey { get; private init; }

    public INoteSigner Signer => new NoteSigner(Origin, _privateKey);

    public Engine Engine { get; private set; } = null!;

    public WebApplication App => _app!;

    public Uri Url { get; private set; } = null!;

    public HttpClient Http { get; private set; } = null!;

    public LogCheck Check => _check!;

    public RecordedLog Logged { get; } = new();

    /// <summary>A small journal: filling 64 MiB with zeros for each test would be most of its time.</summary>
    public static JournalOptions Journal => LogDirectory.OptionsFor(Origin) with { FileBytes = 4 * 1024 * 1024 };

    /// <summary>A new directory with a new log in it, not served yet.</summary>
    public static TestLog Create(bool mlDsa = false)
    {
        string root = Directory.CreateTempSubdirectory("tlog-server-").FullName;
        using MlDsa44PrivateKey? second = mlDsa ? MlDsa44PrivateKey.Generate() : null;
        TestLog log = new(root, Ed25519PrivateKey.Generate()) { MlDsaKey = second is null ? null : new MlDsa44Cosigner(Origin, second).Key };
        Directory.CreateDirectory(log.Data);
        KeyFile.Create(Path.Combine(log.Data, "key.pem"), Origin, VerifierKey.Ed25519, log._privateKey);
        if (second is not null) KeyFile.Create(Path.Combine(log.Data, "key-ml-dsa.pem"), Origin, second);
        LogIdentity identity = new(Origin, log.Key.ToString(), "key.pem", MlDsa44: second is null ? null : new LogKey(log.MlDsaKey!.ToString(), "key-ml-dsa.pem"));
        LogDirectory.Create(log.Data, identity, TimeProvider.System, Journal, "key.pem", "key-ml-dsa.pem");
        return log;
    }

    /// <summary>A copy of a log that something else has made, not served yet.</summary>
    public static TestLog Adopt(string from, string origin, ReadOnlySpan<byte> seed)
    {
        TestLog log = new(Directory.CreateTempSubdirectory("tlog-server-").FullName, Ed25519PrivateKey.FromSeed(seed), origin);
        Tests.Cli.WholeDirectory.Copy(from, log.Data);
        return log;
    }

    public static async Task<TestLog> StartAsync(LogSetup? setup = null)
    {
        TestLog log = Create(setup is { MlDsa: true });
        await log.ServeAsync(setup ?? new LogSetup());
        return log;
    }

    public async Task ServeAsync(LogSetup setup)
    {
        string? policy = null;
        if (setup.Policy is not null) await File.WriteAllTextAsync(policy = Path.Combine(Root, "policy"), setup.Policy);
        Settings settings = setup.Settings(new Settings
        {
            Data = Data,
            Listen = ListenAddress.Parse("http://127.0.0.1:0"),
            Policy = policy,
            Guard = setup.Guard ? GuardDirectory : null,
            PublishGap = TimeSpan.Zero,
            ScrubMegabytes = 0,
            WitnessRequestsPerDay = 86_400_000, // a stub grants more than a public witness
        });
        Engine = await Engine.StartAsync(settings, setup.Time, Logged, CancellationToken.None, new EngineSeams(setup.UsualJournal ? null : Journal, setup.Replace));
        _app = TransparencyLog.Server.Host.Build(settings, Engine);
        await _app.StartAsync();
        Url = new Uri(_app.Urls.Single());
        Http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = Url };
        _check = new LogCheck(Http, Key);
    }

    public async Task StopAsync()
    {
        if (_app is null) return;
        Http.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
        await Engine.DisposeAsync();
        _app = null;
    }

    public async Task RestartAsync(LogSetup? setup = null)
    {
        await StopAsync();
        await ServeAsync(setup ?? new LogSetup());
    }

    /// <summary>POST /add; the index, remembered.</summary>
    public async Task<long> AddAsync(byte[] entry, string wait = "durable")
    {
        using HttpResponseMessage answer = await Http.PostAsync($"/add?wait={wait}", new ByteArrayContent(entry));
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{answer.StatusCode}: {text}");
        long index = wait == "durable" ? long.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture) : ParseProof(text).Index;
        Remember(index, entry);
        return index;
    }

    public Task<long> AddAsync(string entry, string wait = "durable") => AddAsync(Encoding.UTF8.GetBytes(entry), wait);

    /// <summary>The same, asked again while the wait was too short: for a log that seeks duplicates and whose limit is short on purpose, on a machine that may be busy.</summary>
    public async Task<long> AddUntilAsync(string entry, string wait)
    {
        await Eventually.TrueAsync(async () => (await PostAsync($"/add?wait={wait}", Encoding.UTF8.GetBytes(entry))).Status != HttpStatusCode.Accepted, $"{entry} is {wait}");
        return await AddAsync(entry, wait);
    }

    /// <summary>POST /add-batch; the indexes, remembered.</summary>
    public async Task<long[]> AddBatchAsync(IReadOnlyList<byte[]> entries)
    {
        using HttpResponseMessage answer = await Http.PostAsync("/add-batch", new ByteArrayContent(Bundle(entries)));
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{answer.StatusCode}: {text}");
        Assert.EndsWith("\n", text);
        long[] indexes = [.. LogCheck.Lines(text).Select(line => long.Parse(line, NumberStyles.None, CultureInfo.InvariantCulture))];
        Assert.Equal(entries.Count, indexes.Length);
        for (int i = 0; i < indexes.Length; i++) Remember(indexes[i], entries[i]);
        return indexes;
    }

    /// <summary>Waits until the halt is recorded; gives the record. The log is halted in memory first, and its loops end in between.</summary>
    public async Task<string> HaltedAsync()
    {
        string path = Path.Combine(Data, "halted");
        await Eventually.TrueAsync(() => File.Exists(path), "the halt is recorded");
        Assert.Equal(EngineState.Halted, Engine.State);
        return await File.ReadAllTextAsync(path);
    }

    /// <summary>Waits until this size is public, then checks everything under it, and that every answered entry is at its index.</summary>
    public async Task<byte[]> CheckLog(long size)
    {
        await Eventually.TrueAsync(() => Engine.Publisher.Current?.Size >= size, $"size {size} is published");
        byte[] checkpoint = await Check.RunAsync(size);
        lock (_answered)
        {
            foreach ((long index, byte[] entry) in _answered)
            {
                if (index < size) Assert.Equal(entry, Check.Entries[(int)index]);
            }
        }

        return checkpoint;
    }

    public static byte[] Bundle(IEnumerable<byte[]> entries) => [.. entries.SelectMany(entry => (byte[])[(byte)(entry.Length >> 8), (byte)entry.Length, .. entry])];

    public static TlogProof ParseProof(string text)
    {
        Assert.True(TlogProof.TryParse(Encoding.UTF8.GetBytes(text), out TlogProof? proof), text);
        return proof;
    }

    public async Task<(HttpStatusCode Status, string Text)> GetAsync(string path)
    {
        using HttpResponseMessage answer = await Http.GetAsync(path);
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    public async Task<(HttpStatusCode Status, string Text)> PostAsync(string path, byte[] body)
    {
        using HttpResponseMessage answer = await Http.PostAsync(path, new ByteArrayContent(body));
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _privateKey.Dispose();
        Directory.Delete(Root, recursive: true);
    }

    private void Remember(long index, byte[] entry)
    {
        lock (_answered)
        {
            if (_answered.TryGetValue(index, out byte[]? before)) Assert.Equal(before, entry);
            else _answered.Add(index, entry);
        }
    }
}

/// <summary>What the engine logged.</summary>
internal sealed class RecordedLog : ILogger
{
    private readonly List<(int Id, string Text)> _lines = []; // guarded by itself

    public bool Has(int id, string text = "")
    {
        lock (_lines) return _lines.Exists(line => line.Id == id && line.Text.Contains(text, StringComparison.Ordinal));
    }

    /// <summary>A line is written behind what it tells of.</summary>
    public Task WaitAsync(int id, string text = "") => Eventually.TrueAsync(() => Has(id, text), $"event {id.ToString(System.Globalization.CultureInfo.InvariantCulture)}: {text}");

    public override string ToString()
    {
        lock (_lines) return string.Join('\n', _lines.Select(line => $"{line.Id} {line.Text}"));
    }

    public int Count(int id)
    {
        lock (_lines) return _lines.Count(line => line.Id == id);
    }

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_lines) _lines.Add((eventId.Id, formatter(state, exception)));
    }
}
