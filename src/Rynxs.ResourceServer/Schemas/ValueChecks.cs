using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Types, bounds, formats and combinations of values, in the words of the real server (recorded in the transcripts and by tests against one).</summary>
internal sealed class ValueChecks(List<StatusCause> causes)
{
    /// <summary>Combinations (anyOf within anyOf) multiply the work; a schema is not that deep, a hostile one is.</summary>
    private const int MaxDepth = 200;

    private int _depth;

    public void Check(JsonNode? node, JsonNode? old, StructuralSchema schema, string path)
    {
        if (causes.Count > SchemaValidator.MaxCauses)
            return;
        if (_depth >= MaxDepth)
        {
            Add(CauseReasons.Invalid, path, $"Invalid value: nested more than {MaxDepth} levels deep");
            return;
        }

        _depth++;
        int before = causes.Count;
        CheckNode(node, old, schema, path);
        _depth--;

        // Ratcheting: what the stored object already got wrong does not block a change elsewhere in it.
        if (causes.Count > before && old is not null && JsonNode.DeepEquals(node, old))
            causes.RemoveRange(before, causes.Count - before);
    }

    private void CheckNode(JsonNode? node, JsonNode? old, StructuralSchema schema, string path)
    {
        if (node is null)
        {
            if (schema.Type != SchemaType.Any && !schema.Nullable)
                Add(CauseReasons.TypeInvalid, path, $"Invalid value: \"null\": {path} in body must be of type {TypeName(schema)}: \"null\"");
            return;
        }

        CheckType(node, schema, path);
        switch (node)
        {
            case JsonObject map when schema.Type is SchemaType.Object or SchemaType.Any:
                CheckMap(map, old, schema, path);
                break;
            case JsonArray list when schema.Type is SchemaType.Array or SchemaType.Any:
                CheckList(list, old, schema, path);
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                if (schema.Type is SchemaType.String or SchemaType.Any or SchemaType.IntOrString)
                    CheckText(value.GetValue<string>(), schema, path);
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.Number:
                CheckNumber(value, schema, path);
                break;
        }

        CheckEnum(node, schema, path);
        if (schema.AllOf.Count > 0 || schema.AnyOf.Count > 0 || schema.OneOf.Count > 0 || schema.Not is not null)
            CheckCombinations(node, schema, path);
    }

    private void CheckType(JsonNode node, StructuralSchema schema, string path)
    {
        string given = GivenType(node);
        bool right = schema.Type switch
        {
            SchemaType.Any => true,
            SchemaType.Object => given == "object",
            SchemaType.Array => given == "array",
            SchemaType.String => given == "string",
            SchemaType.Boolean => given == "boolean",
            SchemaType.Integer => given == "integer" || node.TryInteger(out _),
            SchemaType.Number => given is "integer" or "number",
            SchemaType.IntOrString => given is "integer" or "string",
            _ => throw new InvalidOperationException($"{schema.Type} is no type of a schema"),
        };
        if (right)
            return;

        // With a format the real server names it in place of the type, and Go's type in place of JSON's, unless the value is a text or a list.
        bool namesFormat = schema.Format.Length > 0 && given is not ("string" or "array");
        string due = namesFormat ? schema.Format : TypeName(schema);
        if (namesFormat)
            given = given switch { "integer" => "int64", "number" => "float64", _ => "" };
        string quoted = given.Length == 0 ? "\"\"" : $"\"{given}\"";
        Add(CauseReasons.TypeInvalid, path, $"Invalid value: {quoted}: {path} in body must be of type {due}: {quoted}");
    }

    private void CheckMap(JsonObject map, JsonNode? old, StructuralSchema schema, string path)
    {
        foreach (string name in schema.Required)
        {
            if (!map.ContainsKey(name))
                Add(CauseReasons.Required, FieldPaths.Child(path, name), "Required value");
        }

        foreach ((string name, JsonNode? value) in map)
        {
            if (schema.Properties.TryGetValue(name, out StructuralSchema? property))
                Check(value, SchemaValidator.Counterpart(old, name), property, FieldPaths.Child(path, name));
            else if (schema.AdditionalProperties is { } others)
                Check(value, SchemaValidator.Counterpart(old, name), others, FieldPaths.Child(path, name));
        }

        if (schema.EmbeddedResource)
            CheckEmbedded(map, path);
        if (schema.MinProperties > map.Count)
            Add(CauseReasons.Invalid, path, $"Invalid value: {map.Count}: {path} in body should have at least {schema.MinProperties} properties");
        if (schema.MaxProperties < map.Count)
            Add(CauseReasons.TooMany, path, $"Too many: {map.Count}: must have at most {schema.MaxProperties} items");
    }

