using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Rynxs.Agents.Providers;

/// <summary>Body of a response that is not streamed, and each chunk of one that is (there <see cref="ChatChoice.Delta"/> is filled).</summary>
internal sealed record ChatResponse
{
    public string? Model { get; init; }
    public IReadOnlyList<ChatChoice>? Choices { get; init; }
    public ChatUsage? Usage { get; init; }

    /// <summary>Some servers report a failure inside a stream that began with 200.</summary>
    public JsonNode? Error { get; init; }
}

internal sealed record ChatChoice
{
    public int Index { get; init; }
    public ChatMessage? Message { get; init; }
    public ChatMessage? Delta { get; init; }
    public string? FinishReason { get; init; }
}

internal sealed record ChatMessage
{
    public string? Content { get; init; }
    public string? Refusal { get; init; }
    public IReadOnlyList<ChatToolCall>? ToolCalls { get; init; }
}

internal sealed record ChatToolCall
{
    public int? Index { get; init; }
    public string? Id { get; init; }
    public ChatFunction? Function { get; init; }
}

internal sealed record ChatFunction
{
    public string? Name { get; init; }
    public string? Arguments { get; init; }
}

internal sealed record ChatUsage
{
    public long? PromptTokens { get; init; }
    public long? CompletionTokens { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ChatResponse))]
internal sealed partial class ChatContext : JsonSerializerContext;

[JsonSerializable(typeof(JsonObject))]
internal sealed partial class JsonNodeContext : JsonSerializerContext;
