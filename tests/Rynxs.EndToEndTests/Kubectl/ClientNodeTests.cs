namespace Rynxs.EndToEndTests.Kubectl;

/// <summary>Kubernetes' own client library for JavaScript, unmodified.</summary>
public sealed class ClientNodeTests(KubectlServer kubectl) : IClassFixture<KubectlServer>
{
    [Fact]
    public async Task Client_library_watches_patches_and_elects_a_leader()
    {
        SandboxRequirement.Require();
        KubernetesTools.RequirePackage("@kubernetes/client-node");
        RunningServer server = kubectl.Server ?? throw new InvalidOperationException("The server was not started.");
        using var directory = new TemporaryDirectory();
        string script = directory.File("client.mjs");
        File.Copy(Path.Combine(RynxsProgram.Repository, "tests", "Rynxs.EndToEndTests", "Kubectl", "node", "client.mjs"), script);
        // Modules are looked up from where the script is.
        File.CreateSymbolicLink(directory.File("node_modules"), KubernetesTools.NodeModules);

        Finished finished = await RynxsProgram.RunAsync(new Invocation
        {
            Program = "/usr/bin/env",
            Arguments = ["node", script],
            Environment = new Dictionary<string, string> { ["PATH"] = KubernetesTools.SearchPath, ["KUBECONFIG"] = Path.Combine(server.State, "kubeconfig") },
        });

        finished.ExitCode.ShouldBe(0, finished.All);
        finished.Output.Split('\n').Count(line => line.StartsWith("ok ", StringComparison.Ordinal)).ShouldBe(14, finished.All);
    }
}
