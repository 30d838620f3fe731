// The handler of every HttpClient in this repository (spec/operations.md, "Connections to others"; spec/decisions/outbound.md).

using System.Net;

namespace TransparencyLog.Outbound;

/// <summary>The settings in which clients differ.</summary>
internal sealed record ConnectionOptions
{
    /// <summary>Longest time to connect, including name resolution and TLS.</summary>
    public required TimeSpan ConnectTimeout { get; init; }

    /// <summary>
    /// Longest life of a connection. Names are resolved only when a connection is made. So this is how long requests still go to the old address of
    /// a peer whose name has moved, if that address still answers. Two minutes: DNS records of services that move have a TTL of one to five minutes.
    /// </summary>
    public TimeSpan Lifetime { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Longest idle time of a connection between two requests.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Most connections to one peer.</summary>
    public int MaxPerServer { get; init; } = int.MaxValue;

    /// <summary>Content codings of a response that are decoded.</summary>
    public DecompressionMethods Decompression { get; init; } = DecompressionMethods.None;

    /// <summary>The proxy of the environment. Tests use another.</summary>
    public IWebProxy SystemProxy { get; init; } = HttpClient.DefaultProxy;

    /// <summary>Replaces the way a connection is made, for tests and the conformance tester; null for the usual way.</summary>
    public Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? Connect { get; init; }
}

/// <summary>
/// Connections that are kept between requests. They live at most two minutes by default, and no longer than the next failure. When a request ends
/// without a response or with a 5xx, all kept connections are closed, so that the next request resolves the name again. Requests that are under way
/// are not disturbed. Redirects are not followed, and cookies are not kept. Loopback is reached without a proxy (<see cref="OutboundProxy"/>).
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

    /// <summary>Decides which requests go through a proxy.</summary>
    public OutboundProxy Proxy { get; }

    /// <summary>Makes a client with these options. The client has no time limit: the caller limits each request.</summary>
    public static (HttpClient Http, Connections Connections) Open(ConnectionOptions options)
    {
        Connections connections = new(options);
        return (new HttpClient(connections) { Timeout = Timeout.InfiniteTimeSpan }, connections);
    }

    /// <summary>Closes the connections that are kept. For failures after the head of a response, which this handler does not see.</summary>
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

    /// <summary>
    /// Ends the use of a pool by a request. A failure replaces the pool, and its last user disposes it. A connection whose response body is still being
    /// read outlives its pool: it is closed when the body has been read.
    /// </summary>
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
        // A redirect could lead into a network that we can reach and the peer cannot.
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

    /// <summary>
    /// One handler with the connections that it keeps. The lock of the outer class guards <see cref="Users"/> and <see cref="IsRetired"/>.
    /// </summary>
    private sealed class Pool(SocketsHttpHandler handler) : IDisposable
    {
        public HttpMessageInvoker Sender { get; } = new(handler);

        public int Users { get; set; }

        public bool IsRetired { get; set; }

        public void Dispose() => Sender.Dispose();
    }
}
