using System.Globalization;
using TransparencyLog.Hosting;

namespace TransparencyLog.Server.Http;

/// <summary>
/// Refusals as application/problem+json; spec/log-api.md lists the names. The text is ours: it contains nothing from the request, and the text of no
/// exception but our own refusals.
/// </summary>
internal sealed class Problem(int status, string name, string detail, int? retryAfterSeconds = null) : IResult
{
    public static Problem Unavailable(UnavailableException refusal) => new(StatusCodes.Status503ServiceUnavailable, "unavailable", refusal.Message, refusal.RetryAfterSeconds);

    public static Problem BadRequest(string detail) => new(StatusCodes.Status400BadRequest, "bad-request", detail);

    public static Problem NotFound(string detail) => new(StatusCodes.Status404NotFound, "not-found", detail);

    public static Problem TooLarge(string detail) => new(StatusCodes.Status413PayloadTooLarge, "too-large", detail);

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        HttpResponse response = httpContext.Response;
        response.StatusCode = status;
        response.ContentType = ProblemJson.ContentType;
        response.Headers.CacheControl = "no-store";

        // The unread rest of a request is not drained. The connection ends with the answer, and a header says so.
        bool unread = RequestBody.IsUnread(httpContext);
        if (unread && HttpProtocol.IsHttp11(httpContext.Request.Protocol)) response.Headers.Connection = "close";
        if (retryAfterSeconds is int seconds) response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        byte[] body = ProblemJson.ToBytes(status, name, detail);
        response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(httpContext.Request.Method)) await response.Body.WriteAsync(body).ConfigureAwait(false);
    }
}
