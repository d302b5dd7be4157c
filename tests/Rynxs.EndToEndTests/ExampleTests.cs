using System.Text;
using Rynxs.Cli.Demo;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Manifests;

namespace Rynxs.EndToEndTests;

/// <summary>The manifests of examples/.</summary>
public sealed class ExampleTests
{
    /// <summary>The manifest of the original README, between its <c>EOF</c> marks, to the letter.</summary>
    private const string OriginalManifest = """
        apiVersion: universe.ai/v1alpha1
        kind: Agent
        metadata:
          name: my-agent
          namespace: rynxs
        spec:
          role: sandbox
          image: python:3.11-slim
          resources:
            requests:
              memory: "256Mi"
              cpu: "100m"

        """;

    public static TheoryData<string> Files => [.. Directory.EnumerateFiles(Path.Combine(RynxsProgram.Repository, "examples"), "*.yaml").Select(path => Path.GetFileName(path))];

    [Theory]
    [MemberData(nameof(Files))]
    public void Example_is_valid_and_is_the_one_that_the_program_carries(string file)
    {
        byte[] bytes = File.ReadAllBytes(Path.Combine(RynxsProgram.Repository, "examples", file));

        ManifestResult result = ManifestReader.Read(bytes);

        result.Errors.ShouldBeEmpty();
        result.Resources.ShouldNotBeEmpty();
        Example.Bytes(file).ShouldBe(bytes);
    }

    [Fact]
    public void Agent_example_is_the_original_manifest_unchanged()
    {
        Encoding.UTF8.GetString(Example.Bytes("agent.yaml")).ShouldBe(OriginalManifest.ReplaceLineEndings("\n"));
        ManifestReader.Read(Example.Bytes("agent.yaml")).Resources.ShouldHaveSingleItem().ShouldBeOfType<AgentResource>().Spec.Role.ShouldBe("sandbox");
    }
}
