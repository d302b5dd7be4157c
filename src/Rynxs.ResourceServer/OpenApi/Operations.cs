using Rynxs.ResourceServer.Kinds;

namespace Rynxs.ResourceServer.OpenApi;

/// <summary>One operation on a path.</summary>
/// <param name="Method">HTTP, lower case.</param>
/// <param name="Action">As in <c>x-kubernetes-action</c>.</param>
/// <param name="Id">Unique within a document.</param>
/// <param name="Answer">Definition of the body that comes back.</param>
/// <param name="Body">Definition of the body that is sent; null for none.</param>
/// <param name="Parameters">Names of query parameters.</param>
internal sealed record Operation(string Method, string Action, string Id, string Answer, string? Body, IReadOnlyList<string> Parameters)
{
    /// <summary>Whether a patch may be a strategic merge patch: kubectl apply chooses its form by this, and sends nothing else.</summary>
    public bool Strategic { get; init; }
}

/// <summary>Paths and operations of a kind, the same in both versions of OpenAPI.</summary>
internal static class Operations
{
    public const string Status = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
    public const string Patch = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
    public const string DeleteOptions = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
    public const string Scale = "io.k8s.api.autoscaling.v1.Scale";

    private static readonly string[] Write = ["dryRun", "fieldManager", "fieldValidation", "pretty"];
    private static readonly string[] PatchWrite = ["dryRun", "fieldManager", "fieldValidation", "force", "pretty"];
    private static readonly string[] Read = ["pretty"];
    private static readonly string[] Delete = ["dryRun", "gracePeriodSeconds", "orphanDependents", "pretty", "propagationPolicy"];

    private static readonly string[] List =
    [
        "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "pretty", "resourceVersion", "resourceVersionMatch",
        "sendInitialEvents", "timeoutSeconds", "watch",
    ];

    /// <summary>Definition of the kind's objects.</summary>
    public static string DefinitionOf(ServedKind kind) => kind.Schema.Definition ?? $"{kind.Group}.{kind.Version}.{kind.Kind}";

    /// <summary>Definition of the kind's lists.</summary>
    public static string ListDefinitionOf(ServedKind kind)
    {
        string definition = DefinitionOf(kind);
        return definition[..(definition.LastIndexOf('.') + 1)] + kind.ListKind;
    }

    /// <summary>Every path with its operations.</summary>
    public static IEnumerable<(string Path, IReadOnlyList<Operation> Operations)> Of(ServedKind kind)
    {
        string root = kind.Group.Length == 0 ? $"/api/{kind.Version}" : $"/apis/{kind.Group}/{kind.Version}";
        string place = kind.Namespaced ? $"{root}/namespaces/{{namespace}}/{kind.Plural}" : $"{root}/{kind.Plural}";
        string word = Word(kind);
        string self = DefinitionOf(kind);
        string list = ListDefinitionOf(kind);
        string scope = kind.Namespaced ? "Namespaced" : "";
        if (kind.Namespaced && kind.Verbs.Contains("list"))
            yield return ($"{root}/{kind.Plural}", [new Operation("get", "list", $"list{word}{kind.Kind}ForAllNamespaces", list, null, List)]);

        yield return (place, Some(kind,
            ("list", new Operation("get", "list", $"list{word}{scope}{kind.Kind}", list, null, List)),
            ("create", new Operation("post", "post", $"create{word}{scope}{kind.Kind}", self, self, Write)),
            ("deletecollection", new Operation("delete", "deletecollection", $"delete{word}Collection{scope}{kind.Kind}", Status, DeleteOptions, [.. Delete, "fieldSelector", "labelSelector", "limit"]))));
        yield return (place + "/{name}", Some(kind,
            ("get", new Operation("get", "get", $"read{word}{scope}{kind.Kind}", self, null, Read)),
            ("update", new Operation("put", "put", $"replace{word}{scope}{kind.Kind}", self, self, Write)),
            ("patch", new Operation("patch", "patch", $"patch{word}{scope}{kind.Kind}", self, Patch, PatchWrite) { Strategic = kind.Strategic }),
            ("delete", new Operation("delete", "delete", $"delete{word}{scope}{kind.Kind}", Status, DeleteOptions, Delete))));
        if (kind.HasStatus)
            yield return (place + "/{name}/status", Subresource(kind, word + scope, "Status", self));
        if (kind is { Group: "", Plural: "namespaces" })
            yield return (place + "/{name}/finalize", [new Operation("put", "put", $"replace{word}{kind.Kind}Finalize", self, self, Write)]);
        if (kind.Scale is not null)
            yield return (place + "/{name}/scale", Subresource(kind, word + scope, "Scale", Scale));
    }

    private static IReadOnlyList<Operation> Subresource(ServedKind kind, string word, string name, string body) =>
    [
        new("get", "get", $"read{word}{kind.Kind}{name}", body, null, Read),
        new("put", "put", $"replace{word}{kind.Kind}{name}", body, body, Write),
        new("patch", "patch", $"patch{word}{kind.Kind}{name}", body, Patch, PatchWrite) { Strategic = kind.Strategic },
    ];

    private static List<Operation> Some(ServedKind kind, params ReadOnlySpan<(string Verb, Operation Operation)> all)
    {
        List<Operation> served = [];
        foreach ((string verb, Operation operation) in all)
        {
            if (kind.Verbs.Contains(verb))
                served.Add(operation);
        }

        return served;
    }

    /// <summary>Group and version in an operation's id: <c>UniverseAiV1alpha1</c>, <c>CoreV1</c>.</summary>
    private static string Word(ServedKind kind)
    {
        string group = kind.Group.Length == 0 ? "core" : kind.Group.EndsWith(".k8s.io", StringComparison.Ordinal) ? kind.Group[..^7] : kind.Group;
        return string.Concat(group.Split('.', '-').Append(kind.Version).Select(part => char.ToUpperInvariant(part[0]) + part[1..]));
    }
}
