using System.Text;
using System.Text.Json;
using Microsoft.OpenApi;

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

    /// <summary>A tlog-proof (c2sp.org/tlog-proof) under a public checkpoint.</summary>
    public static async ValueTask<byte[]> ProveAsync(Engine engine, Published published, long index, CancellationToken stop)
    {
        Hash[] hashes = await engine.Tiles.BuildAsync(ProofPlan.Inclusion(index, published.Size), published.Tree, stop).ConfigureAwait(false);
        return new TlogProof(index, hashes, published.Checkpoint).ToBytes();
    }

    private static async Task InclusionAsync(HttpContext context, Engine engine)
    {
        Published? published = engine.Publisher.Current;
        long size = published?.Size ?? 0;
        if (!TryRead(context, "index", null, out long index) || !TryRead(context, "size", size, out long at) || context.Request.Query.Keys.Any(key => key is not ("index" or "size")))
        {
            await Problem.BadRequest("the query is index=I, or index=I&size=S: whole numbers without sign or leading zeros").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        if (published is null || at < 1 || at > size || index >= at)
        {
            await Problem.BadRequest($"index must be below size, and size at most the published size, which is {size}").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        if (at == size && !WantsJson(context))
        {
            context.Response.Headers.Vary = "Accept";
            await AppendEndpoints.BytesAsync(context, 200, "text/plain; charset=utf-8", await ProveAsync(engine, published, index, context.RequestAborted).ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        Hash[] hashes = await engine.Tiles.BuildAsync(ProofPlan.Inclusion(index, at), published.Tree, context.RequestAborted).ConfigureAwait(false);
        await HashesAsync(context, hashes, ("index", index), ("size", at)).ConfigureAwait(false);
    }

    private static async Task ConsistencyAsync(HttpContext context, Engine engine)
    {
        Published? published = engine.Publisher.Current;
        long size = published?.Size ?? 0;
        if (!TryRead(context, "from", null, out long from) || !TryRead(context, "to", size, out long to) || context.Request.Query.Keys.Any(key => key is not ("from" or "to")))
        {
            await Problem.BadRequest("the query is from=A&to=B: whole numbers without sign or leading zeros").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        if (published is null || from > to || to > size)
        {
            await Problem.BadRequest($"from must be at most to, and to at most the published size, which is {size}").ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        Hash[] hashes = await engine.Tiles.BuildAsync(ProofPlan.Consistency(from, to), published.Tree, context.RequestAborted).ConfigureAwait(false);
        await HashesAsync(context, hashes, ("from", from), ("to", to)).ConfigureAwait(false);
    }

    private static bool TryRead(HttpContext context, string name, long? fallback, out long value)
    {
        Microsoft.Extensions.Primitives.StringValues values = context.Request.Query[name];
        value = fallback ?? 0;
        if (values.Count == 0) return fallback is not null;
        return values.Count == 1 && Strict.TryReadSize(Encoding.UTF8.GetBytes(values[0] ?? ""), out value);
    }

    private static bool WantsJson(HttpContext context) =>
        context.Request.GetTypedHeaders().Accept.Any(accept => accept.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase));

    private static async Task HashesAsync(HttpContext context, Hash[] hashes, params (string Name, long Value)[] numbers)
    {
        context.Response.Headers.Vary = "Accept";
        if (!WantsJson(context))
        {
            StringBuilder lines = new();
            foreach (Hash hash in hashes) lines.Append(hash.ToBase64()).Append('\n');
            await AppendEndpoints.BytesAsync(context, 200, "text/plain; charset=utf-8", Encoding.ASCII.GetBytes(lines.ToString())).ConfigureAwait(false);
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

        await AppendEndpoints.BytesAsync(context, 200, "application/json", body.GetBuffer().AsMemory(0, (int)body.Length)).ConfigureAwait(false);
    }
}
