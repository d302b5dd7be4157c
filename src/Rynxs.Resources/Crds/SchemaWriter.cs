using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.Resources.Crds;

/// <summary>
/// From the records of this assembly to structural schemas: types, required members and defaults are the record's own, descriptions its XML
/// documentation, the rest its <see cref="SchemaAttribute"/>.
/// </summary>
internal sealed class SchemaWriter(XmlDocumentation documentation)
{
    /// <summary>Schema of a record. Status members get no defaults: absent means not observed.</summary>
    public JsonObject Object(Type type, bool withDefaults)
    {
        JsonObject properties = [];
        JsonArray required = [];
        object prototype = Prototypes.Of(type);
        NullabilityInfoContext nullability = new();
        foreach (PropertyInfo property in Members(type))
        {
            string name = JsonNamingPolicy.CamelCase.ConvertName(property.Name);
            bool isRequired = property.IsDefined(typeof(System.Runtime.CompilerServices.RequiredMemberAttribute));
            bool nullable = nullability.Create(property).ReadState == NullabilityState.Nullable;
            JsonObject schema = Member(property, withDefaults);
            if (withDefaults && !isRequired && !nullable && DefaultOf(property.GetValue(prototype), schema) is { } value)
                schema["default"] = value;
            properties[name] = schema;
            if (isRequired)
                required.Add(name);
        }

        JsonObject result = new() { ["type"] = "object", ["properties"] = properties };
        if (required.Count > 0)
            result["required"] = required;
        AddRules(result, type);
        return result;
    }

    private JsonObject Member(PropertyInfo property, bool withDefaults)
    {
        SchemaAttribute says = property.GetCustomAttribute<SchemaAttribute>() ?? new SchemaAttribute();
        JsonObject schema = new() { ["description"] = documentation.Of(property) };
        foreach ((string key, JsonNode? value) in Typed(property.PropertyType, says, withDefaults).ToArray())
            schema[key] = value?.DeepClone();
        return schema;
    }

    private JsonObject Typed(Type declared, SchemaAttribute says, bool withDefaults)
    {
        Type type = Nullable.GetUnderlyingType(declared) ?? declared;
        if (type == typeof(string))
            return Text(says);
        if (type == typeof(bool))
            return new JsonObject { ["type"] = "boolean" };
        if (type == typeof(int) || type == typeof(long))
            return Bounds(new JsonObject { ["type"] = "integer", ["format"] = type == typeof(int) ? "int32" : "int64" }, says);
        if (type == typeof(double))
            return Bounds(new JsonObject { ["type"] = "number" }, says);
        if (type == typeof(DateTimeOffset))
            return new JsonObject { ["type"] = "string", ["format"] = "date-time" };
        if (type == typeof(JsonElement))
            return Free(says);

        // Two forms, a text or an object: no structural schema says that, so the server keeps what it is given and our own rules judge it.
        if (type == typeof(ImageReference))
            return new JsonObject { ["x-kubernetes-preserve-unknown-fields"] = true };
        if (type == typeof(IReadOnlyDictionary<string, string>))
            return Map(says);
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyList<>))
            return List(type.GetGenericArguments()[0], says, withDefaults);
        return Prototypes.Has(type) ? Object(type, withDefaults) : throw new NotSupportedException($"{type} has no form in a schema.");
    }

    private JsonObject List(Type item, SchemaAttribute says, bool withDefaults)
    {
        JsonObject result = new()
        {
            ["type"] = "array",
            ["items"] = item == typeof(string) ? Text(says)
                : item == typeof(int) ? Bounds(new JsonObject { ["type"] = "integer", ["format"] = "int32" }, says)
                : Object(item, withDefaults),
        };
        if (says.MinItems > 0)
            result["minItems"] = says.MinItems;
        if (says.MaxItems > 0)
            result["maxItems"] = says.MaxItems;
        result["x-kubernetes-list-type"] = says.Set ? "set" : says.Key is null ? "atomic" : "map";
        if (says.Key is not null)
            result["x-kubernetes-list-map-keys"] = new JsonArray(says.Key);
        return result;
    }

    private static JsonObject Map(SchemaAttribute says)
    {
        JsonObject result = new()
        {
            ["type"] = "object",
            ["additionalProperties"] = says.Quantities
                ? new JsonObject
                {
                    ["anyOf"] = new JsonArray(new JsonObject { ["type"] = "integer" }, new JsonObject { ["type"] = "string" }),
                    ["pattern"] = SchemaPatterns.Quantity,
                    ["x-kubernetes-int-or-string"] = true,
                }
                : Text(says),
        };
        if (says.MaxItems > 0)
            result["maxProperties"] = says.MaxItems;
        return result;
    }

    private static JsonObject Free(SchemaAttribute says)
    {
        JsonObject result = [];
        if (says.AnyObject)
            result["type"] = "object";
        result["x-kubernetes-preserve-unknown-fields"] = true;
        return result;
    }

    private static JsonObject Text(SchemaAttribute says)
    {
        JsonObject result = new() { ["type"] = "string" };
        if (says.Enum.Length > 0)
            result["enum"] = new JsonArray([.. says.Enum.Select(word => JsonValue.Create(word))]);
        if (says.Name || says.MinLength > 0)
            result["minLength"] = says.Name ? 1 : says.MinLength;
        if (says.Name || says.MaxLength > 0)
            result["maxLength"] = says.Name ? 63 : says.MaxLength;
        if (says.Name || says.Pattern is not null)
            result["pattern"] = says.Name ? SchemaPatterns.Name : says.Pattern;
        return result;
    }

    private static JsonObject Bounds(JsonObject schema, SchemaAttribute says)
    {
        if (says.Max > says.Min)
        {
            schema["minimum"] = says.Min;
            schema["maximum"] = says.Max;
        }

        return schema;
    }

    /// <summary>Lists and false are what absence means anyway; objects get <c>{}</c> when a member of theirs has a default to be filled in.</summary>
    private static JsonNode? DefaultOf(object? value, JsonObject schema) => value switch
    {
        string { Length: > 0 } text => JsonValue.Create(text),
        int or long => JsonValue.Create(Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture)),
        _ when schema["properties"] is JsonObject members && members.Any(member => member.Value?["default"] is not null) => new JsonObject(),
        _ => null,
    };

    private static void AddRules(JsonObject schema, Type type)
    {
        SchemaRuleAttribute[] rules = [.. type.GetCustomAttributes<SchemaRuleAttribute>()];
        if (rules.Length == 0)
            return;
        JsonArray list = [];
        foreach (SchemaRuleAttribute rule in rules)
        {
            JsonObject entry = new() { ["rule"] = rule.Rule, ["message"] = rule.Message };
            if (rule.Reason is not null)
                entry["reason"] = rule.Reason;
            if (rule.FieldPath is not null)
                entry["fieldPath"] = rule.FieldPath;
            list.Add(entry);
        }

        schema["x-kubernetes-validations"] = list;
    }

    private static IEnumerable<PropertyInfo> Members(Type type) =>
        type.GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => property.SetMethod is not null && !property.IsDefined(typeof(JsonIgnoreAttribute))
                && !(property.DeclaringType == typeof(Resource)));
}
