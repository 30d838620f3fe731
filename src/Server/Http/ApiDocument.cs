using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using TransparencyLog.Hosting;

namespace TransparencyLog.Server.Http;

/// <summary>
/// GET /openapi/v1.json: the interface for tools. It depends only on the routes, so it is built once. ASP.NET would build it for each request, at a thousand
/// times the cost of a tile.
/// </summary>
internal static class ApiDocument
{
    private const string Name = "v1";

    public static void Add(IServiceCollection services) => services.AddOpenApi(Name, api => api.AddDocumentTransformer((document, _, _) =>
    {
        document.Info.Title = "TransparencyLog";
        document.Info.Description = "A transparency log: c2sp.org/tlog-tiles and more; spec/log-api.md.";
        document.Servers = [];
        return Task.CompletedTask;
    }));

    public static void Map(WebApplication app)
    {
        Lazy<Task<byte[]>> document = new(() => MakeAsync(app.Services));
        app.MapMethods($"/openapi/{Name}.json", ["GET", "HEAD"], Gate.Handle(async context => await LargeAnswers.SendAsync(context, 200, "application/json;charset=utf-8", await document.Value.ConfigureAwait(false)).ConfigureAwait(false)))
            .ExcludeFromDescription();
    }

    private static async Task<byte[]> MakeAsync(IServiceProvider services)
    {
        OpenApiDocument document = await services.GetRequiredKeyedService<IOpenApiDocumentProvider>(Name).GetOpenApiDocumentAsync().ConfigureAwait(false);
        using MemoryStream bytes = new();
        await document.SerializeAsJsonAsync(bytes, OpenApiSpecVersion.OpenApi3_1).ConfigureAwait(false);
        return bytes.ToArray();
    }
}
