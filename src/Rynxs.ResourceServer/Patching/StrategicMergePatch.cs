using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Patching;

/// <summary>
/// Strategic merge patch: a merge patch that knows from the schema which lists are merged, and by which key, and that has directives:
/// <c>$patch</c> (replace, delete, merge), <c>$retainKeys</c>, <c>$setElementOrder/LIST</c> and <c>$deleteFromPrimitiveList/LIST</c>.
/// </summary>
public static class StrategicMergePatch
{
    /// <summary>The patched document; no argument is changed.</summary>
    /// <exception cref="PatchException">400 for a patch of a wrong form, 422 for lists of lists, 500 (as the real server) for what else does not fit.</exception>
    public static JsonObject Apply(JsonObject document, JsonObject patch, StructuralSchema schema)
    {
        if (!DocumentDepth.IsWithin(patch, DocumentDepth.Max) || !DocumentDepth.IsWithin(document, DocumentDepth.Max))
            throw PatchException.BadRequest($"the patch is nested deeper than {DocumentDepth.Max} levels");
        return StrategicMerge.Merge(document.DeepClone().AsObject(), patch.DeepClone().AsObject(), schema);
    }
}

/// <summary>Merging maps. Works on copies, and mutates them.</summary>
internal static class StrategicMerge
{
    internal const string Directive = "$patch";
    private const string RetainKeys = "$retainKeys";
    private const string ElementOrder = "$setElementOrder/";
    private const string DeleteFromList = "$deleteFromPrimitiveList/";

    public static JsonObject Merge(JsonObject original, JsonObject patch, StructuralSchema? schema)
    {
        if (patch.TryGetPropertyValue(Directive, out JsonNode? directive))
        {
            switch (AsText(directive))
            {
                case "replace":
                    patch.Remove(Directive);
                    return patch;
                case "delete":
                    return [];
                default:
                    throw StrategicErrors.UnknownDirective(directive, patch);
            }
        }

        ApplyRetainKeys(original, patch);
        ApplyElementOrders(original, patch, schema);
        foreach ((string name, JsonNode? value) in patch.ToArray())
            MergeMember(original, patch, name, value, schema);
        return original;
    }

    private static void MergeMember(JsonObject original, JsonObject patch, string name, JsonNode? value, StructuralSchema? schema)
    {
        bool isDeletion = name.StartsWith(DeleteFromList, StringComparison.Ordinal);
        string key = isDeletion ? name[DeleteFromList.Length..] : name;
        if (!isDeletion && name.StartsWith(DeleteFromList.TrimEnd('/'), StringComparison.Ordinal))
            throw StrategicErrors.BadPrimitiveList();
        patch.Remove(name); // a node has one parent
        if (value is null)
        {
            original.Remove(key);
            return;
        }

        JsonNode? current = original[key];
        if (current is null || !StrategicLists.SameType(current, value))
        {
            if (isDeletion)
                return;
            DiscardNulls(value);
            if (WithoutDirectives(value, out JsonNode? plain))
                original[key] = plain;
            else
                original.Remove(key);
            return;
        }

        switch (value)
        {
            case JsonObject map:
                StructuralSchema? child = FieldOf(schema, key);
                Put(original, key, StrategyOf(child) == PatchStrategy.Replace ? map : Merge((JsonObject)current, map, child));
                break;
            case JsonArray list:
                StructuralSchema? listSchema = FieldOf(schema, key);
                Put(original, key, StrategyOf(listSchema) == PatchStrategy.Merge || isDeletion
                    ? StrategicLists.Merge((JsonArray)current, list, listSchema?.Items, listSchema?.PatchMergeKey ?? "", isDeletion)
                    : list);
                break;
            default:
                original[key] = value;
                break;
        }
    }

    /// <summary>Whatever the list does not name goes; whatever the patch sets must be named.</summary>
    private static void ApplyRetainKeys(JsonObject original, JsonObject patch)
    {
        if (!patch.TryGetPropertyValue(RetainKeys, out JsonNode? named))
            return;
        patch.Remove(RetainKeys);
        if (named is not JsonArray names)
            throw StrategicErrors.BadRetainKeys();
        HashSet<string> kept = [.. names.Select(AsText).OfType<string>()];
        foreach ((string name, JsonNode? value) in patch)
        {
            if (value is not null && !IsParallelList(name) && !kept.Contains(name))
                throw StrategicErrors.BadRetainKeys();
        }

        foreach (string name in original.Select(member => member.Key).Where(name => !kept.Contains(name)).ToArray())
            original.Remove(name);
    }

