using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.ResourceServer.Http;

/// <summary>Writes answers.</summary>
internal static class Respond
{
    public static async Task StatusAsync(HttpContext context, StatusBody status)
    {
        context.Response.StatusCode = status.Code ?? StatusCodes.Status200OK;
        context.Response.ContentType = "application/json";
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(status, StatusJsonContext.Default.StatusBody);
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
    }

    public static async Task ObjectAsync(HttpContext context, Resource resource, int statusCode = StatusCodes.Status200OK)
    {
        context.Response.StatusCode = statusCode;
        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(ResourceJson.Serialize(resource), context.RequestAborted);
    }

    public static async Task ListAsync(HttpContext context, ResourceType type, IReadOnlyList<Resource> items, string resourceVersion)
    {
        context.Response.ContentType = "application/json";
        await using Utf8JsonWriter writer = new(context.Response.Body);
        writer.WriteStartObject();
        writer.WriteString("apiVersion", Resource.GroupVersion);
        writer.WriteString("kind", type.Kind + "List");
        writer.WriteStartObject("metadata");
        writer.WriteString("resourceVersion", resourceVersion);
        writer.WriteEndObject();
        writer.WriteStartArray("items");
        foreach (Resource item in items)
        {
            writer.WriteRawValue(ResourceJson.Serialize(item), skipInputValidation: true);
            if (writer.BytesPending > 64 * 1024)
                await writer.FlushAsync(context.RequestAborted);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
        await writer.FlushAsync(context.RequestAborted);
    }

    /// <summary>One line of a watch, flushed, so that it is not waiting in a buffer when nothing follows.</summary>
    public static async Task EventAsync(HttpContext context, string type, byte[] payload, CancellationToken cancellationToken)
    {
        using MemoryStream line = new(payload.Length + 64);
        line.Write("{\"type\":\""u8);
        line.Write(System.Text.Encoding.ASCII.GetBytes(type));
        line.Write("\",\"object\":"u8);
        line.Write(payload);
        line.Write("}\n"u8);
        await context.Response.Body.WriteAsync(line.GetBuffer().AsMemory(0, (int)line.Length), cancellationToken);
        await context.Response.Body.FlushAsync(cancellationToken);
    }
}
