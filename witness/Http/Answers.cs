// What goes back over HTTP: the bodies that c2sp.org/tlog-witness fixes as plain text, everything else as application/problem+json
// (RFC 9457) with a stable type, urn:transparency-log:problem:NAME as the log server's. Nothing of a request is repeated in an answer.

using System.Text;
using System.Text.Json;

namespace TransparencyLog.Witness.Http;

/// <summary>Writes answers with their length; a HEAD gets the headers alone.</summary>
internal static class Answers
{
    public const string PlainText = "text/plain; charset=utf-8";

    /// <summary>A body of text.</summary>
    public static Task Text(HttpContext context, int status, string text, string contentType = PlainText) => Bytes(context, status, Encoding.UTF8.GetBytes(text), contentType);

    /// <summary>A body of bytes.</summary>
    public static Task Bytes(HttpContext context, int status, ReadOnlyMemory<byte> body, string contentType)
    {
        HttpResponse response = context.Response;
        response.StatusCode = status;
        response.ContentType = contentType;
        response.ContentLength = body.Length;
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : response.Body.WriteAsync(body, context.RequestAborted).AsTask();
    }

    /// <summary>A refusal that the C2SP text does not define. The detail is for people and says what is allowed.</summary>
    public static Task Problem(HttpContext context, int status, string name, string detail)
    {
        context.Response.Headers.CacheControl = "no-store";
        return Bytes(context, status, ToProblem(status, name, detail), "application/problem+json");
    }

    /// <summary>The method is not one of this resource.</summary>
    public static Task MethodNotAllowed(HttpContext context, string allow)
    {
        context.Response.Headers.Allow = allow;
        return Problem(context, StatusCodes.Status405MethodNotAllowed, "method-not-allowed", $"allowed here: {allow}");
    }

    /// <summary>Our own state.</summary>
    public static Task Unavailable(HttpContext context, string name, string detail, int retryAfterSeconds)
    {
        context.Response.Headers.RetryAfter = retryAfterSeconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return Problem(context, StatusCodes.Status503ServiceUnavailable, name, detail);
    }

    private static byte[] ToProblem(int status, string name, string detail)
    {
        using MemoryStream body = new();
        using (Utf8JsonWriter json = new(body))
        {
            json.WriteStartObject();
            json.WriteString("type", $"urn:transparency-log:problem:{name}");
            json.WriteString("title", name.Replace('-', ' '));
            json.WriteNumber("status", status);
            json.WriteString("detail", detail);
            json.WriteEndObject();
        }

        return body.ToArray();
    }
}
