// What the servers under test here stand on: a web server of a few lines that hands over requests as they came and answers exactly what it is told.

using System.Net;
using TransparencyLog.Tests.Client;

namespace TransparencyLog.Tests.Cli;

/// <summary>A request: the path behind the first slash, byte for byte.</summary>
internal sealed record SiteRequest(string Method, string Path, byte[] Body);

/// <summary>An answer. Without a type there is no Content-Type.</summary>
internal sealed record SiteAnswer(int Status, byte[] Body, string? Type = "text/plain; charset=utf-8")
{
    public Dictionary<string, string> Headers { get; init; } = [];

    public bool Close { get; init; }

    public static SiteAnswer Text(int status, string text) => new(status, System.Text.Encoding.UTF8.GetBytes(text));
}

/// <summary>Serves on loopback, requests side by side.</summary>
internal sealed class TestSite : IDisposable
{
    private readonly HttpListener _listener;
    private readonly Func<SiteRequest, Task<SiteAnswer>> _answer;
    private readonly Task _loop;

    public TestSite(Func<SiteRequest, Task<SiteAnswer>> answer)
    {
        _answer = answer;
        (_listener, Url) = Ports.Listen();
        _loop = Task.Run(RunAsync);
    }

    public string Url { get; }

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

            _ = Task.Run(() => AnswerAsync(context));
        }
    }

    private async Task AnswerAsync(HttpListenerContext context)
    {
        try
        {
            using MemoryStream body = new();
            await context.Request.InputStream.CopyToAsync(body);
            SiteAnswer answer = await _answer(new SiteRequest(context.Request.HttpMethod, context.Request.RawUrl![1..], body.ToArray()));
            HttpListenerResponse response = context.Response;
            response.StatusCode = answer.Status;
            if (answer.Type is not null) response.ContentType = answer.Type;
            foreach ((string name, string value) in answer.Headers) response.Headers[name] = value;
            response.KeepAlive = !answer.Close;
            response.ContentLength64 = answer.Body.Length;
            if (context.Request.HttpMethod != "HEAD") await response.OutputStream.WriteAsync(answer.Body);
            response.Close();
        }
        catch (Exception gone) when (gone is HttpListenerException or IOException or ObjectDisposedException or InvalidOperationException)
        {
            // The client hung up.
        }
    }
}

/// <summary>A clock on which every wait is over at once, and has passed.</summary>
internal sealed class JumpTime : TimeProvider
{
    private readonly Lock _lock = new();
    private DateTimeOffset _now = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);

    public override DateTimeOffset GetUtcNow()
    {
        lock (_lock) return _now;
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (dueTime > TimeSpan.Zero)
        {
            lock (_lock) _now += dueTime;
        }

        return base.CreateTimer(callback, state, dueTime > TimeSpan.Zero ? TimeSpan.Zero : dueTime, period);
    }
}
