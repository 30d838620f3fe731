using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server.Http;

/// <summary>
/// The checks that every request passes first: one spelling per resource, plain bodies only. Also the last handler of exceptions. Routing is lenient (case,
/// slashes, percent-encoding), so the target is compared as it came over the wire.
/// </summary>
internal static class Gate
{
    public static async Task PassAsync(HttpContext context, RequestDelegate next, ILogger logger)
    {
        context.Response.Headers.AccessControlAllowOrigin = "*";
        context.Response.Headers.XContentTypeOptions = "nosniff";
        if (Refuse(context) is Problem refused)
        {
            await refused.ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        try
        {
            await next(context).ConfigureAwait(false);
            if (context.Response.HasStarted || context.Response.StatusCode < 400 || context.Response.ContentType is not null) return;
            await Describe(context.Response).ExecuteAsync(context).ConfigureAwait(false);
        }
        catch (BadHttpRequestException bad) when (!context.Response.HasStarted)
        {
            Problem refusal = bad.StatusCode switch
            {
                StatusCodes.Status413PayloadTooLarge => Problem.TooLarge("the body is larger than this resource takes"),
                StatusCodes.Status408RequestTimeout => new Problem(StatusCodes.Status408RequestTimeout, "request-timeout", "the body took too long"),
                _ => new Problem(bad.StatusCode, "bad-request", "the request could not be read"),
            };
            await refusal.ExecuteAsync(context).ConfigureAwait(false);
        }
        catch (UnavailableException unavailable) when (!context.Response.HasStarted)
        {
            await Problem.Unavailable(unavailable).ExecuteAsync(context).ConfigureAwait(false);
        }
        catch (NoRoomException full) when (!context.Response.HasStarted)
        {
            await Problem.Unavailable(new UnavailableException(full.Message, NoRoomException.RetryAfterSeconds)).ExecuteAsync(context).ConfigureAwait(false);
        }
        catch (ConnectionAbortedException)
        {
            context.Abort(); // otherwise Kestrel would try to read the rest of the body
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has gone.
        }
        catch (Exception failure) when (!context.Response.HasStarted)
        {
            // Damage found while reading is named in the operator's log. The client only learns that something is wrong.
            logger.RequestFailed(failure is StorageException ? failure.Message : failure.ToString());
            await new Problem(StatusCodes.Status500InternalServerError, "internal", "the log could not read what it has stored; its operator has been told")
                .ExecuteAsync(context).ConfigureAwait(false);
        }
    }

    /// <summary>Converts a handler to the type whose description OpenAPI can carry.</summary>
    public static Delegate Handle(Func<HttpContext, Task> handler) => handler;

    private static Problem? Refuse(HttpContext context)
    {
        HttpRequest request = context.Request;
        if (!Wire.IsFramedOnce(request))
        {
            context.Response.Headers.Connection = "close";
            return Problem.BadRequest("a body has a Content-Length or is sent in chunks, not both, and in no other coding");
        }

        ReadOnlySpan<char> target = Target.Of(context);
        int query = target.IndexOf('?');
        ReadOnlySpan<char> path = query < 0 ? target : target[..query];

        // N-09: the path alone names a cached resource. Caches and fetchers add queries to bypass each other, so a query is ignored there.
        bool isCached = path is "/checkpoint" || path.StartsWith("/tile/") || path.StartsWith("/entry/") || path.StartsWith("/index/");
        if (query >= 0 && !isCached && path is not ("/add" or "/proof/inclusion" or "/proof/consistency")) return Problem.NotFound("this resource takes no query");
        if (path.StartsWith("/tile/"))
        {
            if (!Target.TryReadTile(path, out _)) return Problem.NotFound("not the path of a tile or entry bundle");
        }
        else if (path.StartsWith("/entry/"))
        {
            if (!Target.TryReadEntry(path, out _)) return Problem.NotFound("not the path of an entry: /entry/INDEX, decimal");
        }
        else if (path.StartsWith("/index/"))
        {
            if (!Target.TryReadHash(path, out _)) return Problem.NotFound("not a leaf hash: /index/HASH, 64 lower-case hexadecimal digits");
        }
        else if (path is not ("/" or "/add" or "/add-batch" or "/checkpoint" or "/proof/inclusion" or "/proof/consistency" or "/healthz" or "/readyz" or "/status" or "/metrics" or "/openapi/v1.json"))
        {
            return Problem.NotFound("no such resource");
        }

        if (request.Headers.ContentEncoding.Count > 0) return new Problem(StatusCodes.Status415UnsupportedMediaType, "encoded-body", "bodies are taken without Content-Encoding only");
        return null;
    }

    private static Problem Describe(HttpResponse response) => response.StatusCode switch
    {
        404 => Problem.NotFound("no such resource"),
        405 => new Problem(405, "method-not-allowed", $"allowed here: {response.Headers.Allow}"),
        _ => new Problem(response.StatusCode, "refused", "the request was refused"),
    };
}
