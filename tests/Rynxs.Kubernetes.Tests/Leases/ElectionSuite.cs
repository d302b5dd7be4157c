using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Kubernetes.Leases;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Tests.Kit;
using Rynxs.ResourceServer.Faults;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Kubernetes.Tests.Leases;

/// <summary>Elections on any API server. Leases of three seconds, so that their end can be waited for.</summary>
public abstract class ElectionSuite(ITestCluster cluster)
{
    protected static readonly TimeSpan Lease = TimeSpan.FromSeconds(3);

    [Fact]
    public async Task Of_two_candidates_one_leads_and_what_it_gives_up_the_other_gets_at_once()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using var first = Candidate.Of(cluster, space, "a");
        using var second = Candidate.Of(cluster, space, "b");
        LeadershipTerm term = await first.Elector.AcquireAsync(Ct);
        using var stop = new CancellationTokenSource();
        Task<LeadershipEnd> hold = first.Elector.HoldAsync(stop.Token);
        Task<LeadershipTerm> waiting = second.Elector.AcquireAsync(Ct);
        await Task.Delay(Lease + TimeSpan.FromSeconds(0.5), Ct);

        term.ShouldBe(new LeadershipTerm(1, null));
        first.Elector.IsLeader.ShouldBeTrue();
        second.Elector.IsLeader.ShouldBeFalse();
        waiting.IsCompleted.ShouldBeFalse("the lease is renewed");

        long released = TimeProvider.System.GetTimestamp();
        await stop.CancelAsync();
        (await hold).ShouldBe(LeadershipEnd.Released);
        first.Elector.IsLeader.ShouldBeFalse();
        (await waiting.WaitAsync(TimeSpan.FromSeconds(20), Ct)).Transitions.ShouldBe(2);
        TimeProvider.System.GetElapsedTime(released).ShouldBeLessThan(Lease, "a lease that was given up need not be waited for");
        second.Elector.IsLeader.ShouldBeTrue();
    }

    [Fact]
    public async Task A_leader_that_was_paused_beyond_its_lease_does_not_lead_when_it_wakes()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        var time = new BentTime();
        using var first = Candidate.Of(cluster, space, "a", time);
        using var second = Candidate.Of(cluster, space, "b");
        await first.Elector.AcquireAsync(Ct);
        first.Network.IsCut = true; // paused: it renews nothing
        LeadershipTerm taken = await second.Elector.AcquireAsync(Ct).WaitAsync(TimeSpan.FromSeconds(30), Ct);
        Task<LeadershipEnd> secondHolds = second.Elector.HoldAsync(Ct);

        first.Network.IsCut = false;
        time.Pause(TimeSpan.FromSeconds(10));

        first.Elector.IsLeader.ShouldBeFalse("before anything was asked of the server");
        (await first.Elector.HoldAsync(Ct)).ShouldBe(LeadershipEnd.RenewalFailed);
        second.Elector.IsLeader.ShouldBeTrue();
        secondHolds.IsCompleted.ShouldBeFalse();
        taken.ShouldBe(new LeadershipTerm(2, "a"));
    }

    [Fact]
    public async Task A_leader_that_is_cut_off_stops_before_another_begins()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using var first = Candidate.Of(cluster, space, "a");
        using var second = Candidate.Of(cluster, space, "b");
        await first.Elector.AcquireAsync(Ct);
        Task<LeadershipEnd> hold = first.Elector.HoldAsync(Ct);
        Task<LeadershipTerm> waiting = second.Elector.AcquireAsync(Ct);
        first.Network.IsCut = true;

        bool both = false;
        while (!waiting.IsCompleted)
        {
            both |= first.Elector.IsLeader && second.Elector.IsLeader;
            await Task.Delay(2, Ct);
        }

        both.ShouldBeFalse();
        first.Elector.IsLeader.ShouldBeFalse();
        (await hold.WaitAsync(TimeSpan.FromSeconds(20), Ct)).ShouldBe(LeadershipEnd.RenewalFailed);
        (await waiting).PreviousHolder.ShouldBe("a");
    }

    [Fact]
    public async Task Candidates_whose_clocks_are_two_hours_apart_neither_take_a_lease_that_is_renewed_nor_lose_their_own()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using var behind = Candidate.Of(cluster, space, "behind", new BentTime(TimeSpan.FromHours(-1)));
        using var ahead = Candidate.Of(cluster, space, "ahead", new BentTime(TimeSpan.FromHours(1)));
        await behind.Elector.AcquireAsync(Ct);
        using var stop = new CancellationTokenSource();
        Task<LeadershipEnd> hold = behind.Elector.HoldAsync(stop.Token);
        Task<LeadershipTerm> waiting = ahead.Elector.AcquireAsync(Ct);
        await Task.Delay(Lease + TimeSpan.FromSeconds(0.5), Ct);
        waiting.IsCompleted.ShouldBeFalse();

        await stop.CancelAsync();
        await hold;
        await waiting.WaitAsync(TimeSpan.FromSeconds(20), Ct);
        Task<LeadershipEnd> aheadHolds = ahead.Elector.HoldAsync(Ct);
        Task<LeadershipTerm> again = behind.Elector.AcquireAsync(Ct);
        await Task.Delay(Lease, Ct);
        again.IsCompleted.ShouldBeFalse();
        aheadHolds.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task A_lease_that_another_took_by_force_ends_leadership()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using var first = Candidate.Of(cluster, space, "a");
        await first.Elector.AcquireAsync(Ct);
        Task<LeadershipEnd> hold = first.Elector.HoldAsync(Ct);
        using KubernetesApi api = cluster.Client();

        await api.PatchAsync(
            ApiResources.Leases, space, "leader", PatchKind.Merge, new JsonObject { ["spec"] = new JsonObject { ["holderIdentity"] = "usurper" } }, null, false, Ct);

        (await hold.WaitAsync(TimeSpan.FromSeconds(20), Ct)).ShouldBe(LeadershipEnd.TakenOver);
        first.Elector.IsLeader.ShouldBeFalse();
    }

    protected void Require() => Assert.SkipUnless(cluster.Missing is null, cluster.Missing ?? "");

    protected sealed class Candidate : IDisposable
    {
        private readonly KubernetesApi _api;

        private Candidate(KubernetesApi api, CuttableHandler network, LeaderElector elector) => (_api, Network, Elector) = (api, network, elector);

        internal CuttableHandler Network { get; }

        public LeaderElector Elector { get; }

        public static Candidate Of(ITestCluster cluster, string space, string identity, TimeProvider? time = null)
        {
            CuttableHandler? network = null;
            KubernetesApi api = cluster.Client(options => options with
            {
                RequestTimeout = TimeSpan.FromSeconds(1.5), MaxRetries = 0, Wrap = inner => network = new CuttableHandler(inner),
            });
            return new Candidate(api, network!, new LeaderElector(
                api,
                new LeaderElectionOptions
                {
                    Namespace = space, Name = "leader", Identity = identity, LeaseDuration = Lease, RenewDeadline = TimeSpan.FromSeconds(2),
                    RetryPeriod = TimeSpan.FromSeconds(0.2), TimeProvider = time ?? TimeProvider.System,
                },
                NullLogger.Instance));
        }

        public void Dispose() => _api.Dispose();
    }
}

