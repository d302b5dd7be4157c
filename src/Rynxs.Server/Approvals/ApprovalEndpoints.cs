using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;
using Rynxs.Server.Agents;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;
using Rynxs.Server.State;

namespace Rynxs.Server.Approvals;

/// <summary>Where people decide approvals. The store enforces the same rules on every other way to write one.</summary>
internal static class ApprovalEndpoints
{
    public static void MapApprovals(this IEndpointRouteBuilder endpoints, ResourceStore store, TimeProvider timeProvider)
    {
        endpoints.MapPost("/api/v1/namespaces/{ns}/approvals/{name}/decision", async (HttpContext context, string ns, string name) =>
        {
            string what = $"Approval '{ns}/{name}'";
            if (!Labels.IsDnsLabel(ns) || !Labels.IsDnsLabel(name))
            {
                throw new ProblemException(Problem.NotFound("Approval"));
            }

            Principal principal = RequestAccess.RequireIn(context, ns, what, RequestAccess.Readers);
            DecisionBody body = await RequestBody.ReadJsonAsync(context, ServerJson.Default.DecisionBody, 16 * 1024, context.RequestAborted);
            bool approve = body.Decision switch
            {
                "approve" => true,
                "reject" => false,
                _ => throw new ProblemException(new Problem(
                    StatusCodes.Status422UnprocessableEntity, "unsupported_value", "'approve' or 'reject'.", "decision")),
            };
            DecisionOutcome outcome = await ApprovalDecisions.DecideAsync(
                store.For(principal), new NamespacedName(ns, name), principal, approve, body.Reason, timeProvider, context.RequestAborted);
            return outcome switch
            {
                DecisionOutcome.Decided decided => Results.Bytes(ResourceJson.Serialize(decided.Approval), "application/json"),
                DecisionOutcome.SelfApproval => new Problem(StatusCodes.Status403Forbidden, outcome.Code, "Who asked cannot decide."),
                DecisionOutcome.NotAnApprover => new Problem(StatusCodes.Status403Forbidden, outcome.Code, "The token's roles do not decide approvals."),
                DecisionOutcome.AlreadyDecided already => new Problem(
                    StatusCodes.Status409Conflict, outcome.Code, $"The approval was already decided: {already.Approval.Status?.Decision}."),
                DecisionOutcome.Expired => new Problem(StatusCodes.Status409Conflict, outcome.Code, "The approval has expired and counts as rejected."),
                _ => throw new System.Diagnostics.UnreachableException(),
            };
        });
    }
}

