using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>What differs between two documents, as sets of fields.</summary>
internal sealed class TypedComparison
{
    private TypedComparison(FieldSet added, FieldSet modified, FieldSet removed)
    {
        Added = added;
        Modified = modified;
        Removed = removed;
    }

    public FieldSet Added { get; }

    public FieldSet Modified { get; }

    public FieldSet Removed { get; }

    /// <exception cref="TypedException">A list has items that cannot be told apart.</exception>
    public static TypedComparison Of(JsonNode? before, JsonNode? after, TypeRef type)
    {
        TypedComparison comparison = new(new FieldSet(), new FieldSet(), new FieldSet());
        comparison.Visit(Slot.Of(before), Slot.Of(after), type, []);
        return comparison;
    }

    /// <summary>Without the fields and all below them.</summary>
    public TypedComparison Except(FieldSet fields) =>
        fields.IsEmpty ? this : new(Added.RecursiveDifference(fields), Modified.RecursiveDifference(fields), Removed.RecursiveDifference(fields));

    private void Visit(Slot before, Slot after, TypeRef type, List<PathElement> path)
    {
        Atom atom = type.Resolve();
        Atom beforeAtom = atom.For(before);
        Atom afterAtom = atom.For(after);
        bool isLeaf;
        if (!after.IsPresent)
        {
            isLeaf = VisitAs(beforeAtom, before, after, path);
        }
        else
        {
            if (before.IsPresent && beforeAtom != afterAtom)
                VisitAs(beforeAtom, before, after, path);
            isLeaf = VisitAs(afterAtom, before, after, path);
        }

        if (isLeaf)
            return;
        if (!before.IsPresent)
            Added.Insert(path);
        else if (!after.IsPresent)
            Removed.Insert(path);
    }

    private bool VisitAs(Atom atom, Slot before, Slot after, List<PathElement> path)
    {
        switch (atom.Form)
        {
            case AtomForm.Map:
                JsonObject? oldMap = before.Node as JsonObject;
                JsonObject? newMap = after.Node as JsonObject;
                if (atom.IsAtomicMap || (oldMap is null or { Count: 0 } && newMap is null or { Count: 0 }))
                    return Leaf(before, after, path);
                VisitMembers(atom, oldMap, newMap, path);
                return false;
            case AtomForm.List:
                JsonArray? oldList = before.Node as JsonArray;
                JsonArray? newList = after.Node as JsonArray;
                if (!atom.IsAssociativeList || (oldList is null or { Count: 0 } && newList is null or { Count: 0 }))
                    return Leaf(before, after, path);
                VisitItems(atom, oldList, newList, path);
                return false;
            case AtomForm.Scalar:
                return Leaf(before, after, path);
            default:
                throw new TypedException($"{string.Concat(path)}: schema error: invalid atom: inlined");
        }
    }

    private bool Leaf(Slot before, Slot after, List<PathElement> path)
    {
        if (!before.IsPresent)
            Added.Insert(path);
        else if (!after.IsPresent)
            Removed.Insert(path);
        else if (!DocumentValue.Same(before.Node, after.Node))
            Modified.Insert(path);
        return true;
    }

    private void VisitMembers(Atom atom, JsonObject? before, JsonObject? after, List<PathElement> path)
    {
        foreach ((string name, JsonNode? value) in before ?? [])
            VisitChild(PathElement.Field(name), Slot.Of(value), Slot.Member(after, name), atom.FieldType(name).OrDeduced, path);
        foreach ((string name, JsonNode? value) in after ?? [])
        {
            if (before is null || !before.ContainsKey(name))
                VisitChild(PathElement.Field(name), Slot.Absent, Slot.Of(value), atom.FieldType(name).OrDeduced, path);
        }
    }

    private void VisitItems(Atom atom, JsonArray? before, JsonArray? after, List<PathElement> path)
    {
        Dictionary<PathElement, List<JsonNode?>> old = Group(atom, before, path);
        Dictionary<PathElement, List<JsonNode?>> young = Group(atom, after, path);
        foreach (PathElement element in old.Keys.Concat(young.Keys.Where(element => !old.ContainsKey(element))))
        {
            List<JsonNode?> olds = old.GetValueOrDefault(element, []);
            List<JsonNode?> youngs = young.GetValueOrDefault(element, []);
            switch (olds.Count, youngs.Count)
            {
                case ( <= 1, <= 1):
                    VisitChild(element, First(olds), First(youngs), atom.ItemType, path);
                    break;
                case ( >= 2, >= 2):
                    if (olds.Count != youngs.Count || !olds.Zip(youngs).All(pair => DocumentValue.Same(pair.First, pair.Second)))
                        Modified.Insert(path, element);
                    break;
                case ( >= 2, _):
                    // Repeated before and not any more: the one that remains is new, the mark of the repetition goes.
                    if (youngs.Count > 0)
                        VisitChild(element, Slot.Absent, First(youngs), atom.ItemType, path);
                    Removed.Insert(path, element);
                    break;
                default:
                    if (olds.Count > 0)
                        VisitChild(element, First(olds), Slot.Absent, atom.ItemType, path);
                    Added.Insert(path, element);
                    break;
            }
        }
    }

    private void VisitChild(PathElement element, Slot before, Slot after, TypeRef type, List<PathElement> path)
    {
        path.Add(element);
        Visit(before, after, type, path);
        path.RemoveAt(path.Count - 1);
    }

    private static Slot First(List<JsonNode?> items) => items.Count > 0 ? Slot.Of(items[0]) : Slot.Absent;

    private static Dictionary<PathElement, List<JsonNode?>> Group(Atom atom, JsonArray? list, List<PathElement> path)
    {
        Dictionary<PathElement, List<JsonNode?>> groups = [];
        for (int i = 0; i < (list?.Count ?? 0); i++)
        {
            try
            {
                PathElement element = atom.ItemElement(list![i]); // counted above: not null here
                if (!groups.TryGetValue(element, out List<JsonNode?>? group))
                    groups.Add(element, group = []);
                group.Add(list[i]);
            }
            catch (TypedException e)
            {
                throw new TypedException($"{string.Concat(path)}: element {i}: {e.Message}");
            }
        }

        return groups;
    }
}
