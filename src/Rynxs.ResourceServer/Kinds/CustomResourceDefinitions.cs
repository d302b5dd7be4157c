using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>From CustomResourceDefinition objects to kinds.</summary>
public static class CustomResourceDefinitions
{
    /// <summary>
    /// Reads a defaulted CRD document. On success one <see cref="ServedKind"/> per served version; else every cause, in the real server's words.
    /// A CRD that breaks no rule of its own may still not get its names: see <see cref="Status"/>.
    /// </summary>
    public static bool TryRead(JsonObject definition, [NotNullWhen(true)] out IReadOnlyList<ServedKind>? kinds, out IReadOnlyList<StatusCause> causes) =>
        throw new NotImplementedException();

    /// <summary>
    /// The status to write: acceptedNames, conditions NamesAccepted and Established, storedVersions (kept and extended by the storage version).
    /// <paramref name="others"/> are kinds already served, whose names in the same group win.
    /// Established is True only if the names were accepted; only then serve the kinds.
    /// </summary>
    public static JsonObject Status(JsonObject definition, IReadOnlyList<ServedKind> others, DateTimeOffset now) => throw new NotImplementedException();
}
