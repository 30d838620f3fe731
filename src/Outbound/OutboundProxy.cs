using System.Net;

namespace TransparencyLog.Outbound;

/// <summary>
/// The proxy of the environment (http_proxy, https_proxy, all_proxy, no_proxy), but never for loopback, whatever no_proxy says. A proxy on another
/// machine cannot reach a server on this machine, and a proxy on this machine is not needed for it.
/// </summary>
internal sealed class OutboundProxy(IWebProxy system) : IWebProxy
{
    public ICredentials? Credentials
    {
        get => system.Credentials;
        set => system.Credentials = value;
    }

    public Uri? GetProxy(Uri destination) => IsBypassed(destination) ? null : system.GetProxy(destination);

    public bool IsBypassed(Uri host) => IsLoopback(host) || system.IsBypassed(host);

    /// <summary>The proxy of a request, for messages, without user name and password; null if the request goes directly to its destination.</summary>
    public string? NameFor(Uri destination) => GetProxy(destination) is Uri proxy && proxy != destination ? $"{proxy.Scheme}://{proxy.Authority}" : null;

    /// <summary>127.0.0.0/8, [::1], an address of 127.0.0.0/8 written as IPv6, localhost and the names below it (RFC 6761 section 6.3).</summary>
    private static bool IsLoopback(Uri uri)
    {
        string host = uri.IdnHost.TrimEnd('.');
        if (IPAddress.TryParse(host, out IPAddress? address)) return IPAddress.IsLoopback(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address);
        return host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || host.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase);
    }
}
