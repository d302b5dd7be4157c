using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.Cli.Objects;

/// <summary>One document of a manifest with the kind that the server serves for it.</summary>
internal sealed record Manifest(ApiKind Kind, string Namespace, string Name, JsonObject Content)
{
    /// <summary>As results name it: <c>agent.universe.ai/x</c>.</summary>
    public string Label => $"{Kind.Label}/{Name}";

    public string Path => Kind.Object(Namespace, Name);

    public string Collection => Kind.Collection(Namespace);

    public string Text => JsonSerializer.Serialize(Content, CliJson.Default.JsonObject);

    /// <summary>Ties documents to the kinds that a server serves.</summary>
    /// <exception cref="CliException">A kind is not served, or a document has no name.</exception>
    public static IReadOnlyList<Manifest> Bind(ServerKinds kinds, IEnumerable<JsonObject> documents, string defaultNamespace, string? requiredNamespace)
    {
        List<Manifest> bound = [];
        foreach (JsonObject document in documents)
        {
            string apiVersion = Field(document, "apiVersion"), kindName = Field(document, "kind");
            ApiKind kind = kinds.Find(apiVersion, kindName) ?? throw new CliException(
                $"the server serves no kind {kindName} of {apiVersion}{Terminal.NearestName.Hint(kindName, kinds.All.Select(candidate => candidate.Kind))}; nothing was changed.",
                hints: ["See: rynxs api-resources"]);
            if (document["metadata"] is not JsonObject metadata || Field(metadata, "name") is not { Length: > 0 } name)
            {
                throw new CliException($"a {kindName} of the manifests has no metadata.name; nothing was changed.");
            }

            string given = Field(metadata, "namespace");
            if (kind.Namespaced && requiredNamespace is not null && given.Length > 0 && given != requiredNamespace)
            {
                throw new CliException($"{kindName} {name} is in the namespace '{given}', and -n says '{requiredNamespace}'; nothing was changed.");
            }

            string resourceNamespace = kind.Namespaced ? given.Length > 0 ? given : defaultNamespace : "";
            if (kind.Namespaced)
            {
                metadata["namespace"] = resourceNamespace;
            }

            bound.Add(new Manifest(kind, resourceNamespace, name, document));
        }

        return bound;
    }

    private static string Field(JsonObject document, string name) => document[name] is JsonValue value && value.TryGetValue(out string? text) ? text : "";
}
