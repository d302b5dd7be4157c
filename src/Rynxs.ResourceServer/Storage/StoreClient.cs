using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Listing;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Watching;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.ResourceServer.Storage;

/// <summary>The typed face of a principal's requests: the same pipeline as HTTP, without the text in between.</summary>
internal sealed class StoreClient(ResourceStore store, Principal principal) : IResourceClient
{
    private const string Manager = "rynxs";

    public Task<T> CreateAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource => TypedAsync<T>(async () =>
        {
            ObjectRequest request = Request<T>(resource.Id);
            RequestAccess.Authorise(request, ResourceVerb.Create, "create");
            return (await store.Pipeline.CreateAsync(request, Document(resource), [], cancellationToken)).Body;
        });

    public async Task<T?> TryGetAsync<T>(NamespacedName id, CancellationToken cancellationToken)
        where T : Resource
    {
        ObjectRequest request = Request<T>(id);
        if (RequestAccess.Decide(request, ResourceVerb.Get) != Access.Allowed)
            return null;
        StoredDocument? found = await store.Documents.FindAsync(new DocumentKey(request.Kind.Key, id.Namespace, id.Name), cancellationToken);
        return found is null ? null : ResourceJson.Deserialize<T>(found.Body);
    }

    public async Task<T> GetAsync<T>(NamespacedName id, CancellationToken cancellationToken)
        where T : Resource => await TryGetAsync<T>(id, cancellationToken) ?? throw ResourceErrors.NotFound(ResourceTypes.Of<T>(), id.Name);

    public async Task<ResourceList<T>> ListAsync<T>(ResourceQuery query, CancellationToken cancellationToken)
        where T : Resource
    {
        try
        {
            ObjectRequest request = Request<T>(new NamespacedName(query.Namespace ?? "", ""));
            RequestAccess.AuthoriseMany(request, ResourceVerb.List, "list", query.Namespace is null && request.Kind.Kind.Namespaced);
            ListReader reader = new(store.Documents, request.Kind, Select(request, query), new ListOptions());
            List<T> items = [];
            while (await reader.NextAsync(cancellationToken) is { } piece)
                items.AddRange(piece.Select(item => ResourceJson.Deserialize<T>(item.Body)));
            return new ResourceList<T>(items, ResourceStore.Text(reader.ListVersion));
        }
        catch (ApiException e)
        {
            throw ApiErrors.ToTyped(e.Status);
        }
    }

    public async IAsyncEnumerable<WatchEvent<T>> WatchAsync<T>(
        ResourceQuery query, string fromVersion, [EnumeratorCancellation] CancellationToken cancellationToken)
        where T : Resource
    {
        using ObjectWatch watch = Watch<T>(query, fromVersion);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, store.Closing);
        while (true)
        {
            IReadOnlyList<WatchedChange> changes;
            try
            {
                changes = await watch.NextAsync(store.Options.BookmarkInterval, either.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new ResourceException(ResourceErrorReason.StoreUnavailable, "the store is closing");
            }

            foreach (WatchedChange change in changes)
                yield return new WatchEvent<T>(change.Type, ResourceJson.Deserialize<T>(change.Body));
            if (changes.Count == 0)
                yield return new WatchEvent<T>(WatchEventType.Bookmark, (T)Bookmark(ResourceTypes.Of<T>(), watch.Cursor));
        }
    }

    public Task<T> UpdateAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource => ReplaceAsync(resource, subresource: null, cancellationToken);

    public Task<T> UpdateStatusAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource => ReplaceAsync(resource, "status", cancellationToken);

    public Task<T> MergePatchAsync<T>(NamespacedName id, JsonElement patch, string? subresource, CancellationToken cancellationToken)
        where T : Resource => TypedAsync<T>(async () =>
        {
            if (subresource is not (null or "status"))
                throw ApiErrors.BadRequest("the only subresource is status");
            ObjectRequest request = Request<T>(id) with { Subresource = subresource };
            RequestAccess.Authorise(request, ResourceVerb.Patch, "patch");
            if (patch.ValueKind != JsonValueKind.Object)
                throw ApiErrors.BadRequest("a merge patch is a JSON object");
            JsonObject document = (JsonObject)(JsonNode.Parse(patch.GetRawText()) ?? throw ApiErrors.BadRequest("a merge patch is a JSON object"));
            return (await store.Pipeline.PatchAsync(request, new PatchDocument.Merge(document), [], cancellationToken)).Body;
        });

    public Task DeleteAsync<T>(NamespacedName id, string? resourceVersion, CancellationToken cancellationToken)
        where T : Resource => TypedAsync<T>(async () =>
        {
            ObjectRequest request = Request<T>(id);
            RequestAccess.Authorise(request, ResourceVerb.Delete, "delete");
            return (await store.Pipeline.DeleteAsync(request, new DeleteOptions { ResourceVersion = resourceVersion }, cancellationToken)).Body;
        });

