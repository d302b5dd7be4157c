using System.Net;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Objects;

/// <summary>What a server serves, by its own discovery: nothing here knows a kind by itself, so applied definitions work like built-in kinds.</summary>
internal sealed class ServerKinds
{
    private const string Aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

    private readonly List<ApiKind> _kinds;

    private ServerKinds(List<ApiKind> kinds) => _kinds = kinds;

    /// <summary>Every kind of every served version, the preferred version of a group first.</summary>
    public IReadOnlyList<ApiKind> All => _kinds;

    /// <summary>Every kind once, in its preferred version.</summary>
    public IEnumerable<ApiKind> Preferred => _kinds.DistinctBy(kind => (kind.Group, kind.Plural));

    public static async Task<ServerKinds> FetchAsync(ApiClient client, CancellationToken cancellationToken)
    {
        List<ApiKind> kinds = [];
        foreach (string root in (string[])["/api", "/apis"])
        {
            JsonElement document;
            try
            {
                document = await client.GetAsync(root, cancellationToken, Aggregated);
            }
            catch (ApiException exception) when (exception.Status == HttpStatusCode.NotFound)
            {
                throw new CliException("the server does not tell which kinds it serves: it is not a Rynxs or Kubernetes API server.");
            }

            if (document.Text("kind") == "APIGroupDiscoveryList")
            {
                kinds.AddRange(document.Items("items").SelectMany(FromAggregated));
            }
            else
            {
                foreach ((string group, string version) in GroupVersions(document))
                {
                    kinds.AddRange(FromList(await client.GetAsync(group.Length == 0 ? $"/api/{version}" : $"/apis/{group}/{version}", cancellationToken), group, version));
                }
            }
        }

        return new ServerKinds(kinds);
    }

    /// <summary>
    /// The kind that a person means: plural, singular, short name or kind, in any case, with <c>.GROUP</c> or <c>.VERSION.GROUP</c> after it where one name
    /// has several.
    /// </summary>
    /// <exception cref="CliException">There is none; the message suggests the nearest.</exception>
    public ApiKind Find(string name) => TryFind(name) ?? throw new CliException(
        $"there is no kind '{name}'{NearestName.Hint(name, Preferred.SelectMany(kind => (string[])[kind.Plural, kind.Singular, .. kind.ShortNames]))}.",
        ExitCodes.Usage,
        "See: rynxs api-resources");

    /// <summary>All kinds of a list such as <c>agents,tasks</c>, or of a category such as <c>all</c>.</summary>
    public IReadOnlyList<ApiKind> FindMany(string names) =>
        [.. names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .SelectMany(name => TryFind(name) is { } one ? [one] : Preferred.Where(kind => kind.Categories.Contains(name)) is var many && many.Any() ? many : [Find(name)])
            .Distinct()];

    /// <summary>The kind that a manifest names.</summary>
    public ApiKind? Find(string apiVersion, string kind) => _kinds.FirstOrDefault(candidate => candidate.ApiVersion == apiVersion && candidate.Kind == kind);

    private ApiKind? TryFind(string name)
    {
        string[] parts = name.Split('.', 2);
        foreach (Func<ApiKind, bool> matches in (Func<ApiKind, bool>[])
        [
            kind => Named(kind, name) && kind.Group.Length == 0,
            kind => Named(kind, name),
            kind => parts.Length == 2 && Named(kind, parts[0]) && kind.Group == parts[1],
            kind => parts.Length == 2 && Named(kind, parts[0]) && $"{kind.Version}.{kind.Group}" == parts[1],
        ])
        {
            if (_kinds.FirstOrDefault(matches) is { } found)
            {
                return found;
            }
        }

        return null;

        static bool Named(ApiKind kind, string text) =>
            Same(kind.Plural, text) || Same(kind.Singular, text) || Same(kind.Kind, text) || kind.ShortNames.Any(name => Same(name, text));

        static bool Same(string one, string other) => string.Equals(one, other, StringComparison.OrdinalIgnoreCase);
    }

    private static IEnumerable<ApiKind> FromAggregated(JsonElement group)
    {
        string name = group.Text("metadata.name") ?? "";
        foreach (JsonElement version in group.Items("versions"))
        {
            foreach (JsonElement resource in version.Items("resources"))
            {
                string plural = resource.Text("resource") ?? "", kind = resource.Text("responseKind.kind") ?? "";
                yield return new ApiKind
                {
                    Group = name,
                    Version = version.Text("version") ?? "",
                    Kind = kind,
                    Plural = plural,
                    Singular = resource.Text("singularResource") is { Length: > 0 } singular ? singular : kind.ToLowerInvariant(),
                    ShortNames = Texts(resource, "shortNames"),
                    Categories = Texts(resource, "categories"),
                    Verbs = Texts(resource, "verbs"),
                    Namespaced = resource.Text("scope") == "Namespaced",
                };
            }
        }
    }

    private static IEnumerable<ApiKind> FromList(JsonElement list, string group, string version) => list.Items("resources")
        .Where(resource => resource.Text("name")?.Contains('/', StringComparison.Ordinal) == false)
        .Select(resource => new ApiKind
        {
            Group = group,
            Version = version,
            Kind = resource.Text("kind") ?? "",
            Plural = resource.Text("name") ?? "",
            Singular = resource.Text("singularName") is { Length: > 0 } singular ? singular : (resource.Text("kind") ?? "").ToLowerInvariant(),
            ShortNames = Texts(resource, "shortNames"),
            Categories = Texts(resource, "categories"),
            Verbs = Texts(resource, "verbs"),
            Namespaced = resource.IsTrue("namespaced"),
        });

    private static IEnumerable<(string Group, string Version)> GroupVersions(JsonElement document)
    {
        foreach (JsonElement version in document.Items("versions"))
        {
            yield return ("", version.GetString() ?? "");
        }

        foreach (JsonElement group in document.Items("groups"))
        {
            string name = group.Text("name") ?? "", preferred = group.Text("preferredVersion.version") ?? "";
            foreach (string version in group.Items("versions").Select(version => version.Text("version") ?? "").OrderByDescending(version => version == preferred))
            {
                yield return (name, version);
            }
        }
    }

    private static string[] Texts(JsonElement element, string path) =>
        [.. element.Items(path).Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString() ?? "")];
}
