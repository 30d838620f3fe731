using System.Net;
using TransparencyLog.Client;
using TransparencyLog.Outbound;

namespace TransparencyLog.Tests.Client;

/// <summary>A proxy of the environment: N-21.</summary>
public sealed class OutboundProxyTests
{
    [Theory]
    [InlineData("http://localhost:2025/")]
    [InlineData("http://LOCALHOST./")]
    [InlineData("http://log.localhost/")]
    [InlineData("http://127.0.0.1:2025/")]
    [InlineData("http://127.1.2.3/")]
    [InlineData("https://[::1]:2025/")]
    [InlineData("http://[::ffff:127.0.0.1]/")]
    public void N21_loopback_never_goes_through_a_proxy(string url)
    {
        OutboundProxy proxy = new(new WebProxy("http://proxy.example:3128"));
        Assert.Equal((true, null, null), (proxy.IsBypassed(new Uri(url)), proxy.GetProxy(new Uri(url)), proxy.NameFor(new Uri(url))));
    }

    [Theory]
    [InlineData("http://log.example/")]
    [InlineData("http://128.0.0.1/")]
    [InlineData("http://[::2]/")]
    [InlineData("http://localhost.example/")]
    [InlineData("http://notlocalhost/")]
    public void N21_everything_else_goes_where_the_environment_says(string url)
    {
        OutboundProxy proxy = new(new WebProxy("http://user:secret@proxy.example:3128"));
        Assert.Equal("http://proxy.example:3128", proxy.NameFor(new Uri(url)));
        Assert.Null(new OutboundProxy(new WebProxy { BypassList = [], Address = null }).NameFor(new Uri(url)));
    }

    [Fact]
    public async Task N21_a_proxy_that_refuses_is_named_in_the_message()
    {
        // Through a proxy it would fail.
        await using RawServer direct = new((connection, stop) => connection.AnswerAllAsync(200, () => { }, stop));
        ConnectionOptions nobody = new() { ConnectTimeout = TimeSpan.FromSeconds(60), SystemProxy = new WebProxy("http://127.0.0.1:1") };
        using (LogReader reader = new(direct.Url, Quick(nobody))) Assert.Empty(await reader.ReadCheckpointBytesAsync(default));
        Assert.Equal(
            "http://log.example/checkpoint cannot be reached through the proxy http://127.0.0.1:1: the connection was refused", await FailAsync("http://log.example", nobody));

        await using RawServer refusing = new((connection, stop) => connection.AnswerAllAsync(403, () => { }, stop));
        ConnectionOptions forbids = nobody with { SystemProxy = new WebProxy(refusing.Url) };
        Assert.Equal($"http://log.example/checkpoint answered 403 through the proxy {refusing.Url}", await FailAsync("http://log.example", forbids));
        Assert.Equal($"https://log.example/checkpoint cannot be reached through the proxy {refusing.Url}: the proxy answered 403", await FailAsync("https://log.example", forbids));
    }

    private static LogReaderOptions Quick(ConnectionOptions connections) => new() { RetryDelay = TimeSpan.FromMilliseconds(1), Connections = connections };

    private static async Task<string> FailAsync(string url, ConnectionOptions connections)
    {
        using LogReader reader = new(url, Quick(connections));
        return (await Assert.ThrowsAsync<LogReaderException>(() => reader.ReadCheckpointBytesAsync(default))).Message;
    }
}
