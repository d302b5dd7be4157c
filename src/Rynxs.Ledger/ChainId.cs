namespace Rynxs.Ledger;

/// <summary>
/// Names one hash chain of a ledger: the control chain, or the audit chain of one agent.
/// </summary>
/// <remarks>
/// Namespace and name follow RFC 1123 labels (1 to 63 of <c>[a-z0-9-]</c>, not starting or ending with <c>-</c>), so that an id can
/// become a directory name. Anything else is refused here, once, before it can reach a path.
/// </remarks>
public sealed record ChainId
{
    private ChainId(string? agentNamespace, string? agentName)
    {
        AgentNamespace = agentNamespace;
        AgentName = agentName;
    }

    /// <summary>The chain of control events, decisions, outcomes and resource mutations.</summary>
    public static ChainId Control { get; } = new(null, null);

    /// <summary>Namespace of the agent; null for the control chain.</summary>
    public string? AgentNamespace { get; }

    /// <summary>Name of the agent; null for the control chain.</summary>
    public string? AgentName { get; }

    /// <summary>The audit chain of one agent.</summary>
    /// <exception cref="ArgumentException">A part is not an RFC 1123 label.</exception>
    public static ChainId Agent(string agentNamespace, string agentName)
    {
        ThrowIfNotLabel(agentNamespace, nameof(agentNamespace));
        ThrowIfNotLabel(agentName, nameof(agentName));
        return new ChainId(agentNamespace, agentName);
    }

    /// <summary>The audit chain of one agent, or null when a part is not an RFC 1123 label: for names that come from a directory.</summary>
    public static ChainId? TryAgent(string agentNamespace, string agentName) =>
        IsLabel(agentNamespace) && IsLabel(agentName) ? new ChainId(agentNamespace, agentName) : null;

    /// <summary>Reads <see cref="RelativePath"/> back; null when it is not the path of a chain.</summary>
    public static ChainId? TryParse(string relativePath)
    {
        ArgumentNullException.ThrowIfNull(relativePath);
        return relativePath == Control.RelativePath ? Control
            : relativePath.Split('/') is ["agents", var agentNamespace, var agentName] ? TryAgent(agentNamespace, agentName)
            : null;
    }

    /// <summary>Path of the chain below the ledger's root: <c>control</c> or <c>agents/NAMESPACE/NAME</c>.</summary>
    public string RelativePath => AgentName is null ? "control" : $"agents/{AgentNamespace}/{AgentName}";

    /// <inheritdoc/>
    public override string ToString() => RelativePath;

    private static void ThrowIfNotLabel(string value, string parameter)
    {
        ArgumentNullException.ThrowIfNull(value, parameter);
        if (!IsLabel(value))
        {
            throw new ArgumentException($"'{value}' is not an RFC 1123 label: 1 to 63 of a-z, 0-9 and '-'.", parameter);
        }
    }

    private static bool IsLabel(string value) => value.Length is > 0 and <= 63
        && value[0] != '-' && value[^1] != '-'
        && value.All(c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-');
}
