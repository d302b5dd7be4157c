using Rynxs.Resources.Meta;
using Rynxs.Sandbox.Images;

namespace Rynxs.Agents.Lifecycle;

/// <summary>What an agent's loop is doing.</summary>
public enum AgentRuntimeState
{
    Starting,

    /// <summary>Takes messages.</summary>
    Running,

    /// <summary>The spec says so: messages wait.</summary>
    Suspended,

    /// <summary>Something it needs is unavailable (the ledger, a sandbox); it backs off and tries again.</summary>
    Degraded,
    Stopped,
}

/// <summary>A snapshot of one agent's loop, for health and status.</summary>
/// <param name="Agent">Whose.</param>
/// <param name="State">What it does.</param>
/// <param name="Detail">Why, when degraded. No secrets.</param>
/// <param name="PendingMessages">Accepted and not answered.</param>
/// <param name="CurrentMessage">Id of the message it works on.</param>
/// <param name="Sandbox">Id of its sandbox, when one is up.</param>
public sealed record AgentRuntimeStatus(
    NamespacedName Agent, AgentRuntimeState State, string? Detail, int PendingMessages, string? CurrentMessage, string? Sandbox);

/// <summary>Which root filesystem an agent's sandboxes use.</summary>
/// <param name="Descriptor">The one really used.</param>
/// <param name="Substituted">The image asked for cannot be had; the built-in one stands in (condition <c>ImageResolved=False/Substituted</c>).</param>
/// <param name="Requested">What the spec asked for; null for the built-in one.</param>
/// <param name="Reason">Why it was substituted; empty otherwise.</param>
public sealed record AgentImage(ImageDescriptor Descriptor, bool Substituted, string? Requested, string Reason);
