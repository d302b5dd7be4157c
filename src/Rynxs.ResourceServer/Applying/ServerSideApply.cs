using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Patching;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>Server-side apply: merges a configuration into an object, with fields owned by managers.</summary>
public static class ServerSideApply
{
    /// <summary>
    /// The merged object with its new <c>metadata.managedFields</c>, not yet defaulted; neither document is changed. What is in neither of the
    /// two is not invented: names, uids and namespaces are the caller's part.
    /// </summary>
    /// <param name="live">The stored object; null to create.</param>
    /// <param name="applied">What the manager wants: apiVersion, kind, metadata.name and the fields that it has an opinion of.</param>
    /// <param name="schema">Of the whole object in the request's version.</param>
    /// <param name="request">Who applies, where and when.</param>
    /// <exception cref="ApplyConflictException">Another manager owns a field that would change.</exception>
    /// <exception cref="PatchException">400: wrong version, managedFields set. 500 (sic): a field that the schema does not know, a wrong type, a duplicate key.</exception>
    public static JsonObject Apply(JsonObject? live, JsonObject applied, StructuralSchema schema, ApplyRequest request)
    {
        string version = Text(applied["apiVersion"]);
        string kind = Text(applied["kind"]);
        if (version != request.ApiVersion || (request.Kind is { } expected && kind != expected))
            throw PatchException.BadRequest($"invalid object type: {(version.Contains('/', StringComparison.Ordinal) ? version : "/" + version)}, Kind={kind}");
        if (ObjectFields.Managers(applied) is not null)
            throw PatchException.BadRequest("metadata.managedFields must be nil");
        if (!DocumentDepth.IsWithin(applied, DocumentDepth.Max))
            throw PatchException.BadRequest($"the configuration is nested deeper than {DocumentDepth.Max} levels");

        ManagerTable managers = Managers(live);
        JsonObject before = live is null ? ObjectFields.Blank(applied, request.Blank) : ObjectFields.ForMerging(live, request.ApiVersion);
        try
        {
            TypedValidation.Check(applied, TypeRef.Of(schema), allowDuplicates: false);
        }
        catch (TypedException e)
        {
            throw Failed($"failed to create typed patch object ({Describe(applied)}): {e.Message}");
        }

        try
        {
            if (managers.IsEmpty)
                TakeBeforeFirstApply(before, schema, managers, request);
            JsonObject result = ApplyOrAdopt(before, applied, schema, managers, request, out ManagerTable after);
            if (request.Manager == LastApplied.Manager)
                LastApplied.Follow(result, applied);
            ObjectFields.SetManagers(result, after.Encode());
            return result;
        }
        catch (TypedException e)
        {
            throw Failed(e.Message);
        }
        catch (OwnershipConflictException e)
        {
            throw ApplyConflictException.From(e.Conflicts);
        }
    }

    /// <summary>What an untracked object holds gets an owner, so that the first apply can conflict with it.</summary>
    private static void TakeBeforeFirstApply(JsonObject before, StructuralSchema schema, ManagerTable managers, ApplyRequest request)
    {
        UpdateRequest update = new()
        {
            Manager = "before-first-apply",
            ApiVersion = request.ApiVersion,
            Subresource = request.Subresource,
            Now = request.Now,
            IgnoredPaths = request.IgnoredPaths,
            OtherVersions = request.OtherVersions,
        };
        ManagedFields.TakeOver(ObjectFields.Blank(before, request.Blank), before, schema, managers, update);
        ManagedFields.CapUpdates(managers);
    }

    private static JsonObject ApplyOrAdopt(
        JsonObject before, JsonObject applied, StructuralSchema schema, ManagerTable managers, ApplyRequest request, out ManagerTable after)
    {
        after = managers.Copy();
        try
        {
            return ApplyOnce(before, applied, schema, after, request, request.Force);
        }
        catch (OwnershipConflictException e) when (request.Manager == LastApplied.Manager && LastApplied.Claims(before, schema, request.ApiVersion) is { } claims)
        {
            Dictionary<ManagerIdentity, FieldSet> others = [];
            foreach ((ManagerIdentity owner, FieldSet fields) in e.Conflicts)
            {
                FieldSet remaining = fields.Difference(claims);
                if (!remaining.IsEmpty)
                    others.Add(owner, remaining);
            }

            if (others.Count > 0)
                throw new OwnershipConflictException(others);
            after = managers.Copy();
            return ApplyOnce(before, applied, schema, after, request, force: true);
        }
    }

    private static JsonObject ApplyOnce(JsonObject before, JsonObject applied, StructuralSchema schema, ManagerTable managers, ApplyRequest request, bool force)
    {
        ManagerIdentity manager = ManagerIdentity.Of(ObjectFields.NameOf(request.Manager), ManagerIdentity.Apply, request.ApiVersion, request.Subresource);
        JsonObject? changed = new Ownership(schema, request.ApiVersion, FieldSet.OfFieldNames(request.IgnoredPaths), request.OtherVersions)
            .Apply(before, applied, managers, manager, force);
        ObjectFields.Disown(managers, manager);
        if (changed is not null)
            managers.Times[manager] = request.Now;
        return changed ?? before.DeepClone().AsObject();
    }

    private static ManagerTable Managers(JsonObject? live)
    {
        try
        {
            return ManagerTable.Decode(ObjectFields.Managers(live));
        }
        catch (FormatException e)
        {
            throw Failed($"failed to decode managed fields: {e.Message}");
        }
    }

    /// <summary>The real server has no reason for these, and the status of an internal error.</summary>
    private static PatchException Failed(string message) => new(500, "", message);

    private static string Describe(JsonObject document)
    {
        JsonObject? metadata = document["metadata"] as JsonObject;
        string version = Text(document["apiVersion"]);
        return $"{Text(metadata?["namespace"])}/{Text(metadata?["name"])}; {(version.Contains('/', StringComparison.Ordinal) ? version : "/" + version)}, Kind={Text(document["kind"])}";
    }

    private static string Text(JsonNode? value) => value is JsonValue scalar && DocumentValue.IsText(scalar) ? DocumentValue.Text(scalar) : "";
}

/// <summary>Who applies.</summary>
public sealed record ApplyRequest
{
    /// <summary>The fieldManager parameter, required by the protocol.</summary>
    public required string Manager { get; init; }

    /// <summary>Of the request, such as <c>apps/v1</c>.</summary>
    public required string ApiVersion { get; init; }

    /// <summary>The kind that the configuration must name; null: any.</summary>
    public string? Kind { get; init; }

    /// <summary>Such as <c>status</c>; empty for the object itself.</summary>
    public string Subresource { get; init; } = "";

    /// <summary>Take fields from other managers instead of conflicting.</summary>
    public bool Force { get; init; }
    public required DateTimeOffset Now { get; init; }

    /// <inheritdoc cref="UpdateRequest.IgnoredPaths"/>
    public IReadOnlyList<string> IgnoredPaths { get; init; } = [];

    /// <inheritdoc cref="UpdateRequest.OtherVersions"/>
    public Func<string, StructuralSchema?>? OtherVersions { get; init; }

    /// <inheritdoc cref="UpdateRequest.Blank"/>
    public JsonObject? Blank { get; init; }
}
