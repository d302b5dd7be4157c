using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Rynxs.ResourceServer.Http;
using Rynxs.ResourceServer.Objects;

namespace Rynxs.ResourceServer.Protobuf;

/// <summary>Turns a protobuf body into the JSON that the rest of the server reads.</summary>
internal static class ProtobufBody
{
    /// <exception cref="ApiException">400: it is no object; 413.</exception>
    public static async Task ReplaceAsync(HttpContext context, int maxBytes)
    {
        if (BodyReader.MediaTypeOf(context.Request) != ProtobufDocument.MediaType)
            return;
        byte[] body = await BodyReader.ReadAsync(context.Request, maxBytes, context.RequestAborted);
        JsonObject document;
        try
        {
            document = body.Length == 0 ? [] : ProtobufDocument.Read(body);
        }
        catch (FormatException e)
        {
            throw ApiErrors.BadRequest($"the protobuf body of the request cannot be read: {e.Message}");
        }

        byte[] json = body.Length == 0 ? [] : JsonSerializer.SerializeToUtf8Bytes(document, ProtobufJson.Default.JsonObject);
        context.Request.Body = new MemoryStream(json, writable: false);
        context.Request.ContentLength = json.Length;
        context.Request.ContentType = "application/json";
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(JsonObject))]
internal sealed partial class ProtobufJson : System.Text.Json.Serialization.JsonSerializerContext;
