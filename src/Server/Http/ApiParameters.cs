using Microsoft.OpenApi;

namespace TransparencyLog.Server.Http;

/// <summary>Adds the parameters of a resource to the API document. Handlers read the target as it came over the wire, so ASP.NET cannot infer them.</summary>
internal static class ApiParameters
{
    /// <summary>A path parameter: a whole number, or the path of a tile.</summary>
    public static RouteHandlerBuilder WithPath(this RouteHandlerBuilder route, string name, JsonSchemaType type, string description) =>
        route.With(new OpenApiParameter { Name = name, In = ParameterLocation.Path, Required = true, Description = description, Schema = new OpenApiSchema { Type = type } });

    /// <summary>A query parameter.</summary>
    public static RouteHandlerBuilder WithQuery(this RouteHandlerBuilder route, string name, JsonSchemaType type, string description, bool required = false) =>
        route.With(new OpenApiParameter { Name = name, In = ParameterLocation.Query, Required = required, Description = description, Schema = new OpenApiSchema { Type = type } });

    private static RouteHandlerBuilder With(this RouteHandlerBuilder route, OpenApiParameter parameter) =>
        route.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            operation.Parameters ??= [];
            operation.Parameters.Add(parameter);
            return Task.CompletedTask;
        });
}
