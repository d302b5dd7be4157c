using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>
/// What makes an OpenAPI schema structural: every place has a type, and what is below allOf, anyOf, oneOf and not only judges values. Also defaults
/// that fit, patterns that compile, list types that make sense, CEL rules that parse.
/// </summary>
internal sealed class StructuralRules(List<StatusCause> causes)
{
    private const int MaxDepth = 64;
    private const int MaxNodes = 20_000;

    private static readonly string[] Types = ["array", "boolean", "integer", "number", "object", "string"];
    private static readonly string[] Unsupported = ["$ref", "$schema", "id", "definitions", "dependencies", "patternProperties", "additionalItems"];

    private static readonly string[] NotInBranches =
    [
        "description", "default", "additionalProperties", "nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-validations",
    ];

    private int _nodes;

    public void CheckRoot(JsonObject schema, string path)
    {
        if (schema["type"].Text() is not { Length: > 0 } type)
            Add(CauseReasons.Required, path + ".type", "Required value: must not be empty at the root");
        else if (type != "object")
            Add(CauseReasons.Invalid, path + ".type", $"Invalid value: {JsonScalars.Quote(type)}: must be object at the root");
        if (schema["nullable"].Flag() is true)
            Add(CauseReasons.Forbidden, path + ".nullable", "Forbidden: nullable cannot be true at the root");
        if (schema["default"] is not null)
            Add(CauseReasons.Forbidden, path + ".default", "Forbidden: must not be set at the root");
        if (schema["properties"]?["metadata"] is JsonObject metadata)
            CheckMetadata(metadata, path + ".properties[metadata]");
        Check(schema, path, "", 0);
    }

    private void CheckMetadata(JsonObject metadata, string path)
    {
        if (metadata["type"].Text() is not "object")
            Add(CauseReasons.Invalid, path + ".type", $"Invalid value: {JsonScalars.Quote(metadata["type"].Text() ?? "")}: must be object");
        foreach ((string name, _) in metadata["properties"] as JsonObject ?? [])
        {
            if (name is not ("name" or "generateName"))
                Add(CauseReasons.Forbidden, path, "Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified");
        }
    }

    private void Check(JsonObject schema, string path, string role, int depth)
    {
        if (depth > MaxDepth || ++_nodes > MaxNodes)
        {
            Add(CauseReasons.TooMany, path, $"Too many: a schema has at most {MaxDepth} levels and {MaxNodes} nodes");
            return;
        }

        CheckKeywords(schema, path);
        CheckType(schema, path, role);
        CheckLists(schema, path);
        CheckBranches(schema, path);
        CheckValues(schema, path);
        CheckRules(schema, path);
        if (schema["properties"] is JsonObject properties)
        {
            if (schema["additionalProperties"] is not null)
                Add(CauseReasons.Forbidden, path + ".additionalProperties", "Forbidden: additionalProperties and properties are mutual exclusive");
            foreach ((string name, JsonNode? child) in properties)
            {
                if (child is JsonObject node)
                    Check(node, FieldPaths.Key(path + ".properties", name), "object fields", depth + 1);
            }
        }

        if (schema["additionalProperties"] is JsonObject others)
            Check(others, path + ".additionalProperties", "object fields", depth + 1);
        else if (schema["additionalProperties"].Flag() is false)
            Add(CauseReasons.Forbidden, path + ".additionalProperties", "Forbidden: additionalProperties cannot be set to false");
        if (schema["items"] is JsonObject items)
            Check(items, path + ".items", "array items", depth + 1);
    }

