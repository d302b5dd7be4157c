using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Fills in defaults.</summary>
public static class SchemaDefaulter
{
    /// <summary>Mutates <paramref name="document"/>: nulls that the schema does not allow but has a default for become it, absent fields take theirs.</summary>
    public static void Default(JsonObject document, StructuralSchema schema) => throw new NotImplementedException();
}
