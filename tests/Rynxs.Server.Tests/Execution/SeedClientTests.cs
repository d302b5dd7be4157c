using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>The documented sandbox API, used by what its documentation shows: the curl example, and a client that knows the documented fields and no others.</summary>
public sealed class SeedClientTests
{
    /// <summary>Dataclasses with exactly the documented fields: a missing one, or one of another type, is an error.</summary>
    private const string Client = """
        import json, sys, urllib.request, dataclasses, typing
        base, token = sys.argv[1:]
        @dataclasses.dataclass
        class Usage:
            cpu_usage_cores: typing.Optional[float]; memory_usage_mb: typing.Optional[float]; network_rx_bytes: typing.Optional[int]; network_tx_bytes: typing.Optional[int]
        @dataclasses.dataclass
        class Violation:
            violation_id: str; timestamp: str; violation_type: str; severity: str; description: str; detection_layer: str; blocked: bool; indicators: dict; remediation: str
        @dataclasses.dataclass
        class Execution:
            execution_id: str; success: bool; output: str; error: typing.Optional[str]; security_violations: list; execution_time_seconds: float; cold_start_time_ms: float
            resource_usage: dict; termination_reason: str; runtime_used: str; constitutional_hash_verified: bool
        @dataclasses.dataclass
        class Active:
            execution_id: typing.Optional[str]; agent_id: str; runtime: str; uptime_seconds: float; pod_name: str
        @dataclasses.dataclass
        class Health:
            status: str; service: str; version: str; constitutional_hash: str; runtimes_available: list; active_sandboxes: int
        def parse(cls, d):
            v = {f.name: d[f.name] for f in dataclasses.fields(cls)}
            for f in dataclasses.fields(cls):
                if isinstance(f.type, type):
                    ok = isinstance(v[f.name], (int, float)) if f.type is float else isinstance(v[f.name], f.type)
                    assert ok, (f.name, v[f.name])
            return cls(**v)
        def call(path, body=None):
            r = urllib.request.Request(base + path, json.dumps(body).encode() if body is not None else None, {'Authorization': 'Bearer ' + token, 'Content-Type': 'application/json'})
            return json.load(urllib.request.urlopen(r))
        full = {'agent_id': 'seed', 'code': "import os\nprint(os.environ['GREETING'], os.getcwd())\nos.open('/dev/mem', os.O_RDONLY)\n", 'runtime': 'gvisor', 'timeout_seconds': 300,
                'memory_limit_mb': 512, 'cpu_limit': 0.5, 'network_policy': 'none', 'filesystem_access': [], 'environment': {'GREETING': 'hello'}}
        e = parse(Execution, call('/api/v1/sandbox/execute', full))
        parse(Usage, e.resource_usage)
        v = [parse(Violation, x) for x in e.security_violations]
        assert e.output.startswith('hello '), e
        assert not e.success and e.runtime_used == 'gvisor' and e.resource_usage['memory_usage_mb'] > 0 and e.cold_start_time_ms > 0 and e.execution_time_seconds > 0, e
        assert [x.severity for x in v] == ['HIGH'] and v[0].detection_layer and v[0].indicators and v[0].remediation, v
        s = call('/api/v1/sandbox/status')
        [parse(Active, x) for x in s['active_sandboxes']]
        assert isinstance(s['total_count'], int) and s['constitutional_hash_verified'] in (True, False)
        h = parse(Health, call('/health'))
        assert h.service == 'hardened-sandbox-controller' and h.constitutional_hash == 'cdd01ef066bc6cf2' and 'gvisor' in h.runtimes_available, h
        print('seed client: ok')
        """;

    [Fact]
    public async Task The_documented_curl_example_and_a_client_of_the_documented_fields_work_unchanged()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();

        string answered = await RunAsync(
            "curl", "-sS", "-X", "POST", $"{server.Server.Url}api/v1/sandbox/execute", "-H", "Content-Type: application/json", "-H", $"Authorization: Bearer {server.Server.AdminToken}",
            "-d", """
                {
                    "agent_id": "test_agent",
                    "code": "print(\"Hello from hardened sandbox!\")",
                    "runtime": "gvisor"
                  }
                """);
        JsonElement answer = JsonDocument.Parse(answered).RootElement;
        (answer.GetProperty("success").GetBoolean(), answer.GetProperty("output").GetString(), answer.GetProperty("termination_reason").GetString(), answer.GetProperty("runtime_used").GetString())
            .ShouldBe((true, "Hello from hardened sandbox!\n", "completed", "gvisor"), answered);

        (await RunAsync("python3", "-I", "-c", Client, server.Server.Url.OriginalString.TrimEnd('/'), server.Server.AdminToken)).ShouldBe("seed client: ok\n");
    }

    private static async Task<string> RunAsync(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using Process process = Process.Start(start) ?? throw new InvalidOperationException(program);
            Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            process.ExitCode.ShouldBe(0, output + await errors);
            return output;
        }
        catch (Win32Exception)
        {
            Assert.Skip($"{program} is not on this machine");
            throw;
        }
    }
}
