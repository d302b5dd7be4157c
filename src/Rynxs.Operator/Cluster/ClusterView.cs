using Microsoft.Extensions.Logging;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Watching;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Cluster;

/// <summary>Agents and their objects as the cluster has them, kept current by watches: leaders and followers alike, so that a new leader begins warm.</summary>
internal sealed class ClusterView
{
    private readonly Dictionary<ApiResource, Informer> _children;

    public ClusterView(KubernetesApi api, string? inNamespace, ILogger logger)
    {
        Agents = new Informer(api, ApiResource.Of(ResourceTypes.Agent), new ResourceQuery { Namespace = inNamespace }, logger);
        Agents.AddHandler(change => Changed?.Invoke(change.Id));
        _children = AgentObjects.Kinds.ToDictionary(
            kind => kind, kind => new Informer(api, kind, new ResourceQuery { Namespace = inNamespace, LabelSelector = AgentNames.Selector }, logger));
        foreach (Informer informer in _children.Values)
        {
            informer.AddHandler(change =>
            {
                foreach (KubeObject item in new[] { change.Before, change.After }.OfType<KubeObject>())
                {
                    if (AgentNames.OwnerOf(item) is { } owner)
                        Changed?.Invoke(owner.Agent);
                }
            });
        }
    }

    /// <summary>Something of an agent has changed. Called by the watch that saw it: must be quick.</summary>
    public Action<NamespacedName>? Changed { get; set; }

    public Informer Agents { get; }

    /// <summary>Completes when everything was listed once.</summary>
    public Task Synced => Task.WhenAll([Agents.Synced, .. _children.Values.Select(informer => informer.Synced)]);

    /// <summary>Watches until cancelled, or until one of the watches fails for good: then with its exception.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task[] watches = [Agents.RunAsync(stop.Token), .. _children.Values.Select(informer => informer.RunAsync(stop.Token))];
        Task first = await Task.WhenAny(watches);
        await stop.CancelAsync();
        await Task.WhenAll(watches).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        await first;
    }

    /// <summary>An object of an agent, perhaps a moment behind the server; null when none is known.</summary>
    public KubeObject? Find(DesiredObject desired) => _children[desired.Resource].Find(new NamespacedName(desired.Namespace, desired.Name));

    /// <summary>An object of a kind.</summary>
    public KubeObject? Find(ApiResource resource, NamespacedName id) => _children[resource].Find(id);
}
