using System.Text.Json;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Client;

/// <summary>
/// The objects of a control plane, in Kubernetes conventions: in-process over our resource server, or HTTP to a kube-apiserver.
/// An instance acts for one principal; what the principal may not see answers <see cref="ResourceErrorReason.NotFound"/>.
/// </summary>
/// <remarks>Every method throws <see cref="ResourceException"/> for refusals and nothing else that a caller is expected to handle.</remarks>
public interface IResourceClient
{
    /// <summary>Creates an object after defaulting and validation.</summary>
    /// <exception cref="ResourceException"><c>AlreadyExists</c>, <c>Invalid</c>, <c>Forbidden</c>.</exception>
    Task<T> CreateAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource;

    /// <summary>The object, or null.</summary>
    Task<T?> TryGetAsync<T>(NamespacedName id, CancellationToken cancellationToken)
        where T : Resource;

    /// <summary>The object.</summary>
    /// <exception cref="ResourceException"><c>NotFound</c>.</exception>
    Task<T> GetAsync<T>(NamespacedName id, CancellationToken cancellationToken)
        where T : Resource;

    /// <summary>A consistent list, with the version to watch from.</summary>
    Task<ResourceList<T>> ListAsync<T>(ResourceQuery query, CancellationToken cancellationToken)
        where T : Resource;

    /// <summary>Changes after <paramref name="fromVersion"/>, in commit order, each exactly once, until cancelled.</summary>
    /// <exception cref="ResourceException"><c>Gone</c>: the version is older than the kept history; list again.</exception>
    IAsyncEnumerable<WatchEvent<T>> WatchAsync<T>(ResourceQuery query, string fromVersion, CancellationToken cancellationToken)
        where T : Resource;

    /// <summary>Replaces spec and metadata; status is left as it is.</summary>
    /// <exception cref="ResourceException"><c>Conflict</c> when <c>metadata.resourceVersion</c> is given and not current.</exception>
    Task<T> UpdateAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource;

    /// <summary>Replaces status; spec and metadata are left as they are.</summary>
    /// <exception cref="ResourceException"><c>Conflict</c> when <c>metadata.resourceVersion</c> is given and not current.</exception>
    Task<T> UpdateStatusAsync<T>(T resource, CancellationToken cancellationToken)
        where T : Resource;

    /// <summary>JSON merge patch (RFC 7396) of the object, or of its status when <paramref name="subresource"/> is <c>status</c>.</summary>
    Task<T> MergePatchAsync<T>(NamespacedName id, JsonElement patch, string? subresource, CancellationToken cancellationToken)
        where T : Resource;

    /// <summary>Deletes, or marks for deletion while finalizers remain.</summary>
    /// <param name="id">What to delete.</param>
    /// <param name="resourceVersion">Only this version, when not null.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    Task DeleteAsync<T>(NamespacedName id, string? resourceVersion, CancellationToken cancellationToken)
        where T : Resource;
}

/// <summary>What to list or watch.</summary>
public sealed record ResourceQuery
{
    /// <summary>One namespace, or null for all that the principal may see.</summary>
    public string? Namespace { get; init; }

    /// <summary>Label selector in Kubernetes text form, such as <c>app=x,tier in (a,b),!old</c>.</summary>
    public string? LabelSelector { get; init; }

    /// <summary>Field selector: <c>metadata.name</c>, <c>metadata.namespace</c> and each kind's own fields, with <c>=</c>, <c>==</c> and <c>!=</c>.</summary>
    public string? FieldSelector { get; init; }
}

/// <summary>A list and the version it was read at.</summary>
public sealed record ResourceList<T>(IReadOnlyList<T> Items, string ResourceVersion);

/// <summary>One change.</summary>
public sealed record WatchEvent<T>(WatchEventType Type, T Resource);

/// <summary>Kinds of change, with the names of the wire format in capitals there.</summary>
public enum WatchEventType
{
    Added,
    Modified,
    Deleted,

    /// <summary>Only <c>metadata.resourceVersion</c> is meaningful: everything up to it was delivered.</summary>
    Bookmark,
}
