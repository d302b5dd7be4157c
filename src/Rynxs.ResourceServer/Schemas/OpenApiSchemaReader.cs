using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>From the JSON of a CRD's schema to nodes.</summary>
internal static class OpenApiSchemaReader
{
    public static StructuralSchema Read(JsonObject json)
    {
        Dictionary<string, StructuralSchema> properties = new(StringComparer.Ordinal);
        if (json["properties"] is JsonObject members)
        {
            foreach ((string name, JsonNode? value) in members)
            {
                if (value is JsonObject child)
                    properties[name] = Read(child);
            }
        }

        return new StructuralSchema
        {
            Type = TypeOf(json),
            Description = json["description"].Text() ?? "",
            Format = json["format"].Text() ?? "",
            Nullable = json["nullable"].Flag() ?? false,
            Default = json["default"]?.DeepClone(),
            Enum = json["enum"] is JsonArray values ? [.. values.Select(value => value?.DeepClone())] : [],
            Minimum = Number(json["minimum"]),
            Maximum = Number(json["maximum"]),
            ExclusiveMinimum = json["exclusiveMinimum"].Flag() ?? false,
            ExclusiveMaximum = json["exclusiveMaximum"].Flag() ?? false,
            MultipleOf = Number(json["multipleOf"]),
            MinLength = Integer(json["minLength"]),
            MaxLength = Integer(json["maxLength"]),
            Pattern = json["pattern"].Text() is { Length: > 0 } pattern ? pattern : null,
            MinItems = Integer(json["minItems"]),
            MaxItems = Integer(json["maxItems"]),
            MinProperties = Integer(json["minProperties"]),
            MaxProperties = Integer(json["maxProperties"]),
            Properties = properties,
            AdditionalProperties = json["additionalProperties"] switch
            {
                JsonObject child => Read(child),
                { } flag when flag.Flag() is true => StructuralSchema.Anything,
                _ => null,
            },
            Items = json["items"] is JsonObject items ? Read(items) : null,
            Required = Texts(json["required"]),
            AllOf = Branches(json["allOf"]),
            AnyOf = Branches(json["anyOf"]),
            OneOf = Branches(json["oneOf"]),
            Not = json["not"] is JsonObject not ? Read(not) : null,
            PreserveUnknownFields = json["x-kubernetes-preserve-unknown-fields"].Flag() ?? false,
            EmbeddedResource = json["x-kubernetes-embedded-resource"].Flag() ?? false,
            ListType = json["x-kubernetes-list-type"].Text() switch { "set" => ListType.Set, "map" => ListType.Map, _ => ListType.Atomic },
            ListMapKeys = Texts(json["x-kubernetes-list-map-keys"]),
            MapType = json["x-kubernetes-map-type"].Text() == "atomic" ? MapType.Atomic : MapType.Granular,
            Rules = json["x-kubernetes-validations"] is JsonArray rules ? [.. rules.OfType<JsonObject>().Select(Rule)] : [],
        };
    }

    public static ValidationRule Rule(JsonObject json) => new()
    {
        Rule = json["rule"].Text() ?? "",
        Message = json["message"].Text() is { Length: > 0 } message ? message : null,
        MessageExpression = json["messageExpression"].Text() is { Length: > 0 } expression ? expression : null,
        Reason = json["reason"].Text() is { Length: > 0 } reason ? reason : null,
        FieldPath = json["fieldPath"].Text() is { Length: > 0 } path ? path : null,
        OptionalOldSelf = json["optionalOldSelf"].Flag() ?? false,
    };

    private static SchemaType TypeOf(JsonObject json) => json["x-kubernetes-int-or-string"].Flag() is true
        ? SchemaType.IntOrString
        : json["type"].Text() switch
        {
            "object" => SchemaType.Object,
            "array" => SchemaType.Array,
            "string" => SchemaType.String,
            "integer" => SchemaType.Integer,
            "number" => SchemaType.Number,
            "boolean" => SchemaType.Boolean,
            _ => SchemaType.Any,
        };

    private static double? Number(JsonNode? node) => node.TryNumber(out double number) ? number : null;

    private static long? Integer(JsonNode? node) => node.TryInteger(out long number) ? number : null;

    private static List<string> Texts(JsonNode? node) => node is JsonArray list ? [.. list.Select(item => item.Text()).OfType<string>()] : [];

    private static List<StructuralSchema> Branches(JsonNode? node) => node is JsonArray list ? [.. list.OfType<JsonObject>().Select(Read)] : [];
}
