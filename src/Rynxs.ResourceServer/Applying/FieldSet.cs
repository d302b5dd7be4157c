using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>
/// A set of field paths as a tree. An element can be a member, have members below it, or both: owning a list item is not owning its fields.
/// Grown by insertion while it is built and left alone after; the operations return new sets that may share subtrees.
/// </summary>
internal sealed class FieldSet
{
    private readonly Dictionary<PathElement, Entry> _entries = [];

    public bool IsEmpty
    {
        get
        {
            foreach (Entry entry in _entries.Values)
            {
                if (entry.IsMember || entry.Below is { IsEmpty: false })
                    return false;
            }

            return true;
        }
    }

    /// <summary>From paths of plain field names joined by dots.</summary>
    public static FieldSet OfFieldNames(IEnumerable<string> paths)
    {
        FieldSet set = new();
        foreach (string path in paths)
            set.Insert([.. path.Split('.').Select(PathElement.Field)]);
        return set;
    }

    /// <summary>Adds one path; its parents are not added. The empty path is nobody's and ignored.</summary>
    public void Insert(List<PathElement> path)
    {
        if (path.Count == 0)
            return;
        FieldSet set = this;
        for (int i = 0; i < path.Count - 1; i++)
            set = set.Descend(path[i]);
        set.Mark(path[^1]);
    }

    /// <summary>Adds a path and one more step.</summary>
    public void Insert(List<PathElement> path, PathElement last)
    {
        FieldSet set = this;
        foreach (PathElement element in path)
            set = set.Descend(element);
        set.Mark(last);
    }

    public bool Contains(PathElement element) => _entries.TryGetValue(element, out Entry entry) && entry.IsMember;

    public bool Contains(List<PathElement> path)
    {
        FieldSet? set = this;
        for (int i = 0; i < path.Count - 1 && set is not null; i++)
            set = set.Below(path[i]);
        return path.Count > 0 && set is not null && set.Contains(path[^1]);
    }

    /// <summary>What lies below one element; null for nothing.</summary>
    public FieldSet? Below(PathElement element) =>
        _entries.TryGetValue(element, out Entry entry) && entry.Below is { IsEmpty: false } below ? below : null;

    public FieldSet Union(FieldSet other)
    {
        FieldSet result = new();
        foreach ((PathElement element, Entry entry) in _entries)
        {
            result.Put(element, other._entries.TryGetValue(element, out Entry theirs)
                ? new Entry(entry.IsMember || theirs.IsMember, entry.Below is null ? theirs.Below : theirs.Below is null ? entry.Below : entry.Below.Union(theirs.Below))
                : entry);
        }

        foreach ((PathElement element, Entry entry) in other._entries)
        {
            if (!_entries.ContainsKey(element))
                result.Put(element, entry);
        }

        return result;
    }

    public FieldSet Intersection(FieldSet other)
    {
        FieldSet result = new();
        foreach ((PathElement element, Entry entry) in _entries)
        {
            if (other._entries.TryGetValue(element, out Entry theirs))
                result.Put(element, new Entry(entry.IsMember && theirs.IsMember, entry.Below is null || theirs.Below is null ? null : entry.Below.Intersection(theirs.Below)));
        }

        return result;
    }

    /// <summary>Members of this set that are not members of the other; a member of the other takes nothing away below itself.</summary>
    public FieldSet Difference(FieldSet other)
    {
        FieldSet result = new();
        foreach ((PathElement element, Entry entry) in _entries)
        {
            result.Put(element, other._entries.TryGetValue(element, out Entry theirs)
                ? new Entry(entry.IsMember && !theirs.IsMember, entry.Below is null || theirs.Below is null ? entry.Below : entry.Below.Difference(theirs.Below))
                : entry);
        }

        return result;
    }

    /// <summary>As <see cref="Difference"/>, and a member of the other takes away all below itself.</summary>
    public FieldSet RecursiveDifference(FieldSet other)
    {
        FieldSet result = new();
        foreach ((PathElement element, Entry entry) in _entries)
        {
            if (!other._entries.TryGetValue(element, out Entry theirs))
                result.Put(element, entry);
            else if (!theirs.IsMember)
                result.Put(element, new Entry(entry.IsMember, entry.Below is null || theirs.Below is null ? entry.Below : entry.Below.RecursiveDifference(theirs.Below)));
        }

        return result;
    }

