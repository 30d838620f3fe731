// Answers over HTTP. Bodies that c2sp.org/tlog-witness defines are plain text. All others are application/problem+json, as in the log server (ProblemJson.cs).
// No part of a request is repeated in an answer.

using System.Text;
using Microsoft.AspNetCore.Http.Features;
using TransparencyLog.Hosting;

namespace TransparencyLog.Witness.Http;

/// <summary>Writes answers with their length. A HEAD request gets the headers alone.</summary>
internal static class Answers
{
    public const string PlainText = "text/plain; charset=utf-8";

    /// <summary>Sends a body of text.</summary>
    public static Task Text(HttpContext context, int status, string text, string contentType = PlainText) => Bytes(context, status, Encoding.UTF8.GetBytes(text), contentType);

    /// <summary>Sends a body of bytes.</summary>
    /// <exception cref="NoRoomException">The body is large, and there is no room for it now; nothing was sent.</exception>
    public static Task Bytes(HttpContext context, int status, ReadOnlyMemory<byte> body, string contentType) => LargeAnswers.SendAsync(context, status, contentType, body);

    /// <summary>A refusal that the C2SP text does not define. The detail is for people and says what is allowed.</summary>
    public static Task Problem(HttpContext context, int status, string name, string detail)
    {
        context.Response.Headers.CacheControl = "no-store";
        return Bytes(context, status, ProblemJson.ToBytes(status, name, detail), ProblemJson.ContentType);
    }

    /// <summary>The resource does not have this method.</summary>
    public static Task MethodNotAllowed(HttpContext context, string allow)
    {
        context.Response.Headers.Allow = allow;
        // The body is not read, and closing the connection avoids draining it.
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody == true) context.Response.Headers.Connection = "close";
        return Problem(context, StatusCodes.Status405MethodNotAllowed, "method-not-allowed", $"allowed here: {allow}");
    }

    /// <summary>The log has asked too often: 429, with the time until its next request is accepted, in whole seconds.</summary>
    public static Task TooOften(HttpContext context, TimeSpan wait)
    {
        context.Response.Headers.RetryAfter = Math.Max(1, Math.Ceiling(wait.TotalSeconds)).ToString(System.Globalization.CultureInfo.InvariantCulture);
        return Problem(context, StatusCodes.Status429TooManyRequests, "too-often", "this log has asked more often than it may; Retry-After says when it may ask again");
    }

    /// <summary>There is no room for a large body or answer now: 503. The client should try again in a moment.</summary>
    public static Task NoRoom(HttpContext context, NoRoomException full)
    {
        context.Response.Headers.RetryAfter = NoRoomException.RetryAfterSeconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return Problem(context, StatusCodes.Status503ServiceUnavailable, "busy", full.Message);
    }

    /// <summary>
    /// The witness cannot answer because of its state: 503, with the time that a client should wait. It is a minute where an operator has to act.
    /// </summary>
    public static Task Unavailable(HttpContext context, Unavailability why)
    {
        (string name, int retryAfterSeconds) = why switch
        {
            Unavailability.Halted => ("halted", 60),
            Unavailability.ClockBehind or Unavailability.ClockWrong or Unavailability.ClockAhead => ("clock", 60),
            Unavailability.GuardUnavailable => ("guard-unavailable", 5),
            Unavailability.DiskFull => ("disk", 30),
            Unavailability.Busy => ("busy", 1),
            _ => throw new System.Diagnostics.UnreachableException($"{why} has no answer"),
        };
        context.Response.Headers.RetryAfter = retryAfterSeconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return Problem(context, StatusCodes.Status503ServiceUnavailable, name, Describe(why));
    }

    /// <summary>The reason in words, for clients and operators.</summary>
    public static string Describe(Unavailability why) => why switch
    {
        Unavailability.Halted => "this witness has halted and cosigns nothing until its operator has looked",
        Unavailability.ClockBehind => "the clock of this witness is behind its last cosignature",
        Unavailability.ClockWrong => "the clock of this witness is wrong, or has jumped by more than a day since it was started",
        Unavailability.ClockAhead => "the clock of this witness is far ahead of the last time that it knew; nothing is signed until its operator has looked",
        Unavailability.GuardUnavailable => "guard-unavailable: the guard of this witness does not answer, and nothing is cosigned until it does",
        Unavailability.DiskFull => "the disk of this witness is nearly full",
        Unavailability.Busy => "another request of this log is not finished; whether this one was stored is unknown, and asking again is safe",
        _ => throw new System.Diagnostics.UnreachableException($"{why} has no words"),
    };
}
