using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>The parts of an object's envelope that ownership treats apart.</summary>
internal static class ObjectFields
{
    /// <summary>Nobody owns these: they are the server's, or name the object.</summary>
    private static readonly FieldSet NeverOwned = FieldSet.OfFieldNames(
    [
        "apiVersion", "kind", "metadata", "metadata.name", "metadata.namespace", "metadata.creationTimestamp", "metadata.selfLink", "metadata.uid",
        "metadata.clusterName", "metadata.generation", "metadata.managedFields", "metadata.resourceVersion",
    ]);

    public static JsonNode? Managers(JsonObject? document) => (document?["metadata"] as JsonObject)?["managedFields"];

    public static string? Uid(JsonObject? document) =>
        (document?["metadata"] as JsonObject)?["uid"] is JsonValue value && DocumentValue.IsText(value) ? DocumentValue.Text(value) : null;

    public static string NameOf(string manager) => manager.Length == 0 ? "unknown" : manager;

    /// <summary>Mutates; null removes the field.</summary>
    public static void SetManagers(JsonObject document, JsonNode? managers)
    {
        if (document["metadata"] is JsonObject metadata)
        {
            metadata.Remove("managedFields");
            if (managers is not null)
                metadata["managedFields"] = managers;
        }
        else if (managers is not null)
        {
            document["metadata"] = new JsonObject { ["managedFields"] = managers };
        }
    }

    public static JsonObject WithoutManagers(JsonObject document)
    {
        JsonObject copy = document.DeepClone().AsObject();
        SetManagers(copy, null);
        return copy;
    }

    /// <summary>The stored object as the request's version sees it: versions of a kind differ in nothing but their schemas.</summary>
    public static JsonObject ForMerging(JsonObject document, string apiVersion)
    {
        JsonObject copy = WithoutManagers(document);
        copy["apiVersion"] = apiVersion;
        return copy;
    }

    /// <summary>An object of the same kind that has nothing yet.</summary>
    public static JsonObject Blank(JsonObject like, JsonObject? blank)
    {
        JsonObject result = blank?.DeepClone().AsObject() ?? [];
        result["apiVersion"] = like["apiVersion"]?.DeepClone();
        result["kind"] = like["kind"]?.DeepClone();
        return result;
    }

    public static void Disown(ManagerTable managers, ManagerIdentity manager)
    {
        if (!managers.Owners.TryGetValue(manager, out OwnedFields? owned))
            return;
        FieldSet remaining = owned.Fields.Difference(NeverOwned);
        if (remaining.IsEmpty)
            managers.Owners.Remove(manager);
        else
            managers.Owners[manager] = owned.With(remaining);
    }
}
