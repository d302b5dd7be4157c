using System.Globalization;
using System.Text;
using System.Text.Json;
using Rynxs.Sandbox;

namespace Rynxs.Agents.Tools;

/// <summary><c>sandbox.shell</c>: a command line for <c>bash</c> in the agent's sandbox.</summary>
internal sealed class ShellTool(AgentSandbox sandbox, ExecutionDefaults defaults) : IAgentTool
{
    public ToolDefinition Definition { get; } = new("sandbox.shell", "Runs a command line with bash in the agent's sandbox, in /workspace/files.",
    [
        new ToolParameter("cmd", ToolParameterType.Text, Required: true, "The command line.", 0, 128 * 1024),
        new ToolParameter("timeout_seconds", ToolParameterType.Integer, Required: false, "Deadline in seconds; at most the agent's own.", 1, 600),
    ]);

    public bool NeedsSandbox => true;

    public async Task<ToolResult> ExecuteAsync(string callId, JsonElement arguments, CancellationToken cancellationToken)
    {
        TimeSpan timeout = arguments.TryGetProperty("timeout_seconds", out JsonElement seconds)
            ? TimeSpan.FromSeconds(Math.Min(seconds.GetInt64(), (long)defaults.Timeout.TotalSeconds))
            : defaults.Timeout;
        return await SandboxOutput.RunAsync(sandbox, new ExecutionRequest
        {
            ExecutionId = callId,
            Arguments = ["/bin/bash", "-c", arguments.GetProperty("cmd").GetString() ?? ""],
            Timeout = timeout,
            OutputBytes = defaults.OutputBytes,
        }, cancellationToken);
    }
}

/// <summary><c>sandbox.python</c>: a program for <c>python3</c>, given on standard input so that its length has no argument limit.</summary>
internal sealed class PythonTool(AgentSandbox sandbox, ExecutionDefaults defaults) : IAgentTool
{
    public ToolDefinition Definition { get; } = new("sandbox.python", "Runs a Python 3 program in the agent's sandbox, in /workspace/files.",
    [
        new ToolParameter("code", ToolParameterType.Text, Required: true, "The program.", 0, 512 * 1024),
    ]);

    public bool NeedsSandbox => true;

    public async Task<ToolResult> ExecuteAsync(string callId, JsonElement arguments, CancellationToken cancellationToken) =>
        await SandboxOutput.RunAsync(sandbox, new ExecutionRequest
        {
            ExecutionId = callId,
            Arguments = ["/usr/bin/python3", "-"],
            StandardInput = Encoding.UTF8.GetBytes(arguments.GetProperty("code").GetString() ?? ""),
            Timeout = defaults.Timeout,
            OutputBytes = defaults.OutputBytes,
        }, cancellationToken);
}

/// <summary>Limits of one call.</summary>
internal sealed record ExecutionDefaults(TimeSpan Timeout, int OutputBytes);

/// <summary>Turns the end of a program into a result.</summary>
internal static class SandboxOutput
{
    public static async Task<ToolResult> RunAsync(AgentSandbox sandbox, ExecutionRequest request, CancellationToken cancellationToken)
    {
        try
        {
            return ToResult(await sandbox.ExecuteAsync(request, cancellationToken));
        }
        catch (SandboxStartException never)
        {
            return ToolResult.Failed("start_failed", never.Message);
        }
    }

    private static ToolResult ToResult(ExecutionResult result)
    {
        var content = new StringBuilder(Encoding.UTF8.GetString(result.StandardOutput.Span));
        if (result.StandardOutputTruncated)
        {
            content.Append("\n[stdout cut]");
        }

        if (!result.StandardError.IsEmpty)
        {
            content.Append(content.Length > 0 && content[^1] != '\n' ? "\n" : "").Append("[stderr]\n").Append(Encoding.UTF8.GetString(result.StandardError.Span));
            content.Append(result.StandardErrorTruncated ? "\n[stderr cut]" : "");
        }

        string reason = WireName(result.Reason);
        bool ok = result.Reason == TerminationReason.Completed;
        if (!ok)
        {
            content.Append(content.Length > 0 && content[^1] != '\n' ? "\n" : "")
                .Append(CultureInfo.InvariantCulture, $"[{reason}, exit code {result.ExitCode?.ToString(CultureInfo.InvariantCulture) ?? "none"}]");
        }

        return new ToolResult
        {
            Ok = ok,
            Content = ToolResult.Bound(content.ToString()),
            Error = ok ? null : reason,
            ExitCode = result.ExitCode,
            TerminationReason = reason,
            Violations = result.Violations,
        };
    }

    /// <summary>snake_case.</summary>
    public static string WireName(TerminationReason reason) => JsonNamingPolicy.SnakeCaseLower.ConvertName(reason.ToString());
}
