using System.Text.Json.Nodes;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>
/// The kinds of <c>universe.ai/v1alpha1</c>: schemas, columns and selectable fields are those of the manifests in <c>crds/</c>, and the rules that no
/// schema can say come from Rynxs.Resources.
/// </summary>
public static class UniverseKinds
{
    /// <summary>In alphabetical order.</summary>
    public static IReadOnlyList<ServedKind> All { get; } = [.. ResourceTypes.All.Select(Read)];

    private static ServedKind Read(ResourceType type)
    {
        JsonObject manifest = CrdManifests.Of(type);
        if (!CustomResourceDefinitions.TryRead(manifest, out IReadOnlyList<ServedKind>? kinds, out IReadOnlyList<StatusCause> causes))
            throw new InvalidDataException($"The manifest of {type.Kind}: {causes[0].Field}: {causes[0].Message}");

        return kinds[0] with
        {
            ExtraDefaulting = document => DocumentRules.Default(document, type),
            ExtraValidation = (document, old) =>
                [.. DocumentRules.Validate(document, old, type).Select(error => new StatusCause(error.Code, error.Message, error.Field))],
        };
    }
}
