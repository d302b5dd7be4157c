using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Patching;

/// <summary>Merging lists: scalars by value, maps by their merge key. Works on copies, and mutates them.</summary>
internal static class StrategicLists
{
    private const int LongList = 20;

    /// <exception cref="PatchException">Elements of several types, without the merge key, or with an unknown directive.</exception>
    public static JsonArray Merge(JsonArray original, JsonArray patch, StructuralSchema? items, string mergeKey, bool isDeletion)
    {
        if (original.Count == 0 && patch.Count == 0)
            return original;
        if (!ElementsAreMaps(original, patch))
            return MergeScalars(original, patch, isDeletion);
        if (mergeKey.Length == 0)
            throw StrategicErrors.Unfit("cannot merge lists without merge key for struct");

        JsonArray before = original.DeepClone().AsArray();
        List<JsonObject> changes = ApplyDirectives(ref original, patch, mergeKey, out bool replaced);
        Dictionary<string, JsonObject> byKey = [];
        foreach (JsonObject item in original.Cast<JsonObject>())
        {
            if (item.TryGetPropertyValue(mergeKey, out JsonNode? key))
                byKey.TryAdd(DocumentValue.Canonical(key), item);
        }

        foreach (JsonObject change in changes)
        {
            if (!change.TryGetPropertyValue(mergeKey, out JsonNode? key))
                throw StrategicErrors.NoMergeKey(change, mergeKey);
            string text = DocumentValue.Canonical(key);
            if (byKey.TryGetValue(text, out JsonObject? current))
            {
                int index = original.IndexOf(current);
                original[index] = null;
                JsonObject merged = StrategicMerge.Merge(current, change.DeepClone().AsObject(), items);
                original[index] = merged;
                byKey[text] = merged;
            }
            else
            {
                JsonObject added = change.DeepClone().AsObject();
                original.Add((JsonNode)added);
                byKey.Add(text, added);
            }
        }

        return InOrder(original, new JsonArray([.. changes.Select(change => change.DeepClone())]), replaced ? [] : before, mergeKey, areMaps: true);
    }

    /// <summary>The elements in the order of <paramref name="order"/>, and those it does not name where the server has them, as far as both can hold.</summary>
    public static JsonArray InOrder(JsonArray merged, JsonArray order, JsonArray serverOrder, string mergeKey, bool areMaps)
    {
        Dictionary<string, int> wanted = Positions(order, mergeKey, areMaps);
        Dictionary<string, int> served = Positions(serverOrder, mergeKey, areMaps);
        List<(JsonNode? Element, string Key)> elements = [.. merged.Select(element => (element, KeyOf(element, mergeKey, areMaps)))];
        merged.Clear();

        Queue<(JsonNode? Element, string Key)> named = new(elements.Where(element => wanted.ContainsKey(element.Key)).OrderBy(element => wanted[element.Key]));
        Queue<(JsonNode? Element, string Key)> others = new(InServerOrder([.. elements.Where(element => !wanted.ContainsKey(element.Key))], served));
        JsonArray result = [];
        while (named.Count + others.Count > 0)
        {
            bool takeOther = others.Count > 0 && (named.Count == 0
                || (served.TryGetValue(others.Peek().Key, out int other) && served.TryGetValue(named.Peek().Key, out int next) && other < next));
            result.Add((takeOther ? others : named).Dequeue().Element);
        }

        return result;
    }

    /// <summary>
    /// As the real server sorts them: elements that are new to it go before whatever stands in front of them, which is what its comparison says of
    /// any pair with one. Long lists, for which that is a matter of its sorting algorithm, keep new elements at the end.
    /// </summary>
    private static List<(JsonNode? Element, string Key)> InServerOrder(List<(JsonNode? Element, string Key)> elements, Dictionary<string, int> served)
    {
        if (elements.Count > LongList)
            return [.. elements.OrderBy(element => served.GetValueOrDefault(element.Key, int.MaxValue))];
        for (int i = 1; i < elements.Count; i++)
        {
            for (int j = i; j > 0 && GoesBefore(elements[j].Key, elements[j - 1].Key); j--)
                (elements[j], elements[j - 1]) = (elements[j - 1], elements[j]);
        }

        return elements;

        bool GoesBefore(string left, string right) =>
            !served.TryGetValue(left, out int first) || !served.TryGetValue(right, out int second) || first < second;
    }

    /// <summary>The list of a patch must stand in the order that the patch demands.</summary>
    public static void CheckOrder(JsonArray? changes, JsonArray order, string mergeKey)
    {
        if (order.Count == 0 || changes is null or { Count: 0 })
            return;
        List<JsonNode?> kept = [.. changes];
        if (mergeKey.Length > 0)
        {
            foreach (JsonNode? change in changes)
            {
                if (change is not JsonObject)
                    throw StrategicErrors.WrongType("map[string]interface {}", change);
            }

            kept.RemoveAll(change => ((JsonObject)change!).ContainsKey(StrategicMerge.Directive));
        }

        int next = 0;
        for (int i = 0; i < order.Count && next < kept.Count; i++)
        {
            if (SameElement(kept[next], order[i], mergeKey))
                next++;
        }

        if (next < kept.Count)
            throw StrategicErrors.Unfit($"The order in patch list:\n{GoText.Plain(changes)}\n doesn't match $setElementOrder list:\n{GoText.Plain(order)}\n");
    }

