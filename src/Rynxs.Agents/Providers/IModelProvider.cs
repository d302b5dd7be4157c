using System.Text.Json;
using Rynxs.Agents.Tools;

namespace Rynxs.Agents.Providers;

/// <summary>Where an agent's decisions come from. Implementations: <see cref="ScriptedProvider"/> and <see cref="OpenAiProvider"/>.</summary>
internal interface IModelProvider
{
    /// <summary>Name in records.</summary>
    string Name { get; }

    /// <summary>Answers the conversation so far with text, with calls, or with both.</summary>
    /// <exception cref="ModelProviderException">The model cannot answer, after the retries that make sense.</exception>
    Task<ModelReply> CompleteAsync(ModelRequest request, CancellationToken cancellationToken);
}

/// <summary>What the model sees.</summary>
/// <param name="Turns">Starts with a user turn.</param>
/// <param name="Tools">The tools it may ask for.</param>
/// <param name="SystemPrompt">Instructions.</param>
internal sealed record ModelRequest(IReadOnlyList<ConversationTurn> Turns, IReadOnlyList<ToolDefinition> Tools, string SystemPrompt)
{
    /// <summary>Free-form input of a task.</summary>
    public JsonElement? Input { get; init; }
}

/// <summary>What the model answered.</summary>
internal sealed record ModelReply
{
    public string? Text { get; init; }

    /// <summary>Tool names and arguments, as given.</summary>
    public IReadOnlyList<(string Tool, string Arguments)> Calls { get; init; } = [];
    public string? Model { get; init; }
    public long? PromptTokens { get; init; }
    public long? CompletionTokens { get; init; }
}

/// <summary>The model cannot answer. The message may be shown to users and recorded: it holds no credentials and no response body.</summary>
/// <param name="code">Stable: <c>invalid_instruction</c>, <c>model_unavailable</c>, <c>model_refused</c>, <c>model_timeout</c>, <c>model_protocol</c>, <c>secret_missing</c>.</param>
/// <param name="message">What happened.</param>
/// <param name="innerException">Cause.</param>
internal sealed class ModelProviderException(string code, string message, Exception? innerException = null) : Exception(message, innerException)
{
    public string Code { get; } = code;

    /// <summary>Another attempt may succeed.</summary>
    public bool Retryable { get; init; }

    /// <summary>How long the other side asked to wait.</summary>
    public TimeSpan? RetryAfter { get; init; }
}
