using System.Text.Json;
using Microsoft.OpenApi;
using TransparencyLog.Hosting;

namespace TransparencyLog.Server.Http;

/// <summary>GET /proof/inclusion and /proof/consistency: spec/log-api.md, "Proofs".</summary>
internal static class ProofEndpoints
{
    private static readonly string[] Methods = ["GET", "HEAD"];

    public static void Map(WebApplication app, Engine engine)
    {
        app.MapMethods("/proof/inclusion", Methods, Gate.Handle(context => InclusionAsync(context, engine)))
            .WithName("inclusion").WithSummary("Inclusion proof: ?index=I[&size=S]. A tlog-proof when S is the published size (default), otherwise base64 lines; JSON on Accept.")
            .WithQuery("index", JsonSchemaType.Integer, "The entry.", required: true)
            .WithQuery("size", JsonSchemaType.Integer, "A tree size, at most the published one, which is the default.")
            .Produces<string>(200, "text/plain").ProducesProblem(400);
        app.MapMethods("/proof/consistency", Methods, Gate.Handle(context => ConsistencyAsync(context, engine)))
            .WithName("consistency").WithSummary("Consistency proof: ?from=A&to=B, base64 lines; JSON on Accept.")
            .WithQuery("from", JsonSchemaType.Integer, "The smaller tree size.", required: true)
            .WithQuery("to", JsonSchemaType.Integer, "The larger tree size, at most the published one, which is the default.")
            .Produces<string>(200, "text/plain").ProducesProblem(400);
    }

    /// <summary>Upper bound of the bytes of a proof under a checkpoint: the checkpoint, at most 63 hashes, and less than a kilobyte around them.</summary>
    public static long LargestProof(Published published) => published.Checkpoint.Length + (63 * Hash.LineSize) + 1024;

    /// <summary>Builds a tlog-proof (c2sp.org/tlog-proof) under a public checkpoint.</summary>
    public static async ValueTask<byte[]> ProveAsync(Engine engine, Published published, long index, CancellationToken stop)
    {
        Hash[] hashes = await engine.Tiles.BuildAsync(ProofPlan.Inclusion(index, published.Size), published.Tree, stop).ConfigureAwait(false);
        return new TlogProof(index, hashes, published.Checkpoint).ToBytes();
    }

    private static async Task InclusionAsync(HttpContext context, Engine engine)
    {
        Published? published = engine.Publisher.Current;
        long size = published?.Size ?? 0;
        if (!Target.TryReadQuery(Target.Of(context), "index", "size", out long? givenIndex, out long? givenSize) || givenIndex is not long index)
        {
            await Problem.BadRequest("the query is index=I, or index=I&size=S: whole numbers without sign or leading zeros").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        long at = givenSize ?? size;
        if (published is null || at < 1 || at > size || index >= at)
        {
            await Problem.BadRequest($"index must be below size, and size at most the published size, which is {size}").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        if (at == size && !WantsJson(context))
        {
            context.Response.Headers.Vary = "Accept";
            using ByteBudget.Share? room = LargeAnswers.Reserve(LargestProof(published));
            await LargeAnswers.SendAsync(context, 200, "text/plain; charset=utf-8", await ProveAsync(engine, published, index, context.RequestAborted).ConfigureAwait(false), room).ConfigureAwait(false);
            return;
        }

        Hash[] hashes = await engine.Tiles.BuildAsync(ProofPlan.Inclusion(index, at), published.Tree, context.RequestAborted).ConfigureAwait(false);
        await HashesAsync(context, hashes, ("index", index), ("size", at)).ConfigureAwait(false);
    }

    private static async Task ConsistencyAsync(HttpContext context, Engine engine)
    {
        Published? published = engine.Publisher.Current;
        long size = published?.Size ?? 0;
        if (!Target.TryReadQuery(Target.Of(context), "from", "to", out long? givenFrom, out long? givenTo) || givenFrom is not long from)
        {
            await Problem.BadRequest("the query is from=A&to=B: whole numbers without sign or leading zeros").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        long to = givenTo ?? size;
        if (published is null || from > to || to > size)
        {
            await Problem.BadRequest($"from must be at most to, and to at most the published size, which is {size}").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        Hash[] hashes = await engine.Tiles.BuildAsync(ProofPlan.Consistency(from, to), published.Tree, context.RequestAborted).ConfigureAwait(false);
        await HashesAsync(context, hashes, ("from", from), ("to", to)).ConfigureAwait(false);
    }

    private static bool WantsJson(HttpContext context)
    {
        foreach (string? line in context.Request.Headers.Accept)
        {
            // The typed headers are parsed only for a request that may ask for JSON.
            if (line is not null && line.Contains("application/json", StringComparison.OrdinalIgnoreCase))
            {
                return context.Request.GetTypedHeaders().Accept.Any(accept => accept.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase));
            }
        }

        return false;
    }

    private static async Task HashesAsync(HttpContext context, Hash[] hashes, params (string Name, long Value)[] numbers)
    {
        context.Response.Headers.Vary = "Accept";
        if (!WantsJson(context))
        {
            byte[] lines = new byte[hashes.Length * Hash.LineSize];
            for (int i = 0; i < hashes.Length; i++) hashes[i].WriteLine(lines.AsSpan(i * Hash.LineSize));
            await LargeAnswers.SendAsync(context, 200, "text/plain; charset=utf-8", lines).ConfigureAwait(false);
            return;
        }

        using MemoryStream body = new();
        using (Utf8JsonWriter json = new(body))
        {
            json.WriteStartObject();
            foreach ((string name, long value) in numbers) json.WriteNumber(name, value);
            json.WriteStartArray("hashes");
            foreach (Hash hash in hashes) json.WriteBase64StringValue(hash.ToArray());
            json.WriteEndArray();
            json.WriteEndObject();
        }

        await LargeAnswers.SendAsync(context, 200, "application/json", body.GetBuffer().AsMemory(0, (int)body.Length)).ConfigureAwait(false);
    }
}
