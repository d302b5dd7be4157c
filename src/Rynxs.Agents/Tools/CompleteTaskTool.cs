using System.Text.Json;

namespace Rynxs.Agents.Tools;

/// <summary><c>task.complete</c>: ends the message with a structured result. The loop takes the result from the arguments.</summary>
internal sealed class CompleteTaskTool : IAgentTool
{
    public const string Name = "task.complete";

    /// <summary>Largest result as JSON: 256 KiB, so that it fits a Task's status.</summary>
    public const int MaxResultLength = 256 * 1024;

    public ToolDefinition Definition { get; } = new(Name, "Ends the work with its result.",
    [
        new ToolParameter("result", ToolParameterType.Any, Required: true, "The result: any JSON value.", 0, 0),
    ]);

    public bool NeedsSandbox => false;

    public Task<ToolResult> ExecuteAsync(string callId, JsonElement arguments, CancellationToken cancellationToken)
    {
        string result = arguments.GetProperty("result").GetRawText();
        return Task.FromResult(result.Length > MaxResultLength
            ? ToolResult.Failed("too_large", $"A result has at most {MaxResultLength} characters of JSON, not {result.Length}.")
            : ToolResult.Succeeded(result));
    }
}
