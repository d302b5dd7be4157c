using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>An apply would change what others own: 409, reason Conflict, details with the causes and no more.</summary>
public sealed class ApplyConflictException : Exception
{
    /// <param name="conflicts">In the order of the message; at least one.</param>
    public ApplyConflictException(IReadOnlyList<ApplyConflict> conflicts)
        : base(Describe(conflicts))
    {
        Conflicts = conflicts;
    }

    public IReadOnlyList<ApplyConflict> Conflicts { get; }

    /// <summary>For the Status: reason <c>FieldManagerConflict</c>.</summary>
    public IReadOnlyList<StatusCause> Causes =>
        [.. Conflicts.Select(conflict => new StatusCause("FieldManagerConflict", $"conflict with {conflict.Describe()}", conflict.Path))];

    internal static ApplyConflictException From(IReadOnlyDictionary<ManagerIdentity, FieldSet> conflicts) =>
        new([.. conflicts
            .OrderBy(pair => pair.Key.SortKey, Comparer<string>.Create(DocumentValue.CompareText))
            .SelectMany(pair => pair.Value.Paths().Select(path => new ApplyConflict(
                pair.Key.Manager, pair.Key.Operation, pair.Key.ApiVersion, pair.Key.Subresource, string.Concat(path))))]);

    private static string Describe(IReadOnlyList<ApplyConflict> conflicts)
    {
        if (conflicts is [{ } only])
            return $"Apply failed with 1 conflict: conflict with {only.Describe()}: {only.Path}";
        IEnumerable<string> lines = conflicts
            .GroupBy(conflict => conflict.Identity)
            .SelectMany(group => group.Select(conflict => $"- {conflict.Path}").Prepend($"conflicts with {group.Key.Describe()}:"));
        return $"Apply failed with {conflicts.Count} conflicts: {string.Join("\n", lines)}";
    }
}

/// <summary>One field of one other manager.</summary>
/// <param name="Manager">Name of the other manager.</param>
/// <param name="Operation"><c>Apply</c> or <c>Update</c>.</param>
/// <param name="ApiVersion">Under which an Update manager wrote; empty for Apply.</param>
/// <param name="Subresource">Empty for the object itself.</param>
/// <param name="Path">Such as <c>.spec.ports[name="http"].port</c>.</param>
public sealed record ApplyConflict(string Manager, string Operation, string ApiVersion, string Subresource, string Path)
{
    internal ManagerIdentity Identity => new(Manager, Operation, ApiVersion, Subresource);

    internal string Describe() => Identity.Describe();
}
