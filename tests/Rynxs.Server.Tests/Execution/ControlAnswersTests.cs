using System.Text.Json;
using Rynxs.Sandbox;
using Rynxs.Server.Problems;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>What callers are told of controls: refused ones by name, and those of this host as they were tried.</summary>
public sealed class ControlAnswersTests
{
    [Theory]
    [InlineData("rlimits", 409, "control_not_shown")]
    [InlineData("runtime", 503, "sandbox_refused")]
    public void A_refused_sandbox_is_a_conflict_that_names_the_control_and_an_absent_runtime_is_unavailable(string control, int status, string code)
    {
        Problem problem = ProblemMapping.TryMap(new SandboxRefusedException(control, "it gave 'x'")).ShouldNotBeNull();

        (problem.Status, problem.Code).ShouldBe((status, code));
        problem.Detail.ShouldContain(control);
        problem.Detail.ShouldContain("it gave 'x'");
    }

    [Fact]
    public async Task Doctor_tries_every_control_anew_when_it_is_asked_to()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        Controls(await server.GetAsync("/api/v1/doctor")).ShouldBeEmpty("it takes some seconds, so only who asks gets it");

        Dictionary<string, string> tried = Controls(await server.GetAsync("/api/v1/doctor?probe=true"));

        foreach (string control in (string[])["isolation_kernel", "network", "violation_detection", "user", "root_filesystem", "workspace_mount", "rlimits", "tmp_size", "memory_limit", "pids_limit", "cpu_limit", "trace_session", "deadline"])
        {
            tried.ShouldContainKeyAndValue($"control {control}", "ok");
        }

        tried.Where(control => control.Value == "warn").Select(control => control.Key).ShouldBe(["control workspace_quota", "control kernel"], ignoreOrder: true, "these are stated, not tried");
    }

    /// <summary>By name; each template and each tier has its own, and all of them have to agree.</summary>
    private static Dictionary<string, string> Controls(JsonElement report) => report.GetProperty("checks").EnumerateArray()
        .Where(check => (check.GetProperty("name").GetString() ?? "").StartsWith("control ", StringComparison.Ordinal))
        .GroupBy(check => check.GetProperty("name").GetString() ?? "", check => check.GetProperty("status").GetString() ?? "")
        .ToDictionary(control => control.Key, control => string.Join('/', control.Distinct()));
}
