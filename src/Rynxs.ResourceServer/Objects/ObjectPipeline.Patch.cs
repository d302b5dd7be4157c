using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Patching;
using Rynxs.ResourceServer.Schemas;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Serialization;

namespace Rynxs.ResourceServer.Objects;

/// <summary>A patch by its media type.</summary>
internal abstract record PatchDocument
{
    private PatchDocument()
    {
    }

    /// <summary>RFC 6902.</summary>
    public sealed record Json(JsonArray Operations) : PatchDocument;

    /// <summary>RFC 7396.</summary>
    public sealed record Merge(JsonObject Patch) : PatchDocument;

    /// <summary>A merge patch that knows lists by their keys; built-in kinds only.</summary>
    public sealed record Strategic(JsonObject Patch) : PatchDocument;

    /// <summary>Server-side apply.</summary>
    public sealed record Apply(JsonObject Configuration, bool Force) : PatchDocument;
}

internal sealed partial class ObjectPipeline
{
    /// <summary>Changes an object by a patch; an apply may create it.</summary>
    public async Task<WriteResult> PatchAsync(ObjectRequest request, PatchDocument patch, IReadOnlyList<string> duplicates, CancellationToken cancellationToken)
    {
        // A version in the patch is a condition; without one a patch is tried again on what came between.
        request = request with { Unconditional = true };
        try
        {
            if (patch is PatchDocument.Apply apply)
                return await ApplyAsync(request, apply, duplicates, cancellationToken);
            return await ChangeAsync(request, request.Name, Verb(request, "patch"), (live, stored) =>
            {
                if (live is null || stored is null)
                    throw ApiErrors.NotFound(request.Kind.Kind, request.Name);
                JsonObject given = Patched(request, live, patch);
                PruneAfterPatch(request, given, patch, duplicates);
                return Replace(request, given, live, stored);
            }, cancellationToken);
        }
        catch (PatchException e)
        {
            throw Refusal(e);
        }
    }

