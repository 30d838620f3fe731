using System.Net.Sockets;
using System.Security.Authentication;

namespace TransparencyLog.Outbound;

/// <summary>
/// Says why a request has no response, in words for an operator. None of the text was written by the peer, because it is shown in terminals, logs and
/// status pages.
/// </summary>
internal static class NoAnswer
{
    /// <summary>Most characters of a TLS failure message that are repeated: the message says what is wrong with a certificate.</summary>
    private const int LongestTls = 200;

    /// <summary>Whether an exception means that there is no complete response. Time limits are not among them.</summary>
    public static bool Is(Exception failure) => failure is HttpRequestException or IOException or SocketException;

    /// <summary>Describes the failure, for example "the connection was refused".</summary>
    public static string Describe(Exception failure)
    {
        for (Exception? at = failure; at is not null; at = at.InnerException)
        {
            if (at is AuthenticationException tls) return $"TLS: {Ascii(tls.Message)}";
            if (at is SocketException socket) return Describe(socket.SocketErrorCode);
        }

        return failure is HttpRequestException request ? Describe(request) : Describe((failure as HttpIOException)?.HttpRequestError ?? HttpRequestError.ConnectionError);
    }

    private static string Describe(HttpRequestException failure) => failure.HttpRequestError == HttpRequestError.ProxyTunnelError && failure.StatusCode is { } status
        ? $"the proxy answered {(int)status}"
        : Describe(failure.HttpRequestError);

    private static string Describe(HttpRequestError error) => error switch
    {
        HttpRequestError.NameResolutionError => Describe(SocketError.HostNotFound),
        HttpRequestError.ResponseEnded => "the connection was closed before the answer was complete",
        HttpRequestError.InvalidResponse => "what was received is not HTTP",
        HttpRequestError.SecureConnectionError => "TLS failed",
        HttpRequestError.ProxyTunnelError => "the proxy refused",
        HttpRequestError.ConfigurationLimitExceeded => "the head of the answer is too large",
        HttpRequestError.ConnectionError => "the connection broke",
        _ => error.ToString(),
    };

    private static string Describe(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => "the connection was refused",
        SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown => "the connection was reset",
        SocketError.HostNotFound or SocketError.NoData => "its name cannot be resolved",
        SocketError.TryAgain => "its name cannot be resolved now",
        SocketError.HostUnreachable or SocketError.NetworkUnreachable or SocketError.NetworkDown or SocketError.HostDown => "there is no route to it",
        SocketError.TimedOut => "the connection attempt had no answer",
        _ => error.ToString(),
    };

    private static string Ascii(string text) => string.Concat(text.Take(LongestTls).Select(character => character is >= ' ' and <= '~' ? character : '?'));
}
