using Rynxs.Ledger.Events;
using Rynxs.Operator.Control;
using Rynxs.Resources.Agents;

namespace Rynxs.Operator.Agents;

/// <summary>Brings decided actions about: on this host (Server) or in a cluster. Every action is idempotent.</summary>
public interface IActionExecutor
{
    /// <summary>Runs one action. What is expected to go wrong is a result, not an exception.</summary>
    /// <param name="action">The decided action.</param>
    /// <param name="agent">The agent as observed when it was decided; without status.</param>
    /// <param name="cancellationToken">Cancelled when the controller stops: the outcome is then not recorded and the action runs again.</param>
    Task<ActionResult> ExecuteAsync(ControlAction action, AgentResource agent, CancellationToken cancellationToken);
}

/// <summary>How an action ended.</summary>
public abstract record ActionResult
{
    private ActionResult()
    {
    }

    /// <summary>It is in effect.</summary>
    /// <param name="ResultCode"><c>CREATED</c>, <c>PATCHED</c>, <c>DELETED</c> or <c>ALREADY_MATCHED</c>.</param>
    /// <param name="Image">The image, when the action was about one.</param>
    public sealed record Applied(string ResultCode, ResolvedImage? Image = null) : ActionResult;

    /// <summary>It is not. It will be tried again.</summary>
    /// <param name="Error">Names only: this goes into the ledger.</param>
    /// <param name="Message">For the status condition. Holds no secrets.</param>
    public sealed record Failed(ActionError Error, string Message) : ActionResult;
}

/// <summary>What an image name came to.</summary>
/// <param name="Digest">Of the root filesystem really used.</param>
/// <param name="Substituted">The one asked for cannot be had.</param>
/// <param name="Message">Why, when substituted.</param>
public sealed record ResolvedImage(string Digest, bool Substituted, string Message);
