// Witnesses that no log may depend on: one takes every request and never answers, one answers each in another wrong way, and one claims a size that the log has never signed.

using System.Net;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.EndToEnd;

internal sealed class BadWitness : IAsyncDisposable
{
    /// <summary>How many wrong answers the byzantine one knows.</summary>
    public const int Ways = 12;

    private readonly HttpListener _listener;
    private readonly Ed25519PrivateKey _key = Ed25519PrivateKey.Generate();
    private readonly CancellationTokenSource _stop = new();
    private readonly string _name;
    private readonly Cosigner _cosigner;
    private readonly Uri _url;
    private readonly Func<BadWitness, HttpListenerContext, int, Task> _answer;
    private readonly Task _serving;
    private int _requests;

    private BadWitness(string name, Func<BadWitness, HttpListenerContext, int, Task> answer)
    {
        (_name, _answer) = (name, answer);
        _cosigner = new Cosigner($"witness.example/{name}", _key);
        (_listener, string url) = Ports.Listen();
        _url = new Uri($"{url}/");
        _serving = ServeAsync();
    }

    /// <summary>How many requests it got.</summary>
    public int Requests => Volatile.Read(ref _requests);

    /// <summary>The key name, which no published checkpoint may show.</summary>
    public string KeyName => _cosigner.Key.Name;

    /// <summary>Its line in a policy.</summary>
    public string PolicyLine => $"witness {_name} {_cosigner.Key} {_url.AbsoluteUri.TrimEnd('/')}\n";

    /// <summary>One that never answers.</summary>
    public static BadWitness Hanging() => new("hanging", (witness, _, _) => Task.Delay(Timeout.InfiniteTimeSpan, witness._stop.Token));

    /// <summary>One that answers every request wrongly, in <see cref="Ways"/> ways, one after the other.</summary>
    public static BadWitness Byzantine() => new("byzantine", (witness, context, request) => witness.MisbehaveAsync(context, request));

    /// <summary>One that says of every log that it has cosigned a size that the log has never signed, and signs nothing (N-04).</summary>
    public static BadWitness Lying() => new("lying", (witness, context, _) =>
    {
        context.Response.StatusCode = 409;
        return context.Response.OutputStream.WriteAsync("999999999\n"u8.ToArray(), witness._stop.Token).AsTask();
    });

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Close();
        await _serving;
        _key.Dispose();
        _stop.Dispose();
    }

    private async Task ServeAsync()
    {
        while (!_stop.IsCancellationRequested)
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

            _ = AnswerAsync(context);
        }
    }

    private async Task AnswerAsync(HttpListenerContext context)
    {
        try
        {
            // What it shows to monitors: nothing.
            if (context.Request.HttpMethod == "GET") context.Response.StatusCode = 404;
            else await _answer(this, context, Interlocked.Increment(ref _requests) - 1);
            context.Response.Close();
        }
        catch (Exception gone) when (gone is OperationCanceledException or HttpListenerException or IOException or ObjectDisposedException or InvalidOperationException)
        {
            // The log has hung up, or the test is over.
        }
    }

    private async Task MisbehaveAsync(HttpListenerContext context, int request)
    {
        using StreamReader reader = new(context.Request.InputStream, Encoding.UTF8);
        string body = await reader.ReadToEndAsync();
        string text = body.Split("\n\n")[1] + "\n"; // behind the old size and its proof: the note
        long size = long.Parse(text.Split('\n')[1], System.Globalization.CultureInfo.InvariantCulture);
        ulong now = (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
        string Cosigned(string checkpoint) => _cosigner.Cosign(Encoding.UTF8.GetBytes(checkpoint), now).ToLine();
        (int status, string answer) = (request % Ways) switch
        {
            0 => (200, Cosigned($"{Programs.Origin}\n{size + 1}\n{text.Split('\n')[2]}\n")), // of another size
            1 => (409, "0\n"),
            2 => (200, ""),
            3 => (409, "twelve\n"),
            4 => (409, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{size / 2}\n")),
            5 => (200, string.Concat(Enumerable.Repeat(Cosigned(text), 40_000))), // true, and 4 MB of it
            6 => (302, ""),
            7 => (200, "\0\uFFFD garbage without a newline"),
            8 => (409, ""),
            9 => (200, "\u2014 example.com/log AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"),
            10 => (409, "999999999\n"), // a claim, which holds nothing where the quorum does not count this witness
            _ => (500, "{}"),
        };
        context.Response.StatusCode = status;
        if (status == 302) context.Response.RedirectLocation = $"{_url}elsewhere";
        await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(answer), _stop.Token);
    }
}
