using System.Security.Cryptography;
using System.Text;
using Rynxs.Ledger;
using Rynxs.Server.State;

namespace Rynxs.Server.Audit;

/// <summary>Opens the audit chains of agents, each with its mirror beside the agent's workspace.</summary>
internal sealed class AgentChains(ILedger ledger, AgentWorkspaces workspaces)
{
    /// <summary>The chain of an agent, for appending; created when it is the first record about that agent.</summary>
    public async Task<ILedgerChain> OpenAsync(string agentNamespace, string chainName, CancellationToken cancellationToken)
    {
        string directory = workspaces.EnsureAgentDirectory(agentNamespace, chainName);
        return await ledger.OpenAsync(
            ChainId.Agent(agentNamespace, chainName), new ChainOptions { MirrorPath = Path.Combine(directory, "audit.jsonl") }, cancellationToken);
    }

    /// <summary>The chain when it exists, else null: reading creates nothing.</summary>
    public async Task<ILedgerChain?> TryOpenExistingAsync(string agentNamespace, string chainName, CancellationToken cancellationToken) =>
        ledger.ListChains().Contains(ChainId.Agent(agentNamespace, chainName))
            ? await OpenAsync(agentNamespace, chainName, cancellationToken)
            : null;

    /// <summary>
    /// Name of the chain for an agent id. Ids that are labels name their chain; the wider form that the execute API takes
    /// (<c>test_agent</c>) becomes a label with a digest behind it, so that two ids never meet in one chain by accident.
    /// </summary>
    public static string ChainNameOf(string agentId)
    {
        if (Labels.IsDnsLabel(agentId))
        {
            return agentId;
        }

        string digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(agentId)))[..16];
        string readable = new([.. agentId.ToLowerInvariant().Select(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) ? c : '-').Take(40)]);
        return $"x-{readable.Trim('-')}-{digest}";
    }
}
