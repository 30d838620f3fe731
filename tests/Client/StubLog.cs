// A web server of a few lines that answers what a test wants: files from memory, or whatever is planted at a path.
using System.Collections.Concurrent;
using System.Net;

namespace TransparencyLog.Tests.Client;

/// <summary>What is answered at one path.</summary>
internal sealed record StubAnswer(int Status, byte[] Body, string ContentType = "application/octet-stream")
{
    public Dictionary<string, string> Headers { get; } = [];
}

/// <summary>Serves a dictionary of paths on loopback. What is in <see cref="Planted"/> comes first.</summary>
internal sealed class StubLog : IDisposable
{
    private readonly HttpListener _listener;
    private readonly Task _loop;

    public StubLog(IDictionary<string, byte[]> files)
    {
        Files = files;
        (_listener, Url) = Ports.Listen();
        _loop = Task.Run(RunAsync);
    }

    public string Url { get; }

    public IDictionary<string, byte[]> Files { get; }

    /// <summary>Path with query -> what is answered; gets the request's body.</summary>
    public ConcurrentDictionary<string, Func<byte[], StubAnswer>> Planted { get; } = new(StringComparer.Ordinal);

    public ConcurrentQueue<string> Requests { get; } = new();

    public ConcurrentQueue<string?> AcceptEncodings { get; } = new();

    public void Plant(string path, byte[] body) => Planted[path] = _ => new StubAnswer(200, body);

    public void Dispose()
    {
        _listener.Close();
        _loop.Wait(TimeSpan.FromSeconds(10));
    }

    private async Task RunAsync()
    {
        while (true)
        {
            HttpListenerContext context;
            try
            {
                context = await _listener.GetContextAsync();
            }
            catch (Exception closed) when (closed is HttpListenerException or ObjectDisposedException)
            {
                return;
            }

            _ = Task.Run(() => Answer(context));
        }
    }

    private void Answer(HttpListenerContext context)
    {
        string path = context.Request.RawUrl![1..];
        Requests.Enqueue($"{context.Request.HttpMethod} {path}");
        AcceptEncodings.Enqueue(context.Request.Headers["Accept-Encoding"]);
        using MemoryStream body = new();
        context.Request.InputStream.CopyTo(body);
        StubAnswer answer = Planted.TryGetValue(path, out Func<byte[], StubAnswer>? planted) ? planted(body.ToArray())
            : Files.TryGetValue(path, out byte[]? file) ? new StubAnswer(200, file)
            : new StubAnswer(404, []);
        try
        {
            context.Response.StatusCode = answer.Status;
            context.Response.ContentType = answer.ContentType;
            foreach ((string name, string value) in answer.Headers) context.Response.Headers[name] = value;
            context.Response.ContentLength64 = answer.Body.Length;
            context.Response.OutputStream.Write(answer.Body);
            context.Response.Close();
        }
        catch (Exception gone) when (gone is HttpListenerException or IOException or ObjectDisposedException or InvalidOperationException)
        {
            // The reader hung up, as some tests want it to.
        }
    }
}
