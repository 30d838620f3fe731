// What both servers ask of every connection and request, before anything of a log or a witness is known: spec/reliability.md, rows H.

using System.Collections.Generic;
using System.Net;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace TransparencyLog.Hosting;

/// <summary>The limits of the web server, and the one rule of framing that it does not have.</summary>
internal static class Wire
{
    /// <summary>Most bytes that a connection may send ahead of what is read of it; Kestrel's own number is a megabyte, and there may be thousands of connections.</summary>
    private const int MostAhead = 128 * 1024;

    /// <summary>Connections that were accepted beyond the limit, and are about to be closed: closing one takes microseconds, and 64 are few beside the descriptors that are left for files.</summary>
    private const int Refused = 64;

    /// <summary>Sets everything but the size of bodies and where to listen.</summary>
    /// <param name="web">The web server.</param>
    /// <param name="connections">Most open connections. Below the descriptor limit, or strangers could take the descriptors that storage needs.</param>
    /// <param name="connectionsPerAddress">Most of them from one address.</param>
    public static void Limit(IWebHostBuilder web, int connections, int connectionsPerAddress)
    {
        // H-07: a line ends with CR LF. Servers that also take LF alone and proxies that do not disagree about where a request ends.
        AppContext.SetSwitch("Microsoft.AspNetCore.Server.Kestrel.DisableHttp1LineFeedTerminators", true);
        web.ConfigureKestrel(kestrel => Limit(kestrel, connections, connectionsPerAddress));
        web.ConfigureServices(services =>
        {
            services.Configure<SocketTransportOptions>(sockets => sockets.MaxReadBufferSize = MostAhead);
            services.AddSingleton<IConnectionListenerFactory>(all => new BoundedTransport(ActivatorUtilities.CreateInstance<SocketTransportFactory>(all), connections + Refused));
        });
    }

    /// <summary>
    /// Whether reading a body failed because its sender has gone. Then the connection has to be aborted: Kestrel would try to read the rest, and write of each that it cannot
    /// into the operator's log.
    /// </summary>
    public static bool IsGone(Exception failure) => failure is ConnectionResetException or ConnectionAbortedException or OperationCanceledException;

    private static void Limit(KestrelServerOptions kestrel, int connections, int connectionsPerAddress)
    {
        kestrel.AddServerHeader = false;
        kestrel.RequestHeaderEncodingSelector = header => LengthDigits.Select(header)!; // null: Kestrel's own

        // RFC 9112 section 3.2.2: with a target in absolute form the Host header is ignored, whatever it says.
        kestrel.AllowHostHeaderOverride = true;
        AddressLimit addresses = new(connectionsPerAddress);
        kestrel.ConfigureEndpointDefaults(listen =>
        {
            // H-10: HTTP/1.1 alone. Without TLS there is no other, and a proxy in front speaks what it likes to the world.
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
    /// H-06: whether a request says once how long it is. With two lengths, or a coding around the chunks, servers and proxies disagree about where it ends. Kestrel goes by the
    /// chunks, puts a length beside them aside under another name, and looks at the last coding only.
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
/// Closes a connection at once when its address has as many already (H-01, H-14): nobody can take all the connections there are from one place. Addresses of IPv6 count by
/// their first 64 bits, which is the least that anybody is given. Holds as many counts as there are connections. Thread-safe.
/// </summary>
internal sealed class AddressLimit(int most)
{
    private readonly Dictionary<UInt128, int> _open = []; // guarded by itself

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
