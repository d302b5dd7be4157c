using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.Cli.Objects;

/// <summary>
/// Apply without server-side apply, as kubectl does it: the object remembers what was applied last, in the annotation that kubectl uses, so that both programs
/// can be used on one object. What the manifest says is set, what it said last time and says no more is removed, and what others have set stays.
/// </summary>
internal static class LastApplied
{
    public const string Annotation = "kubectl.kubernetes.io/last-applied-configuration";

    /// <summary>Of metadata, what only the server sets: a manifest that was made from a get has it, and it is no wish.</summary>
    private static readonly string[] ServerOwned = ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"];

    /// <summary>What the manifest wishes, without what only the server writes.</summary>
    /// <param name="manifest">The document.</param>
    /// <param name="remembers">Whether the result carries itself in the annotation.</param>
    public static JsonObject Wanted(JsonObject manifest, bool remembers)
    {
        var wanted = (JsonObject)manifest.DeepClone();
        wanted.Remove("status");
        if (wanted["metadata"] is not JsonObject metadata)
        {
            wanted["metadata"] = metadata = [];
        }

        foreach (string name in ServerOwned)
        {
            metadata.Remove(name);
        }

        (metadata["annotations"] as JsonObject)?.Remove(Annotation);
        if (remembers)
        {
            // kubectl writes an empty map of annotations into what it remembers; both read either.
            string text = JsonSerializer.Serialize(wanted, CliJson.Default.JsonObject) + "\n";
            if (metadata["annotations"] is not JsonObject annotations)
            {
                metadata["annotations"] = annotations = [];
            }

            annotations[Annotation] = text;
        }

        return wanted;
    }

    /// <summary>What was applied last; null when the object does not remember, or remembers no object.</summary>
    public static JsonObject? Of(JsonObject live)
    {
        if (live["metadata"]?["annotations"]?[Annotation] is not JsonValue value || !value.TryGetValue(out string? text))
        {
            return null;
        }

        try
        {
            return JsonNode.Parse(text) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>The merge patch (RFC 7396) that brings <paramref name="live"/> to what is wanted; empty when nothing is to be done. Lists are set as a whole.</summary>
    public static JsonObject Patch(JsonObject? last, JsonObject wanted, JsonObject live)
    {
        var patch = new JsonObject();
        foreach ((string name, JsonNode? value) in wanted)
        {
            if (value is JsonObject inner && live[name] is JsonObject below)
            {
                JsonObject deeper = Patch(last?[name] as JsonObject, inner, below);
                if (deeper.Count > 0)
                {
                    patch[name] = deeper;
                }
            }
            else if (value is null ? live.ContainsKey(name) : !JsonNode.DeepEquals(value, live[name]))
            {
                patch[name] = value?.DeepClone();
            }
        }

        foreach ((string name, JsonNode? _) in last ?? [])
        {
            if (!wanted.ContainsKey(name) && live.ContainsKey(name))
            {
                patch[name] = null;
            }
        }

        return patch;
    }
}
