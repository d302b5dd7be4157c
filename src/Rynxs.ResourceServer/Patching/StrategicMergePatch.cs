using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Patching;

/// <summary>Strategic merge patch: a merge patch that knows from the schema which lists are merged, and by which key.</summary>
public static class StrategicMergePatch
{
    /// <summary>The patched document; no argument is changed.</summary>
    /// <exception cref="PatchException">400 for a patch that does not fit the document.</exception>
    public static JsonObject Apply(JsonObject document, JsonObject patch, StructuralSchema schema) => throw new NotImplementedException();
}
