using System.Text.Json;
using Rynxs.ResourceServer.Kinds;

namespace Rynxs.ResourceServer.OpenApi;

/// <summary>OpenAPI 3.0 of one group and version.</summary>
internal sealed class OpenApi3Writer
{
    private readonly Utf8JsonWriter _writer;
    private readonly SchemaJson _schemas;
    private readonly DocumentParts _parts;

    public OpenApi3Writer(Utf8JsonWriter writer)
    {
        _writer = writer;
        _schemas = new SchemaJson(writer, "#/components/schemas/", swagger: false);
        _parts = new DocumentParts(writer, _schemas);
    }

    public void Write(IReadOnlyList<ServedKind> kinds)
    {
        _writer.WriteStartObject();
        _writer.WriteString("openapi", "3.0.0");
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
        _writer.WriteStartObject("components");
        _writer.WriteStartObject("schemas");
        _parts.Definitions(kinds);
        _writer.WriteEndObject();
        _writer.WriteEndObject();
        _writer.WriteEndObject();
    }

    private void WritePath(ServedKind kind, string path, IReadOnlyList<Operation> operations)
    {
        _writer.WriteStartObject(path);
        foreach (Operation operation in operations)
        {
            _writer.WriteStartObject(operation.Method);
            _writer.WriteStartArray("tags");
            _writer.WriteStringValue(kind.Group.Length == 0 ? $"core_{kind.Version}" : $"{kind.Group}_{kind.Version}");
            _writer.WriteEndArray();
            _writer.WriteString("operationId", operation.Id);
            _writer.WriteStartArray("parameters");
            foreach (string name in operation.Parameters)
                WriteParameter(name, "query");
            _writer.WriteEndArray();
            if (operation.Body is not null)
                WriteBody(operation);
            WriteAnswer(operation);
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

    private void WriteParameter(string name, string place)
    {
        _writer.WriteStartObject();
        _parts.ParameterHead(name, place);
        _writer.WriteStartObject("schema");
        _parts.ParameterType(name);
        _writer.WriteEndObject();
        _writer.WriteEndObject();
    }

    private void WriteBody(Operation operation)
    {
        _writer.WriteStartObject("requestBody");
        WriteContent(operation.Method == "patch" ? DocumentParts.PatchTypes(operation) : operation.Method == "delete" ? ["*/*"] : DocumentParts.BodyTypes, operation.Body ?? "");
        if (operation.Method != "delete")
            _writer.WriteBoolean("required", true);
        _writer.WriteEndObject();
    }

    private void WriteAnswer(Operation operation)
    {
        _writer.WriteStartObject("responses");
        foreach (string code in operation.Method switch { "post" => new[] { "200", "201", "202" }, "put" or "patch" => ["200", "201"], _ => ["200"] })
        {
            _writer.WriteStartObject(code);
            _writer.WriteString("description", "OK");
            WriteContent(DocumentParts.BodyTypes, operation.Answer);
            _writer.WriteEndObject();
        }

        _writer.WriteStartObject("401");
        _writer.WriteString("description", "Unauthorized");
        _writer.WriteEndObject();
        _writer.WriteEndObject();
    }

    private void WriteContent(string[] types, string definition)
    {
        _writer.WriteStartObject("content");
        foreach (string type in types)
        {
            _writer.WriteStartObject(type);
            _writer.WritePropertyName("schema");
            _schemas.Reference(definition);
            _writer.WriteEndObject();
        }

        _writer.WriteEndObject();
    }
}
