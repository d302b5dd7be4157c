using Rynxs.Resources.Meta;

namespace Rynxs.Agents.Lifecycle;

/// <summary>The agent cannot run with this spec, here. The message may be shown to users.</summary>
/// <param name="code">
/// Stable: <c>InvalidProvider</c>, <c>InvalidPolicy</c>, <c>InvalidLimits</c>, <c>RuntimeUnavailable</c>, <c>UniverseNotFound</c>,
/// <c>ImageUnavailable</c>, <c>LedgerUnavailable</c>, <c>LedgerCorrupt</c>.
/// </param>
/// <param name="message">Names the field and what to do.</param>
/// <param name="innerException">Cause.</param>
public sealed class AgentStartException(string code, string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>Stable reason, usable as a condition's reason.</summary>
    public string Code { get; } = code;
}

/// <summary>No loop of that agent runs here.</summary>
public sealed class AgentNotRunningException(NamespacedName agent) : Exception($"Agent {agent} is not running.");

/// <summary>A message was not accepted. The message of the exception may be shown to users.</summary>
public sealed class MessageRefusedException(string code, string message) : Exception(message)
{
    /// <summary>Stable: <c>empty</c>, <c>too_long</c>, <c>control_characters</c>, <c>invalid_utf8</c>.</summary>
    public string Code { get; } = code;
}
