using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;

namespace Rynxs.Kubernetes.Watching;

/// <summary>A change that an informer has taken into its store.</summary>
/// <param name="Before">Null when the object is new to the store.</param>
/// <param name="After">Null when it is gone.</param>
public sealed record ObjectChange(KubeObject? Before, KubeObject? After)
{
    /// <summary>Which object.</summary>
    public NamespacedName Id => (After ?? Before)?.Id ?? throw new InvalidOperationException("A change has an object before or after it.");
}

/// <summary>
/// All objects of a kind in memory, kept current by one list and one watch, shared by everybody in the process. Handlers are called in order, after the
/// store has the change; they must be quick and must not throw (put a key into a queue).
/// </summary>
/// <remarks>
/// Objects that vanished while nobody watched are found by the list that follows: their handlers get a deletion. Indexes and handlers are set before
/// <see cref="RunAsync"/>.
/// </remarks>
public sealed partial class Informer(KubernetesApi api, ApiResource resource, ResourceQuery query, ILogger logger)
{
    private readonly ConcurrentDictionary<NamespacedName, KubeObject> _store = new();
    private readonly Dictionary<string, Func<KubeObject, IEnumerable<string>>> _indexers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Dictionary<string, ImmutableHashSet<NamespacedName>>> _indexes = new(StringComparer.Ordinal);
    private readonly Lock _indexLock = new();
    private readonly List<Action<ObjectChange>> _handlers = [];
    private readonly TaskCompletionSource _synced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _running;

    /// <summary>Kind.</summary>
    public ApiResource Resource => resource;

    /// <summary>Completes when the first list is in the store.</summary>
    public Task Synced => _synced.Task;

    /// <summary>Lists that were read, the first included: more than one means that a watch history was lost.</summary>
    public int Lists { get; private set; }

    /// <summary>Objects in the store.</summary>
    public IReadOnlyCollection<KubeObject> Objects => [.. _store.Values];

    /// <summary>An object; null when the store has none. It may be a moment behind the server.</summary>
    public KubeObject? Find(NamespacedName id) => _store.GetValueOrDefault(id);

    /// <summary>Adds an index: each object stands under the keys that the function gives.</summary>
    public void AddIndex(string name, Func<KubeObject, IEnumerable<string>> keys)
    {
        ThrowIfRunning();
        _indexers.Add(name, keys);
        _indexes.Add(name, new Dictionary<string, ImmutableHashSet<NamespacedName>>(StringComparer.Ordinal));
    }

    /// <summary>Adds a handler.</summary>
    public void AddHandler(Action<ObjectChange> handler)
    {
        ThrowIfRunning();
        _handlers.Add(handler);
    }

    /// <summary>The objects under a key of an index.</summary>
    public IReadOnlyList<KubeObject> Indexed(string index, string key)
    {
        lock (_indexLock)
            return _indexes[index].TryGetValue(key, out ImmutableHashSet<NamespacedName>? ids) ? [.. ids.Select(Find).OfType<KubeObject>()] : [];
    }

    /// <summary>Lists and watches until cancelled. What a repetition does not cure, such as a missing right, ends it with the exception.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        ThrowIfRunning();
        _running = true;
        int failures = 0;
        while (true)
        {
            try
            {
                KubeList list = await api.ListAsync(resource, query, cancellationToken);
                Replace(list);
                Lists++;
                failures = 0;
                _synced.TrySetResult();
                await foreach (KubeEvent change in api.WatchAsync(resource, query, list.ResourceVersion, cancellationToken))
                {
                    Take(change);
                }
            }
            catch (KubernetesException exception) when (exception.Failure == KubernetesFailure.Gone)
            {
                LogRelist(resource);
            }
            catch (KubernetesException exception) when (exception.IsTransient)
            {
                TimeSpan wait = Backoff.Watches.After(++failures, api.Options.Random);
                LogUnavailable(resource, exception.Failure, wait);
                await Task.Delay(wait, api.Options.TimeProvider, cancellationToken);
            }
        }
    }

    private void Replace(KubeList list)
    {
        HashSet<NamespacedName> present = [.. list.Items.Select(item => item.Id)];
        foreach (KubeObject item in list.Items)
        {
            Put(item);
        }

        foreach (NamespacedName gone in _store.Keys.Where(id => !present.Contains(id)).ToArray())
        {
            Remove(gone, last: null);
        }
    }

    private void Take(KubeEvent change)
    {
        switch (change.Type)
        {
            case WatchEventType.Added or WatchEventType.Modified:
                Put(change.Item);
                break;
            case WatchEventType.Deleted:
                Remove(change.Item.Id, change.Item);
                break;
            case WatchEventType.Bookmark:
                break; // its version is kept by the watch
        }
    }

    private void Put(KubeObject after)
    {
        KubeObject? before = Find(after.Id);
        if (before?.ResourceVersion == after.ResourceVersion && before.Uid == after.Uid)
        {
            return; // listed again, unchanged
        }

        _store[after.Id] = after;
        Index(after.Id, before, after);
        Tell(new ObjectChange(before, after));
    }

    private void Remove(NamespacedName id, KubeObject? last)
    {
        if (_store.TryRemove(id, out KubeObject? before))
        {
            Index(id, before, after: null);
            Tell(new ObjectChange(last ?? before, After: null));
        }
    }

    private void Index(NamespacedName id, KubeObject? before, KubeObject? after)
    {
        lock (_indexLock)
        {
            foreach ((string name, Func<KubeObject, IEnumerable<string>> keys) in _indexers)
            {
                Dictionary<string, ImmutableHashSet<NamespacedName>> index = _indexes[name];
                foreach (string key in before is null ? [] : keys(before))
                {
                    if (index.TryGetValue(key, out ImmutableHashSet<NamespacedName>? ids))
                    {
                        ids = ids.Remove(id);
                        if (ids.IsEmpty)
                            index.Remove(key);
                        else
                            index[key] = ids;
                    }
                }

                foreach (string key in after is null ? [] : keys(after))
                {
                    index[key] = index.GetValueOrDefault(key, []).Add(id);
                }
            }
        }
    }

    private void Tell(ObjectChange change)
    {
        foreach (Action<ObjectChange> handler in _handlers)
        {
            handler(change);
        }
    }

    private void ThrowIfRunning()
    {
        if (_running)
            throw new InvalidOperationException("The informer runs already.");
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The watch history of {Resource} no longer reaches back: listing again")]
    private partial void LogRelist(ApiResource resource);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Resource} cannot be listed now ({Failure}): again in {Wait}")]
    private partial void LogUnavailable(ApiResource resource, KubernetesFailure failure, TimeSpan wait);
}