    private static void ApplyElementOrders(JsonObject original, JsonObject patch, StructuralSchema? schema)
    {
        foreach ((string name, JsonNode? value) in patch.Where(member => member.Key.StartsWith(ElementOrder.TrimEnd('/'), StringComparison.Ordinal)).ToArray())
        {
            patch.Remove(name);
            JsonArray order = value as JsonArray ?? throw StrategicErrors.WrongType("[]interface {}", value);
            if (!name.StartsWith(ElementOrder, StringComparison.Ordinal))
                throw StrategicErrors.BadElementOrder();
            string key = name[ElementOrder.Length..];
            JsonArray? current = ListOrNull(original, key);
            JsonArray? changes = ListOrNull(patch, key);
            StructuralSchema? listSchema = FieldOf(schema, key);
            string mergeKey = listSchema?.PatchMergeKey ?? "";
            StrategicLists.CheckOrder(changes, order, mergeKey);

            JsonArray? before = current?.DeepClone().AsArray();
            JsonArray merged;
            switch (current, changes)
            {
                case (not null, null):
                    merged = current;
                    break;
                case (null, not null):
                    WithoutDirectives(changes, out JsonNode? plain);
                    merged = (JsonArray)plain!; // a list stays a list
                    break;
                case (not null, not null):
                    merged = StrategyOf(listSchema) == PatchStrategy.Merge
                        ? StrategicLists.Merge(current, changes.DeepClone().AsArray(), listSchema?.Items, mergeKey, isDeletion: false)
                        : changes;
                    break;
                default:
                    continue;
            }

            patch.Remove(key);
            original[key] = StrategicLists.InOrder(merged, order, before ?? [], mergeKey, StrategicLists.ElementsAreMaps(before, changes));
        }
    }

    /// <summary>Keeps the member's place; merging often returns the very node that is there.</summary>
    private static void Put(JsonObject map, string name, JsonNode value)
    {
        if (!ReferenceEquals(map[name], value))
            map[name] = value;
    }

    /// <summary>False for a value that is a directive itself and so no value.</summary>
    internal static bool WithoutDirectives(JsonNode? value, out JsonNode? plain)
    {
        plain = value;
        switch (value)
        {
            case JsonObject map:
                if (map.ContainsKey(Directive))
                    return false;
                foreach ((string name, JsonNode? member) in map.ToArray())
                {
                    if (WithoutDirectives(member, out JsonNode? kept) && ReferenceEquals(kept, member))
                        continue;
                    map.Remove(name);
                    if (kept is not null && !ReferenceEquals(kept, member))
                        map[name] = kept;
                }

                return true;
            case JsonArray list:
                JsonNode?[] all = [.. list];
                list.Clear();
                JsonArray items = [];
                foreach (JsonNode? item in all)
                {
                    if (WithoutDirectives(item, out JsonNode? kept))
                        items.Add(kept);
                }

                plain = items;
                return true;
            default:
                return true;
        }
    }

    private static void DiscardNulls(JsonNode? value)
    {
        if (value is JsonObject map)
        {
            foreach ((string name, JsonNode? member) in map.ToArray())
            {
                if (member is null)
                    map.Remove(name);
                else
                    DiscardNulls(member);
            }
        }
        else if (value is JsonArray list)
        {
            foreach (JsonNode? item in list)
                DiscardNulls(item);
        }
    }

    private static bool IsParallelList(string name) =>
        name.StartsWith(DeleteFromList.TrimEnd('/'), StringComparison.Ordinal) || name.StartsWith(ElementOrder.TrimEnd('/'), StringComparison.Ordinal);

    private static JsonArray? ListOrNull(JsonObject map, string name)
    {
        if (!map.TryGetPropertyValue(name, out JsonNode? value))
            return null;
        return value as JsonArray ?? throw StrategicErrors.WrongType("[]interface {}", value);
    }

    private static string? AsText(JsonNode? value) => value is JsonValue scalar && DocumentValue.IsText(scalar) ? DocumentValue.Text(scalar) : null;

    private static StructuralSchema? FieldOf(StructuralSchema? schema, string name)
    {
        if (schema is null)
            return null;
        if (schema.Properties.TryGetValue(name, out StructuralSchema? field))
            return field;
        if (schema.AdditionalProperties is { } values)
            return values;
        return schema.Properties.Count == 0 || schema.PreserveUnknownFields
            ? null
            : throw StrategicErrors.Unfit($"unable to find api field in struct {schema.Definition?.Split('.')[^1] ?? "object"} for the json field {GoText.Quote(name)}");
    }

    /// <summary>The strategy beside retainKeys, which goes with any of the others.</summary>
    private static PatchStrategy StrategyOf(StructuralSchema? schema) => (schema?.PatchStrategy ?? PatchStrategy.None) & ~PatchStrategy.RetainKeys;

}