    private void CheckKeywords(JsonObject schema, string path)
    {
        foreach (string keyword in Unsupported)
        {
            if (schema[keyword] is not null)
                Add(CauseReasons.Forbidden, $"{path}.{keyword}", $"Forbidden: {keyword} is not supported");
        }

        if (schema["uniqueItems"].Flag() is true)
            Add(CauseReasons.Forbidden, path + ".uniqueItems", "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
        if (schema["items"] is JsonArray)
            Add(CauseReasons.Forbidden, path + ".items", "Forbidden: items must be a schema object and not an array");
        if (schema["pattern"].Text() is { Length: > 0 } pattern && !Re2Pattern.TryGet(pattern, out _, out string? problem))
            Add(CauseReasons.Invalid, path + ".pattern", $"Invalid value: {JsonScalars.Quote(pattern)}: must be a valid regular expression, but isn't: {problem}");
    }

    private void CheckType(JsonObject schema, string path, string role)
    {
        string type = schema["type"].Text() ?? "";
        bool intOrString = schema["x-kubernetes-int-or-string"].Flag() is true;
        bool preserves = schema["x-kubernetes-preserve-unknown-fields"].Flag() is true;
        if (schema["x-kubernetes-preserve-unknown-fields"].Flag() is false)
            Add(CauseReasons.Invalid, path + ".x-kubernetes-preserve-unknown-fields", "Invalid value: false: must be true or undefined");
        if (type.Length == 0)
        {
            if (!intOrString && !preserves && role.Length > 0)
                Add(CauseReasons.Required, path + ".type", $"Required value: must not be empty for specified {role}");
        }
        else if (intOrString)
        {
            Add(CauseReasons.Invalid, path + ".type", $"Invalid value: {JsonScalars.Quote(type)}: must be empty if x-kubernetes-int-or-string is true");
        }
        else if (!Types.Contains(type))
        {
            Add(CauseReasons.NotSupported, path + ".type",
                $"Unsupported value: {JsonScalars.Quote(type)}: supported values: {string.Join(", ", Types.Select(JsonScalars.Quote))}");
        }

        if (type == "array" && schema["items"] is null)
            Add(CauseReasons.Required, path + ".items", "Required value: must be specified");
        if (schema["x-kubernetes-embedded-resource"].Flag() is true)
        {
            if (type != "object")
                Add(CauseReasons.Invalid, path + ".type", $"Invalid value: {JsonScalars.Quote(type)}: must be object if x-kubernetes-embedded-resource is true");
            if (!preserves && (schema["properties"] as JsonObject)?.Count is null or 0)
                Add(CauseReasons.Required, path + ".properties", "Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields");
        }

        if (preserves && type is not ("object" or ""))
            Add(CauseReasons.Invalid, path + ".type", $"Invalid value: {JsonScalars.Quote(type)}: must be object if x-kubernetes-preserve-unknown-fields is true");
    }

    private void CheckLists(JsonObject schema, string path)
    {
        string? listType = schema["x-kubernetes-list-type"].Text();
        string type = schema["type"].Text() ?? "";
        if (listType is not null)
        {
            if (type != "array")
                Add(CauseReasons.Invalid, path + ".type", $"Invalid value: {JsonScalars.Quote(type)}: must be array if x-kubernetes-list-type is specified");
            if (listType is not ("atomic" or "set" or "map"))
            {
                Add(CauseReasons.NotSupported, path + ".x-kubernetes-list-type",
                    $"Unsupported value: {JsonScalars.Quote(listType)}: supported values: \"atomic\", \"set\", \"map\"");
            }
        }

        string[] keys = [.. BuiltInColumns.Texts(schema["x-kubernetes-list-map-keys"])];
        if (listType == "map")
        {
            if (keys.Length == 0)
                Add(CauseReasons.Required, path + ".x-kubernetes-list-map-keys", "Required value: must not be empty if x-kubernetes-list-type is map");
            if (schema["items"]?["type"].Text() != "object")
                Add(CauseReasons.Invalid, path + ".items.type", $"Invalid value: {JsonScalars.Quote(schema["items"]?["type"].Text() ?? "")}: must be object if parent array's x-kubernetes-list-type is map");
            for (int i = 0; i < keys.Length; i++)
                CheckMapKey(schema, keys[i], path, i);
        }
        else if (keys.Length > 0)
        {
            Add(CauseReasons.Forbidden, path + ".x-kubernetes-list-map-keys", "Forbidden: must be empty if x-kubernetes-list-type is not map");
        }

        if (schema["x-kubernetes-map-type"].Text() is { } mapType)
        {
            if (mapType is not ("granular" or "atomic"))
                Add(CauseReasons.NotSupported, path + ".x-kubernetes-map-type", $"Unsupported value: {JsonScalars.Quote(mapType)}: supported values: \"granular\", \"atomic\"");
            if (type != "object")
                Add(CauseReasons.Invalid, path + ".type", $"Invalid value: {JsonScalars.Quote(type)}: must be object if x-kubernetes-map-type is specified");
        }
    }

    private void CheckMapKey(JsonObject list, string key, string path, int index)
    {
        string at = FieldPaths.Index(path + ".x-kubernetes-list-map-keys", index);
        if (list["items"]?["properties"]?[key] is not JsonObject field)
        {
            Add(CauseReasons.Invalid, at, $"Invalid value: {JsonScalars.Quote(key)}: entries must all be names of item properties");
            return;
        }

        string place = FieldPaths.Key(path + ".items.properties", key);
        if (field["type"].Text() is "object" or "array")
            Add(CauseReasons.Invalid, place + ".type", $"Invalid value: {JsonScalars.Quote(field["type"].Text() ?? "")}: must be a scalar type if parent array's x-kubernetes-list-type is map");
        if (field["nullable"].Flag() is true)
            Add(CauseReasons.Forbidden, place + ".nullable", "Forbidden: must not be nullable if parent array's x-kubernetes-list-type is map");
        if (field["default"] is null && !BuiltInColumns.Texts(list["items"]?["required"]).Contains(key))
            Add(CauseReasons.Required, place + ".default", "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property");
    }

    private void CheckBranches(JsonObject schema, string path)
    {
        foreach (string combination in new[] { "allOf", "anyOf", "oneOf" })
        {
            int i = 0;
            foreach (JsonObject branch in BuiltInColumns.Items(schema[combination]))
                CheckBranch(branch, FieldPaths.Index($"{path}.{combination}", i++), schema, 0);
        }

        if (schema["not"] is JsonObject not)
            CheckBranch(not, path + ".not", schema, 0);
    }

    private void CheckBranch(JsonObject branch, string path, JsonObject owner, int depth)
    {
        if (depth > MaxDepth || ++_nodes > MaxNodes)
        {
            Add(CauseReasons.TooMany, path, $"Too many: a schema has at most {MaxDepth} levels and {MaxNodes} nodes");
            return;
        }

        bool intOrString = owner["x-kubernetes-int-or-string"].Flag() is true;
        if (branch["type"] is not null && !intOrString)
            Add(CauseReasons.Forbidden, path + ".type", "Forbidden: must be empty to be structural");
        foreach (string keyword in NotInBranches)
        {
            if (branch[keyword] is not null)
                Add(CauseReasons.Forbidden, $"{path}.{keyword}", keyword.StartsWith("x-", StringComparison.Ordinal) || keyword == "nullable"
                    ? "Forbidden: must be false to be structural" : keyword == "default" || keyword == "additionalProperties"
                    ? "Forbidden: must be undefined to be structural" : "Forbidden: must be empty to be structural");
        }

        CheckKeywords(branch, path);
        foreach ((string name, JsonNode? child) in branch["properties"] as JsonObject ?? [])
        {
            if (child is not JsonObject node)
                continue;
            string at = FieldPaths.Key(path + ".properties", name);
            if (owner["properties"]?[name] is JsonObject outer)
                CheckBranch(node, at, outer, depth + 1);
            else if (owner["x-kubernetes-preserve-unknown-fields"].Flag() is not true)
                Add(CauseReasons.Required, at.Replace(path, path[..path.LastIndexOf('.')], StringComparison.Ordinal), $"Required value: because it is defined in {at}");
        }

        if (branch["items"] is JsonObject items)
            CheckBranch(items, path + ".items", owner["items"] as JsonObject ?? [], depth + 1);
        foreach (string combination in new[] { "allOf", "anyOf", "oneOf" })
        {
            int i = 0;
            foreach (JsonObject inner in BuiltInColumns.Items(branch[combination]))
                CheckBranch(inner, FieldPaths.Index($"{path}.{combination}", i++), owner, depth + 1);
        }

        if (branch["not"] is JsonObject not)
            CheckBranch(not, path + ".not", owner, depth + 1);
    }

    /// <summary>A default must be a value that the schema itself accepts, once its own defaults are filled in.</summary>
    private void CheckValues(JsonObject schema, string path)
    {
        if (schema["default"] is not { } value)
            return;
        StructuralSchema node = StructuralSchema.FromOpenApi(schema);
        JsonObject wrapper = new() { ["default"] = value.DeepClone() };
        StructuralSchema around = new() { Type = SchemaType.Object, Properties = new Dictionary<string, StructuralSchema> { ["default"] = node with { Default = null } } };
        IReadOnlyList<string> dropped = SchemaPruner.Prune(wrapper, around);
        if (dropped.Count > 0)
        {
            Add(CauseReasons.Invalid, path + ".default",
                $"Invalid value: {JsonScalars.Canonical(value)}: must not have unknown fields");
        }

        SchemaDefaulter.Default(wrapper, around);
        List<StatusCause> found = [];
        SchemaValidator.CheckValues(wrapper, null, around, found, lists: true);
        foreach (StatusCause cause in found)
            Add(cause.Reason, cause.Field.StartsWith("default", StringComparison.Ordinal) ? $"{path}.{cause.Field}" : path + ".default", cause.Message);
    }

    private void CheckRules(JsonObject schema, string path)
    {
        int i = 0;
        foreach (JsonObject json in BuiltInColumns.Items(schema["x-kubernetes-validations"]))
        {
            string at = FieldPaths.Index(path + ".x-kubernetes-validations", i++);
            foreach (StatusCause cause in Schemas.Expressions.RuleChecks.Compile(OpenApiSchemaReader.Rule(json), schema, at))
                causes.Add(cause);
        }
    }

    private void Add(string reason, string field, string message)
    {
        if (causes.Count <= SchemaValidator.MaxCauses)
            causes.Add(new StatusCause(reason, message, field));
    }
}
