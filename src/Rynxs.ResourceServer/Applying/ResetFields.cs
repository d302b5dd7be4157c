using Rynxs.ResourceServer.Kinds;

namespace Rynxs.ResourceServer.Applying;

/// <summary>What a request to an object or one of its subresources cannot change, whatever it sends: such fields are never owned through it.</summary>
public static class ResetFields
{
    /// <summary>Paths in the form of <see cref="UpdateRequest.IgnoredPaths"/>: field names joined by dots.</summary>
    /// <param name="kind">Kind of the object.</param>
    /// <param name="subresource">Empty for the object itself.</param>
    public static IReadOnlyList<string> Of(ServedKind kind, string subresource) => throw new NotImplementedException();
}
