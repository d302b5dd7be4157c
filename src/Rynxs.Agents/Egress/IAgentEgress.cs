using Rynxs.Resources.Meta;
using Rynxs.Sandbox.Egress;

namespace Rynxs.Agents.Egress;

/// <summary>The gateway, as agents need it. Given by the process that hosts them.</summary>
public interface IAgentEgress
{
    /// <summary>The way out of an agent's sandbox that is about to be made; null when no policy speaks of the agent, and it has none.</summary>
    Task<ISandboxEgress?> OfSandboxAsync(NamespacedName agent, CancellationToken cancellationToken);

    /// <summary>HTTP in the agent's name: every request is decided on, recorded and limited like those of its sandbox. The caller does not dispose it.</summary>
    Task<HttpMessageInvoker> FetcherAsync(NamespacedName agent, CancellationToken cancellationToken);
}
