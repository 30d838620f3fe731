// The handler of every HttpClient in this repository (spec/operations.md, "Connections to others"; spec/decisions/outbound.md).

using System.Net;

namespace TransparencyLog.Outbound;

/// <summary>What differs from one client to another.</summary>
internal sealed record ConnectionOptions
{
    /// <summary>Longest time to connect, names and TLS included.</summary>
    public required TimeSpan ConnectTimeout { get; init; }

    /// <summary>
    /// Longest life of a connection. Names are resolved only when one is made, so this is how long a peer whose name has moved is asked at its old address while that still
    /// answers. Two minutes: DNS records of services that move have times to live of one to five.
    /// </summary>
    public TimeSpan Lifetime { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Longest rest of a connection between two requests.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Most connections to one peer.</summary>
    public int MaxPerServer { get; init; } = int.MaxValue;

    /// <summary>Codings of an answer that are undone.</summary>
    public DecompressionMethods Decompression { get; init; } = DecompressionMethods.None;

    /// <summary>The proxy of the environment; tests have their own.</summary>
    public IWebProxy SystemProxy { get; init; } = HttpClient.DefaultProxy;

    /// <summary>How a connection is made, where a test or the conformance tester wants to know; null for the usual way.</summary>
    public Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? Connect { get; init; }
}

/// <summary>
/// Connections that are kept between requests for two minutes at most, and not after a failure: when a request ends without an answer, or with a 5xx, all kept connections are
/// closed, so that the next request resolves the name again. Requests that are under way are not disturbed. Redirects are not followed and cookies not kept; loopback is reached
/// without a proxy (<see cref="OutboundProxy"/>).
/// </summary>
internal sealed class Connections : HttpMessageHandler
{
    private readonly ConnectionOptions _options;
    private readonly Lock _lock = new();
    private Pool _current; // guarded by _lock

    public Connections(ConnectionOptions options)
    {
        _options = options;
        Proxy = new OutboundProxy(options.SystemProxy);
        _current = new Pool(MakeHandler());
    }

    /// <summary>Which requests go through a proxy.</summary>
    public OutboundProxy Proxy { get; }

    /// <summary>A client with these options. It has no time limit: the limits of a request are its sender's.</summary>
    public static (HttpClient Http, Connections Connections) Open(ConnectionOptions options)
    {
        Connections connections = new(options);
        return (new HttpClient(connections) { Timeout = Timeout.InfiniteTimeSpan }, connections);
    }

    /// <summary>Closes the connections that are kept. For failures that come after the head of an answer, which this handler does not see.</summary>
    public void Drop()
    {
        Pool old;
        lock (_lock)
        {
            old = _current;
            _current = new Pool(MakeHandler());
            old.IsRetired = true;
            if (old.Users > 0) return;
        }

        old.Dispose();
    }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Pool pool;
        lock (_lock)
        {
            pool = _current;
            pool.Users++;
        }

        bool failed = true;
        try
        {
            HttpResponseMessage response = await pool.Sender.SendAsync(request, cancellationToken).ConfigureAwait(false);
            failed = (int)response.StatusCode >= 500;
            return response;
        }
        finally
        {
            Leave(pool, failed);
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            lock (_lock) _current.IsRetired = true;
            _current.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>The connection of an answer whose body is still being read survives its pool: it is closed when the body has been read.</summary>
    private void Leave(Pool pool, bool failed)
    {
        lock (_lock)
        {
            pool.Users--;
            if (failed && pool == _current && !pool.IsRetired)
            {
                _current = new Pool(MakeHandler());
                pool.IsRetired = true;
            }

            if (!pool.IsRetired || pool.Users > 0) return;
        }

        pool.Dispose();
    }

    private SocketsHttpHandler MakeHandler() => new()
    {
        // A redirect could lead into networks that the peer cannot reach and we can.
        AllowAutoRedirect = false,
        UseCookies = false,
        AutomaticDecompression = _options.Decompression,
        ConnectCallback = _options.Connect,
        ConnectTimeout = _options.ConnectTimeout,
        MaxConnectionsPerServer = _options.MaxPerServer,
        MaxResponseHeadersLength = 16, // KiB
        PooledConnectionIdleTimeout = _options.IdleTimeout,
        PooledConnectionLifetime = _options.Lifetime,
        Proxy = Proxy,
    };

    /// <summary>One handler with the connections that it keeps. <see cref="Users"/> and <see cref="IsRetired"/> are guarded by the lock of the outer class.</summary>
    private sealed class Pool(SocketsHttpHandler handler) : IDisposable
    {
        public HttpMessageInvoker Sender { get; } = new(handler);

        public int Users { get; set; }

        public bool IsRetired { get; set; }

        public void Dispose() => Sender.Dispose();
    }
}
