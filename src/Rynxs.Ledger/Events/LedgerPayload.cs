using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Rynxs.Ledger.Events;

/// <summary>
/// The payload of an event that we write: a closed family of records, one per event type, serialised by source generation with
/// snake_case names and without nulls. Free text never lies in a payload: it holds a <see cref="CommittedText"/> instead.
/// </summary>
public abstract record LedgerPayload
{
    private protected LedgerPayload()
    {
    }

    /// <summary>The record's <c>type</c>.</summary>
    [JsonIgnore]
    public abstract string EventType { get; }

    /// <summary>The payload as JSON, by its concrete type.</summary>
    /// <exception cref="ArgumentException">A text holds a lone surrogate: it has no UTF-8 form, and replacing it would record another text.</exception>
    public virtual JsonElement ToJson() => JsonSerializer.SerializeToElement(this, Strict.GetTypeInfo(GetType()));

    private static readonly JsonSerializerOptions Strict = new(LedgerPayloadContext.Default.Options)
    {
        Encoder = new WellFormedTextEncoder(),
        TypeInfoResolver = LedgerPayloadContext.Default.WithAddedModifier(Shape),
    };

    /// <summary>The type stands in the record. JsonIgnore is not inherited by the overrides, so each of them would repeat it.</summary>
    private static void Shape(JsonTypeInfo type)
    {
        if (type.Properties.FirstOrDefault(property => property.Name == "event_type") is { } repeated)
        {
            type.Properties.Remove(repeated);
        }

        // In the order of canonical JSON, so that nothing needs to be sorted when the payload is written in it.
        int order = 0;
        foreach (JsonPropertyInfo property in type.Properties.OrderBy(property => property.Name, StringComparer.Ordinal).ToArray())
        {
            property.Order = order++;
        }
    }
}

/// <summary>Free text, by commitment: the text itself is a side blob.</summary>
/// <param name="Commitment">Text form of the <see cref="Blobs.Commitment"/>.</param>
/// <param name="Bytes">Length of the whole text in bytes, before any cut.</param>
/// <param name="CutBytes">How many trailing bytes were left out of the blob; null when none.</param>
public sealed record CommittedText(string Commitment, long Bytes, long? CutBytes = null);

/// <summary>Source-generated serialisers of all payloads.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(AgentObserved))]
[JsonSerializable(typeof(AgentDeletionObserved))]
[JsonSerializable(typeof(ActionsDecided))]
[JsonSerializable(typeof(ActionApplied))]
[JsonSerializable(typeof(ActionFailed))]
[JsonSerializable(typeof(DriftObserved))]
[JsonSerializable(typeof(LedgerOpened))]
[JsonSerializable(typeof(LedgerPruned))]
[JsonSerializable(typeof(ResourceMutated))]
[JsonSerializable(typeof(RequestDenied))]
[JsonSerializable(typeof(ApprovalRequested))]
[JsonSerializable(typeof(ApprovalDecided))]
[JsonSerializable(typeof(MessageReceived))]
[JsonSerializable(typeof(MessageRejected))]
[JsonSerializable(typeof(MessageAnswered))]
[JsonSerializable(typeof(TaskStarted))]
[JsonSerializable(typeof(TaskFinished))]
[JsonSerializable(typeof(ModelTurn))]
[JsonSerializable(typeof(PolicyDecided))]
[JsonSerializable(typeof(ToolIntent))]
[JsonSerializable(typeof(ToolOutcome))]
[JsonSerializable(typeof(SandboxStarted))]
[JsonSerializable(typeof(SandboxEnded))]
[JsonSerializable(typeof(SandboxViolation))]
[JsonSerializable(typeof(CredentialDisclosed))]
[JsonSerializable(typeof(EgressOpened))]
[JsonSerializable(typeof(EgressClosed))]
[JsonSerializable(typeof(EgressDenied))]
[JsonSerializable(typeof(SessionRecorded))]
[JsonSerializable(typeof(InferenceStarted))]
[JsonSerializable(typeof(InferenceCompleted))]
[JsonSerializable(typeof(InferenceDenied))]
[JsonSerializable(typeof(LeadershipAcquired))]
[JsonSerializable(typeof(LeadershipLost))]
[JsonSerializable(typeof(WriterFenced))]
[JsonSerializable(typeof(ChainAnchored))]
[JsonSerializable(typeof(BlobErased))]
internal sealed partial class LedgerPayloadContext : JsonSerializerContext;
