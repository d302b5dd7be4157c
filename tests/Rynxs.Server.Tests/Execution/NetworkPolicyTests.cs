using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>network_policy of the execute API, on a real server with real sandboxes, towards a real HTTP server on this host.</summary>
public sealed class NetworkPolicyTests : IAsyncLifetime
{
    private const string Group = "/apis/universe.ai/v1alpha1/namespaces/rynxs";
    private WebApplication? _upstream;
    private int _port;

    public async ValueTask InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        _upstream = builder.Build();
        _upstream.Run(context => context.Response.WriteAsync($"hello from {context.Request.Host.Host}\n", context.RequestAborted));
        await _upstream.StartAsync(TestContext.Current.CancellationToken);
        _port = new Uri(_upstream.Urls.Single()).Port;
    }

    public async ValueTask DisposeAsync()
    {
        if (_upstream is not null)
        {
            await _upstream.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_denied_host_becomes_a_question_is_approved_works_and_is_cut_when_the_approval_goes()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync(configure: options => options with
        {
            WarmSandboxes = 0, OpenedEgress = ["127.0.0.1"], EgressHosts = ["allowed.test=127.0.0.1", "denied.test=127.0.0.1"],
        });
        await server.PostAsync($"{Group}/egresspolicies", $$$"""
            {"apiVersion":"universe.ai/v1alpha1","kind":"EgressPolicy","metadata":{"name":"one-host","namespace":"rynxs"},
             "spec":{"appliesTo":{"agents":["worker"]},"rules":[{"name":"only","hosts":["allowed.test"],"ports":[{{{_port}}}],"protocols":["http"],"methods":["GET"]}]}}
            """, HttpStatusCode.Created);

        (await RunAsync(server, "none", $"curl -s --max-time 3 http://allowed.test:{_port}/; echo $?")).ShouldBe("6\n", "without a network there is no DNS, no proxy and no route");
        (await RunAsync(server, "restricted", $"curl -s http://allowed.test:{_port}/; curl -s -o /dev/null -w '%{{http_code}}\\n' http://denied.test:{_port}/"))
            .ShouldBe("hello from allowed.test\n403\n");
        (await RunAsync(server, "restricted", $"curl -s -o /dev/null -w '%{{http_code}}\\n' -X POST http://allowed.test:{_port}/")).ShouldBe("403\n", "the rule allows GET");

        JsonElement approvals = await server.WaitForAsync($"{Group}/approvals", list => Items(list).Any(item => Text(item, "spec", "summary").Contains("denied.test")));
        JsonElement question = Items(approvals).Single(item => Text(item, "spec", "summary").Contains("denied.test"));
        string name = Text(question, "metadata", "name");
        Text(question, "spec", "requester").ShouldBe("agent:rynxs/worker");
        await server.PostAsync($"/api/v1/namespaces/rynxs/approvals/{name}/decision", """{"decision":"approve","reason":"needed"}""");
        await server.WaitForAsync($"{Group}/egressapprovals/{name}", item => Phase(item) == "Active");

        (await RunAsync(server, "restricted", $"curl -s http://denied.test:{_port}/")).ShouldBe("hello from denied.test\n");
        JsonElement policy = await server.WaitForAsync($"{Group}/egresspolicies/one-host", item => Phase(item) == "Enforced");
        Text(policy, "status", "digest").ShouldStartWith("sha256:");

        (await server.Http.DeleteAsync($"{Group}/egressapprovals/{name}", TestContext.Current.CancellationToken)).EnsureSuccessStatusCode();
        (await RunAsync(server, "restricted", $"curl -s -o /dev/null -w '%{{http_code}}\\n' http://denied.test:{_port}/")).ShouldBe("403\n");

        string audit = await server.GetTextAsync("/api/v1/namespaces/rynxs/agents/worker/audit");
        foreach (string type in (string[])["EgressOpened", "EgressClosed", "EgressDenied", "ApprovalRequested", "ApprovalDecided"])
        {
            audit.ShouldContain($"\"{type}\"");
        }

        (await server.GetTextAsync("/metrics")).ShouldContain("rynxs_egress_denied_total{reason=\"policy\"}");
        (await server.GetTextAsync("/readyz")).ShouldContain("egress_gateway");
    }

    [Fact]
    public async Task Full_is_for_those_who_write_policies()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync(configure: options => options with
        {
            WarmSandboxes = 0, OpenedEgress = ["127.0.0.1"], EgressHosts = ["any.test=127.0.0.1", "private.test=10.0.0.1"],
        });
        using HttpClient developer = server.ClientFor("dev", Role.Developer, "rynxs");

        JsonElement refused = await server.PostAsync("/api/v1/sandbox/execute", Body("full", "true"), HttpStatusCode.Forbidden, developer);
        refused.GetProperty("code").GetString().ShouldBe("network_policy_forbidden");
        (await RunAsync(server, "full", $"curl -s http://any.test:{_port}/; curl -s -o /dev/null -w '%{{http_code}}\\n' http://private.test/"))
            .ShouldBe("hello from any.test\n403\n", "what is not public stays closed");
    }

    private static async Task<string> RunAsync(TestServer server, string network, string script)
    {
        JsonElement answer = await server.PostAsync("/api/v1/sandbox/execute", Body(network, script));
        return answer.GetProperty("output").GetString() ?? "";
    }

    private static string Body(string network, string script) =>
        JsonSerializer.Serialize(new { agent_id = "worker", language = "bash", code = script, network_policy = network, timeout_seconds = 30 });

    private static JsonElement[] Items(JsonElement list) => [.. list.GetProperty("items").EnumerateArray()];

    private static string Phase(JsonElement item) => item.TryGetProperty("status", out JsonElement status) && status.TryGetProperty("phase", out JsonElement phase) ? phase.GetString() ?? "" : "";

    private static string Text(JsonElement item, string part, string field) =>
        item.GetProperty(part).TryGetProperty(field, out JsonElement value) ? value.GetString() ?? "" : "";
}
