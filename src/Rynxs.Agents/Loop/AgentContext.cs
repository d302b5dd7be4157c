using Rynxs.Agents.Approvals;
using Rynxs.Agents.Providers;
using Rynxs.Agents.Tools;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Meta;

namespace Rynxs.Agents.Loop;

/// <summary>What work on any message of one agent needs; fixed for one generation of its spec.</summary>
internal sealed record AgentContext
{
    public required NamespacedName Agent { get; init; }
    public required AgentSpec Spec { get; init; }
    public required IModelProvider Provider { get; init; }
    public required ToolRegistry Tools { get; init; }
    public required AgentSandbox Sandbox { get; init; }
    public required AuditTrail Audit { get; init; }
    public required ApprovalDesk Approvals { get; init; }
    public required PolicyGate Gate { get; init; }

    /// <summary>Brings <see cref="Gate"/> up to date with the universe; fails closed.</summary>
    public required Func<CancellationToken, Task> RefreshPolicyAsync { get; init; }
    public required string JournalPath { get; init; }
    public required TimeProvider TimeProvider { get; init; }
}
