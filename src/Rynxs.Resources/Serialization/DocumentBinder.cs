using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Serialization;

/// <summary>
/// Fits a parsed document to the record of its kind: names, types, required members, defaults. It goes on after an error, so that one answer
/// holds them all: a bad value is replaced by the default and its path marked, and later rules stay silent about marked paths.
/// </summary>
internal sealed class DocumentBinder(bool ignoreUnknown = false)
{
    /// <summary>Members that only servers write and that we do not keep; an object read from a server may carry them.</summary>
    private static readonly HashSet<string> IgnoredMetadata = ["managedFields", "selfLink", "deletionGracePeriodSeconds"];

    private readonly Dictionary<string, (int Line, int Column)> _positions = [];
    private readonly HashSet<string> _replaced = [];

    /// <summary>Errors so far, with the place of each.</summary>
    public List<(FieldError Error, int Line, int Column)> Errors { get; } = [];

    /// <summary>A complete JSON document of the type: every default written out.</summary>
    public byte[] Bind(TextNode root, Type type)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
            WriteObject(writer, root, type, "");
        return stream.ToArray();
    }

    /// <summary>Adds an error of a later rule, unless its field was already refused.</summary>
    public void Add(FieldError error)
    {
        for (string? path = error.Field; path is not null; path = Parent(path))
        {
            if (_replaced.Contains(path))
                return;
        }

        (int line, int column) = PositionOf(error.Field);
        Errors.Add((error, line, column));
    }

    private (int Line, int Column) PositionOf(string field)
    {
        for (string? path = field; path is not null; path = Parent(path))
        {
            if (_positions.TryGetValue(path, out (int, int) position))
                return position;
        }

        return _positions.GetValueOrDefault("");
    }

    private static string? Parent(string path)
    {
        if (path.Length == 0)
            return null;
        int cut = path.LastIndexOfAny(['.', '[']);
        return cut < 0 ? "" : path[..cut];
    }

    private void Refuse(string path, TextNode node, string code, string message)
    {
        Errors.Add((new FieldError(path, code, message), node.Line, node.Column));
        _replaced.Add(path);
    }

    private void WriteObject(Utf8JsonWriter writer, TextNode node, Type type, string path)
    {
        _positions.TryAdd(path, (node.Line, node.Column));
        JsonTypeInfo info = TypeInfo(type);
        object prototype = Prototypes.Of(type);
        writer.WriteStartObject();
        foreach (JsonPropertyInfo property in info.Properties)
        {
            if (property.Get is null || property.Name == "kind" && path.Length == 0)
                continue;

            string child = Join(path, property.Name);
            TextNode? value = node.Find(property.Name);
            if (value is null or { Kind: TextNodeKind.Null })
            {
                if (property.IsRequired)
                    Refuse(child, value ?? node, FieldErrorCodes.Required, "Required value");
                WriteDefault(writer, property, prototype);
                continue;
            }

            _positions.TryAdd(child, (value.Line, value.Column));
            Type target = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
            if (Fits(value, target, child, out string? normalised))
            {
                writer.WritePropertyName(property.Name);
                WriteValue(writer, value, target, child, normalised);
            }
            else
            {
                WriteDefault(writer, property, prototype);
            }
        }

        writer.WriteEndObject();
        if (!ignoreUnknown)
            RefuseUnknown(node, info, type, path);
    }

    private void RefuseUnknown(TextNode node, JsonTypeInfo info, Type type, string path)
    {
        string[] known = [.. info.Properties.Where(property => property.Get is not null).Select(property => property.Name)];
        foreach ((string name, TextNode value) in node.Members)
        {
            if (known.Contains(name) || type == typeof(ObjectMeta) && IgnoredMetadata.Contains(name))
                continue;

            string message = $"unknown field{Suggestion.For(name, known)}; known here: {string.Join(", ", known)}";
            Refuse(Join(path, BadValue.Escape(name, 64)), value, FieldErrorCodes.NotSupported, message);
        }
    }

    /// <summary>Whether the node has the type; if not, the error is noted.</summary>
    /// <param name="node">The value.</param>
    /// <param name="target">Its due type.</param>
    /// <param name="path">Where it is.</param>
    /// <param name="normalised">For scalars the text to write.</param>
    private bool Fits(TextNode node, Type target, string path, out string? normalised)
    {
        normalised = node.Text;
        if (target == typeof(JsonElement))
            return true;
        if (target == typeof(string))
            return Demand(node.Kind == TextNodeKind.String, node, "a string", path) && HasNoControls(node, path);
        if (target == typeof(bool))
            return Demand(node.Kind == TextNodeKind.Boolean, node, "true or false", path);
        if (target == typeof(int))
            return Demand(IsInteger(node, int.MinValue, int.MaxValue), node, "an integer of 32 bits", path);
        if (target == typeof(long))
            return Demand(IsInteger(node, long.MinValue, long.MaxValue), node, "an integer of 64 bits", path);
        if (target == typeof(double))
        {
            bool finite = node.Kind == TextNodeKind.Number
                && double.TryParse(node.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number);
            return Demand(finite, node, "a finite number", path);
        }

        if (target == typeof(DateTimeOffset))
        {
            if (!Demand(node.Kind == TextNodeKind.String, node, "an RFC 3339 time in quotation marks", path))
                return false;
            if (Rfc3339Converter.TryParse(node.Text, out DateTimeOffset time))
            {
                normalised = Rfc3339Converter.ToText(time);
                return true;
            }

            Refuse(path, node, FieldErrorCodes.Invalid, $"Invalid value: {BadValue.Quote(node.Text)}: an RFC 3339 time with an offset is due, such as 2026-12-31T23:59:59Z");
            return false;
        }

        if (target == typeof(ImageReference) && node.Kind == TextNodeKind.String)
            return FitsImage(node, path);

        return TypeInfo(target).Kind == JsonTypeInfoKind.Enumerable
            ? Demand(node.Kind == TextNodeKind.Sequence, node, "a list", path)
            : Demand(node.Kind == TextNodeKind.Mapping, node, target == typeof(ImageReference) ? "a string or an object" : "an object", path);
    }

    private bool FitsImage(TextNode node, string path)
    {
        if (ImageName.TryParse(node.Text, out _, out string? problem))
            return true;
        Refuse(path, node, FieldErrorCodes.Invalid, $"Invalid value: {BadValue.Quote(node.Text)}: {problem}");
        return false;
    }

    private bool Demand(bool holds, TextNode node, string what, string path)
    {
        if (holds)
            return true;

        string given = node.Kind switch
        {
            TextNodeKind.Mapping => "an object",
            TextNodeKind.Sequence => "a list",
            TextNodeKind.Null => "null",
            TextNodeKind.String => $"the string {BadValue.Quote(node.Text)}",
            TextNodeKind.Number => $"the number {BadValue.Escape(node.Text, 64)}",
            TextNodeKind.Boolean => $"the boolean {node.Text}",
            _ => throw new UnreachableException(),
        };
        Refuse(path, node, FieldErrorCodes.TypeInvalid, $"Invalid value: {given}: {what} is due{(node.Hint is null ? "" : $" ({node.Hint})")}");
        return false;
    }

    private bool HasNoControls(TextNode node, string path)
    {
        int at = IndexOfControl(node.Text);
        if (at < 0)
            return true;
        Refuse(path, node, FieldErrorCodes.Invalid,
            $"Invalid value: {BadValue.Quote(node.Text[Math.Max(0, at - 16)..])}: control character U+{(int)node.Text[at]:X4}; only tab and line breaks are allowed");
        return false;
    }

    /// <summary>Position of the first control character that is neither tab, line feed nor carriage return, or of an unpaired surrogate; -1 if none.</summary>
    internal static int IndexOfControl(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (char.IsControl(c) && c is not ('\t' or '\n' or '\r'))
                return i;
            if (!char.IsSurrogate(c))
                continue;
            if (!char.IsHighSurrogate(c) || i + 1 == text.Length || !char.IsLowSurrogate(text[i + 1]))
                return i;
            i++;
        }

        return -1;
    }

    private static bool IsInteger(TextNode node, long min, long max) =>
        node.Kind == TextNodeKind.Number
        && long.TryParse(node.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value)
        && value >= min && value <= max;

    private void WriteValue(Utf8JsonWriter writer, TextNode node, Type target, string path, string? normalised)
    {
        if (target == typeof(JsonElement))
        {
            WriteAny(writer, node, path);
        }
        else if (target == typeof(ImageReference) && node.Kind == TextNodeKind.String)
        {
            // Fits has refused names that do not parse.
            JsonSerializer.Serialize(writer, ImageName.TryParse(node.Text, out ImageReference? image, out _) ? image : null, TypeInfo(target));
        }
        else if (node.Kind == TextNodeKind.String)
        {
            writer.WriteStringValue(normalised);
        }
        else if (node.Kind is TextNodeKind.Number or TextNodeKind.Boolean)
        {
            writer.WriteRawValue(node.Text);
        }
        else if (TypeInfo(target) is { Kind: JsonTypeInfoKind.Enumerable } list)
        {
            WriteItems(writer, node, list.ElementType ?? typeof(string), path);
        }
        else if (TypeInfo(target) is { Kind: JsonTypeInfoKind.Dictionary })
        {
            WritePairs(writer, node, path);
        }
        else
        {
            WriteObject(writer, node, target, path);
        }
    }

    private void WriteItems(Utf8JsonWriter writer, TextNode node, Type itemType, string path)
    {
        writer.WriteStartArray();
        for (int i = 0; i < node.Items.Count; i++)
        {
            string child = $"{path}[{i}]";
            TextNode item = node.Items[i];
            _positions.TryAdd(child, (item.Line, item.Column));
            if (Fits(item, itemType, child, out string? normalised))
                WriteValue(writer, item, itemType, child, normalised);
            else if (itemType == typeof(string))
                writer.WriteStringValue(""); // keeps the indexes of the items that follow
            else
                JsonSerializer.Serialize(writer, Prototypes.Of(itemType), TypeInfo(itemType));
        }

        writer.WriteEndArray();
    }

    private void WritePairs(Utf8JsonWriter writer, TextNode node, string path)
    {
        writer.WriteStartObject();
        foreach ((string key, TextNode value) in node.Members)
        {
            string child = $"{path}[{BadValue.Escape(key, 64)}]";
            _positions.TryAdd(child, (value.Line, value.Column));
            int control = IndexOfControl(key);
            if (control >= 0)
                Refuse(child, value, FieldErrorCodes.Invalid, $"control character U+{(int)key[control]:X4} in the name");
            else if (value.Kind == TextNodeKind.Number && path.StartsWith("spec.resources.", StringComparison.Ordinal))
                writer.WriteString(key, value.Text); // Kubernetes takes quantities as numbers too: cpu: 1
            else if (Fits(value, typeof(string), child, out string? text))
                writer.WriteString(key, text);
        }

        writer.WriteEndObject();
    }

    private void WriteAny(Utf8JsonWriter writer, TextNode node, string path)
    {
        switch (node.Kind)
        {
            case TextNodeKind.Null:
                writer.WriteNullValue();
                break;
            case TextNodeKind.Number or TextNodeKind.Boolean:
                writer.WriteRawValue(node.Text);
                break;
            case TextNodeKind.String:
                writer.WriteStringValue(HasNoControls(node, path) ? node.Text : "");
                break;
            case TextNodeKind.Sequence:
                writer.WriteStartArray();
                for (int i = 0; i < node.Items.Count; i++)
                    WriteAny(writer, node.Items[i], $"{path}[{i}]");
                writer.WriteEndArray();
                break;
            case TextNodeKind.Mapping:
                writer.WriteStartObject();
                foreach ((string key, TextNode value) in node.Members)
                {
                    string child = Join(path, BadValue.Escape(key, 64));
                    int control = IndexOfControl(key);
                    if (control >= 0)
                    {
                        Refuse(child, value, FieldErrorCodes.Invalid, $"control character U+{(int)key[control]:X4} in the name");
                        continue;
                    }

                    writer.WritePropertyName(key);
                    WriteAny(writer, value, child);
                }

                writer.WriteEndObject();
                break;
            default:
                throw new UnreachableException();
        }
    }

    private static void WriteDefault(Utf8JsonWriter writer, JsonPropertyInfo property, object prototype)
    {
        if (property.Get?.Invoke(prototype) is not { } value)
            return;
        writer.WritePropertyName(property.Name);
        JsonSerializer.Serialize(writer, value, TypeInfo(property.PropertyType));
    }

    private static JsonTypeInfo TypeInfo(Type type) =>
        ResourceJsonContext.Default.GetTypeInfo(type) ?? throw new UnreachableException($"{type} is not in the JSON context");

    private static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";
}
