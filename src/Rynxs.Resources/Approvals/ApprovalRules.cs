using System.Text.RegularExpressions;
using Rynxs.Resources.Client;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Approvals;

/// <summary>Rules of an Approval, those of its decision included (threat catalogue E5).</summary>
internal static partial class ApprovalRules
{
    public const int MaxReasonLength = 1024;

    public static void Check(ApprovalResource approval, Rules rules)
    {
        ApprovalSpec spec = approval.Spec;
        rules.OneOf("spec.kind", spec.Kind, "tool", "egress");
        if (!HashForm().IsMatch(spec.SubjectHash))
            rules.Invalid("spec.subjectHash", spec.SubjectHash, "a SHA-256 in 64 lower case hexadecimal digits is due");
        rules.Line("spec.requester", spec.Requester, 256);
        rules.Name("spec.agent", spec.Agent);
        rules.Line("spec.tool", spec.Tool, 128);
        rules.Text("spec.summary", spec.Summary, 4096);
        rules.Name("spec.task", spec.Task);
        if (approval.Status is not { } status)
            return;

        if (status.Decision is not null)
            rules.OneOf("status.decision", status.Decision, "Approved", "Rejected", "Expired");
        rules.Line("status.approver", status.Approver, 256);
        rules.Line("status.reason", status.Reason, MaxReasonLength, minLength: 0);
        if (status.Decision is "Approved" or "Rejected")
        {
            if (status.Approver is null)
                rules.Add("status.approver", FieldErrorCodes.Required, "Required value: who decided");
            else if (status.Approver == spec.Requester)
                rules.Add("status.approver", FieldErrorCodes.Forbidden, "Forbidden: who requests never approves");
            else if (status.Approver.StartsWith("agent:", StringComparison.Ordinal))
                rules.Add("status.approver", FieldErrorCodes.Forbidden, "Forbidden: agents decide no approvals");
            if (status.DecidedAt is null)
                rules.Add("status.decidedAt", FieldErrorCodes.Required, "Required value: when it was decided");
            else if (status.Decision == "Approved" && status.DecidedAt >= spec.Expires)
                rules.Add("status.decidedAt", FieldErrorCodes.Forbidden, "Forbidden: the approval had expired, which counts as rejected");
        }
    }

    public static void CheckTransition(ApprovalResource before, ApprovalResource after, Rules rules)
    {
        if (!Transitions.Same(before, after, "spec"))
            rules.Add("spec", FieldErrorCodes.Forbidden, "Forbidden: an approval's spec is immutable; make another approval");
        if (before.Status?.Decision is { } decision && !Transitions.Same(before, after, "status"))
            rules.Add("status.decision", FieldErrorCodes.Forbidden, $"Forbidden: a decision is written once, and it is {decision}");
    }

    [GeneratedRegex(@"\A[0-9a-f]{64}\z")]
    private static partial Regex HashForm();
}
