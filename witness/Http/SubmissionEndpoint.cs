using System.Buffers;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using TransparencyLog.Hosting;

namespace TransparencyLog.Witness.Http;

/// <summary>
/// POST /add-checkpoint and POST /sign-subtree. Reads a body of bounded size in bounded time, and maps each outcome to its status (c2sp.org/tlog-witness).
/// </summary>
/// <param name="judge">Decides on a body.</param>
/// <param name="answers">Counts the answers by status.</param>
/// <param name="bodyTime">How long a body may take before its rate counts: see <see cref="BodyDeadline"/>.</param>
/// <param name="time">The clock.</param>
internal sealed class SubmissionEndpoint(Func<ReadOnlyMemory<byte>, CancellationToken, Task<CosignOutcome>> judge, StatusCounter answers, TimeSpan bodyTime, TimeProvider time)
{
    /// <summary>Largest body of either request, in bytes.</summary>
    public const int MaxBody = AddCheckpointRequest.MaxSize;

    public async Task HandleAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        // SPEC TW-01: POST only. SPEC TW-50: so it is here.
        if (!HttpMethods.IsPost(request.Method))
        {
            await Answers.MethodNotAllowed(context, "POST");
            return;
        }

        if (request.Headers.ContentEncoding.Count > 0)
        {
            await Refuse(context, StatusCodes.Status415UnsupportedMediaType, "encoded-body", "a body is sent as it is, with no content encoding");
            return;
        }

        ReadOnlyMemory<byte>? body;
        try
        {
            body = await ReadAsync(context);
        }
        catch (ConnectionAbortedException)
        {
            context.Abort(); // otherwise Kestrel would try to read the rest of the body
            return;
        }
        catch (BadHttpRequestException bad)
        {
            // The client's framing is wrong, or its body was too slow.
            bool isLate = bad.StatusCode == StatusCodes.Status408RequestTimeout;
            await Refuse(context, bad.StatusCode, isLate ? "request-timeout" : "bad-request", isLate ? "the body took too long" : "the body could not be read");
            return;
        }
        catch (NoRoomException full)
        {
            Unread(context);
            await Answers.NoRoom(context, full);
            return;
        }

        if (body is null)
        {
            await Refuse(context, StatusCodes.Status413PayloadTooLarge, "too-large", $"a body has at most {MaxBody} bytes");
            return;
        }

        CosignOutcome outcome = await judge(body.Value, context.RequestAborted);
        await ToHttp(context, outcome);
        answers.Count(context.Response.StatusCode);
        outcome.Log?.Refusals.Count(context.Response.StatusCode);
    }

    /// <summary>Maps each outcome to one status.</summary>
    private static Task ToHttp(HttpContext context, CosignOutcome outcome) => outcome switch
    {
        // SPEC TW-34: signature lines. SPEC TW-59: for a subtree too.
        CosignOutcome.Cosigned cosigned => Answers.Bytes(context, StatusCodes.Status200OK, cosigned.SignatureLines, Answers.PlainText),
        CosignOutcome.Malformed malformed => Answers.Text(context, StatusCodes.Status400BadRequest, $"{malformed.Reason}\n"),
        CosignOutcome.UnknownOrigin => Answers.Text(context, StatusCodes.Status404NotFound, "unknown log\n"),
        CosignOutcome.NotSigned unsigned => Answers.Text(context, StatusCodes.Status403Forbidden, $"{unsigned.Reason}\n"),
        // SPEC TW-26: the latest cosigned size and a newline. SPEC TW-27: with its own media type, and no parameter.
        CosignOutcome.Stale stale => Answers.Bytes(context, StatusCodes.Status409Conflict, AddCheckpointResponse.SizeToBytes(stale.CosignedSize), AddCheckpointResponse.SizeContentType),
        CosignOutcome.Inconsistent inconsistent => Answers.Text(context, StatusCodes.Status422UnprocessableEntity, $"{inconsistent.Reason}\n"),
        CosignOutcome.TooOften tooOften => Answers.TooOften(context, tooOften.Wait),
        CosignOutcome.Unavailable unavailable => Answers.Unavailable(context, unavailable.Why),
        _ => throw new System.Diagnostics.UnreachableException($"an outcome without a status: {outcome.GetType().Name}"),
    };

    /// <summary>Reads the whole body. Returns null when it is larger than allowed.</summary>
    private async Task<ReadOnlyMemory<byte>?> ReadAsync(HttpContext context)
    {
        if (await RequestBody.ReadAsync(context, MaxBody, bodyTime, time) is not ReadOnlySequence<byte> body) return null;
        byte[] copy = body.ToArray();
        RequestBody.Release(context, body);
        return copy;
    }

    /// <summary>Refuses a request before the end of its body.</summary>
    private static Task Refuse(HttpContext context, int status, string name, string detail)
    {
        Unread(context);
        return Answers.Problem(context, status, name, detail);
    }

    /// <summary>Leaves the rest of the body unread: the connection ends after the answer.</summary>
    private static void Unread(HttpContext context)
    {
        context.Response.Headers.Connection = "close";
        // Otherwise Kestrel would wait 5 s for the rest of the body.
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = 0;
    }
}
