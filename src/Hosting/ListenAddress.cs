// The setting `listen` of both programs: where a server listens, and the error when it cannot listen there.
//
//     http://127.0.0.1:2025      an address and a port; for port 0 the system picks a free one
//     http://[::1]:2025
//     http://localhost:2025      both loopback addresses
//
// A socket error is reported as an error of this setting: one line with the setting, the address and the reason. The exit code is 2 where no restart helps, and
// 4 where a restart may help.

using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace TransparencyLog.Hosting;

/// <summary>A listen address, read and checked.</summary>
/// <param name="Text">As the operator wrote it.</param>
/// <param name="Address">The address; null for localhost.</param>
/// <param name="Port">0 to 65535. For 0 the system picks a free port; localhost cannot have 0.</param>
internal sealed record ListenAddress(string Text, IPAddress? Address, int Port)
{
    private const string Form = "http://ADDRESS:PORT, with an IP address or localhost, a port from 0 to 65535, and no path. TLS is the matter of a proxy in front";

    /// <summary>Reads the setting.</summary>
    /// <exception cref="ConfigurationException">It does not have the form, or no server can listen there.</exception>
    public static ListenAddress Read(SettingValues values, TextSetting setting)
    {
        string text = values.Text(setting) ?? setting.Default;
        return TryParse(text, out ListenAddress? address, out string reason) ? address! : throw values.Refusal(setting, reason);
    }

    /// <summary>Reads a text that does not come from a setting, such as a default or an address in a test.</summary>
    public static ListenAddress Parse(string text) => TryParse(text, out ListenAddress? address, out string reason) ? address! : throw new ConfigurationException($"listen: '{text}' {reason}");

    /// <summary>Reads a text. When it returns false, the reason continues a sentence that begins with the text.</summary>
    private static bool TryParse(string text, out ListenAddress? address, out string reason)
    {
        address = null;
        reason = $"is not {Form}";
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? url) || url.Scheme != Uri.UriSchemeHttp
            || url.PathAndQuery != "/" || url.Fragment.Length > 0 || url.UserInfo.Length > 0)
        {
            return false;
        }

        if (url.Host == "localhost")
        {
            reason = "cannot have port 0: localhost is two addresses, and a port that is free on one may be taken on the other. Write http://127.0.0.1:0 or http://[::1]:0";
            address = new ListenAddress(text, null, url.Port);
            return url.Port != 0;
        }

        // The web server would listen on all addresses for any other name.
        if (url.HostNameType is not (UriHostNameType.IPv4 or UriHostNameType.IPv6) || !IPAddress.TryParse(url.Host.Trim('[', ']'), out IPAddress? ip)) return false;
        address = new ListenAddress(text, ip, url.Port);
        reason = ip switch
        {
            { IsIPv4MappedToIPv6: true } => $"is an IPv4 address written as IPv6; write http://{ip.MapToIPv4()}:{url.Port.ToString(CultureInfo.InvariantCulture)}",
            { IsIPv6LinkLocal: true } => "is a link-local address, which is only one together with an interface; use another address of the machine",
            { IsIPv6Multicast: true } => "is a multicast address",
            { AddressFamily: AddressFamily.InterNetwork } when ip.GetAddressBytes()[0] is >= 224 => "is a multicast or broadcast address",
            _ => "",
        };
        return reason.Length == 0;
    }

    /// <summary>Configures the web server to listen here.</summary>
    public void Apply(KestrelServerOptions kestrel)
    {
        if (Address is null) kestrel.ListenLocalhost(Port);
        else kestrel.Listen(Address, Port);
    }

    /// <summary>Opens the socket and starts the web server.</summary>
    /// <returns>The URL that it listens on, with the actual port.</returns>
    /// <exception cref="ConfigurationException">No restart helps.</exception>
    /// <exception cref="IOException">A restart may help.</exception>
    public async Task<string> StartAsync(WebApplication app, CancellationToken stop)
    {
        try
        {
            await app.StartAsync(stop).ConfigureAwait(false);
        }
        catch (Exception failure) when (SocketErrorOf(failure) is SocketException error)
        {
            (string reason, bool mayPass) = Describe(error);
            string line = $"listen: cannot listen on {Text}: {reason}";
            throw mayPass ? new IOException(line, failure) : new ConfigurationException(line, failure);
        }

        string url = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        app.Logger.ListeningOn(url);
        return url;
    }

    private (string Reason, bool MayPass) Describe(SocketException error) => error.SocketErrorCode switch
    {
        SocketError.AddressAlreadyInUse => ($"port {Port.ToString(CultureInfo.InvariantCulture)} is in use by another socket", true),
        SocketError.AddressNotAvailable => ("no interface of this machine has the address now", true),
        SocketError.AccessDenied => ($"this user may not listen on port {Port.ToString(CultureInfo.InvariantCulture)}; take one from 1024, or grant CAP_NET_BIND_SERVICE", false),
        SocketError.InvalidArgument or SocketError.AddressFamilyNotSupported or SocketError.ProtocolNotSupported or SocketError.OperationNotSupported => ($"the system has no such address: {error.Message}", false),
        _ => (error.Message, true),
    };

    /// <summary>The socket error in an exception. The web server wraps it at least once; for two addresses it wraps it in an aggregate.</summary>
    private static SocketException? SocketErrorOf(Exception failure)
    {
        for (Exception? one = failure; one is not null; one = one.InnerException)
        {
            if (one is SocketException error) return error;
        }

        return null;
    }
}
