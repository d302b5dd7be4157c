using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Agents.Durability;
using Rynxs.Agents.Outbox;
using Rynxs.Agents.Providers;

namespace Rynxs.Agents.Loop;

/// <summary>
/// The conversation about the message that is being worked on, kept in the agent's private directory so that work goes on after a crash.
/// It is working memory, not evidence: the chain decides what happened, the journal only supplies the words.
/// </summary>
internal sealed record ConversationJournal
{
    public required string MessageId { get; init; }

    /// <summary>Model turns so far.</summary>
    public int Steps { get; init; }
    public IReadOnlyList<ConversationTurn> Turns { get; init; } = [];

    /// <summary>Calls that ran, in short, with what their outcome records hold.</summary>
    public IReadOnlyList<JournaledCall> Calls { get; init; } = [];

    /// <summary>What was given to <c>task.complete</c>.</summary>
    public JsonElement? Result { get; init; }

    /// <summary>Loads; null when there is none or it is damaged (then the chain alone decides).</summary>
    public static ConversationJournal? Load(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), JournalContext.Default.ConversationJournal);
        }
        catch (Exception unusable) when (unusable is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            return null;
        }
    }

    /// <summary>Durable when it returns.</summary>
    public void Save(string path) => DurableFile.Replace(path, JsonSerializer.SerializeToUtf8Bytes(this, JournalContext.Default.ConversationJournal));
}

/// <summary>A call that ended: its line in the outbox, and what the outcome record needs besides.</summary>
internal sealed record JournaledCall(string CallId, OutboxToolResult Summary, long DurationMs, IReadOnlyList<string> Violations);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ConversationJournal))]
internal sealed partial class JournalContext : JsonSerializerContext;
