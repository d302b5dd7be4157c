using System.Runtime.CompilerServices;
using System.Text.Json;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;

namespace Rynxs.ResourceServer.Storage;

/// <summary>The typed face of a principal's requests.</summary>
internal sealed class StoreClient(StoreRequests requests) : IResourceClient
{
    public async Task<T> CreateAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource => (T)await requests.CreateAsync(ResourceTypes.Of<T>(), resource, cancellationToken);

    public async Task<T?> TryGetAsync<T>(NamespacedName id, CancellationToken cancellationToken)
        where T : Resource => (T?)await requests.TryGetAsync(ResourceTypes.Of<T>(), id, cancellationToken);

    public async Task<T> GetAsync<T>(NamespacedName id, CancellationToken cancellationToken)
        where T : Resource => (T)await requests.GetAsync(ResourceTypes.Of<T>(), id, cancellationToken);

    public async Task<ResourceList<T>> ListAsync<T>(ResourceQuery query, CancellationToken cancellationToken)
        where T : Resource
    {
        ResourceList<Resource> list = await requests.ListAsync(ResourceTypes.Of<T>(), query, cancellationToken);
        return new ResourceList<T>([.. list.Items.Cast<T>()], list.ResourceVersion);
    }

    public async IAsyncEnumerable<WatchEvent<T>> WatchAsync<T>(
        ResourceQuery query, string fromVersion, [EnumeratorCancellation] CancellationToken cancellationToken)
        where T : Resource
    {
        await foreach (WatchEvent<Resource> change in requests.WatchAsync(ResourceTypes.Of<T>(), query, fromVersion, cancellationToken))
            yield return new WatchEvent<T>(change.Type, (T)change.Resource);
    }

    public async Task<T> UpdateAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource => (T)await requests.UpdateAsync(ResourceTypes.Of<T>(), resource, cancellationToken);

    public async Task<T> UpdateStatusAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource => (T)await requests.UpdateStatusAsync(ResourceTypes.Of<T>(), resource, cancellationToken);

    public async Task<T> MergePatchAsync<T>(NamespacedName id, JsonElement patch, string? subresource, CancellationToken cancellationToken)
        where T : Resource =>
        (T)await requests.MergePatchAsync(ResourceTypes.Of<T>(), id, patch, subresource, ignoreUnknown: false, cancellationToken);

    public async Task DeleteAsync<T>(NamespacedName id, string? resourceVersion, CancellationToken cancellationToken)
        where T : Resource => await requests.DeleteAsync(ResourceTypes.Of<T>(), id, resourceVersion, uid: null, cancellationToken);
}
