using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>A document without some of its fields and items.</summary>
internal static class TypedRemoval
{
    public static JsonNode? Remove(JsonNode? document, FieldSet fields, TypeRef type)
    {
        Atom atom = type.Resolve().For(Slot.Of(document));
        switch (atom.Form)
        {
            case AtomForm.Map:
                if (document is not JsonObject { Count: > 0 } map || atom.IsAtomicMap)
                    return null;
                return RemoveMembers(map, fields, atom);
            case AtomForm.List:
                if (document is not JsonArray { Count: > 0 } list || !atom.IsAssociativeList)
                    return null;
                return RemoveItems(list, fields, atom);
            default:
                return document?.DeepClone();
        }
    }

    private static JsonObject? RemoveMembers(JsonObject map, FieldSet fields, Atom atom)
    {
        JsonObject kept = [];
        bool touched = false;
        foreach ((string name, JsonNode? value) in map)
        {
            PathElement element = PathElement.Field(name);
            if (fields.Contains(element))
                continue;
            FieldSet? below = fields.Below(element);
            touched |= below is not null;
            kept[name] = below is null ? value?.DeepClone() : RemoveBelow(value, below, atom.FieldType(name).OrDeduced);
        }

        return kept.Count > 0 || touched ? kept : null;
    }

    private static JsonArray? RemoveItems(JsonArray list, FieldSet fields, Atom atom)
    {
        JsonArray kept = [];
        bool touched = false;
        foreach (JsonNode? item in list)
        {
            PathElement element = atom.ItemElement(item);
            if (fields.Contains(element))
                continue;
            FieldSet? below = fields.Below(element);
            touched |= below is not null;
            kept.Add(below is null ? item?.DeepClone() : RemoveBelow(item, below, atom.ItemType));
        }

        return kept.Count > 0 || touched ? kept : null;
    }

    /// <summary>What is emptied from inside stays, empty.</summary>
    private static JsonNode? RemoveBelow(JsonNode? value, FieldSet fields, TypeRef type) =>
        Remove(value, fields, type) ?? value switch
        {
            JsonObject => new JsonObject(),
            JsonArray => new JsonArray(),
            _ => null,
        };
}
