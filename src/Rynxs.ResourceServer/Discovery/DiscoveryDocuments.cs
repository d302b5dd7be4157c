using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Http;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Objects;

namespace Rynxs.ResourceServer.Discovery;

/// <summary>What there is: the documents below <c>/api</c> and <c>/apis</c>, legacy and aggregated, of one set of kinds.</summary>
internal sealed class DiscoveryDocuments(KindSet kinds, IReadOnlyList<DiscoveredResource> others)
{
    /// <summary>Groups in the order of the real server: its own by a fixed order, then all others by name.</summary>
    private static readonly string[] Order =
    [
        "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io",
        "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io",
        "coordination.k8s.io", "node.k8s.io", "discovery.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io",
    ];

    private static readonly string[] StatusVerbs = ["get", "patch", "update"];

    /// <summary><c>/api</c>.</summary>
    public static JsonObject Versions(string serverAddress) => new()
    {
        ["kind"] = "APIVersions",
        ["versions"] = new JsonArray("v1"),
        ["serverAddressByClientCIDRs"] = new JsonArray(new JsonObject { ["clientCIDR"] = "0.0.0.0/0", ["serverAddress"] = serverAddress }),
    };

    /// <summary><c>/apis</c>.</summary>
    public JsonObject Groups() => new()
    {
        ["kind"] = "APIGroupList",
        ["apiVersion"] = "v1",
        ["groups"] = new JsonArray([.. GroupNames().Select(GroupBody)]),
    };

    /// <summary><c>/apis/GROUP</c>; null when there is no such group.</summary>
    public JsonObject? Group(string name)
    {
        if (!GroupNames().Contains(name))
            return null;
        JsonObject group = new() { ["kind"] = "APIGroup", ["apiVersion"] = "v1" };
        foreach ((string key, JsonNode? value) in GroupBody(name))
            group[key] = value?.DeepClone();
        return group;
    }

    /// <summary><c>/api/v1</c> and <c>/apis/GROUP/VERSION</c>; null when there is no such version.</summary>
    public JsonObject? Resources(string group, string version)
    {
        JsonNode[] resources = [.. Kinds(group, version).SelectMany(Resources), .. Others(group, version).Select(Resource)];
        if (resources.Length == 0)
            return null;
        resources = [.. resources.OrderBy(resource => IsCustom(group) ? "" : (string?)resource["name"], StringComparer.Ordinal)];
        JsonObject list = new() { ["kind"] = "APIResourceList" };
        // The real server leaves apiVersion out of the oldest list.
        if (group.Length > 0)
            list["apiVersion"] = "v1";
        list["groupVersion"] = group.Length == 0 ? version : $"{group}/{version}";
        list["resources"] = new JsonArray(resources);
        return list;
    }

    /// <summary>Aggregated discovery (<c>apidiscovery.k8s.io/v2</c>) of the core group or of all others.</summary>
    public JsonObject Aggregated(bool core) => new()
    {
        ["kind"] = "APIGroupDiscoveryList",
        ["apiVersion"] = "apidiscovery.k8s.io/v2",
        ["metadata"] = new JsonObject(),
        ["items"] = new JsonArray([.. (core ? [""] : GroupNames()).Select(AggregatedGroup)]),
    };

    private JsonObject AggregatedGroup(string group)
    {
        JsonObject metadata = [];
        if (group.Length > 0)
            metadata["name"] = group;
        return new JsonObject
        {
            ["metadata"] = metadata,
            ["versions"] = new JsonArray([.. VersionsOf(group).Select(version => new JsonObject
            {
                ["version"] = version,
                ["resources"] = new JsonArray([.. Kinds(group, version).Select(Aggregated)
                    .Concat(Others(group, version).Select(Aggregated))
                    .OrderBy(resource => IsCustom(group) ? "" : (string?)resource["resource"], StringComparer.Ordinal)]),
                ["freshness"] = "Current",
            })]),
        };
    }

    private static JsonObject Aggregated(RegisteredKind registered)
    {
        ServedKind kind = registered.Kind;
        JsonObject resource = new()
        {
            ["resource"] = kind.Plural,
            ["responseKind"] = ResponseKind(registered, kind.Kind),
            ["scope"] = kind.Namespaced ? "Namespaced" : "Cluster",
            ["singularResource"] = kind.Singular,
            ["verbs"] = Verbs(registered),
        };
        AddNames(resource, kind);
        JsonNode[] subresources = [.. Subresources(registered).Select(subresource => new JsonObject
        {
            ["subresource"] = subresource.Name,
            ["responseKind"] = subresource.Name == "scale"
                ? new JsonObject { ["group"] = "autoscaling", ["version"] = "v1", ["kind"] = "Scale" }
                : ResponseKind(registered, kind.Kind),
            ["verbs"] = Array(subresource.Verbs),
        })];
        if (subresources.Length > 0)
            resource["subresources"] = new JsonArray(subresources);
        return resource;
    }

    private static JsonObject Aggregated(DiscoveredResource other) => new()
    {
        ["resource"] = other.Plural,
        ["responseKind"] = new JsonObject { ["group"] = "", ["version"] = "", ["kind"] = other.Kind },
        ["scope"] = other.Namespaced ? "Namespaced" : "Cluster",
        ["singularResource"] = other.Singular,
        ["verbs"] = Array(other.Verbs),
    };

