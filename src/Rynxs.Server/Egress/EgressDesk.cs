using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Client;
using Rynxs.Resources.Egress;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Server.Audit;
using Rynxs.Server.State;

namespace Rynxs.Server.Egress;

/// <summary>
/// Turns denials into questions, makes the Approval that decides each EgressApproval, and says in its status what became of it. It decides nothing and permits
/// nothing: what the gateway enforces is read from the Approval itself.
/// </summary>
internal sealed partial class EgressDesk(IResourceClient resources, AgentChains chains, EgressLedger ledger, TimeProvider timeProvider, ILogger<EgressDesk> logger)
{
    /// <summary>Open questions of one agent that the server asks by itself; more denials are not offered.</summary>
    internal const int MaxOpenPerAgent = 16;

    /// <summary>How long a question is open; afterwards it counts as rejected.</summary>
    internal static readonly TimeSpan QuestionLifetime = TimeSpan.FromHours(24);

    /// <summary>Offers denials for as long as the server runs.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await foreach (DeniedRequest denied in ledger.Offers.ReadAllAsync(cancellationToken))
        {
            try
            {
                await OfferAsync(denied, cancellationToken);
            }
            catch (Exception failed) when (failed is ResourceException or LedgerUnavailableException)
            {
                // The denial holds and is on the record; the next of its kind is offered in a minute.
                LogNotOffered(failed, denied.Host.Text);
            }
        }
    }

    /// <summary>Makes the question, unless it is open, or was answered with no.</summary>
    internal async Task OfferAsync(DeniedRequest denied, CancellationToken cancellationToken)
    {
        if (!Labels.IsDnsLabel(denied.Subject.AgentId))
        {
            return; // An id without a label's form has no objects.
        }

        var id = new NamespacedName(denied.Subject.Namespace, NameOf(denied));
        if (await resources.TryGetAsync<EgressApprovalResource>(id, cancellationToken) is { } known)
        {
            if (known.Status?.Phase != "Expired")
            {
                return;
            }

            await resources.DeleteAsync<EgressApprovalResource>(id, known.Metadata.ResourceVersion, cancellationToken);
        }

        int open = (await resources.ListAsync<EgressApprovalResource>(
            new ResourceQuery { Namespace = id.Namespace, FieldSelector = $"spec.agent={denied.Subject.AgentId}" }, cancellationToken)).Items.Count(one => one.Status?.Phase is null or "Pending");
        if (open >= MaxOpenPerAgent)
        {
            ledger.OfferDropped();
            return;
        }

        await resources.CreateAsync(
            new EgressApprovalResource
            {
                Metadata = new ObjectMeta { Name = id.Name, Namespace = id.Namespace },
                Spec = new EgressApprovalSpec
                {
                    Agent = denied.Subject.AgentId,
                    Hosts = [new EgressApprovalHost { Host = denied.Host.Text, Port = denied.Port, Protocol = EgressLedger.Name(denied.Protocol) }],
                    Reason = "denied; offered by the gateway",
                    Requester = Principal.ForAgent(denied.Subject.Namespace, denied.Subject.AgentId).Name,
                },
            },
            cancellationToken);
    }

    /// <summary>One look at all of them. Returns when the next one ends.</summary>
    public async Task<DateTimeOffset?> PassAsync(CancellationToken cancellationToken)
    {
        DateTimeOffset? next = null;
        foreach (EgressApprovalResource asked in (await resources.ListAsync<EgressApprovalResource>(new ResourceQuery(), cancellationToken)).Items)
        {
            if (asked.Status?.Phase is "Denied" or "Expired")
            {
                continue;
            }

            try
            {
                DateTimeOffset? ends = await FollowAsync(asked, cancellationToken);
                next = ends is { } end && (next is null || end < next) ? end : next;
            }
            catch (ResourceException raced) when (raced.Reason is ResourceErrorReason.Conflict or ResourceErrorReason.NotFound or ResourceErrorReason.AlreadyExists)
            {
                // Somebody changed it meanwhile; the change wakes the next pass.
                LogRaced(asked.Id.ToString(), raced.Reason);
            }
        }

        return next;
    }

    internal static string NameOf(DeniedRequest denied) => "egress-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(
        string.Create(CultureInfo.InvariantCulture, $"{denied.Subject.Namespace}/{denied.Subject.AgentId}\n{EgressLedger.Name(denied.Protocol)} {denied.Host.Text}:{denied.Port}"))))[..20];

    private async Task<DateTimeOffset?> FollowAsync(EgressApprovalResource asked, CancellationToken cancellationToken)
    {
        ApprovalResource? approval = await resources.TryGetAsync<ApprovalResource>(asked.Id, cancellationToken);
        if (approval is not null && !EgressObjects.IsFor(approval, asked))
        {
            if (approval.Spec.Kind != "egress")
            {
                return null; // A tool's question has that name; this one is never asked and never opens anything.
            }

            // Made for an object of this name that is gone: its decision must not be this one's (replay, E5).
            await resources.DeleteAsync<ApprovalResource>(asked.Id, approval.Metadata.ResourceVersion, cancellationToken);
            approval = null;
        }

        approval ??= await AskAsync(asked, cancellationToken);
        DateTimeOffset now = timeProvider.GetUtcNow();
        DateTimeOffset? until = EgressObjects.OpenUntil(asked, approval);
        (string phase, DateTimeOffset? next) = until is { } end ? (end > now ? "Active" : "Expired", end)
            : approval.Status?.Decision is "Rejected" ? ("Denied", (DateTimeOffset?)null)
            : approval.Status?.Decision is "Expired" || now >= approval.Spec.Expires ? ("Expired", null)
            : approval.Status?.Decision is not null ? ("Denied", null)
            : ("Pending", approval.Spec.Expires);
        if (asked.Status?.Phase == phase)
        {
            return next;
        }

        if (phase != "Pending" && (asked.Status?.Phase is null or "Pending"))
        {
            await RecordAsync(asked, new ApprovalDecided
            {
                Approval = asked.Metadata.Name, SubjectHash = approval.Spec.SubjectHash, Approver = approval.Status?.Approver ?? "",
                Decision = phase switch { "Active" => "Approved", "Denied" => "Rejected", _ => "Expired" },
            }, cancellationToken);
        }

        if (approval.Status?.Decision is null && phase == "Expired")
        {
            await resources.UpdateStatusAsync(
                approval with { Status = new ApprovalStatus { Decision = "Expired", DecidedAt = now, Reason = "nobody decided in time" } }, cancellationToken);
        }

        await resources.UpdateStatusAsync(
            asked with { Status = new EgressApprovalStatus { Phase = phase, Approver = approval.Status?.Approver, DecidedAt = approval.Status?.DecidedAt, ExpiresAt = until } }, cancellationToken);
        LogPhase(asked.Id.ToString(), phase);
        return next;
    }

    private async Task<ApprovalResource> AskAsync(EgressApprovalResource asked, CancellationToken cancellationToken)
    {
        DateTimeOffset expires = timeProvider.GetUtcNow() + QuestionLifetime;
        string subject = EgressSubject.Hash(asked.Metadata.Namespace, asked.Spec);

        // The question is on the record before anyone can answer it.
        await RecordAsync(asked, new ApprovalRequested
        {
            Approval = asked.Metadata.Name, CallId = asked.Metadata.Uid ?? "", Tool = "egress", SubjectHash = subject,
            Expires = expires.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture),
        }, cancellationToken);
        string hosts = string.Join(", ", asked.Spec.Hosts.Select(host => string.Create(CultureInfo.InvariantCulture, $"{host.Protocol} {host.Host}:{host.Port}")));
        return await resources.CreateAsync(
            new ApprovalResource
            {
                Metadata = new ObjectMeta
                {
                    Name = asked.Metadata.Name, Namespace = asked.Metadata.Namespace,
                    Labels = new Dictionary<string, string> { [EgressObjects.UidLabel] = asked.Metadata.Uid ?? "" },
                },
                Spec = new ApprovalSpec
                {
                    Kind = "egress", SubjectHash = subject, Requester = asked.Spec.Requester, Expires = expires, Agent = asked.Spec.Agent, Tool = "egress",
                    Summary = $"{hosts} for {TimeSpan.FromSeconds(asked.Spec.TtlSeconds)}: {asked.Spec.Reason}",
                },
            },
            cancellationToken);
    }

    private async Task RecordAsync(EgressApprovalResource asked, LedgerPayload payload, CancellationToken cancellationToken)
    {
        ILedgerChain chain = await chains.OpenAsync(asked.Metadata.Namespace, asked.Spec.Agent, cancellationToken);
        await chain.AppendAsync(
            new LedgerEntry { Payload = payload, AggregateId = $"{asked.Metadata.Namespace}/{asked.Spec.Agent}", Principal = asked.Spec.Requester }, cancellationToken);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The denial of {Host} could not be offered for approval")]
    private partial void LogNotOffered(Exception exception, string host);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Approval} changed meanwhile: {Reason}")]
    private partial void LogRaced(string approval, ResourceErrorReason reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Egress approval {Approval} is {Phase}")]
    private partial void LogPhase(string approval, string phase);
}
