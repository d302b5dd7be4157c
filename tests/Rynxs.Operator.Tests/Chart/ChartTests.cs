using System.Diagnostics.Metrics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.Extensions.DependencyInjection;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Tests.Kit;
using Rynxs.Operator.Cluster;
using Rynxs.Resources.Manifests;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Operator.Tests.Chart;

/// <summary>The chart and the kustomize base: what they are made from, that they render, and that a real API server takes them.</summary>
public sealed class ChartTests(RealCluster cluster)
{
    private static readonly string Chart = Path.Combine(Tools.Repository, "helm", "rynxs");

    /// <summary>Values files, alone and as they are meant to be combined.</summary>
    public static TheoryData<string> Values => ["values.yaml", "values-production.yaml", "values-s3.yaml", "values-development.yaml", "values-production.yaml+values-s3.yaml", "values-monitoring.yaml"];

    [Fact]
    public void The_definitions_of_the_chart_are_those_of_the_repository()
    {
        string[] Names(string directory) => [.. Directory.EnumerateFiles(directory, "*.yaml").Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];
        string crds = Path.Combine(Tools.Repository, "crds"), copies = Path.Combine(Chart, "crds");
        Names(copies).ShouldBe(Names(crds));
        Names(crds).ShouldAllBe(name => File.ReadAllText(Path.Combine(crds, name)) == File.ReadAllText(Path.Combine(copies, name)), "cp crds/*.yaml helm/rynxs/crds/");
    }

    [Fact]
    public void The_rules_of_the_chart_are_those_of_the_code()
    {
        File.ReadAllText(Path.Combine(Chart, "files", "operator-rules.yaml")).ShouldBe(OperatorPermissions.ToYaml(OperatorPermissions.Cluster));
        OperatorPermissions.Cluster.SelectMany(rule => rule.Verbs.Append(rule.Resource).Append(rule.Group)).ShouldNotContain(text => text.Contains('*'));
        OperatorPermissions.Cluster.ShouldNotContain(rule => rule.Resource == "secrets", "the operator reads no Secret");
    }

    [Fact]
    public async Task Every_metric_that_an_alert_reads_is_one_that_the_operator_has()
    {
        string alerts = await File.ReadAllTextAsync(Path.Combine(Chart, "files", "alerts.yaml"), Ct);
        HashSet<string> instruments = [];
        using (var listener = new MeterListener { InstrumentPublished = (instrument, _) => { lock (instruments) instruments.Add(instrument.Name); } })
        {
            listener.Start();
            await using ServiceProvider services = new ServiceCollection().AddMetrics().BuildServiceProvider();
            using var metrics = new OperatorMetrics(services.GetRequiredService<IMeterFactory>(), () => true);
        }

        string[] read = [.. Regex.Matches(alerts, "rynxs_[a-z_]+").Select(match => match.Value.Replace("_bucket", "", StringComparison.Ordinal)).Distinct()];
        read.Length.ShouldBeGreaterThanOrEqualTo(4);
        read.ShouldAllBe(name => instruments.Contains(name));
    }

    [Theory]
    [MemberData(nameof(Values))]
    public async Task The_chart_is_linted_and_rendered_with_every_values_file(string values)
    {
        Tools.Require("helm");
        string[] files = [.. values.Split('+').SelectMany(name => (string[])["-f", Path.Combine(Chart, name)])];

        (int lint, string complaints) = await Tools.HelmAsync(["lint", "--strict", Chart, .. files]);
        lint.ShouldBe(0, complaints);
        (int code, string text) = await Tools.HelmAsync(["template", "rynxs", Chart, "-n", "rynxs", .. files]);
        code.ShouldBe(0, text);

        foreach (JsonObject workload in ManifestDocuments.Read(System.Text.Encoding.UTF8.GetBytes(text)).Where(document => (string?)document["kind"] is "Deployment" or "StatefulSet"))
        {
            JsonNode pod = workload["spec"]!["template"]!["spec"]!;
            pod["securityContext"]!["runAsNonRoot"]!.GetValue<bool>().ShouldBeTrue();
            foreach (JsonNode? container in (pod["containers"] as JsonArray ?? []).Concat(pod["initContainers"] as JsonArray ?? []))
            {
                container!["securityContext"]!["readOnlyRootFilesystem"]!.GetValue<bool>().ShouldBeTrue();
                container["resources"]!["limits"]!["memory"].ShouldNotBeNull();
            }

            // A selector that meets another component's pods would put them under its budget and its policies.
            string component = (string)workload["spec"]!["selector"]!["matchLabels"]!["app.kubernetes.io/component"]!;
            ((string?)workload["spec"]!["template"]!["metadata"]!["labels"]!["app.kubernetes.io/component"]).ShouldBe(component);
        }
    }

