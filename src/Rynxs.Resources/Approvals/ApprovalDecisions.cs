using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Approvals;

/// <summary>What became of an attempt to decide.</summary>
public abstract record DecisionOutcome
{
    private DecisionOutcome(string code) => Code = code;

    /// <summary>Stable code for APIs and logs.</summary>
    public string Code { get; }

    /// <summary>The decision was written.</summary>
    public sealed record Decided(ApprovalResource Approval) : DecisionOutcome("decided");

    /// <summary>The requester tried to decide on its own request.</summary>
    public sealed record SelfApproval() : DecisionOutcome("self_approval");

    /// <summary>The principal's roles do not decide, or it is an agent.</summary>
    public sealed record NotAnApprover() : DecisionOutcome("not_an_approver");

    /// <summary>Somebody was first; a decision is written once.</summary>
    public sealed record AlreadyDecided(ApprovalResource Approval) : DecisionOutcome("already_decided");

    /// <summary>Too late: it counts as rejected.</summary>
    public sealed record Expired(ApprovalResource Approval) : DecisionOutcome("expired");
}

/// <summary>The one way in which a person decides an approval.</summary>
public static class ApprovalDecisions
{
    /// <summary>
    /// Decides: only an approver or an administrator, never the requester, never an agent, before the expiry, once.
    /// The store enforces the same rules on every status write, so that no other path is weaker.
    /// </summary>
    /// <param name="client">Give the approver's own client, so that the record of the mutation names the approver.</param>
    /// <param name="id">The approval.</param>
    /// <param name="approver">Who decides.</param>
    /// <param name="approve">True approves, false rejects.</param>
    /// <param name="reason">At most 1024 characters without control characters.</param>
    /// <param name="timeProvider">Clock of the expiry.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="ResourceException"><c>NotFound</c>, <c>Invalid</c> (reason), <c>StoreUnavailable</c>.</exception>
    public static async Task<DecisionOutcome> DecideAsync(
        IResourceClient client,
        NamespacedName id,
        Principal approver,
        bool approve,
        string? reason,
        TimeProvider timeProvider,
        CancellationToken cancellationToken)
    {
        ApprovalResource approval = await client.GetAsync<ApprovalResource>(id, cancellationToken);
        if (approver.Roles.Contains(Role.Agent) || approver.Name.StartsWith("agent:", StringComparison.Ordinal))
            return new DecisionOutcome.NotAnApprover();
        if (AccessRules.Decide(approver, ResourceVerb.UpdateStatus, ResourceTypes.Approval, id.Namespace) != Access.Allowed)
            return new DecisionOutcome.NotAnApprover();
        if (approver.Name == approval.Spec.Requester)
            return new DecisionOutcome.SelfApproval();

        while (approval.Status?.Decision is null)
        {
            DateTimeOffset now = timeProvider.GetUtcNow();
            if (now >= approval.Spec.Expires)
                return new DecisionOutcome.Expired(approval);

            ApprovalResource decided = approval with
            {
                Status = new ApprovalStatus
                {
                    Decision = approve ? "Approved" : "Rejected",
                    Approver = approver.Name,
                    DecidedAt = now,
                    Reason = reason,
                },
            };
            try
            {
                // The version read above goes along, so that of two approvers one loses.
                return new DecisionOutcome.Decided(await client.UpdateStatusAsync(decided, cancellationToken));
            }
            catch (ResourceException e) when (e.Reason == ResourceErrorReason.Conflict)
            {
                // Somebody changed the object, perhaps only a label: look again whether a decision is there.
                approval = await client.GetAsync<ApprovalResource>(id, cancellationToken);
            }
        }

        return approval.Status.Decision == "Expired" ? new DecisionOutcome.Expired(approval) : new DecisionOutcome.AlreadyDecided(approval);
    }
}
