namespace Rynxs.EndToEndTests.Kubectl;

/// <summary>One server with every kind, for all scenarios: each works in a namespace of its own.</summary>
public sealed class KubectlServer : IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();

    internal RunningServer? Server { get; private set; }

    public async ValueTask InitializeAsync()
    {
        if (Environment.IsPrivilegedProcess)
        {
            Server = await RunningServer.StartAsync(_directory.File("state"), "--api", "all");
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Server is not null)
        {
            await Server.DisposeAsync();
        }

        _directory.Dispose();
    }
}

/// <summary>Unmodified kubectl and helm, with nothing but <c>KUBECONFIG=STATE/kubeconfig</c>. The scenarios are scripts beside this file.</summary>
public sealed class KubectlTests(KubectlServer kubectl) : IClassFixture<KubectlServer>
{
    public static TheoryData<string> Scenarios => ["agent", "objects", "apply", "auth", "api", "definitions", "workloads", "helm"];

    [Theory]
    [MemberData(nameof(Scenarios))]
    public async Task Unmodified_kubectl_drives_the_server(string scenario)
    {
        SandboxRequirement.Require();
        KubernetesTools.Require("kubectl", "helm");
        RunningServer server = kubectl.Server ?? throw new InvalidOperationException("The server was not started.");

        Finished finished = await Scenario.RunAsync(scenario, Path.Combine(server.State, "kubeconfig"), "rynxs");

        finished.ExitCode.ShouldBe(0, finished.All);
        finished.Output.ShouldContain("ok ", customMessage: "it checked something");
    }
}

/// <summary>The same scenarios on a real API server: what they expect is what Kubernetes does, and not what we do.</summary>
public sealed class RealApiServerTests(RealApiServer real) : IClassFixture<RealApiServer>
{
    public static TheoryData<string> Scenarios => KubectlTests.Scenarios;

    [Theory]
    [MemberData(nameof(Scenarios))]
    public async Task A_real_api_server_answers_as_the_scenario_expects(string scenario)
    {
        Assert.SkipUnless(KubernetesTools.RealApiServer is not null, "no kube-apiserver and etcd in KUBEBUILDER_ASSETS or /usr/local/kubebuilder/bin");
        KubernetesTools.Require("kubectl", "helm");

        Finished finished = await Scenario.RunAsync(scenario, real.Kubeconfig ?? throw new InvalidOperationException("The API server was not started."), "kubernetes");

        finished.ExitCode.ShouldBe(0, finished.All);
    }
}

internal static class Scenario
{
    public static Task<Finished> RunAsync(string scenario, string kubeconfig, string target) => RynxsProgram.RunAsync(new Invocation
    {
        Program = "/bin/bash",
        Arguments = [Path.Combine(RynxsProgram.Repository, "tests", "Rynxs.EndToEndTests", "Kubectl", "scenarios", scenario + ".sh")],
        Environment = new Dictionary<string, string>
        {
            ["PATH"] = KubernetesTools.SearchPath,
            ["KUBECONFIG"] = kubeconfig,
            ["TARGET"] = target,
            ["EXAMPLES"] = Path.Combine(RynxsProgram.Repository, "examples"),
        },
    });
}
