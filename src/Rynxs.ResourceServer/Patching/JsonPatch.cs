using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Patching;

/// <summary>JSON patch, RFC 6902, with the bounds and the answers of the real API server.</summary>
public static class JsonPatch
{
    /// <summary>Operations that one patch may have.</summary>
    public const int MaxOperations = 10_000;

    /// <summary>The patched document; neither argument is changed.</summary>
    /// <exception cref="PatchException">400 for what is no patch, 413 for too many operations, 422 for one that fails.</exception>
    public static JsonObject Apply(JsonObject document, JsonArray patch) => throw new NotImplementedException();
}