    /// <summary>The real server leaves group and version out for its own kinds.</summary>
    private static JsonObject ResponseKind(RegisteredKind registered, string kind) => registered.Custom
        ? new JsonObject { ["group"] = registered.Kind.Group, ["version"] = registered.Kind.Version, ["kind"] = kind }
        : new JsonObject { ["group"] = "", ["version"] = "", ["kind"] = kind };

    private static IEnumerable<JsonObject> Resources(RegisteredKind registered)
    {
        ServedKind kind = registered.Kind;
        JsonObject resource = new()
        {
            ["name"] = kind.Plural,
            ["singularName"] = kind.Singular,
            ["namespaced"] = kind.Namespaced,
            ["kind"] = kind.Kind,
            ["verbs"] = Verbs(registered),
        };
        AddNames(resource, kind);
        resource["storageVersionHash"] = Hash($"{kind.Group}/{kind.Version}/{kind.Kind}");
        yield return resource;
        foreach ((string name, IReadOnlyList<string> verbs) in Subresources(registered))
        {
            JsonObject sub = new() { ["name"] = $"{kind.Plural}/{name}", ["singularName"] = "", ["namespaced"] = kind.Namespaced };
            if (name == "scale")
            {
                sub["group"] = "autoscaling";
                sub["version"] = "v1";
            }

            sub["kind"] = name == "scale" ? "Scale" : kind.Kind;
            sub["verbs"] = Array(verbs);
            yield return sub;
        }
    }

    private static JsonObject Resource(DiscoveredResource other) => new()
    {
        ["name"] = other.Plural,
        ["singularName"] = other.Singular,
        ["namespaced"] = other.Namespaced,
        ["kind"] = other.Kind,
        ["verbs"] = Array(other.Verbs),
    };

    private static IEnumerable<(string Name, IReadOnlyList<string> Verbs)> Subresources(RegisteredKind registered)
    {
        List<(string, IReadOnlyList<string>)> found = [];
        if (registered.Kind.HasStatus)
            found.Add(("status", StatusVerbs));
        if (registered.Kind.Scale is not null)
            found.Add(("scale", StatusVerbs));
        if (registered.IsNamespace)
            found.Add(("finalize", ["update"]));
        return registered.Custom ? found : found.OrderBy(subresource => subresource.Item1, StringComparer.Ordinal);
    }

    private static void AddNames(JsonObject resource, ServedKind kind)
    {
        if (kind.ShortNames.Count > 0)
            resource["shortNames"] = Array(kind.ShortNames);
        if (kind.Categories.Count > 0)
            resource["categories"] = Array(kind.Categories);
    }

    /// <summary>The real server lists the verbs of custom resources in another order than those of its own.</summary>
    private static JsonArray Verbs(RegisteredKind registered) => registered.Custom
        ? Array([.. ((string[])["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]).Where(verb => registered.Kind.Verbs.Contains(verb))])
        : Array(registered.Kind.Verbs);

    private JsonObject GroupBody(string name)
    {
        string[] versions = [.. VersionsOf(name)];
        return new JsonObject
        {
            ["name"] = name,
            ["versions"] = new JsonArray([.. versions.Select(version => Version(name, version))]),
            ["preferredVersion"] = Version(name, versions[0]),
        };
    }

    private static JsonObject Version(string group, string version) => new() { ["groupVersion"] = $"{group}/{version}", ["version"] = version };

    private string[] GroupNames() =>
    [
        .. kinds.All.Select(kind => kind.Kind.Group).Concat(others.Select(other => other.Group)).Where(group => group.Length > 0).Distinct()
            .OrderBy(group => System.Array.IndexOf(Order, group) is var at and >= 0 ? at : Order.Length).ThenBy(group => group, StringComparer.Ordinal),
    ];

    private IEnumerable<string> VersionsOf(string group) =>
        kinds.All.Where(kind => kind.Kind.Group == group).Select(kind => kind.Kind.Version).Concat(others.Where(other => other.Group == group).Select(other => other.Version))
            .Distinct().OrderByDescending(Priority);

    private IEnumerable<RegisteredKind> Kinds(string group, string version) => kinds.All.Where(kind => kind.Kind.Group == group && kind.Kind.Version == version);

    private IEnumerable<DiscoveredResource> Others(string group, string version) => others.Where(other => other.Group == group && other.Version == version);

    private bool IsCustom(string group) => kinds.All.Any(kind => kind.Kind.Group == group && kind.Custom);

    /// <summary>Kubernetes' order of versions: stable above beta above alpha, then by number.</summary>
    private static (int Stability, int Major, int Minor) Priority(string version)
    {
        System.Text.RegularExpressions.Match match = System.Text.RegularExpressions.Regex.Match(
            version, @"\Av([0-9]{1,6})(?:(alpha|beta)([0-9]{1,6}))?\z", System.Text.RegularExpressions.RegexOptions.None, TimeSpan.FromSeconds(1));
        if (!match.Success)
            return (-1, 0, 0);
        int stability = match.Groups[2].Value switch
        {
            "alpha" => 0,
            "beta" => 1,
            _ => 2,
        };
        return (stability, Number(match.Groups[1].Value), Number(match.Groups[3].Value));

        static int Number(string text) => text.Length == 0 ? 0 : int.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>As the real server computes it.</summary>
    private static string Hash(string text) => Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, 8));

    private static JsonArray Array(IEnumerable<string> texts) => new([.. texts.Select(text => (JsonNode)text)]);
}
