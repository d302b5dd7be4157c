using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>An apply would change what others own: 409, reason Conflict, details with the causes and no more.</summary>
public sealed class ApplyConflictException(string message, IReadOnlyList<ApplyConflict> conflicts) : Exception(message)
{
    public IReadOnlyList<ApplyConflict> Conflicts { get; } = conflicts;

    /// <summary>For the Status: reason <c>FieldManagerConflict</c>.</summary>
    public IReadOnlyList<StatusCause> Causes =>
        [.. Conflicts.Select(conflict => new StatusCause("FieldManagerConflict", $"conflict with {conflict.Describe()}", conflict.Path))];
}

/// <summary>One field of one other manager.</summary>
/// <param name="Manager">Name of the other manager.</param>
/// <param name="Operation"><c>Apply</c> or <c>Update</c>.</param>
/// <param name="ApiVersion">Under which an Update manager wrote; empty for Apply.</param>
/// <param name="Subresource">Empty for the object itself.</param>
/// <param name="Path">Such as <c>.spec.ports[name="http"].port</c>.</param>
public sealed record ApplyConflict(string Manager, string Operation, string ApiVersion, string Subresource, string Path)
{
    internal string Describe() => throw new NotImplementedException();
}
