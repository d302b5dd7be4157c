using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>Who wrote which field: <c>metadata.managedFields</c>, as the real server keeps it.</summary>
public static class ManagedFields
{
    /// <summary>Entries of operation Update that an object keeps; the oldest are merged into one beyond that.</summary>
    public const int MaxUpdateManagers = 10;

    /// <summary>
    /// Records a create, an update or a patch other than apply: sets <c>metadata.managedFields</c> of <paramref name="next"/>. Call it with the
    /// object as the client sent it (or as the patch left it), defaulted, before the strategy drops what the request may not touch. An object that
    /// has no managers is not tracked until someone applies to it. Never fails: what cannot be compared ends without managers.
    /// </summary>
    /// <param name="live">The stored object; null on create.</param>
    /// <param name="next">Mutated.</param>
    /// <param name="schema">Of the whole object in the request's version.</param>
    /// <param name="request">Who updates, where and when.</param>
    public static void Track(JsonObject? live, JsonObject next, StructuralSchema schema, UpdateRequest request)
    {
        ManagerTable managers = DecodeLiveOrNext(live, next, request.Subresource.Length > 0);
        ObjectFields.SetManagers(next, null);
        if (managers.IsEmpty && ObjectFields.Uid(live) is { Length: > 0 })
            return;

        JsonObject before = live is null ? ObjectFields.Blank(next, request.Blank) : ObjectFields.ForMerging(live, request.ApiVersion);
        if (!DocumentDepth.IsWithin(before, DocumentDepth.Max) || !DocumentDepth.IsWithin(next, DocumentDepth.Max))
            return;
        try
        {
            TakeOver(before, next, schema, managers, request);
        }
        catch (TypedException)
        {
            return; // as the real server: no managers are better than wrong ones
        }

        CapUpdates(managers);
        ObjectFields.SetManagers(next, managers.Encode());
    }

    /// <summary>
    /// Puts the times of <paramref name="live"/> back where nothing but times differs, so that a request without effect is no write. Call it last,
    /// when what the request may not touch (status, generation) is as it was. Resource versions do not count.
    /// </summary>
    /// <param name="live">The stored object.</param>
    /// <param name="next">Mutated.</param>
    public static void KeepTimesIfUnchanged(JsonObject live, JsonObject next)
    {
        if (ObjectFields.Managers(live) is not JsonArray { Count: > 0 } before || ObjectFields.Managers(next) is not JsonArray after || before.Count != after.Count)
            return;
        for (int i = 0; i < before.Count; i++)
        {
            if (before[i] is not JsonObject old || after[i] is not JsonObject young || !SameButTime(old, young))
                return;
        }

        if (!DocumentValue.Same(Comparable(live), Comparable(next)))
            return;
        ObjectFields.SetManagers(next, before.DeepClone());
    }

    /// <summary>Gives what differs between two documents to an Update manager, as of <paramref name="request"/>.</summary>
    internal static void TakeOver(JsonObject before, JsonObject next, StructuralSchema schema, ManagerTable managers, UpdateRequest request)
    {
        // Under a name of its own first: only an update that changed something moves the manager's time.
        ManagerIdentity current = new("current-operation", "", "", "");
        new Ownership(schema, request.ApiVersion, FieldSet.OfFieldNames(request.IgnoredPaths), request.OtherVersions)
            .Update(before, next, managers, current);
        ObjectFields.Disown(managers, current);
        if (!managers.Owners.Remove(current, out OwnedFields? taken))
            return;

        ManagerIdentity manager = ManagerIdentity.Of(ObjectFields.NameOf(request.Manager), ManagerIdentity.Update, request.ApiVersion, request.Subresource);
        managers.Owners[manager] = managers.Owners.TryGetValue(manager, out OwnedFields? previous) ? taken.With(taken.Fields.Union(previous.Fields)) : taken;
        managers.Times[manager] = request.Now;
    }

