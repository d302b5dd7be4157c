using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>The set of all fields and items that a document mentions.</summary>
internal static class TypedFields
{
    public static FieldSet Of(JsonNode? document, TypeRef type)
    {
        FieldSet set = new();
        Visit(document, type, [], set);
        return set;
    }

    private static void Visit(JsonNode? value, TypeRef type, List<PathElement> path, FieldSet set)
    {
        Atom atom = type.Resolve().For(Slot.Of(value));
        switch (atom.Form)
        {
            case AtomForm.Map when atom.IsAtomicMap:
            case AtomForm.Scalar:
            case AtomForm.List when !atom.IsAssociativeList:
                set.Insert(path);
                break;
            case AtomForm.Map when value is JsonObject map:
                foreach ((string name, JsonNode? member) in map)
                {
                    path.Add(PathElement.Field(name));
                    Visit(member, atom.FieldType(name).OrDeduced, path, set);
                    if (member is null or JsonObject { Count: 0 } || !atom.Declares(name))
                        set.Insert(path);
                    path.RemoveAt(path.Count - 1);
                }

                break;
            case AtomForm.List when value is JsonArray list:
                VisitItems(list, atom, path, set);
                break;
        }
    }

    /// <summary>Items that are there twice are owned as one, whatever they hold.</summary>
    private static void VisitItems(JsonArray list, Atom atom, List<PathElement> path, FieldSet set)
    {
        PathElement[] elements = [.. list.Select(atom.ItemElement)];
        HashSet<PathElement> repeated = [.. elements.GroupBy(element => element).Where(group => group.Skip(1).Any()).Select(group => group.Key)];
        for (int i = 0; i < elements.Length; i++)
        {
            path.Add(elements[i]);
            if (!repeated.Contains(elements[i]))
                Visit(list[i], atom.ItemType, path, set);
            set.Insert(path);
            path.RemoveAt(path.Count - 1);
        }
    }
}