public sealed class ElectionOnOurServerTests(OurCluster cluster) : ElectionSuite(cluster)
{
    [Fact]
    public async Task A_renewal_whose_answer_was_lost_does_not_cost_the_leadership()
    {
        string space = await cluster.NamespaceAsync();
        using var first = Candidate.Of(cluster, space, "a");
        await first.Elector.AcquireAsync(Ct);
        using FaultRule rule = cluster.Injector.Add(new FaultMatch { Namespace = space, Verb = "patch" }, new Fault.DropAnswer(), times: 1);
        Task<LeadershipEnd> hold = first.Elector.HoldAsync(Ct);
        await Task.Delay(Lease, Ct);

        rule.Hits.ShouldBe(1);
        hold.IsCompleted.ShouldBeFalse();
        first.Elector.IsLeader.ShouldBeTrue();
    }

    [Theory]
    [InlineData(15, 15, 2)]
    [InlineData(15, 10, 10)]
    [InlineData(1.5, 1, 0.2)]
    public void Durations_that_cannot_keep_two_leaders_apart_are_refused(double lease, double renew, double retry)
    {
        var options = new LeaderElectionOptions
        {
            Namespace = "n", Name = "l", Identity = "i", LeaseDuration = TimeSpan.FromSeconds(lease), RenewDeadline = TimeSpan.FromSeconds(renew),
            RetryPeriod = TimeSpan.FromSeconds(retry),
        };
        Should.Throw<ArgumentException>(options.Validate);
    }

    [Fact]
    public void A_client_that_may_wait_longer_than_the_renew_deadline_is_refused()
    {
        using KubernetesApi api = cluster.Client();
        Should.Throw<ArgumentException>(() => new LeaderElector(
            api, new LeaderElectionOptions { Namespace = "n", Name = "l", Identity = "i" }, NullLogger.Instance)).Message.ShouldContain("request timeout");
    }
}

public sealed class ElectionOnRealServerTests(RealCluster cluster) : ElectionSuite(cluster);
