using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>
/// Lays one document over another: maps by field, sets by value, lists of maps by key; anything else is replaced. Nothing is removed. Items keep
/// the order of the first document, but for those that the second orders otherwise.
/// </summary>
internal static class TypedMerge
{
    /// <exception cref="TypedException">The two do not fit together.</exception>
    public static JsonNode? Merge(JsonNode? lower, JsonNode? upper, TypeRef type)
    {
        List<(string Path, string Message)> errors = [];
        Slot result = Visit(Slot.Of(lower), Slot.Of(upper), type, "", errors);
        if (errors.Count > 0)
            throw new TypedException(TypedValidation.Describe(errors));
        return result.Node;
    }

    private static Slot Visit(Slot lower, Slot upper, TypeRef type, string path, List<(string Path, string Message)> errors)
    {
        Atom atom = type.Resolve();
        Atom lowerAtom = atom.For(lower);
        Atom upperAtom = atom.For(upper);
        if (!upper.IsPresent)
            return VisitAs(lowerAtom, lower, upper, path, errors);
        // Of two forms the upper one wins; the lower one's is visited for its errors only, and it has none of its own here.
        return VisitAs(upperAtom, lower, upper, path, errors);
    }

    private static Slot VisitAs(Atom atom, Slot lower, Slot upper, string path, List<(string Path, string Message)> errors)
    {
        switch (atom.Form)
        {
            case AtomForm.Map:
                JsonObject? lowerMap = lower.Node as JsonObject;
                JsonObject? upperMap = upper.Node as JsonObject;
                bool bothEmpty = lowerMap is null or { Count: 0 } && upperMap is null or { Count: 0 };
                return atom.IsAtomicMap || bothEmpty ? Upper(lower, upper) : VisitMembers(atom, lowerMap, upperMap, path, errors);
            case AtomForm.Scalar:
                string? lowerError = TypedValidation.CheckScalar(atom.Scalar, lower, "lhs: ");
                string? upperError = TypedValidation.CheckScalar(atom.Scalar, upper, "rhs: ");
                if (lowerError is not null && upperError is not null)
                {
                    errors.Add((path, lowerError));
                    errors.Add((path, upperError));
                    return Slot.Absent;
                }

                return Upper(lower, upper);
            case AtomForm.List:
                JsonArray? lowerList = lower.Node as JsonArray;
                JsonArray? upperList = upper.Node as JsonArray;
                bool noItems = lowerList is null or { Count: 0 } && upperList is null or { Count: 0 };
                return !atom.IsAssociativeList || noItems ? Upper(lower, upper) : VisitItems(atom, lowerList, upperList, path, errors);
            default:
                errors.Add((path, "schema error: invalid atom: inlined"));
                return Slot.Absent;
        }
    }

    private static Slot Upper(Slot lower, Slot upper) => Slot.Of((upper.IsPresent ? upper : lower).Node?.DeepClone());

    private static Slot VisitMembers(Atom atom, JsonObject? lower, JsonObject? upper, string path, List<(string Path, string Message)> errors)
    {
        JsonObject merged = [];
        foreach ((string name, JsonNode? value) in lower ?? [])
            VisitMember(name, Slot.Of(value), Slot.Member(upper, name));
        foreach ((string name, JsonNode? value) in upper ?? [])
        {
            if (lower is null || !lower.ContainsKey(name))
                VisitMember(name, Slot.Absent, Slot.Of(value));
        }

        return merged.Count > 0 ? Slot.Of(merged) : Slot.Absent;

        void VisitMember(string name, Slot low, Slot high)
        {
            Slot result = Visit(low, high, atom.FieldType(name).OrDeduced, $"{path}.{name}", errors);
            if (result.IsPresent)
                merged[name] = result.Node;
        }
    }

    private static Slot VisitItems(Atom atom, JsonArray? lower, JsonArray? upper, string path, List<(string Path, string Message)> errors)
    {
        int before = errors.Count;
        List<(PathElement Element, JsonNode? Item)> high = Index(atom, upper, path, allowDuplicates: false, errors);
        List<(PathElement Element, JsonNode? Item)> low = Index(atom, lower, path, allowDuplicates: true, errors);
        if (errors.Count > before)
            return Slot.Absent;

        Dictionary<PathElement, JsonNode?> inUpper = high.ToDictionary(pair => pair.Element, pair => pair.Item);
        Dictionary<PathElement, Slot> inLower = [];
        foreach ((PathElement element, JsonNode? item) in low)
            inLower[element] = inLower.ContainsKey(element) ? Slot.Of(null) : Slot.Of(item); // repeated items are not merged with

        Queue<PathElement> shared = new(high.Where(pair => inLower.ContainsKey(pair.Element)).Select(pair => pair.Element));
        HashSet<PathElement> taken = [];
        JsonArray merged = [];
        int l = 0;
        int h = 0;
        while (l < low.Count || h < high.Count)
        {
            if (l < low.Count && h < high.Count)
            {
                PathElement element = low[l].Element;
                if (element == high[h].Element)
                {
                    Take(element, high[h].Item);
                    l++;
                    h++;
                    shared.TryDequeue(out _);
                    continue;
                }

                if (inUpper.ContainsKey(element) && shared.TryPeek(out PathElement next) && next != element)
                {
                    l++; // shared, but not the one whose turn it is
                    continue;
                }
            }

            if (l < low.Count)
            {
                (PathElement element, JsonNode? item) = low[l];
                if (!inUpper.ContainsKey(element))
                {
                    Add(Visit(Slot.Of(item), Slot.Absent, atom.ItemType, path + element, errors));
                    l++;
                    continue;
                }

                if (taken.Contains(element))
                    l++;
            }

            if (h < high.Count)
            {
                (PathElement element, JsonNode? item) = high[h];
                Take(element, item);
                h++;
                if (shared.TryPeek(out PathElement next) && next == element)
                    shared.Dequeue();
            }
        }

        return merged.Count > 0 ? Slot.Of(merged) : Slot.Absent;

        void Take(PathElement element, JsonNode? item)
        {
            taken.Add(element);
            Add(Visit(inLower.GetValueOrDefault(element), Slot.Of(item), atom.ItemType, path + element, errors));
        }

        void Add(Slot result)
        {
            if (result.IsPresent)
                merged.Add(result.Node);
        }
    }

    private static List<(PathElement Element, JsonNode? Item)> Index(
        Atom atom, JsonArray? list, string path, bool allowDuplicates, List<(string Path, string Message)> errors)
    {
        List<(PathElement, JsonNode?)> items = [];
        HashSet<PathElement> seen = [];
        for (int i = 0; i < (list?.Count ?? 0); i++)
        {
            try
            {
                PathElement element = atom.ItemElement(list![i]); // counted above: not null here
                if (!seen.Add(element) && !allowDuplicates)
                    errors.Add((path, $"duplicate entries for key {element}"));
                else
                    items.Add((element, list[i]));
            }
            catch (TypedException e)
            {
                errors.Add((path, $"element {i}: {e.Message}"));
            }
        }

        return items;
    }
}
