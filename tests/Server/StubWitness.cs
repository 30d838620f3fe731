using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

/// <summary>A correct, minimal witness of one log (c2sp.org/tlog-witness): what it cosigned last, in memory. It checks its caller's manners.</summary>
internal sealed class HonestWitness(VerifierKey log, params ICosigner[] cosigners)
{
    private readonly INoteVerifier _log = Verifiers.TryCreate(log)!;
    private ulong _now = (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>How many signature lines the log has of its own; it sends no others.</summary>
    public int LogLines { get; init; } = 1;

    public long Size { get; set; }

    public Hash Root { get; set; } = MerkleHash.Empty;

    /// <summary>The next cosignature has a later time than any before.</summary>
    public IEnumerable<NoteSignature> Cosign(ReadOnlySpan<byte> text)
    {
        _now++;
        List<NoteSignature> lines = [];
        foreach (ICosigner cosigner in cosigners) lines.Add(cosigner.Cosign(text, _now));
        return lines;
    }

    /// <summary>One request at a time; its status and body.</summary>
    public (int Status, byte[] Body) AddCheckpoint(byte[] body)
    {
        Assert.True(body.Length <= 16 * 1024, "a request of a log fits into 16 KiB");
        Assert.True(AddCheckpointRequest.TryParse(body, out AddCheckpointRequest? request, out string error), error);
        Assert.True(Note.TryParse(request.Checkpoint.Span, out Note? note));
        Assert.Equal(NoteStatus.Verified, note.Verify([_log]).Status);
        Assert.Equal(LogLines, note.Signatures.Count);
        Assert.True(Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint));
        lock (this)
        {
            Assert.True(request.OldSize <= checkpoint.Size, "400: the old size is above the checkpoint's");
            if (request.OldSize != Size) return (409, Encoding.ASCII.GetBytes($"{Size}\n"));
            bool consistent = Size == 0 ? request.Proof.Count == 0 : MerkleProof.VerifyConsistency(Size, checkpoint.Size, Root, checkpoint.Root, [.. request.Proof]);
            if (!consistent) return (422, []);
            (Size, Root) = (checkpoint.Size, checkpoint.Root);
            return (200, AddCheckpointResponse.ToBytes(Cosign(note.Text.Span)));
        }
    }
}

/// <summary>An HTTP server on loopback whose answers the test chooses; at first those of an honest witness.</summary>
internal sealed class StubWitness : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly List<byte[]> _requests = []; // guarded by itself
    private readonly List<Exception> _complaints = []; // guarded by itself
    private readonly List<IDisposable> _keys = [];

    private StubWitness(string name, int keys, bool postQuantum)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.Zero);
        _app = builder.Build();
        _app.Run(AnswerAsync);
        Name = name;
        List<ICosigner> cosigners = [];
        for (int i = 0; i < keys; i++)
        {
            Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
            _keys.Add(key);
            cosigners.Add(new Cosigner(i == 0 ? name : $"{name}/{i}", key));
        }

        if (postQuantum)
        {
            MlDsa44PrivateKey key = MlDsa44PrivateKey.Generate();
            _keys.Add(key);
            cosigners.Add(new MlDsa44Cosigner(name, key));
        }

        Cosigners = cosigners;
        Behave = HonestlyAsync;
    }

    public string Name { get; }

    public IReadOnlyList<ICosigner> Cosigners { get; }

    public Uri Url { get; private set; } = null!;

    /// <summary>What it knows when it answers honestly; set when it first sees the log's key.</summary>
    public HonestWitness Honest { get; private set; } = null!;

    public Func<HttpContext, byte[], Task> Behave { get; set; }

    /// <summary>The checkpoint it shows to monitors; empty for none.</summary>
    public ReadOnlyMemory<byte> Shows { get; set; }

    public int RequestCount
    {
        get
        {
            lock (_requests) return _requests.Count;
        }
    }

    public IReadOnlyList<AddCheckpointRequest> Requests
    {
        get
        {
            lock (_requests) return [.. _requests.Select(body => AddCheckpointRequest.TryParse(body, out AddCheckpointRequest? request, out _) ? request! : throw new FormatException("not a request"))];
        }
    }

    /// <summary>The witness lines of a policy: w (and w-1, ... for further keys, the one of ML-DSA-44 last), all at this submission prefix.</summary>
    public string PolicyLines(string name) => string.Concat(Cosigners.Select((cosigner, i) => $"witness {(i == 0 ? name : $"{name}-{i}")} {cosigner.Key} {Url}\n"));

    public static async Task<StubWitness> StartAsync(VerifierKey log, string name, int keys = 1, int logLines = 1, bool postQuantum = false)
    {
        StubWitness witness = new(name, keys, postQuantum);
        witness.Honest = new HonestWitness(log, [.. witness.Cosigners]) { LogLines = logLines };
        await witness._app.StartAsync();
        witness.Url = new Uri(witness._app.Urls.Single());
        return witness;
    }

    public Task HonestlyAsync(HttpContext context, byte[] body)
    {
        (int status, byte[] answer) = Honest.AddCheckpoint(body);
        return SayAsync(context, status, answer, status == 409 ? "text/x.tlog.size" : "text/plain; charset=utf-8");
    }

    public static async Task HangAsync(HttpContext context, byte[] body) => await Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted);

    public static async Task SayAsync(HttpContext context, int status, ReadOnlyMemory<byte> answer, string type = "text/plain; charset=utf-8")
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        await context.Response.Body.WriteAsync(answer, context.RequestAborted);
    }

    public static Func<HttpContext, byte[], Task> Says(int status, string answer) => (context, _) => SayAsync(context, status, Encoding.UTF8.GetBytes(answer));

    /// <summary>The text of the checkpoint in a request.</summary>
    public static ReadOnlyMemory<byte> TextOf(byte[] body) =>
        AddCheckpointRequest.TryParse(body, out AddCheckpointRequest? request, out _) && Note.TryParse(request!.Checkpoint.Span, out Note? note) ? note!.Text : throw new FormatException("not a request");

    /// <summary>Refuses connections from now on.</summary>
    public Task StopAsync() => _app.StopAsync();

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        foreach (IDisposable key in _keys) key.Dispose();
        lock (_complaints) Assert.Empty(_complaints);
    }

    private async Task AnswerAsync(HttpContext context)
    {
        try
        {
            if (context.Request.Method == "GET")
            {
                Assert.Matches("^/[0-9a-f]{64}/checkpoint$", context.Request.Path.ToString());
                await SayAsync(context, Shows.IsEmpty ? 404 : 200, Shows);
                return;
            }

            Assert.Equal("POST /add-checkpoint", $"{context.Request.Method} {context.Request.Path}");
            Assert.False(context.Request.Headers.ContainsKey("Authorization") || context.Request.Headers.ContainsKey("Cookie"));
            using MemoryStream body = new();
            await context.Request.Body.CopyToAsync(body, context.RequestAborted);
            lock (_requests) _requests.Add(body.ToArray());
            await Behave(context, body.ToArray());
        }
        catch (Exception complaint) when (complaint is Xunit.Sdk.IAssertionException)
        {
            lock (_complaints) _complaints.Add(complaint);
            context.Response.StatusCode = 400;
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException)
        {
            // The log has hung up.
        }
    }
}
