using System.Text.Json;
using System.Text.Json.Serialization;

namespace Rynxs.Server.Identity;

/// <summary>Marks endpoints whose clients read Kubernetes <c>Status</c> bodies instead of problems.</summary>
internal sealed class KubernetesEndpoint
{
    public static KubernetesEndpoint Marker { get; } = new();

    /// <summary>Whether the caller of this request expects a Status: it asks one of our Kubernetes endpoints, or for a path that only they have.</summary>
    public static bool Serves(HttpContext context)
    {
        if (context.GetEndpoint() is { } endpoint && endpoint.Metadata.GetMetadata<KubernetesEndpoint>() is not null)
        {
            return true;
        }

        PathString path = context.Request.Path;
        return path.StartsWithSegments("/apis") || path.StartsWithSegments("/openapi") || path == "/api";
    }
}

/// <summary>A refusal in the form of the API server.</summary>
internal sealed record KubernetesStatus(
    [property: JsonPropertyOrder(3)] string Message, [property: JsonPropertyOrder(4)] string Reason, [property: JsonPropertyOrder(5)] int Code)
{
    public static KubernetesStatus Unauthorized { get; } = new("Unauthorized", "Unauthorized", StatusCodes.Status401Unauthorized);

    public string Kind { get; } = "Status";

    public string ApiVersion { get; } = "v1";

    public IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

    public string Status { get; } = "Failure";

    public async Task WriteAsync(HttpContext context)
    {
        context.Response.StatusCode = Code;
        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(this, KubernetesStatusJson.Default.KubernetesStatus), context.RequestAborted);
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(KubernetesStatus))]
internal sealed partial class KubernetesStatusJson : JsonSerializerContext;
