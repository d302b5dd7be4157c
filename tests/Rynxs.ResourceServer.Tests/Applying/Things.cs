using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>The kinds that these tests write to.</summary>
internal static class Things
{
    public const string ApiVersion = "test.universe.ai/v1";

    /// <summary>A kind of all shapes: see <c>TestData/thing.json</c>, the definition that a real server gets as well.</summary>
    public static JsonObject Definition { get; } = Read("TestData/thing.json");

    public static StructuralSchema Schema { get; } = SchemaOf(Definition);

    public static DocumentRequests Requests() => new(Schema, ApiVersion, "Thing");

    public static StructuralSchema SchemaOf(JsonObject definition) =>
        ObjectMetaSchema.WithMetadata(OpenApiSchemaReader.Read(definition["spec"]!["versions"]![0]!["schema"]!["openAPIV3Schema"]!.AsObject()));

    public static JsonObject Read(string path) => JsonNode.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, path)))!.AsObject();

    public static JsonObject Json(string text) => JsonNode.Parse(text)!.AsObject();
}
