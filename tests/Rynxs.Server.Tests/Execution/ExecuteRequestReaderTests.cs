using System.Text;
using Rynxs.Server.Execution;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Tests.Execution;

public sealed class ExecuteRequestReaderTests
{
    [Fact]
    public void The_seeds_own_request_is_taken_with_its_defaults()
    {
        ExecuteRequest request = Read("""{"agent_id":"test_agent","code":"print(\"Hello from hardened sandbox!\")","runtime":"gvisor"}""");

        request.AgentId.ShouldBe("test_agent");
        request.TimeoutSeconds.ShouldBe(300);
        request.MemoryLimitMb.ShouldBe(512);
        request.CpuLimit.ShouldBe(0.5);
        request.Language.ShouldBe(CodeLanguage.Python);
    }

    [Theory]
    [InlineData("""{"code":"1"}""", "agent_id", "required")]
    [InlineData("""{"agent_id":"a"}""", "code", "required")]
    [InlineData("""{"agent_id":"a","code":""}""", "code", "required")]
    [InlineData("""{"agent_id":"../x","code":"1"}""", "agent_id", "invalid_value")]
    [InlineData("""{"agent_id":"a\n","code":"1"}""", "agent_id", "invalid_value")]
    [InlineData("""{"agent_id":7,"code":"1"}""", "agent_id", "invalid_type")]
    [InlineData("""{"agent_id":"a","code":"1\u0000"}""", "code", "invalid_value")]
    [InlineData("""{"agent_id":"a","code":"1","timeout_seconds":0}""", "timeout_seconds", "out_of_range")]
    [InlineData("""{"agent_id":"a","code":"1","timeout_seconds":601}""", "timeout_seconds", "out_of_range")]
    [InlineData("""{"agent_id":"a","code":"1","timeout_seconds":1.5}""", "timeout_seconds", "out_of_range")]
    [InlineData("""{"agent_id":"a","code":"1","timeout_seconds":"5"}""", "timeout_seconds", "out_of_range")]
    [InlineData("""{"agent_id":"a","code":"1","memory_limit_mb":15}""", "memory_limit_mb", "out_of_range")]
    [InlineData("""{"agent_id":"a","code":"1","memory_limit_mb":2049}""", "memory_limit_mb", "out_of_range")]
    [InlineData("""{"agent_id":"a","code":"1","cpu_limit":0.009}""", "cpu_limit", "out_of_range")]
    [InlineData("""{"agent_id":"a","code":"1","cpu_limit":2.01}""", "cpu_limit", "out_of_range")]
    [InlineData("""{"agent_id":"a","code":"1","cpu_limit":1e999}""", "cpu_limit", "out_of_range")]
    [InlineData("""{"agent_id":"a","code":"1","runtime":"docker"}""", "runtime", "unsupported_value")]
    [InlineData("""{"agent_id":"a","code":"1","network_policy":"open"}""", "network_policy", "unsupported_value")]
    [InlineData("""{"agent_id":"a","code":"1","filesystem_access":["/etc"]}""", "filesystem_access[0]", "filesystem_access_unavailable")]
    [InlineData("""{"agent_id":"a","code":"1","filesystem_access":["/tmp/../etc"]}""", "filesystem_access[0]", "filesystem_access_unavailable")]
    [InlineData("""{"agent_id":"a","code":"1","environment":{"RYNXS_X":"1"}}""", "environment.RYNXS_X", "reserved_name")]
    [InlineData("""{"agent_id":"a","code":"1","environment":{"EXECUTION_ID":"1"}}""", "environment.EXECUTION_ID", "reserved_name")]
    [InlineData("""{"agent_id":"a","code":"1","environment":{"A=B":"1"}}""", "environment.A=B", "invalid_value")]
    [InlineData("""{"agent_id":"a","code":"1","environment":{"A":1}}""", "environment.A", "invalid_value")]
    [InlineData("""{"agent_id":"a","code":"1","language":"ruby"}""", "language", "unsupported_value")]
    [InlineData("""{"agent_id":"a","code":"1","priviledged":true}""", "priviledged", "unknown_field")]
    public void A_wrong_field_is_named_with_a_stable_code(string json, string field, string code)
    {
        Problem problem = Refused(json);

        problem.Status.ShouldBe(422);
        problem.Errors.ShouldNotBeNull().ShouldContain(error => error.Field == field && error.Code == code, json);
    }

    [Theory]
    [InlineData("firecracker")]
    public void A_runtime_that_this_host_does_not_have_is_refused_and_never_replaced(string runtime)
    {
        Problem problem = Refused($$"""{"agent_id":"a","code":"1","runtime":"{{runtime}}"}""");

        (problem.Status, problem.Code, problem.Field).ShouldBe((501, "runtime_unavailable", "runtime"));
    }

    [Theory]
    [InlineData("gvisor")]
    [InlineData("namespaces")]
    public void A_runtime_is_the_sandboxes_runtime(string runtime)
    {
        ExecuteRequest request = ExecuteRequestReader.Read(System.Text.Encoding.UTF8.GetBytes($$"""{"agent_id":"a","code":"1","runtime":"{{runtime}}"}"""));

        ExecutionSandboxes.Spec(request, "rynxs", "a", new Sandbox.Images.ImageDescriptor("i", "sha256:0", "/i")).Runtime.ShouldBe(runtime);
    }

    [Fact]
    public void Every_wrong_field_is_reported_at_once()
    {
        Problem problem = Refused("""{"agent_id":"","timeout_seconds":-1,"memory_limit_mb":1,"x":1}""");

        problem.Errors.ShouldNotBeNull().Select(error => error.Field).ShouldBe(["agent_id", "code", "timeout_seconds", "memory_limit_mb", "x"], ignoreOrder: true);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("""{"agent_id":"a","agent_id":"b","code":"1"}""")]
    [InlineData("""{"agent_id":"a","code":"\ud800"}""")]
    [InlineData("""[[[[[[[[[[[[1]]]]]]]]]]]]""")]
    public void What_is_no_strict_json_object_is_a_bad_request(string json) => Refused(json).Status.ShouldBe(400);

    [Fact]
    public void G6_code_over_a_mebibyte_is_refused_and_a_mebibyte_is_taken()
    {
        Read($$"""{"agent_id":"a","code":"{{new string('x', ExecuteRequestReader.MaxCodeBytes)}}"}""").Code.Length.ShouldBe(1024 * 1024);

        Refused($$"""{"agent_id":"a","code":"{{new string('x', ExecuteRequestReader.MaxCodeBytes + 1)}}"}""").Code.ShouldBe("too_long");
    }

    private static ExecuteRequest Read(string json) => ExecuteRequestReader.Read(Encoding.UTF8.GetBytes(json));

    private static Problem Refused(string json) => Should.Throw<ProblemException>(() => Read(json)).Problem;
}