    /// <summary>A patch applied to another document than a stored one, such as a Scale.</summary>
    public static JsonObject Patched(ObjectRequest request, JsonObject document, PatchDocument patch)
    {
        JsonObject patched = patch switch
        {
            PatchDocument.Json json => JsonPatch.Apply(document, json.Operations),
            PatchDocument.Merge merge => MergePatch.Apply(document, merge.Patch),
            PatchDocument.Strategic strategic => StrategicMergePatch.Apply(document, strategic.Patch, request.Kind.Kind.Schema),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
        string name = Text(Metadata(patched), "name");
        if (name != request.Name)
            throw ApiErrors.BadRequest($"the name of the object ({name}) does not match the name on the URL ({request.Name})");
        if (request.Kind.Kind.Namespaced && Text(Metadata(patched), "namespace") != request.Namespace)
            throw ApiErrors.BadRequest("the namespace of the provided object does not match the namespace sent on the request");
        return patched;
    }

    public static ApiException Refusal(PatchException e) => new(new ApiStatus
    {
        Code = e.StatusCode,
        Reason = e.Reason,
        Message = e.Message,
        Details = e.Causes.Count > 0 || e.HasDetails ? new ApiStatusDetails { Causes = e.Causes } : null,
    });

    public static ApiException Refusal(ApplyConflictException e) =>
        new(new ApiStatus { Code = 409, Reason = "Conflict", Message = e.Message, Details = new ApiStatusDetails { Causes = e.Causes } });

    private async Task<WriteResult> ApplyAsync(ObjectRequest request, PatchDocument.Apply apply, IReadOnlyList<string> duplicates, CancellationToken cancellationToken)
    {
        JsonObject applied = apply.Configuration;
        string name = Text(Metadata(applied), "name");
        if (name.Length > 0 && name != request.Name)
            throw ApiErrors.BadRequest($"the name of the object ({name}) does not match the name on the URL ({request.Name})");
        if (name.Length == 0)
            throw ApiErrors.BadRequest($"the name of the object ({request.Name} based on URL) was undeterminable: name must be provided");
        ApplyRequest how = new()
        {
            Manager = request.FieldManager,
            ApiVersion = request.Kind.Kind.ApiVersion,
            Kind = request.Kind.Kind.Kind,
            Subresource = request.Subresource ?? "",
            Force = apply.Force,
            Now = Now(),
            IgnoredPaths = ResetFields.Of(request.Kind.Kind, request.Subresource ?? ""),
            OtherVersions = Tracked(request).OtherVersions,
            Blank = ResetFields.BlankOf(request.Kind.Kind),
        };
        try
        {
            bool checkedNamespace = false;
            if (await store.FindAsync(Key(request, request.Name), cancellationToken) is null && request.Subresource is null)
            {
                await RequireNamespaceAsync(request, request.Name, cancellationToken);
                checkedNamespace = true;
            }

            return await ChangeAsync(request, request.Name, Verb(request, "patch"), (live, stored) =>
            {
                if (live is null || stored is null)
                {
                    if (request.Subresource is not null || !checkedNamespace)
                        throw ApiErrors.NotFound(request.Kind.Kind, request.Name);
                    if (Text(Metadata(applied), "uid").Length > 0)
                        throw ApiErrors.Conflict(request.Kind.Kind, request.Name, $"uid mismatch: the provided object specified uid {Text(Metadata(applied), "uid")}, and no existing object was found");
                    JsonObject made = ServerSideApply.Apply(null, applied, request.Kind.Kind.Schema, how);
                    Address(request, made);
                    Prune(request, made, duplicates);
                    PrepareCreate(request, made, tracks: false);
                    return new Decision.Put(made);
                }

                JsonObject next = ServerSideApply.Apply(live, applied, request.Kind.Kind.Schema, how);
                Address(request, next);
                Prune(request, next, duplicates);
                JsonNode? managers = Copy(Metadata(next)["managedFields"]);
                // Conditions are those of the configuration: the merged document has the live object's.
                CarryConditions(applied, next);
                return Replace(request, next, live, stored, managers);
            }, cancellationToken);
        }
        catch (ApplyConflictException e)
        {
            throw Refusal(e);
        }
    }

    private Decision Replace(ObjectRequest request, JsonObject next, JsonObject live, StoredDocument stored, JsonNode? managers)
    {
        Decision decision = Replace(request, next, live, stored, tracks: false);
        if (decision is not Decision.Put put)
            return decision;
        // A status write starts from the live object and so from its managers.
        if (managers is not null)
            Metadata(put.Next)["managedFields"] = managers;
        ManagedFields.KeepTimesIfUnchanged(live, put.Next);
        return JsonNode.DeepEquals(put.Next, live) ? new Decision.Keep() : put;
    }

    private static void CarryConditions(JsonObject from, JsonObject to)
    {
        foreach (string field in (ReadOnlySpan<string>)["uid", "resourceVersion"])
        {
            if (Text(Metadata(from), field) is { Length: > 0 } value)
                Metadata(to)[field] = value;
        }
    }

    /// <summary>Unknown fields that a patch brought. Under Strict the real server quotes the whole patch; so that nothing secret comes back, we do not.</summary>
    private static void PruneAfterPatch(ObjectRequest request, JsonObject given, PatchDocument patch, IReadOnlyList<string> duplicates)
    {
        if (request.FieldValidation != FieldValidation.Strict || patch is PatchDocument.Apply)
        {
            Prune(request, given, duplicates);
            return;
        }

        IReadOnlyList<string> unknown = SchemaPruner.Prune(given, request.Kind.Kind.Schema);
        string[] problems = [.. duplicates.Select(path => $"duplicate field \"{path}\""), .. unknown.Select(path => $"unknown field \"{path}\"")];
        if (problems.Length == 0)
            return;
        throw ApiErrors.Invalid("", "", "", [new StatusCause(CauseReasons.Invalid, $"Invalid value: strict decoding error: {string.Join(", ", problems)}", "patch")]);
    }
}
