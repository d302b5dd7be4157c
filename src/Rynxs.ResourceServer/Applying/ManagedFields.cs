using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>Who wrote which field: <c>metadata.managedFields</c>, as the real server keeps it.</summary>
public static class ManagedFields
{
    /// <summary>
    /// Records a create, an update or a patch other than apply: sets <c>metadata.managedFields</c> of <paramref name="next"/>. Call it with the
    /// object as the client sent it (or as the patch left it), defaulted, before the strategy drops what the request may not touch.
    /// </summary>
    /// <param name="live">The stored object; null on create.</param>
    /// <param name="next">Mutated.</param>
    /// <param name="schema">Of the whole object in the request's version.</param>
    /// <param name="request">Who updates, where and when.</param>
    public static void Track(JsonObject? live, JsonObject next, StructuralSchema schema, UpdateRequest request) => throw new NotImplementedException();

    /// <summary>
    /// Puts the times of <paramref name="live"/> back where nothing but times differs, so that a request without effect is no write. Call it last.
    /// </summary>
    /// <param name="live">The stored object.</param>
    /// <param name="next">Mutated.</param>
    public static void KeepTimesIfUnchanged(JsonObject live, JsonObject next) => throw new NotImplementedException();
}

/// <summary>Who updates.</summary>
public sealed record UpdateRequest
{
    /// <summary>The fieldManager parameter, otherwise the user agent up to its first slash; empty counts as <c>unknown</c>.</summary>
    public required string Manager { get; init; }

    /// <summary>Of the request, such as <c>apps/v1</c>.</summary>
    public required string ApiVersion { get; init; }

    /// <summary>Such as <c>status</c>; empty for the object itself.</summary>
    public string Subresource { get; init; } = "";
    public required DateTimeOffset Now { get; init; }

    /// <summary>Paths that the request cannot change and so never owns: see <see cref="ResetFields"/>.</summary>
    public IReadOnlyList<string> IgnoredPaths { get; init; } = [];

    /// <summary>Schemas of the kind's other served versions; null for one that is not served, whose managers are dropped.</summary>
    public Func<string, StructuralSchema?>? OtherVersions { get; init; }
}
