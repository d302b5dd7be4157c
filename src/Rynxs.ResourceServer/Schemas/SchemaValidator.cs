using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Validates a document.</summary>
public static class SchemaValidator
{
    /// <summary>
    /// Every cause in the real server's words, CEL rules included. <paramref name="old"/> is the stored document of an update: transition rules run only with it.
    /// </summary>
    public static IReadOnlyList<StatusCause> Validate(JsonObject document, JsonObject? old, StructuralSchema schema) => throw new NotImplementedException();
}
