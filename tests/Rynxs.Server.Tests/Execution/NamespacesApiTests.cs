using System.Net;
using System.Text.Json;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>The tier on the host's own kernel, asked for through the execute API of a real server.</summary>
public sealed class NamespacesApiTests
{
    private const string Execute = "/api/v1/sandbox/execute";

    [Fact]
    public async Task A_request_for_namespaces_runs_there_says_so_and_reports_what_was_refused()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        JsonElement doctor = await server.GetAsync("/api/v1/doctor");
        JsonElement tier = doctor.GetProperty("checks").EnumerateArray().Single(check => check.GetProperty("name").GetString() == "sandbox_tier namespaces");
        Assert.SkipUnless(tier.GetProperty("status").GetString() == "ok", tier.GetProperty("detail").GetString() ?? "");
        tier.GetProperty("detail").GetString().ShouldNotBeNull().ShouldContain("share the host's kernel");
        doctor.GetProperty("checks").EnumerateArray().Single(check => check.GetProperty("name").GetString() == "kvm").GetProperty("detail").GetString().ShouldNotBeNull().ShouldContain("/dev/kvm");

        JsonElement ran = await server.PostAsync(
            Execute, """{"agent_id":"trusted","runtime":"namespaces","code":"import ctypes,os\nprint(ctypes.CDLL(None).unshare(0x10000000),os.getuid(),os.environ['X'])","environment":{"X":"y"}}""");
        ran.GetProperty("stdout").GetString().ShouldBe("-1 1000 y\n", ran.ToString());
        ran.GetProperty("runtime_used").GetString().ShouldBe("namespaces");
        ran.GetProperty("controls").EnumerateArray().Single(control => control.GetProperty("control").GetString() == "kernel").GetProperty("requested").GetString().ShouldBe("shared kernel");
        JsonElement violation = ran.GetProperty("security_violations").EnumerateArray().Single();
        violation.GetProperty("violation_type").GetString().ShouldBe("namespace_escape");
        violation.GetProperty("detection_layer").GetString().ShouldBe("SECCOMP");
        violation.GetProperty("indicators").GetProperty("system_call").GetString().ShouldBe("unshare");

        JsonElement named = await server.PostAsync(
            Execute, """{"agent_id":"trusted","runtime":"namespaces","language":"bash","code":"touch /tmp/in/a && echo in; touch /tmp/b; touch /workspace/files/c; true","filesystem_access":["/tmp/in"]}""");
        named.GetProperty("stdout").GetString().ShouldBe("in\n", named.ToString());
        named.GetProperty("stderr").GetString().ShouldNotBeNull().Split("Read-only file system").Length.ShouldBe(3, "two places were not named");

        JsonElement killed = await server.PostAsync(Execute, """{"agent_id":"trusted","runtime":"namespaces","code":"import socket\nsocket.socket(38,5,0)\nprint('never')"}""");
        killed.GetProperty("termination_reason").GetString().ShouldBe("security_violation", killed.ToString());
        killed.GetProperty("stdout").GetString().ShouldBe("");

        (await server.GetAsync("/health")).GetProperty("runtimes_available").EnumerateArray().Select(name => name.GetString()).ShouldBe(["gvisor", "namespaces"]);
        (await server.PostAsync(Execute, """{"agent_id":"trusted","runtime":"firecracker","code":"1"}""", HttpStatusCode.NotImplemented)).GetProperty("code").GetString().ShouldBe("runtime_unavailable");
    }
}
