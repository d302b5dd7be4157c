using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization.Metadata;
using Rynxs.Server.Hosting;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.OpenApi;

/// <summary>
/// The OpenAPI 3.1 document of the sandbox API, made from the endpoints that are there and the serialisers that write their answers: it cannot name a path, a field or a
/// type that the server does not have.
/// </summary>
internal static class OpenApiDocument
{
    public const string Path = "/openapi.json";
    private static readonly int[] Always = [400, 401, 403, 404, 422, 429, 500];

    public static void MapOpenApi(this IEndpointRouteBuilder endpoints)
    {
        var document = new Lazy<string>(() => Build(endpoints.DataSources.SelectMany(source => source.Endpoints).OfType<RouteEndpoint>()).ToJsonString());
        endpoints.MapGet(Path, (HttpContext context) =>
        {
            _ = context.Principal();
            return Results.Text(document.Value, "application/json");
        });
    }

    internal static JsonObject Build(IEnumerable<RouteEndpoint> endpoints)
    {
        var paths = new JsonObject();
        var schemas = new JsonObject { ["Problem"] = Schema(ProblemJson.Default.Problem) };
        foreach (RouteEndpoint endpoint in endpoints)
        {
            if (endpoint.Metadata.GetMetadata<ApiOperation>() is not { } operation || endpoint.RoutePattern.RawText is not { } route)
            {
                continue;
            }

            string path = route.Replace("{**", "{", StringComparison.Ordinal).Replace(":int}", "}", StringComparison.Ordinal);
            if (paths[path] is not JsonObject item)
            {
                paths[path] = item = [];
            }

            foreach (string method in endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? [])
            {
                item[method.ToLowerInvariant()] = Operation(operation, path, schemas);
            }
        }

        return new JsonObject
        {
            ["openapi"] = "3.1.0",
            ["info"] = new JsonObject
            {
                ["title"] = "Rynxs sandbox API", ["version"] = RynxsServer.Version, ["description"] = "Runs code in sandboxes. docs/api.md says what each field means.",
                ["license"] = new JsonObject { ["name"] = "Apache-2.0" },
            },
            ["security"] = new JsonArray(new JsonObject { ["token"] = new JsonArray() }),
            ["paths"] = paths,
            ["components"] = new JsonObject
            {
                ["securitySchemes"] = new JsonObject { ["token"] = new JsonObject { ["type"] = "http", ["scheme"] = "bearer" } },
                ["schemas"] = schemas,
            },
        };
    }

    private static JsonObject Operation(ApiOperation operation, string path, JsonObject schemas)
    {
        var parameters = new JsonArray();
        foreach (string segment in path.Split('/').Where(segment => segment.StartsWith('{')))
        {
            parameters.Add((JsonNode)new JsonObject { ["name"] = segment.Trim('{', '}'), ["in"] = "path", ["required"] = true, ["schema"] = new JsonObject { ["type"] = "string" } });
        }

        foreach (ApiParameter parameter in operation.Parameters)
        {
            parameters.Add((JsonNode)new JsonObject
            {
                ["name"] = parameter.Name, ["in"] = parameter.In, ["description"] = parameter.Description, ["schema"] = parameter.Schema.DeepClone(),
            });
        }

        var responses = new JsonObject();
        foreach (ApiAnswer answer in operation.Answers)
        {
            var response = new JsonObject { ["description"] = Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(answer.Status) };
            if (answer.Type is { } type)
            {
                schemas[type.Type.Name] ??= Schema(type);
                response["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = Reference(type.Type.Name) } };
            }
            else if (answer.ContentType is { } contentType)
            {
                response["content"] = new JsonObject { [contentType] = new JsonObject() };
            }

            responses[answer.Status.ToString(CultureInfo.InvariantCulture)] = response;
        }

        foreach (int status in Always.Concat(operation.Problems).Distinct().Order())
        {
            responses[status.ToString(CultureInfo.InvariantCulture)] = new JsonObject
            {
                ["description"] = Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(status),
                ["content"] = new JsonObject { ["application/problem+json"] = new JsonObject { ["schema"] = Reference("Problem") } },
            };
        }

        var result = new JsonObject { ["operationId"] = operation.Id, ["summary"] = operation.Summary, ["parameters"] = parameters, ["responses"] = responses };
        if (operation.Body is { } body)
        {
            result["requestBody"] = new JsonObject { ["required"] = true, ["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = body.DeepClone() } } };
        }
        else if (operation.RawBody is { } contentType)
        {
            result["requestBody"] = new JsonObject { ["required"] = true, ["content"] = new JsonObject { [contentType] = new JsonObject() } };
        }

        return result;
    }

    private static JsonNode Schema(JsonTypeInfo type) => type.GetJsonSchemaAsNode(new JsonSchemaExporterOptions { TreatNullObliviousAsNonNullable = true });

    private static JsonObject Reference(string name) => new() { ["$ref"] = $"#/components/schemas/{name}" };
}