    /// <summary>
    /// With the named fields on the way to a member: the set of <c>a.b.c</c> then has <c>a</c> when the schema names it, and not <c>a.b</c> when
    /// that is an entry of a map.
    /// </summary>
    public FieldSet WithNamedFields(TypeRef type)
    {
        Atom atom = type.Resolve();
        FieldSet result = new();
        foreach ((PathElement element, Entry entry) in _entries)
        {
            bool isMember = entry.IsMember || (entry.Below is not null && element.Kind == PathElementKind.Field && atom.HasMap && atom.Declares(element.Text));
            TypeRef below = element.Kind switch
            {
                PathElementKind.Field when atom.HasMap => atom.FieldType(element.Text),
                PathElementKind.Key when atom.HasList => atom.ItemType,
                _ => TypeRef.None,
            };
            result.Put(element, new Entry(isMember, entry.Below?.WithNamedFields(below)));
        }

        return result;
    }

    /// <summary>Each member's path, in the order of the real server's lists: the members of a level, then what is below each.</summary>
    public IEnumerable<List<PathElement>> Paths()
    {
        Stack<(FieldSet Set, List<PathElement> Prefix)> open = new();
        open.Push((this, []));
        while (open.TryPop(out (FieldSet Set, List<PathElement> Prefix) level))
        {
            List<PathElement> order = PathElement.Sorted(level.Set._entries.Keys);
            foreach (PathElement element in order)
            {
                if (level.Set._entries[element].IsMember)
                    yield return [.. level.Prefix, element];
            }

            // Pushed backwards, so that they are popped in order.
            for (int i = order.Count - 1; i >= 0; i--)
            {
                if (level.Set._entries[order[i]].Below is { } below)
                    open.Push((below, [.. level.Prefix, order[i]]));
            }
        }
    }

    /// <summary>The elements that have something at or below them, with what that is; unordered.</summary>
    public IEnumerable<(PathElement Element, bool IsMember, FieldSet? Below)> Entries => _entries.Select(pair => (pair.Key, pair.Value.IsMember, pair.Value.Below));

    public bool SameAs(FieldSet other) => Difference(other).IsEmpty && other.Difference(this).IsEmpty;

    /// <summary>As fieldsV1.</summary>
    public JsonObject Encode() => Encode(isMember: false);

    /// <summary>From fieldsV1.</summary>
    /// <exception cref="FormatException">It is malformed.</exception>
    public static FieldSet Decode(JsonNode? fields) => Decode(fields, depth: 0, out _) ?? new FieldSet();

    private JsonObject Encode(bool isMember)
    {
        JsonObject result = [];
        if (isMember && !IsEmpty)
            result["."] = new JsonObject();
        foreach (PathElement element in PathElement.Sorted(_entries.Keys))
        {
            Entry entry = _entries[element];
            if (entry.Below is { IsEmpty: false } below)
                result[element.Encoded] = below.Encode(entry.IsMember);
            else if (entry.IsMember)
                result[element.Encoded] = new JsonObject();
        }

        return result;
    }

    private static FieldSet? Decode(JsonNode? fields, int depth, out bool isMember)
    {
        if (depth > MaxDepth)
            throw new FormatException("fields are nested too deeply");
        isMember = false;
        FieldSet? set = null;
        if (fields is not null)
        {
            if (fields is not JsonObject members)
                throw new FormatException("fields are an object");
            foreach ((string name, JsonNode? value) in members)
            {
                if (name == ".")
                {
                    isMember = true;
                }
                else if (PathElement.Parse(name) is { } element)
                {
                    FieldSet? below = Decode(value, depth + 1, out bool childIsMember);
                    (set ??= new FieldSet()).Put(element, new Entry(childIsMember, below));
                }
            }
        }

        isMember |= set is null;
        return set;
    }

    private FieldSet Descend(PathElement element)
    {
        if (_entries.TryGetValue(element, out Entry entry) && entry.Below is { } below)
            return below;
        FieldSet fresh = new();
        _entries[element] = entry with { Below = fresh };
        return fresh;
    }

    private void Mark(PathElement element)
    {
        _entries.TryGetValue(element, out Entry entry);
        _entries[element] = entry with { IsMember = true };
    }

    /// <summary>Elements with nothing at or below them are left out: each set has one form.</summary>
    private void Put(PathElement element, Entry entry)
    {
        if (entry.IsMember || entry.Below is { IsEmpty: false })
            _entries[element] = entry;
    }

    private const int MaxDepth = DocumentDepth.Max;

    private readonly record struct Entry(bool IsMember, FieldSet? Below);
}
