using Microsoft.AspNetCore.Http.Features;

namespace TransparencyLog.Hosting;

/// <summary>The request target, byte for byte as it came over the socket. Nothing is decoded, so every resource has exactly one spelling.</summary>
internal static class RequestTarget
{
    /// <summary>
    /// Path and query. A server has to accept the absolute form, <c>GET http://host/checkpoint HTTP/1.1</c>, though clients send it to proxies only (RFC 9112
    /// section 3.2.2). The host in it is ignored, and so is the Host header: one process serves one log or witness.
    /// </summary>
    public static string Of(HttpContext context)
    {
        string target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        if (target.Length == 0 || target[0] == '/') return target;
        int scheme = target.StartsWith("http://", StringComparison.OrdinalIgnoreCase) ? "http://".Length : target.StartsWith("https://", StringComparison.OrdinalIgnoreCase) ? "https://".Length : 0;
        if (scheme == 0) return target;
        int path = target.AsSpan(scheme).IndexOfAny('/', '?');
        if (path < 0) return "/"; // RFC 9112 section 3.2.1: an empty path is sent as /
        return target[scheme + path] == '/' ? target[(scheme + path)..] : $"/{target[(scheme + path)..]}";
    }

    /// <summary>The part before the query.</summary>
    public static ReadOnlySpan<char> PathOf(ReadOnlySpan<char> target) => target.IndexOf('?') is int query and >= 0 ? target[..query] : target;
}
