// The limits that both servers put on every connection and request, before they know anything of a log or a witness: spec/reliability.md, rows H.

using System.Collections.Generic;
using System.Net;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace TransparencyLog.Hosting;

/// <summary>The limits of the web server, and a rule of framing that it lacks.</summary>
internal static class Wire
{
    /// <summary>
    /// Most bytes that a connection may send before they are read. Kestrel's default is a megabyte, and there may be thousands of connections.
    /// </summary>
    private const int MostAhead = 128 * 1024;

    /// <summary>
    /// Connections that may be accepted above the limit, only to be closed. Closing one takes microseconds, and 64 are few compared with the descriptors that
    /// are left for files.
    /// </summary>
    private const int Refused = 64;

    /// <summary>Sets everything except the size of bodies and the listening address.</summary>
    /// <param name="web">The web server.</param>
    /// <param name="connections">Most open connections. Has to be below the descriptor limit, so that clients cannot use up the descriptors that storage
    /// needs.</param>
    /// <param name="connectionsPerAddress">Most open connections from one address.</param>
    public static void Limit(IWebHostBuilder web, int connections, int connectionsPerAddress)
    {
        // H-07: a line ends with CR LF. A server that also accepts LF alone and a proxy that does not would disagree about where a request ends.
        AppContext.SetSwitch("Microsoft.AspNetCore.Server.Kestrel.DisableHttp1LineFeedTerminators", true);
        web.ConfigureKestrel(kestrel => Limit(kestrel, connections, connectionsPerAddress));
        web.ConfigureServices(services =>
        {
            services.Configure<SocketTransportOptions>(sockets => sockets.MaxReadBufferSize = MostAhead);
            services.AddSingleton<IConnectionListenerFactory>(all => new BoundedTransport(ActivatorUtilities.CreateInstance<SocketTransportFactory>(all), connections + Refused));
        });
    }

    /// <summary>
    /// Whether reading a body failed because the client has gone. The connection then has to be aborted. Otherwise Kestrel would try to read the rest, and
    /// write each failure into the operator's log.
    /// </summary>
    public static bool IsGone(Exception failure) => failure is ConnectionResetException or ConnectionAbortedException or OperationCanceledException;

    private static void Limit(KestrelServerOptions kestrel, int connections, int connectionsPerAddress)
    {
        kestrel.AddServerHeader = false;
        kestrel.RequestHeaderEncodingSelector = header => LengthDigits.Select(header)!; // null: Kestrel's own

        // RFC 9112 section 3.2.2: with a target in absolute form the Host header is ignored, whatever it contains.
        kestrel.AllowHostHeaderOverride = true;
        AddressLimit addresses = new(connectionsPerAddress);
        kestrel.ConfigureEndpointDefaults(listen =>
        {
            // H-10: HTTP/1.1 alone. Clients use other versions only over TLS, which is left to a proxy in front.
            listen.Protocols = HttpProtocols.Http1;
            listen.Use(next => connection => addresses.PassAsync(connection, next));
        });
        KestrelServerLimits limits = kestrel.Limits;
        limits.MaxConcurrentConnections = connections;
        limits.MaxConcurrentUpgradedConnections = 0;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(60);
        limits.MaxResponseBufferSize = LargeAnswers.Piece;
        limits.MaxRequestLineSize = 4 * 1024;
        limits.MaxRequestHeadersTotalSize = 16 * 1024;
        limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
        limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
    }

    /// <summary>
    /// H-06: whether a request states its length exactly once. With two lengths, or another coding around the chunks, servers and proxies disagree about where
    /// the request ends. Kestrel goes by the chunks, moves a Content-Length next to them to another header name, and checks the last coding only.
    /// </summary>
    public static bool IsFramedOnce(HttpRequest request)
    {
        IHeaderDictionary headers = request.Headers;
        if (headers.TransferEncoding.Count == 0) return true;
        return headers.TransferEncoding.Count == 1 && string.Equals(headers.TransferEncoding[0], "chunked", StringComparison.OrdinalIgnoreCase)
            && headers.ContentLength is null && !headers.ContainsKey("X-Content-Length");
    }
}

/// <summary>
/// Closes a connection immediately when its address already has the most allowed (H-01, H-14), so that no single place can take all connections. IPv6 addresses
/// count by their first 64 bits, the smallest range that anybody is assigned. Holds at most one count for each connection. Thread-safe.
/// </summary>
internal sealed class AddressLimit(int most)
{
    private readonly Dictionary<UInt128, int> _open = []; // guarded by a lock on itself

    public async Task PassAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        UInt128 address = NetworkOf((connection.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.Any);
        if (!TryEnter(address))
        {
            connection.Abort();
            return;
        }

        try
        {
            await next(connection).ConfigureAwait(false);
        }
        finally
        {
            Leave(address);
        }
    }

    private bool TryEnter(UInt128 address)
    {
        lock (_open)
        {
            ref int open = ref CollectionsMarshal.GetValueRefOrAddDefault(_open, address, out _);
            if (open == most) return false;
            open++;
            return true;
        }
    }

    private void Leave(UInt128 address)
    {
        lock (_open)
        {
            ref int open = ref CollectionsMarshal.GetValueRefOrNullRef(_open, address);
            if (--open == 0) _open.Remove(address);
        }
    }

    private static UInt128 NetworkOf(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.MapToIPv6().TryWriteBytes(bytes, out _);
        UInt128 number = System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(bytes);
        return address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 && !address.IsIPv4MappedToIPv6 ? number >> 64 << 64 : number;
    }
}
