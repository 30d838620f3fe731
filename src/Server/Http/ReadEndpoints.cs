using System.Diagnostics;
using TransparencyLog.Hosting;

namespace TransparencyLog.Server.Http;

/// <summary>GET /checkpoint, tiles, entry bundles (c2sp.org/tlog-tiles), and /entry: spec/log-api.md, "Reading".</summary>
internal static class ReadEndpoints
{
    private static readonly string[] Methods = ["GET", "HEAD"];

    public static void Map(WebApplication app, Engine engine)
    {
        app.MapMethods("/checkpoint", Methods, Gate.Handle(context => CheckpointAsync(context, engine)))
            .WithName("checkpoint").WithSummary("The newest public checkpoint (c2sp.org/tlog-checkpoint).").Produces<string>(200, "text/plain").ProducesProblem(503);
        app.MapMethods("/tile/{**path}", Methods, Gate.Handle(context => TileAsync(context, engine)))
            .WithName("tile").WithSummary("A tile or entry bundle (c2sp.org/tlog-tiles): /tile/L/N[.p/W], /tile/entries/N[.p/W].")
            .WithPath("path", Microsoft.OpenApi.JsonSchemaType.String, "L/N, L/N.p/W, entries/N or entries/N.p/W, as tlog-tiles writes them.").Produces<byte[]>(200, "application/octet-stream").ProducesProblem(404);
        app.MapMethods("/entry/{index}", Methods, Gate.Handle(context => EntryAsync(context, engine)))
            .WithName("entry").WithSummary("The bytes of one entry.")
            .WithPath("index", Microsoft.OpenApi.JsonSchemaType.Integer, "The entry.").Produces<byte[]>(200, "application/octet-stream").ProducesProblem(404);
    }

    private static async Task CheckpointAsync(HttpContext context, Engine engine)
    {
        if (engine.Publisher.Current is not Published published)
        {
            await Problem.Unavailable(new UnavailableException("no checkpoint is public yet: the witnesses have not cosigned one", 2)).ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        // SPEC TT-03: caches may keep it a few seconds at most.
        context.Response.Headers.CacheControl = "public, max-age=1";
        await LargeAnswers.SendAsync(context, 200, "text/plain; charset=utf-8", published.Checkpoint).ConfigureAwait(false);
    }

    private static async Task TileAsync(HttpContext context, Engine engine)
    {
        if (!Target.TryReadTile(Target.Of(context), out TilePath path)) throw new UnreachableException("the gate lets only paths of tiles through");
        Published? published = engine.Publisher.Current;
        if (published is null || !path.IsCoveredBy(published.Size))
        {
            await NoTile(published).ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        bool isFullBundle = path is { IsEntries: true, IsPartial: false };
        bool gzip = isFullBundle && AcceptEncoding.PrefersGzip(context.Request.Headers.AcceptEncoding);
        if (await engine.Tiles.ServeAsync(path, published.Tree, gzip, LargeAnswers.Budget, context.RequestAborted).ConfigureAwait(false) is not Served served)
        {
            await NoTile(published).ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        using (served)
        {
            // SPEC TT-26: bundles are compressed at the HTTP level, for clients that ask.
            if (isFullBundle) context.Response.Headers.Vary = "Accept-Encoding";
            if (served.IsGzip) context.Response.Headers.ContentEncoding = "gzip";
            Immutable(context);
            await LargeAnswers.SendAsync(context, 200, "application/octet-stream", served.Bytes, served.Room).ConfigureAwait(false);
        }
    }

    private static Problem NoTile(Published? published) => Problem.NotFound($"the published tree of size {published?.Size ?? 0} does not have this tile");

    private static async Task EntryAsync(HttpContext context, Engine engine)
    {
        if (!Target.TryReadEntry(Target.Of(context), out long index)) throw new UnreachableException("the gate lets only indexes through");
        Published? published = engine.Publisher.Current;
        if (published is null || index >= published.Size)
        {
            await Problem.NotFound($"the published tree has size {published?.Size ?? 0}").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        byte[] entry = await engine.Tiles.GetEntryAsync(index, published.Tree, context.RequestAborted).ConfigureAwait(false);
        Immutable(context);
        await LargeAnswers.SendAsync(context, 200, "application/octet-stream", entry).ConfigureAwait(false);
    }

    /// <summary>SPEC TT-12: what is below the published size never changes.</summary>
    private static void Immutable(HttpContext context) => context.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
}
