using System.Text;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using TransparencyLog.Storage;

namespace TransparencyLog.Server.Http;

/// <summary>
/// What every request passes first: one spelling per resource, plain bodies only, and the last resort for what a handler throws.
/// Routing itself is lenient (case, slashes, percent-encoding), so the target is compared as it came over the wire.
/// </summary>
internal static class Gate
{
    private static readonly string[] Paths =
        ["/", "/add", "/add-batch", "/checkpoint", "/proof/inclusion", "/proof/consistency", "/healthz", "/readyz", "/openapi/v1.json"];

    /// <summary>The tile that the request's target names, set for <c>/tile/...</c> targets that name one.</summary>
    public static readonly object TileKey = new();

    /// <summary>The index that the request's target names, set for <c>/entry/...</c> targets that name one.</summary>
    public static readonly object EntryKey = new();

    /// <summary>The leaf hash that the request's target names, set for <c>/index/...</c> targets that name one.</summary>
    public static readonly object HashKey = new();

    /// <summary>Set once the body of the request was read to its end.</summary>
    public static readonly object BodyReadKey = new();

    public static async Task PassAsync(HttpContext context, RequestDelegate next, ILogger logger)
    {
        context.Response.Headers["Access-Control-Allow-Origin"] = "*";
        context.Response.Headers["X-Content-Type-Options"] = "nosniff";
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
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller has gone.
        }
        catch (Exception failure) when (!context.Response.HasStarted)
        {
            // Damage found while reading goes to the operator's log, by name; the stranger learns that there is trouble.
            logger.RequestFailed(failure is StorageException ? failure.Message : failure.ToString());
            await new Problem(StatusCodes.Status500InternalServerError, "internal", "the log could not read what it has stored; its operator has been told")
                .ExecuteAsync(context).ConfigureAwait(false);
        }
    }

    /// <summary>A handler in the form whose description OpenAPI can carry.</summary>
    public static Delegate Handle(Func<HttpContext, Task> handler) => handler;

    private static Problem? Refuse(HttpContext context)
    {
        string target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        int query = target.IndexOf('?', StringComparison.Ordinal);
        string path = query < 0 ? target : target[..query];
        bool takesQuery = path is "/add" or "/proof/inclusion" or "/proof/consistency";
        if (query >= 0 && !takesQuery) return Problem.NotFound("this resource takes no query");

        if (path.StartsWith("/tile/", StringComparison.Ordinal))
        {
            // SPEC TT-10: only the canonical path is served.
            if (path.Length > 128 || !TilePath.TryParse(Encoding.UTF8.GetBytes(path.AsSpan(1).ToString()), out TilePath tile)) return Problem.NotFound("not the path of a tile or entry bundle");
            context.Items[TileKey] = tile;
        }
        else if (path.StartsWith("/entry/", StringComparison.Ordinal))
        {
            if (path.Length > 64 || !Strict.TryReadSize(Encoding.UTF8.GetBytes(path.AsSpan(7).ToString()), out long index)) return Problem.NotFound("not the path of an entry: /entry/INDEX, decimal");
            context.Items[EntryKey] = index;
        }
        else if (path.StartsWith("/index/", StringComparison.Ordinal))
        {
            if (!Hash.TryParseHex(Encoding.UTF8.GetBytes(path.AsSpan(7).ToString()), out Hash leaf)) return Problem.NotFound("not a leaf hash: /index/HASH, 64 lower-case hexadecimal digits");
            context.Items[HashKey] = leaf;
        }
        else if (!Paths.Contains(path, StringComparer.Ordinal))
        {
            return Problem.NotFound("no such resource");
        }

        HttpRequest request = context.Request;
        if (request.Headers.ContainsKey("Content-Encoding")) return new Problem(StatusCodes.Status415UnsupportedMediaType, "encoded-body", "bodies are taken without Content-Encoding only");

        // Two lengths are how one request is made to look like two. Kestrel has moved the one it does not believe to a header of its own.
        if (request.Headers.TransferEncoding.Count > 0 && (request.Headers.ContentLength is not null || request.Headers.ContainsKey("X-Content-Length"))) return Problem.BadRequest("both Content-Length and Transfer-Encoding");
        return null;
    }

    private static Problem Describe(HttpResponse response) => response.StatusCode switch
    {
        404 => Problem.NotFound("no such resource"),
        405 => new Problem(405, "method-not-allowed", $"allowed here: {response.Headers.Allow}"),
        _ => new Problem(response.StatusCode, "refused", "the request was refused"),
    };
}
