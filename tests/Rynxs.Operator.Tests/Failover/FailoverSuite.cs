using System.Text.Json;
using Rynxs.Kubernetes;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Tests.Kit;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Operator.Tests.Failover;

/// <summary>
/// Three replicas of the operator and the role ledger as processes. The leader is killed under load; the next is stopped beyond its lease and goes on; the
/// one after is asked to stop. What the ledger then holds is looked through.
/// </summary>
public abstract class FailoverSuite(ITestCluster cluster)
{
    private const int LeaseSeconds = 4;

    [Fact]
    public async Task Three_replicas_lose_nothing_when_leaders_are_killed_paused_and_stopped()
    {
        Assert.SkipUnless(cluster.Missing is null, cluster.Missing ?? "");
        string space = await cluster.NamespaceAsync();
        using var directory = new TemporaryDirectory();
        using KubernetesApi api = cluster.Client();
        var client = new KubernetesResourceClient(api);
        string kubeconfig = await cluster.WriteKubeconfigAsync(directory.File("kubeconfig"));
        string token = await ClusterFiles.WriteTokenAsync(directory.At("state"));
        await using RunningProgram ledger = RunningProgram.Start("ledger", "serve", "--store", directory.At("ledger"), "--listen", "127.0.0.1:0", "--state", directory.At("state"));
        Uri ledgerUrl = await ledger.AddressAsync();
        Dictionary<string, RunningProgram> replicas = [];
        try
        {
            foreach (string name in (string[])["one", "two", "three"])
            {
                replicas[name] = RunningProgram.Start(
                    "operator", "--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0", "--identity", name, "--lease-namespace", space, "--watch-namespace", space,
                    "--lease-duration", $"{LeaseSeconds}", "--renew-deadline", "3", "--retry-period", "0.3", "--ledger", $"{ledgerUrl}", "--ledger-token-file", token,
                    "--work-directory", directory.At("work", name), "--agent-image", "rynxs:test");
            }

            // 1. The leader is killed while agents keep coming.
            string first = await LeaderAsync(api, space, not: null);
            Task load = CreateAgentsAsync(client, space, 20);
            await EventuallyAsync(async () => (await HandledAsync(client, space)) >= 3, "work under way");
            long killed = TimeProvider.System.GetTimestamp();
            await replicas[first].SignalAsync("KILL");
            string second = await LeaderAsync(api, space, not: first);
            TimeSpan failover = TimeProvider.System.GetElapsedTime(killed);
            await load;
            await EventuallyAsync(async () => await HandledAsync(client, space) == 20, "all agents handled");

            // 2. The next one is stopped beyond its lease, and goes on.
            await replicas[second].SignalAsync("STOP");
            string third = await LeaderAsync(api, space, not: second);
            await client.CreateAsync(new AgentResource { Metadata = new ObjectMeta { Name = "after-the-pause", Namespace = space } }, Ct);
            await EventuallyAsync(async () => await HandledAsync(client, space) == 21, "the new leader works");
            await replicas[second].SignalAsync("CONT");
            await EventuallyAsync(() => Task.FromResult(Records(directory.At("ledger", "control")).Any(record => Type(record) == "WriterFenced")), "the paused one is fenced");

            // 3. The one after is asked to stop: it gives the lease up, and the paused one leads again.
            long asked = TimeProvider.System.GetTimestamp();
            await replicas[third].SignalAsync("TERM");
            (await LeaderAsync(api, space, not: third)).ShouldBe(second);
            TimeSpan handover = TimeProvider.System.GetElapsedTime(asked);
            (await replicas[third].EndAsync()).ShouldBe(0, replicas[third].Output);
            await client.CreateAsync(new AgentResource { Metadata = new ObjectMeta { Name = "at-last", Namespace = space } }, Ct);
            await EventuallyAsync(async () => await HandledAsync(client, space) == 22, "the last leader works");
            TestContext.Current.SendDiagnosticMessage($"failover after kill {failover.TotalSeconds:0.0} s (lease {LeaseSeconds} s), handover after TERM {handover.TotalSeconds:0.0} s");

            // Taking over waits for the lease's end as it was last seen, then for one more look; the rest is for a busy machine.
            failover.ShouldBeLessThan(TimeSpan.FromSeconds((LeaseSeconds * 2) + 6));
        }
        finally
        {
            foreach (RunningProgram replica in replicas.Values)
            {
                await replica.DisposeAsync();
            }
        }

        await ledger.SignalAsync("TERM");
        await ledger.EndAsync();
        CheckLog(Records(directory.At("ledger", "control")));
        await CheckForensicsAsync(directory.At("ledger"));
    }

