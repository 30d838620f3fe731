using TransparencyLog.Hosting;

namespace TransparencyLog.Witness.Http;

/// <summary>The resources that are only read: checkpoints for monitors, and state for operators and their machines.</summary>
internal sealed class ReadEndpoints(CheckpointWitness witness, WitnessedLogs logs, Page page, Status status, Metrics metrics, TimeProvider time)
{
    private readonly SharedAnswer<PagedAnswer> _page = new(page.Write, answer => answer.Length, time), _status = new(status.Write, answer => answer.Length, time);
    private readonly SharedAnswer<byte[]> _metrics = new(() => System.Text.Encoding.UTF8.GetBytes(metrics.Write()), answer => answer.Length, time);

    /// <summary>
    /// GET /&lt;origin hash&gt;/checkpoint (c2sp.org/tlog-witness, "Monitor Retrieval Mechanism"). A log that was taken off the list is still served.
    /// </summary>
    public Task Checkpoint(HttpContext context, in Hash originHash)
    {
        // SPEC TW-74: never cosigned, 404.
        if (logs.Find(originHash)?.Latest is not CosignedCheckpoint latest) return Answers.Text(context, StatusCodes.Status404NotFound, "never cosigned\n");
        // SPEC TW-75: no lag of ours; a cache in front has to ask each time.
        context.Response.Headers.CacheControl = "no-cache";
        // SPEC TW-73: the log's lines and ours. SPEC TW-76: as any checkpoint.
        return Answers.Bytes(context, StatusCodes.Status200OK, latest.Note, Answers.PlainText);
    }

    /// <summary>Answers 503 when nothing is cosigned (O-03), otherwise 200. Readiness is also 503 when a log waits for the clock (N-03).</summary>
    public Task Health(HttpContext context, bool ready)
    {
        context.Response.Headers.CacheControl = "no-store";
        return (ready ? witness.Trouble : witness.Hindrance) is Unavailability why ? Answers.Unavailable(context, why) : Answers.Text(context, StatusCodes.Status200OK, "ok\n");
    }

    /// <summary>GET /status.</summary>
    public Task Status(HttpContext context) => Paged(context, _status, Http.Status.UsualLimit, "application/json");

    /// <summary>GET /metrics.</summary>
    public Task Metrics(HttpContext context) =>
        Answers.Bytes(context, StatusCodes.Status200OK, _metrics.Get(), "text/plain; version=0.0.4; charset=utf-8");

    /// <summary>The page for people.</summary>
    public Task Page(HttpContext context)
    {
        context.Response.Headers.ContentSecurityPolicy = Http.Page.SecurityPolicy;
        return Paged(context, _page, Http.Page.UsualLimit, Http.Page.ContentType);
    }

    private static async Task Paged(HttpContext context, SharedAnswer<PagedAnswer> answer, int usual, string contentType)
    {
        context.Response.Headers.CacheControl = "no-store";
        if (!PageRequest.TryParse(RequestTarget.Of(context), usual, out PageRequest request))
        {
            await Answers.Problem(context, StatusCodes.Status400BadRequest, "bad-request", $"the query is from=HASH, an origin hash, and limit=N, 1 to {PageRequest.MostItems}, each at most once");
        }
        else if (!await answer.Get().TrySendAsync(context, request, contentType))
        {
            await Answers.Problem(context, StatusCodes.Status400BadRequest, "bad-request", "from is the origin hash of no log of this witness");
        }
    }
}
