using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>Bounds nesting: patches and merges recurse, and a patch can nest a document deeper than any parser let in.</summary>
internal static class DocumentDepth
{
    /// <summary>Levels of nesting that a document or a patch may have.</summary>
    public const int Max = 256;

    public static bool IsWithin(JsonNode? node, int levels) => node switch
    {
        JsonObject map => levels > 0 && map.All(member => IsWithin(member.Value, levels - 1)),
        JsonArray list => levels > 0 && list.All(item => IsWithin(item, levels - 1)),
        _ => true,
    };
}