    /// <summary>Merges the oldest Update managers of a version into one entry until few enough are left.</summary>
    internal static void CapUpdates(ManagerTable managers)
    {
        List<ManagerIdentity> updaters = [.. managers.Owners.Keys.Where(identity => !identity.IsApply)];
        int count = updaters.Count;
        if (count <= MaxUpdateManagers)
            return;

        Comparer<string> byText = Comparer<string>.Create(DocumentValue.CompareText);
        Dictionary<string, ManagerIdentity> firstOfVersion = [];
        foreach (ManagerIdentity updater in updaters.OrderBy(managers.Seconds).ThenBy(identity => identity.SortKey, byText))
        {
            if (count <= MaxUpdateManagers)
                return;
            OwnedFields owned = managers.Owners[updater];
            if (firstOfVersion.TryAdd(owned.ApiVersion, updater))
                continue;

            ManagerIdentity bucket = ManagerIdentity.Of("ancient-changes", ManagerIdentity.Update, owned.ApiVersion, "");
            if (!managers.Owners.TryGetValue(bucket, out OwnedFields? ancient) && managers.Owners.Remove(firstOfVersion[owned.ApiVersion], out ancient))
                managers.Times.Remove(firstOfVersion[owned.ApiVersion]);
            managers.Owners[bucket] = owned.With(ancient is null ? owned.Fields : owned.Fields.Union(ancient.Fields));
            managers.Owners.Remove(updater);
            count--;

            // The later of the two.
            if (managers.Times.Remove(updater, out DateTimeOffset time))
                managers.Times[bucket] = time;
            else
                managers.Times.Remove(bucket);
        }
    }

    /// <summary>
    /// A client may send managers of its own with the object itself, and an empty list makes the object forget them. What cannot be read counts as
    /// not sent: clients that do not know the field must not be able to lose it.
    /// </summary>
    private static ManagerTable DecodeLiveOrNext(JsonObject? live, JsonObject next, bool isSubresource)
    {
        JsonNode? given = ObjectFields.Managers(next);
        if (!isSubresource)
        {
            if (given is JsonArray { Count: 0 } or JsonArray and [JsonObject { Count: 0 }])
                return new ManagerTable();
            try
            {
                if (ManagerTable.Decode(given) is { IsEmpty: false } managers)
                    return managers;
            }
            catch (FormatException)
            {
                // Falls through to the stored ones.
            }
        }

        try
        {
            return ManagerTable.Decode(ObjectFields.Managers(live));
        }
        catch (FormatException)
        {
            return new ManagerTable();
        }
    }

    private static JsonObject Comparable(JsonObject document)
    {
        JsonObject copy = ObjectFields.WithoutManagers(document);
        (copy["metadata"] as JsonObject)?.Remove("resourceVersion");
        return copy;
    }

    private static bool SameButTime(JsonObject left, JsonObject right) =>
        left.All(member => member.Key == "time" || (right.TryGetPropertyValue(member.Key, out JsonNode? other) && DocumentValue.Same(member.Value, other)))
        && right.All(member => member.Key == "time" || left.ContainsKey(member.Key));
}

/// <summary>Who updates.</summary>
public sealed record UpdateRequest
{
    /// <summary>The fieldManager parameter, otherwise the user agent up to its first slash; empty counts as <c>unknown</c>.</summary>
    public required string Manager { get; init; }

    /// <summary>Of the request, such as <c>apps/v1</c>.</summary>
    public required string ApiVersion { get; init; }

    /// <summary>Such as <c>status</c>; empty for the object itself.</summary>
    public string Subresource { get; init; } = "";
    public required DateTimeOffset Now { get; init; }

    /// <summary>Paths that the request cannot change and so never owns: see <see cref="ResetFields"/>.</summary>
    public IReadOnlyList<string> IgnoredPaths { get; init; } = [];

    /// <summary>Schemas of the kind's other served versions; null for one that is not served, whose managers are dropped.</summary>
    public Func<string, StructuralSchema?>? OtherVersions { get; init; }

    /// <summary>What an object of the kind holds before anyone sets a field: see <see cref="ResetFields.BlankOf"/>. Null: nothing.</summary>
    public JsonObject? Blank { get; init; }
}