    [Theory]
    [InlineData("replicaCount=3,ledger.sidecar=true", "one replica")]
    [InlineData("replicaCount=2,podDisruptionBudget.minAvailable=2", "drained")]
    [InlineData("leaderElection.renewDeadlineSeconds=15", "below")]
    [InlineData("logSink.type=s3", "bucket is required")]
    [InlineData("replicaCuont=3", "replicaCuont")]
    [InlineData("logSink.type=minio", "logSink")]
    public async Task Values_that_cannot_work_are_refused_with_a_reason(string set, string reason)
    {
        Tools.Require("helm");
        (int code, string text) = await Tools.HelmAsync("template", "rynxs", Chart, "--set", set);
        code.ShouldNotBe(0);
        text.ShouldContain(reason);
    }

    [Fact]
    public async Task A_disruption_budget_is_there_when_there_is_more_than_one_replica()
    {
        Tools.Require("helm");
        foreach ((int replicas, bool budget) in ((int, bool)[])[(1, false), (2, true), (3, true)])
        {
            (_, string text) = await Tools.HelmAsync("template", "rynxs", Chart, "--set", $"replicaCount={replicas}");
            text.Contains("kind: PodDisruptionBudget", StringComparison.Ordinal).ShouldBe(budget, $"{replicas} replicas");
        }
    }

    [Fact]
    public async Task The_kustomize_base_is_what_the_chart_renders()
    {
        Tools.Require("helm", "bash");
        using var directory = new TemporaryDirectory();
        (int code, string text) = await Tools.RunAsync("bash", null, new Dictionary<string, string>(), Path.Combine(Tools.Repository, "eng", "render-kustomize.sh"), directory.File("rynxs.yaml"));
        code.ShouldBe(0, text);
        (await File.ReadAllTextAsync(directory.File("rynxs.yaml"), Ct)).ShouldBe(
            await File.ReadAllTextAsync(Path.Combine(Tools.Repository, "deploy", "kustomize", "base", "rynxs.yaml"), Ct), "run eng/render-kustomize.sh");
    }

    [Fact]
    public async Task A_real_api_server_takes_everything_in_a_dry_run()
    {
        Assert.SkipUnless(cluster.Missing is null, cluster.Missing ?? "");
        Tools.Require("helm", "kubectl");
        string space = await cluster.NamespaceAsync();
        var environment = new Dictionary<string, string> { ["KUBECONFIG"] = cluster.Kubeconfig };
        foreach (string values in (string[])["values.yaml", "values-production.yaml", "values-s3.yaml", "values-development.yaml"])
        {
            (int code, string text) = await Tools.HelmAsync("template", "rynxs", Chart, "-n", space, "-f", Path.Combine(Chart, values));
            code.ShouldBe(0, text);
            (int applied, string answer) = await Tools.RunAsync("kubectl", text, environment, "apply", "--dry-run=server", "-f", "-");
            applied.ShouldBe(0, answer);
            answer.ShouldContain("deployment.apps/rynxs-operator created");
            answer.ShouldNotContain("Warning");
        }

        (int built, string manifests) = await Tools.RunAsync("kubectl", null, environment, "kustomize", Path.Combine(Tools.Repository, "deploy", "kustomize", "base"));
        built.ShouldBe(0, manifests);
        (int based, string told) = await Tools.RunAsync("kubectl", manifests.Replace("namespace: rynxs\n", $"namespace: {space}\n", StringComparison.Ordinal), environment, "apply", "--dry-run=server", "-f", "-");
        based.ShouldBe(0, told);
    }

    [Fact]
    public async Task The_chart_installs_on_a_real_api_server_and_keeps_the_ledgers_token_when_it_is_upgraded()
    {
        Assert.SkipUnless(cluster.Missing is null, cluster.Missing ?? "");
        Tools.Require("helm");
        string space = await cluster.NamespaceAsync();
        var environment = new Dictionary<string, string> { ["KUBECONFIG"] = cluster.Kubeconfig };
        using KubernetesApi api = cluster.Client();

        (int installed, string text) = await Tools.RunAsync("helm", null, environment, "install", "rynxs", Chart, "-n", space, "-f", Path.Combine(Chart, "values-production.yaml"), "--skip-crds");
        installed.ShouldBe(0, text);
        string? before = (await api.TryGetAsync(ApiResources.Secrets, space, "rynxs-ledger-token", Ct)).ShouldNotBeNull().TextAt("data", "token");
        (int upgraded, text) = await Tools.RunAsync("helm", null, environment, "upgrade", "rynxs", Chart, "-n", space, "-f", Path.Combine(Chart, "values-production.yaml"), "--set", "replicaCount=4");
        upgraded.ShouldBe(0, text);

        (await api.TryGetAsync(ApiResources.Secrets, space, "rynxs-ledger-token", Ct))!.TextAt("data", "token").ShouldBe(before);
        (await api.TryGetAsync(ApiResources.Deployments, space, "rynxs-operator", Ct))!.At("spec", "replicas")!.Value.GetInt32().ShouldBe(4);
        (int removed, text) = await Tools.RunAsync("helm", null, environment, "uninstall", "rynxs", "-n", space);
        removed.ShouldBe(0, text);
    }
}
