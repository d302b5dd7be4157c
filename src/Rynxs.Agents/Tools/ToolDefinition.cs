using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.Agents.Tools;

/// <summary>Name, meaning and parameters of a tool: what the model is told and what arguments are checked against.</summary>
internal sealed record ToolDefinition(string Name, string Description, IReadOnlyList<ToolParameter> Parameters)
{
    /// <summary>The parameters as JSON Schema, <c>additionalProperties</c> forbidden.</summary>
    public JsonObject ToJsonSchema()
    {
        var properties = new JsonObject();
        var required = new JsonArray();
        foreach (ToolParameter parameter in Parameters)
        {
            JsonObject schema = parameter.Type switch
            {
                ToolParameterType.Text => new JsonObject { ["type"] = "string", ["maxLength"] = parameter.Maximum },
                ToolParameterType.Integer => new JsonObject { ["type"] = "integer", ["minimum"] = parameter.Minimum, ["maximum"] = parameter.Maximum },
                _ => [],
            };
            schema["description"] = parameter.Description;
            properties[parameter.Name] = schema;
            if (parameter.Required)
            {
                required.Add(parameter.Name);
            }
        }

        return new JsonObject
        {
            ["type"] = "object",
            ["properties"] = properties,
            ["required"] = required,
            ["additionalProperties"] = false,
        };
    }

    /// <summary>Every error of the arguments in one text for the model, or null when they are fine.</summary>
    public string? Validate(JsonElement arguments)
    {
        if (arguments.ValueKind != JsonValueKind.Object)
        {
            return $"{Name}: the arguments must be an object.";
        }

        var errors = new List<string>();
        foreach (ToolParameter parameter in Parameters)
        {
            if (!arguments.TryGetProperty(parameter.Name, out JsonElement value))
            {
                if (parameter.Required)
                {
                    errors.Add($"'{parameter.Name}' is missing");
                }
            }
            else if (parameter.Check(value) is { } error)
            {
                errors.Add(error);
            }
        }

        foreach (JsonProperty property in arguments.EnumerateObject())
        {
            if (Parameters.All(parameter => parameter.Name != property.Name))
            {
                errors.Add($"'{property.Name}' is not a parameter (there are: {string.Join(", ", Parameters.Select(parameter => parameter.Name))})");
            }
        }

        return errors.Count == 0 ? null : $"{Name}: {string.Join("; ", errors)}.";
    }
}

internal enum ToolParameterType
{
    Text,
    Integer,

    /// <summary>Any JSON value.</summary>
    Any,
}

/// <summary>One parameter.</summary>
/// <param name="Name">Wire name.</param>
/// <param name="Type">What it must be.</param>
/// <param name="Required">Whether a call without it is refused.</param>
/// <param name="Description">For the model.</param>
/// <param name="Minimum">Smallest integer.</param>
/// <param name="Maximum">Largest integer, or most bytes of UTF-8 of a text.</param>
internal sealed record ToolParameter(string Name, ToolParameterType Type, bool Required, string Description, long Minimum, long Maximum)
{
    public string? Check(JsonElement value)
    {
        switch (Type)
        {
            case ToolParameterType.Text:
                if (value.ValueKind != JsonValueKind.String)
                {
                    return $"'{Name}' must be a string";
                }

                string text = value.GetString() ?? "";
                if (text.Contains('\0', StringComparison.Ordinal))
                {
                    return $"'{Name}' must not hold NUL";
                }

                int bytes = Encoding.UTF8.GetByteCount(text);
                return bytes > Maximum ? $"'{Name}' has {bytes} bytes, at most {Maximum} are allowed" : null;
            case ToolParameterType.Integer:
                return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) && number >= Minimum && number <= Maximum
                    ? null
                    : $"'{Name}' must be an integer from {Minimum} to {Maximum}";
            default:
                return null;
        }
    }
}
