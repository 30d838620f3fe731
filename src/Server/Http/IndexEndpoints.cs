using Microsoft.OpenApi;

namespace TransparencyLog.Server.Http;

/// <summary>GET /index/LEAFHASH: spec/log-api.md, "Reading".</summary>
internal static class IndexEndpoints
{
    private static readonly string[] Methods = ["GET", "HEAD"];

    public static void Map(WebApplication app, Engine engine) =>
        app.MapMethods("/index/{hash}", Methods, Gate.Handle(context => IndexAsync(context, engine)))
            .WithName("index").WithSummary("The index of the entry with this leaf hash.")
            .WithDescription("For logs served with duplicate-index full; 503 while that index is being made and the hash was not found yet.")
            .WithPath("hash", JsonSchemaType.String, "The leaf hash, SHA-256 of a zero byte and the entry: 64 lower-case hexadecimal digits.")
            .Produces<string>(200, "text/plain").ProducesProblem(404).ProducesProblem(503);

    private static async Task IndexAsync(HttpContext context, Engine engine)
    {
        Target.TryReadHash(Target.Of(context), out Hash leaf);
        if (engine.Duplicates.Full is not FullIndex full)
        {
            await Problem.NotFound("this log does not look entries up by their hash: its operator can turn that on with duplicate-index full").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        // Read before the look-up: the index may become complete during the look-up, and a miss is then not yet final.
        bool complete = full.IsComplete;
        Published? published = engine.Publisher.Current;
        long index = published is null ? -1 : await engine.Duplicates.FindAsync(leaf, published.Tree, context.RequestAborted).ConfigureAwait(false);
        if (index < 0)
        {
            Problem answer = complete
                ? Problem.NotFound($"no entry of the published tree of size {published?.Size ?? 0} has this leaf hash")
                : Problem.Unavailable(new UnavailableException("not found, but the index is being made and does not cover every entry yet", 5));
            await answer.ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        // SPEC TT-12 holds for this too: what is at an index never changes.
        context.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
        await AppendEndpoints.IndexAsync(context, 200, index).ConfigureAwait(false);
    }
}
