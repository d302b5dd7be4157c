using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Protobuf;

namespace Rynxs.Server.Identity.Reviews;

/// <summary>Reads the body of a review and answers in kind: the same object with its status.</summary>
internal static class ReviewRequest
{
    private const int MaxBodyBytes = 64 * 1024;

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = 16 };

    /// <summary>The object; null when a refusal was sent.</summary>
    public static async Task<JsonObject?> ReadAsync(HttpContext context, string apiVersion, string kind)
    {
        string mediaType = (context.Request.ContentType ?? "").Split(';')[0].Trim();
        bool protobuf = mediaType.Equals(ProtobufDocument.MediaType, StringComparison.OrdinalIgnoreCase);
        if (!protobuf && !mediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase))
        {
            await new KubernetesStatus(
                "the body of the request was in an unknown format - accepted media types include: application/json, application/vnd.kubernetes.protobuf",
                "UnsupportedMediaType", StatusCodes.Status415UnsupportedMediaType).WriteAsync(context);
            return null;
        }

        if (await ReadBoundedAsync(context) is not { } body)
        {
            await new KubernetesStatus($"the body is larger than {MaxBodyBytes} bytes", "RequestEntityTooLarge", StatusCodes.Status413PayloadTooLarge).WriteAsync(context);
            return null;
        }

        JsonObject? given = null;
        try
        {
            given = protobuf ? ProtobufDocument.Read(body) : JsonNode.Parse(body, nodeOptions: null, Strict) as JsonObject;
        }
        catch (Exception exception) when (exception is JsonException or FormatException)
        {
            // Answered below, like any other body that is no object.
        }

        if (given is null || Text(given["kind"]) != kind || Text(given["apiVersion"]) != apiVersion)
        {
            await BadRequest(context, $"the body is not an object of {apiVersion}, Kind={kind}");
            return null;
        }

        return given;
    }

    /// <summary>201 with the object and its status.</summary>
    public static async Task AnswerAsync(HttpContext context, JsonObject given, JsonObject status)
    {
        JsonObject metadata = given["metadata"]?.DeepClone() as JsonObject ?? [];
        if (metadata["creationTimestamp"] is null)
        {
            // Clients of Go send it as null; the real server's answer leaves it out.
            metadata.Remove("creationTimestamp");
        }

        var answer = new JsonObject
        {
            ["kind"] = given["kind"]?.DeepClone(),
            ["apiVersion"] = given["apiVersion"]?.DeepClone(),
            ["metadata"] = metadata,
        };
        if (given["spec"] is { } spec)
        {
            answer["spec"] = spec.DeepClone();
        }

        answer["status"] = status;
        context.Response.StatusCode = StatusCodes.Status201Created;
        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(answer, ServerJson.Default.JsonObject), context.RequestAborted);
    }

    public static Task BadRequest(HttpContext context, string message) =>
        new KubernetesStatus(message, "BadRequest", StatusCodes.Status400BadRequest).WriteAsync(context);

    public static Task Invalid(HttpContext context, string kind, string field, string message) =>
        new KubernetesStatus($"{kind} is invalid: {field}: {message}", "Invalid", StatusCodes.Status422UnprocessableEntity).WriteAsync(context);

    public static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    public static IReadOnlyList<string> Texts(JsonNode? node) => node is JsonArray array ? [.. array.Select(Text).OfType<string>()] : [];

    private static async Task<byte[]?> ReadBoundedAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        byte[] buffer = new byte[8 * 1024];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer, context.RequestAborted)) > 0)
        {
            if (body.Length + read > MaxBodyBytes)
            {
                return null;
            }

            body.Write(buffer, 0, read);
        }

        return body.ToArray();
    }
}
