using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Tests.Kit;
using Rynxs.Kubernetes.Watching;
using Rynxs.ResourceServer.Faults;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Kubernetes.Tests.Watching;

public sealed class InformerTests(OurCluster cluster)
{
    [Fact]
    public async Task The_store_follows_the_server_and_its_indexes_follow_the_store()
    {
        string space = await cluster.NamespaceAsync();
        await using var running = await Running.StartAsync(cluster, space);

        await running.Api.CreateAsync(ApiResources.ConfigMaps, space, Labelled(space, "a", "red"), Ct);
        await running.Api.CreateAsync(ApiResources.ConfigMaps, space, Labelled(space, "b", "red"), Ct);
        await Eventually.TrueAsync(() => running.Informer.Indexed("colour", "red").Count == 2, "both are red");
        await running.Api.PatchAsync(
            ApiResources.ConfigMaps, space, "a", PatchKind.Merge, new JsonObject { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { ["colour"] = "blue" } } }, null, false, Ct);
        await Eventually.TrueAsync(() => running.Informer.Indexed("colour", "blue").Count == 1, "one is blue");
        running.Informer.Indexed("colour", "red").Select(item => item.Name).ShouldBe(["b"]);
        await running.Api.DeleteAsync(ApiResources.ConfigMaps, space, "b", new DeleteTerms(), Ct);
        await Eventually.TrueAsync(() => running.Informer.Objects.Count == 1, "one is left");

        running.Informer.Indexed("colour", "red").ShouldBeEmpty();
        running.Informer.Find(new NamespacedName(space, "a")).ShouldNotBeNull().Label("colour").ShouldBe("blue");
    }

    [Fact]
    public async Task What_was_deleted_while_the_history_was_lost_is_told_after_the_new_list()
    {
        string space = await cluster.NamespaceAsync();
        using (KubernetesApi api = cluster.Client())
        {
            await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "gone"), Ct);
            await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "kept"), Ct);
        }

        // The watch is refused as expired, and before the list that follows one object goes.
        using FaultRule expired = cluster.Injector.Add(new FaultMatch { Namespace = space, Verb = "watch" }, new Fault.ExpireWatch(), times: 1);
        int lists = 0;
        await using var running = await Running.StartAsync(cluster, space, beforeList: async api =>
        {
            if (++lists == 2)
                await api.DeleteAsync(ApiResources.ConfigMaps, space, "gone", new DeleteTerms(), Ct);
        });
        await Eventually.TrueAsync(() => running.Informer.Lists == 2, "a second list");

        running.Informer.Objects.Select(item => item.Name).ShouldBe(["kept"]);
        running.Changes.Where(change => change.After is null).Select(change => change.Id.Name).ShouldBe(["gone"]);
        running.Changes.Count(change => change.Id.Name == "kept").ShouldBe(1, "listed again unchanged is no change");
    }

    [Fact]
    public async Task A_server_that_is_away_is_waited_for()
    {
        string space = await cluster.NamespaceAsync();
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space, Verb = "list" }, new Fault.Refuse(500), times: 6);
        await using var running = await Running.StartAsync(cluster, space, options => options with { MaxRetries = 1 });

        rule.Hits.ShouldBe(6);
        running.Informer.Lists.ShouldBe(1);
    }

    [Fact]
    public async Task A_missing_right_ends_it()
    {
        string space = await cluster.NamespaceAsync();
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space, Verb = "list" }, new Fault.Refuse(403));
        using KubernetesApi api = cluster.Client();
        var informer = new Informer(api, ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, NullLogger.Instance);

        (await Should.ThrowAsync<KubernetesException>(() => informer.RunAsync(Ct))).Failure.ShouldBe(KubernetesFailure.Forbidden);
    }

    private static JsonObject Labelled(string space, string name, string colour)
    {
        JsonObject content = ConfigMap(space, name);
        content["metadata"]!["labels"] = new JsonObject { ["colour"] = colour };
        return content;
    }

    private sealed class Running : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private Task _task = Task.CompletedTask;

        private Running(KubernetesApi api, Informer informer) => (Api, Informer) = (api, informer);

        public KubernetesApi Api { get; }

        public Informer Informer { get; }

        public ConcurrentQueue<ObjectChange> Changes { get; } = [];

        public static async Task<Running> StartAsync(
            OurCluster cluster, string space, Func<KubernetesApiOptions, KubernetesApiOptions>? configure = null, Func<KubernetesApi, Task>? beforeList = null)
        {
            KubernetesApi plain = cluster.Client(configure);
            KubernetesApi api = beforeList is null ? plain : cluster.Client(options => options with { Wrap = inner => new BeforeList(inner, () => beforeList(plain)) });
            var informer = new Informer(api, ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, NullLogger.Instance);
            informer.AddIndex("colour", item => item.Label("colour") is { } colour ? [colour] : []);
            var running = new Running(api, informer);
            informer.AddHandler(running.Changes.Enqueue);
            running._task = informer.RunAsync(running._stop.Token);
            await informer.Synced.WaitAsync(TimeSpan.FromSeconds(30), Ct);
            return running;
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await Should.ThrowAsync<OperationCanceledException>(_task);
            Api.Dispose();
            _stop.Dispose();
        }
    }

    private sealed class BeforeList(HttpMessageHandler inner, Func<Task> then) : DelegatingHandler(inner)
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (request.RequestUri!.Query.Contains("limit=", StringComparison.Ordinal))
                await then();
            return await base.SendAsync(request, cancellationToken);
        }
    }
}
