using Rynxs.Sandbox.Files;

namespace Rynxs.Agents.Tools;

/// <summary>The tools that exist, by name. Which of them an agent may call is the policy's business.</summary>
internal sealed class ToolRegistry
{
    private readonly Dictionary<string, IAgentTool> _tools;

    public ToolRegistry(AgentSandbox sandbox, WorkspaceFiles files, ExecutionDefaults defaults, Func<CancellationToken, Task<HttpMessageInvoker>>? fetcherAsync = null)
        : this(
        [
            new ShellTool(sandbox, defaults),
            new PythonTool(sandbox, defaults),
            new ReadFileTool(files),
            new WriteFileTool(files),
            new ListFilesTool(files),
            new SearchFilesTool(files),
            new HttpFetchTool(fetcherAsync, defaults.Timeout),
            new CompleteTaskTool(),
        ])
    {
    }

    /// <summary>A registry of these tools.</summary>
    public ToolRegistry(IReadOnlyList<IAgentTool> tools)
    {
        _tools = tools.ToDictionary(tool => tool.Definition.Name, StringComparer.Ordinal);
        Definitions = [.. tools.Select(tool => tool.Definition)];
    }

    public IReadOnlyList<ToolDefinition> Definitions { get; }

    public IAgentTool? Find(string name) => _tools.GetValueOrDefault(name);

    /// <summary>Names of all tools that exist, for matching <c>requiredTools</c>.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["sandbox.shell", "sandbox.python", "fs.read", "fs.write", "fs.list", "fs.search", HttpFetchTool.Name, CompleteTaskTool.Name];
}
