using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Kubernetes.Objects;
using Rynxs.Resources.Client;

namespace Rynxs.Kubernetes.Requests;

/// <summary>How a patch is to be understood.</summary>
public enum PatchKind
{
    /// <summary>RFC 7396.</summary>
    Merge,

    /// <summary>RFC 6902.</summary>
    Json,

    /// <summary>Server-side apply: the fields named become ours.</summary>
    Apply,
}

/// <summary>What must hold for an object to be deleted, and what becomes of its dependents.</summary>
public sealed record DeleteTerms
{
    /// <summary>Only this object, not one of the same name that came after.</summary>
    public string? Uid { get; init; }

    /// <summary>Only in this version.</summary>
    public string? ResourceVersion { get; init; }

    /// <summary>Dependents are deleted first and the object waits for them. Default: the server's own way, in the background for most kinds.</summary>
    public bool Foreground { get; init; }
}

/// <summary>
/// Requests to a kube-apiserver for objects of any kind. Safe for concurrent use. Every call has a time limit, every answer a bound, and every failure is a
/// <see cref="KubernetesException"/>.
/// </summary>
public sealed partial class KubernetesApi : IDisposable
{
    private const int MaxListRestarts = 3;

    private readonly Transport _transport;

    /// <summary>Makes a client; nothing is sent yet.</summary>
    public KubernetesApi(KubernetesApiOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Options = options;
        _transport = new Transport(options);
    }

    /// <summary>Its settings.</summary>
    public KubernetesApiOptions Options { get; }

    /// <summary>The object, or null.</summary>
    public async Task<KubeObject?> TryGetAsync(ApiResource resource, string inNamespace, string name, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(resource);
        try
        {
            return await SendAsync(new ApiRequest(HttpMethod.Get, resource.Path(inNamespace, name), $"get {resource} {name}"), cancellationToken);
        }
        catch (KubernetesException exception) when (exception.Failure == KubernetesFailure.NotFound)
        {
            return null;
        }
    }

    /// <summary>A list, page by page; when its pages expire under the reading it begins again, at most three times.</summary>
    public async Task<KubeList> ListAsync(ApiResource resource, ResourceQuery query, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(resource);
        ArgumentNullException.ThrowIfNull(query);
        for (int restarts = 0; ; restarts++)
        {
            try
            {
                return await ListOnceAsync(resource, query, cancellationToken);
            }
            catch (KubernetesException exception) when (exception.Failure == KubernetesFailure.Gone && restarts < MaxListRestarts)
            {
                // The continue token is older than the history that the server keeps.
            }
        }
    }

    /// <summary>Creates an object; its namespace and name are those of its metadata (or generateName).</summary>
    public Task<KubeObject> CreateAsync(ApiResource resource, string inNamespace, JsonObject content, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(resource);
        return SendAsync(
            new ApiRequest(HttpMethod.Post, resource.Path(inNamespace) + Query(("fieldManager", Options.FieldManager)), $"create {resource} {content?["metadata"]?["name"]}")
            {
                Body = Bytes(content),
            },
            cancellationToken);
    }

    /// <summary>Replaces an object, or one of its subresources; <c>metadata.resourceVersion</c> is the precondition.</summary>
    public Task<KubeObject> ReplaceAsync(
        ApiResource resource, string inNamespace, string name, JsonObject content, string? subresource, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(resource);
        return SendAsync(
            new ApiRequest(
                HttpMethod.Put, resource.Path(inNamespace, name, subresource) + Query(("fieldManager", Options.FieldManager)), $"update {What(resource, name, subresource)}")
            {
                Body = Bytes(content),
            },
            cancellationToken);
    }

