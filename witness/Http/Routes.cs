// The routes. Paths are compared as they came over the socket, so each resource has one spelling: no percent-decoding, no case folding, no trailing slash, and
// a query only where the table has it. Everything else is 404.
//
//     POST      /add-checkpoint  /sign-subtree (with a key that signs subtrees)
//     GET HEAD  /<64 lower-case hex digits>/checkpoint    with any query or none: caches and fetchers add queries (N-09)
//     GET HEAD  /  /status                                with the query of PagedAnswer.cs or none
//     GET HEAD  /healthz  /readyz  /metrics

using System.Text;
using Microsoft.AspNetCore.Http.Features;
using TransparencyLog.Hosting;

namespace TransparencyLog.Witness.Http;

/// <summary>The only request handler.</summary>
internal sealed class Routes(SubmissionEndpoint add, SubmissionEndpoint? subtree, ReadEndpoints read)
{
    private const string Tail = "/checkpoint";

    public async Task HandleAsync(HttpContext context)
    {
        try
        {
            await RouteAsync(context);
        }
        catch (NoRoomException full) when (!context.Response.HasStarted)
        {
            await Answers.NoRoom(context, full);
        }
    }

    private Task RouteAsync(HttpContext context)
    {
        IHeaderDictionary headers = context.Response.Headers;
        headers.XContentTypeOptions = "nosniff";

        if (!Wire.IsFramedOnce(context.Request))
        {
            headers.Connection = "close";
            return Answers.Problem(context, StatusCodes.Status400BadRequest, "bad-request", "a body has a Content-Length or is sent in chunks, not both, and in no other coding");
        }

        string target = RequestTarget.Of(context);
        ReadOnlySpan<char> path = RequestTarget.PathOf(target);
        if (target == "/add-checkpoint")
        {
            AllowOrigins(headers);
            return add.HandleAsync(context);
        }

        // SPEC TW-64: a witness without a key for subtrees does not offer it: 404.
        if (target == "/sign-subtree" && subtree is not null)
        {
            AllowOrigins(headers);
            return subtree.HandleAsync(context);
        }

        // SPEC TW-71: lower-case hex of the origin's SHA-256; anything else is not a path of ours.
        if (path.Length == 1 + (2 * Hash.Size) + Tail.Length && path.EndsWith(Tail, StringComparison.Ordinal)
            && Hash.TryParseHex(Encoding.UTF8.GetBytes(target, 1, 2 * Hash.Size), out Hash originHash))
        {
            AllowOrigins(headers);
            return Get(context, () => read.Checkpoint(context, originHash));
        }

        if (path is "/") return Get(context, () => read.Page(context));
        if (path is "/status") return Get(context, () => read.Status(context));
        return target switch
        {
            "/healthz" => Get(context, () => read.Health(context, ready: false)),
            "/readyz" => Get(context, () => read.Health(context, ready: true)),
            "/metrics" => Get(context, () => read.Metrics(context)),
            _ => Answers.Problem(context, StatusCodes.Status404NotFound, "not-found", "no such resource"),
        };
    }

    /// <summary>SPEC TW-72: GET and HEAD; other methods are 405.</summary>
    private static Task Get(HttpContext context, Func<Task> answer)
    {
        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method)) return Answers.MethodNotAllowed(context, "GET, HEAD");
        // These resources read no body: a request that has one ends its connection.
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } body) body.MaxRequestBodySize = 0;
        return answer();
    }

    /// <summary>spec/conformance.md, section 8, point 6: web pages of any site may read this and verify it.</summary>
    private static void AllowOrigins(IHeaderDictionary headers) => headers.AccessControlAllowOrigin = "*";
}
