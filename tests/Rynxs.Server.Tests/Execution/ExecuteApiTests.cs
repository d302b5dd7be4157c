using System.Net;
using System.Text.Json;
using Rynxs.Ledger.Verifier;
using Rynxs.Server.Tests.Kit;
using Rynxs.Server.Tests.Metrics;

namespace Rynxs.Server.Tests.Execution;

/// <summary>The execute API end to end: Kestrel, ledger, store and gVisor are real.</summary>
public sealed class ExecuteApiTests
{
    private const string Execute = "/api/v1/sandbox/execute";

    [Fact]
    public async Task Code_runs_in_gvisor_and_leaves_intent_and_outcome_that_verify()
    {
        SandboxRequirement.Require();
        string state = TestServer.NewStatePath();
        await using (TestServer server = await TestServer.StartAsync(state))
        {
            JsonElement python = await server.PostAsync(
                Execute, """{"agent_id":"test_agent","code":"import sys\nprint(\"Hello\", input())\nprint(\"err\", file=sys.stderr)\n","stdin":"Ada","constitutional_hash":"cdd01ef066bc6cf2"}""");
            python.GetProperty("stdout").GetString().ShouldBe("Hello Ada\n", python.ToString());
            python.GetProperty("stderr").GetString().ShouldBe("err\n");
            python.GetProperty("success").GetBoolean().ShouldBeTrue();
            python.GetProperty("runtime_used").GetString().ShouldBe("gvisor");
            python.GetProperty("constitutional_hash_verified").GetBoolean().ShouldBeTrue();
            python.GetProperty("controls").GetArrayLength().ShouldBeGreaterThan(0);
            python.GetProperty("image_digest").GetString().ShouldNotBeNull().ShouldStartWith("sha256:");

            JsonElement bash = await server.PostAsync(Execute, """{"agent_id":"test_agent","code":"cat; exit 3","language":"bash","stdin":"in"}""");
            bash.GetProperty("stdout").GetString().ShouldBe("in");
            bash.GetProperty("exit_code").GetInt32().ShouldBe(3);
            bash.GetProperty("termination_reason").GetString().ShouldBe("nonzero_exit");
            bash.GetProperty("constitutional_hash_verified").GetBoolean().ShouldBeFalse("nothing was compared");

            JsonElement late = await server.PostAsync(Execute, """{"agent_id":"test_agent","code":"while True: pass","timeout_seconds":1}""");
            late.GetProperty("termination_reason").GetString().ShouldBe("timeout");

            await server.PostAsync(Execute, """{"agent_id":"a","code":"1","constitutional_hash":"00"}""", HttpStatusCode.Conflict);
            JsonElement again = await server.GetAsync($"/api/v1/sandbox/executions/{python.GetProperty("execution_id").GetString()}");
            again.GetProperty("result").GetProperty("stdout").GetString().ShouldBe("Hello Ada\n");

            IReadOnlyDictionary<string, double> metrics = ExpositionFormat.Parse(await server.GetTextAsync("/metrics"));
            metrics["hardened_sandbox_executions_total{result=\"success\",runtime=\"gvisor\",termination_reason=\"completed\"}"].ShouldBe(1);
            metrics.Keys.ShouldContain(name => name.StartsWith("hardened_sandbox_cold_start_duration_seconds_count", StringComparison.Ordinal));
            (await server.GetAsync("/health")).GetProperty("runtimes_available")[0].GetString().ShouldBe("gvisor");
            (await server.GetAsync("/readyz")).GetProperty("status").GetString().ShouldBe("ready");
        }

        LedgerVerification verification = ChainVerifier.VerifyPath(state, TestContext.Current.CancellationToken);
        verification.Failure.ShouldBeNull();
        verification.Chains.ShouldContain(chain => chain.Chain.StartsWith("agents/rynxs/x-test-agent-", StringComparison.Ordinal) && chain.Records >= 9);
        Directory.Delete(state, recursive: true);
    }

    [Fact]
    public async Task A_client_that_leaves_takes_its_program_with_it()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        using var content = new StringContent(
            """{"agent_id":"leaver","code":"import time\ntime.sleep(300)"}""", System.Text.Encoding.UTF8, "application/json");
        Task<HttpResponseMessage> request = server.Http.PostAsync(Execute, content, leaving.Token);
        await server.WaitForAsync("/api/v1/sandbox/status", status => status.GetProperty("total_count").GetInt32() == 1);

        await leaving.CancelAsync();

        await Should.ThrowAsync<OperationCanceledException>(() => request);
        await server.WaitForAsync("/api/v1/sandbox/status", status => status.GetProperty("total_count").GetInt32() == 0);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while (!(await server.GetTextAsync("/api/v1/namespaces/rynxs/agents/leaver/audit")).Contains("\"termination_reason\":\"cancelled\"", StringComparison.Ordinal))
        {
            await Task.Delay(50, patience.Token); // its record comes after the sandbox is gone from the list
        }
    }
}
