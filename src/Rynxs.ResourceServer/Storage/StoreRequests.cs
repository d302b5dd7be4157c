using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Selectors;

namespace Rynxs.ResourceServer.Storage;

/// <summary>The requests of one principal: authorised here and nowhere else, then carried out. The in-process client and the REST API both call it.</summary>
internal sealed class StoreRequests(ResourceStore store, Principal principal)
{
    private readonly ObjectRules _rules = new(principal, store.Options.TimeProvider, store.Limits);

    public async Task<Resource> CreateAsync(ResourceType type, Resource given, CancellationToken cancellationToken)
    {
        Authorise(ResourceVerb.Create, "create", type, given.Id);
        return await store.MutateAsync(principal, "create", type, given.Id, current => _rules.Create(type, given, current), cancellationToken);
    }

    public async Task<Resource?> TryGetAsync(ResourceType type, NamespacedName id, CancellationToken cancellationToken) =>
        AccessRules.Decide(principal, ResourceVerb.Get, type, id.Namespace) == Access.Allowed
            ? await store.FindAsync(type, id, cancellationToken)
            : null;

    public async Task<Resource> GetAsync(ResourceType type, NamespacedName id, CancellationToken cancellationToken) =>
        await TryGetAsync(type, id, cancellationToken) ?? throw ResourceErrors.NotFound(type, id.Name);

    public async Task<ResourceList<Resource>> ListAsync(ResourceType type, ResourceQuery query, CancellationToken cancellationToken)
    {
        Selection selection = Select(ResourceVerb.List, "list", type, query);
        ResourceList<Resource> all = await store.ListAsync(type, query.Namespace, cancellationToken);
        return all with { Items = [.. all.Items.Where(selection.Matches)] };
    }

    public async IAsyncEnumerable<WatchEvent<Resource>> WatchAsync(
        ResourceType type, ResourceQuery query, string fromVersion, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Selection selection = Select(ResourceVerb.Watch, "watch", type, query);
        if (!long.TryParse(fromVersion, NumberStyles.None, CultureInfo.InvariantCulture, out long cursor))
            throw new ResourceException(ResourceErrorReason.BadRequest, $"resourceVersion: Invalid value: \"{(fromVersion.Length > 32 ? fromVersion[..32] : fromVersion)}\": a decimal number is due");

        while (true)
        {
            Task news = store.NextCommit;
            ChangePage page = await ReadAsync(type, cursor, cancellationToken);
            foreach (StoredChange change in page.Changes)
            {
                if (selection.Translate(change) is { } seen)
                    yield return new WatchEvent<Resource>(seen, change.Resource);
            }

            // After a page with changes there may be more; an empty one reaches the last commit, and NextCommit was taken before it was read.
            cursor = page.Through;
            if (page.Changes.Count > 0)
                continue;

            if (!await NewsAsync(news, cancellationToken))
                yield return new WatchEvent<Resource>(WatchEventType.Bookmark, Bookmark(type, cursor));
        }
    }

    public async Task<Resource> UpdateAsync(ResourceType type, Resource given, CancellationToken cancellationToken)
    {
        Authorise(ResourceVerb.Update, "update", type, given.Id);
        return await store.MutateAsync(principal, "update", type, given.Id, current => _rules.Update(type, given, current), cancellationToken);
    }

    public async Task<Resource> UpdateStatusAsync(ResourceType type, Resource given, CancellationToken cancellationToken)
    {
        Authorise(ResourceVerb.UpdateStatus, "update", type, given.Id);
        return await store.MutateAsync(principal, "update-status", type, given.Id, current => _rules.UpdateStatus(type, given, current), cancellationToken);
    }