    private static void CheckLog(IReadOnlyList<JsonElement> records)
    {
        records.Select(Seq).ShouldBe(Enumerable.Range(0, records.Count).Select(seq => (long)seq), "no gap, nothing twice");
        long[] epochs = [.. records.Select(Epoch)];
        epochs.ShouldBeInOrder();
        (long Epoch, string Holder)[] terms = [.. records.Where(record => Type(record) == "LeadershipAcquired").Select(record =>
            (Payload(record).GetProperty("epoch").GetInt64(), Payload(record).GetProperty("holder").GetString()!))];
        terms.Select(term => term.Epoch).ShouldBeUnique();
        terms.Length.ShouldBeGreaterThanOrEqualTo(4);
        terms.Select(term => term.Holder.Split('_')[0]).Distinct().Count().ShouldBe(3, "each replica has led");
        foreach ((long epoch, string holder) in terms)
        {
            // What a leader says of itself stands in its own epoch and in no other.
            records.Where(record => Type(record) is "LeadershipAcquired" or "LeadershipLost" && Payload(record).GetProperty("epoch").GetInt64() == epoch)
                .ShouldAllBe(record => Epoch(record) == epoch && Payload(record).GetProperty("holder").GetString() == holder);
        }

        // No side effect without a record, and none twice without one: each agent was observed, decided and applied; each action's outcome follows its decision.
        foreach (IGrouping<string, JsonElement> agent in records.Where(record => Type(record) == "ActionsDecided").GroupBy(record => Payload(record).GetProperty("agent_id").GetString()!))
        {
            long decided = Seq(agent.First());
            records.Where(record => Type(record) == "ActionApplied" && Payload(record).GetProperty("target").GetString() == agent.Key)
                .ShouldAllBe(record => Seq(record) > decided);
        }
    }

    private static async Task CheckForensicsAsync(string ledger)
    {
        await using RunningProgram forensics = RunningProgram.Start("forensics", ledger, "--output", "json");
        int code = await forensics.EndAsync();
        await Task.Delay(200, Ct); // the rest of its output is read
        JsonElement report = JsonElement.Parse(forensics.Output);
        report.GetProperty("clean").GetBoolean().ShouldBeTrue(forensics.Output);
        code.ShouldBe(0);
        report.GetProperty("findings").EnumerateArray().Select(finding => finding.GetProperty("code").GetString()).ShouldContain("writer_fenced", forensics.Output);
    }

    private static IReadOnlyList<JsonElement> Records(string chain) =>
    [
        .. Directory.EnumerateFiles(chain).Where(file => !file.EndsWith(".json", StringComparison.Ordinal)).Order(StringComparer.Ordinal).SelectMany(Lines)
            .Where(line => line.StartsWith('{') && line.EndsWith('}')).Select(line => JsonElement.Parse(line))
            .Where(record => record.TryGetProperty("event", out _)).OrderBy(Seq),
    ];

    private static string[] Lines(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        return new StreamReader(stream).ReadToEnd().Split('\n');
    }

    private static string Type(JsonElement record) => record.GetProperty("event").GetProperty("type").GetString()!;

    private static long Seq(JsonElement record) => record.GetProperty("event").GetProperty("seq").GetInt64();

    private static JsonElement Payload(JsonElement record) => record.GetProperty("event").GetProperty("payload");

    private static long Epoch(JsonElement record) => record.GetProperty("event").GetProperty("meta").GetProperty("epoch").GetInt64();

    private static async Task CreateAgentsAsync(KubernetesResourceClient client, string space, int count)
    {
        for (int i = 0; i < count; i++)
        {
            await client.CreateAsync(new AgentResource { Metadata = new ObjectMeta { Name = $"agent-{i}", Namespace = space } }, Ct);
            await Task.Delay(50, Ct);
        }
    }

    private static async Task<int> HandledAsync(KubernetesResourceClient client, string space) =>
        (await client.ListAsync<AgentResource>(new ResourceQuery { Namespace = space }, Ct)).Items
            .Count(agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);

    private static async Task<string> LeaderAsync(KubernetesApi api, string space, string? not)
    {
        string? leader = null;
        await EventuallyAsync(
            async () => (leader = (await api.TryGetAsync(ApiResources.Leases, space, "rynxs-operator-leader", Ct))?.TextAt("spec", "holderIdentity")?.Split('_')[0]) is { Length: > 0 } && leader != not,
            $"a leader that is not {not}");
        return leader!;
    }

    private static async Task EventuallyAsync(Func<Task<bool>> condition, string what)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        while (!await condition())
        {
            limit.IsCancellationRequested.ShouldBeFalse($"never: {what}");
            await Task.Delay(50, Ct);
        }
    }
}

public sealed class FailoverOnOurServerTests(OurCluster cluster) : FailoverSuite(cluster);

public sealed class FailoverOnRealServerTests(RealCluster cluster) : FailoverSuite(cluster);