    /// <summary>Patches an object, or one of its subresources.</summary>
    /// <param name="resource">Kind.</param>
    /// <param name="inNamespace">Namespace; ignored for cluster-scoped kinds.</param>
    /// <param name="name">Name.</param>
    /// <param name="kind">How <paramref name="patch"/> is to be understood.</param>
    /// <param name="patch">The patch: an object, or an array of operations for <see cref="PatchKind.Json"/>.</param>
    /// <param name="subresource">Such as <c>status</c>; null for the object itself.</param>
    /// <param name="force">Takes fields from other managers; only for <see cref="PatchKind.Apply"/>.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public Task<KubeObject> PatchAsync(
        ApiResource resource, string inNamespace, string name, PatchKind kind, JsonNode patch, string? subresource, bool force, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(resource);
        ArgumentNullException.ThrowIfNull(patch);
        string query = Query(("fieldManager", Options.FieldManager), ("force", kind == PatchKind.Apply && force ? "true" : null));
        return SendAsync(
            new ApiRequest(HttpMethod.Patch, resource.Path(inNamespace, name, subresource) + query, $"{(kind == PatchKind.Apply ? "apply" : "patch")} {What(resource, name, subresource)}")
            {
                Body = Bytes(patch),
                ContentType = kind switch
                {
                    PatchKind.Merge => "application/merge-patch+json",
                    PatchKind.Json => "application/json-patch+json",
                    _ => "application/apply-patch+yaml", // JSON is YAML, and this is the one name that every server knows
                },
            },
            cancellationToken);
    }

    /// <summary>Server-side apply of an object with its <c>apiVersion</c>, <c>kind</c> and <c>metadata</c>.</summary>
    public Task<KubeObject> ApplyAsync(ApiResource resource, JsonObject content, bool force, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(content);
        string name = (string?)content["metadata"]?["name"] ?? throw new ArgumentException("metadata.name is required", nameof(content));
        return PatchAsync(resource, (string?)content["metadata"]?["namespace"] ?? "", name, PatchKind.Apply, content, subresource: null, force, cancellationToken);
    }

    /// <summary>Deletes an object. False: there is none, or it is another than the terms say.</summary>
    public async Task<bool> DeleteAsync(ApiResource resource, string inNamespace, string name, DeleteTerms terms, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(resource);
        ArgumentNullException.ThrowIfNull(terms);
        var options = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "DeleteOptions" };
        var preconditions = new JsonObject();
        if (terms.Uid is not null)
            preconditions["uid"] = terms.Uid;
        if (terms.ResourceVersion is not null)
            preconditions["resourceVersion"] = terms.ResourceVersion;
        if (preconditions.Count > 0)
            options["preconditions"] = preconditions;
        if (terms.Foreground)
            options["propagationPolicy"] = "Foreground";
        try
        {
            await _transport.SendAsync(
                new ApiRequest(HttpMethod.Delete, resource.Path(inNamespace, name), $"delete {resource} {name}") { Body = Bytes(options) }, cancellationToken);
            return true;
        }
        catch (KubernetesException exception) when (exception.Failure == KubernetesFailure.NotFound)
        {
            return false;
        }
    }

    /// <summary>A document that is no object, such as <c>/version</c> or a review's answer.</summary>
    public async Task<JsonElement> ReadAsync(string path, CancellationToken cancellationToken) =>
        Parse(await _transport.SendAsync(new ApiRequest(HttpMethod.Get, path, $"get {path}"), cancellationToken), path);

    /// <summary>The text of a path, such as <c>/readyz?verbose</c>.</summary>
    public async Task<string> ReadTextAsync(string path, CancellationToken cancellationToken) =>
        Encoding.UTF8.GetString(await _transport.SendAsync(new ApiRequest(HttpMethod.Get, path, $"get {path}") { Accept = "*/*" }, cancellationToken));

    /// <summary>A token for a service account (TokenRequest).</summary>
    /// <param name="inNamespace">Of the service account.</param>
    /// <param name="serviceAccount">Its name.</param>
    /// <param name="audiences">Who shall accept it; empty for the API server.</param>
    /// <param name="lifetime">At least 10 minutes, as the server demands; it may give another.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public async Task<(string Token, DateTimeOffset Expires)> RequestTokenAsync(
        string inNamespace, string serviceAccount, IReadOnlyList<string> audiences, TimeSpan lifetime, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(audiences);
        var content = new JsonObject
        {
            ["apiVersion"] = "authentication.k8s.io/v1",
            ["kind"] = "TokenRequest",
            ["spec"] = new JsonObject
            {
                ["audiences"] = new JsonArray([.. audiences.Select(audience => (JsonNode)audience)]),
                ["expirationSeconds"] = (long)lifetime.TotalSeconds,
            },
        };
        JsonElement answer = Parse(
            await _transport.SendAsync(
                new ApiRequest(HttpMethod.Post, ApiResources.ServiceAccounts.Path(inNamespace, serviceAccount, "token"), $"request a token for {inNamespace}/{serviceAccount}")
                {
                    Body = Bytes(content),
                },
                cancellationToken),
            "token");
        return answer.TryGetProperty("status", out JsonElement status) && status.TryGetProperty("token", out JsonElement token) && token.GetString() is { Length: > 0 } text
            && status.TryGetProperty("expirationTimestamp", out JsonElement expires) && expires.TryGetDateTimeOffset(out DateTimeOffset end)
            ? (text, end)
            : throw new KubernetesException(KubernetesFailure.Malformed, "the answer to a TokenRequest holds no token");
    }

    /// <summary>Whether this client's identity may do something (SelfSubjectAccessReview).</summary>
    public async Task<bool> MayAsync(string verb, ApiResource resource, string? subresource, string? inNamespace, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(resource);
        var attributes = new JsonObject { ["verb"] = verb, ["group"] = resource.Group, ["resource"] = resource.Plural };
        if (subresource is not null)
            attributes["subresource"] = subresource;
        if (inNamespace is not null)
            attributes["namespace"] = inNamespace;
        ApiResource review = ApiResources.SelfSubjectAccessReviews;
        JsonElement answer = Parse(
            await _transport.SendAsync(
                new ApiRequest(HttpMethod.Post, review.Path(null), "review access")
                {
                    Body = Bytes(new JsonObject
                    {
                        ["apiVersion"] = review.ApiVersion, ["kind"] = review.Kind, ["spec"] = new JsonObject { ["resourceAttributes"] = attributes },
                    }),
                },
                cancellationToken),
            "review");
        return answer.TryGetProperty("status", out JsonElement status) && status.TryGetProperty("allowed", out JsonElement allowed) && allowed.ValueKind == JsonValueKind.True;
    }

    /// <inheritdoc/>
    public void Dispose() => _transport.Dispose();

    internal static string Query(params ReadOnlySpan<(string Name, string? Value)> parameters)
    {
        var text = new StringBuilder();
        foreach ((string name, string? value) in parameters)
        {
            if (!string.IsNullOrEmpty(value))
            {
                text.Append(text.Length == 0 ? '?' : '&').Append(name).Append('=').Append(Uri.EscapeDataString(value));
            }
        }

        return text.ToString();
    }

    private async Task<KubeList> ListOnceAsync(ApiResource resource, ResourceQuery query, CancellationToken cancellationToken)
    {
        List<KubeObject> items = [];
        string? next = null;
        while (true)
        {
            string path = resource.Path(query.Namespace) + Query(
                ("labelSelector", query.LabelSelector), ("fieldSelector", query.FieldSelector),
                ("limit", Options.PageSize.ToString(CultureInfo.InvariantCulture)), ("continue", next));
            JsonElement page = Parse(await _transport.SendAsync(new ApiRequest(HttpMethod.Get, path, $"list {resource}"), cancellationToken), $"list {resource}");
            if (!page.TryGetProperty("items", out JsonElement found) || found.ValueKind is not (JsonValueKind.Array or JsonValueKind.Null)
                || !page.TryGetProperty("metadata", out JsonElement metadata) || metadata.ValueKind != JsonValueKind.Object)
            {
                throw new KubernetesException(KubernetesFailure.Malformed, $"list {resource}: the answer is no list");
            }

            if (found.ValueKind == JsonValueKind.Array)
            {
                // Clones, so that one object that is kept does not keep its whole page.
                items.AddRange(found.EnumerateArray().Select(item => KubeObject.Of(item.Clone())));
            }

            next = metadata.TryGetProperty("continue", out JsonElement token) ? token.GetString() : null;
            if (string.IsNullOrEmpty(next))
            {
                return new KubeList(items, metadata.TryGetProperty("resourceVersion", out JsonElement version) ? version.GetString() ?? "" : "");
            }
        }
    }

    private async Task<KubeObject> SendAsync(ApiRequest request, CancellationToken cancellationToken) =>
        KubeObject.Of(Parse(await _transport.SendAsync(request, cancellationToken), request.What));

    private static JsonElement Parse(byte[] content, string what)
    {
        try
        {
            var reader = new Utf8JsonReader(content, new JsonReaderOptions { MaxDepth = 128 });
            return JsonElement.ParseValue(ref reader);
        }
        catch (JsonException exception)
        {
            throw new KubernetesException(KubernetesFailure.Malformed, $"{what}: the answer is not JSON", exception);
        }
    }

    private static ReadOnlyMemory<byte> Bytes(JsonNode? content)
    {
        ArgumentNullException.ThrowIfNull(content);
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            content.WriteTo(writer);
        }

        return stream.ToArray();
    }

    private static string What(ApiResource resource, string name, string? subresource) => subresource is null ? $"{resource} {name}" : $"{resource}/{subresource} {name}";
}