    public async Task<Resource> MergePatchAsync(
        ResourceType type, NamespacedName id, JsonElement patch, string? subresource, bool ignoreUnknown, CancellationToken cancellationToken)
    {
        bool status = subresource == "status";
        if (!status && subresource is not null)
            throw new ResourceException(ResourceErrorReason.BadRequest, "the only subresource is status");

        Authorise(status ? ResourceVerb.UpdateStatus : ResourceVerb.Patch, "patch", type, id);
        return await store.MutateAsync(
            principal, status ? "update-status" : "patch", type, id, current => _rules.Patch(type, id, patch, status, ignoreUnknown, current), cancellationToken);
    }

    /// <summary>The object as it was last: gone, or marked while finalizers remain.</summary>
    public async Task<Resource> DeleteAsync(ResourceType type, NamespacedName id, string? resourceVersion, string? uid, CancellationToken cancellationToken)
    {
        Authorise(ResourceVerb.Delete, "delete", type, id);
        return await store.MutateAsync(principal, "delete", type, id, current => _rules.Delete(type, id, resourceVersion, uid, current), cancellationToken);
    }

    private void Authorise(ResourceVerb verb, string name, ResourceType type, NamespacedName id)
    {
        switch (AccessRules.Decide(principal, verb, type, id.Namespace))
        {
            case Access.Allowed:
                return;
            case Access.Invisible:
                throw ResourceErrors.NotFound(type, id.Name);
            default:
                throw ResourceErrors.Forbidden(type, id.Name, principal.Name, name, id.Namespace);
        }
    }

    private Selection Select(ResourceVerb verb, string name, ResourceType type, ResourceQuery query)
    {
        Access access = query.Namespace is { } one ? AccessRules.Decide(principal, verb, type, one) : AccessRules.DecideEverywhere(principal, type);
        if (access == Access.Invisible)
            throw ResourceErrors.NotFound(type, "");
        if (access == Access.Forbidden)
            throw ResourceErrors.Forbidden(type, "", principal.Name, name, query.Namespace ?? "");
        return new Selection(principal, type, query.Namespace, LabelSelector.Parse(query.LabelSelector), FieldSelector.Parse(query.FieldSelector, type));
    }

    private async Task<ChangePage> ReadAsync(ResourceType type, long cursor, CancellationToken cancellationToken)
    {
        if (store.Closing.IsCancellationRequested)
            throw new ResourceException(ResourceErrorReason.StoreUnavailable, "the store is closing");
        return await store.ChangesAsync(type, cursor, cancellationToken);
    }

    /// <summary>True at the next commit, false when the time for a bookmark has come.</summary>
    private async Task<bool> NewsAsync(Task news, CancellationToken cancellationToken)
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, store.Closing);
        try
        {
            await news.WaitAsync(store.Options.BookmarkInterval, store.Options.TimeProvider, either.Token);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new ResourceException(ResourceErrorReason.StoreUnavailable, "the store is closing");
        }
    }

    private static Resource Bookmark(ResourceType type, long cursor) =>
        EmptyResource.Of(type) with { Metadata = new ObjectMeta { Name = "", ResourceVersion = ResourceStore.Text(cursor) } };

    private sealed record Selection(Principal Principal, ResourceType Type, string? Namespace, LabelSelector Labels, FieldSelector Fields)
    {
        public bool Matches(Resource resource) =>
            (Namespace is null || resource.Metadata.Namespace == Namespace)
            && (!Type.Namespaced || Principal.CanSee(resource.Metadata.Namespace))
            && Labels.Matches(resource.Metadata.Labels)
            && Fields.Matches(resource);

        /// <summary>The change as a watcher with this selection sees it, or null: leaving the selection is a deletion, as in Kubernetes.</summary>
        public WatchEventType? Translate(StoredChange change)
        {
            bool before = change.Previous is not null && Matches(change.Previous);
            if (change.Type == WatchEventType.Deleted)
                return before ? WatchEventType.Deleted : null;
            return (before, Matches(change.Resource)) switch
            {
                (false, true) => WatchEventType.Added,
                (true, true) => WatchEventType.Modified,
                (true, false) => WatchEventType.Deleted,
                (false, false) => null,
            };
        }
    }
}
