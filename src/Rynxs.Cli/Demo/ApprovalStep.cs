using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Approvals;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Tasks;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.Cli.Demo;

/// <summary>A call that needs a person: it waits, its requester is refused, another principal approves, it runs.</summary>
internal static class ApprovalStep
{
    public static async Task<Observation> RunAsync(DemoContext context, string agent, CancellationToken cancellationToken)
    {
        string name = await context.StartTaskAsync(agent, "run echo approved-and-run | tee report.txt in sandbox", cancellationToken);
        string query = "?fieldSelector=" + Uri.EscapeDataString($"spec.agent={agent}");
        JsonElement approval = await context.EventuallyAsync(
            "a request for approval",
            async () =>
            {
                JsonElement list = await context.Client.GetAsync(ResourcePath.Collection(ResourceTypes.Approval, DemoContext.Namespace) + query, cancellationToken);
                return list.Items("items").Cast<JsonElement?>().FirstOrDefault(item => item?.Text("status.decision") is null);
            },
            cancellationToken);
        string approvalName = approval.Text("metadata.name") ?? "";
        string report = Path.Combine(context.WorkspaceFile(agent, "files"), "report.txt");
        bool ranEarly = File.Exists(report);

        string refusal = await TryAsRequesterAsync(context, approvalName, approval.Text("spec.requester") ?? "", cancellationToken);
        string selfApproval = await TryOwnRequestAsync(context, cancellationToken);
        using ApiClient approver = context.ClientAs("user:demo-approver", Role.Approver);
        await DecisionCommand.DecideAsync(approver, DemoContext.Namespace, approvalName, approve: true, "shown in the demo", cancellationToken);
        JsonElement task = await context.WaitForTaskAsync(name, cancellationToken);
        string answer = TaskSubmission.ResultText(task) ?? "";
        return new Observation(
            !ranEarly
            && refusal.StartsWith("403 not_an_approver", StringComparison.Ordinal)
            && selfApproval.StartsWith("403 self_approval", StringComparison.Ordinal)
            && task.Text("status.phase") == "Completed"
            && answer.Contains("approved-and-run", StringComparison.Ordinal)
            && File.Exists(report),
            ("asked", $"{approval.Text("spec.tool")} {approval.Text("spec.summary")}"),
            ("requester", $"{approval.Text("spec.requester")}, given an approver's token, tries to approve: {refusal}"),
            ("own request", $"user:admin, who may decide others' requests, tries to approve one of their own: {selfApproval}"),
            ("approver", "user:demo-approver approves"),
            ("task", $"{task.Text("status.phase")} {task.Text("status.error")}"),
            ("output", answer));
    }

    /// <summary>
    /// An agent is refused because agents never decide; only a person who may decide shows that asking is what disqualifies. The
    /// administrator files a request through the API, tries to approve it, and takes it back.
    /// </summary>
    private static async Task<string> TryOwnRequestAsync(DemoContext context, CancellationToken cancellationToken)
    {
        const string Name = "demo-own-request";
        var request = new ApprovalResource
        {
            Metadata = new ObjectMeta { Name = Name, Namespace = DemoContext.Namespace },
            Spec = new ApprovalSpec
            {
                Kind = "tool",
                SubjectHash = Convert.ToHexStringLower(SHA256.HashData("a request of the administrator"u8)),
                Requester = "user:admin",
                Expires = TimeProvider.System.GetUtcNow().AddMinutes(5),
            },
        };
        string body = Encoding.UTF8.GetString(ResourceJson.Serialize(request));
        await context.Client.SendAsync(HttpMethod.Post, ResourcePath.Collection(ResourceTypes.Approval, DemoContext.Namespace), body, cancellationToken);
        string refusal = await TryAsRequesterAsync(context, Name, "user:admin", cancellationToken);
        await context.Client.SendAsync(
            HttpMethod.Delete, ResourcePath.Object(ResourceTypes.Approval, DemoContext.Namespace, Name), body: null, cancellationToken);
        return refusal;
    }

    /// <summary>What the requester is told, as <c>STATUS code</c>.</summary>
    private static async Task<string> TryAsRequesterAsync(DemoContext context, string approval, string requester, CancellationToken cancellationToken)
    {
        // The administrator has a token already; any other requester gets one that would do, were it not the requester's.
        using ApiClient? own = requester == "user:admin" ? null : context.ClientAs(requester, Role.Approver);
        try
        {
            await DecisionCommand.DecideAsync(own ?? context.Client, DemoContext.Namespace, approval, approve: true, reason: null, cancellationToken);
            return "ACCEPTED";
        }
        catch (ApiException exception) when (exception.Status == HttpStatusCode.Forbidden)
        {
            return $"403 {exception.Code}: {exception.Message}";
        }
    }
}
