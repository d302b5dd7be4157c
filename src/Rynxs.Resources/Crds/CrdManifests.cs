using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.Resources.Crds;

/// <summary>
/// The manifests of <c>crds/</c> as they ship inside this assembly: what <c>kubectl apply -f crds/</c> gives a cluster is, to the byte, what our own
/// server reads its schemas from.
/// </summary>
public static class CrdManifests
{
    private static readonly ManifestLimits Limits = new() { MaxNodes = 200_000 };

    /// <summary>The manifest of a kind, freshly parsed: the caller may change it.</summary>
    public static JsonObject Of(ResourceType type)
    {
        YamlText yaml = new(Text(type), Limits);
        return Json(yaml.Documents().Single()) as JsonObject ?? throw new InvalidDataException($"The manifest of {type.Kind} is no object.");
    }

    /// <summary>The manifest's YAML.</summary>
    public static string Text(ResourceType type)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"crds/{FileName(type)}")
            ?? throw new InvalidDataException($"The manifest of {type.Kind} is not in the assembly.");
        using StreamReader reader = new(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    /// <summary>Name of the file in <c>crds/</c>.</summary>
    public static string FileName(ResourceType type) => $"universe.ai_{type.Plural}.yaml";

    private static JsonNode? Json(TextNode node) => node.Kind switch
    {
        TextNodeKind.Null => null,
        TextNodeKind.String => JsonValue.Create(node.Text),
        TextNodeKind.Boolean or TextNodeKind.Number => JsonNode.Parse(node.Text),
        TextNodeKind.Sequence => new JsonArray([.. node.Items.Select(Json)]),
        _ => new JsonObject(node.Members.Select(member => KeyValuePair.Create(member.Key, Json(member.Value)))),
    };
}
