using System.Text.Json;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Metrics;

/// <summary>What agents try in their own sandboxes is counted beside what the execute API runs.</summary>
public sealed class SandboxMetricsTests
{
    private const string Violations = "hardened_sandbox_violations_total{detection_layer=\"SYSCALL_MONITOR\",severity=\"HIGH\",violation_type=\"device_access\"}";

    [Fact]
    public async Task A_violation_in_an_agents_sandbox_and_one_of_the_execute_api_are_both_counted()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        await server.CreateAgentAsync("team", "prober", """{"role":"sandbox"}""");
        (await MetricsAsync(server)).ContainsKey(Violations).ShouldBeFalse("positive control: nothing was tried yet");

        JsonElement ran = await server.PostAsync(
            "/api/v1/namespaces/team/agents/prober/exec", JsonSerializer.Serialize(new { argv = (string[])["bash", "-c", "cat /dev/kmsg; exit 0"], timeout_seconds = 60 }));
        ran.GetProperty("security_violations").GetArrayLength().ShouldBe(1, ran.ToString());
        (await MetricsAsync(server))[Violations].ShouldBe(1);

        await server.PostAsync("/api/v1/sandbox/execute", """{"agent_id":"a","language":"bash","code":"cat /dev/kmsg; exit 0"}""");
        IReadOnlyDictionary<string, double> metrics = await MetricsAsync(server);
        metrics[Violations].ShouldBe(2);
        metrics.Where(sample => sample.Key.StartsWith("hardened_sandbox_escape_attempts_total", StringComparison.Ordinal)).Sum(sample => sample.Value).ShouldBe(2);
        metrics["hardened_sandbox_executions_total{result=\"success\",runtime=\"gvisor\",termination_reason=\"completed\"}"].ShouldBe(2);
        metrics["active_hardened_sandboxes_count"].ShouldBeGreaterThanOrEqualTo(1, "the agent's sandbox lives on");
    }

    private static async Task<IReadOnlyDictionary<string, double>> MetricsAsync(TestServer server) => ExpositionFormat.Parse(await server.GetTextAsync("/metrics"));
}
