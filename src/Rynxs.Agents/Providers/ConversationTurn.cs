using System.Text.Json.Serialization;

namespace Rynxs.Agents.Providers;

/// <summary>One turn of the conversation about one message. A closed family; the journal stores it under <c>role</c>.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "role")]
[JsonDerivedType(typeof(User), "user")]
[JsonDerivedType(typeof(Assistant), "assistant")]
[JsonDerivedType(typeof(Tool), "tool")]
public abstract record ConversationTurn
{
    private ConversationTurn()
    {
    }

    /// <summary>The message.</summary>
    public sealed record User(string Text) : ConversationTurn;

    /// <summary>What the model said, and the calls that it wants.</summary>
    public sealed record Assistant(string? Text, IReadOnlyList<ToolRequest> Calls) : ConversationTurn;

    /// <summary>What a call gave.</summary>
    public sealed record Tool(string CallId, string Name, bool Ok, string Content) : ConversationTurn;
}

/// <summary>A call that the model wants. Nothing about it is trusted: the arguments may not even be JSON.</summary>
/// <param name="CallId">Ours: <c>MESSAGE/STEP/INDEX</c>, unique in the agent's chain.</param>
/// <param name="Tool">Name as the model gave it.</param>
/// <param name="Arguments">Arguments as the model gave them.</param>
public sealed record ToolRequest(string CallId, string Tool, string Arguments);
