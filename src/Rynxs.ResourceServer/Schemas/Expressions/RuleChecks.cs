using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>Evaluates the CEL rules of a schema over a document.</summary>
internal static class RuleChecks
{
    public static bool HasRules(StructuralSchema schema) => false;

    public static IEnumerable<StatusCause> Compile(ValidationRule rule, JsonObject schema, string path) => [];

    public static void Check(JsonObject document, JsonObject? old, StructuralSchema schema, List<StatusCause> causes)
    {
    }
}