    private void CheckEmbedded(JsonObject map, string path)
    {
        foreach (string name in new[] { "apiVersion", "kind" })
        {
            string child = FieldPaths.Child(path, name);
            if (map[name].Text() is not { Length: > 0 })
                Add(CauseReasons.Required, child, "Required value");
        }

        if (map["metadata"] is { } metadata)
            Check(metadata, null, ObjectMetaSchema.Schema, FieldPaths.Child(path, "metadata"));
    }

    private void CheckList(JsonArray list, JsonNode? old, StructuralSchema schema, string path)
    {
        if (schema.Items is { } items)
        {
            Dictionary<string, JsonNode?>? known = SchemaValidator.ItemsByKey(old, schema);
            for (int i = 0; i < list.Count; i++)
            {
                JsonNode? counterpart = known is not null && list[i] is JsonObject item
                    ? known.GetValueOrDefault(ListChecks.KeyOf(item, schema.ListMapKeys, items))
                    : null;
                Check(list[i], counterpart, items, FieldPaths.Index(path, i));
            }
        }

        if (schema.MinItems > list.Count)
            Add(CauseReasons.Invalid, path, $"Invalid value: {list.Count}: {path} in body should have at least {schema.MinItems} items");
        if (schema.MaxItems < list.Count)
            Add(CauseReasons.TooMany, path, $"Too many: {list.Count}: must have at most {schema.MaxItems} items");
    }

    private void CheckText(string text, StructuralSchema schema, string path)
    {
        string quoted = JsonScalars.Quote(text);
        if (schema.MinLength is not null || schema.MaxLength is not null)
        {
            long length = CodePoints(text);
            if (schema.MaxLength < length)
                Add(CauseReasons.TooLong, path, $"Too long: may not be more than {schema.MaxLength} bytes");
            if (schema.MinLength > length)
                Add(CauseReasons.Invalid, path, $"Invalid value: {quoted}: {path} in body should be at least {schema.MinLength} chars long");
        }

        if (schema.Pattern is { } pattern && Re2Pattern.TryGet(pattern, out Regex? regex, out _) && !regex.IsMatch(text))
            Add(CauseReasons.Invalid, path, $"Invalid value: {quoted}: {path} in body should match '{pattern}'");
        if (schema.Type == SchemaType.String && schema.Format.Length > 0 && !ValueFormats.Holds(schema.Format, text))
            Add(CauseReasons.TypeInvalid, path, $"Invalid value: {quoted}: {path} in body must be of type {schema.Format}: {quoted}");
    }

    private void CheckNumber(JsonValue value, StructuralSchema schema, string path)
    {
        if (!value.TryNumber(out double number) || schema.Type is SchemaType.String or SchemaType.Boolean or SchemaType.Object or SchemaType.Array)
            return;

        string given = JsonScalars.Scalar(value);
        if (schema.Format is "int32" or "int64" && schema.Type == SchemaType.Integer
            && (!value.TryInteger(out long integer) || schema.Format == "int32" && integer is < int.MinValue or > int.MaxValue))
            Add(CauseReasons.Invalid, FieldPaths.Root, $"Invalid value: \"\": Checked value must be of type integer with format {schema.Format} in {path}");
        if (schema.MultipleOf is > 0 and { } factor && !IsMultiple(number, factor))
            Add(CauseReasons.Invalid, path, $"Invalid value: {given}: {path} in body should be a multiple of {Number(factor)}");
        if (schema.Maximum is { } maximum && (number > maximum || schema.ExclusiveMaximum && number == maximum))
            Add(CauseReasons.Invalid, path, $"Invalid value: {given}: {path} in body should be less than {(schema.ExclusiveMaximum ? "" : "or equal to ")}{Number(maximum)}");
        if (schema.Minimum is { } minimum && (number < minimum || schema.ExclusiveMinimum && number == minimum))
            Add(CauseReasons.Invalid, path, $"Invalid value: {given}: {path} in body should be greater than {(schema.ExclusiveMinimum ? "" : "or equal to ")}{Number(minimum)}");
    }

