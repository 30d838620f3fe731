namespace TransparencyLog.Witness.Http;

/// <summary>Everything that is only read: the checkpoints for monitors, and what operators and their machines ask.</summary>
internal sealed class ReadEndpoints(CheckpointWitness witness, WitnessedLogs logs, Page page, Status status, Metrics metrics)
{
    /// <summary>GET /&lt;origin hash&gt;/checkpoint (c2sp.org/tlog-witness, "Monitor Retrieval Mechanism"). A log taken off the list is still shown.</summary>
    public Task Checkpoint(HttpContext context, in Hash originHash)
    {
        // SPEC TW-74: never cosigned, 404.
        if (logs.Find(originHash)?.Latest is not CosignedCheckpoint latest) return Answers.Text(context, StatusCodes.Status404NotFound, "never cosigned\n");
        // SPEC TW-75: no lag of ours; a cache in front has to ask each time.
        context.Response.Headers.CacheControl = "no-cache";
        // SPEC TW-73: the log's lines and ours. SPEC TW-76: as any checkpoint.
        return Answers.Bytes(context, StatusCodes.Status200OK, latest.Note, Answers.PlainText);
    }

    /// <summary>200 while all is well, 503 when nothing is cosigned (O-03).</summary>
    public Task Health(HttpContext context)
    {
        context.Response.Headers.CacheControl = "no-store";
        return witness.Hindrance is Unavailability why ? Answers.Unavailable(context, why) : Answers.Text(context, StatusCodes.Status200OK, "ok\n");
    }

    /// <summary>GET /status.</summary>
    public Task Status(HttpContext context)
    {
        context.Response.Headers.CacheControl = "no-store";
        return Answers.Bytes(context, StatusCodes.Status200OK, status.Write(), "application/json");
    }

    /// <summary>GET /metrics.</summary>
    public Task Metrics(HttpContext context) =>
        Answers.Text(context, StatusCodes.Status200OK, metrics.Write(), "text/plain; version=0.0.4; charset=utf-8");

    /// <summary>The page for people.</summary>
    public Task Page(HttpContext context)
    {
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers.ContentSecurityPolicy = Http.Page.SecurityPolicy;
        return Answers.Text(context, StatusCodes.Status200OK, page.Write(), Http.Page.ContentType);
    }
}
