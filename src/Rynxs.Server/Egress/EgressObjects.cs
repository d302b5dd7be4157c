using Rynxs.Gateway.Egress;
using Rynxs.Policy.Egress;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Client;
using Rynxs.Resources.Egress;
using Rynxs.Resources.Meta;
using Rynxs.Server.State;

namespace Rynxs.Server.Egress;

/// <summary>Reads the objects that decide about one sandbox's way out, and compiles them.</summary>
internal sealed class EgressObjects(IResourceClient resources, IReadOnlyList<AddressRange> opened, TimeProvider timeProvider)
{
    /// <summary>Label of the Approval that the server made for an EgressApproval: its uid. Another object of the same name cannot use the decision.</summary>
    public const string UidLabel = "rynxs.universe.ai/egress-approval";

    /// <summary>What an agent may reach now.</summary>
    public async Task<CompiledEgress> CompileAsync(EgressSubjectOf subject, CancellationToken cancellationToken)
    {
        AgentResource? agent = Labels.IsDnsLabel(subject.AgentId)
            ? await resources.TryGetAsync<AgentResource>(new NamespacedName(subject.Namespace, subject.AgentId), cancellationToken)
            : null;
        IReadOnlyList<EgressPolicyResource> all = (await resources.ListAsync<EgressPolicyResource>(new ResourceQuery { Namespace = subject.Namespace }, cancellationToken)).Items;
        IReadOnlyList<string> named = agent?.Spec.Network.EgressPolicies ?? [];
        EgressPolicyResource[] policies = [.. all.Where(policy => named.Contains(policy.Metadata.Name) || EgressCompiler.Selects(policy, subject.AgentId, agent, subject.IsExecution))];
        List<EgressLayer> layers = [.. policies.Select(EgressCompiler.Layer)];
        layers.AddRange(named.Where(name => policies.All(policy => policy.Metadata.Name != name)).Select(EgressCompiler.Closed));
        if (agent is not null && EgressCompiler.OwnList(agent) is { } own)
        {
            layers.Add(own);
        }

        bool isGoverned = layers.Count > 0;
        if (subject.Mode == EgressMode.Full)
        {
            layers.Add(EgressCompiler.Everything);
        }

        int maxTtl = policies.Select(policy => policy.Spec.Approvals.MaxTtlSeconds).DefaultIfEmpty(EgressApprovalSpec.MaxTtlSeconds).Min();
        return new CompiledEgress(
            new EgressPolicyModel { Layers = layers, Grants = await GrantsAsync(subject, maxTtl, cancellationToken), OpenedAddresses = opened }, EgressCompiler.Limits(policies), isGoverned);
    }

    /// <summary>Until when an approval is open: null when it is not, whatever its own status says. The Approval alone permits.</summary>
    public static DateTimeOffset? OpenUntil(EgressApprovalResource asked, ApprovalResource? approval, int maxTtlSeconds = EgressApprovalSpec.MaxTtlSeconds) =>
        approval is { Spec.Kind: "egress", Status: { Decision: "Approved", Approver: { Length: > 0 } approver, DecidedAt: { } decided } }
        && IsFor(approval, asked) && approver != asked.Spec.Requester && approver != approval.Spec.Requester && decided < approval.Spec.Expires
            ? decided.AddSeconds(Math.Clamp(Math.Min(asked.Spec.TtlSeconds, maxTtlSeconds), 0, EgressApprovalSpec.MaxTtlSeconds))
            : null;

    /// <summary>Whether the Approval was made for this very object and subject.</summary>
    public static bool IsFor(ApprovalResource approval, EgressApprovalResource asked) =>
        approval.Spec.Kind == "egress"
        && approval.Spec.SubjectHash == EgressSubject.Hash(asked.Metadata.Namespace, asked.Spec)
        && approval.Spec.Requester == asked.Spec.Requester
        && approval.Metadata.Labels.TryGetValue(UidLabel, out string? uid) && uid == asked.Metadata.Uid && uid.Length > 0;

    private async Task<IReadOnlyList<EgressRule>> GrantsAsync(EgressSubjectOf subject, int maxTtl, CancellationToken cancellationToken)
    {
        if (!Labels.IsDnsLabel(subject.AgentId))
        {
            return [];
        }

        IReadOnlyList<EgressApprovalResource> asked = (await resources.ListAsync<EgressApprovalResource>(
            new ResourceQuery { Namespace = subject.Namespace, FieldSelector = $"spec.agent={subject.AgentId}" }, cancellationToken)).Items;
        List<EgressRule> grants = [];
        foreach (EgressApprovalResource one in asked)
        {
            ApprovalResource? approval = await resources.TryGetAsync<ApprovalResource>(one.Id, cancellationToken);
            if (OpenUntil(one, approval, maxTtl) is { } until && until > timeProvider.GetUtcNow())
            {
                grants.AddRange(EgressCompiler.Grants(one, until));
            }
        }

        return grants;
    }
}

/// <summary>Whose way out.</summary>
/// <param name="Namespace">Of the agent.</param>
/// <param name="AgentId">Name of an Agent object, or an id of the execute API without one.</param>
/// <param name="Mode">What was asked for.</param>
/// <param name="IsExecution">Of a program of the execute API.</param>
internal sealed record EgressSubjectOf(string Namespace, string AgentId, EgressMode Mode, bool IsExecution);

/// <summary>How much of a network a sandbox was asked for with.</summary>
internal enum EgressMode
{
    /// <summary>No way out.</summary>
    None,

    /// <summary>What policies and approvals allow.</summary>
    Restricted,

    /// <summary>Every public host that no policy forbids.</summary>
    Full,
}

/// <param name="Model">What is decided by.</param>
/// <param name="Limits">Of a sandbox that begins now.</param>
/// <param name="IsGoverned">Whether anything applies at all; without it an agent's sandbox gets no way out.</param>
internal sealed record CompiledEgress(EgressPolicyModel Model, EgressLimits Limits, bool IsGoverned);
