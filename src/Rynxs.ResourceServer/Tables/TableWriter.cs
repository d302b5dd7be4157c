using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Tables;

/// <summary>Objects as rows and columns (<c>meta.k8s.io/v1</c> Table), and as their metadata alone.</summary>
internal sealed class TableWriter(RegisteredKind kind, string includeObject, TimeProvider timeProvider)
{
    private const string NameDescription =
        "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

    private const string AgeDescription =
        "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

    private readonly Column[] _columns =
    [
        .. (kind.Kind.Columns.Count == 0 ? [new PrinterColumn { Name = "Age", Type = kind.Custom ? "date" : "string", JsonPath = ".metadata.creationTimestamp", Description = AgeDescription }] : kind.Kind.Columns)
            .Select(column => new Column(column, column.JsonPath is { } path ? JsonPath.Parse(path) : null)),
    ];

    /// <summary>A Table of these objects.</summary>
    /// <param name="items">Bodies in order.</param>
    /// <param name="metadata">Of the list, or with the version of the only object.</param>
    /// <param name="definitions">False in a watch after its first event.</param>
    public JsonObject Table(IEnumerable<byte[]> items, JsonObject metadata, bool definitions = true) => new()
    {
        ["kind"] = "Table",
        ["apiVersion"] = "meta.k8s.io/v1",
        ["metadata"] = metadata,
        ["columnDefinitions"] = definitions ? Definitions() : null,
        ["rows"] = new JsonArray([.. items.Select(Row)]),
    };

    /// <summary>An object's metadata alone.</summary>
    public static JsonObject Partial(byte[] body)
    {
        JsonObject document = DocumentText.Parse(body);
        JsonNode? metadata = document["metadata"];
        document.Remove("metadata");
        return new JsonObject { ["kind"] = "PartialObjectMetadata", ["apiVersion"] = "meta.k8s.io/v1", ["metadata"] = metadata };
    }

    private JsonArray Definitions()
    {
        JsonArray definitions = [Definition("Name", "string", "name", NameDescription, 0)];
        foreach (Column column in _columns)
            definitions.Add((JsonNode)Definition(column.Printer.Name, column.Printer.Type, column.Printer.Format, Description(column.Printer), column.Printer.Priority));
        return definitions;
    }

    private string Description(PrinterColumn column) =>
        column.Description.Length == 0 && kind.Custom && column.JsonPath is { } path ? $"Custom resource definition column (in JSONPath format): {path}" : column.Description;

    private static JsonObject Definition(string name, string type, string format, string description, int priority) => new()
    {
        ["name"] = name,
        ["type"] = type,
        ["format"] = format,
        ["description"] = description,
        ["priority"] = priority,
    };

    private JsonObject Row(byte[] body)
    {
        JsonObject document = DocumentText.Parse(body);
        DateTimeOffset now = timeProvider.GetUtcNow();
        JsonArray cells = [ObjectPipeline.Text(ObjectPipeline.Metadata(document), "name")];
        foreach (Column column in _columns)
            cells.Add(column.Printer.Read is { } read ? read(document, now) : Cell(column, document, now));
        JsonObject row = new() { ["cells"] = cells };
        switch (includeObject)
        {
            case "Metadata":
                row["object"] = Partial(body);
                break;
            case "Object":
                row["object"] = DocumentText.Parse(kind.Present(body));
                break;
        }

        return row;
    }

    private static JsonNode? Cell(Column column, JsonObject document, DateTimeOffset now)
    {
        JsonNode? value = column.Path?.Find(document).FirstOrDefault();
        if (column.Printer.Type == "date")
        {
            if (value is null)
                return column.Printer.JsonPath == ".metadata.creationTimestamp" ? "<unknown>" : null;
            return value is JsonValue && value.GetValueKind() == JsonValueKind.String && DateTimeOffset.TryParse(value.GetValue<string>(), CultureInfo.InvariantCulture, out DateTimeOffset time)
                ? Age.Of(now - time)
                : "<invalid>";
        }

        return (column.Printer.Type, value?.GetValueKind()) switch
        {
            (_, null or JsonValueKind.Null) => null,
            ("integer", JsonValueKind.Number) => value.DeepClone(),
            ("number", JsonValueKind.Number) => value.DeepClone(),
            ("boolean", JsonValueKind.True or JsonValueKind.False) => value.DeepClone(),
            ("string", JsonValueKind.String) => value.DeepClone(),
            ("string", _) => value.ToJsonString(),
            _ => null,
        };
    }

    private sealed record Column(PrinterColumn Printer, JsonPath? Path);
}
