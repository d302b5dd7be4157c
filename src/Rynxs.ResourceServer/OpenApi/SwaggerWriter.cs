using System.Text.Json;
using Rynxs.ResourceServer.Kinds;

namespace Rynxs.ResourceServer.OpenApi;

/// <summary>OpenAPI 2.0 of all kinds in one document.</summary>
internal sealed class SwaggerWriter
{
    private readonly Utf8JsonWriter _writer;
    private readonly SchemaJson _schemas;
    private readonly DocumentParts _parts;

    public SwaggerWriter(Utf8JsonWriter writer)
    {
        _writer = writer;
        _schemas = new SchemaJson(writer, "#/definitions/", swagger: true);
        _parts = new DocumentParts(writer, _schemas);
    }

    public void Write(IReadOnlyList<ServedKind> kinds)
    {
        _writer.WriteStartObject();
        _writer.WriteString("swagger", "2.0");
        _writer.WriteStartObject("info");
        _writer.WriteString("title", "Rynxs");
        _writer.WriteString("version", "v1");
        _writer.WriteEndObject();
        _writer.WriteStartObject("paths");
        foreach (ServedKind kind in kinds)
        {
            foreach ((string path, IReadOnlyList<Operation> operations) in Operations.Of(kind))
                WritePath(kind, path, operations);
        }

        _writer.WriteEndObject();
        _writer.WriteStartObject("definitions");
        _parts.Definitions(kinds);
        _writer.WriteEndObject();
        _writer.WriteEndObject();
    }

    private void WritePath(ServedKind kind, string path, IReadOnlyList<Operation> operations)
    {
        _writer.WriteStartObject(path);
        foreach (Operation operation in operations)
        {
            _writer.WriteStartObject(operation.Method);
            _writer.WriteString("operationId", operation.Id);
            Texts("consumes", operation.Method == "patch" ? DocumentParts.PatchTypes(operation) : operation.Body is null ? ["*/*"] : DocumentParts.BodyTypes);
            Texts("produces", DocumentParts.BodyTypes);
            _writer.WriteStartArray("parameters");
            if (operation.Body is not null)
                WriteBody(operation);
            foreach (string name in operation.Parameters)
                WriteParameter(name, "query");
            _writer.WriteEndArray();
            _writer.WriteStartObject("responses");
            _writer.WriteStartObject(operation.Method == "post" ? "201" : "200");
            _writer.WriteString("description", "OK");
            _writer.WritePropertyName("schema");
            _schemas.Reference(operation.Answer);
            _writer.WriteEndObject();
            _writer.WriteStartObject("401");
            _writer.WriteString("description", "Unauthorized");
            _writer.WriteEndObject();
            _writer.WriteEndObject();
            _writer.WriteString("x-kubernetes-action", operation.Action);
            if (path.EndsWith("/scale", StringComparison.Ordinal))
                _parts.GroupVersionKind("x-kubernetes-group-version-kind", "autoscaling", "v1", "Scale");
            else
                _parts.GroupVersionKind("x-kubernetes-group-version-kind", kind.Group, kind.Version, kind.Kind);
            _writer.WriteEndObject();
        }

        _writer.WriteStartArray("parameters");
        foreach (string name in new[] { "name", "namespace" })
        {
            if (path.Contains($"{{{name}}}", StringComparison.Ordinal))
                WriteParameter(name, "path");
        }

        _writer.WriteEndArray();
        _writer.WriteEndObject();
    }

    private void WriteBody(Operation operation)
    {
        _writer.WriteStartObject();
        _writer.WriteString("name", "body");
        _writer.WriteString("in", "body");
        if (operation.Method != "delete")
            _writer.WriteBoolean("required", true);
        _writer.WritePropertyName("schema");
        _schemas.Reference(operation.Body ?? "");
        _writer.WriteEndObject();
    }

    private void WriteParameter(string name, string place)
    {
        _writer.WriteStartObject();
        _parts.ParameterHead(name, place);
        _parts.ParameterType(name);
        _writer.WriteEndObject();
    }

    private void Texts(string name, IReadOnlyList<string> values)
    {
        _writer.WriteStartArray(name);
        foreach (string value in values)
            _writer.WriteStringValue(value);
        _writer.WriteEndArray();
    }
}
