using System.Globalization;
using System.Text.Json;

namespace Rynxs.Cli.Objects;

/// <summary>Reads fields of answers by path, for showing them. Answers are untrusted: a missing field or another type reads as null.</summary>
internal static class JsonFields
{
    public static JsonElement? At(this JsonElement element, string path)
    {
        JsonElement current = element;
        foreach (string part in path.Split('.'))
        {
            if (current.ValueKind != JsonValueKind.Object || !current.TryGetProperty(part, out current))
            {
                return null;
            }
        }

        return current.ValueKind is JsonValueKind.Null ? null : current;
    }

    public static string? Text(this JsonElement element, string path) => element.At(path) switch
    {
        { ValueKind: JsonValueKind.String } value => value.GetString(),
        { ValueKind: JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False } value => value.GetRawText(),
        _ => null,
    };

    public static long? Integer(this JsonElement element, string path) =>
        element.At(path) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt64(out long number) ? number : null;

    public static bool IsTrue(this JsonElement element, string path) => element.At(path) is { ValueKind: JsonValueKind.True };

    public static IEnumerable<JsonElement> Items(this JsonElement element, string path) =>
        element.At(path) is { ValueKind: JsonValueKind.Array } value ? value.EnumerateArray() : [];

    /// <summary>Time since an RFC 3339 moment, such as <c>5m</c>; empty when there is none.</summary>
    public static string Age(this JsonElement element, string path, TimeProvider timeProvider)
    {
        if (element.Text(path) is not { } text
            || !DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset moment))
        {
            return "";
        }

        TimeSpan age = timeProvider.GetUtcNow() - moment;
        return age.TotalSeconds < 120 ? $"{Math.Max(0, (long)age.TotalSeconds)}s"
            : age.TotalMinutes < 120 ? $"{(long)age.TotalMinutes}m"
            : age.TotalHours < 48 ? $"{(long)age.TotalHours}h"
            : $"{(long)age.TotalDays}d";
    }
}
