using System.Text.Json;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.OpenApi;

/// <summary>What both versions of OpenAPI write in the same way: definitions and the kinds of operations.</summary>
internal sealed class DocumentParts(Utf8JsonWriter writer, SchemaJson schemas)
{
    private static readonly string[] AnyPatch = ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];

    private static readonly string[] StrategicPatch = [.. AnyPatch, "application/strategic-merge-patch+json"];

    public static readonly string[] BodyTypes = ["application/json", "application/yaml"];

    /// <summary>Forms of a patch that an operation takes.</summary>
    public static string[] PatchTypes(Operation operation) => operation.Strategic ? StrategicPatch : AnyPatch;

    private static readonly Dictionary<string, (string Type, string Description)> Parameters = new()
    {
        ["allowWatchBookmarks"] = ("boolean", "Asks for BOOKMARK events in a watch."),
        ["continue"] = ("string", "Token of an earlier, limited list."),
        ["dryRun"] = ("string", "All: nothing is stored."),
        ["fieldManager"] = ("string", "Who writes, for managedFields."),
        ["fieldSelector"] = ("string", "Selects by fields."),
        ["fieldValidation"] = ("string", "Unknown and doubled fields: Ignore, Warn or Strict."),
        ["force"] = ("boolean", "Takes fields from other managers; for apply alone."),
        ["gracePeriodSeconds"] = ("integer", "Seconds until the object goes."),
        ["labelSelector"] = ("string", "Selects by labels."),
        ["limit"] = ("integer", "Most objects of one answer."),
        ["orphanDependents"] = ("boolean", "Deprecated: see propagationPolicy."),
        ["pretty"] = ("string", "true: the answer is indented."),
        ["propagationPolicy"] = ("string", "Orphan, Background or Foreground."),
        ["resourceVersion"] = ("string", "Version to begin at, or that the answer has at least."),
        ["resourceVersionMatch"] = ("string", "Exact or NotOlderThan."),
        ["sendInitialEvents"] = ("boolean", "A watch begins with the objects there are."),
        ["timeoutSeconds"] = ("integer", "Seconds after which the call ends."),
        ["watch"] = ("boolean", "Changes as they come."),
    };

    /// <summary>The definitions of the kinds, of their lists, and of all that they and the operations refer to.</summary>
    public void Definitions(IReadOnlyList<ServedKind> kinds)
    {
        Dictionary<string, List<ServedKind>> byDefinition = [];
        foreach (ServedKind kind in kinds)
        {
            string definition = Operations.DefinitionOf(kind);
            schemas.Need(kind.Schema with { Definition = definition });
            if (!byDefinition.TryGetValue(definition, out List<ServedKind>? same))
                byDefinition[definition] = same = [];
            same.Add(kind);
            if (kind.Scale is not null)
                schemas.Need(FieldTable.BuiltIn["io.k8s.api.autoscaling.v1", "Scale"]);
            WriteList(kind, definition);
        }

        OtherDefinitions();
        schemas.WriteDefinitions(schema =>
        {
            if (byDefinition.TryGetValue(schema.Definition ?? "", out List<ServedKind>? same))
                GroupVersionKinds([.. same.Select(kind => (kind.Group, kind.Version, kind.Kind))]);
            else if (schema.Definition == Operations.Scale)
                GroupVersionKinds([("autoscaling", "v1", "Scale")]);
        });
    }

    public void GroupVersionKind(string name, string group, string version, string kind)
    {
        writer.WriteStartObject(name);
        writer.WriteString("group", group);
        writer.WriteString("kind", kind);
        writer.WriteString("version", version);
        writer.WriteEndObject();
    }

    public void ParameterHead(string name, string place)
    {
        writer.WriteString("name", name);
        writer.WriteString("in", place);
        if (place == "path")
            writer.WriteBoolean("required", true);
        writer.WriteString("description", place == "path" ? $"The object's {name}." : Parameters[name].Description);
    }

    public void ParameterType(string name)
    {
        writer.WriteString("type", Parameters.TryGetValue(name, out (string Type, string) parameter) ? parameter.Type : "string");
        writer.WriteBoolean("uniqueItems", true);
    }

    private void WriteList(ServedKind kind, string definition)
    {
        string list = Operations.ListDefinitionOf(kind);
        if (!schemas.Claim(list))
            return;
        StructuralSchema schema = new()
        {
            Type = SchemaType.Object,
            Description = $"A list of {kind.Kind}.",
            Required = ["items"],
            Properties = new Dictionary<string, StructuralSchema>
            {
                ["apiVersion"] = ObjectMetaSchema.ApiVersion,
                ["items"] = new() { Type = SchemaType.Array, Items = kind.Schema with { Definition = definition }, Description = "The objects." },
                ["kind"] = ObjectMetaSchema.Kind,
                ["metadata"] = ObjectMetaSchema.ListMeta,
            },
        };
        writer.WritePropertyName(list);
        schemas.WriteWith(schema, () => GroupVersionKinds([(kind.Group, kind.Version, kind.ListKind)]));
    }

    private void OtherDefinitions()
    {
        StructuralSchema text = ObjectMetaSchema.Text;
        StructuralSchema number = new() { Type = SchemaType.Integer, Format = "int64" };
        Named(Operations.Patch, new() { Type = SchemaType.Object, Description = "A patch; its form is told by the media type." });
        Named(Operations.DeleteOptions, new()
        {
            Type = SchemaType.Object,
            Description = "How to delete.",
            Properties = new Dictionary<string, StructuralSchema>
            {
                ["apiVersion"] = ObjectMetaSchema.ApiVersion,
                ["dryRun"] = new() { Type = SchemaType.Array, Items = text },
                ["gracePeriodSeconds"] = number,
                ["kind"] = ObjectMetaSchema.Kind,
                ["orphanDependents"] = new() { Type = SchemaType.Boolean },
                ["preconditions"] = new()
                {
                    Type = SchemaType.Object,
                    Properties = new Dictionary<string, StructuralSchema> { ["resourceVersion"] = text, ["uid"] = text },
                },
                ["propagationPolicy"] = text,
            },
        });
        StructuralSchema cause = new()
        {
            Type = SchemaType.Object,
            Properties = new Dictionary<string, StructuralSchema> { ["field"] = text, ["message"] = text, ["reason"] = text },
        };
        StructuralSchema details = new()
        {
            Type = SchemaType.Object,
            Properties = new Dictionary<string, StructuralSchema>
            {
                ["causes"] = new() { Type = SchemaType.Array, Items = cause },
                ["group"] = text,
                ["kind"] = text,
                ["name"] = text,
                ["retryAfterSeconds"] = new() { Type = SchemaType.Integer, Format = "int32" },
                ["uid"] = text,
            },
        };
        Named(Operations.Status, new()
        {
            Type = SchemaType.Object,
            Description = "The answer to a call that returns no object.",
            Properties = new Dictionary<string, StructuralSchema>
            {
                ["apiVersion"] = ObjectMetaSchema.ApiVersion,
                ["code"] = new() { Type = SchemaType.Integer, Format = "int32" },
                ["details"] = details,
                ["kind"] = ObjectMetaSchema.Kind,
                ["message"] = text,
                ["metadata"] = ObjectMetaSchema.ListMeta,
                ["reason"] = text,
                ["status"] = text,
            },
        });

        void Named(string definition, StructuralSchema schema) => schemas.Need(schema with { Definition = definition });
    }

    private void GroupVersionKinds(IReadOnlyList<(string Group, string Version, string Kind)> kinds)
    {
        writer.WriteStartArray("x-kubernetes-group-version-kind");
        foreach ((string group, string version, string kind) in kinds)
        {
            writer.WriteStartObject();
            writer.WriteString("group", group);
            writer.WriteString("kind", kind);
            writer.WriteString("version", version);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }
}
