using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using TransparencyLog.Hosting;
using TransparencyLog.Signing;
using TransparencyLog.Storage;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>What came back.</summary>
internal sealed record Answer(int Status, string? ContentType, string Text, System.Net.Http.Headers.HttpResponseHeaders Headers, IEnumerable<string> Allow);

/// <summary>A witness in a directory of its own, with the real web server on a free port. May be stopped, started again, and copied.</summary>
internal sealed class TestWitness : IAsyncDisposable
{
    public const string Name = "witness.example/w1";

    private static readonly string Scratch = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();

    private readonly string _root;
    private readonly HttpClient _client;
    private WitnessHost? _host;

    private TestWitness(string root, IReadOnlyList<VerifierKey> vkeys)
    {
        _root = root;
        Vkeys = vkeys;
        _client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false });
    }

    /// <summary>Its keys, Ed25519 first.</summary>
    public IReadOnlyList<VerifierKey> Vkeys { get; }

    public VerifierKey Vkey => Vkeys[0];

    public string Data => Path.Combine(_root, "data");

    public string LogsFile => Path.Combine(_root, "logs");

    public string Guard => _sharedGuard ?? Path.Combine(_root, "guard");

    private string? _sharedGuard;

    public Uri Url => new(_host!.Url);

    public HeldJournal Journal { get; private set; } = null!; // set by starting

    public bool UsesGuard { get; set; }

    public TimeProvider Time { get; set; } = TimeProvider.System;

    public Func<Settings, Settings> Configure { get; set; } = settings => settings;

    /// <summary>Puts something in the place of a cosigner.</summary>
    public Func<ICosigner, ICosigner> Cosigning { get; set; } = cosigner => cosigner;

    /// <summary>A new witness of these logs with both keys, not started.</summary>
    public static TestWitness Create(params TestLog[] logs) => Create(mlDsa44: true, logs);

    /// <summary>The same with both keys, or with Ed25519 alone.</summary>
    public static TestWitness Create(bool mlDsa44, params TestLog[] logs)
    {
        string root = Directory.CreateDirectory(Path.Combine(Scratch, $"tlog-witness-{Guid.NewGuid():N}")).FullName;
        TestWitness witness = new(root, WitnessDirectory.Create(Path.Combine(root, "data"), Name, mlDsa44, JournalFileBytes));
        witness.SetLogs(logs);
        return witness;
    }

    public static async Task<TestWitness> StartAsync(params TestLog[] logs)
    {
        TestWitness witness = Create(logs);
        await witness.StartAsync();
        return witness;
    }

    /// <summary>The least the journal allows: tests make many.</summary>
    public const int JournalFileBytes = 4 * 1024 * 1024;

    public void SetLogs(params TestLog[] logs) => File.WriteAllText(LogsFile, string.Concat(logs.Select(log => log.PolicyLine)));

    public async Task StartAsync()
    {
        Settings settings = Configure(new Settings
        {
            Data = Data,
            Logs = [LogsFile],
            Listen = ListenAddress.Parse("http://127.0.0.1:0"),
            Guard = UsesGuard ? Guard : null,
            LogLevel = LogLevel.None,
            JournalFileBytes = JournalFileBytes,
            // Tests ask more often than any log may.
            RatePerDay = int.MaxValue,
            RateBurst = 1_000_000,
        });
        _host = await WitnessHost.StartAsync(settings, Time, inner => Journal = new HeldJournal(inner), Cosigning);
    }

    public async Task StopAsync()
    {
        // A test that failed in the middle has left a store that waits.
        Journal?.ReleaseAll();
        if (_host is not null) await _host.DisposeAsync();
        _host = null;
    }

    public async Task RestartAsync()
    {
        await StopAsync();
        await StartAsync();
    }

    /// <summary>A copy of the data directory alone, with this guard.</summary>
    public TestWitness CopyData()
    {
        TestWitness copy = new(Directory.CreateDirectory(Path.Combine(Scratch, $"tlog-witness-{Guid.NewGuid():N}")).FullName, Vkeys) { UsesGuard = true, _sharedGuard = Guard };
        CopyDirectory(Data, copy.Data);
        File.Copy(LogsFile, copy.LogsFile);
        return copy;
    }

    /// <summary>A second witness from the bytes on disk as they are now, as a crash or a backup would leave them.</summary>
    public TestWitness Copy()
    {
        string root = Directory.CreateDirectory(Path.Combine(Scratch, $"tlog-witness-{Guid.NewGuid():N}")).FullName;
        CopyDirectory(_root, root);
        return new TestWitness(root, Vkeys);
    }

    public static void CopyDirectory(string from, string to)
    {
        foreach (string file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            // The lock is the process's, not the state's.
            if (Path.GetFileName(file) == "lock" || file.EndsWith(".lock", StringComparison.Ordinal)) continue;
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    public Task<Answer> PostAsync(string body, CancellationToken stop = default) => SendAsync(HttpMethod.Post, "/add-checkpoint", body, stop);

    public Task<Answer> GetAsync(string path) => SendAsync(HttpMethod.Get, path, null);

    public async Task<Answer> SendAsync(HttpMethod method, string path, string? body, CancellationToken stop = default)
    {
        using HttpRequestMessage request = new(method, new Uri(Url, path));
        if (body is not null) request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
        using HttpResponseMessage response = await _client.SendAsync(request, stop);
        string text = Encoding.UTF8.GetString(await response.Content.ReadAsByteArrayAsync(stop));
        return new Answer((int)response.StatusCode, response.Content.Headers.ContentType?.ToString(), text, response.Headers, response.Content.Headers.Allow);
    }

    /// <summary>Posts, asserts 200, and checks the answer as strictly as a log would. Returns the time of the cosignature.</summary>
    public async Task<ulong> CosignAsync(TestLog log, long old, long size) => CheckCosigned(await PostAsync(log.Request(old, size)), log.Text(size));

    /// <summary>SPEC TW-34: signature lines and nothing else, one by each of our keys, on this checkpoint, at one time.</summary>
    public ulong CheckCosigned(Answer answer, string text)
    {
        Assert.True(answer.Status == 200, $"{answer.Status}: {answer.Text}");
        Assert.Equal("text/plain; charset=utf-8", answer.ContentType);
        Assert.True(AddCheckpointResponse.TryParse(Encoding.UTF8.GetBytes(answer.Text), out IReadOnlyList<NoteSignature> lines));
        NoteVerification verification = new Note(Encoding.UTF8.GetBytes(text), lines).Verify([.. Vkeys.Select(key => Verifiers.TryCreate(key)!)]);
        Assert.Equal(NoteStatus.Verified, verification.Status);
        Assert.Equal(Vkeys, verification.Verified.Select(one => one.Verifier.Key));
        Assert.Equal(Vkeys.Count, lines.Count);
        Assert.NotEqual(0ul, verification.Verified[0].Timestamp);
        return Assert.Single(verification.Verified.Select(one => one.Timestamp).Distinct());
    }

    public static void CheckRefusal(Answer answer, int status, string word)
    {
        Assert.True(answer.Status == status, $"{answer.Status} instead of {status}: {answer.Text}");
        Assert.Equal("text/plain; charset=utf-8", answer.ContentType);
        Assert.Contains(word, answer.Text, StringComparison.Ordinal);
        Assert.EndsWith("\n", answer.Text, StringComparison.Ordinal);
        // W-16: nothing that could be taken for a signature line.
        Assert.DoesNotContain("—", answer.Text, StringComparison.Ordinal);
    }

    public static void CheckConflict(Answer answer, long size)
    {
        Assert.Equal(409, answer.Status);
        Assert.Equal(string.Create(CultureInfo.InvariantCulture, $"{size}\n"), answer.Text);
        Assert.Equal("text/x.tlog.size", answer.ContentType);
    }

    public static void CheckProblem(Answer answer, int status, string type)
    {
        Assert.True(answer.Status == status, $"{answer.Status} instead of {status}: {answer.Text}");
        Assert.Equal("application/problem+json", answer.ContentType);
        using System.Text.Json.JsonDocument problem = System.Text.Json.JsonDocument.Parse(answer.Text);
        Assert.Equal($"urn:transparency-log:problem:{type}", problem.RootElement.GetProperty("type").GetString());
        Assert.Equal(status, problem.RootElement.GetProperty("status").GetInt32());
        Assert.DoesNotContain("—", answer.Text, StringComparison.Ordinal);
    }

    /// <summary>The strong check after an act: monitors see exactly this size of this tree, signed by the log and by us; -1: never cosigned.</summary>
    public async Task<Note?> CheckStateAsync(TestLog log, long size)
    {
        Answer answer = await GetAsync(log.MonitorPath);
        if (size < 0)
        {
            Assert.Equal(404, answer.Status);
            return null;
        }

        Assert.True(answer.Status == 200, $"{answer.Status}: {answer.Text}");
        Assert.Equal("text/plain; charset=utf-8", answer.ContentType);
        Assert.True(Note.TryParse(Encoding.UTF8.GetBytes(answer.Text), out Note? note));
        Assert.Equal(log.Text(size), Encoding.UTF8.GetString(note!.Text.Span));
        NoteVerification verification = note.Verify([Verifiers.TryCreate(log.NoteSigner.Key)!, .. Vkeys.Select(key => Verifiers.TryCreate(key)!)]);
        Assert.Equal(NoteStatus.Verified, verification.Status);
        Assert.Empty(Vkeys.Except(verification.Verified.Select(one => one.Verifier.Key)));
        return note;
    }

    /// <summary>A connection of one's own, for what HttpClient would not send.</summary>
    public Socket Connect()
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 20_000, SendTimeout = 20_000 };
        socket.Connect(IPAddress.Loopback, Url.Port);
        return socket;
    }

    /// <summary>Sends bytes as they are and reads until the server closes.</summary>
    public string Raw(string request)
    {
        using Socket socket = Connect();
        socket.Send(Encoding.UTF8.GetBytes(request));
        return ReadAll(socket);
    }

    public static string ReadAll(Socket socket)
    {
        MemoryStream all = new();
        byte[] buffer = new byte[8192];
        try
        {
            while (socket.Receive(buffer) is > 0 and int read) all.Write(buffer, 0, read);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // The server closed with our bytes unread.
        }

        return Encoding.UTF8.GetString(all.ToArray());
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _client.Dispose();
        Directory.Delete(_root, recursive: true);
    }
}
