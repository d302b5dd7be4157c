using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.OpenApi;

/// <summary>
/// Writes schemas as OpenAPI JSON, definitions as references; it remembers which definitions were referred to, for the caller to write them after.
/// </summary>
/// <param name="writer">Where to.</param>
/// <param name="prefix"><c>#/definitions/</c> or <c>#/components/schemas/</c>.</param>
/// <param name="swagger">Version 2 knows neither nullable nor alternatives.</param>
internal sealed class SchemaJson(Utf8JsonWriter writer, string prefix, bool swagger)
{
    private readonly Queue<StructuralSchema> _waiting = [];
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);

    /// <summary>Adds a definition to be written.</summary>
    public void Need(StructuralSchema schema)
    {
        if (schema.Definition is { } name && _seen.Add(name))
            _waiting.Enqueue(FieldTable.BuiltIn.Find(name) ?? schema);
    }

    /// <summary>Whether the name is taken or waiting already; if not, the caller writes it itself.</summary>
    public bool Claim(string definition) => _seen.Add(definition);

    /// <summary>Writes every definition that was needed, and what those need, as members of the object being written.</summary>
    public void WriteDefinitions(Action<StructuralSchema> extensions)
    {
        while (_waiting.TryDequeue(out StructuralSchema? schema))
        {
            writer.WriteStartObject(schema.Definition ?? "");
            Members(schema);
            extensions(schema);
            writer.WriteEndObject();
        }
    }

    /// <summary>In place, with members of the caller's at the end.</summary>
    public void WriteWith(StructuralSchema schema, Action more)
    {
        writer.WriteStartObject();
        Members(schema);
        more();
        writer.WriteEndObject();
    }

    public void Reference(string definition)
    {
        writer.WriteStartObject();
        writer.WriteString("$ref", prefix + definition);
        writer.WriteEndObject();
    }

    public void Write(StructuralSchema schema)
    {
        if (schema.Definition is not { } definition)
        {
            writer.WriteStartObject();
            Members(schema);
            writer.WriteEndObject();
            return;
        }

        Need(schema);
        StructuralSchema shared = FieldTable.BuiltIn.Find(definition) ?? schema;
        bool alone = schema.Description == shared.Description && schema.Default is null && schema.PatchStrategy == PatchStrategy.None && schema.MapType == shared.MapType;
        if (alone || swagger && schema.PatchStrategy == PatchStrategy.None && schema.Description == shared.Description)
        {
            Reference(definition);
            return;
        }

        // Beside a reference other members mean nothing in version 3: it stands in an allOf of one. Version 2's readers look beside it.
        writer.WriteStartObject();
        if (swagger)
        {
            writer.WriteString("$ref", prefix + definition);
        }
        else
        {
            writer.WriteStartArray("allOf");
            Reference(definition);
            writer.WriteEndArray();
            WriteDefault(schema);
        }

        if (schema.Description.Length > 0)
            writer.WriteString("description", schema.Description);
        Patch(schema);
        writer.WriteEndObject();
    }

    private void Members(StructuralSchema schema)
    {
        if (schema.Description.Length > 0)
            writer.WriteString("description", schema.Description);
        WriteType(schema);
        if (schema.Nullable && !swagger && schema.Definition is null)
            writer.WriteBoolean("nullable", true);
        WriteDefault(schema);
        if (schema.Enum.Count > 0)
            Values("enum", schema.Enum);
        Bounds(schema);
        if (schema.Required.Count > 0)
            Texts("required", schema.Required);
        if (schema.Properties.Count > 0)
        {
            writer.WriteStartObject("properties");
            foreach ((string name, StructuralSchema child) in schema.Properties)
            {
                writer.WritePropertyName(name);
                Write(child);
            }

            writer.WriteEndObject();
        }

        if (schema.AdditionalProperties is { } others)
        {
            writer.WritePropertyName("additionalProperties");
            Write(others);
        }

        if (schema.Items is { } items)
        {
            writer.WritePropertyName("items");
            Write(items);
        }

        if (!swagger)
            Branches(schema);
        Extensions(schema);
    }

    private void WriteType(StructuralSchema schema)
    {
        switch (schema.Type)
        {
            case SchemaType.IntOrString when schema.Definition is not null:
                // As the real server describes its own type, for generators that know it by this format.
                if (swagger)
                    writer.WriteString("type", "string");
                writer.WriteString("format", "int-or-string");
                return;
            case SchemaType.IntOrString:
                writer.WriteBoolean("x-kubernetes-int-or-string", true);
                return;
            case SchemaType.Any when schema.Definition == "io.k8s.apimachinery.pkg.api.resource.Quantity" && swagger:
                writer.WriteString("type", "string");
                return;
            case SchemaType.Any:
                break;
            default:
                writer.WriteString("type", schema.Type.ToString().ToLowerInvariant());
                break;
        }

        if (schema.Format.Length > 0)
            writer.WriteString("format", schema.Format);
    }

    private void Bounds(StructuralSchema schema)
    {
        Number("minimum", schema.Minimum);
        Number("maximum", schema.Maximum);
        if (schema.ExclusiveMinimum)
            writer.WriteBoolean("exclusiveMinimum", true);
        if (schema.ExclusiveMaximum)
            writer.WriteBoolean("exclusiveMaximum", true);
        Number("multipleOf", schema.MultipleOf);
        Number("minLength", schema.MinLength);
        Number("maxLength", schema.MaxLength);
        if (schema.Pattern is { } pattern && schema.Type != SchemaType.Any)
            writer.WriteString("pattern", pattern);
        Number("minItems", schema.MinItems);
        Number("maxItems", schema.MaxItems);
        Number("minProperties", schema.MinProperties);
        Number("maxProperties", schema.MaxProperties);
    }

    private void Branches(StructuralSchema schema)
    {
        List("allOf", schema.AllOf);
        List("anyOf", schema.AnyOf);
        List("oneOf", schema.OneOf);
        if (schema.Type == SchemaType.IntOrString && schema.Definition is not null)
            List("oneOf", [new StructuralSchema { Type = SchemaType.Integer }, new StructuralSchema { Type = SchemaType.String }]);
        if (schema.Not is { } not)
        {
            writer.WritePropertyName("not");
            Write(not);
        }

        void List(string name, IReadOnlyList<StructuralSchema> branches)
        {
            if (branches.Count == 0)
                return;
            writer.WriteStartArray(name);
            foreach (StructuralSchema branch in branches)
                Write(branch);
            writer.WriteEndArray();
        }
    }

    private void Extensions(StructuralSchema schema)
    {
        if (schema.PreserveUnknownFields)
            writer.WriteBoolean("x-kubernetes-preserve-unknown-fields", true);
        if (schema.EmbeddedResource)
            writer.WriteBoolean("x-kubernetes-embedded-resource", true);
        if (schema.Type == SchemaType.Array)
            writer.WriteString("x-kubernetes-list-type", schema.ListType.ToString().ToLowerInvariant());
        if (schema.ListMapKeys.Count > 0)
            Texts("x-kubernetes-list-map-keys", schema.ListMapKeys);
        if (schema.MapType == MapType.Atomic)
            writer.WriteString("x-kubernetes-map-type", "atomic");
        Patch(schema);
        if (schema.Rules.Count > 0)
            Rules(schema.Rules);
    }

    private void Patch(StructuralSchema schema)
    {
        if (schema.PatchStrategy != PatchStrategy.None)
        {
            // In the order that the real server writes several: merge,retainKeys.
            writer.WriteString("x-kubernetes-patch-strategy", string.Join(',', Strategies(schema.PatchStrategy)));
        }

        if (schema.PatchMergeKey is not null)
            writer.WriteString("x-kubernetes-patch-merge-key", schema.PatchMergeKey);
    }

    private static IEnumerable<string> Strategies(PatchStrategy strategy)
    {
        if (strategy.HasFlag(PatchStrategy.Merge))
            yield return "merge";
        if (strategy.HasFlag(PatchStrategy.Replace))
            yield return "replace";
        if (strategy.HasFlag(PatchStrategy.RetainKeys))
            yield return "retainKeys";
    }

    private void Rules(IReadOnlyList<ValidationRule> rules)
    {
        writer.WriteStartArray("x-kubernetes-validations");
        foreach (ValidationRule rule in rules)
        {
            writer.WriteStartObject();
            writer.WriteString("rule", rule.Rule);
            Text("message", rule.Message);
            Text("messageExpression", rule.MessageExpression);
            Text("reason", rule.Reason);
            Text("fieldPath", rule.FieldPath);
            if (rule.OptionalOldSelf)
                writer.WriteBoolean("optionalOldSelf", true);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private void WriteDefault(StructuralSchema schema)
    {
        if (schema.Default is null)
            return;
        writer.WritePropertyName("default");
        schema.Default.WriteTo(writer);
    }

    private void Values(string name, IReadOnlyList<JsonNode?> values)
    {
        writer.WriteStartArray(name);
        foreach (JsonNode? value in values)
        {
            if (value is null)
                writer.WriteNullValue();
            else
                value.WriteTo(writer);
        }

        writer.WriteEndArray();
    }

    private void Texts(string name, IReadOnlyList<string> values)
    {
        writer.WriteStartArray(name);
        foreach (string value in values)
            writer.WriteStringValue(value);
        writer.WriteEndArray();
    }

    private void Text(string name, string? value)
    {
        if (value is not null)
            writer.WriteString(name, value);
    }

    private void Number(string name, double? value)
    {
        if (value is { } number)
            writer.WriteNumber(name, number);
    }

    private void Number(string name, long? value)
    {
        if (value is { } number)
            writer.WriteNumber(name, number);
    }
}