    /// <summary>Whether the elements of both lists are maps; they must all be of one type, and never lists.</summary>
    public static bool ElementsAreMaps(JsonArray? left, JsonArray? right)
    {
        JsonNode? first = null;
        bool any = false;
        foreach (JsonNode? element in (left ?? []).Concat(right ?? []))
        {
            if (!any)
            {
                first = element;
                any = true;
                if (element is JsonArray)
                    throw new PatchException(422, "Invalid", "the server rejected our request due to an error in our request") { HasDetails = true };
            }
            else if (!SameType(first, element))
            {
                throw StrategicErrors.Unfit($"list element types are not identical: [{GoText.Plain(left)} {GoText.Plain(right)}]");
            }
        }

        if (!any)
            throw StrategicErrors.Unfit("no elements in any of the given slices");
        return first is JsonObject;
    }

    public static bool SameType(JsonNode? left, JsonNode? right) => GoText.TypeName(left) == GoText.TypeName(right);

    private static JsonArray MergeScalars(JsonArray original, JsonArray patch, bool isDeletion)
    {
        HashSet<string> named = [.. patch.Select(DocumentValue.Canonical)];
        JsonArray result = [];
        HashSet<string> seen = [];
        if (isDeletion)
        {
            foreach (JsonNode? element in original)
            {
                if (!named.Contains(DocumentValue.Canonical(element)))
                    result.Add(element?.DeepClone());
            }

            return result;
        }

        foreach (JsonNode? element in original.Concat(patch))
        {
            if (seen.Add(DocumentValue.Canonical(element)))
                result.Add(element?.DeepClone());
        }

        return InOrder(result, patch, original, "", areMaps: false);
    }

    /// <summary>Carries out the elements that are directives, and returns the others.</summary>
    private static List<JsonObject> ApplyDirectives(ref JsonArray original, JsonArray patch, string mergeKey, out bool replaced)
    {
        List<JsonObject> changes = [];
        replaced = false;
        foreach (JsonObject element in patch.Cast<JsonObject>())
        {
            if (!element.TryGetPropertyValue(StrategicMerge.Directive, out JsonNode? directive))
            {
                changes.Add(element);
                continue;
            }

            switch (directive is JsonValue value && value.GetValueKind() == JsonValueKind.String ? DocumentValue.Text(value) : null)
            {
                case "delete":
                    if (!element.TryGetPropertyValue(mergeKey, out JsonNode? key))
                        throw StrategicErrors.NoMergeKey(element, mergeKey);
                    original.RemoveAll(item => item is JsonObject map && map.TryGetPropertyValue(mergeKey, out JsonNode? other) && DocumentValue.Same(key, other));
                    break;
                case "replace":
                    replaced = true;
                    break;
                case "merge":
                    throw StrategicErrors.Unfit("merging lists cannot yet be specified in the patch");
                default:
                    throw StrategicErrors.UnknownDirective(directive, element);
            }
        }

        if (replaced)
        {
            // The list becomes what remains of the patch, and nothing of that is merged any more.
            original = new JsonArray([.. changes.Select(change => change.DeepClone())]);
            changes = [];
        }

        return changes;
    }

    private static bool SameElement(JsonNode? left, JsonNode? right, string mergeKey)
    {
        if (mergeKey.Length == 0)
            return DocumentValue.Same(left, right);
        JsonObject a = left as JsonObject ?? throw StrategicErrors.WrongType("map[string]interface {}", left);
        JsonObject b = right as JsonObject ?? throw StrategicErrors.WrongType("map[string]interface {}", right);
        if (!a.TryGetPropertyValue(mergeKey, out JsonNode? mine))
            throw StrategicErrors.NoMergeKey(a, mergeKey);
        if (!b.TryGetPropertyValue(mergeKey, out JsonNode? theirs))
            throw StrategicErrors.NoMergeKey(b, mergeKey);
        return DocumentValue.Same(mine, theirs);
    }

    private static Dictionary<string, int> Positions(JsonArray list, string mergeKey, bool areMaps)
    {
        Dictionary<string, int> positions = [];
        for (int i = 0; i < list.Count; i++)
            positions.TryAdd(KeyOf(list[i], mergeKey, areMaps), i);
        return positions;
    }

    private static string KeyOf(JsonNode? element, string mergeKey, bool areMaps)
    {
        if (!areMaps)
            return DocumentValue.Canonical(element);
        JsonObject map = element as JsonObject ?? throw StrategicErrors.WrongType("map[string]interface {}", element);
        return map.TryGetPropertyValue(mergeKey, out JsonNode? key) ? DocumentValue.Canonical(key) : throw StrategicErrors.NoMergeKey(map, mergeKey);
    }
}

/// <summary>What the real server says of strategic merge patches that do not fit. Most have the status of an internal error there, and so here.</summary>
internal static class StrategicErrors
{
    public static PatchException Unfit(string message) => new(500, "", message);

    public static PatchException BadRetainKeys() => PatchException.BadRequest("invalid patch format of retainKeys");

    public static PatchException BadPrimitiveList() => PatchException.BadRequest("invalid patch format of primitive list");

    public static PatchException BadElementOrder() => PatchException.BadRequest("invalid patch format of setElementOrder list");

    public static PatchException NoMergeKey(JsonObject map, string mergeKey) =>
        Unfit($"map: {GoText.Plain(map)} does not contain declared merge key: {mergeKey}");

    public static PatchException UnknownDirective(JsonNode? directive, JsonObject map) =>
        Unfit($"unknown patch type: {GoText.Plain(directive)} in map: {GoText.Plain(map)}");

    public static PatchException WrongType(string expected, JsonNode? actual) =>
        Unfit($"expected a {expected}, but received a {(actual is null ? "%!s(<nil>)" : GoText.TypeName(actual))}");
}
