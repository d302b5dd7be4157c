using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>
/// Carries ownership of the number of replicas between an object and its scale subresource, where it has another path and another version. A write of
/// the scale is: <see cref="ToScale"/>, then <see cref="ManagedFields.Track"/> or <see cref="ServerSideApply.Apply"/> on the Scale with subresource
/// <c>scale</c>, then <see cref="ToParent"/>.
/// </summary>
public static class ScaleManagers
{
    public const string ScaleVersion = "autoscaling/v1";

    /// <summary>The <c>managedFields</c> of a Scale; null for none.</summary>
    /// <param name="parent">The scaled object.</param>
    /// <param name="replicasPath">By version of the kind, such as <c>.spec.replicas</c>; null for a version that is unknown or has no scale.</param>
    public static JsonArray? ToScale(JsonObject parent, Func<string, string?> replicasPath)
    {
        ManagerTable managers = Decode(ObjectFields.Managers(parent));
        ManagerTable scale = new();
        foreach ((ManagerIdentity identity, OwnedFields owned) in managers.Owners)
        {
            if (replicasPath(owned.ApiVersion) is not { } path || !owned.Fields.Contains(Path(path)))
                continue;
            Put(scale, identity, new OwnedFields(FieldSet.OfFieldNames(["spec.replicas"]), ScaleVersion), managers);
        }

        return scale.Encode();
    }

    /// <summary>The parent's <c>managedFields</c> after a write of its scale; null for none.</summary>
    /// <param name="parent">The scaled object as it was.</param>
    /// <param name="scaleManagers">Of the written Scale.</param>
    /// <param name="apiVersion">Version in which the parent is served.</param>
    /// <param name="replicasPath">As of <see cref="ToScale"/>.</param>
    public static JsonArray? ToParent(JsonObject parent, JsonNode? scaleManagers, string apiVersion, Func<string, string?> replicasPath)
    {
        ManagerTable before = Decode(ObjectFields.Managers(parent));
        ManagerTable scale = Decode(scaleManagers);
        ManagerTable after = new();
        foreach ((ManagerIdentity identity, OwnedFields owned) in before.Owners)
        {
            if (replicasPath(owned.ApiVersion) is not { } path || !owned.Fields.Contains(Path(path)))
            {
                Put(after, identity, owned, before);
            }
            else if (scale.Owners.Remove(identity))
            {
                Put(after, identity, owned, before);
            }
            else
            {
                FieldSet remaining = owned.Fields.Difference(FieldSet.OfFieldNames([Names(path)]));
                if (!remaining.IsEmpty)
                    Put(after, identity, owned.With(remaining), before);
            }
        }

        // As on the real server, a manager that comes with the scale brings no time.
        if (replicasPath(apiVersion) is { } replicas)
        {
            foreach ((ManagerIdentity identity, OwnedFields owned) in scale.Owners)
            {
                if (owned.Fields.Contains(Path(".spec.replicas")))
                    Put(after, identity with { ApiVersion = identity.IsApply ? "" : apiVersion }, new OwnedFields(FieldSet.OfFieldNames([Names(replicas)]), apiVersion), before);
            }
        }

        return after.Encode();
    }

    private static void Put(ManagerTable table, ManagerIdentity identity, OwnedFields owned, ManagerTable times)
    {
        table.Owners[identity] = owned;
        if (times.Times.TryGetValue(identity, out DateTimeOffset time))
            table.Times[identity] = time;
    }

    private static List<PathElement> Path(string jsonPath) => [.. Names(jsonPath).Split('.').Select(PathElement.Field)];

    private static string Names(string jsonPath) => jsonPath.TrimStart('.');

    private static ManagerTable Decode(JsonNode? managers)
    {
        try
        {
            return ManagerTable.Decode(managers);
        }
        catch (FormatException)
        {
            return new ManagerTable();
        }
    }
}
