using Rynxs.Kubernetes.Credentials;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Tests.Kit;
using Rynxs.ResourceServer.Faults;
using Rynxs.Resources.Client;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Kubernetes.Tests.Requests;

/// <summary>Servers that misbehave as real ones do.</summary>
public sealed class FaultTests(OurCluster cluster)
{
    [Fact]
    public async Task Requests_that_are_turned_away_are_repeated_and_each_is_carried_out_once()
    {
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space, Verb = "create" }, new Fault.Refuse(429), times: 3);

        await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a"), Ct);

        rule.Hits.ShouldBe(3);
        (await api.ListAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, Ct)).Items.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Requests_that_are_turned_away_for_ever_fail_after_the_retries()
    {
        using KubernetesApi api = cluster.Client(options => options with { MaxRetries = 1 });
        string space = await cluster.NamespaceAsync();
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space }, new Fault.Refuse(429));

        KubernetesException refused = await Should.ThrowAsync<KubernetesException>(() => api.TryGetAsync(ApiResources.ConfigMaps, space, "a", Ct));

        refused.Failure.ShouldBe(KubernetesFailure.TooManyRequests);
        rule.Hits.ShouldBe(2);
    }

    [Fact]
    public async Task A_write_without_an_answer_is_not_repeated_and_its_outcome_is_called_unknown()
    {
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space, Verb = "create" }, new Fault.DropAnswer());

        KubernetesException cut = await Should.ThrowAsync<KubernetesException>(() => api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a"), Ct));

        cut.IsOutcomeUnknown.ShouldBeTrue(cut.Failure.ToString());
        rule.Hits.ShouldBe(1);
        (await api.TryGetAsync(ApiResources.ConfigMaps, space, "a", Ct)).ShouldNotBeNull("it was carried out");
    }

    [Fact]
    public async Task A_read_without_an_answer_is_repeated()
    {
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a"), Ct);
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space, Verb = "get" }, new Fault.Refuse(503), times: 2);

        (await api.TryGetAsync(ApiResources.ConfigMaps, space, "a", Ct)).ShouldNotBeNull();

        rule.Hits.ShouldBe(2);
    }

    [Fact]
    public async Task An_answer_that_does_not_come_in_time_is_a_timeout()
    {
        using KubernetesApi api = cluster.Client(options => options with { RequestTimeout = TimeSpan.FromMilliseconds(300) });
        string space = await cluster.NamespaceAsync();
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space }, new Fault.Delay(TimeSpan.FromSeconds(20)));

        (await Should.ThrowAsync<KubernetesException>(() => api.TryGetAsync(ApiResources.ConfigMaps, space, "a", Ct))).Failure.ShouldBe(KubernetesFailure.Timeout);
    }

    [Fact]
    public async Task A_watch_that_is_cut_again_and_again_loses_nothing_and_repeats_nothing()
    {
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        KubeList list = await api.ListAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, Ct);
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space, Verb = "watch" }, new Fault.CutWatch(AfterEvents: 2), times: 4);
        for (int i = 0; i < 9; i++)
        {
            await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, $"c{i}"), Ct);
        }

        List<string> seen = [];
        await foreach (KubeEvent change in api.WatchAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, list.ResourceVersion, Ct))
        {
            if (change.Type == WatchEventType.Added)
                seen.Add(change.Item.Name);
            if (seen.Count == 9)
                break;
        }

        seen.ShouldBe(Enumerable.Range(0, 9).Select(i => $"c{i}"));
        rule.Hits.ShouldBe(4);
    }

    [Fact]
    public async Task A_watch_whose_version_expired_says_so()
    {
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        KubeList list = await api.ListAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, Ct);
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space, Verb = "watch" }, new Fault.ExpireWatch());

        (await Should.ThrowAsync<KubernetesException>(async () =>
        {
            await foreach (KubeEvent _ in api.WatchAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, list.ResourceVersion, Ct))
            {
            }
        })).Failure.ShouldBe(KubernetesFailure.Gone);
    }

    [Fact]
    public async Task Requests_go_over_http_2()
    {
        using KubernetesApi api = cluster.Client();
        await api.ReadAsync("/version", Ct);

        lock (cluster.Protocols)
            cluster.Protocols.Keys.ShouldBe(["HTTP/2"]);
    }

    [Fact]
    public async Task A_server_of_another_authority_is_not_talked_to()
    {
        (System.Security.Cryptography.X509Certificates.X509Certificate2 stranger, _) = TestCertificates.Make("127.0.0.1");
        using KubernetesApi api = cluster.Client(options => options with { MaxRetries = 0, Connection = options.Connection with { Authority = [stranger] } });

        (await Should.ThrowAsync<KubernetesException>(() => api.ReadAsync("/version", Ct))).Failure.ShouldBe(KubernetesFailure.Unreachable);

        using KubernetesApi known = cluster.Client(); // positive control
        (await known.ReadAsync("/version", Ct)).ValueKind.ShouldBe(System.Text.Json.JsonValueKind.Object);
    }

    [Fact]
    public async Task A_server_whose_certificate_is_for_another_name_is_not_talked_to()
    {
        using KubernetesApi api = cluster.Client(options => options with { MaxRetries = 0, Connection = options.Connection with { ServerName = "kubernetes.default.svc" } });

        (await Should.ThrowAsync<KubernetesException>(() => api.ReadAsync("/version", Ct))).Failure.ShouldBe(KubernetesFailure.Unreachable);
    }

    [Fact]
    public async Task A_token_that_was_rotated_counts_at_once()
    {
        await using var own = new OurCluster();
        await own.InitializeAsync();
        using var directory = new TemporaryDirectory();
        string file = directory.File("token");
        await File.WriteAllTextAsync(file, OurCluster.Token, Ct);
        using KubernetesApi api = own.Client(options => options with
        {
            Connection = options.Connection with { Credential = new TokenFileCredential(file, TimeProvider.System) },
        });
        await api.ReadAsync("/version", Ct);

        own.Tokens.Clear();
        own.Tokens.Add("the-next-one");
        await File.WriteAllTextAsync(file, "the-next-one\n", Ct);

        (await api.ReadAsync("/version", Ct)).ValueKind.ShouldBe(System.Text.Json.JsonValueKind.Object);
    }

    [Fact]
    public void A_credential_that_is_renewed_is_not_sent_over_plain_http()
    {
        Should.Throw<ArgumentException>(() => new KubernetesApi(new KubernetesApiOptions
        {
            Connection = new KubernetesConnection { Server = new Uri("http://192.0.2.1:8080"), Credential = new TokenFileCredential("/nowhere", TimeProvider.System) },
        }));
    }
}
