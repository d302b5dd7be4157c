using System.Text.Json;

namespace Rynxs.Agents.Tools;

/// <summary>A tool that an agent may call.</summary>
internal interface IAgentTool
{
    ToolDefinition Definition { get; }

    /// <summary>Whether it runs in the agent's sandbox, which then is brought up before the intent is recorded.</summary>
    bool NeedsSandbox { get; }

    /// <summary>Runs. Arguments have passed <see cref="ToolDefinition.Validate"/>. Failures that a model can act on are results, not exceptions.</summary>
    Task<ToolResult> ExecuteAsync(string callId, JsonElement arguments, CancellationToken cancellationToken);
}
