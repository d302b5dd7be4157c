using System.Text;
using System.Text.Json;
using Rynxs.Cli.Objects;

namespace Rynxs.Cli.Tasks;

/// <summary>One audit record on one line, for people.</summary>
internal static class RecordLine
{
    private const int MaxPreview = 400;

    // Commitments and hashes are for machines; everything else of a payload is short by design.
    private static readonly string[] LeftOut = ["call_id", "message_id", "subject_hash", "image_digest", "controls", "violation_id", "event_type"];

    /// <summary><c>TIME SEQ TYPE name=value… | preview</c>.</summary>
    public static string Format(JsonElement record)
    {
        var line = new StringBuilder();
        line.Append(record.Text("time") ?? "").Append("  ").Append(record.Text("seq") ?? "?").Append("  ").Append(record.Text("type") ?? "?");
        if (record.At("payload") is { ValueKind: JsonValueKind.Object } payload)
        {
            foreach (JsonProperty field in payload.EnumerateObject().Where(field => !LeftOut.Contains(field.Name)))
            {
                if (field.Value.ValueKind is JsonValueKind.String or JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False)
                {
                    line.Append(' ').Append(field.Name).Append('=').Append(OneLine(field.Value.ToString(), 80));
                }
            }
        }

        if (Preview(record) is { Length: > 0 } preview)
        {
            line.Append("  | ").Append(OneLine(preview, MaxPreview));
        }

        return line.ToString();
    }

    /// <summary>What the record's commitments stand for; null when it was erased or there is none.</summary>
    public static string? Preview(JsonElement record) => record.Text("preview") is { } text ? Inner(text) : null;

    // A side blob of a tool call or an answer is itself an object with the text in it.
    private static string Inner(string text)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            return document.RootElement.Text("preview") ?? document.RootElement.Text("text") ?? text;
        }
        catch (JsonException)
        {
            return text;
        }
    }

    public static string OneLine(string text, int length)
    {
        string flat = text.Trim().Replace("\r", "", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
        return flat.Length <= length ? flat : flat[..(length - 1)] + "…";
    }
}
