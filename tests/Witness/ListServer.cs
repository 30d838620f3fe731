using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace TransparencyLog.Tests.Witness;

/// <summary>Somebody who hands out a list of logs, well or badly. Stopped and started again it keeps its port.</summary>
internal sealed class ListServer : IAsyncDisposable
{
    private WebApplication? _app;
    private int _port;
    private int _asked;

    /// <summary>How it answers.</summary>
    public RequestDelegate Answer { get; set; } = context => context.Response.WriteAsync("logs/v0\n");

    /// <summary>How often it was asked.</summary>
    public int Asked => Volatile.Read(ref _asked);

    public string Url => $"http://127.0.0.1:{_port}/lists/10qps.1";

    public static async Task<ListServer> StartAsync()
    {
        ListServer server = new();
        await server.ResumeAsync();
        return server;
    }

    /// <summary>One log of a list.</summary>
    public static string Entry(TestLog log, int queriesPerDay = 86_400) => $"vkey {log.NoteSigner.Key}\nqpd {queriesPerDay}\ncontact somebody\n";

    /// <summary>Hands out these entries from now on.</summary>
    public void Lists(params string[] entries) => Answer = context => context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes($"# a list\nlogs/v0\n\n{string.Concat(entries)}")).AsTask();

    public async Task ResumeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, _port));
        _app = builder.Build();
        _app.Run(context =>
        {
            Interlocked.Increment(ref _asked);
            return Answer(context);
        });
        await _app.StartAsync();
        _port = new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;
    }

    public async Task StopAsync()
    {
        if (_app is null) return;
        using CancellationTokenSource soon = new(TimeSpan.FromMilliseconds(200));
        await _app.StopAsync(soon.Token);
        await _app.DisposeAsync();
        _app = null;
    }

    public async ValueTask DisposeAsync() => await StopAsync();
}
