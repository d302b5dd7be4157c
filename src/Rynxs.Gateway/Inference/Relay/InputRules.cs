using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference.Relay;

/// <summary>Searches what a request shows to the model: everything but names, ids and the bytes of images.</summary>
internal static class InputRules
{
    private static readonly string[] Shown = ["messages", "input", "system", "instructions", "tools"];
    private static readonly HashSet<string> Skipped =
        ["role", "type", "id", "url", "image_url", "data", "media_type", "tool_call_id", "tool_use_id", "call_id", "name", "signature", "encrypted_content", "status"];

    /// <summary>Every text, in its order.</summary>
    public static List<string> Texts(JsonObject body)
    {
        List<string> texts = [];
        Walk(body, text =>
        {
            texts.Add(text);
            return text;
        });
        return texts;
    }

    /// <summary>Replaces what detectors find; gives the names of those that did.</summary>
    /// <param name="detectors">Those for requests.</param>
    /// <param name="body">Changed in place.</param>
    /// <param name="deniedBy">Name of a detector that refuses the request; null when none does.</param>
    public static IReadOnlyCollection<string> Apply(IReadOnlyList<Detector> detectors, JsonObject body, out string? deniedBy)
    {
        HashSet<string> redacted = new(StringComparer.Ordinal);
        string? denied = null;
        Walk(body, text =>
        {
            Inspection inspection = ContentRules.Inspect(detectors, text);
            denied ??= inspection.DeniedBy;
            redacted.UnionWith(inspection.Redacted);
            return inspection.Text;
        });
        deniedBy = denied;
        return redacted;
    }

    private static void Walk(JsonObject body, Func<string, string> visit)
    {
        foreach (string name in Shown)
        {
            if (body[name] is { } node)
            {
                Visit(node, changed => body[name] = changed, visit);
            }
        }
    }

    private static void Visit(JsonNode node, Action<JsonNode> replace, Func<string, string> visit)
    {
        switch (node)
        {
            case JsonObject value:
                foreach ((string name, JsonNode? member) in value.ToArray())
                {
                    if (member is not null && !Skipped.Contains(name))
                    {
                        Visit(member, changed => value[name] = changed, visit);
                    }
                }

                break;
            case JsonArray list:
                for (int i = 0; i < list.Count; i++)
                {
                    int index = i;
                    if (list[i] is { } item)
                    {
                        Visit(item, changed => list[index] = changed, visit);
                    }
                }

                break;
            default:
                if (node.AsText() is { } text && visit(text) is { } visited && !ReferenceEquals(visited, text))
                {
                    replace(JsonValue.Create(visited));
                }

                break;
        }
    }
}
