using Rynxs.Sandbox.Violations;

namespace Rynxs.Agents.Tools;

/// <summary>What a call gave.</summary>
internal sealed record ToolResult
{
    public required bool Ok { get; init; }

    /// <summary>For the model: bounded by <see cref="MaxContentLength"/>.</summary>
    public required string Content { get; init; }

    /// <summary>Stable code when not ok.</summary>
    public string? Error { get; init; }
    public int? ExitCode { get; init; }

    /// <summary>snake_case, for sandbox tools.</summary>
    public string? TerminationReason { get; init; }
    public IReadOnlyList<Violation> Violations { get; init; } = [];

    /// <summary>Longest content: 64 Ki characters.</summary>
    public const int MaxContentLength = 64 * 1024;

    /// <summary>A refusal or failure.</summary>
    public static ToolResult Failed(string code, string message) => new() { Ok = false, Error = code, Content = Bound(message) };

    /// <summary>A success.</summary>
    public static ToolResult Succeeded(string content) => new() { Ok = true, Content = Bound(content) };

    /// <summary>Cuts a text, saying so.</summary>
    public static string Bound(string text)
    {
        if (text.Length <= MaxContentLength)
        {
            return text;
        }

        // Not between the halves of a surrogate pair.
        int end = char.IsHighSurrogate(text[MaxContentLength - 1]) ? MaxContentLength - 1 : MaxContentLength;
        return string.Concat(text.AsSpan(0, end), $"\n[cut: {text.Length - end} more characters]");
    }
}
