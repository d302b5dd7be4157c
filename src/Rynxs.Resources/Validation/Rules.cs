using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Quantities;
using Rynxs.Resources.Serialization;

namespace Rynxs.Resources.Validation;

/// <summary>Collects errors and holds the rules that kinds share.</summary>
internal sealed partial class Rules(Action<FieldError> report)
{
    /// <summary>Kubernetes bound of all annotations of an object.</summary>
    public const int MaxAnnotationBytes = 256 * 1024;

    public void Add(string field, string code, string message) => report(new FieldError(field, code, message));

    public void Invalid(string field, string value, string allowed) =>
        Add(field, FieldErrorCodes.Invalid, $"Invalid value: {BadValue.Quote(value)}: {allowed}");

    public void Range(string field, long value, long min, long max)
    {
        if (value < min || value > max)
            Add(field, FieldErrorCodes.Invalid, string.Create(CultureInfo.InvariantCulture, $"Invalid value: {value}: must be {min} to {max}"));
    }

    public void OneOf(string field, string value, params string[] allowed)
    {
        if (!allowed.Contains(value))
        {
            Add(field, FieldErrorCodes.NotSupported,
                $"Unsupported value: {BadValue.Quote(value)}: supported values: {string.Join(", ", allowed.Select(word => $"\"{word}\""))}{Suggestion.For(value, allowed)}");
        }
    }

    /// <summary>Text of bounded length without control characters, on one line.</summary>
    public void Line(string field, string? value, int maxLength, int minLength = 1)
    {
        if (value is null)
            return;
        if (value.Length < minLength)
            Add(field, FieldErrorCodes.Required, "Required value: must not be empty");
        else if (value.Length > maxLength)
            Add(field, FieldErrorCodes.TooLong, $"Too long: {value.Length} characters, at most {maxLength}");
        else if (value.AsSpan().IndexOfAnyInRange('\0', '\u001f') >= 0 || DocumentBinder.IndexOfControl(value) >= 0)
            Invalid(field, value, "control characters and line breaks are not allowed");
    }

    /// <summary>Text of bounded UTF-8 length; line breaks and tabs are fine.</summary>
    public void Text(string field, string? value, int maxBytes, int minBytes = 0)
    {
        if (value is null)
            return;
        int bytes = Encoding.UTF8.GetByteCount(value);
        if (bytes < minBytes)
            Add(field, FieldErrorCodes.Required, "Required value: must not be empty");
        else if (bytes > maxBytes)
            Add(field, FieldErrorCodes.TooLong, $"Too long: {bytes} bytes, at most {maxBytes}");
        else if (DocumentBinder.IndexOfControl(value) is var at and >= 0)
            Invalid(field, value[Math.Max(0, at - 16)..], $"control character U+{(int)value[at]:X4}; only tab and line breaks are allowed");
    }

    /// <summary>Name of another object: an RFC 1123 label.</summary>
    public void Name(string field, string? value)
    {
        if (value is not null && !IsLabel(value))
        {
            Invalid(field, value,
                "a lowercase RFC 1123 label must be 1 to 63 lower case letters, digits or '-', and must start and end with a letter or digit (such as my-agent)");
        }
    }

    public void Unique(string field, IReadOnlyList<string> values)
    {
        HashSet<string> seen = [];
        for (int i = 0; i < values.Count; i++)
        {
            if (!seen.Add(values[i]))
                Add($"{field}[{i}]", FieldErrorCodes.Duplicate, $"Duplicate value: {BadValue.Quote(values[i])}");
        }
    }

    public void Count(string field, int count, int max)
    {
        if (count > max)
            Add(field, FieldErrorCodes.TooLong, $"Too many: {count}, at most {max}");
    }

    /// <summary>Names or wildcards of tools.</summary>
    public void ToolPatterns(string field, IReadOnlyList<string>? patterns)
    {
        if (patterns is null)
            return;
        Count(field, patterns.Count, 256);
        for (int i = 0; i < patterns.Count; i++)
            ToolPattern($"{field}[{i}]", patterns[i]);
    }

    public void ToolPattern(string field, string pattern)
    {
        if (!ToolPatternForm().IsMatch(pattern) || pattern.Contains("**", StringComparison.Ordinal))
        {
            Invalid(field, pattern, "a tool name is 1 to 128 lower case letters, digits, '_', '-' and dots; '*' stands for any characters (fs.*), never twice in a row");
        }
        else if (!KnownTools.Matches(pattern))
        {
            Add(field, FieldErrorCodes.NotSupported,
                $"Unsupported value: {BadValue.Quote(pattern)}: no such tool; tools: {string.Join(", ", KnownTools.Names)}{Suggestion.For(pattern, KnownTools.Names)}");
        }
    }

    /// <summary>A quantity above zero, or null when it is wrong.</summary>
    public Quantity? PositiveQuantity(string field, string value)
    {
        if (!Quantity.TryParse(value, out Quantity quantity))
        {
            Invalid(field, value, "a Kubernetes quantity is due, such as 256Mi, 1Gi, 100m, 0.5 or 1e3");
            return null;
        }

        if (quantity == default)
        {
            Invalid(field, value, "must be greater than zero");
            return null;
        }

        return quantity;
    }

    public void HttpUrl(string field, string? value)
    {
        if (value is null)
            return;

        if (value.Length > 2048 || value.AsSpan().IndexOfAny(" \t\r\n\\") >= 0 || DocumentBinder.IndexOfControl(value) >= 0
            || !Uri.TryCreate(value, UriKind.Absolute, out Uri? uri) || uri.Scheme is not ("http" or "https") || uri.Host.Length == 0)
            Invalid(field, value, "an absolute http or https URL of at most 2048 characters is due");
        else if (uri.UserInfo.Length > 0 || value.Contains('@'))
            // The value may hold a password: it is not repeated.
            Add(field, FieldErrorCodes.Invalid, "Invalid value: a URL must not carry user information ('@'); use apiKeySecretRef");
        else if (uri.Fragment.Length > 0 || uri.Query.Length > 0)
            Invalid(field, value, "a base URL has no query and no fragment");
    }

    public void Conditions(string field, IReadOnlyList<Condition> conditions)
    {
        Count(field, conditions.Count, 64);
        Unique(field, [.. conditions.Select(condition => condition.Type)]);
        for (int i = 0; i < conditions.Count; i++)
        {
            Condition condition = conditions[i];
            Line($"{field}[{i}].type", condition.Type, 316);
            OneOf($"{field}[{i}].status", condition.Status, "True", "False", "Unknown");
            Line($"{field}[{i}].reason", condition.Reason, 1024);
            Text($"{field}[{i}].message", condition.Message, 32 * 1024);
        }
    }

    public void Metadata(ObjectMeta meta, ResourceType type)
    {
        if (meta.Name.Length == 0)
            Add("metadata.name", FieldErrorCodes.Required, "Required value");
        else
            Name("metadata.name", meta.Name);

        if (!type.Namespaced && meta.Namespace.Length > 0)
            Add("metadata.namespace", FieldErrorCodes.Forbidden, $"Forbidden: a {type.Kind} belongs to no namespace");
        else if (type.Namespaced && meta.Namespace.Length == 0)
            Add("metadata.namespace", FieldErrorCodes.Required, "Required value");
        else if (type.Namespaced)
            Name("metadata.namespace", meta.Namespace);

        Count("metadata.labels", meta.Labels.Count, 256);
        foreach ((string key, string value) in meta.Labels)
        {
            string field = $"metadata.labels[{BadValue.Escape(key, 64)}]";
            QualifiedName(field, key);
            if (!IsLabelValue(value))
                Invalid(field, value, "a label's value is empty or 1 to 63 letters, digits, '-', '_' or '.', and starts and ends with a letter or digit");
        }

        int annotationBytes = 0;
        foreach ((string key, string value) in meta.Annotations)
        {
            QualifiedName($"metadata.annotations[{BadValue.Escape(key, 64)}]", key);
            annotationBytes += Encoding.UTF8.GetByteCount(key) + Encoding.UTF8.GetByteCount(value);
        }

        if (annotationBytes > MaxAnnotationBytes)
            Add("metadata.annotations", FieldErrorCodes.TooLong, $"Too long: {annotationBytes} bytes, at most {MaxAnnotationBytes}");

        Count("metadata.finalizers", meta.Finalizers.Count, 64);
        Unique("metadata.finalizers", meta.Finalizers);
        for (int i = 0; i < meta.Finalizers.Count; i++)
            QualifiedName($"metadata.finalizers[{i}]", meta.Finalizers[i]);
    }

    public static bool IsLabel(string value) => value.Length is > 0 and <= 63 && LabelForm().IsMatch(value);

    public static bool IsLabelValue(string value) => value.Length == 0 || value.Length <= 63 && NameForm().IsMatch(value);

    public static bool IsQualifiedName(string value)
    {
        int slash = value.IndexOf('/', StringComparison.Ordinal);
        string name = value[(slash + 1)..];
        return name.Length is > 0 and <= 63 && NameForm().IsMatch(name)
            && (slash < 0 || slash is > 0 and <= 253 && value[..slash].Split('.').All(IsLabel));
    }

    private void QualifiedName(string field, string value)
    {
        if (!IsQualifiedName(value))
            Invalid(field, value, "a name is [prefix/]name: the name 1 to 63 letters, digits, '-', '_' or '.', the prefix a DNS subdomain (such as example.com/tier)");
    }

    [GeneratedRegex(@"\A[a-z0-9]([a-z0-9-]*[a-z0-9])?\z")]
    private static partial Regex LabelForm();

    [GeneratedRegex(@"\A[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\z")]
    private static partial Regex NameForm();

    [GeneratedRegex(@"\A[a-z0-9_.*-]{1,128}\z")]
    private static partial Regex ToolPatternForm();
}
