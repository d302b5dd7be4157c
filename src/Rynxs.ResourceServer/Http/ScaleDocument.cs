using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Patching;
using Rynxs.ResourceServer.Schemas;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Http;

/// <summary>The scale subresource: <c>autoscaling/v1</c> Scale, read from and written to two places of an object.</summary>
internal static class ScaleDocument
{
    public static JsonObject Of(RegisteredKind kind, StoredDocument stored) => Of(kind, DocumentText.Parse(stored.Body));

    public static JsonObject Of(RegisteredKind kind, JsonObject document)
    {
        JsonObject source = ObjectPipeline.Metadata(document);
        JsonObject metadata = [];
        foreach (string field in (ReadOnlySpan<string>)["name", "namespace", "uid", "resourceVersion", "creationTimestamp"])
        {
            if (source[field] is { } value)
                metadata[field] = value.DeepClone();
        }

        Kinds.ScalePaths paths = kind.Kind.Scale ?? throw new ArgumentException($"{kind} has no scale", nameof(kind));
        JsonObject status = new() { ["replicas"] = Number(At(document, paths.StatusReplicas)) };
        if (paths.LabelSelector is { } path && At(document, path) is JsonValue selector && selector.TryGetValue(out string? text))
            status["selector"] = text;
        JsonObject spec = [];
        if (Number(At(document, paths.SpecReplicas)) is var replicas and not 0)
            spec["replicas"] = replicas;
        return new JsonObject { ["kind"] = "Scale", ["apiVersion"] = "autoscaling/v1", ["metadata"] = metadata, ["spec"] = spec, ["status"] = status };
    }

    /// <exception cref="ApiException">400 or 415.</exception>
    public static JsonObject Read(byte[] body, string mediaType, ObjectRequest request)
    {
        BodyDocument read = mediaType switch
        {
            "application/json" or "" => BodyReader.Parse(body, why => $"the object provided is unrecognized (must be of type Scale): {why}"),
            "application/yaml" => BodyReader.ParseYaml(body, why => $"the object provided is unrecognized (must be of type Scale): {why}"),
            _ => throw BodyReader.Unsupported(),
        };
        JsonObject scale = read.Document as JsonObject ?? throw ApiErrors.BadRequest("the object provided is unrecognized (must be of type Scale): an object is due");
        string name = ObjectPipeline.Text(ObjectPipeline.Metadata(scale), "name");
        if (name.Length > 0 && name != request.Name)
            throw ApiErrors.BadRequest($"the name of the object ({name}) does not match the name on the URL ({request.Name})");
        return scale;
    }

    /// <summary>Patches the Scale of the object and writes it back.</summary>
    public static async Task<WriteResult> PatchAsync(ObjectPipeline pipeline, ObjectRequest request, PatchDocument patch, CancellationToken cancellationToken)
    {
        request = request with { Unconditional = true };
        try
        {
            return await pipeline.ScaleAsync(request, before =>
            {
                if (patch is PatchDocument.Apply apply)
                    return pipeline.ApplyScale(request, before, apply);
                JsonObject wanted = ObjectPipeline.Patched(request, before, patch);
                pipeline.TrackScale(request, before, wanted);
                return wanted;
            }, cancellationToken);
        }
        catch (PatchException e)
        {
            throw ObjectPipeline.Refusal(e);
        }
        catch (ApplyConflictException e)
        {
            throw ObjectPipeline.Refusal(e);
        }
    }

    /// <summary>Replaces the Scale of the object.</summary>
    public static Task<WriteResult> UpdateAsync(ObjectPipeline pipeline, ObjectRequest request, JsonObject wanted, CancellationToken cancellationToken) =>
        pipeline.ScaleAsync(request with { Unconditional = true }, before =>
        {
            JsonObject next = (JsonObject)wanted.DeepClone();
            pipeline.TrackScale(request, before, next);
            return next;
        }, cancellationToken);

    /// <summary>The object with the replicas that a Scale wants, and its conditions.</summary>
    public static JsonObject Write(ObjectRequest request, JsonObject live, JsonObject scale)
    {
        JsonObject conditions = ObjectPipeline.Metadata(scale);
        JsonObject metadata = ObjectPipeline.Metadata(live);
        foreach (string field in (ReadOnlySpan<string>)["uid", "resourceVersion"])
        {
            if (ObjectPipeline.Text(conditions, field) is { Length: > 0 } value)
                metadata[field] = value;
        }

        long replicas = scale["spec"] is JsonObject spec && spec["replicas"] is { } wanted ? Number(wanted) : 0;
        if (replicas is < 0 or > int.MaxValue)
        {
            throw ApiErrors.Invalid("autoscaling", "Scale", request.Name,
                [new StatusCause(CauseReasons.Invalid, $"Invalid value: {replicas.ToString(CultureInfo.InvariantCulture)}: should be a non-negative integer", "spec.replicas")]);
        }

        string[] steps = Steps(request.Kind.Kind.Scale?.SpecReplicas ?? "");
        JsonObject at = live;
        foreach (string step in steps[..^1])
        {
            if (at[step] is not JsonObject inner)
                at[step] = inner = [];
            at = inner;
        }

        at[steps[^1]] = replicas;
        return live;
    }

    private static JsonNode? At(JsonObject document, string path)
    {
        JsonNode? at = document;
        foreach (string step in Steps(path))
            at = at is JsonObject fields ? fields[step] : null;
        return at;
    }

    private static string[] Steps(string path) => path.Split('.', StringSplitOptions.RemoveEmptyEntries);

    private static long Number(JsonNode? node) => node is JsonValue value && value.TryGetValue(out long number) ? number : 0;
}
