using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Patching;
using Rynxs.ResourceServer.Schemas;
using Rynxs.Resources.Serialization;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>One request to one custom resource.</summary>
internal sealed record DocumentRequest(string Method, string ContentType, JsonNode? Body, string Manager = "", string Subresource = "", bool Force = false);

/// <summary>A status, and the object or the message.</summary>
internal sealed record DocumentAnswer(int Status, JsonObject? Document, string Message = "");

/// <summary>
/// The few steps that a server makes around patching and ownership for an object with a status, so that recorded exchanges can be
/// replayed without one: prune, default, track, and keep what the request may not touch. No validation, names or storage.
/// </summary>
internal sealed class DocumentRequests(StructuralSchema schema, string apiVersion, string kind, ServedKind? builtIn = null)
{
    private readonly JsonObject? _blank = builtIn is null ? null : ResetFields.BlankOf(builtIn);

    public const string ApplyType = "application/apply-patch+yaml";
    public const string MergeType = "application/merge-patch+json";
    public const string JsonPatchType = "application/json-patch+json";

    public const string StrategicType = "application/strategic-merge-patch+json";

    public JsonObject? Live { get; set; }

    public DocumentAnswer Execute(DocumentRequest request, DateTimeOffset now)
    {
        try
        {
            bool creates = Live is null;
            JsonObject next = request.ContentType == ApplyType ? Applied(request, now) : Updated(request, now);
            DropEmptyMetadata(next);
            JsonObject settled = Settled(next, request.Subresource);
            if (Live is not null)
                ManagedFields.KeepTimesIfUnchanged(Live, settled);
            Live = settled;
            return new DocumentAnswer(creates ? 201 : 200, Live.DeepClone().AsObject());
        }
        catch (PatchException e)
        {
            return new DocumentAnswer(e.StatusCode, null, e.Message);
        }
        catch (ApplyConflictException e)
        {
            return new DocumentAnswer(409, null, e.Message);
        }
    }

    /// <summary>The time at which a server answered: nothing in an object is younger.</summary>
    public static DateTimeOffset TimeOf(JsonObject document)
    {
        DateTimeOffset latest = DateTimeOffset.UnixEpoch;
        foreach (JsonNode? entry in document["metadata"]?["managedFields"]?.AsArray() ?? [])
        {
            if ((string?)entry!["time"] is { } text && DateTimeOffset.Parse(text, CultureInfo.InvariantCulture) is var time && time > latest)
                latest = time;
        }

        return latest;
    }

    private JsonObject Applied(DocumentRequest request, DateTimeOffset now)
    {
        JsonObject next = ServerSideApply.Apply(Live, request.Body!.AsObject(), schema, new ApplyRequest
        {
            Manager = request.Manager,
            ApiVersion = apiVersion,
            Kind = kind,
            Subresource = request.Subresource,
            Force = request.Force,
            Now = now,
            IgnoredPaths = Ignored(request.Subresource),
            Blank = _blank,
        });
        SchemaPruner.Prune(next, schema);
        Default(next);
        return next;
    }

    private JsonObject Updated(DocumentRequest request, DateTimeOffset now)
    {
        JsonObject next = request.ContentType switch
        {
            MergeType => MergePatch.Apply(Live!, request.Body!.AsObject()),
            JsonPatchType => JsonPatch.Apply(Live!, request.Body!.AsArray()),
            StrategicType => StrategicMergePatch.Apply(Live!, request.Body!.AsObject(), schema),
            _ => request.Body!.DeepClone().AsObject(),
        };
        SchemaPruner.Prune(next, schema);
        Default(next);
        DropEmptyMetadata(next);
        ManagedFields.Track(Live, next, schema, new UpdateRequest
        {
            Manager = request.Manager,
            ApiVersion = apiVersion,
            Subresource = request.Subresource,
            Now = now,
            IgnoredPaths = Ignored(request.Subresource),
            Blank = _blank,
        });
        return next;
    }

    private JsonObject Settled(JsonObject next, string subresource)
    {
        JsonObject settled = next.DeepClone().AsObject();
        JsonObject metadata = settled["metadata"]!.AsObject();
        if (Live is null)
        {
            metadata["uid"] = "u";
            settled.Remove("status");
            return settled;
        }

        if (subresource == "status")
        {
            JsonNode? managers = metadata["managedFields"]?.DeepClone();
            JsonNode? status = settled["status"]?.DeepClone();
            settled = Live.DeepClone().AsObject();
            settled["metadata"]!.AsObject().Remove("managedFields");
            if (managers is not null)
                settled["metadata"]!["managedFields"] = managers;
            settled.Remove("status");
            if (status is not null)
                settled["status"] = status;
            return settled;
        }

        foreach (string name in new[] { "uid", "creationTimestamp", "generation", "resourceVersion", "namespace" })
        {
            metadata.Remove(name);
            if (Live["metadata"]![name] is { } kept)
                metadata[name] = kept.DeepClone();
        }

        settled.Remove("status");
        if (Live["status"] is { } before)
            settled["status"] = before.DeepClone();
        return settled;
    }

    /// <summary>A custom resource's metadata is read into a type that leaves out what is empty.</summary>
    private static void DropEmptyMetadata(JsonObject document)
    {
        JsonObject metadata = document["metadata"]!.AsObject();
        foreach ((string name, JsonNode? value) in metadata.ToArray())
        {
            if (value is null or JsonObject { Count: 0 } or JsonArray { Count: 0 })
                metadata.Remove(name);
        }
    }

    private void Default(JsonObject document)
    {
        SchemaDefaulter.Default(document, schema);
        builtIn?.ExtraDefaulting?.Invoke(document);
    }

    private IReadOnlyList<string> Ignored(string subresource) =>
        builtIn is not null ? ResetFields.Of(builtIn, subresource) : subresource == "status" ? ["metadata", "spec"] : ["status"];
}
