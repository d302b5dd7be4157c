using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>
/// Who owns what after a change of a document: the rules of structured merge. An update takes what it changes; an apply owns what it mentions,
/// gives up what it no longer mentions, and conflicts where it would change what others own.
/// </summary>
/// <param name="schema">In the version of the request.</param>
/// <param name="apiVersion">Of the request.</param>
/// <param name="ignored">Fields that the request cannot change.</param>
/// <param name="otherVersions">Schemas of the kind's other versions; null for unknown ones.</param>
internal sealed class Ownership(StructuralSchema schema, string apiVersion, FieldSet ignored, Func<string, StructuralSchema?>? otherVersions)
{
    private readonly TypeRef _type = TypeRef.Of(schema);

    /// <summary>Gives what differs between the two documents to <paramref name="manager"/>, and takes it from everyone else.</summary>
    /// <exception cref="TypedException">The documents do not fit the schema.</exception>
    public void Update(JsonObject live, JsonObject next, ManagerTable managers, ManagerIdentity manager)
    {
        Reconcile(managers);
        TypedComparison comparison = Settle(live, next, managers, manager, force: true);
        FieldSet mine = managers.Owners.TryGetValue(manager, out OwnedFields? owned) ? owned.Fields.Difference(comparison.Removed) : new FieldSet();
        mine = mine.Union(comparison.Modified).Union(comparison.Added).RecursiveDifference(ignored);
        if (mine.IsEmpty)
            managers.Owners.Remove(manager);
        else
            managers.Owners[manager] = new OwnedFields(mine, apiVersion);
    }

    /// <summary>The merged document, or null when the apply changes nothing in it.</summary>
    /// <exception cref="TypedException">The documents do not fit the schema or each other.</exception>
    /// <exception cref="OwnershipConflictException">Others own what would change, and <paramref name="force"/> is off.</exception>
    public JsonObject? Apply(JsonObject live, JsonObject config, ManagerTable managers, ManagerIdentity manager, bool force)
    {
        Reconcile(managers);
        JsonNode? merged;
        try
        {
            merged = TypedMerge.Merge(live, config, _type);
        }
        catch (TypedException e)
        {
            throw new TypedException($"failed to merge config: {e.Message}");
        }

        OwnedFields? last = managers.Owners.GetValueOrDefault(manager);
        managers.Owners[manager] = new OwnedFields(TypedFields.Of(config, _type).RecursiveDifference(ignored), apiVersion);
        if (last is { Fields.IsEmpty: false })
            merged = Prune(merged, managers, last);

        // An object has its apiVersion and kind at least, so it is never merged or pruned to nothing.
        JsonObject next = (JsonObject)merged!;
        Settle(live, next, managers, manager, force);
        return DocumentValue.Same(live, next) ? null : next;
    }

    /// <summary>Takes from the other managers what changed under them; drops managers of unknown versions, and those that own nothing.</summary>
    private TypedComparison Settle(JsonObject live, JsonObject next, ManagerTable managers, ManagerIdentity manager, bool force)
    {
        TypedComparison whole = Compare(live, next, _type);
        Dictionary<string, TypedComparison?> versions = new() { [apiVersion] = whole.Except(ignored) };
        Dictionary<ManagerIdentity, FieldSet> conflicts = [];
        foreach ((ManagerIdentity other, OwnedFields owned) in managers.Owners.ToArray())
        {
            if (other == manager)
                continue;
            if (!versions.TryGetValue(owned.ApiVersion, out TypedComparison? comparison))
            {
                comparison = TypeOf(owned.ApiVersion) is { } type ? Compare(live, next, type).Except(ignored) : null;
                versions.Add(owned.ApiVersion, comparison);
            }

            if (comparison is null)
            {
                managers.Owners.Remove(other);
                continue;
            }

            FieldSet conflict = owned.Fields.Intersection(comparison.Modified.Union(comparison.Added));
            if (!conflict.IsEmpty)
                conflicts.Add(other, conflict);
            managers.Owners[other] = owned.With(owned.Fields.Difference(conflict).Difference(comparison.Removed));
        }

        if (!force && conflicts.Count > 0)
            throw new OwnershipConflictException(conflicts);

        foreach ((ManagerIdentity other, OwnedFields owned) in managers.Owners.ToArray())
        {
            if (owned.Fields.IsEmpty)
                managers.Owners.Remove(other);
        }

        return whole;
    }

    /// <summary>
    /// Without what the manager applied last time and does not mention now, unless another manager owns it, or something else put fields below it.
    /// </summary>
    private JsonNode? Prune(JsonNode? merged, ManagerTable managers, OwnedFields last)
    {
        if (TypeOf(last.ApiVersion) is not { } lastType)
            return merged;
        JsonNode? pruned = TypedRemoval.Remove(merged, last.Fields.WithNamedFields(lastType), lastType);

        // First the version of the last apply, then the others.
        foreach (IGrouping<string, OwnedFields> version in managers.Owners.Values
            .GroupBy(owned => owned.ApiVersion).OrderByDescending(group => group.Key == last.ApiVersion).ThenBy(group => group.Key, StringComparer.Ordinal))
        {
            if (TypeOf(version.Key) is not { } type)
                continue;
            FieldSet managed = version.Aggregate(new FieldSet(), (all, owned) => all.Union(owned.Fields)).WithNamedFields(type);
            FieldSet inMerged = TypedFields.Of(merged, type).WithNamedFields(type);
            FieldSet inPruned = TypedFields.Of(pruned, type).WithNamedFields(type);
            pruned = TypedRemoval.Remove(merged, inMerged.Difference(inPruned.Union(managed)), type);
        }

        // What is gone and was never this manager's comes back: it had no owner, or hung below an item that was removed.
        FieldSet remaining = TypedFields.Of(pruned, lastType).WithNamedFields(lastType);
        FieldSet all = TypedFields.Of(merged, lastType).WithNamedFields(lastType);
        return TypedRemoval.Remove(merged, all.Difference(remaining).Intersection(last.Fields.WithNamedFields(lastType)), lastType);
    }

    private void Reconcile(ManagerTable managers)
    {
        foreach ((ManagerIdentity identity, OwnedFields owned) in managers.Owners.ToArray())
        {
            if (TypeOf(owned.ApiVersion) is { } type)
                managers.Owners[identity] = owned.With(SetReconciliation.Reconcile(owned.Fields, type));
            else
                managers.Owners.Remove(identity);
        }
    }

    private TypeRef? TypeOf(string version)
    {
        if (version == apiVersion)
            return _type;
        return otherVersions?.Invoke(version) is { } other ? TypeRef.Of(other) : null;
    }

    private static TypedComparison Compare(JsonObject live, JsonObject next, TypeRef type)
    {
        try
        {
            return TypedComparison.Of(live, next, type);
        }
        catch (TypedException e)
        {
            throw new TypedException($"failed to compare objects: {e.Message}");
        }
    }
}

/// <summary>Fields that others own and that an apply would change, by owner.</summary>
internal sealed class OwnershipConflictException(IReadOnlyDictionary<ManagerIdentity, FieldSet> conflicts) : Exception("The fields have other owners.")
{
    public IReadOnlyDictionary<ManagerIdentity, FieldSet> Conflicts { get; } = conflicts;
}
