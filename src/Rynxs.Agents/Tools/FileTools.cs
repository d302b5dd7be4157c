using System.Globalization;
using System.Text;
using System.Text.Json;
using Rynxs.Sandbox.Files;

namespace Rynxs.Agents.Tools;

/// <summary>A file tool: resolves names below the workspace by the kernel (openat2), on the host, and turns refusals into results.</summary>
internal abstract class FileTool(WorkspaceFiles files) : IAgentTool
{
    public abstract ToolDefinition Definition { get; }

    public bool NeedsSandbox => false;

    public Task<ToolResult> ExecuteAsync(string callId, JsonElement arguments, CancellationToken cancellationToken)
    {
        try
        {
            return Task.FromResult(Run(files, arguments, cancellationToken));
        }
        catch (FileAccessException refused)
        {
            return Task.FromResult(ToolResult.Failed(refused.Code, refused.Message));
        }
    }

    protected abstract ToolResult Run(WorkspaceFiles files, JsonElement arguments, CancellationToken cancellationToken);

    protected static string Text(JsonElement arguments, string name) =>
        arguments.TryGetProperty(name, out JsonElement value) ? value.GetString() ?? "" : "";

    /// <summary>Path as models write it: relative, or absolute as seen in the sandbox.</summary>
    protected static string Path(JsonElement arguments)
    {
        string path = Text(arguments, "path");
        const string inside = "/workspace/files";
        if (path == inside)
        {
            return "";
        }

        return path.StartsWith(inside + "/", StringComparison.Ordinal) ? path[(inside.Length + 1)..] : path;
    }

    protected static ToolParameter PathParameter(bool required) =>
        new("path", ToolParameterType.Text, required, "Relative to /workspace/files.", 0, 4096);
}

internal sealed class ReadFileTool(WorkspaceFiles files) : FileTool(files)
{
    private const int DefaultBytes = 64 * 1024;

    public override ToolDefinition Definition { get; } = new("fs.read", "Reads a file of the workspace as UTF-8 text.",
    [
        PathParameter(required: true),
        new ToolParameter("offset", ToolParameterType.Integer, Required: false, "First byte, default 0.", 0, long.MaxValue),
        new ToolParameter("max_bytes", ToolParameterType.Integer, Required: false, "Most bytes, default 65536.", 1, WorkspaceFiles.MaxReadBytes),
    ]);

    protected override ToolResult Run(WorkspaceFiles files, JsonElement arguments, CancellationToken cancellationToken)
    {
        long offset = arguments.TryGetProperty("offset", out JsonElement first) ? first.GetInt64() : 0;
        int maxBytes = arguments.TryGetProperty("max_bytes", out JsonElement most) ? most.GetInt32() : DefaultBytes;
        FileWindow window = files.Read(Path(arguments), offset, maxBytes);
        string text = Encoding.UTF8.GetString(window.Data.Span);
        return ToolResult.Succeeded(window.Truncated
            ? $"{text}\n[{window.Data.Length} of {window.TotalBytes} bytes from {window.Offset}; read on with offset]"
            : text);
    }
}

internal sealed class WriteFileTool(WorkspaceFiles files) : FileTool(files)
{
    public override ToolDefinition Definition { get; } = new("fs.write", "Creates or replaces a file of the workspace.",
    [
        PathParameter(required: true),
        new ToolParameter("content", ToolParameterType.Text, Required: true, "The new content.", 0, WorkspaceFiles.MaxWriteBytes),
    ]);

    protected override ToolResult Run(WorkspaceFiles files, JsonElement arguments, CancellationToken cancellationToken)
    {
        WorkspaceEntry entry = files.Write(Path(arguments), Encoding.UTF8.GetBytes(Text(arguments, "content")));
        return ToolResult.Succeeded($"wrote {entry.Bytes} bytes to {entry.Path}");
    }
}

internal sealed class ListFilesTool(WorkspaceFiles files) : FileTool(files)
{
    public override ToolDefinition Definition { get; } = new("fs.list", "Lists a directory of the workspace.", [PathParameter(required: false)]);

    protected override ToolResult Run(WorkspaceFiles files, JsonElement arguments, CancellationToken cancellationToken)
    {
        WorkspaceListing listing = files.List(Path(arguments), cancellationToken: cancellationToken);
        var text = new StringBuilder();
        foreach (WorkspaceEntry entry in listing.Entries)
        {
            text.Append(CultureInfo.InvariantCulture, $"{entry.Kind.ToString().ToLowerInvariant()}\t{entry.Bytes}\t{entry.Path}\n");
        }

        return ToolResult.Succeeded(text.Append(listing.Truncated ? "[there are more]" : "").ToString());
    }
}

internal sealed class SearchFilesTool(WorkspaceFiles files) : FileTool(files)
{
    public override ToolDefinition Definition { get; } = new("fs.search", "Finds the lines of the workspace's files that contain a text.",
    [
        new ToolParameter("pattern", ToolParameterType.Text, Required: true, "The text.", 1, 1024),
        PathParameter(required: false),
    ]);

    protected override ToolResult Run(WorkspaceFiles files, JsonElement arguments, CancellationToken cancellationToken)
    {
        SearchResult result = files.Search(Text(arguments, "pattern"), Path(arguments), cancellationToken: cancellationToken);
        var text = new StringBuilder();
        foreach (SearchMatch match in result.Matches)
        {
            text.Append(CultureInfo.InvariantCulture, $"{match.Path}:{match.Line}: {match.Text}\n");
        }

        return ToolResult.Succeeded(text.Append(result.Truncated ? "[there may be more]" : "").ToString());
    }
}