    private Task<T> ReplaceAsync<T>(T resource, string? subresource, CancellationToken cancellationToken)
        where T : Resource => TypedAsync<T>(async () =>
        {
            ObjectRequest request = Request<T>(resource.Id) with { Subresource = subresource, Unconditional = true };
            RequestAccess.Authorise(request, ResourceVerb.Update, "update");
            JsonObject given = Document(resource);
            // The record knows a part of metadata; what it does not know stays as it is.
            return (await store.Pipeline.ChangeAsync(request, (live, version) => Overlay(request, given, live, version), cancellationToken)).Body;
        });

    /// <summary>The live document with everything that a typed object can say.</summary>
    private static JsonObject Overlay(ObjectRequest request, JsonObject given, JsonObject live, long version)
    {
        JsonObject metadata = ObjectPipeline.Metadata(live);
        JsonObject said = ObjectPipeline.Metadata(given);
        string wanted = ObjectPipeline.Text(said, "resourceVersion");
        metadata["resourceVersion"] = wanted.Length > 0 ? wanted : ResourceStore.Text(version);
        if (ObjectPipeline.Text(said, "uid") is { Length: > 0 } uid)
            metadata["uid"] = uid;
        if (request.Subresource is null)
        {
            foreach (string field in (ReadOnlySpan<string>)["labels", "annotations", "finalizers"])
            {
                if (said[field] is { } value and not (JsonObject { Count: 0 } or JsonArray { Count: 0 }))
                    metadata[field] = value.DeepClone();
                else
                    metadata.Remove(field);
            }
        }

        foreach (string name in given.Select(member => member.Key).Concat(live.Select(member => member.Key)).Distinct().ToArray())
        {
            if (name is "apiVersion" or "kind" or "metadata")
                continue;
            if (given[name] is { } value)
                live[name] = value.DeepClone();
            else
                live.Remove(name);
        }

        return live;
    }

    private ObjectWatch Watch<T>(ResourceQuery query, string fromVersion)
        where T : Resource
    {
        try
        {
            ObjectRequest request = Request<T>(new NamespacedName(query.Namespace ?? "", ""));
            RequestAccess.AuthoriseMany(request, ResourceVerb.Watch, "watch", query.Namespace is null && request.Kind.Kind.Namespaced);
            if (!long.TryParse(fromVersion, NumberStyles.None, CultureInfo.InvariantCulture, out long from))
                throw ApiErrors.BadRequest($"resourceVersion: Invalid value: \"{(fromVersion.Length > 32 ? fromVersion[..32] : fromVersion)}\": a decimal number is due");
            return new ObjectWatch(store.Documents, request.Kind, Select(request, query), from, store.Options.TimeProvider);
        }
        catch (ApiException e)
        {
            throw ApiErrors.ToTyped(e.Status);
        }
    }

    private ObjectRequest Request<T>(NamespacedName id)
        where T : Resource
    {
        ResourceType type = ResourceTypes.Of<T>();
        KindSet kinds = store.Kinds.Current;
        return new ObjectRequest
        {
            Principal = principal,
            Kinds = kinds,
            Kind = kinds.Find("universe.ai", "v1alpha1", type.Plural) ?? throw new System.Diagnostics.UnreachableException("our own kinds are always served"),
            Namespace = id.Namespace,
            Name = id.Name,
            FieldManager = Manager,
            FieldValidation = FieldValidation.Strict,
        };
    }

    private static ObjectSelection Select(ObjectRequest request, ResourceQuery query) =>
        new(request.Principal, request.Kind, request.Kind.Kind.Namespaced ? query.Namespace : null, query.LabelSelector, query.FieldSelector);

    /// <summary>Absent instead of empty, as a client would send it: empty lists of metadata are nobody's.</summary>
    private static JsonObject Document(Resource resource)
    {
        JsonObject document = DocumentText.Parse(ResourceJson.Serialize(resource));
        JsonObject metadata = ObjectPipeline.Metadata(document);
        foreach (string field in (ReadOnlySpan<string>)["labels", "annotations", "finalizers"])
        {
            if (metadata[field] is JsonObject { Count: 0 } or JsonArray { Count: 0 })
                metadata.Remove(field);
        }

        if (ObjectPipeline.Text(metadata, "namespace").Length == 0)
            metadata.Remove("namespace");
        return document;
    }

    private static async Task<T> TypedAsync<T>(Func<Task<byte[]>> act)
        where T : Resource
    {
        try
        {
            return ResourceJson.Deserialize<T>(await act());
        }
        catch (ApiException e)
        {
            throw ApiErrors.ToTyped(e.Status);
        }
    }

    private static Resource Bookmark(ResourceType type, long cursor) =>
        EmptyResource.Of(type) with { Metadata = new ObjectMeta { Name = "", ResourceVersion = ResourceStore.Text(cursor) } };
}
