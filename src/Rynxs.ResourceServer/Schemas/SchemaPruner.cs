using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Removes what a schema does not know.</summary>
public static class SchemaPruner
{
    /// <summary>Mutates <paramref name="document"/>; answers the dropped paths in the real server's form, such as <c>spec.list[0].bar</c>, in document order.</summary>
    public static IReadOnlyList<string> Prune(JsonObject document, StructuralSchema schema) => throw new NotImplementedException();
}
