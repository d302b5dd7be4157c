using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Objects;

namespace Rynxs.ResourceServer.Http;

/// <summary>Reads the bodies of patches.</summary>
internal static class PatchBody
{
    /// <param name="body">Bounded already.</param>
    /// <param name="mediaType">One of the four.</param>
    /// <param name="request">What is patched.</param>
    /// <param name="force">Of an apply.</param>
    /// <param name="scale">The document is a Scale and not of the kind.</param>
    /// <exception cref="ApiException">400.</exception>
    public static (PatchDocument Patch, IReadOnlyList<string> Duplicates) Read(byte[] body, string mediaType, ObjectRequest request, bool force, bool scale)
    {
        if (mediaType == "application/apply-patch+yaml")
        {
            // JSON is YAML; what begins like it is read as it, because it is many times faster.
            int first = body.AsSpan().IndexOfAnyExcept(" \t\r\n"u8);
            BodyDocument read = first >= 0 && body[first] == (byte)'{'
                ? BodyReader.Parse(body, why => $"error decoding YAML: {why}")
                : BodyReader.ParseYaml(body, why => $"error decoding YAML: {why}");
            if (read.Document is not JsonObject applied)
                throw ApiErrors.BadRequest("error decoding YAML: an object is due");
            if (!scale)
            {
                if (ObjectPipeline.Text(applied, "apiVersion").Length == 0 || ObjectPipeline.Text(applied, "kind").Length == 0)
                    throw ApiErrors.BadRequest("apiVersion and kind must be set in the applied configuration");
                BodyReader.CheckKind(applied, request.Kind);
            }

            return (new PatchDocument.Apply(applied, force), read.Duplicates);
        }

        BodyDocument patch = BodyReader.Parse(body, why => $"error decoding patch: {why}");
        return (mediaType switch
        {
            "application/json-patch+json" => new PatchDocument.Json(patch.Document as JsonArray ?? throw ApiErrors.BadRequest("error decoding patch: a JSON patch is an array of operations")),
            "application/merge-patch+json" => new PatchDocument.Merge(patch.Document as JsonObject ?? throw ApiErrors.BadRequest("error decoding patch: a merge patch is an object")),
            _ => new PatchDocument.Strategic(patch.Document as JsonObject ?? throw ApiErrors.BadRequest("error decoding patch: a strategic merge patch is an object")),
        }, patch.Duplicates);
    }
}
