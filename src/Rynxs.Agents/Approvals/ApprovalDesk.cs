using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Rynxs.Agents.Loop;
using Rynxs.Ledger.Events;
using Rynxs.Policy;
using Rynxs.Policy.Approvals;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;

namespace Rynxs.Agents.Approvals;

/// <summary>Asks people on behalf of one agent, and waits for their decision.</summary>
internal sealed class ApprovalDesk(
    IResourceClient resources, NamespacedName agent, string requester, TimeProvider timeProvider, TimeSpan lifetime, int maxOpen)
{
    private const int MaxSummaryBytes = 4096;

    /// <summary>How a question ended.</summary>
    internal abstract record Answer
    {
        private Answer()
        {
        }

        public sealed record Granted(string Approval, GrantedApproval Grant) : Answer;

        public sealed record Refused(string Code, string Message) : Answer;
    }

    /// <summary>
    /// Asks once for this very call and waits. The name of the Approval follows from the call, so asking again after a restart finds the
    /// question that is already open.
    /// </summary>
    public async Task<Answer> AskAsync(string callId, ToolCall call, string? task, AuditTrail audit, CancellationToken cancellationToken)
    {
        string subject = ApprovalSubject.Hash(call);
        var id = new NamespacedName(agent.Namespace, NameOf(callId, subject));
        ApprovalResource? approval = await resources.TryGetAsync<ApprovalResource>(id, cancellationToken);
        if (approval is null)
        {
            if (await CountOpenAsync(cancellationToken) >= maxOpen)
            {
                return new Answer.Refused("too_many_approvals", $"There are {maxOpen} open approvals of this agent; no more are asked for.");
            }

            approval = await CreateAsync(id, callId, call, subject, task, audit, cancellationToken);
        }

        if (approval.Spec.SubjectHash != subject || approval.Spec.Requester != requester)
        {
            return new Answer.Refused("approval_mismatch", "An approval of that name exists for another subject.");
        }

        ApprovalResource decided = await WaitAsync(approval, cancellationToken);
        return await ConcludeAsync(decided, subject, audit, cancellationToken);
    }

    /// <summary>RFC 1123 label that follows from agent, call and subject.</summary>
    internal string NameOf(string callId, string subject) =>
        $"approval-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{agent}\n{callId}\n{subject}")))[..24]}";

    private async Task<ApprovalResource> CreateAsync(
        NamespacedName id, string callId, ToolCall call, string subject, string? task, AuditTrail audit, CancellationToken cancellationToken)
    {
        DateTimeOffset expires = timeProvider.GetUtcNow() + lifetime;
        var approval = new ApprovalResource
        {
            Metadata = new ObjectMeta
            {
                Name = id.Name,
                Namespace = id.Namespace,
                Labels = new Dictionary<string, string> { ["rynxs.universe.ai/agent"] = agent.Name },
            },
            Spec = new ApprovalSpec
            {
                Kind = "tool",
                SubjectHash = subject,
                Requester = requester,
                Expires = expires,
                Agent = agent.Name,
                Tool = call.Tool,
                Summary = Visible(call.Arguments.GetRawText()),
                Task = task,
            },
        };

        // The question is on the record before anyone can see it.
        await audit.AppendAsync(
            new ApprovalRequested
            {
                Approval = id.Name,
                CallId = callId,
                Tool = call.Tool,
                SubjectHash = subject,
                Expires = expires.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture),
            },
            cancellationToken);
        try
        {
            return await resources.CreateAsync(approval, cancellationToken);
        }
        catch (ResourceException taken) when (taken.Reason == ResourceErrorReason.AlreadyExists)
        {
            return await resources.GetAsync<ApprovalResource>(id, cancellationToken);
        }
    }

    private async Task<int> CountOpenAsync(CancellationToken cancellationToken)
    {
        ResourceList<ApprovalResource> all = await resources.ListAsync<ApprovalResource>(
            new ResourceQuery { Namespace = agent.Namespace, LabelSelector = $"rynxs.universe.ai/agent={agent.Name}" }, cancellationToken);
        DateTimeOffset now = timeProvider.GetUtcNow();
        return all.Items.Count(approval => approval.Status?.Decision is null && approval.Spec.Expires > now);
    }

    /// <summary>Until it is decided, deleted or expired; the last version that was seen.</summary>
    private async Task<ApprovalResource> WaitAsync(ApprovalResource approval, CancellationToken cancellationToken)
    {
        TimeSpan left = approval.Spec.Expires - timeProvider.GetUtcNow();
        if (approval.Status?.Decision is not null || left <= TimeSpan.Zero)
        {
            return approval;
        }

        using var expiry = new CancellationTokenSource(left, timeProvider);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, expiry.Token);
        try
        {
            return await WatchAsync(approval, linked.Token);
        }
        catch (OperationCanceledException) when (expiry.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            // Decided at the last moment counts; the expiry of the spec is compared again when concluding.
            return await resources.TryGetAsync<ApprovalResource>(approval.Id, cancellationToken) ?? approval;
        }
    }

    private async Task<ApprovalResource> WatchAsync(ApprovalResource approval, CancellationToken cancellationToken)
    {
        while (true)
        {
            var query = new ResourceQuery { Namespace = approval.Id.Namespace, FieldSelector = $"metadata.name={approval.Id.Name}" };
            ResourceList<ApprovalResource> now = await resources.ListAsync<ApprovalResource>(query, cancellationToken);
            if (now.Items is not [var current] || current.Metadata.Uid != approval.Metadata.Uid)
            {
                return approval with { Status = new ApprovalStatus { Decision = "Rejected", Reason = "deleted" } };
            }

            if (current.Status?.Decision is not null)
            {
                return current;
            }

            try
            {
                await foreach (WatchEvent<ApprovalResource> change in resources.WatchAsync<ApprovalResource>(query, now.ResourceVersion, cancellationToken))
                {
                    if (change.Type == WatchEventType.Deleted || change.Resource.Status?.Decision is not null)
                    {
                        break; // Read again: what the list says counts.
                    }
                }
            }
            catch (ResourceException gone) when (gone.Reason == ResourceErrorReason.Gone)
            {
                // The history was cut; the list at the top starts over.
            }

            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    private async Task<Answer> ConcludeAsync(ApprovalResource approval, string subject, AuditTrail audit, CancellationToken cancellationToken)
    {
        ApprovalStatus status = approval.Status ?? new ApprovalStatus();
        bool expired = timeProvider.GetUtcNow() >= approval.Spec.Expires;
        string decision = status.Decision switch
        {
            null => "Expired",
            "Approved" when expired => "Expired",
            "Approved" when approval.Spec.SubjectHash != subject || string.IsNullOrEmpty(status.Approver) || status.Approver == requester => "Rejected",
            "Approved" => "Approved",
            "Expired" => "Expired",
            _ => "Rejected",
        };
        await audit.AppendAsync(
            new ApprovalDecided
            {
                Approval = approval.Metadata.Name,
                Decision = decision,
                SubjectHash = subject,
                Approver = status.Approver ?? "",
            },
            cancellationToken);
        if (status.Decision is null)
        {
            await MarkExpiredAsync(approval, cancellationToken);
        }

        return decision switch
        {
            "Approved" => new Answer.Granted(approval.Metadata.Name, new GrantedApproval(subject, approval.Spec.Expires)),
            "Expired" => new Answer.Refused("approval_expired", "Nobody approved this call in time."),
            _ when status.Approver == requester => new Answer.Refused("self_approval", "Who asks cannot approve."),
            _ => new Answer.Refused("approval_rejected", "This call was not approved."),
        };
    }

    private async Task MarkExpiredAsync(ApprovalResource approval, CancellationToken cancellationToken)
    {
        try
        {
            await resources.UpdateStatusAsync(
                approval with { Status = new ApprovalStatus { Decision = "Expired", DecidedAt = timeProvider.GetUtcNow(), Reason = "nobody decided in time" } },
                cancellationToken);
        }
        catch (ResourceException raced) when (raced.Reason is ResourceErrorReason.Conflict or ResourceErrorReason.NotFound or ResourceErrorReason.Invalid or ResourceErrorReason.Forbidden)
        {
            // Decided or deleted at the same moment: too late either way, and the record above says so.
        }
    }

    /// <summary>For the eyes of an approver: nothing that moves the cursor or reorders text.</summary>
    internal static string Visible(string text)
    {
        var visible = new StringBuilder();
        int bytes = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            string piece = Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate
                or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse
                ? $"\\u{{{rune.Value:x}}}"
                : rune.ToString();
            bytes += Encoding.UTF8.GetByteCount(piece);
            if (bytes > MaxSummaryBytes - 16)
            {
                return visible.Append(" … [cut]").ToString();
            }

            visible.Append(piece);
        }

        return visible.ToString();
    }
}
