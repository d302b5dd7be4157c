using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.Kubernetes;

/// <summary>Our kinds in a real cluster: <see cref="IResourceClient"/> over HTTP. It acts for whoever the connection's credential names.</summary>
public sealed class KubernetesResourceClient(KubernetesApi api) : IResourceClient
{
    /// <inheritdoc/>
    public async Task<T> CreateAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource
    {
        ArgumentNullException.ThrowIfNull(resource);
        return Read<T>(await GuardAsync(() => api.CreateAsync(Kind<T>(), resource.Metadata.Namespace, Write(resource), cancellationToken)));
    }

    /// <inheritdoc/>
    public async Task<T?> TryGetAsync<T>(NamespacedName id, CancellationToken cancellationToken)
        where T : Resource =>
        await GuardAsync(() => api.TryGetAsync(Kind<T>(), id.Namespace, id.Name, cancellationToken)) is { } found ? Read<T>(found) : null;

    /// <inheritdoc/>
    public async Task<T> GetAsync<T>(NamespacedName id, CancellationToken cancellationToken)
        where T : Resource =>
        await TryGetAsync<T>(id, cancellationToken) ?? throw ResourceErrors.NotFound(ResourceTypes.Of<T>(), id.Name);

    /// <inheritdoc/>
    public async Task<ResourceList<T>> ListAsync<T>(ResourceQuery query, CancellationToken cancellationToken)
        where T : Resource
    {
        KubeList list = await GuardAsync(() => api.ListAsync(Kind<T>(), query, cancellationToken));
        return new ResourceList<T>([.. list.Items.Select(Read<T>)], list.ResourceVersion);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<WatchEvent<T>> WatchAsync<T>(ResourceQuery query, string fromVersion, [EnumeratorCancellation] CancellationToken cancellationToken)
        where T : Resource
    {
        await using IAsyncEnumerator<KubeEvent> events = api.WatchAsync(Kind<T>(), query, fromVersion, cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (await GuardAsync(() => events.MoveNextAsync().AsTask()))
        {
            // A bookmark holds nothing but its version, which no kind with required fields can be read from: the watch below keeps it.
            if (events.Current.Type != WatchEventType.Bookmark)
            {
                yield return new WatchEvent<T>(events.Current.Type, Read<T>(events.Current.Item));
            }
        }
    }

    /// <inheritdoc/>
    public async Task<T> UpdateAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource
    {
        ArgumentNullException.ThrowIfNull(resource);
        return Read<T>(await GuardAsync(() => api.ReplaceAsync(
            Kind<T>(), resource.Metadata.Namespace, resource.Metadata.Name, Write(resource), subresource: null, cancellationToken)));
    }

    /// <inheritdoc/>
    public async Task<T> UpdateStatusAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource
    {
        ArgumentNullException.ThrowIfNull(resource);
        return Read<T>(await GuardAsync(() => api.ReplaceAsync(
            Kind<T>(), resource.Metadata.Namespace, resource.Metadata.Name, Write(resource), "status", cancellationToken)));
    }

    /// <inheritdoc/>
    public async Task<T> MergePatchAsync<T>(NamespacedName id, JsonElement patch, string? subresource, CancellationToken cancellationToken)
        where T : Resource
    {
        JsonNode node = JsonObject.Create(patch) ?? throw new ArgumentException("A merge patch is an object.", nameof(patch));
        return Read<T>(await GuardAsync(() => api.PatchAsync(
            Kind<T>(), id.Namespace, id.Name, PatchKind.Merge, node, subresource, force: false, cancellationToken)));
    }

    /// <inheritdoc/>
    public async Task DeleteAsync<T>(NamespacedName id, string? resourceVersion, CancellationToken cancellationToken)
        where T : Resource
    {
        bool deleted = await GuardAsync(() => api.DeleteAsync(
            Kind<T>(), id.Namespace, id.Name, new DeleteTerms { ResourceVersion = resourceVersion }, cancellationToken));
        if (!deleted)
        {
            throw ResourceErrors.NotFound(ResourceTypes.Of<T>(), id.Name);
        }
    }

    private static ApiResource Kind<T>()
        where T : Resource => ApiResource.Of(ResourceTypes.Of<T>());

    private static T Read<T>(KubeObject found)
        where T : Resource => ResourceJson.Deserialize<T>(found.Document);

    private static JsonObject Write(Resource resource) =>
        JsonNode.Parse(ResourceJson.Serialize(resource)) as JsonObject ?? throw new System.Diagnostics.UnreachableException("a resource is an object");

    private static async Task<T> GuardAsync<T>(Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (KubernetesException exception)
        {
            throw Refusal(exception);
        }
    }

    // The seam knows what a caller can act on. Whatever a later attempt may cure is "the store cannot be reached now".
    private static ResourceException Refusal(KubernetesException exception)
    {
        ResourceErrorReason reason = exception.Failure switch
        {
            KubernetesFailure.Forbidden or KubernetesFailure.Unauthorized or KubernetesFailure.Refused => ResourceErrorReason.Forbidden,
            KubernetesFailure.NotFound => ResourceErrorReason.NotFound,
            KubernetesFailure.AlreadyExists => ResourceErrorReason.AlreadyExists,
            KubernetesFailure.Conflict => ResourceErrorReason.Conflict,
            KubernetesFailure.Gone => ResourceErrorReason.Gone,
            KubernetesFailure.TooLarge => ResourceErrorReason.TooLarge,
            KubernetesFailure.Invalid => ResourceErrorReason.Invalid,
            KubernetesFailure.BadRequest or KubernetesFailure.MethodNotAllowed or KubernetesFailure.UnsupportedMediaType => ResourceErrorReason.BadRequest,
            _ => ResourceErrorReason.StoreUnavailable,
        };
        return new ResourceException(
            reason, exception.Message, [.. exception.Causes.Select(cause => new FieldError(cause.Field, cause.Reason, cause.Message))]);
    }
}
