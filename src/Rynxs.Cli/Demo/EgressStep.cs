using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Approvals;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Demo;

/// <summary>One host is allowed, another denied; the denial is a question, a person says yes, and then it works: all of it on the record.</summary>
internal static class EgressStep
{
    /// <summary>Names that the demo's server is started with.</summary>
    public const string Allowed = "packages.demo.test", Denied = "data.demo.test";

    private const string Agent = "demo-egress";

    public static async Task<Observation> RunAsync(DemoContext context, CancellationToken cancellationToken)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        string port = ((IPEndPoint)listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task serving = ServeAsync(listener, stop.Token);
        try
        {
            await context.Client.SendAsync(
                HttpMethod.Post, $"/apis/universe.ai/v1alpha1/namespaces/{DemoContext.Namespace}/egresspolicies", Policy(port), cancellationToken);
            string first = await RunAsync(context, port, cancellationToken);
            JsonElement question = await context.EventuallyAsync(
                "a question about the denied host",
                async () => (await context.Client.GetAsync(ResourcePath.Collection(ResourceTypes.Approval, DemoContext.Namespace), cancellationToken)).Items("items").Cast<JsonElement?>()
                    .FirstOrDefault(item => item?.Text("spec.summary")?.Contains(Denied, StringComparison.Ordinal) == true),
                cancellationToken);
            string name = question.Text("metadata.name") ?? "";
            using ApiClient approver = context.ClientAs("user:demo-network-approver", Role.Approver);
            await DecisionCommand.DecideAsync(approver, DemoContext.Namespace, name, approve: true, "shown in the demo", cancellationToken);
            string path = ResourcePath.Object(ResourceTypes.EgressApproval, DemoContext.Namespace, name);
            await context.EventuallyAsync(
                "an open host", async () => (await context.Client.GetAsync(path, cancellationToken)).Text("status.phase") == "Active" ? true : (bool?)null, cancellationToken);
            string second = await RunAsync(context, port, cancellationToken);
            string[] kinds = [.. (await context.RecordsAsync(Agent, cancellationToken)).Select(record => record.Text("type") ?? "").Where(type => type.StartsWith("Egress", StringComparison.Ordinal) || type.StartsWith("Approval", StringComparison.Ordinal)).Distinct()];
            return new Observation(
                first == "200 403" && second == "200 200" && kinds.Contains("EgressDenied") && kinds.Contains("EgressOpened") && kinds.Contains("ApprovalDecided"),
                ("before", $"{Allowed} and {Denied}: {first}"),
                ("question", $"{question.Text("spec.summary")}, asked by {question.Text("spec.requester")}, approved by user:demo-network-approver"),
                ("after", $"{Allowed} and {Denied}: {second}"),
                ("audit", string.Join(", ", kinds)));
        }
        finally
        {
            await stop.CancelAsync();
            await serving;
        }
    }

    private static async Task<string> RunAsync(DemoContext context, string port, CancellationToken cancellationToken)
    {
        var body = new JsonObject
        {
            ["agent_id"] = Agent,
            ["language"] = "bash",
            ["network_policy"] = "restricted",
            ["timeout_seconds"] = 30,
            ["code"] = $"for h in {Allowed} {Denied}; do curl -s -o /dev/null -w '%{{http_code}} ' http://$h:{port}/; done",
        };
        JsonElement answer = await context.Client.SendAsync(
            HttpMethod.Post, "/api/v1/sandbox/execute", body.ToJsonString(), cancellationToken, timeout: TimeSpan.FromSeconds(120)) ?? throw new CliException("the server answered nothing.");
        return (answer.Text("stdout") ?? "").Trim();
    }

    private static string Policy(string port) => $$$"""
        {"apiVersion":"universe.ai/v1alpha1","kind":"EgressPolicy","metadata":{"name":"demo-egress","namespace":"{{{DemoContext.Namespace}}}"},
         "spec":{"appliesTo":{"agents":["{{{Agent}}}"]},"rules":[{"name":"one-host","hosts":["{{{Allowed}}}"],"ports":[{{{port}}}],"protocols":["http"]}]}}
        """;

    /// <summary>The hosts of the demo: one answer to each connection.</summary>
    private static async Task ServeAsync(TcpListener listener, CancellationToken cancellationToken)
    {
        byte[] answer = Encoding.ASCII.GetBytes("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n");
        byte[] request = new byte[4096];
        while (true)
        {
            try
            {
                using Socket client = await listener.AcceptSocketAsync(cancellationToken);
                await client.ReceiveAsync(request, cancellationToken);
                await client.SendAsync(answer, cancellationToken);
                client.Shutdown(SocketShutdown.Both);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException)
            {
                // This client broke off; the next one is served.
            }
        }
    }
}
