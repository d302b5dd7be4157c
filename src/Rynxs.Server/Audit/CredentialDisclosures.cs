using System.Diagnostics;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Server.Audit;

/// <summary>Who got which credential.</summary>
/// <param name="AgentNamespace">Namespace of the agent on whose behalf.</param>
/// <param name="AgentId">The agent.</param>
/// <param name="Credential">Name of the credential, such as <c>Secret rynxs/openai key api-key</c>; never the credential itself.</param>
/// <param name="Recipient">Where it went: a host, a sandbox, a provider.</param>
/// <param name="Purpose">What for.</param>
/// <param name="Rule">The rule that allowed it, when there was one.</param>
/// <param name="CallId">The call in which it happened, when there is one.</param>
internal sealed record Disclosure(string AgentNamespace, string AgentId, string Credential, string Recipient, string Purpose, string? Rule = null, string? CallId = null);

/// <summary>
/// Records on the agent's chain that a credential leaves us. The record is durable when this returns, so whoever injects a credential calls it first and
/// injects nothing when it throws: no credential leaves that the log does not know.
/// </summary>
internal sealed class CredentialDisclosures(AgentChains chains)
{
    private const int MaxNameLength = 512;

    /// <exception cref="LedgerUnavailableException">It is not on the record: the credential must stay here.</exception>
    /// <exception cref="ArgumentException">A text is empty or longer than 512 characters: names belong here, not what they stand for.</exception>
    public async Task RecordAsync(Disclosure disclosure, string principal, CancellationToken cancellationToken)
    {
        foreach (string? name in new[] { disclosure.Credential, disclosure.Recipient, disclosure.Purpose, disclosure.Rule ?? "-", disclosure.CallId ?? "-" })
        {
            if (name is not { Length: > 0 and <= MaxNameLength })
            {
                throw new ArgumentException($"Each text of a disclosure has 1 to {MaxNameLength} characters.", nameof(disclosure));
            }
        }

        ILedgerChain chain = await chains.OpenAsync(disclosure.AgentNamespace, AgentChains.ChainNameOf(disclosure.AgentId), cancellationToken);
        await chain.AppendAsync(
            new LedgerEntry
            {
                Payload = new CredentialDisclosed
                {
                    Credential = disclosure.Credential, Recipient = disclosure.Recipient, Purpose = disclosure.Purpose, Rule = disclosure.Rule, CallId = disclosure.CallId,
                },
                AggregateId = $"{disclosure.AgentNamespace}/{disclosure.AgentId}",
                Principal = principal,
                TraceId = Activity.Current?.TraceId.ToHexString(),
            },
            cancellationToken);
    }
}
