using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Patching;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>Server-side apply: merges a configuration into an object, with fields owned by managers.</summary>
public static class ServerSideApply
{
    /// <summary>
    /// The merged object with its new <c>metadata.managedFields</c>, not yet defaulted; neither document is changed. What is in neither of the
    /// two is not invented: names, uids and namespaces are the caller's part.
    /// </summary>
    /// <param name="live">The stored object; null to create.</param>
    /// <param name="applied">What the manager wants: apiVersion, kind, metadata.name and the fields that it has an opinion of.</param>
    /// <param name="schema">Of the whole object in the request's version.</param>
    /// <param name="request">Who applies, where and when.</param>
    /// <exception cref="ApplyConflictException">Another manager owns a field that would change.</exception>
    /// <exception cref="PatchException">400: wrong version, managedFields set. 500 (sic): a field that the schema does not know, a wrong type, a duplicate key.</exception>
    public static JsonObject Apply(JsonObject? live, JsonObject applied, StructuralSchema schema, ApplyRequest request) => throw new NotImplementedException();
}

/// <summary>Who applies.</summary>
public sealed record ApplyRequest
{
    /// <summary>The fieldManager parameter, required by the protocol.</summary>
    public required string Manager { get; init; }

    /// <summary>Of the request, such as <c>apps/v1</c>.</summary>
    public required string ApiVersion { get; init; }

    /// <summary>Such as <c>status</c>; empty for the object itself.</summary>
    public string Subresource { get; init; } = "";

    /// <summary>Take fields from other managers instead of conflicting.</summary>
    public bool Force { get; init; }
    public required DateTimeOffset Now { get; init; }

    /// <inheritdoc cref="UpdateRequest.IgnoredPaths"/>
    public IReadOnlyList<string> IgnoredPaths { get; init; } = [];

    /// <inheritdoc cref="UpdateRequest.OtherVersions"/>
    public Func<string, StructuralSchema?>? OtherVersions { get; init; }
}