    private void CheckEnum(JsonNode node, StructuralSchema schema, string path)
    {
        if (schema.Enum.Count == 0 || schema.Enum.Any(allowed => JsonNode.DeepEquals(allowed, node)))
            return;
        string supported = string.Join(", ", schema.Enum.Select(allowed => allowed.Text() is { } text ? JsonScalars.Quote(text) : JsonScalars.Quote(JsonScalars.Canonical(allowed))));
        Add(CauseReasons.NotSupported, path, $"Unsupported value: {JsonScalars.Canonical(node)}: supported values: {supported}");
    }

    private void CheckCombinations(JsonNode node, StructuralSchema schema, string path)
    {
        string subject = $"Invalid value: \"\": \"{path}\" must ";
        if (schema.AnyOf.Count > 0)
        {
            List<List<StatusCause>> branches = [.. schema.AnyOf.Select(branch => Try(node, branch, path))];
            if (branches.All(branch => branch.Count > 0))
            {
                Add(CauseReasons.Invalid, FieldPaths.Root, subject + "validate at least one schema (anyOf)");
                causes.AddRange(branches.MinBy(branch => branch.Count) ?? []);
            }
        }

        if (schema.OneOf.Count > 0)
        {
            List<List<StatusCause>> branches = [.. schema.OneOf.Select(branch => Try(node, branch, path))];
            int valid = branches.Count(branch => branch.Count == 0);
            if (valid == 0)
            {
                Add(CauseReasons.Invalid, FieldPaths.Root, subject + "validate one and only one schema (oneOf). Found none valid");
                causes.AddRange(branches.MinBy(branch => branch.Count) ?? []);
            }
            else if (valid > 1)
            {
                Add(CauseReasons.Invalid, FieldPaths.Root, subject + $"validate one and only one schema (oneOf). Found {valid} valid alternatives");
            }
        }

        if (schema.AllOf.Count > 0)
        {
            List<List<StatusCause>> branches = [.. schema.AllOf.Select(branch => Try(node, branch, path))];
            int invalid = branches.Count(branch => branch.Count > 0);
            foreach (List<StatusCause> branch in branches)
                causes.AddRange(branch);
            if (invalid > 0)
                Add(CauseReasons.Invalid, FieldPaths.Root, subject + $"validate all the schemas (allOf){(invalid == branches.Count ? ". None validated" : "")}");
        }

        if (schema.Not is { } not && Try(node, not, path).Count == 0)
            Add(CauseReasons.Invalid, FieldPaths.Root, subject + "not validate the schema (not)");
    }

    private List<StatusCause> Try(JsonNode node, StructuralSchema branch, string path)
    {
        List<StatusCause> found = [];
        new ValueChecks(found) { _depth = _depth }.Check(node, null, branch, path);
        return found;
    }

    private void Add(string reason, string path, string message) => causes.Add(new StatusCause(reason, message, path.Length == 0 ? FieldPaths.Root : path));

    private static string GivenType(JsonNode node) => node switch
    {
        JsonObject => "object",
        JsonArray => "array",
        _ => node.GetValueKind() switch
        {
            JsonValueKind.String => "string",
            JsonValueKind.True or JsonValueKind.False => "boolean",
            _ => node.IsIntegerLiteral() ? "integer" : "number",
        },
    };

    private static string TypeName(StructuralSchema schema) => schema.Type switch
    {
        SchemaType.Object => "object",
        SchemaType.Array => "array",
        SchemaType.String => "string",
        SchemaType.Integer => "integer",
        SchemaType.Number => "number",
        SchemaType.Boolean => "boolean",
        SchemaType.IntOrString => "integer,string",
        _ => "",
    };

    private static bool IsMultiple(double number, double factor)
    {
        double quotient = number / factor;
        return Math.Abs(quotient - Math.Round(quotient)) < 1e-9;
    }

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private static long CodePoints(string text)
    {
        long count = 0;
        foreach (char c in text)
        {
            if (!char.IsLowSurrogate(c))
                count++;
        }

        return count;
    }
}
